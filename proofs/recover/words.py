"""Expressions within the sentences of `solve` and `verify`, and formulas that they cite."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Expr, Mul

from midpo.symbolic.formula.told import CutShort, Displayed, Hole
from midpo.symbolic.formula.tree import Fence, row, script
from midpo.symbolic.formula.write import POLICY_SIGN, name, write
from midpo.symbolic.language.nodes import Parameter
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.representable import fold

LONGEST = 160  # characters of an expression in a sentence


def stated(expr: Expr, taken: Iterable[str] = ()) -> Displayed:
    """An expression: in the spec language, and laid out."""
    return Displayed(text(expr, taken), write(expr))


def short(expr: Expr, spec: Spec) -> Hole:
    """The same with sums folded, cut where it is long."""
    shown = stated(fold(expr), spec.names.taken())
    if len(shown.unicode) <= LONGEST:
        return shown
    return CutShort(shown.unicode[: LONGEST - 3] + "...")


def scaled(expr: Expr, spec: Spec) -> Hole:
    """The same times alpha."""
    shown = short(expr, spec)
    if not isinstance(shown, Displayed):
        return CutShort(f"alpha*{shown}")
    whole = Mul(Parameter("alpha", "positive"), fold(expr))
    return Displayed(f"alpha*{shown.unicode}", write(whole))


_SLOPE = row(r"\partial ", "L", "/", r"\partial ")
PSI = Displayed("-log(exp(L) - 1)", row("-", r"\log", Fence("(", row(script("e", above="L"), " - ", 1), ")")))
SLOPES = Displayed(
    "log|dL/da / dL/db|",
    row(r"\log", Fence("|", row(_SLOPE, "a", " ", r"\,", "/", r"\, ", _SLOPE, "b"), "|")),
)
TERM_FACTOR = Displayed(
    "(1 - exp(-A))*exp(f)",
    row(Fence("(", row(1, " - ", script("e", above=row("-", "A"))), ")"), r"\,", script("e", above="f")),
)
POLICY_PART = Displayed("alpha*log(pi)", row(name("alpha"), r"\log", POLICY_SIGN))
