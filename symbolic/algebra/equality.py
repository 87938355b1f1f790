"""Equality in the field of an expression's atoms, by SymPy's own arithmetic.

The checker and the conditions of rules rest on this; what finds derivations uses other code
(`polynomial`), so that an error in one does not pass the other.
"""

from __future__ import annotations

from math import lcm
from typing import Any

import sympy
from sympy import QQ, Add, Dummy, Expr, Integer, Mul, Pow, Rational


def equal_in_field(left: Expr, right: Expr) -> bool:
    """Whether the two are equal for every value of their atoms."""
    difference = sympy.expand(left - right)
    if difference == 0:
        return True
    turned = sympy.expand(_turned(difference))
    if turned == 0 or not _sums_below(turned):
        return bool(turned == 0)
    return _is_zero_fraction(turned)


def _turned(expr: Any) -> Any:
    """`expr` with 2/(2*b - 2*a) written as -1/(a - b), inside its atoms too, where SymPy holds that
    to be the standard sign."""
    if not expr.args:
        return expr
    args = [_turned(arg) for arg in expr.args]
    if any(new is not old for new, old in zip(args, expr.args, strict=True)):
        expr = expr.func(*args)
    if (
        isinstance(expr, Pow)
        and isinstance(expr.exp, Integer)
        and expr.exp < 0
        and isinstance(expr.base, Add)
    ):
        scale, base = expr.base.primitive()
        if base.could_extract_minus_sign():
            scale, base = -scale, sympy.expand(-base)
        return Pow(scale, expr.exp) * Pow(base, expr.exp)
    return expr


def _sums_below(expr: Expr) -> bool:
    """Whether an expanded expression divides by a sum."""
    powers = (f.as_base_exp() for term in Add.make_args(expr) for f in Mul.make_args(term))
    return any(isinstance(b, Add) and e.is_Integer and e < 0 for b, e in powers)


def _is_zero_fraction(expr: Expr) -> bool:
    """Whether a rational function of atoms, which may stand under roots, is 0."""
    roots: dict[Expr, int] = {}

    def visit(node: Expr) -> None:
        """Each atom with the root by which all its powers are whole."""
        base, exponent = _power(node)
        if isinstance(base, (Add, Mul)) and exponent.is_Integer:
            for arg in base.args:
                visit(arg)
        elif not isinstance(node, Rational):
            roots[base] = lcm(roots.get(base, 1), int(exponent.q))

    def written(node: Expr) -> Expr:
        base, exponent = _power(node)
        if isinstance(base, (Add, Mul)) and exponent.is_Integer:
            return Pow(base.func(*map(written, base.args)), exponent)
        return node if isinstance(node, Rational) else Pow(dummies[base], exponent * roots[base])

    visit(expr)
    dummies = {atom: Dummy() for atom in roots}
    return bool(QQ.frac_field(*dummies.values()).from_sympy(written(expr)) == 0)


def _power(node: Expr) -> tuple[Expr, Rational]:
    """Base and exponent, where the exponent is a number."""
    if isinstance(node, Pow) and isinstance(node.exp, Rational):
        return node.base, node.exp
    return node, Rational(1)
