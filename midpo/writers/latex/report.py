"""A report: for each spec its statement, its proof or its witness, and what the numbers say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.width import width as measure
from midpo.symbolic.language.spec import Spec
from midpo.writers import cited, findings
from midpo.writers.section import Section

from . import bibliography, sections
from . import framework as framework_report
from .pieces import escape
from .renaming import renamed

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
    framework: bool = False,
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


HEADS = {"head": r"\section", "part": r"\subsection*", "tables": True, "plot": "plot"}


def render(
    parts: Sequence[Section],
    *,
    framework: bool = False,
    macros: Mapping[str, str] | None = None,
    date: str = "",
    opening: Sequence[Plot] = (),
) -> str:
    """The LaTeX of a report, in plain ASCII."""
    templates = environment()
    entries = bibliography.entries([part.spec for part in parts])
    bodies = [
        section_text(part, sections.label(place), entries, HEADS)
        for place, part in enumerate(parts, 1)
    ]
    summary = _summary(parts, framework)
    shown = "\n".join([*bodies, *(row["prior"] for row in summary["rows"])] if summary else bodies)
    text = templates.get_template("report.tex.j2").render(
        contents=len(parts) > 2,
        framework=framework,
        theorems=framework_report.summary() if framework else (),
        derived=_derived() if framework else "",
        paper=bibliography.PAPER,
        notation=notation(shown),
        summary=summary,
        sections=bodies,
        results=cited.results(shown),
        references=[(entry.key, entry.text) for entry in entries],
        date=escape(date),
        figures=findings.figures(opening, "all"),
    )
    return renamed(text, macros) if macros else text


def section_text(
    part: Section, key: str, entries: Sequence[bibliography.Entry], heads: Mapping[str, Any]
) -> str:
    """One section, with headings of the levels that `heads` names."""
    cited_as = bibliography.citation(entries, part.spec)
    template = environment().get_template("section.tex.j2")
    return template.render({**sections.context(part, key, cited_as), **heads})


def _derived() -> str:
    """The framework's theorems with their chains, and the paper's slips."""
    return environment().get_template("theorems.tex.j2").render(framework_report.context())


@cache
def environment() -> jinja2.Environment:
    return jinja2.Environment(
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


def _summary(parts: Sequence[Section], framework: bool) -> dict[str, Any] | None:
    if not framework and len(parts) < 2:
        return None
    rows = [
        sections.summary_row(part, _cell(part.spec, place)) for place, part in enumerate(parts, 1)
    ]
    return {"title": "Priors and verdicts", "rows": rows}


def _cell(spec: Spec, place: int) -> str:
    """A prior in a table, or where to find it if it is too large for one."""
    if spec.prior is None:
        return r"\unstated{}"
    lines = broken(spec.prior, _CELL)
    if len(lines) > _CELL_LINES or max(map(measure, lines)) > 1.05 * _CELL:
        return rf"see \eqref{{eq:{sections.label(place)}:prior}}"
    return r" \newline ".join(rf"\fit[0pt]{{{tex(line)}}}" for line in lines)


# What each sign means; the third entry is what must occur in the report for the row to be printed.
_NOTATION = (
    (r"\log,\ \sigma(z)", r"the natural logarithm; $\sigma(z) = 1/(1 + e^{-z})$", ""),
    (r"y,\ y_w,\ y_l,\ |y|", "a response; the preferred and the dispreferred one of a pair; the "
     "number of tokens of $y$", ""),
    (r"\pi(y\mid x)", "the probability of the whole response $y$ to the prompt $x$ under the "
     r"policy that is trained; likewise $\pi_{\mathrm{ref}}$ for the reference", ""),
    (r"\pi_{\mathrm{old}}", "the policy of the previous round", r"\pi_{\mathrm{old}}"),
    (r"\pi(y_{t}\mid x, y_{<t})", "the probability of the $t$-th token of $y$ after the tokens "
     r"before it; $\pi(y\mid x) = \prod_{t=1}^{|y|} \pi(y_{t}\mid x, y_{<t})$. The tokens of "
     "$y_w$ and $y_l$ are $y_{w,t}$ and $y_{l,t}$", r"\mid x, y_{"),
    (r"\mathcal{V}", "the vocabulary, of which $v$ is an entry", r"\mathcal{V}"),
    (r"s_{t},\ s_{w,t},\ s_{l,t}", "what precedes a token: $(x, y_{<t})$, $(x, y_{w,<t})$, "
     "$(x, y_{l,<t})$", r"\mid s_{"),
    (r"D_{\mathrm{KL}}\bigl(p(\cdot\mid s)\,\|\,q(\cdot\mid s)\bigr)",
     r"$\sum_{v\in\mathcal{V}} p(v\mid s)\log\frac{p(v\mid s)}{q(v\mid s)}$ over the "
     r"vocabulary $\mathcal{V}$", r"D_{\mathrm{KL}}"),
    (r"H\bigl(p(\cdot\mid s)\bigr)", r"$-\sum_{v\in\mathcal{V}} p(v\mid s)\log p(v\mid s)$",
     r"H\bigl("),
    (r"\mathrm{sg}[e]", "$e$, with no gradient through it", r"\mathrm{sg}"),
    (r"\mathbf{1}[c]", "1 where $c$ holds, else 0", r"\mathbf{1}"),
    (r"y = y_w,\ y = y_l", "in a prior: where $y$ is the preferred, the dispreferred response of "
     "its pair", r"\text{if } y"),
    (r"b \uparrow (e)", "$b^{e}$, where $e$ is too long to be raised", r"\uparrow"),
)


def notation(body: str) -> list[tuple[str, str]]:
    """The signs that `body` uses, with their meaning."""
    return [(sign, meaning) for sign, meaning, trigger in _NOTATION if trigger in body]
