"""A recovery as one display for notebooks."""

from __future__ import annotations

from sympy import Expr

from midpo.symbolic.formula.displays import responses
from midpo.symbolic.formula.latex import latex
from midpo.symbolic.formula.layout import lines
from midpo.symbolic.language.spec import Spec


def sides(spec: Spec, kind: str, factor: Expr, constant: Expr) -> tuple[str, str]:
    """Names of the target's side and of the prior's, in LaTeX."""
    pair = responses(spec.roles)
    if kind == "margin":
        return f"m{pair}", rf"m_{{\zeta}}{pair}"
    return rf"\ell{pair}", affine(factor, constant, rf"\ell_{{\zeta}}{pair}")


def affine(factor: Expr, constant: Expr, loss: str) -> str:
    """a*loss + b, as a recovery found the factor a and the constant b."""
    times = "" if factor == 1 else latex(factor) + r"\,"
    if factor.is_Add:
        times = rf"\left({latex(factor)}\right)"
    plus = "" if constant == 0 else latex(constant)
    sign = "" if not plus or plus.startswith("-") else " + "
    return f"{times}{loss}{sign}{plus}"


def display(lead: str, prior: Expr, head: str, shown: Expr, said: str) -> str:
    """The prior, what is claimed of the two sides, and how it is known."""
    rows = [_stacked(lead, prior), _stacked(head, shown), rf"& \text{{{said}}}"]
    return "$$\n\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}\n$$"


def _stacked(head: str, expr: Expr) -> str:
    first, *rest = lines(expr, 100)
    return " \\\\\n".join([f"& {head} {first}", *(rf"& \qquad {line}" for line in rest)])
