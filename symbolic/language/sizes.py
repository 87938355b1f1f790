"""Which numbers, exponents and fractions an expression may hold: what SymPy does with larger ones
takes longer than any bound on the number of terms tells."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S

MAX_EXPONENT = 1000
MAX_NUMBER_BITS = 4096
MAX_FRACTIONS = 12
EXPONENTS = f"at most {MAX_EXPONENT} in size"


def unbearable(expr: Expr) -> tuple[str, str] | None:
    """What is beyond the bounds in `expr`, whose parts are within them, and what is expected."""
    for term in Add.make_args(expr):
        for factor in Mul.make_args(term):
            if isinstance(factor, Rational) and bits(factor) > 2 * MAX_NUMBER_BITS:
                return "a number is too large", "at most about 1200 digits"
            exponent = factor.exp if isinstance(factor, Pow) else S.One
            if isinstance(exponent, Rational) and abs(exponent) > MAX_EXPONENT:
                return "an exponent is too large", EXPONENTS
    degree, levels = _fractions(expr)
    if levels > 1 and degree > MAX_FRACTIONS:
        return (
            "fractions in fractions, with large powers",
            f"powers whose product is at most {MAX_FRACTIONS}",
        )
    return None


@lru_cache(maxsize=10_000)
def _fractions(expr: Any) -> tuple[int, int]:
    """The degree of the fractions of `expr` brought to one denominator, which SymPy does to tell
    signs of sums, and how many of them stand in each other."""
    if not isinstance(expr, (Add, Mul, Pow)):
        return 1, 0
    inner = [_fractions(arg) for arg in expr.args]
    degree, levels = max(d for d, _ in inner), max(n for _, n in inner)
    if isinstance(expr, Pow) and isinstance(expr.base, Add) and isinstance(expr.exp, Integer):
        return (degree * -int(expr.exp), levels + 1) if expr.exp < 0 else (degree, levels)
    return degree, levels


def bits(number: Rational) -> int:
    return int(number.p).bit_length() + int(number.q).bit_length()
