"""Cells without interior: a combination of their facts is below 0, so no pair lies there."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from sympy import Expr, S

from midpo.symbolic.language.nodes import structural
from midpo.symbolic.language.signs import (
    counts_from_one,
    is_below_one,
    is_negative,
    is_nonnegative,
    is_positive,
)

from .cells import Empty, Signs, at_least_zero, contradicts, sign_of
from .linear import nonnegative_solution
from .polynomial import monomial_expression, polynomial, rational


def no_interior(signs: Signs, asked: Iterable[Expr]) -> Empty | None:
    """How the signs contradict each other, found by linear programming over the monomials of the
    cuts and of what else they decide; None if they do not seem to."""
    if not signs:
        return None
    rows = [cut for cut, _ in signs]
    rows += sorted({x for x in asked if sign_of(x, signs) is not None} - {*rows}, key=structural)
    known = [(x, *bound) for x in rows if (bound := at_least_zero(x, signs)) is not None]
    facts = _facts([least for _, least, _ in known])
    polys = [polynomial(least) for _, least, _ in known] + [polynomial(fact) for fact, _ in facts]
    monomials = {m for row in polys for m in row}
    vanishing = [[row.get(m, Fraction(0)) for row in polys] for m in monomials]
    goal = [Fraction(0)] * len(monomials) + [Fraction(1)]
    # First what never is, then what is at zeros of cuts alone.
    strict = [sign.strict for *_, sign in known] + [above for _, above in facts]
    zeros = [bool(sign.ties) for *_, sign in known] + [False] * len(facts)
    for used in (strict, zeros):
        found = None
        if any(used):
            found = nonnegative_solution([*vanishing, [Fraction(int(u)) for u in used]], goal)
        if found is not None:
            used_rows = zip(found[: len(known)], known, strict=True)
            terms = tuple((rational(k), x) for k, (x, *_) in used_rows if k)
            if contradicts(signs, terms):
                return Empty(terms)
    return None


def _facts(exprs: Iterable[Expr]) -> list[tuple[Expr, bool]]:
    """What is at least 0 for every value of the atoms, among the monomials of `exprs`, and whether
    it is never 0."""
    facts: dict[Expr, bool] = {S.One: True}
    for expr in exprs:
        for monomial in map(monomial_expression, polynomial(expr)):
            if counts_from_one(monomial):
                facts[monomial - 1] = False
            elif is_positive(monomial):
                facts[monomial] = True
            elif is_nonnegative(monomial):
                facts[monomial] = False
            if is_negative(monomial):
                facts[-monomial] = True
            if is_below_one(monomial):
                facts[1 - monomial] = True
    return sorted(facts.items(), key=lambda fact: structural(fact[0]))
