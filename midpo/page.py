"""`midpo report --html`: everything that is known of each spec, gathered for one page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from midpo import api
from midpo.proofs.page import Entry, entry, write_page
from midpo.proofs.report import Section
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.spec import Spec, catalogue

if TYPE_CHECKING:
    from midpo.numeric.crosscheck import CrossCheck
    from midpo.proofs.audit import Audit
    from midpo.proofs.solution import Solution

FEW = 4  # so many specs are sooner done than further processes are started
Progress = Callable[[str], None]


def write(
    sources: Sequence[api.Source],
    directory: str | Path,
    *,
    checks: Sequence[CrossCheck] = (),
    certify: bool = False,
    audit: bool = True,
    workers: int = 1,
    progress: Progress = lambda name: None,
) -> Path:
    """Write report.html for these specs into `directory`: one file that needs nothing else.

    `checks` are cross-checks to include, matched by name; with `certify` Coq's kernel checks each
    recovery; without `audit` the audits are left out. More than one of `workers` are processes,
    which import the main module. `progress` is called with each name that is done.
    Raises: SpecError, MidpoError.
    """
    specs = [api.spec_of(source) for source in sources]
    by_name = {check.name: check for check in checks}
    pairs = zip(sources, specs, strict=True)
    jobs = [(source, by_name.get(spec.name), audit) for source, spec in pairs]
    whole = {spec.name for spec in specs if spec.file == f"{spec.name}.toml"} >= set(catalogue())
    named = not any(isinstance(source, Spec) for source in sources)
    if workers > 1 and len(jobs) > FEW and named and not certify:
        entries, family = _by_processes(jobs, min(workers, len(jobs)), whole, progress)
    else:
        sections: Iterable[Section] = (_section(*job) for job in jobs)
        sections = api._certified(list(sections)) if certify else sections
        entries = [_told(entry(section), progress) for section in sections]
        family = family_map() if whole else ""
    return write_page(entries, Path(directory), family=family)


Job = tuple[api.Source, "CrossCheck | None", bool]


def _by_processes(
    jobs: Sequence[Job], workers: int, family: bool, progress: Progress
) -> tuple[list[Entry], str]:
    """The entries in order and the family map, made by further processes."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        map_ = pool.submit(family_map) if family else None
        entries = [_told(each, progress) for each in pool.map(_entry, jobs)]
        return entries, "" if map_ is None else map_.result()


def _told(each: Entry, progress: Progress) -> Entry:
    progress(each.spec.name)
    return each


def _entry(job: Job) -> Entry:
    return entry(_section(*job))


def _section(source: api.Source, check: CrossCheck | None, audit: bool) -> Section:
    """What there is to find out about one spec."""
    spec = api.spec_of(source)
    if spec.reason:
        return Section(spec, None, None)
    both = spec.prior is not None and spec.has_target
    try:
        kernel = api.generate(spec)
        listing, source_text = kernel.mathematics, kernel.source
    except MidpoError:  # a report without a kernel is still a report
        listing = source_text = ""
    solution = api.solve(spec) if spec.has_target and not both else None
    return Section(
        spec,
        api.verify(spec) if both else None,
        check,
        listing,
        solution=solution,
        audit=_audited(spec, solution) if audit else None,
        source=source_text,
    )


def _audited(spec: Spec, solution: Solution | None) -> Audit | None:
    """The audit of the spec's prior, or of the one that was found; None without one, or without
    numpy."""
    if spec.prior is None:
        if solution is None or solution.prior is None:
            return None
        spec = replace(spec, prior=solution.prior)
    try:
        from midpo.proofs.audit import audit

        return audit(spec)
    except (MidpoError, ImportError):
        return None


def family_map() -> str:
    """The family of the catalogue as SVG."""
    from midpo.proofs.family import family

    return family().svg()
