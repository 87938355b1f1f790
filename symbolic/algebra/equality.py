"""Equality in the field of an expression's atoms, by SymPy's own arithmetic.

The checker and the conditions of rules rest on this; what finds derivations uses other code
(`polynomial`), so that an error in one does not pass the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import lcm, prod
from typing import Any

import sympy
from sympy import QQ, Add, Dummy, Expr, Integer, Mul, Pow, Rational

from midpo.symbolic.errors import NoValue


def equal_in_field(left: Expr, right: Expr) -> bool:
    """Whether the two are equal for every value of their atoms."""
    difference = _expanded(left - right)
    if difference == 0:
        return True
    turned = _expanded(_turned(difference))
    if turned == 0 or not _sums_below(turned):
        return bool(turned == 0)
    return _is_zero_fraction(turned)


def _expanded(expr: Expr) -> Expr:
    """By SymPy, but for its logarithms, which stand in no expression."""
    return sympy.expand(expr, log=False, basic=False)  # each hint walks through all of it


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
    """Whether a rational function of atoms, which may stand under roots, is 0: brought to one
    denominator, its numerator is, in SymPy's ring of polynomials. Nothing is cancelled on the way."""
    roots: dict[Expr, int] = {}

    def visit(node: Expr) -> None:
        """Each atom with the root by which all its powers are whole."""
        base, exponent = _power(node)
        if isinstance(base, (Add, Mul)) and exponent.is_Integer:
            for arg in base.args:
                visit(arg)
        elif not isinstance(node, Rational):
            roots[base] = lcm(roots.get(base, 1), int(exponent.q))

    visit(expr)
    ring = QQ[tuple(Dummy() for _ in roots)].ring
    atoms = dict(zip(roots, ring.gens, strict=True))

    def fraction(node: Expr) -> tuple[Any, dict[Any, int]]:
        """Numerator, and factors of the denominator with their exponents."""
        base, exponent = _power(node)
        if isinstance(node, Rational):
            return ring(QQ(int(node.p), int(node.q))), {}
        if not (isinstance(base, (Add, Mul)) and exponent.is_Integer):
            power = int(exponent * roots[base])
            return (atoms[base] ** power, {}) if power > 0 else (ring.one, {atoms[base]: -power})
        parts = [fraction(arg) for arg in base.args]
        above, below = _added(parts, ring) if isinstance(base, Add) else _multiplied(parts, ring)
        if exponent > 0:
            return above ** int(exponent), {d: e * int(exponent) for d, e in below.items()}
        if not above:
            raise NoValue("a part of the expression divides by what is always 0")
        return _spread(below, ring) ** -int(exponent), {above: -int(exponent)}

    return not fraction(expr)[0]


def _multiplied(parts: list[tuple[Any, dict[Any, int]]], ring: Any) -> tuple[Any, dict[Any, int]]:
    whole, below = ring.one, Counter[Any]()
    for above, under in parts:
        whole *= above
        below.update(under)
    return whole, below


def _added(parts: list[tuple[Any, dict[Any, int]]], ring: Any) -> tuple[Any, dict[Any, int]]:
    below: dict[Any, int] = {}
    over: dict[frozenset[tuple[Any, int]], Any] = {}  # what stands over each denominator
    for above, under in parts:
        key = frozenset(under.items())
        over[key] = over.get(key, ring.zero) + above
        below |= {d: max(e, below.get(d, 0)) for d, e in under.items()}
    terms = (
        above * _spread({d: e - dict(key).get(d, 0) for d, e in below.items()}, ring)
        for key, above in over.items()
    )
    return sum(terms, ring.zero), below


def _spread(factors: Mapping[Any, int], ring: Any) -> Any:
    return prod((d**e for d, e in factors.items() if e), start=ring.one)


def _power(node: Expr) -> tuple[Expr, Rational]:
    """Base and exponent, where the exponent is a number."""
    if isinstance(node, Pow) and isinstance(node.exp, Rational):
        return node.base, node.exp
    return node, Rational(1)
