"""Arithmetic in the field of an expression's atoms: expand, collect, decide whether it is zero.

A polynomial is a dictionary from monomials to rational coefficients; a monomial is a frozenset of
(atom, rational exponent). Whatever is not a sum, a product or a rational power is an atom.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import gcd, lcm
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational, S

from .errors import TooLarge

Monomial = frozenset[tuple[Any, Fraction]]
Polynomial = dict[Monomial, Fraction]

ONE: Monomial = frozenset()
MAX_TERMS = 20_000


def polynomial(expr: Expr) -> Polynomial:
    """`expr` expanded. Denominators that are sums stay as atoms with negative exponents.

    Raises: TooLarge past MAX_TERMS terms.
    """
    if isinstance(expr, Rational):
        return {ONE: Fraction(int(expr.p), int(expr.q))} if expr else {}
    if isinstance(expr, Add):
        return _collect(item for term in expr.args for item in polynomial(term).items())
    if isinstance(expr, Mul):
        product: Polynomial = {ONE: Fraction(1)}
        for factor in expr.args:
            product = multiply(product, polynomial(factor))
        return product
    if isinstance(expr, Pow) and isinstance(expr.exp, Rational):
        return _power(expr.base, Fraction(int(expr.exp.p), int(expr.exp.q)))
    return {frozenset({(expr, Fraction(1))}): Fraction(1)}


def multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    if len(left) * len(right) > 50 * MAX_TERMS:
        raise TooLarge(f"a product of {len(left)} by {len(right)} terms")
    return _collect(
        (_join(a, b), x * y) for a, x in left.items() for b, y in right.items()
    )


def _collect(items: Iterable[tuple[Monomial, Fraction]]) -> Polynomial:
    total: Polynomial = {}
    for monomial, coefficient in items:
        value = total.get(monomial, Fraction(0)) + coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    if len(total) > MAX_TERMS:
        raise TooLarge(f"a normal form of more than {MAX_TERMS} terms")
    return total


def _join(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    exponents = dict(left)
    for atom, exponent in right:
        exponents[atom] = exponents.get(atom, Fraction(0)) + exponent
    return frozenset((a, e) for a, e in exponents.items() if e)


def _power(base: Expr, exponent: Fraction) -> Polynomial:
    inner = polynomial(base)
    if not inner:
        if exponent > 0:
            return {}
        raise ZeroDivisionError("division by an expression that is identically zero")
    if exponent.denominator == 1 and exponent > 0:
        result: Polynomial = {ONE: Fraction(1)}
        for _ in range(int(exponent)):
            result = multiply(result, inner)
        return result
    if len(inner) == 1 and exponent.denominator == 1:
        ((monomial, coefficient),) = inner.items()
        raised = frozenset((a, e * exponent) for a, e in monomial)
        return {raised: coefficient ** int(exponent)}
    if len(inner) == 1:
        return {frozenset({(expression(inner), exponent)}): Fraction(1)}
    scale, primitive = _content(inner)
    if exponent.denominator != 1:
        return {frozenset({(expression(inner), exponent)}): Fraction(1)}
    return {frozenset({(expression(primitive), exponent)}): scale ** int(exponent)}


def _content(poly: Polynomial) -> tuple[Fraction, Polynomial]:
    """`poly` as a rational times a primitive polynomial whose leading coefficient is positive."""
    numerator = gcd(*(c.numerator for c in poly.values()))
    denominator = lcm(*(c.denominator for c in poly.values()))
    leading = min(poly, key=lambda m: sorted((str(a), e) for a, e in m))
    scale = Fraction(numerator, denominator) * (1 if poly[leading] > 0 else -1)
    return scale, {monomial: c / scale for monomial, c in poly.items()}


def rational(value: Fraction) -> Rational:
    return Rational(value.numerator, value.denominator)


def monomial_expression(monomial: Monomial, coefficient: Fraction = Fraction(1)) -> Expr:
    return Mul(rational(coefficient), *(Pow(a, rational(e)) for a, e in monomial))


def expression(poly: Polynomial) -> Expr:
    return Add(*(monomial_expression(m, c) for m, c in poly.items()))


def expand(expr: Expr) -> Expr:
    """`expr` as a sum of monomials in its atoms."""
    return expression(polynomial(expr))


def denominators(poly: Polynomial) -> dict[Any, Fraction]:
    """The sums that stand below the line, each with the exponent that clears it."""
    found: dict[Any, Fraction] = {}
    for monomial in poly:
        for atom, exponent in monomial:
            if exponent < 0 and isinstance(atom, Add):
                found[atom] = max(found.get(atom, Fraction(0)), -exponent)
    return found


def numerator(expr: Expr) -> Polynomial:
    """The numerator of `expr` brought to one fraction; zero exactly where `expr` is."""
    poly = polynomial(expr)
    while below := denominators(poly):
        clear: Polynomial = {frozenset((a, e) for a, e in below.items()): Fraction(1)}
        cleared: Polynomial = {}
        # An atom whose exponent has become a positive integer is a sum again: expand it.
        parts = (
            polynomial(monomial_expression(m, c)).items()
            for m, c in multiply(poly, clear).items()
        )
        cleared = _collect(item for part in parts for item in part)
        if cleared == poly:
            break
        poly = cleared
    return poly


def is_zero(expr: Expr) -> bool:
    """Whether `expr` is zero in the field of its atoms (with atoms as indeterminates)."""
    return expr == S.Zero or not numerator(expr)
