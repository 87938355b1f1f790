"""Equality in the field of an expression's atoms, by SymPy's own expansion.

The checker and the conditions of rules rest on this; what finds derivations uses other code
(`polynomial`), so that an error in one does not pass the other.
"""

from __future__ import annotations

import sympy
from sympy import Add, Expr, Mul, Pow


def equal_in_field(left: Expr, right: Expr) -> bool:
    """Whether the two are equal for every value of their atoms, by SymPy's expansion."""
    difference = sympy.expand(left - right)
    while below := sums_below(difference):
        common = Mul(*(Pow(base, exponent) for base, exponent in below.items()))
        terms = Add.make_args(difference)
        difference = Add(*(sympy.expand(term * common) for term in terms))
    return bool(difference == 0)


def sums_below(expr: Expr) -> dict[Expr, Expr]:
    """The sums below the line of an expanded expression, each with its highest power."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(expr):
        for factor in Mul.make_args(term):
            base, exponent = factor.as_base_exp()
            if isinstance(base, Add) and exponent.is_Integer and exponent < 0:
                found[base] = max(found.get(base, -exponent), -exponent)
    return found
