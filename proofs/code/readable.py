"""A lifted loss as people write it: the sums over tokens in normal form, what goes around them as the
code has it.

Logits are a log-probability and any shift, which the sums hold until they are simplified.
"""

from __future__ import annotations

from sympy import Expr

from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.language.nodes import TokenSum
from midpo.symbolic.representable import fold
from midpo.symbolic.work import allowance

from .deciding import TOO_MUCH


def readable(expr: Expr) -> Expr:
    """`expr` with each outermost sum over tokens in normal form; the sum as it is where that takes
    too much work."""
    if isinstance(expr, TokenSum):
        try:
            with allowance(expr):
                found: Expr = fold(normal_form(expr))
                return found
        except TOO_MUCH:
            return expr
    if not expr.has(TokenSum):
        return expr
    return expr.func(*map(readable, expr.args))
