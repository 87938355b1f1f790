"""A training step of `--for trl` beside TRL's own, Liger's loss and torch.compile: time and memory.

    python benchmarks/training.py            # everything: about a quarter of an hour
    python benchmarks/training.py --quick    # the smaller vocabulary, float32

A step is the loss of 4 pairs of about 120 tokens under a tiny model and its reference, with what the
trainer logs of it, and all gradients. Liger's loss and the compiled formula are steps written out: they
log nothing. As in kernels.py each method has a process and one thread of its own, the methods take
turns, time is processor time, the median of five turns after one that is not counted, and a ratio is
the median of the turns' ratios. Memory is the most that torch's allocator holds during a step, gradients
included, less what it held before. Needs the extras trainers and peers. Writes
benchmarks/training.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernels import ROUNDS, Method, held
from others import liger, trl_dpo

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))
PAIRS, PROMPT, RESPONSE, WIDTH = 4, 20, 100, 256
METHODS = ("dpo", "tdpo", "TRL", "Liger", "compile")
SHAPES = [(v, d) for v in (32_000, 128_256) for d in ("float32", "bfloat16")]
# The most of another's time and memory that a method may take.
LIMITS = {("dpo", "TRL"): (0.45, 0.35), ("tdpo", "dpo"): (1.5, None), ("dpo", "Liger"): (1.0, 1.0)}


def trainer_of(method: str, vocabulary: int, dtype: str) -> Any:
    """A trainer of the method, or TRL's own where it is none."""
    import torch
    import toys
    from datasets import Dataset
    from trl import DPOTrainer

    import midpo

    rng = random.Random(0)

    def say(count: int) -> str:
        return " ".join(rng.choices(toys.WORDS, k=count))

    rows = [
        {"prompt": say(PROMPT) + " ", "chosen": say(RESPONSE), "rejected": say(RESPONSE - n)}
        for n in range(PAIRS)
    ]
    policy, reference = toys.twins(
        vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=2 * WIDTH, max_position_embeddings=256,
        num_hidden_layers=1, head_dim=64, initializer_range=0.05,
    )  # fmt: skip
    kind = midpo.trainer(method) if method in ("dpo", "tdpo") else DPOTrainer
    return kind(
        model=policy.to(getattr(torch, dtype)),
        ref_model=reference.to(getattr(torch, dtype)),
        args=toys.settings(tempfile.mkdtemp(), per_device_train_batch_size=PAIRS),
        train_dataset=Dataset.from_list(rows),
        processing_class=toys.tokenizer(),
    )


def step_of(method: str, vocabulary: int, dtype: str) -> tuple[Callable[[], Any], Any]:
    """The loss of a step, and the model."""
    import torch

    trainer = trainer_of(method, vocabulary, dtype)
    batch = next(iter(trainer.get_train_dataloader()))
    model, reference = trainer.model, trainer.ref_model
    if method not in ("Liger", "compile"):
        return lambda: trainer.compute_loss(model, dict(batch)), model
    inputs = {k: batch[k] for k in ("input_ids", "attention_mask")}
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)[:, 1:]
    if method == "Liger":
        loss = liger()

        def found() -> Any:
            hidden = model.model(**inputs).last_hidden_state[:, :-1]
            with torch.no_grad():
                theirs = reference.model(**inputs).last_hidden_state[:, :-1]
            return loss(hidden, model.lm_head.weight, theirs, reference.lm_head.weight, labels)

        return found, model
    compiled = torch.compile(trl_dpo)
    some = slice(PROMPT - 1, PROMPT - 1 + RESPONSE - PAIRS)  # where every response has tokens

    def formula() -> Any:
        with torch.no_grad():
            theirs = reference(**inputs).logits[:, some]
        return compiled(model(**inputs).logits[:, some], theirs, batch["input_ids"][:, 1:][:, some])

    return formula, model


