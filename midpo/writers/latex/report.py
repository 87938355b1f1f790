"""A report: for each spec its statement, its proof or its witness, and what the numbers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.told import Told
from midpo.symbolic.formula.tree import Formula
from midpo.symbolic.formula.width import width as measure
from midpo.symbolic.formula.write import write
from midpo.symbolic.language.spec import Spec
from midpo.writers import cited
from midpo.writers.latex import findings
from midpo.writers.notation import notation
from midpo.writers.section import Section

from . import bibliography, sections
from . import framework as framework_report
from .framework import Framework
from .pieces import SoFar, answered, at, escape, named, own, tex, within
from .renaming import Symbols, table

if TYPE_CHECKING:
    from midpo.writers.pictures.plots import Plot

TEMPLATES = Path(__file__).parents[1] / "templates"
_CELL, _CELL_LINES = 37.0, 4  # the size of a prior in the table of priors: digits, lines


@dataclass(frozen=True)
class Report:
    """The files of a report; `message` says why there is no PDF, or where it is. `others` are
    figures and the references as BibTeX."""

    tex: Path
    pdf: Path | None
    message: str
    others: tuple[Path, ...] = ()


def documents(
    parts: Sequence[Section],
    *,
    framework: Framework | None = None,
    macros: Mapping[str, str] | None = None,
    date: str = "",
    opening: Sequence[Plot] = (),
) -> dict[str, bytes]:
    """The files of a report by their names in its folder: report.tex, figures, report.bib.

    `framework` puts the generalised problem and its solution first; `macros` renames symbols;
    `opening` are pictures for the first section. The same input gives the same bytes.
    """
    text = render(parts, framework=framework, macros=macros, date=date, opening=opening)
    drawn = findings.drawn([*opening, *(plot for part in parts for plot in part.plots)])
    found = {"report.tex": text.encode("ascii"), **drawn}
    return found | {"report.bib": references(parts).encode("ascii")}


def references(parts: Sequence[Section]) -> str:
    """The references as a BibTeX file."""
    return bibliography.bibtex(bibliography.entries([part.spec for part in parts]))


HEADS = {"head": r"\section", "part": r"\subsection*", "plot": "plot"}


def render(
    parts: Sequence[Section],
    *,
    framework: Framework | None = None,
    macros: Mapping[str, str] | None = None,
    date: str = "",
    opening: Sequence[Plot] = (),
) -> str:
    """The LaTeX of a report, in plain ASCII."""
    with named(table(macros or {})) as written:
        return _rendered(parts, framework, date, opening, written)


def _rendered(
    parts: Sequence[Section], framework: Framework | None, date: str, opening: Sequence[Plot], written: SoFar
) -> str:
    """`written` is what was written so far."""
    templates = environment()
    entries = bibliography.entries([part.spec for part in parts])
    bodies = [
        section_text(part, sections.label(place), entries, HEADS) for place, part in enumerate(parts, 1)
    ]
    summary = _summary(parts, framework is not None)
    signs = in_latex(notation(written.formulas))
    return templates.get_template("report.tex.j2").render(
        contents=len(parts) > 2,
        framework=framework is not None,
        theorems=framework_report.summary(framework.theorems) if framework else (),
        derived=_derived(framework) if framework else "",
        paper=bibliography.PAPER,
        notation=signs,
        summary=summary,
        sections=bodies,
        results=results(written),
        references=[(entry.key, entry.text) for entry in entries],
        date=escape(date),
        figures=findings.figures(opening, "all"),
    )


def results(written: SoFar) -> list[tuple[str, str, str]]:
    """The results that a report cites: number, statement, standing."""
    proved = f"{own('proved')}{{}}"
    found = cited.results(written.results)
    return [(number, answered(words), how.text(proved)) for number, words, how in found]


def in_latex(table: Sequence[tuple[Formula, Told]]) -> list[tuple[str, str]]:
    """A table of signs and their meanings."""
    return [(tex(sign), answered(meaning)) for sign, meaning in table]


def section_text(
    part: Section, key: str, entries: Sequence[bibliography.Entry], heads: Mapping[str, Any]
) -> str:
    """One section, with headings of the levels that `heads` names."""
    cited_as = bibliography.citation(entries, part.spec)
    template = environment().get_template("section.tex.j2")
    with within(key):
        return template.render({**sections.context(part, key, cited_as), **heads})


def _derived(found: Framework) -> str:
    """The framework's theorems with their chains, and the paper's slips."""
    return environment().get_template("theorems.tex.j2").render(framework_report.context(found))


@cache
def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        block_start_string=r"\BLOCK{",
        block_end_string="}",
        variable_start_string=r"\VAR{",
        variable_end_string="}",
        comment_start_string=r"\COMMENT{",
        comment_end_string="}",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {"s": Symbols(), "own": own, "at": at}
    return made


def _summary(parts: Sequence[Section], framework: bool) -> dict[str, Any] | None:
    if not framework and len(parts) < 2:
        return None
    rows = [sections.summary_row(part, _cell(part.spec, place)) for place, part in enumerate(parts, 1)]
    return {"title": "Priors and verdicts", "rows": rows}


def _cell(spec: Spec, place: int) -> str:
    """A prior in a table, or where to find it if it is too large for one."""
    if spec.prior is None:
        return f"{own('unstated')}{{}}"
    lines = broken(write(spec.prior), _CELL)
    if len(lines) > _CELL_LINES or max(map(measure, lines)) > 1.05 * _CELL:
        return rf"see \eqref{{{at(f'eq:{sections.label(place)}:prior')}}}"
    return r" \newline ".join(f"{own('fit')}[0pt]{{{tex(line)}}}" for line in lines)
