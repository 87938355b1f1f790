"""Triton kernels beside the GPU's copy bandwidth and other implementations.

    python benchmarks/gpu.py               # 8,192 tokens, a vocabulary of 128,256, bfloat16
    python benchmarks/gpu.py --interpret   # without a GPU: a tiny shape by Triton's interpreter

A loss must read the logits of its policies once in forward, and in backward read those that its
gradient needs and write one more: these bytes over the time, as a share of what a copy of the same
logits reaches in the same run. Medians of runs timed by the GPU's own events, after runs that
compile and tune. First the kernels are held against the chunked loop: an odd vocabulary, few rows
(divided among programs), and more than 2**31 logits. Peers are optional; what is missing is said.
Writes benchmarks/gpu.md. Exits with 2 where there is no GPU, with 1 where a value is wrong.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kernels import authors, parameters, setting, trl_dpo

HERE = Path(__file__).parent
LOSSES = ("dpo", "tdpo", "sparsepo", "simpo")
METHODS = {
    "dpo": ("triton", "triton, kernels alone", "fused", "compile", "TRL", "Liger"),
    "tdpo": ("triton", "triton, kernels alone", "fused", "compile", "authors"),
    "sparsepo": ("triton", "compile"),
    "simpo": ("triton", "compile"),
}
WARM, RUNS = 5, 20


def logits_of(given: dict[str, Any]) -> list[Any]:
    return [x for name, x in given.items() if name.endswith("_logits")]


def bytes_moved(loss: str, given: dict[str, Any]) -> tuple[int, int]:
    """What forward and backward must move, each logits tensor once."""
    import midpo
    from midpo.codegen.backends import passes
    from midpo.codegen.plan.lower import lower

    (one,) = passes(lower(midpo.load(loss)), set())
    size = given["policy_logits"].nbytes
    return size * len(one.policies), size * (len(one.rereads) + 1)


def method(loss: str, name: str) -> Callable[..., Any]:
    """The loss as a function of the setting. Raises: ImportError for a peer that is missing."""
    import torch

    import midpo

    if name in ("triton", "fused", "eager", "compile"):
        kernel = midpo.generate(loss, backend="eager" if name == "compile" else name).compile()
        kernel = torch.compile(kernel) if name == "compile" else kernel
        return lambda **given: kernel(**given, validate=False, **parameters(loss))
    if name == "Liger":
        return liger_dpo()
    if name == "TRL":
        from trl.trainer import utils  # noqa: F401 - missing is said before anything is timed
    return {"TRL": trl_dpo, "authors": authors}[name]


def liger_dpo() -> Callable[..., Any]:
    """DPO over Liger's cross-entropy, whose forward pass overwrites the logits with a gradient:
    the time of both passes is what compares."""
    import torch
    from liger_kernel.transformers.functional import liger_cross_entropy

    def logps(logits: Any, labels: Any) -> Any:
        flat = liger_cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return -flat.view(labels.shape).sum(-1)

    def loss(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        with torch.no_grad():
            reference = logps(reference_logits, labels)
        chosen, rejected = (logps(policy_logits, labels) - reference).chunk(2)
        return -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()

    return loss


class Clock:
    """Milliseconds of a call: by events on a GPU, by the wall under the interpreter."""

    def __init__(self, device: str, runs: int) -> None:
        self.cuda, self.runs = device == "cuda", runs

    def __call__(self, call: Callable[[], Any]) -> float:
        for _ in range(WARM if self.cuda else 1):
            call()
        return statistics.median(self.once(call) for _ in range(self.runs))

    def once(self, call: Callable[[], Any]) -> float:
        if not self.cuda:
            start = time.perf_counter()
            call()
            return (time.perf_counter() - start) * 1e3
        import torch

        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        call()
        after.record()
        after.synchronize()
        return float(before.elapsed_time(after))


def measure(loss: str, name: str, given: dict[str, Any], clock: Clock) -> tuple[float, float, float]:
    """Milliseconds of forward and of backward, and MiB beyond inputs and the gradient."""
    import torch

    if name == "triton, kernels alone":
        return *alone(loss, given, clock), float("nan")
    compute = method(loss, name)
    leaf = given["policy_logits"].requires_grad_()
    if name == "Liger":

        def both() -> None:
            torch.autograd.grad(compute(**given), leaf)

        return float("nan"), clock(both), float("nan")
    forward = clock(lambda: compute(**given))
    value = compute(**given)
    backward = clock(lambda: torch.autograd.grad(value, leaf, retain_graph=True))
    return forward, backward, memory(lambda: torch.autograd.grad(compute(**given), leaf), leaf)


def alone(loss: str, given: dict[str, Any], clock: Clock) -> tuple[float, float]:
    """The kernels without the algebra above them."""
    import torch

    import midpo

    space = midpo.generate(loss, backend="triton").compile().__globals__
    ours, *theirs = ([x.detach()] for x in logits_of(given))
    fixed = (ours, [x for [x] in theirs], given["labels"], [], [], "")
    forward = clock(lambda: space["_forward_rows"](*fixed))
    values, normalisers = space["_forward_rows"](*fixed)
    gradient, seeds = [torch.empty_like(ours[0])], torch.randn_like(values)
    backward = clock(lambda: space["_backward_rows"](gradient, *fixed, values, normalisers, seeds))
    return forward, backward


def memory(call: Callable[[], Any], leaf: Any) -> float:
    import torch

    if leaf.device.type != "cuda":
        return float("nan")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return float(torch.cuda.max_memory_allocated() - before - leaf.nbytes) / 2**20


def rows_of(given_for: Callable[[str], dict[str, Any]], clock: Clock) -> Iterator[list[str]]:
    """A line of the table for each loss and method."""
    for loss, methods in METHODS.items():
        given = given_for(loss)
        source = logits_of(given)[0].detach()
        target = source.clone()
        copy = 2 * source.nbytes / clock(lambda a=target, b=source: a.copy_(b)) / 1e6
        del target
        read, moved = bytes_moved(loss, given)
        yield [loss, "copy of the policy's logits", "", "", f"{copy:,.0f} GB/s", "100%", "", "", ""]
        for name in methods:
            try:
                forward, backward, extra = measure(loss, name, given, clock)
            except ImportError as error:
                yield [loss, name, f"not installed: {error.name}", *[""] * 6]
                continue
            except RuntimeError as error:  # out of memory, no compiler: the others are measured
                yield [loss, name, f"failed: {str(error).splitlines()[0][:60]}", *[""] * 6]
                continue
            cells = [loss, name]
            for ms, size in ((forward, read), (backward, moved)):
                rate = size / ms / 1e6
                cells += [
                    "" if ms != ms else text for text in (f"{ms:.3f}", f"{rate:,.0f}", f"{rate / copy:.0%}")
                ]
            if name == "Liger":
                total = (read + moved) / backward / 1e6
                cells[5:] = [f"{backward:.3f} (both)", f"{total:,.0f}", f"{total / copy:.0%}"]
            yield [*cells, "" if extra != extra else f"{extra:.1f}"]


def check(device: str, dtype: str, shapes: list[tuple[int, int]]) -> list[str]:
    """What differs between the Triton kernels and the chunked loop, in float32 sums both."""
    import torch

    wrong = []
    for loss in LOSSES:
        for tokens, vocabulary in shapes:
            given, (leaf,) = setting(loss, tokens, vocabulary, dtype, device)
            leaf.requires_grad_()
            found = []
            for name in ("triton", "fused"):
                value = method(loss, name)(**given)
                found.append((value.detach(), *torch.autograd.grad(value, leaf)))
            (ours, gradient), (theirs, expected) = found
            scale = float(expected.abs().max())
            error = float((gradient - expected).abs().max()) / scale
            gap = abs(float(ours - theirs)) / max(1.0, abs(float(theirs)))
            limit = 4 * torch.finfo(leaf.dtype).eps + 1e-5
            fine = gap < 1e-4 and error < limit
            print(
                f"{loss}, {tokens} x {vocabulary} {dtype}: loss off by {gap:.1e}, gradient by "
                f"{error:.1e} of its largest entry{'' if fine else '  WRONG'}",
                flush=True,
            )
            if not fine:
                wrong.append(f"{loss} at {tokens} x {vocabulary}")
            del found, gradient, expected, given, leaf
    return wrong


def write(path: Path, rows: list[list[str]], shape: str, card: str) -> None:
    import torch
    import triton

    head = ["loss", "method", "forward ms", "GB/s", "of copy", "backward ms", "GB/s", "of copy", "extra MiB"]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    path.write_text(
        f"# Triton kernels\n\n{shape}. {card}, torch {torch.__version__}, triton "
        f"{triton.__version__}, {time.strftime('%Y-%m-%d')}; made by `python benchmarks/gpu.py`.\n"
        "GB/s counts the bytes that must move, each logits tensor once.\n\n" + "\n".join(lines) + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--interpret", action="store_true", help="a tiny shape, without a GPU")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--vocabulary", type=int, default=128_256)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--output", type=Path, default=HERE / "gpu.md")
    options = parser.parse_args()
    if options.interpret:
        os.environ["TRITON_INTERPRET"] = "1"
        options.tokens, options.vocabulary, options.dtype = 8, 100, "float32"
    import torch

    try:
        import triton  # noqa: F401 - missing is said before anything is timed
    except ImportError:
        print("no triton: pip install triton")
        return 2
    if not options.interpret and not torch.cuda.is_available():
        print(
            "no GPU: torch finds no CUDA device, nothing is measured (--interpret runs a tiny "
            "shape without one)"
        )
        return 2
    device = "cpu" if options.interpret else "cuda"
    shapes = (
        [(8, 100)]
        if options.interpret
        else [
            (64, 50_257),
            (8, options.vocabulary),
            (options.tokens, options.vocabulary),
            (2**31 // options.vocabulary // 4 * 4 + 8, options.vocabulary),
        ]
    )
    wrong = check(device, options.dtype, shapes)
    if wrong:
        print("wrong:", "; ".join(wrong))
        return 1

    def given_for(loss: str) -> dict[str, Any]:
        given: dict[str, Any] = setting(loss, options.tokens, options.vocabulary, options.dtype, device)[0]
        return given

    rows = []
    for cells in rows_of(given_for, Clock(device, 1 if options.interpret else RUNS)):
        rows.append(cells)
        if options.interpret:  # its times say nothing
            cells = [*cells[:2], cells[2] if " " in cells[2] else "ran, interpreted"]
        print("  ".join(cells), flush=True)
    if not options.interpret:
        shape = f"{options.tokens:,} tokens, vocabulary {options.vocabulary:,}, {options.dtype}"
        write(options.output, rows, shape, torch.cuda.get_device_name())
    return 0


if __name__ == "__main__":
    sys.exit(main())
