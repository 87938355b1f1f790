"""Factors of a polynomial in an expression's atoms: what divides it, and what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm
from types import MappingProxyType
from typing import Any

import sympy
from sympy import Add, Dummy, Expr, Integer, Mul, Pow, Rational, S

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.building import power
from midpo.symbolic.language.nodes import structural
from midpo.symbolic.language.signs import is_positive
from midpo.symbolic.work import spend

from .polynomial import (
    Exponent,
    Monomial,
    Polynomial,
    denominators,
    expression,
    multiply,
    polynomial,
    rational,
)

# Beyond these, factors are not looked for: what is missed is an equality, never a truth.
MAX_TERMS, MAX_ATOMS, MAX_DEGREE = 40, 6, 16
FACTORING = 60  # units that a factorisation takes at least

Factors = tuple[tuple[Expr, Expr], ...]


def roots_in(*exprs: Expr) -> dict[Expr, int]:
    """The positive atoms under roots, each with the root by which all its powers are whole."""
    found: dict[Expr, int] = {}
    for node in {node for expr in exprs for node in expr.atoms(Pow)}:
        base, exponent = node.args
        root = isinstance(exponent, Rational) and exponent.q > 1
        if root and is_positive(base) and not isinstance(base, (Add, Mul, Rational)):
            found[base] = lcm(found.get(base, 1), exponent.q)
    return found


def content(exprs: list[Expr]) -> Expr:
    """The largest positive monomial that divides every one of `exprs`, which are expanded."""
    monomials = [(m, c) for expr in exprs for m, c in polynomial(expr).items()]
    if not monomials:
        return S.One
    number = _content(c for _, c in monomials)
    return Mul(rational(number), _shared([m for m, _ in monomials], positive=True))


def _content(coefficients: Iterable[Fraction]) -> Fraction:
    """The largest number of which all are whole multiples."""
    listed = list(coefficients)
    return Fraction(gcd(*(c.numerator for c in listed)), lcm(*(c.denominator for c in listed)))


def _shared(monomials: list[Monomial], *, positive: bool) -> Expr:
    """The product of the atoms' lowest exponents in `monomials`, of positive atoms alone or all.
    Sums below the line stay: dividing by them would not clear them but expand them."""
    tables = [dict(m) for m in monomials]
    atoms = {a for table in tables for a in table if not positive or is_positive(a)}
    lowest = {a: min(table.get(a, Fraction(0)) for table in tables) for a in atoms}
    return Mul(
        *(power(a, rational(e)) for a, e in lowest.items() if e > 0 or (e < 0 and not isinstance(a, Add)))
    )


_NONE: Mapping[Expr, int] = MappingProxyType({})
_finer: ContextVar[Mapping[Expr, int]] = ContextVar("finer", default=_NONE)


@contextmanager
def finer_factors(roots: Mapping[Expr, int]) -> Iterator[None]:
    """Inside, atoms count by these roots: exp(x) - 1 has two factors where exp(x/2) counts."""
    token = _finer.set(roots)
    try:
        yield
    finally:
        _finer.reset(token)


def factors(expr: Expr, *, plain: bool = False) -> Factors:
    """`expr` as a product of powers: a number first, then irreducible factors, each positive where
    that can be seen and else with a standard sign; () beyond the bounds, or where `expr` is 0.

    What counts as irreducible depends on the `finer_factors` in force, unless `plain`.
    """
    roots = _NONE if plain else _finer.get()
    return _factors(expr, tuple(item for item in roots.items() if expr.has(item[0])))


@lru_cache(maxsize=4_000)
def _factors(expr: Expr, finer: tuple[tuple[Expr, int], ...]) -> Factors:
    try:
        above, below = _fraction(polynomial(expr))
    except MidpoError:
        return ()
    found: dict[Expr, Expr] = {}
    number: Expr = S.One
    for poly, sign in ((above, 1), *((below_, -e) for below_, e in below)):
        listed = _factor_list(poly, dict(finer))
        if listed is None:
            return ()
        scale, parts = listed
        number *= Pow(scale, sign)
        for base, exponent in parts:
            oriented, flip = orient(base)
            number *= Pow(flip, exponent)
            found[oriented] = found.get(oriented, S.Zero) + sign * exponent
    kept = sorted(((b, e) for b, e in found.items() if e != 0), key=lambda be: structural(be[0]))
    return ((number, S.One), *kept)


def orient(expr: Expr) -> tuple[Expr, Expr]:
    """(x, s) with expr = s*x and s = 1 or -1: x positive where seen, else of a standard sign."""
    if is_positive(expr):
        return expr, S.One
    if is_positive(-expr):
        return -expr, S.NegativeOne
    coefficient, _ = min(
        (t.as_coeff_Mul() for t in Add.make_args(expr)), key=lambda term: structural(term[1])
    )
    return (-expr, S.NegativeOne) if coefficient < 0 else (expr, S.One)


def _fraction(poly: Polynomial) -> tuple[Polynomial, list[tuple[Polynomial, int]]]:
    """`poly` as a numerator over powers of sums."""
    below: dict[Any, Exponent] = {}
    while found := denominators(poly):
        spend(len(poly) * len(found) ** 2 // 4)
        poly = polynomial(expression(multiply(poly, {frozenset(found.items()): Fraction(1)})))
        for atom, exponent in found.items():
            below[atom] = below.get(atom, 0) + exponent
    whole = [(polynomial(atom), int(e)) for atom, e in below.items()]
    return poly, whole


def _is_linear(tables: list[dict[Any, int]]) -> bool:
    """Whether some atom stands in one monomial only, to the power 1: then a polynomial without a
    common monomial has no factors but itself. One of two would hold the atom, and the other divide
    what stands beside it, a monomial, and so all the rest."""
    held = Counter(a for table in tables for a in table)
    return any(held[a] == 1 and e == 1 for t in tables for a, e in t.items())


def _factor_list(poly: Polynomial, finer: Mapping[Expr, int]) -> tuple[Expr, list[tuple[Expr, Expr]]] | None:
    """The number and the irreducible factors of `poly`; atoms under roots count by their root."""
    atoms = sorted({a for m in poly for a, _ in m}, key=structural)
    if not poly or len(poly) > MAX_TERMS:
        return None
    roots = {a: lcm(finer.get(a, 1), *(e.denominator for m in poly for b, e in m if b == a)) for a in atoms}
    tables = [{a: int(e * roots[a]) for a, e in m} for m in poly]
    low = {a: min(table.get(a, 0) for table in tables) for a in atoms}
    tables = [{a: e for a in atoms if (e := table.get(a, 0) - low[a])} for table in tables]
    if any(sum(table.values()) > MAX_DEGREE for table in tables):
        return None
    parts = [(a, rational(Fraction(e, roots[a]))) for a, e in low.items() if e]
    if len(tables) == 1:
        return rational(*poly.values()), parts
    if _is_linear(tables):
        scale = _content(poly.values())
        primitive: Polynomial = {
            frozenset((a, Fraction(e, roots[a])) for a, e in table.items()): c / scale
            for table, c in zip(tables, poly.values(), strict=True)
        }
        return rational(scale), [*parts, (expression(primitive), S.One)]
    if len(atoms) > MAX_ATOMS:
        return None
    dummies = {a: Dummy() for a in atoms}
    spend(FACTORING + 20 * len(poly))
    terms = (
        rational(c) * Mul(*(Pow(dummies[a], e) for a, e in table.items()))
        for table, c in zip(tables, poly.values(), strict=True)
    )
    number, listed = sympy.factor_list(Add(*terms), *dummies.values())
    back = {dummies[a]: power(a, rational(Fraction(1, roots[a]))) for a in atoms}
    parts += [(base.xreplace(back), Integer(e)) for base, e in listed]
    return number, parts
