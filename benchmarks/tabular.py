"""What an exact problem costs: `python benchmarks/tabular.py` writes tabular.md here.

Random rewards; each size in a fresh process, one after another. A Blahut-Arimoto iteration, and a
Newton iteration of the Bradley-Terry fit on ten comparisons a prompt and as many cycles.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIZES = ((10, 100), (30, 300), (100, 1_000), (300, 3_000), (1_000, 10_000))
SECONDS = 20.0  # after which the iterations of a size are enough

_ONE = """
import json, resource, time
import numpy as np
from midpo.numeric.exact import blahut, bradley_terry, tabular
from midpo.numeric.exact.preferences import Comparisons
n, m = {n}, {m}
random = np.random.default_rng(0)
problem = tabular.Problem(np.full(n, 1 / n), random.normal(size=(n, m)), 0.5)
steps = blahut.iterate(problem, np.zeros(m))
next(steps)
times, first = [], time.perf_counter()
while time.perf_counter() - first < {seconds} / 2 or len(times) < 3:
    start = time.perf_counter()
    _, _, log_c = next(steps)
    times.append(time.perf_counter() - start)
start = time.perf_counter()
whole = blahut.blahut_arimoto(problem, tolerance=1e-3)
solved = time.perf_counter() - start
size = 30 * n
ring = np.tile(np.arange(10), n)  # a cycle for each prompt, and twenty comparisons at random
extra = random.integers(0, m, (2, 20 * n))
extra[1] = np.where(extra[0] == extra[1], (extra[1] + 1) % m, extra[1])
x = np.concatenate([np.repeat(np.arange(n), 10), np.repeat(np.arange(n), 20)])
data = Comparisons(x, np.concatenate([ring, extra[0]]),
                   np.concatenate([(ring + 1) % 10, extra[1]]), random.integers(1, 9, size) * 1.0)
start = time.perf_counter()
edges = bradley_terry.Edges.of(data, m)
graph = time.perf_counter() - start
start = time.perf_counter()
_, losses = bradley_terry.fit(edges, np.zeros(edges.nodes.size))
newton = (time.perf_counter() - start) / max(len(losses) - 1, 1)
print(json.dumps(dict(
    n=n, m=m, iteration=float(np.median(times)), iterations=len(whole.gaps), solved=solved,
    graph=graph, newton=newton, fits=len(losses) - 1,
    memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
"""


def measure(n: int, m: int) -> dict[str, float]:
    code = _ONE.format(n=n, m=m, seconds=SECONDS)
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    found: dict[str, float] = json.loads(done.stdout)
    print(found, flush=True)
    return found


def exponent(sizes: list[float], times: list[float]) -> float:
    """The slope of log time against log size, over the three largest sizes."""
    return float(np.polyfit(np.log(sizes[-3:]), np.log(times[-3:]), 1)[0])


def page(rows: list[dict[str, float]]) -> str:
    cells = [row["n"] * row["m"] for row in rows]
    slope = exponent(cells, [row["iteration"] for row in rows])
    newton = exponent([row["n"] for row in rows], [row["newton"] for row in rows])
    lines = [
        "# What exact problems cost",
        "",
        "Written by `python benchmarks/tabular.py`. Random normal rewards, alpha = 0.5, uniform "
        "prompts; the Bradley-Terry fit has 30 comparisons a prompt, a cycle of ten among them.",
        "",
        f"{date.today()}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{platform.machine()}, one thread. A Blahut-Arimoto iteration is the median of those made "
        f"in {SECONDS / 2:.0f} s (at least three); each size is a fresh process.",
        "",
        "| prompts | responses | iteration, s | ns a pair | iterations to 0.001 nats | s to it "
        "| graph, s | Newton iteration, s | of them | peak memory, MiB |",
        "|" + " ---: |" * 10,
    ]
    for row, pairs in zip(rows, cells, strict=True):
        lines.append(
            f"| {row['n']:,} | {row['m']:,} | {row['iteration']:.2g} "
            f"| {row['iteration'] / pairs * 1e9:.1f} | {row['iterations']:,} | {row['solved']:.2g} "
            f"| {row['graph']:.2g} | {row['newton']:.2g} | {row['fits']} | {row['memory']:.0f} |"
        )
    array = cells[-1] * 8 / 2**20
    lines += [
        "",
        f"Over the three largest sizes an iteration's time grows as (prompts x responses)^"
        f"{slope:.2f}, and a Newton iteration's as comparisons^{newton:.2f}. One array of the "
        f"largest size takes {array:.0f} MiB; an iteration holds three (rewards, r / alpha and one "
        "scratch), the policy and its marginal at the end the rest. An iteration "
        "that takes an extrapolated step back costs two.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    rows = [measure(n, m) for n, m in SIZES]
    (HERE / "tabular.md").write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
