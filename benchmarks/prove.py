"""How long proofs of code take: `python benchmarks/prove.py` writes prove.md here (needs torch).

Every row of the catalogue on the eager backend, once each, in one process that has proved another row.
Seconds are those in which this process worked, so that they hang little on what else runs.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import sympy
import torch

from midpo.proving import proof
from midpo.proving.kernels import kernel_code
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.spec import catalogue, load

HERE = Path(__file__).parent
WARM = "ipo"
RUNS = 5  # of a cold start
BOUNDS = {"median": 0.5, "most": 5.0, "cold": 3.0}
OWN = """import torch.nn.functional as F


def dpo_loss(policy_logps, reference_logps, mask, beta=0.1):
    chosen, rejected = ((policy_logps - reference_logps) * mask).sum(-1).chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected)).mean()
"""


@dataclass(frozen=True)
class Timed:
    """A row's verdict, and the seconds that lifting and deciding took."""

    row: str
    verdict: str
    lifting: float
    deciding: float

    @property
    def whole(self) -> float:
        return self.lifting + self.deciding


def timed(row: str) -> Timed | None:
    """None where the row has no kernel."""
    spec = load(row)
    try:
        code = kernel_code(spec, "eager")
    except MidpoError:
        return None
    lifting, whole = Clock(proof.lift), Clock(proof.prove)
    with mock.patch.object(proof, "lift", lifting):
        found = whole(spec, code)
    return Timed(row, found.verdict, lifting.seconds, whole.seconds - lifting.seconds)


class Clock:
    """A function, and how long its calls took in all."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *args: Any, **options: Any) -> Any:
        start = time.process_time()
        try:
            return self.function(*args, **options)
        finally:
            self.seconds += time.process_time() - start


def cold() -> float:
    """The median of `midpo prove dpo --code` from a fresh start, the imports of torch and SymPy
    among it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "loss.py")
        file.write_text(OWN, encoding="utf-8")
        asked = [sys.executable, "-m", "midpo", "prove", "dpo", "--code", f"{file}:dpo_loss"]
        asked += ["--set", "beta=alpha"]
        found = []
        for _ in range(RUNS):
            before = _children()
            subprocess.run(asked, check=True, capture_output=True, env=_environment())
            found.append(_children() - before)
    return statistics.median(found)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}


def page(rows: list[Timed], start: float) -> str:
    middle, most = statistics.median(r.whole for r in rows), max(r.whole for r in rows)
    lines = [
        "# How long proofs of code take",
        "",
        "Written by `python benchmarks/prove.py` (needs torch). Value and gradient of each row's eager "
        "kernel, of one and of two pairs, at every length where they are proved: lifted twice, tested "
        "against the code, derived, and the derivation replayed.",
        "",
        f"{date.today()}, Python {platform.python_version()}, SymPy {sympy.__version__}, torch "
        f"{torch.__version__.split('+')[0]}, {platform.machine()}. Seconds of one processor, each row "
        "once, in one process that has proved another row.",
        "",
        "| what | s | bound |",
        "| :--- | ---: | ---: |",
        f"| a row: median of {len(rows)} | {middle:.2f} | {BOUNDS['median']} |",
        f"| a row: most | {most:.2f} | {BOUNDS['most']} |",
        f"| `midpo prove dpo --code`, cold, imports among it: median of {RUNS} "
        f"| {start:.2f} | {BOUNDS['cold']} |",
        "",
        "| row | verdict | lifting, s | deciding, s |",
        "| :--- | :--- | ---: | ---: |",
        *(f"| {r.row} | {r.verdict} | {r.lifting:.2f} | {r.deciding:.2f} |" for r in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    timed(WARM)
    rows = [found for found in map(timed, catalogue()) if found is not None]
    (HERE / "prove.md").write_text(page(rows, cold()), encoding="utf-8")


if __name__ == "__main__":
    main()
