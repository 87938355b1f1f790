"""The derivative of an expression: the chain rule, and the partial derivatives of each word's row.

What moves is for the caller to say: `of` gives the derivatives of the atoms that it knows. Kernels
differentiate with respect to log-probabilities, an audit along the policy.
"""

from __future__ import annotations

from collections.abc import Callable

from sympy import Add, Expr, Mul, Pow, S

from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import POLICY, Log
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import BY_NODE


def derivative(expr: Expr, of: Callable[[Expr], Expr | None]) -> Expr:
    """The derivative of `expr`; `of` gives that of the atoms it knows, None for what is made of
    parts. At a kink it is that of one side.

    Raises: NotYet for what moves and is no function of the language, or whose row has no slopes.
    """
    known = of(expr)
    if known is not None:
        return known
    if not expr.args:
        return S.Zero
    word = BY_NODE.get(type(expr))
    if word is None and not isinstance(expr, (Add, Mul, Pow)) and POLICY in expr.free_symbols:
        raise NotYet(f"no derivative is known for {text(expr)}")
    slopes = [derivative(arg, of) for arg in expr.args]
    moving = [(at, slope) for at, slope in enumerate(slopes) if slope != 0]
    if not moving:
        return S.Zero
    if isinstance(expr, Add):
        return Add(*slopes)
    if isinstance(expr, Mul):
        return Add(*(Mul(slope, *expr.args[:at], *expr.args[at + 1 :]) for at, slope in moving))
    if isinstance(expr, Pow):
        base, exponent = expr.args
        partials = (exponent * Pow(base, exponent - 1), expr * Log(base))
    elif word is None:
        raise NotYet(f"no derivative is known for {text(expr)}")
    else:
        partials = word.column("slopes")(*expr.args)
    return Add(*(partials[at] * slope for at, slope in moving))
