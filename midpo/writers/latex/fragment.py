r"""A section to \input into one's own paper: no preamble, names of its own, symbols renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from midpo.symbolic import VERSION
from midpo.writers.latex import findings
from midpo.writers.notation import notation
from midpo.writers.section import Section

from . import bibliography
from .pieces import SoFar, named, set_in
from .renaming import table, wider
from .report import environment, in_latex, references, results, section_text

TEXT_WIDTH = 345.0  # of a line of the article class at ten points, in points
LEVELS = {
    "section": {"head": r"\section", "part": r"\subsection*"},
    "subsection": {"head": r"\subsection", "part": r"\paragraph"},
    "paragraph": {"head": r"\paragraph", "part": r"\paragraph"},
}


def documents(
    parts: Sequence[Section],
    *,
    macros: Mapping[str, str] | None = None,
    level: str = "section",
    text_width: float = TEXT_WIDTH,
) -> dict[str, bytes]:
    """The files of a fragment by their names in its folder: fragment.tex, fragment.bib, figures."""
    text = render_fragment(parts, macros=macros, level=level, text_width=text_width)
    drawn = findings.drawn([plot for part in parts for plot in part.plots])
    found = {"fragment.tex": text.encode("ascii")}
    return found | {"fragment.bib": references(parts).encode("ascii"), **drawn}


def render_fragment(
    parts: Sequence[Section],
    *,
    macros: Mapping[str, str] | None = None,
    level: str = "section",
    text_width: float = TEXT_WIDTH,
) -> str:
    """The LaTeX of a fragment, in plain ASCII. Every label begins with midpo:, every command with
    \\midpo; formulas are broken for lines of `text_width` points."""
    signs = macros or {}
    with set_in(text_width, wider(signs) if signs else 1.0), named(table(signs), "midpo") as written:
        return _rendered(parts, level, written)


def _rendered(parts: Sequence[Section], level: str, written: SoFar) -> str:
    """`written` is what was written so far."""
    entries = bibliography.entries([part.spec for part in parts])
    heads = LEVELS[level] | {"plot": "midpoplot"}
    bodies = [section_text(part, key, entries, heads) for part, key in zip(parts, _keys(parts), strict=True)]
    return (
        environment()
        .get_template("fragment.tex.j2")
        .render(
            heads,
            version=VERSION,
            keys=", ".join(entry.key for entry in entries),
            bib="fragment.bib",
            listings=any(part.kernel for part in parts),
            figures=any(part.plots for part in parts),
            paper=bibliography.PAPER,
            notation=in_latex(notation(written.formulas)),
            sections=bodies,
            results=results(written),
        )
    )


def _keys(parts: Sequence[Section]) -> list[str]:
    """A stem for the labels of each section: its spec's name, numbered where there are several."""
    keys: list[str] = []
    for part in parts:
        name = part.spec.name
        keys.append(f"{name}-{len(keys) + 1}" if name in keys else name)
    return keys
