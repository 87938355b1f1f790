"""`midpo report --html`: everything that is known of each spec, gathered for one page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from midpo.gathering import Wanted, certified, section_of
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.spec import Spec, catalogue
from midpo.targets import folder
from midpo.targets import write as write_file
from midpo.writers.html.page import PageEntry, entry, render
from midpo.writers.section import Section

from . import api

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck

FEW = 4  # so many specs are sooner done than further processes are started
Progress = Callable[[str], None]
Job = tuple[Spec, "CrossCheck | None", bool]


def write(
    sources: Sequence[api.Source],
    directory: str | Path,
    *,
    checks: Sequence[CrossCheck] = (),
    certify: bool = False,
    audit: bool = True,
    jobs: int = 1,
    progress: Progress = lambda name: None,
) -> Path:
    """Write report.html for these specs into `directory`: one file that needs nothing else.

    `checks` are cross-checks to include, matched by name; with `certify` Coq's kernel checks each
    recovery; without `audit` the audits are left out. With `jobs` above 1 further processes, which
    import the main module, share the work. `progress` is called with each name that is done.
    Raises: SpecError, MidpoError.
    """
    specs = [api.spec_of(source) for source in sources]
    by_name = {check.name: check for check in checks}
    todo = [(spec, by_name.get(spec.name), audit) for spec in specs]
    whole = {spec.name for spec in specs if spec.file == f"{spec.name}.toml"} >= set(catalogue())
    if jobs > 1 and len(todo) > FEW and not certify:
        entries, family = _by_processes(todo, min(jobs, len(todo)), whole, progress)
    else:
        sections: Iterable[Section] = (_section(*job) for job in todo)
        sections = certified(list(sections)) if certify else sections
        entries = [_told(entry(section), progress) for section in sections]
        family = family_map() if whole else ""
    target = folder(Path(directory)) / "report.html"
    write_file(target, render(entries, family=family))
    return target


def _by_processes(
    todo: Sequence[Job], jobs: int, family: bool, progress: Progress
) -> tuple[list[PageEntry], str]:
    """The entries in order and the family map, made by further processes."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        drawing = pool.submit(family_map) if family else None
        entries = [_told(each, progress) for each in pool.map(_entry, todo)]
        return entries, "" if drawing is None else drawing.result()


def _told(each: PageEntry, progress: Progress) -> PageEntry:
    progress(each.spec.name)
    return each


def _entry(job: Job) -> PageEntry:
    return entry(_section(*job))


def _section(spec: Spec, check: CrossCheck | None, audit: bool) -> Section:
    """What there is to find out about one spec; `solve` is asked where there is no recovery."""
    alone = not spec.reason and (spec.prior is None or not spec.has_target)
    found = section_of(spec, check, Wanted(solution=alone, audit=audit, kernel=False, plots=()))
    try:
        kernel = api.generate(spec)
    except MidpoError:  # a report without a kernel is still a report
        return found
    return replace(found, kernel=kernel.mathematics, source=kernel.source)


def family_map() -> str:
    """The family of the catalogue as SVG."""
    from midpo.proofs.compare.family import family
    from midpo.writers.pictures.family import draw

    return draw(family(), alone=False)