def answer(method: str, vocabulary: int, dtype: str) -> None:
    """As in kernels.py, for a step."""
    import torch

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    step, model = step_of(method, vocabulary, dtype)

    def once() -> tuple[float, float]:
        model.zero_grad(set_to_none=True)
        start = time.process_time()
        loss = step()
        loss.backward()
        return (time.process_time() - start) * 1e3, loss.item()

    def extra() -> float:
        model.zero_grad(set_to_none=True)
        return held(once)

    for line in sys.stdin:
        print(json.dumps(once() if line.strip() == "time" else extra()), file=answers, flush=True)


def together(vocabulary: int, dtype: str, wanted: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The methods in turn."""
    methods = {name: Method(name, vocabulary, dtype, program=__file__) for name in wanted}
    first = {name: each.ask("time") for name, each in methods.items()}
    turns = [{name: each.ask("time") for name, each in methods.items()} for _ in range(ROUNDS)]
    found: dict[str, dict[str, Any]] = {}
    for name, each in methods.items():
        extra = each.ask("memory")
        complaint = each.end()
        if extra is None:
            found[name] = {"missing": complaint}
        else:
            found[name] = {"runs": [t[name][0] for t in turns], "extra": extra, "loss": first[name][1]}
    return found


def measures(rows: list[tuple[int, str, dict[str, Any]]]) -> str:
    """Markdown: ratios that have an aim, then all that was measured."""
    lines = [
        "| step | beside | vocabulary | weights | time | aim | memory | aim |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (own, other), (most_time, most_memory) in LIMITS.items():
        for vocabulary, dtype, found in rows:
            if "runs" not in found[own] or "runs" not in found[other]:
                continue
            mine, theirs = found[own], found[other]
            ratio = statistics.median(a / b for a, b in zip(mine["runs"], theirs["runs"], strict=True))
            memory = mine["extra"] / theirs["extra"]
            lines.append(
                f"| {own} | {other} | {vocabulary:,} | {dtype} | {ratio:.2f} | {most_time} | "
                f"{memory:.2f} | {most_memory or ''} |"
            )
    lines += [
        "",
        "| method | vocabulary | weights | ms | memory, MiB | loss |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for vocabulary, dtype, found in rows:
        for name, one in found.items():
            told = (
                f"{statistics.median(one['runs']):.0f} | {one['extra']:.0f} | {one['loss']:.4f}"
                if "runs" in one
                else f"{one['missing'].replace('|', '/')} | |"
            )
            lines.append(f"| {name} | {vocabulary:,} | {dtype} | {told} |")
    return "\n".join(lines) + "\n"


def write(rows: list[tuple[int, str, dict[str, Any]]], output: Path) -> None:
    from importlib.metadata import version

    names = ("torch", "trl", "transformers", "liger-kernel")
    output.write_text(
        "# A training step beside TRL's own\n\n"
        f"{PAIRS} pairs of about {PROMPT + RESPONSE} tokens, a Llama of one layer of width {WIDTH}, "
        "reference and gradients included.\n"
        + ", ".join(f"{n} {version(n)}" for n in names)
        + f", one thread, processor time, {time.strftime('%Y-%m-%d')}; made by `python "
        "benchmarks/training.py`.\nRead ratios, not times: the machine is shared. `dpo` and `tdpo` are "
        "`--for trl` with all that TRL logs, `TRL` its own trainer; `Liger` and `compile` (TRL's formula "
        "of whole logits by torch.compile, of responses cut to one length) log nothing.\n\n" + measures(rows)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="the smaller vocabulary, float32")
    parser.add_argument("--output", type=Path, default=HERE / "training.md")
    options = parser.parse_args()
    if options.one:
        answer(*json.loads(options.one))
        return
    rows: list[tuple[int, str, dict[str, Any]]] = []
    for vocabulary, dtype in SHAPES[:1] if options.quick else SHAPES:
        rows.append((vocabulary, dtype, together(vocabulary, dtype, METHODS)))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        write(rows, options.output)  # after each: a run may be stopped


if __name__ == "__main__":
    main()
