"""The paper, reproduced: eight recoveries, eight kernels, their cross-checks and one report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midpo.codegen.emit import Kernel
from midpo.extras import needed
from midpo.files import may_replace
from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.language.spec import PAPER, load
from midpo.targets import folder, write

from . import api

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.writers.latex.report import Report


@dataclass(frozen=True)
class Reproduction:
    """What was found for each algorithm, in the paper's order, and the files written."""

    recoveries: tuple[Recovery, ...]
    kernels: tuple[Kernel, ...]
    checks: tuple[CrossCheck, ...]
    files: tuple[Path, ...]
    report: Report

    @property
    def passed(self) -> bool:
        return all(r.verdict == "proved" for r in self.recoveries) and all(c.passed for c in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "recoveries": [r.as_json() for r in self.recoveries],
            "checks": [c.as_json() for c in self.checks],
            "files": [str(path) for path in self.files],
            "message": self.report.message,
        }


def paper(
    directory: str | Path,
    *,
    seed: int = 0,
    trials: int = 24,
    force: bool = False,
    progress: Callable[..., None] = lambda *args, **kwargs: None,
) -> Reproduction:
    """Reproduce the paper into `directory`: prove, generate, cross-check and report its eight.

    `progress(label, total=..)` is called before each piece of work. Needs torch. Raises: MidpoError
    where torch is missing, or where a kernel is there that was edited by hand and `force` is not
    given.
    """
    needed("paper", "torch", "numpy")
    kernels_in = folder(folder(Path(directory)) / "kernels")
    total = len(PAPER) * (trials + 2) + 1
    specs = [load(name) for name in PAPER]
    for spec in specs:  # before minutes of work
        may_replace(kernels_in / f"{spec.name.replace('-', '_')}_loss.py", force=force)
    recoveries, kernels, checks, files = [], [], [], []
    for spec in specs:
        progress(f"proving {spec.name}", total=total)
        recoveries.append(api.verify(spec))
        progress(f"generating {spec.name}", total=total)
        kernel = api.generate(spec)
        kernels.append(kernel)

        def step(label: str = f"checking {spec.name}") -> None:
            progress(label, total=total)

        checks.append(api.check(spec, seed=seed, trials=trials, progress=step))
        path = kernels_in / f"{kernel.function}.py"
        write(path, kernel.source)
        files.append(path)
    progress("writing the report", total=total)
    report = api.report(specs, directory, checks=checks, framework=True)
    files += [path for path in (report.tex, report.pdf) if path is not None]
    return Reproduction(tuple(recoveries), tuple(kernels), tuple(checks), tuple(files), report)
