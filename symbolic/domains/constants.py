"""Where a closed expression lies, such as log(10) or exp(1/2) + sqrt(2): by intervals."""

from __future__ import annotations

from functools import lru_cache, reduce
from math import floor
from operator import add, mul
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational

from midpo.symbolic.language.nodes import Exp, Log, Sqrt

DIGITS = 40
_LARGEST = 10**4  # of what an exponential is taken of


@lru_cache(maxsize=1_000)
def floor_between(expr: Expr) -> int | None:
    """The n with n < expr < n + 1, by intervals; None where `expr` is whole, is not told from a
    whole number, or speaks of anything but numbers."""
    import mpmath

    context = mpmath.ctx_iv.MPIntervalContext()
    context.dps = DIGITS
    try:
        value = _interval(context, expr)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    low, high = floor(value.a), floor(value.b)
    return int(low) if low == high and value.a > low else None


@lru_cache(maxsize=1_000)
def closed_sign(expr: Expr) -> int | None:
    """The sign of a closed expression; None where intervals do not tell it from 0, or it speaks of
    anything but numbers."""
    import mpmath

    context = mpmath.ctx_iv.MPIntervalContext()
    context.dps = DIGITS
    try:
        value = context.convert(_interval(context, expr))
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return 1 if value.a > 0 else -1 if value.b < 0 else 0 if value.a == value.b == 0 else None


def is_closed(expr: Any) -> bool:
    """Whether `expr` is made of numbers by functions that `floor_between` knows."""
    known = isinstance(expr, (Rational, Add, Mul, Pow, Exp, Log, Sqrt))
    return known and all(map(is_closed, expr.args))


def _interval(context: Any, expr: Expr) -> Any:
    if isinstance(expr, Rational):
        return context.mpf(int(expr.p)) / int(expr.q)
    args = [context.convert(_interval(context, arg)) for arg in expr.args]
    if isinstance(expr, Add):
        return reduce(add, args)
    if isinstance(expr, Mul):
        return reduce(mul, args)
    if isinstance(expr, Exp) and abs(args[0]).b < _LARGEST:
        return context.exp(args[0])
    if isinstance(expr, (Log, Sqrt, Pow)) and args[0].a > 0:
        if isinstance(expr, Log):
            return context.log(args[0])
        power = args[1] if isinstance(expr, Pow) else context.mpf(1) / 2
        logarithm = power * context.log(args[0])
        if abs(logarithm).b < _LARGEST:
            return context.exp(logarithm)
    raise ValueError("not told")
