"""How long a recovery takes: `python benchmarks/verify.py` writes verify.md and verify.svg here.

Each time is the median of several runs in fresh processes, one after another. SymPy's `simplify`
gets the same question with plain symbols and is stopped after LIMIT seconds; larger sizes are then
not tried.
"""

from __future__ import annotations

import math
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import sympy

HERE = Path(__file__).parent
SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000)
LIMIT = 60.0
LONGEST_REPEATED = 4.0  # a run that takes longer is made only twice

_VERIFY = """
import time
import inputs
from midpo.proofs.recover.recovery import verify
verify(inputs.spec(4))
spec = inputs.spec({size})
start = time.perf_counter()
assert verify(spec).verdict == "proved"
print(time.perf_counter() - start)
"""
_SIMPLIFY = """
import time
import sympy
import inputs
difference = inputs.plain_difference({size})
start = time.perf_counter()
assert sympy.simplify(difference) == 0
print(time.perf_counter() - start)
"""
_CATALOGUE = """
import json, statistics, time
from midpo.proofs.recover.recovery import verify
from midpo.symbolic.language.spec import catalogue, load
times = {}
recovered = [name for name in catalogue() if load(name).prior is not None]
for attempt in range(6):
    for name in recovered:
        spec = load(name)
        start = time.perf_counter()
        assert verify(spec).verdict == "proved"
        if attempt:
            times.setdefault(name, []).append(time.perf_counter() - start)
print(json.dumps({name: statistics.median(found) for name, found in times.items()}))
"""
_WHOLE = """
from midpo.proofs.recover.recovery import verify
from midpo.symbolic.language.spec import catalogue, load
specs = map(load, catalogue())
assert all(verify(spec).verdict == "proved" for spec in specs if spec.prior is not None)
"""
_COLD = {
    '`python -c "import sympy"`': ["-c", "import sympy"],
    "`midpo --help`": ["-m", "midpo", "--help"],
    "`midpo verify dpo`": ["-m", "midpo", "verify", "dpo"],
    "the whole catalogue": ["-c", _WHOLE],
}


def run(arguments: list[str], limit: float = 600) -> str | None:
    """What a fresh Python prints, or None past the limit."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=HERE,
            timeout=limit,
            check=True,
            capture_output=True,
            text=True,
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}


def median(code: str, limit: float) -> float | None:
    """The median of what up to five runs print."""
    times: list[float] = []
    while len(times) < 5 and not (times and times[0] > LONGEST_REPEATED and len(times) == 2):
        printed = run(["-c", code], limit)
        if printed is None:
            return None
        times.append(float(printed))
    return statistics.median(times)


def growth() -> list[tuple[int, float, float | None]]:
    """For each size: seconds of midpo, and of simplify where it ended in time."""
    rows, stopped = [], False
    for size in SIZES:
        ours = median(_VERIFY.format(size=size), 600)
        assert ours is not None
        theirs = None if stopped else median(_SIMPLIFY.format(size=size), LIMIT)
        stopped = theirs is None
        rows.append((size, ours, theirs))
        print(size, ours, theirs, flush=True)
    return rows


def cold() -> dict[str, float]:
    found = {}
    for name, arguments in _COLD.items():
        times = []
        for _ in range(5):
            start = time.perf_counter()
            run(arguments)
            times.append(time.perf_counter() - start)
        found[name] = statistics.median(times)
    return found


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (header, ["---:"] * len(header), *rows)]


def page(
    rows: list[tuple[int, float, float | None]], entries: dict[str, float], starts: dict[str, float]
) -> str:
    base = rows[0][1] / (rows[0][0] * math.log(rows[0][0]))
    largest = max(rows, key=lambda row: row[1] / (row[0] * math.log(row[0])))
    lines = [
        "# How long `verify` takes",
        "",
        "Written by `python benchmarks/verify.py` (needs matplotlib). The inputs are "
        "in `inputs.py`: one margin of n terms, as the target writes it and as the prior gives it; "
        "midpo derives the equality and replays the derivation, SymPy simplifies the difference "
        "of the same two with plain symbols.",
        "",
        f"{date.today()}, Python {platform.python_version()}, SymPy {sympy.__version__}, "
        f"{platform.machine()}. Medians of five runs (two where one takes more than "
        f"{LONGEST_REPEATED:.0f} s), each in a fresh process.",
        "",
    ]
    shown = []
    for size, ours, theirs in rows:
        ratio = "" if theirs is None else f"{theirs / ours:.1f}"
        late = f"more than {LIMIT:.0f}, or not tried" if theirs is None else f"{theirs:.3f}"
        shown.append(
            [f"{size:,}", ratio, f"{ours / (base * size * math.log(size)):.2f}", f"{ours:.3f}", late]
        )
    lines += table(["terms", "simplify / midpo", "midpo / (n log n)", "midpo, s", "simplify, s"], shown)
    lines += [
        "",
        "The third column is midpo's time over n log n, with the smallest size as 1; the "
        f"largest value is at {largest[0]:,} terms. `simplify` is stopped after {LIMIT:.0f} s; "
        "larger sizes are not tried after that.",
        "",
        "![time against the number of terms](verify.svg)",
        "",
        "## The catalogue",
        "",
        f"In process and warm: median {statistics.median(entries.values()) * 1e3:.1f} ms, slowest "
        f"{max(entries.values()) * 1e3:.1f} ms.",
        "",
    ]
    lines += table(["entry", "ms"], [[k, f"{v * 1e3:.1f}"] for k, v in entries.items()])
    sympy_start = next(iter(starts.values()))
    lines += ["", "## From a cold start", ""]
    lines += table(
        ["", "over `import sympy`", "s"],
        [[k, f"{v / sympy_start:.2f}", f"{v:.2f}"] for k, v in starts.items()],
    )
    return "\n".join(lines) + "\n"


def plot(rows: list[tuple[int, float, float | None]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "midpo"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.2))
    sizes, ours = [r[0] for r in rows], [r[1] for r in rows]
    finished = [(size, theirs) for size, _, theirs in rows if theirs is not None]
    scale = ours[-1] / (sizes[-1] * math.log(sizes[-1]))
    axes.loglog(sizes, ours, "o-", label="midpo verify")
    axes.loglog(*zip(*finished, strict=True), "s-", label="sympy.simplify(left - right)")
    axes.loglog(sizes, [scale * n * math.log(n) for n in sizes], ":", color="gray", label="n log n")
    axes.set(xlabel="terms", ylabel="seconds")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(HERE / "verify.svg", metadata={"Date": None})


def main() -> None:
    import json

    entries = json.loads(run(["-c", _CATALOGUE]) or "{}")
    starts = cold()
    rows = growth()
    (HERE / "verify.md").write_text(page(rows, entries, starts))
    plot(rows)


if __name__ == "__main__":
    main()
