"""`midpo report --html`: everything that is known of each spec, gathered for one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from midpo import api
from midpo.proofs.page import Entry, entry, write_page
from midpo.proofs.report import Section
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.spec import Spec

if TYPE_CHECKING:
    from midpo.numeric.crosscheck import CrossCheck
    from midpo.proofs.audit import Audit

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
    jobs = [(source, by_name.get(spec.name), audit) for source, spec in zip(sources, specs,
                                                                            strict=True)]
    made: Iterator[Entry]
    if certify:
        sections = api._certified([_section(*job) for job in jobs])
        made = map(entry, sections)
    elif workers == 1 or len(jobs) <= FEW or any(isinstance(source, Spec) for source in sources):
        made = map(_entry, jobs)
    else:
        made = _by_processes(jobs, min(workers, len(jobs)))
    entries = []
    for each in made:
        entries.append(each)
        progress(each.spec.name)
    return write_page(entries, Path(directory), family=_family(specs))


Job = tuple[api.Source, "CrossCheck | None", bool]


def _by_processes(jobs: Sequence[Job], workers: int) -> Iterator[Entry]:
    """The entries in order, made by further processes."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_entry, jobs)


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
    return Section(
        spec,
        api.verify(spec) if both else None,
        check,
        listing,
        solution=api.solve(spec) if spec.has_target and not both else None,
        audit=_audited(spec) if audit else None,
        source=source_text,
    )


def _audited(spec: Spec) -> Audit | None:
    """The audit; None where there is no prior to audit, or no numpy."""
    try:
        from midpo.proofs.audit import audit

        return audit(spec)
    except (MidpoError, ImportError):
        return None


def _family(specs: Sequence[Spec]) -> str:
    """The family map, where the page shows a family."""
    return ""
