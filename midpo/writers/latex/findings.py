"""What a section says beside its claims: a cycle, and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from midpo.symbolic.formula import terms
from midpo.symbolic.formula.told import listed
from midpo.symbolic.formula.tree import Fence, call, number, row
from midpo.symbolic.formula.write import name
from midpo.writers.latex.pieces import answered, escape, math, scientific
from midpo.writers.latex.pieces import answered as in_latex

if TYPE_CHECKING:
    from midpo.numeric.crossing import Crossing
    from midpo.writers.pictures.plots import Plot

# --- Witnesses -----------------------------------------------------------------------------------


def cycle(found: Crossing) -> dict[str, Any]:
    """Four responses whose cross difference does not vanish, as a table."""
    return {
        "rows": [(math(call(terms.MARGIN, row(*w), row(*r))),
                  scientific(0.0 if abs(v) < 1e-40 else v, 6))
                 for (w, r), v in found.values.items()],
        "lengths": ", ".join(
            math(row(Fence("|", row(*name), "|"), " = ", len(ids)))
            for name, ids in found.case.tokens.items()),
        "difference": scientific(found.difference, 6),
        "standing": answered(found.standing),
    }  # fmt: skip


# --- Figures -------------------------------------------------------------------------------------

FIGURES = "figures"


def figures(plots: Sequence[Plot], key: str) -> list[dict[str, str]]:
    """Each plot as a figure of the section, with what it rests on."""
    return [
        {
            "file": f"{FIGURES}/{plot.name}.pdf",
            "caption": f"{escape(plot.words)}{_at(plot)}. {answered(plot.standing.capitalised())}.",
            "width": "0.62" if plot.name.startswith(("errors", "benchmark")) else "0.92",
            "label": f"fig:{key}:{place}",
        }
        for place, plot in enumerate(plots, 1)
    ]


def _at(plot: Plot) -> str:
    given = [row(name(word), " = ", number(value)) for word, value in plot.values.items()]
    return f", at {in_latex(listed(given))}" if given else ""


def drawn(plots: Sequence[Plot]) -> Mapping[str, bytes]:
    """The plots' files, by their path beside the report.

    Raises: MidpoError where matplotlib is missing.
    """
    return {f"{FIGURES}/{plot.name}.pdf": plot.pdf for plot in plots}
