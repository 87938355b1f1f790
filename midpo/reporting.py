"""What a report needs of each spec, gathered: in one process, or in several at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midpo.symbolic.errors import MidpoError, SpecError
from midpo.symbolic.spec import Spec
from midpo.symbolic.toml import read_text, read_toml

if TYPE_CHECKING:
    from midpo.numeric.crosscheck import CrossCheck
    from midpo.proofs.audit import Audit
    from midpo.proofs.plots import Plot
    from midpo.proofs.report import Section

AUDIT_TRIALS = 24  # random pairs for the audit's cosines: enough to show a sign
FEW = 8  # so many specs are not worth starting processes for
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What a section is to hold beside the recovery."""

    solution: bool = True
    audit: bool = True
    plots: bool = True
    kernel: bool = True


@dataclass(frozen=True)
class Fragment:
    """A part of a paper: the level of its headings, and the width of its lines in points."""

    level: str = "section"
    text_width: float = 345.0


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
    sections = []
    for spec, section in zip(specs, _sections(specs, wanted, jobs), strict=True):
        check = by_name.get(spec.name)
        plots = plots_of(spec, check) if wanted.plots else ()
        sections.append(replace(section, check=check, plots=plots))
        progress(spec.name)
    return sections


def _sections(specs: Sequence[Spec], wanted: Wanted, jobs: int) -> Iterator[Section]:
    work = partial(section_of, wanted=wanted)
    if jobs < 2 or len(specs) <= FEW:
        yield from map(work, specs)
        return
    with ProcessPoolExecutor(min(jobs, len(specs))) as pool:
        yield from pool.map(work, specs)


def cores() -> int:
    """How many processes may run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def section_of(spec: Spec, wanted: Wanted) -> Section:
    """What is known of one spec, without pictures and cross-check."""
    from midpo import api
    from midpo.proofs.report import Section

    if spec.reason:
        return Section(spec, None, None)
    recovery = api.verify(spec) if spec.prior is not None and spec.has_target else None
    section = Section(spec, recovery, None, kernel_text(spec) if wanted.kernel else "")
    if wanted.solution and spec.has_target:
        section = replace(section, solution=api.solve(spec))
    if wanted.audit:
        section = replace(section, audit=_audited(spec))
    return section


def _audited(spec: Spec) -> Audit | None:
    """The audit; None where there is no prior to audit, or no numpy to audit it with."""
    try:
        from midpo.proofs.audit import audit
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "numpy":
            raise
        return None
    try:
        return audit(spec, trials=AUDIT_TRIALS)
    except SpecError:
        return None


def kernel_text(spec: Spec) -> str:
    """The mathematics of the kernel's source; empty where none is written."""
    from midpo import api

    try:
        return api.generate(spec).mathematics
    except MidpoError:  # a report without a kernel is still a report
        return ""


def plots_of(spec: Spec, check: CrossCheck | None) -> tuple[Plot, ...]:
    """The pictures of a spec; none where matplotlib is missing. The logistic loss has its picture
    once, in the report's first section."""
    from midpo.proofs import plots
    from midpo.proofs.curves import LOGISTIC, link_of

    if not plots.available():
        return ()
    own = not spec.reason and link_of(spec) != LOGISTIC
    found = [plots.loss_plot(spec) if own else None, plots.token_weights_plot(spec)]
    if check is not None:
        found.append(plots.error_plot([check]))
    return tuple(plot for plot in found if plot is not None)


def benchmark_of(table: Path) -> Plot:
    """The picture of a benchmark's table. Raises: MidpoError."""
    from midpo.proofs import plots

    found = plots.benchmark_plot(table)
    if found is None:
        raise MidpoError(
            f"{table}: no measurements to draw\n"
            "  expected: a table that benchmarks/kernels.py wrote"
        )
    return found


def certified(sections: Sequence[Section]) -> list[Section]:
    """The sections with what Coq's kernel says of their recoveries."""
    from midpo.proofs import certificate

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
        raise SpecError("not a table of texts", file=file,
                        expected="lines such as pi = '\\pi_\\theta'")
    return entries
