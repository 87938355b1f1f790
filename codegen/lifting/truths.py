"""Truth values of entries: comparisons and logic.

A truth value is a bool where it is known, else an expression that is 0 or 1.
"""

from __future__ import annotations

from typing import Any

from sympy import Expr, S

from midpo.symbolic.language.nodes import Feature, Step

from .axes import UNKNOWN, fresh, is_label, unknowns
from .numbers import above, at_least, equal, expr_of
from .trace import refuse

OPEN = "whether "  # how truth values begin of which nothing is known
INFINITIES = (S.Infinity, S.NegativeInfinity)


def infinite(a: Any) -> bool:
    return isinstance(a, Expr) and a in INFINITIES


def inverse(c: Any) -> Any:
    return (not c) if isinstance(c, bool) else 1 - expr_of(c)


def ge(a: Any, b: Any) -> Any:
    """a >= b. Labels are token ids, whole numbers from 0 on: nothing else is known of them."""
    if is_label(a) or is_label(b):
        if a == b:
            return True
        if is_label(a) and not is_label(b) and expr_of(b).is_Number and expr_of(b) <= 0:
            return True
        if is_label(b) and not is_label(a) and expr_of(a).is_Number and expr_of(a) < 0:
            return False
        refuse("a label is compared with a token id: the answer depends on the token")
    for x, y, answer in ((a, b, S.Infinity), (b, a, S.NegativeInfinity)):
        if infinite(x):
            if infinite(y):
                return bool(a >= b)
            return bool(x == answer)
    return at_least(expr_of(a), expr_of(b))


def gt(a: Any, b: Any) -> Any:
    if infinite(a) or infinite(b) or is_label(a) or is_label(b):
        return inverse(ge(b, a))
    return above(expr_of(a), expr_of(b))


def eq(a: Any, b: Any) -> Any:
    for x, y in ((a, b), (b, a)):
        if is_label(x):
            if x == y:
                return True
            if not is_label(y) and expr_of(y).is_Number and expr_of(y) < 0:
                return False
            if not is_label(y) and unknowns(expr_of(y)):
                return fresh(f"{OPEN}a label is at a place that is not known", x + y)
            refuse("a label is compared with a token id: the answer depends on the token")
    if infinite(a) or infinite(b):
        return bool(a == b)
    return equal(expr_of(a), expr_of(b))


def nonzero(a: Any) -> Any:
    """An entry as a truth value."""
    if isinstance(a, bool):
        return a
    x = expr_of(a)
    if not x.is_Number and not is_label(a) and is_truth(x):
        return x
    return inverse(eq(a, 0))


def is_truth(x: Expr) -> bool:
    """Whether an expression is 0 or 1: products of steps, of what is open, and of 1 less such."""
    if isinstance(x, Step) or x in (S.Zero, S.One):
        return True
    if isinstance(x, Feature):
        return str(x.args[0]).startswith(UNKNOWN + OPEN)
    if x.is_Mul:
        return all(map(is_truth, x.args))
    return bool(x.is_Add) and not (1 - x).is_Add and is_truth(1 - x)


def both(a: Any, b: Any) -> Any:
    a, b = nonzero(a), nonzero(b)
    if isinstance(a, bool):
        return b if a else False
    if isinstance(b, bool):
        return a if b else False
    return a if a == b else a * b


def either(a: Any, b: Any) -> Any:
    return inverse(both(inverse(nonzero(a)), inverse(nonzero(b))))


def differ(a: Any, b: Any) -> Any:
    a, b = nonzero(a), nonzero(b)
    if isinstance(a, bool):
        return inverse(b) if a else b
    return inverse(a) if b is True else a if b is False else a + b - 2 * a * b
