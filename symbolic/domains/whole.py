"""What takes whole values: lengths, positions, counts, and polynomials of them.

Such a number passes 0 by jumps: x >= 0 says the same as x + 1/2 >= 0, and x < 0 the same as
x <= -1. So every cut of whole numbers has a standard form, u + n >= 0 or its opposite, where u
takes whole values that no factor above 1 divides, and n is whole. In that form no two cuts meet at
a 0 where it matters which of them counts it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, gcd, lcm
from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow

from midpo.symbolic.algebra.factor import factors, orient
from midpo.symbolic.algebra.polynomial import ONE, Exponent, Polynomial, expression, polynomial, rational
from midpo.symbolic.language.nodes import Index, Length, Step, TokenSum, VocabSum
from midpo.symbolic.language.signs import counts_from_one, is_positive
from midpo.symbolic.language.words import BY_NODE
from midpo.symbolic.work import spend

from .constants import floor_between, is_closed

MAX_GRID = 256  # points at which a polynomial is evaluated to find what divides its values
MAX_DEGREE = 12  # of a polynomial in one number whose sign is found by trying
MAX_TRIED = 2_000


@lru_cache(maxsize=10_000)
def is_whole(expr: Expr) -> bool:
    """Whether `expr` takes whole values only, for every policy, response and parameter. Syntactic:
    `False` means "not seen to"."""
    if isinstance(expr, (Integer, Length)):
        return True
    if isinstance(expr, Index):
        return bool(expr.is_positive)
    if isinstance(expr, (Add, Mul)):
        return all(map(is_whole, expr.args))
    if isinstance(expr, Pow):
        return isinstance(expr.exp, Integer) and expr.exp > 0 and is_whole(expr.base)
    word = BY_NODE.get(type(expr))
    if word is not None:
        return word.pieces is not None and all(map(is_whole, word.pieces(*expr.args)))
    return isinstance(expr, (TokenSum, VocabSum)) and is_whole(expr.args[0])


@dataclass(frozen=True)
class Lattice:
    """scale*(u + shift), where `u` takes whole values, has no constant term and a standard sign;
    `scale` is not 0."""

    u: Expr
    scale: Fraction
    shift: Fraction

    @property
    def cut(self) -> tuple[Expr, bool]:
        """(x, True) where this is at least 0 exactly if x is, (x, False) exactly if x is not; x is
        u and a whole number."""
        if self.scale > 0:
            return self.u + floor(self.shift), True
        return self.u + ceil(self.shift) - 1, False


@lru_cache(maxsize=10_000)
def lattice(expr: Expr) -> Lattice | None:
    """`expr` as a multiple of what takes whole values; None where it is no polynomial of whole
    numbers with rational coefficients, or is constant. Raises: TooLarge."""
    poly = dict(polynomial(expr))
    constant = poly.pop(ONE, Fraction(0))
    if not poly or not all(_counts(atom, e) for monomial in poly for atom, e in monomial):
        return None
    divisor = _divisor(poly)
    u, sign = orient(expression({m: c / divisor for m, c in poly.items()}))
    scale = divisor * int(sign)
    return Lattice(u, scale, constant / scale)


def beside_constant(expr: Expr) -> tuple[Expr, Expr, Expr, int] | None:
    """(u, k, c, n) with expr = k*u + c, where u takes whole values, k and c are closed expressions
    such as log(10), and n < c/k < n + 1; else None. Raises: TooLarge."""
    parts: dict[Any, Polynomial] = {}
    for monomial, number in polynomial(expr).items():
        closed = frozenset(m for m in monomial if is_closed(m[0]))
        parts.setdefault(monomial - closed, {})[closed] = number
    constant = expression(parts.pop(ONE, {}))
    if not parts:
        return None
    first = next(iter(parts.values()))
    ratios = {m: _ratio(part, first) for m, part in parts.items()}
    if any(ratio is None for ratio in ratios.values()):
        return None
    whole = lattice(expression({m: r for m, r in ratios.items() if r is not None}))
    factor = expression(first)
    if whole is None or (constant.is_Rational and factor.is_Rational):
        return None
    k = factor * rational(whole.scale)
    below = floor_between(constant / k)
    return None if below is None else (whole.u, k, constant, below)


def _ratio(one: Polynomial, other: Polynomial) -> Fraction | None:
    """The number by which `one` is a multiple of `other`."""
    ratios = {one[m] / other[m] for m in one.keys() & other.keys()}
    return ratios.pop() if one.keys() == other.keys() and len(ratios) == 1 else None


def value_of(expr: Expr, atom: Callable[[Expr], int]) -> Fraction | None:
    """The exact value of a polynomial of whole numbers, from that of each; None where `expr` is
    none. Raises: TooLarge."""
    if lattice(expr) is None:
        return None
    total = Fraction(0)
    for monomial, coefficient in polynomial(expr).items():
        for base, exponent in monomial:
            coefficient *= atom(base) ** int(exponent)
        total += coefficient
    return total


def takes_whole_values(expr: Expr) -> bool:
    """Whether the polynomial `expr` takes whole values wherever its atoms do."""
    poly = polynomial(expr)
    counted = all(_counts(atom, e) for monomial in poly for atom, e in monomial)
    return counted and _divisor(poly).denominator == 1


def _counts(atom: Any, exponent: Exponent) -> bool:
    return exponent.denominator == 1 and exponent > 0 and is_whole(atom)


def _divisor(poly: Polynomial) -> Fraction:
    """The largest number of which all values of `poly` at whole numbers are whole multiples, its
    constant term left aside: that of its values on the grid 0, ..., degree of each atom; where that
    grid is large, that of its coefficients."""
    terms = [(dict(m), c) for m, c in poly.items() if m]
    atoms = list(dict.fromkeys(a for table, _ in terms for a in table))
    degrees = [max(int(table.get(a, 0)) for table, _ in terms) for a in atoms]
    below = lcm(1, *(c.denominator for _, c in terms))
    values = [int(c * below) for _, c in terms]
    size = 1
    for degree in degrees:
        size *= degree + 1
    if max(degrees, default=1) > 1 and size <= MAX_GRID:
        spend(size * len(terms) // 10)
        exponents = [[int(table.get(a, 0)) for a in atoms] for table, _ in terms]
        points = itertools.product(*(range(degree + 1) for degree in degrees))
        values = [
            sum(c * _monomial(point, powers) for c, powers in zip(values, exponents, strict=True))
            for point in points
        ]
    return Fraction(gcd(*values), below) if any(values) else Fraction(1)


def _monomial(point: tuple[int, ...], powers: list[int]) -> int:
    value = 1
    for x, power in zip(point, powers, strict=True):
        value *= x**power
    return value


Jumps = tuple[Expr, int, tuple[tuple[int, int], ...]]


@lru_cache(maxsize=10_000)
def thresholds(expr: Expr) -> Jumps | None:
    """(u, first, jumps) with step(expr) = first + the sum of jump*step(u - at) over (at, jump) in
    `jumps`, where `expr` is a product of multiples of one whole u, each plus a number, or a
    polynomial of one u = 1, 2, ..., of degree above 1; else None. Raises: TooLarge."""
    linear = all(sum(e for _, e in m) <= 1 and all(e > 0 for _, e in m) for m in polynomial(expr))
    return None if linear else _of_factors(expr) or _of_polynomial(expr)


def _of_factors(expr: Expr) -> Jumps | None:
    found = factors(expr, plain=True)
    parts = [(base, e) for base, e in found[1:] if not is_positive(base)]
    lattices = [lattice(base) for base, _ in parts]
    us = {known.u for known in lattices if known is not None}
    if len(parts) < 2 or None in lattices or len(us) != 1 or not found[0][0].is_Rational:
        return None
    roots = [-known.shift for known in lattices if known is not None]
    low, high = floor(min(roots)) - 1, ceil(max(roots)) + 1
    if (
        high - low > MAX_TRIED
        or not all(e.is_Integer for _, e in parts)
        or any(e < 0 and root.denominator == 1 for (_, e), root in zip(parts, roots, strict=True))
    ):
        return None
    slopes = [known.scale for known in lattices if known is not None]
    known = []
    for n in range(low, high + 1):
        value = Fraction(int(found[0][0].p))
        for slope, root, (_, e) in zip(slopes, roots, parts, strict=True):
            value *= (slope * (n - root)) ** int(e)
        known.append(int(value >= 0))
    jumps = [(low + i, known[i] - known[i - 1]) for i in range(1, len(known))]
    return us.pop(), known[0], tuple((n, jump) for n, jump in jumps if jump)


def _of_polynomial(expr: Expr) -> Jumps | None:
    poly = polynomial(expr)
    atoms = {atom for monomial in poly for atom, _ in monomial}
    if len(atoms) != 1:
        return None
    (u,) = atoms
    exponents = {m: dict(m).get(u, Fraction(0)) for m in poly}
    if not counts_from_one(u) or not all(_counts(u, e) or e == 0 for e in exponents.values()):
        return None
    degree = max(map(int, exponents.values()))
    coefficients = [Fraction(0)] * (degree + 1)
    for monomial, exponent in exponents.items():
        coefficients[int(exponent)] = poly[monomial]
    # Beyond Cauchy's bound a polynomial has the sign of its leading coefficient.
    last = 2 + floor(max(abs(c / coefficients[-1]) for c in coefficients[:-1]))
    if not 1 < degree <= MAX_DEGREE or last > MAX_TRIED:
        return None
    spend(last)
    known = [int(_at(coefficients, n) >= 0) for n in range(1, last + 1)]
    jumps = [(n, known[n - 1] - known[n - 2]) for n in range(2, last + 1)]
    return u, known[0], tuple((n, jump) for n, jump in jumps if jump)


def _at(coefficients: list[Fraction], n: int) -> Fraction:
    value = Fraction(0)
    for coefficient in reversed(coefficients):
        value = value * n + coefficient
    return value


def step_of(u: Expr, first: int, jumps: tuple[tuple[int, int], ...]) -> Expr:
    """first + the sum of jump*step(u - at)."""
    return Add(Integer(first), *(jump * Step(u - at) for at, jump in jumps))
