"""Arithmetic in the field of an expression's atoms: expand, collect, decide whether it is zero.

A polynomial is a dictionary from monomials to rational coefficients; a monomial is a frozenset of
(atom, rational exponent). Whatever is not a sum, a product or a rational power is an atom. Exponents
that are whole are Python's own numbers, whose sums are quick.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import comb, gcd, lcm
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.building import power
from midpo.symbolic.language.nodes import structural
from midpo.symbolic.work import limits, spend

Exponent = Fraction | int
Monomial = frozenset[tuple[Any, Exponent]]
Polynomial = dict[Monomial, Fraction]

ONE: Monomial = frozenset()


def polynomial(expr: Expr) -> Polynomial:
    """`expr` expanded. Denominators that are sums stay as atoms with negative exponents.

    Raises: TooLarge past the bounds in force.
    """
    if isinstance(expr, Rational):
        return {ONE: Fraction(int(expr.p), int(expr.q))} if expr else {}
    if isinstance(expr, Add):
        return _collect(item for term in expr.args for item in polynomial(term).items())
    if isinstance(expr, Mul):
        product: Polynomial = {ONE: Fraction(1)}
        for factor in expr.args:
            product = multiply(product, polynomial(factor))
        return _settled(product)
    if isinstance(expr, Pow) and isinstance(expr.exp, Rational):
        p, q = int(expr.exp.p), int(expr.exp.q)
        return _power(expr.base, p if q == 1 else Fraction(p, q))
    return {frozenset({(expr, 1)}): Fraction(1)}


def multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    size = max((c.numerator.bit_length() for c in left.values()), default=0)
    spend(len(left) * len(right) * (1 + size // 256))  # long numbers take longer
    return _collect((_join(a, b), x * y) for a, x in left.items() for b, y in right.items())


def _collect(items: Iterable[tuple[Monomial, Fraction]]) -> Polynomial:
    total: Polynomial = {}
    for monomial, coefficient in items:
        known = total.get(monomial)
        value = coefficient if known is None else known + coefficient
        if value:
            total[monomial] = value
        elif known is not None:
            del total[monomial]
    if len(total) > limits().terms:
        raise TooLarge(f"a normal form of more than {limits().terms} terms")
    return total


def _join(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    exponents = dict(left)
    for atom, exponent in right:
        exponents[atom] = exponents.get(atom, 0) + exponent
    return frozenset((a, e) for a, e in exponents.items() if e)


def _power(base: Expr, exponent: Exponent) -> Polynomial:
    inner = polynomial(base)
    if not inner:
        if exponent > 0:
            return {}
        raise NoValue("a part of the expression divides by what is always 0")
    if exponent.denominator == 1 and exponent > 0:
        if len(inner) > 1 and comb(len(inner) + int(exponent) - 1, int(exponent)) > limits().terms:
            raise TooLarge(f"power {exponent} of a sum of {len(inner)} terms")
        return _settled(_whole_power(inner, int(exponent)))
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


def _whole_power(poly: Polynomial, exponent: int) -> Polynomial:
    if exponent == 1:
        return poly
    if len(poly) == 2:
        return _binomial(poly, exponent)
    half = _whole_power(poly, exponent // 2)
    square = multiply(half, half)
    return multiply(square, poly) if exponent % 2 else square


def _binomial(poly: Polynomial, exponent: int) -> Polynomial:
    """(a + b)**n by its coefficients: multiplied out, n**2 products would be of n terms."""
    (a, x), (b, y) = poly.items()
    spend(exponent * (1 + max(n.bit_length() for n in (*x.as_integer_ratio(), *y.as_integer_ratio()))))

    def raised(monomial: Monomial, n: int) -> Monomial:
        return frozenset((atom, e * n) for atom, e in monomial) if n else ONE

    return _collect(
        (_join(raised(a, exponent - k), raised(b, k)), comb(exponent, k) * x ** (exponent - k) * y**k)
        for k in range(exponent + 1)
    )


def _settled(poly: Polynomial) -> Polynomial:
    """`poly` with roots that multiplied up to whole powers expanded again: sqrt(a + b)**2."""

    def whole(atom: Any, exponent: Exponent) -> bool:
        return exponent.denominator == 1 and (
            isinstance(atom, (Rational, Mul))
            or (isinstance(atom, Add) and exponent > 0)
            or (isinstance(atom, Pow) and isinstance(atom.exp, Rational))
        )

    if not any(whole(atom, exponent) for monomial in poly for atom, exponent in monomial):
        return poly
    parts = (polynomial(monomial_expression(m, c)).items() for m, c in poly.items())
    return _collect(item for part in parts for item in part)


def _content(poly: Polynomial) -> tuple[Fraction, Polynomial]:
    """`poly` as a rational times a primitive polynomial whose leading coefficient is positive."""
    numerator = gcd(*(c.numerator for c in poly.values()))
    denominator = lcm(*(c.denominator for c in poly.values()))
    leading = min(poly, key=lambda m: structural(monomial_expression(m)))
    scale = Fraction(numerator, denominator) * (1 if poly[leading] > 0 else -1)
    return scale, {monomial: c / scale for monomial, c in poly.items()}


def rational(value: Exponent) -> Rational:
    return Rational(value.numerator, value.denominator)


def monomial_expression(monomial: Monomial, coefficient: Fraction = Fraction(1)) -> Expr:
    powers = (
        (Pow if exponent.denominator == 1 else power)(atom, rational(exponent)) for atom, exponent in monomial
    )
    return Mul(rational(coefficient), *powers)


def expression(poly: Polynomial) -> Expr:
    return Add(*(monomial_expression(m, c) for m, c in poly.items()))


def expand(expr: Expr) -> Expr:
    """`expr` as a sum of monomials in its atoms."""
    terms = expr.args if isinstance(expr, Add) else (expr,)
    if all(map(_is_monomial, terms)):
        return expr
    return expression(polynomial(expr))


def _is_monomial(term: Expr) -> bool:
    """Whether `term` is seen to be a rational times powers of atoms, which expanding keeps."""
    for factor in term.args if isinstance(term, Mul) else (term,):
        base = factor.base if isinstance(factor, Pow) and factor.exp.is_Integer else factor
        if isinstance(base, (Add, Mul, Pow)):
            return False
    return True


def denominators(poly: Polynomial) -> dict[Any, Exponent]:
    """The sums that stand below the line, each with the exponent that clears it."""
    found: dict[Any, Exponent] = {}
    for monomial in poly:
        for atom, exponent in monomial:
            if exponent < 0 and isinstance(atom, Add):
                found[atom] = max(found.get(atom, 0), -exponent)
    return found


def numerator(expr: Expr) -> Polynomial:
    """The numerator of `expr` brought to one fraction; zero exactly where `expr` is."""
    poly = polynomial(expr)
    while below := denominators(poly):
        spend(len(poly) * len(below) ** 2 // 4)  # every term gets all the denominators
        over: dict[Monomial, Polynomial] = {}  # what stands over each denominator
        for monomial, coefficient in poly.items():
            under = frozenset((a, e) for a, e in monomial if a in below and e < 0)
            over.setdefault(under, {})[monomial - under] = coefficient
        parts = (_times(rest, below, dict(under)) for under, rest in over.items())
        poly = _settled(_collect(item for part in parts for item in part.items()))
    return poly


def _times(rest: Polynomial, below: dict[Any, Exponent], under: dict[Any, Exponent]) -> Polynomial:
    """What stands over a denominator, times what that lacks of `below`."""
    for atom, exponent in below.items():
        missing = exponent + under.get(atom, 0)
        if missing:
            rest = multiply(rest, _power(atom, missing))
    return rest


def is_zero(expr: Expr) -> bool:
    """Whether `expr` is zero in the field of its atoms (with atoms as indeterminates)."""
    return expr == S.Zero or not numerator(expr)
