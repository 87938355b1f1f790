"""Generated kernels beside other implementations: time and memory of one loss and its gradient.

    python benchmarks/kernels.py               # everything: under an hour
    python benchmarks/kernels.py --quick       # the smallest shape of each
    python benchmarks/kernels.py --device cuda # the same on a GPU

Each method has a process of its own, so that no allocator is warm from another, and one thread; the
methods of a loss and shape run in turn. Time is the median of five runs after one that is not
counted, on a CPU the processor time (user and system: on a shared machine the clock on the wall
measures the neighbours); a ratio is the median over the five turns. Memory is the most that torch's
allocator holds during a run, less what it held before and less the returned gradients. "steps" is a
limit: what a DPO made of torch's operations cannot do without. Peers are optional
(`pip install '.[peers]'`); what is missing is said. The catalogue's kernels read the logits in few
ways (GROUPS); each way is measured on one of its specs. Writes benchmarks/kernels.md and
benchmarks/kernels.svg.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from others import authors, liger, steps, trl_dpo

HERE = Path(__file__).parent
SHAPES = [(512, 32_000), (1024, 32_000), (2048, 32_000), (4096, 32_000), (1024, 128_256)]
DTYPES = ("float32", "bfloat16")
HIDDEN = 1024
ROUNDS = 5
METHODS = {
    "dpo": ("fused", "fused in place", "native", "steps", "compile", "TRL"),
    "tdpo": ("fused", "fused in place", "native", "compile", "authors"),
    "sparsepo": ("fused", "native", "compile", "authors"),
    "dpo, linear": ("linear", "Liger"),
    "tdpo, linear": ("linear",),
}
# One spec for each way in which kernels of the catalogue read logits, beside dpo's and tdpo's.
GROUPS = ("simpo", "orpo", "tis-dpo", "wpo", "mallowspo-entropy")
OWN = ("fused", "native", "linear")
NO_AIM = ("steps",)  # a limit that is measured
# The most that a method may take of another's time, as the table's last lines say.
LIMITS = {
    ("dpo", "TRL"): 0.35,
    ("tdpo", "authors"): 0.25,
    ("sparsepo", "authors"): 0.25,
    ("dpo, linear", "Liger"): 1.0,
}


def setting(loss: str, tokens: int, vocabulary: int, dtype: str, device: str) -> Any:
    """Logits, labels and features of two pairs with `tokens` tokens in all."""
    import torch

    torch.manual_seed(0)
    kind, rows = getattr(torch, dtype), 4
    shape = (rows, tokens // rows)
    labels = torch.randint(vocabulary, shape, device=device)
    given: dict[str, Any] = {"labels": labels}
    if loss.startswith("sparsepo"):
        given |= {n: torch.rand(shape, device=device) for n in ("mu1", "mu2")}
    if loss == "tis-dpo":
        given["w"] = torch.rand(shape, device=device)
    if "linear" in loss:
        for who in ("policy", "reference"):
            given[f"{who}_hidden"] = torch.randn(*shape, HIDDEN, device=device).to(kind)
            given[f"{who}_weight"] = (torch.randn(vocabulary, HIDDEN, device=device) / HIDDEN**0.5).to(kind)
        return given, [given["policy_hidden"], given["policy_weight"]]
    names = ("policy_logits", "reference_logits")
    for name in names[: 1 if loss in ("simpo", "orpo") else 2]:
        given[name] = torch.randn(*shape, vocabulary, device=device).to(kind)
    return given, [given["policy_logits"]]


def function(loss: str, method: str) -> Callable[..., Any]:
    """The loss as a function of the setting."""
    import midpo

    name = loss.partition(",")[0]
    if method in ("fused", "fused in place"):
        kernel = midpo.generate(name, backend="fused").compile()
        options = {"inplace_backward": True} if method != "fused" else {}
        return lambda **given: kernel(**given, **options, **parameters(name))
    if method in ("linear", "native"):
        kernel = midpo.generate(name, backend=method).compile()
        return lambda **given: kernel(**given, **parameters(name))
    if method in ("eager", "compile"):
        kernel = midpo.generate(name).compile()
        if method == "compile":
            import torch

            kernel = torch.compile(kernel)
        return lambda **given: kernel(**given, validate=False, **parameters(name))
    if method in ("Liger", "steps"):
        return {"Liger": liger, "steps": steps}[method]()
    return {"TRL": trl_dpo, "authors": authors}[method]


def parameters(name: str) -> dict[str, float]:
    return {"simpo": {"gamma": 0.5}}.get(name, {})


def held(run: Callable[[], Any]) -> float:
    """The most MiB that torch's allocator holds during `run`, beyond what it held before."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        run()
    now = most = 0
    for event in sorted(found.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most / 2**20


def answer(loss: str, method: str, tokens: int, vocabulary: int, dtype: str, device: str) -> None:
    """Run when a line on standard input asks for it: "time" is answered by milliseconds and the
    loss, "memory" by MiB beyond inputs and gradients."""
    import torch

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print is no answer
    compute = function(loss, method)
    given, leaves = setting(loss, tokens, vocabulary, dtype, device)
    for leaf in leaves:
        leaf.requires_grad_()
    gradients = sum(x.numel() * x.element_size() for x in leaves) / 2**20
    if method == "fused in place":
        gradients = 0.0
    cuda = device.startswith("cuda")
    clock = time.perf_counter if cuda else time.process_time

    def once() -> tuple[float, float]:
        if cuda:
            torch.cuda.synchronize()
        start = clock()
        value = compute(**given)
        # In place, each run starts from the gradient of the last one: time does not mind.
        found = torch.autograd.grad(value, leaves)
        if cuda:
            torch.cuda.synchronize()
        del found
        return (clock() - start) * 1e3, float(value.detach())

    def extra() -> float:
        if not cuda:
            return max(held(once) - gradients, 0.0)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        once()
        return max((torch.cuda.max_memory_allocated() - before) / 2**20 - gradients, 0.0)

    for line in sys.stdin:
        print(json.dumps(once() if line.strip() == "time" else extra()), file=answers, flush=True)


class Method:
    """One case in a process of its own."""

    def __init__(self, *case: Any, program: str = __file__) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process
        self.process = subprocess.Popen(
            [sys.executable, program, "--one", json.dumps(case)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, what: str) -> Any:
        """Its answer, or None if it has ended."""
        assert self.process.stdin and self.process.stdout
        limit = threading.Timer(900, self.process.kill)
        limit.start()
        try:
            print(what, file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        limit.cancel()
        return json.loads(line) if line else None

    def end(self) -> str:
        """End it; what it complained of last."""
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or ["no answer"])[-1][:80]


def together(group: list[Any], device: str) -> list[dict[str, Any]]:
    """The methods of one loss and shape, in turn: a neighbour on the machine slows all of them."""
    methods = [Method(*case, device) for case in group]
    first = [method.ask("time") for method in methods]  # not counted
    rounds = [[method.ask("time") for method in methods] for _ in range(ROUNDS)]
    extra = [method.ask("memory") for method in methods]
    found: list[dict[str, Any]] = []
    for n, method in enumerate(methods):
        complaint = method.end()
        if extra[n] is None:
            found.append({"missing": complaint})
            continue
        runs = [each[n][0] for each in rounds]
        found.append({"ms": statistics.median(runs), "runs": runs, "extra": extra[n], "loss": first[n][1]})
    return found


def cases(quick: bool) -> list[tuple[str, str, int, int, str]]:
    wanted = []
    for loss, methods in METHODS.items():
        linear = "linear" in loss
        shapes = SHAPES[:2] if linear else SHAPES if loss != "sparsepo" else [SHAPES[1], SHAPES[4]]
        for tokens, vocabulary in shapes[:1] if quick else shapes:
            for dtype in DTYPES[:1] if linear else DTYPES:
                wanted += [(loss, m, tokens, vocabulary, dtype) for m in methods]
    for loss in GROUPS:
        for dtype in DTYPES:
            shape = SHAPES[0 if quick else 1]
            wanted += [(loss, m, *shape, dtype) for m in ("fused", "native", "compile")]
    return wanted


def table(rows: list[tuple[Any, dict[str, Any]]]) -> str:
    """Markdown: each measurement, and its ratio to the project's own kernel in the same block."""
    lines = [
        "| loss | tokens | vocabulary | dtype | method | ms | of fused or linear | extra MiB | "
        "of one logits tensor | loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    own: dict[Any, float] = {}
    for (loss, method, *shape), found in rows:
        if method in ("fused", "linear") and "ms" in found:
            own[loss, *shape] = found["ms"]
    for (loss, method, tokens, vocabulary, dtype), found in rows:
        head = f"| {loss} | {tokens} | {vocabulary} | {dtype} | {method} |"
        if "missing" in found:
            lines.append(f"{head} {found['missing'].replace('|', '/')} | | | | |")
            continue
        ratio = found["ms"] / own.get((loss, tokens, vocabulary, dtype), float("nan"))
        one = tokens * vocabulary * (4 if dtype == "float32" else 2) / 2**20
        lines.append(
            f"{head} {found['ms']:.0f} | {ratio:.2f} | {found['extra']:.1f} | "
            f"{found['extra'] / one:.1%} | {found['loss']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def limits(rows: list[tuple[Any, dict[str, Any]]]) -> str:
    """The project's own time over each other method's, from the smallest to the largest."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    times = {case: found["runs"] for case, found in rows if "runs" in found}
    for own in (*OWN, *NO_AIM):
        for loss, method, *shape in times:
            ours = times.get((loss, own, *shape))
            if ours and method not in (*OWN, own, "fused in place"):
                turns = zip(ours, times[loss, method, *shape], strict=True)
                ratio = statistics.median(mine / theirs for mine, theirs in turns)
                found.setdefault((loss, own, method, shape[-1]), []).append(ratio)
    lines = [
        "| loss | backend | its time over that of | dtype | ratios, by shape | aim |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (loss, own, method, dtype), ratios in found.items():
        aim = "" if {own, method} & set(NO_AIM) else LIMITS.get((loss, method), 1.0)
        lines.append(
            f"| {loss} | {own} | {method} | {dtype} | {', '.join(f'{r:.2f}' for r in ratios)} | {aim} |"
        )
    return "\n".join(lines) + "\n"


def fit(rows: list[tuple[Any, dict[str, Any]]]) -> str:
    """Time of kernels against tokens*vocabulary: exponent of a power law."""
    import numpy as np

    lines = []
    for loss, own, dtype in itertools.product(("dpo", "tdpo"), OWN, DTYPES):
        points = [
            (t * v, f["ms"])
            for (name, m, t, v, d), f in rows
            if (name, m, d) == (loss, own, dtype) and "ms" in f
        ]
        if len(points) > 3:
            x, y = np.log(np.array(points)).T
            lines.append(
                f"- {loss}, {own}, {dtype}: time grows as (tokens*vocabulary)**"
                f"{np.polyfit(x, y, 1)[0]:.2f} over {len(points)} shapes"
            )
    return "\n".join(lines) + "\n"


def plot(rows: list[tuple[Any, dict[str, Any]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "midpo"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
    for axis, loss in zip(axes, ("dpo", "tdpo"), strict=True):
        for method in METHODS[loss]:
            points = sorted(
                (t, f["ms"])
                for (name, m, t, v, d), f in rows
                if (name, m, v, d) == (loss, method, 32_000, "float32") and "ms" in f
            )
            if points:
                axis.loglog(*zip(*points, strict=True), marker="o", label=method)
        axis.set(title=f"{loss}, float32, vocabulary 32,000", xlabel="tokens", ylabel="ms")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="the smallest shape of each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=HERE / "kernels.md")
    options = parser.parse_args()
    if options.one:
        answer(*json.loads(options.one))
        return
    rows: list[tuple[Any, dict[str, Any]]] = []
    for _, some in itertools.groupby(cases(options.quick), lambda case: (case[0], *case[2:])):
        group = list(some)
        rows += zip(group, together(group, options.device), strict=True)
        for row in rows[-len(group) :]:
            print(json.dumps(row), file=sys.stderr, flush=True)
        write(rows, options.output, options.device)  # after each: a run may be stopped


def write(rows: list[tuple[Any, dict[str, Any]]], output: Path, device: str) -> None:
    import torch

    output.write_text(
        "# Kernels beside other implementations\n\n"
        "One loss of two pairs and its gradient with respect to the logits (`linear`: to hidden "
        f"states of width {HIDDEN} and the output head).\n"
        f"torch {torch.__version__}, one thread, processor time, "
        f"{time.strftime('%Y-%m-%d')}, {device}; made by `python benchmarks/kernels.py`. "
        "Read ratios, not times: the machine is shared. TRL takes log-probabilities of bfloat16 "
        "logits in bfloat16, so that its loss is another one there; all others sum in float32. "
        "steps is a limit and no loss: the operations of torch that DPO cannot do without.\n\n"
        + limits(rows)
        + "\n"
        + fit(rows)
        + "\n"
        + table(rows)
    )
    plot(rows, output.with_suffix(".svg"))


if __name__ == "__main__":
    main()
