"""A recovery as one display for notebooks."""

from __future__ import annotations

from sympy import Expr

from midpo.symbolic.formula import terms
from midpo.symbolic.formula.displays import WIDTH, aligned
from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.layout import lines
from midpo.symbolic.formula.tree import Formula
from midpo.symbolic.formula.write import write
from midpo.symbolic.language.spec import Spec


def sides(spec: Spec, kind: str, factor: Expr, constant: Expr) -> tuple[Formula, Formula]:
    """Names of the target's side and of the prior's."""
    if kind == "margin":
        both = terms.MARGIN, terms.MARGIN_THROUGH
        return terms.of(both[0], spec.roles), terms.of(both[1], spec.roles)
    through = terms.affine(factor, constant, terms.of(terms.LOSS_THROUGH, spec.roles))
    return terms.of(terms.LOSS, spec.roles), through


def display(prior: Expr, head: Formula, shown: Expr, said: str) -> str:
    """The prior, what is claimed of the two sides, and how it is known."""
    return aligned([_stacked(terms.PRIOR_IS, prior), _stacked(head, shown), rf"& \text{{{said}}}"])


def _stacked(head: Formula, expr: Expr) -> str:
    first, *rest = map(tex, lines(write(expr), WIDTH))
    return " \\\\\n".join([f"& {tex(head)}{first}", *(rf"& \qquad {line}" for line in rest)])
