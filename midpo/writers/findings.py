"""What a section says beside the recovery: its source, its class, the audit, its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from midpo.proofs.recover.solved import Solution
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.told import Told, listed, told
from midpo.symbolic.formula.tree import EMPTY, Fence, call, number, row
from midpo.symbolic.formula.write import name, response
from midpo.symbolic.language.nodes import RESPONSE
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.table import CONFIRMED, UNCONFIRMED
from midpo.writers.latex.pieces import answered, escape, math, rows, scientific
from midpo.writers.latex.pieces import worded as in_latex

if TYPE_CHECKING:
    from midpo.numeric.crossing import Crossing
    from midpo.writers.pictures.plots import Plot

_CLASS: dict[str, Told | str] = {
    "fixed": "has a prior that does not depend on the policy that is trained",
    "iterative": "has a prior that depends on a policy of an earlier round",
    "self-referential": "has a prior that depends on the policy that is trained",
    "label-dependent": "has a prior that must be told which response was preferred",
    "constraint": "has a prior once an additive term is set aside",
    "other-link": told("has a prior through another link than {}", terms.logistic(terms.MARGIN)),
    "temperature": "has a prior once the temperature of the pair is set aside",
    "weighted": "has a prior once the weight of the pair is set aside",
    "none": "has no prior",
    "undecided": "is not decided",
}


def origin(spec: Spec, citation: str) -> tuple[str, str] | None:
    """Where the target comes from: (statement, standing)."""
    if not _has_target(spec):
        return None
    statement = "That the target is the published loss"
    if not citation:
        return statement, "taken from the specification, which cites no source"
    if spec.status == CONFIRMED:
        return statement, f"taken from the reference {citation}"
    doubt = escape(spec.status.removeprefix(UNCONFIRMED).strip())
    return statement, rf"taken from the reference {citation}, \textbf{{not confirmed}}: {doubt}"


def reason(spec: Spec) -> str:
    """Why a row of the catalogue has no equation."""
    status = spec.status.removeprefix(UNCONFIRMED).strip() if spec.status != CONFIRMED else ""
    doubt = f" Not confirmed: {escape(status)}." if status else ""
    return f"No specification of one pair can hold this loss: {escape(spec.reason)}.{doubt}"


def _has_target(spec: Spec) -> bool:
    return not spec.reason and spec.has_target


# --- Class ---------------------------------------------------------------------------------------


def solution(found: Solution | None, known: list[tuple[str, str]]) -> dict[str, Any] | None:
    """The class of the target: what `midpo solve` answers."""
    if found is None:
        return None
    known.append((f"The class of the target: {found.kind}", answered(found.standing)))
    parts = []
    if found.prior is not None:
        at = "" if found.spec.alpha == 1 else told(", at the specification's {}", name("alpha"))
        words = told("The prior, unique up to one factor free of {}{}:", response(RESPONSE), at)
        parts.append((in_latex(words), rows(terms.PRIOR_IS, found.prior)))
    if found.link is not None:
        parts.append(("The link:", rows(terms.defines(terms.LINK), found.link)))
    if found.constraint is not None:
        parts.append(("The additive term:", rows(EMPTY, found.constraint)))
    if found.temperature is not None:
        parts.append(("The temperature of the pair:", rows(EMPTY, found.temperature)))
    if found.weight is not None:
        parts.append(("The weight of the pair:", rows(EMPTY, found.weight)))
    return {
        "opening": f"The target {in_latex(_CLASS[found.kind])} (class \\emph{{{found.kind}}}). "
                   f"{answered(found.reason)}{_beside(found)}",
        "parts": parts,
        "cycle": None if found.witness is None else cycle(found.witness),
    }  # fmt: skip


def _beside(found: Solution) -> str:
    """Where the answer holds, and whether gradients agree too."""
    added = [f"It holds where {answered(c)}." for c in found.conditions]
    if found.gradient is not None:
        added.append(f"Of gradients: {found.gradient.sentence}.")
    return "".join(f" {sentence}" for sentence in added)


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
        "standing": escape(found.standing),
    }  # fmt: skip


# --- Figures -------------------------------------------------------------------------------------

FIGURES = "figures"


def figures(plots: Sequence[Plot], key: str) -> list[dict[str, str]]:
    """Each plot as a figure of the section, with what it rests on."""
    return [
        {
            "file": f"{FIGURES}/{plot.name}.pdf",
            "caption": f"{escape(plot.words)}{_at(plot)}. "
                       f"{escape(plot.standing[:1].upper() + plot.standing[1:])}.",
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

