"""What values an expression can take: an interval that holds them, read off its parts."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, reduce
from itertools import combinations
from math import inf
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational, Symbol

from midpo.symbolic.domains.constants import closed_sign, is_closed
from midpo.symbolic.domains.intervals import (
    FROM_ONE,
    NONNEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    Bound,
    End,
    Interval,
    point,
    repeated_product,
    repeated_sum,
)

from .nodes import (
    ByLabel,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Max,
    Node,
    Prior,
    Prob,
    Ranged,
    Sorted,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
    structural,
)
from .words import BY_NODE

# What each atom can be; a probability is below 1: there are two tokens, and each can come.
_ATOMS: dict[type[Node], Interval] = {
    Prob: UNIT,
    TokenProb: UNIT,
    VocabProb: UNIT,
    Length: FROM_ONE,
    Prior: POSITIVE,
    Divergence: NONNEGATIVE,
    Entropy: NONNEGATIVE,
}
_MAX_AFFINE = 3  # atoms that one sum is taken apart by, and so deep
_MAX_SUM = 24  # terms of a sum that is taken apart


@lru_cache(maxsize=50_000)
def enclosure(expr: Expr) -> Interval:
    """An interval that holds every value of `expr`, for every policy, response, data and parameter
    in its domain at which it has one. Syntactic: it may be wider than need be."""
    kind = type(expr)
    if isinstance(expr, Rational):
        return point(Fraction(int(expr.p), int(expr.q)))
    known = next((_ATOMS[base] for base in kind.__mro__ if base in _ATOMS), None)
    if known is not None:
        return known
    if isinstance(expr, (Ranged, Feature)):
        return expr.domain
    if isinstance(expr, Index):
        return FROM_ONE if expr.is_positive else REAL
    if isinstance(expr, Symbol):
        return POSITIVE if expr.is_positive else NONNEGATIVE if expr.is_nonnegative else REAL
    if isinstance(expr, Mul):
        return reduce(Interval.__mul__, map(enclosure, expr.args))
    if isinstance(expr, Pow):
        return enclosure(expr.base).power(enclosure(expr.exp))
    if isinstance(expr, Add):
        found = _of_sum(expr, _MAX_AFFINE)
        if found.nonnegative or found.nonpositive or not is_closed(expr):
            return found
        return {1: POSITIVE, -1: -POSITIVE}.get(closed_sign(expr) or 0, found)
    if kind is Max:
        return _of_maximum(expr)
    if kind in BY_NODE:
        return BY_NODE[kind].image(*map(enclosure, expr.args))
    if isinstance(expr, (TokenSum, VocabSum)):
        return repeated_sum(enclosure(expr.args[0]))
    if isinstance(expr, TokenProd):
        return repeated_product(enclosure(expr.args[0]))
    if isinstance(expr, (ByLabel, Sorted)):
        return reduce(Interval.hull, map(enclosure, expr.args))
    return REAL


def _of_maximum(expr: Expr) -> Interval:
    """The enclosure of a maximum, which is no less than the mean of any two of its arguments: so
    max(x, -x) is no less than 0."""
    found: Interval = BY_NODE[Max].image(*map(enclosure, expr.args))
    if not found.nonnegative and len(expr.args) <= _MAX_AFFINE:
        means = (enclosure((x + y) / 2) for x, y in combinations(expr.args, 2))
        for mean in means:
            above = Interval(mean.lower, inf, mean.lower_closed, False)
            found = found.meet(above) or found
    return found


def _of_sum(expr: Expr, names: int) -> Interval:
    """The enclosure of a sum. Where the terms leave its sign open, it is narrowed by an atom x in
    which it is linear and that stands in two terms or more, such as eps in p + eps*q - eps*p:
    on an interval such a sum lies between its values at the ends."""
    if not isinstance(expr, Add):
        return enclosure(expr)
    found = reduce(Interval.__add__, map(enclosure, expr.args))
    if found.nonnegative or found.nonpositive:
        return found
    narrowed = found.meet(_token_by_token(expr))
    found = found if narrowed is None else narrowed
    if found.nonnegative or found.nonpositive or not names or len(expr.args) > _MAX_SUM:
        return found
    for atom in _linear_atoms(expr)[:names]:
        narrowed = found.meet(_between_ends(expr, atom, names - 1))
        found = found if narrowed is None else narrowed
        if found.nonnegative or found.nonpositive:
            break
    return found


def _token_by_token(expr: Add) -> Interval:
    """The enclosure of a sum in which a length counts as the sum of 1 over its tokens, so that
    len(y) - sum(step(w(y, t)) for t in y) is a sum of 1 - step(w(y, t))."""
    bodies: dict[Any, Interval] = {}
    beside: list[Interval] = []
    summed = {
        term.as_coeff_Mul()[1].args[2] for term in expr.args if isinstance(term.as_coeff_Mul()[1], TokenSum)
    }
    for term in expr.args:
        factor, node = term.as_coeff_Mul()
        if not (
            isinstance(factor, Rational) and isinstance(node, (TokenSum, Length)) and node.args[-1] in summed
        ):
            beside.append(enclosure(term))
            continue
        body = enclosure(node.args[0]) if isinstance(node, TokenSum) else point(Fraction(1))
        body = point(Fraction(int(factor.p), int(factor.q))) * body
        over = node.args[-1]
        bodies[over] = bodies[over] + body if over in bodies else body
    if not bodies:
        return REAL
    return reduce(Interval.__add__, [*map(repeated_sum, bodies.values()), *beside])


def _linear_atoms(expr: Add) -> list[Expr]:
    """The atoms in which a sum is linear and that are factors of two terms or more, the most
    frequent first."""
    counts: dict[Expr, int] = {}
    for term in expr.args:
        for factor in Mul.make_args(term):
            if isinstance(factor, (Ranged, Feature, Prob, TokenProb, VocabProb, Length)):
                counts[factor] = counts.get(factor, 0) + 1
    return [
        atom
        for atom in sorted(
            sorted((a for a, n in counts.items() if n > 1), key=structural), key=lambda a: -counts[a]
        )
        if not any(
            factor != atom and factor.has(atom) for term in expr.args for factor in Mul.make_args(term)
        )
    ]


def _between_ends(expr: Add, atom: Expr, names: int) -> Interval:
    """What `expr`, linear in `atom`, can be where `atom` runs over its interval."""
    having = [term for term in expr.args if atom in Mul.make_args(term)]
    slope = Add(*(term / atom for term in having))
    rest = Add(*(term for term in expr.args if term not in having))
    domain = enclosure(atom)
    ends = [(_of_sum(rest + slope * Rational(end), names), closed) for end, closed in domain.end_values]
    if not ends:
        return REAL
    if len(ends) == 1:  # the sum at the end, and then in the direction of the ray
        ((first, closed),) = ends
        along = _of_sum(slope if domain.upper == inf else -slope, names)
        return Interval(
            first.lower if along.nonnegative else -inf,
            first.upper if along.nonpositive else inf,
            along.nonnegative and first.lower_closed and (closed or not along.positive),
            along.nonpositive and first.upper_closed and (closed or not along.negative),
        )
    lower, lower_closed = _extreme([(e.lower, e.lower_closed, c) for e, c in ends], min)
    upper, upper_closed = _extreme([(e.upper, e.upper_closed, c) for e, c in ends], max)
    return Interval(lower, upper, lower_closed, upper_closed)


def _extreme(ends: list[tuple[Bound, bool, bool]], best: Callable[..., Bound]) -> End:
    """The bound on a segment from (bound, whether it is reached, whether that end belongs to the
    segment) at both ends; inside the segment it is reached where both ends reach it."""
    found = best(bound for bound, _, _ in ends)
    inside = all(bound == found and reached for bound, reached, _ in ends)
    return found, inside or any(b == found and reached and closed for b, reached, closed in ends)


def is_positive(expr: Expr) -> bool:
    """Whether `expr` is greater than 0 for every policy, response and parameter. Syntactic: `False`
    means "not seen to be"."""
    return enclosure(expr).positive


def is_below_one(expr: Expr) -> bool:
    """Whether `expr` lies strictly between 0 and 1; syntactic, as `is_positive`."""
    found = enclosure(expr)
    return found.positive and found.below_one


def is_negative(expr: Expr) -> bool:
    """Whether `expr` is less than 0 everywhere; syntactic, as `is_positive`."""
    return enclosure(expr).negative


def is_nonnegative(expr: Expr) -> bool:
    """Whether `expr` is at least 0 everywhere; syntactic, as `is_positive`."""
    return enclosure(expr).nonnegative


def counts_from_one(expr: Expr) -> bool:
    """Whether `expr` is a length, a position or a product of such: 1, 2, 3, ..."""
    if isinstance(expr, Length):
        return True
    if isinstance(expr, Index):
        return bool(expr.is_positive)
    if isinstance(expr, Pow):
        return bool(expr.exp.is_Integer and expr.exp > 0) and counts_from_one(expr.base)
    return isinstance(expr, Mul) and all(map(counts_from_one, expr.args))
