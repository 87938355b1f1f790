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
    return Displayed(write(expr), spelt=text(expr, taken))


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
    return Displayed(write(whole), spelt=f"alpha*{shown.unicode}")


_SLOPE = row(r"\partial ", "L", "/", r"\partial ")
PSI = Displayed(
    row("-", r"\log", Fence("(", row(script("e", above="L"), " - ", 1), ")")), spelt="-log(exp(L) - 1)"
)
SLOPES = Displayed(
    row(r"\log", Fence("|", row(_SLOPE, "a", " ", r"\,", "/", r"\, ", _SLOPE, "b"), "|")),
    spelt="log|dL/da / dL/db|",
)
TERM_FACTOR = Displayed(
    row(Fence("(", row(1, " - ", script("e", above=row("-", "A"))), ")"), r"\,", script("e", above="f")),
    spelt="(1 - exp(-A))*exp(f)",
)
POLICY_PART = Displayed(row(name("alpha"), r"\log", POLICY_SIGN), spelt="alpha*log(pi)")
