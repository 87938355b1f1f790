"""What a report needs of each spec, gathered: in one process, or in several at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midpo.extras import advice, have
from midpo.symbolic.errors import MidpoError, SpecError
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.toml import read_text, read_toml

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.proofs.audit.audit import Audit
    from midpo.writers.pictures.plots import Plot
    from midpo.writers.section import Section

AUDIT_TRIALS = 24  # random pairs for the audit's cosines: enough to show a sign
AUDIT_UNITS = 1_000_000  # of work: a few seconds, which no audit of the catalogue needs
FEW = 8  # so many specs are not worth starting processes for
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What a section is to hold beside the recovery."""

    solution: bool = True
    audit: bool = True
    kernel: bool = True
    plots: tuple[str, ...] = ("pdf",)  # the formats that the report will ask for


@dataclass(frozen=True)
class Fragment:
    """A part of a paper: the level of its headings, and the width of its lines in points."""

    level: str = "section"
    text_width: float = 345.0


def left_out(*, audit: bool, plots: bool) -> list[str]:
    """What a report lacks for want of a package, a line each."""
    asked = (("audit", "numpy", audit), ("plots", "matplotlib", plots))
    return [
        f"no {what} in the report: {package} is not installed ({advice(package)})"
        for what, package, wanted in asked
        if wanted and not have(package)
    ]


def gather(
    specs: Sequence[Spec],
    wanted: Wanted,
    *,
    checks: Sequence[CrossCheck] = (),
    jobs: int = 1,
    progress: Progress = lambda name: None,
) -> list[Section]:
    """A section for each spec, in order; `progress(name)` is called as each is done.

    With `jobs` above 1, several processes share the work; the answers are the same.
    """
    by_name = {check.name: check for check in checks}
    work = partial(section_of, wanted=wanted)
    sections = []
    for section in _mapped(work, specs, [by_name.get(spec.name) for spec in specs], jobs):
        sections.append(section)
        progress(section.spec.name)
    return sections


def _mapped(
    work: Callable[[Spec, CrossCheck | None], Section],
    specs: Sequence[Spec],
    checks: Sequence[CrossCheck | None],
    jobs: int,
) -> Iterator[Section]:
    if jobs < 2 or len(specs) <= FEW:
        yield from map(work, specs, checks)
        return
    with ProcessPoolExecutor(min(jobs, len(specs))) as pool:
        yield from pool.map(work, specs, checks)


def cores() -> int:
    """How many processes may run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def section_of(spec: Spec, check: CrossCheck | None, wanted: Wanted) -> Section:
    """What is known of one spec."""
    from midpo.proofs.recover.recovery import verify
    from midpo.proofs.recover.solution import solve
    from midpo.writers.section import Section

    if spec.reason:
        kernel = kernel_text(spec) if wanted.kernel and spec.batch is not None else ""
        return Section(spec, None, check, kernel)
    recovery = verify(spec) if spec.prior is not None and spec.has_target else None
    section = Section(spec, recovery, check, kernel_text(spec) if wanted.kernel else "")
    if spec.has_target and (wanted.solution or recovery is None):
        section = replace(section, solution=solve(spec))
    found = section.solution
    if wanted.audit and not (found and spec.prior is None and found.prior is None):
        section = replace(section, audit=_audited(spec))
    return replace(section, plots=plots_of(spec, check, wanted.plots) if wanted.plots else ())


def _audited(spec: Spec) -> Audit | None:
    """The audit; None where there is no prior to audit, or no numpy to audit it with."""
    if not have("numpy"):
        return None
    from midpo.proofs.audit.audit import audit

    try:
        return audit(spec, trials=AUDIT_TRIALS, units=AUDIT_UNITS)
    except SpecError:
        return None


def kernel_text(spec: Spec) -> str:
    """The mathematics of the kernel's source; empty where none is written."""
    from midpo.generating import checked_kernel

    try:
        return checked_kernel(spec, "eager").mathematics
    except MidpoError:  # a report without a kernel is still a report
        return ""


def plots_of(spec: Spec, check: CrossCheck | None, kinds: Sequence[str]) -> tuple[Plot, ...]:
    """The pictures of a spec, drawn; none where matplotlib is missing. The logistic loss has none
    of its own: every report shows it once."""
    from midpo.writers.pictures import plots
    from midpo.writers.pictures.curves import LOGISTIC, link_of

    if not plots.available():
        return ()
    own = link_of(spec) != LOGISTIC
    found = [plots.loss_plot(spec) if own else None, plots.token_weights_plot(spec)]
    if check is not None:
        found.append(plots.error_plot([check]))
    return tuple(plot.drawn(kinds) for plot in found if plot is not None)


def opening(kinds: Sequence[str], benchmark: Path | None) -> tuple[Plot, ...]:
    """The pictures of a report's first section: the logistic loss, and a benchmark's table.

    Raises: MidpoError for a table without measurements.
    """
    from midpo.symbolic.language.spec import load
    from midpo.writers.pictures import plots

    if benchmark is not None and not (found := plots.benchmark_plot(benchmark)):
        raise MidpoError(
            f"{benchmark}: no measurements to draw\n  expected: a table that benchmarks/kernels.py wrote"
        )
    if not kinds or not plots.available():
        return ()
    shown = [plots.loss_plot(load("dpo")), found if benchmark is not None else None]
    return tuple(plot for plot in shown if plot is not None)


def certified(sections: Sequence[Section]) -> list[Section]:
    """The sections with what Coq's kernel says of their recoveries."""
    from midpo.proofs.certify import certificate

    exported = [certificate.export(s.spec, s.recovery) for s in sections if s.recovery]
    answers = iter(certificate.check(certificate.named_apart(exported)))
    return [replace(s, certificate=next(answers).kernel) if s.recovery else s for s in sections]


# --- Macros --------------------------------------------------------------------------------------


def macros_of(given: Sequence[str]) -> dict[str, str]:
    r"""Renamed symbols from NAME=MATHEMATICS and from TOML files of such lines, the later first.

    Raises: SpecError for a file that cannot be read.
    """
    found: dict[str, str] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if sign and not text.endswith(".toml"):
            found[key.strip()] = value
        else:
            found.update(_table(read_toml(read_text(Path(text)), text), text))
    return found


def _table(table: dict[str, Any], file: str) -> dict[str, str]:
    entries = table.get("macros", table)
    if not isinstance(entries, dict) or not all(isinstance(v, str) for v in entries.values()):
        raise SpecError("not a table of texts", file=file, expected="lines such as pi = '\\pi_\\theta'")
    return entries
