"""Sums over the vocabulary beside what they are where policies agree.

A sum of products of powers of probabilities whose exponents add up to 1 is 1 where the policies are
equal. Beside a 1 that is taken from it, as in a divergence, it is counted from there: with a base
policy r, sum of exp(e) - 1 = sum of r*(exp(e - log r) - 1). Where the difference is divided by what
goes to 0 with a parameter, the base is the policy that exp(e) goes to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sympy import Add, Expr, Mul, S

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import (
    Exp,
    Length,
    Log,
    Parameter,
    TokenSum,
    VocabProb,
    VocabSum,
    structural,
)
from midpo.symbolic.language.signs import is_nonnegative

from .cancellation import apart, poles_of
from .derivatives import is_log_probability
from .log_sums import tilt
from .stable import everywhere

Slopes = dict[Expr, Expr]


def slopes_of(total: VocabSum) -> Slopes | None:
    """The factors of the log-probabilities in the exponent, where they are at least 0 and add up to
    1: no term is above its probabilities."""
    found = tilt(total)
    if found is None or found.surprise:
        return None
    slopes: Slopes = {}
    for term in Add.make_args(found.exponent):
        logs = [f for f in Mul.make_args(term) if is_log_probability(f)]
        if len(logs) != 1 or (term / logs[0]).has(VocabProb):
            return None
        slopes[logs[0]] = slopes.get(logs[0], S.Zero) + term / logs[0]
    plain = all(
        slope.free_symbols <= slope.atoms(Parameter) and is_nonnegative(slope) for slope in slopes.values()
    )
    return slopes if plain and len(slopes) == 2 and expand(Add(*slopes.values())) == 1 else None


def parts_of(body: Expr) -> tuple[Expr, Expr] | None:
    """(log r, x) of r*(exp(x) - 1), where r is the probability of an entry and x depends on that,
    else None."""
    factors = Mul.make_args(body)
    bases = [f for f in factors if isinstance(f, VocabProb)]
    grown = [f for f in factors if isinstance(f, Add)]
    if len(factors) != 2 or len(bases) != 1 or len(grown) != 1:
        return None
    exps = [t for t in grown[0].args if isinstance(t, Exp)]
    fits = len(exps) == 1 and grown[0] - exps[0] == -1 and exps[0].has(VocabProb)
    return (Log(bases[0]), exps[0].args[0]) if fits else None


def beside_one(expr: Expr) -> set[Expr]:
    """The sums in `expr` from which a 1 is taken."""
    found: set[Expr] = set()
    for total in (expr, *expr.atoms(Add)):
        for term in Add.make_args(total):
            found |= {one.total for one in _taken(term, total)}
    return found


def counted_from_one(expr: Expr) -> Expr:
    """`expr` with the sums from which a 1 is taken, and the 1, counted from there."""
    return everywhere(expr, _counted)


def _counted(total: Expr) -> Expr:
    for term in Add.make_args(total):
        one = next(_taken(term, total), None)
        if one is not None:
            total = total - term - one.other + one.written(_excess(one.total, one.scale))
    return total


@dataclass(frozen=True)
class Taken:
    """scale*(total - 1), `other` the term that takes the 1; inside a sum over tokens where there is
    a `place`, its index and response."""

    total: VocabSum
    scale: Expr
    other: Expr
    place: tuple[Expr, ...] = ()

    def written(self, parts: list[tuple[Expr, VocabSum]]) -> Expr:
        """The sum of factors times sums, as terms of the place."""
        if not self.place:
            return Add(*(factor * part for factor, part in parts))
        index, found = self.place[0], []
        for factor, part in parts:
            outer = Mul(*(f for f in Mul.make_args(factor) if index not in f.free_symbols))
            found.append(outer * TokenSum(factor / outer * part, *self.place))
        return Add(*found)


def _taken(term: Expr, total: Expr) -> Iterator[Taken]:
    """The sums in a term from which another term takes a 1."""
    others = [t for t in Add.make_args(total) if t != term]
    for factor in Mul.make_args(term):
        place = factor.args[1:] if isinstance(factor, TokenSum) else ()
        body = factor.args[0] if place else factor
        sums = [f for f in Mul.make_args(body) if isinstance(f, VocabSum)]
        if len(sums) != 1 or slopes_of(sums[0]) is None:
            continue
        outer, inner = term / factor, body / sums[0]
        one = _counted_over(inner, place) if place else inner
        for other in others:
            if expand(other + outer * one) == 0:
                yield Taken(sums[0], outer * inner, other, place)


def _counted_over(inner: Expr, place: tuple[Expr, ...]) -> Expr:
    """The sum of `inner` over tokens, as linearity writes it."""
    index, response = place
    outer = Mul(*(f for f in Mul.make_args(inner) if index not in f.free_symbols))
    rest = inner / outer
    return outer * (Length(response) if rest == 1 else TokenSum(rest, index, response))


def _excess(total: VocabSum, scale: Expr) -> list[tuple[Expr, VocabSum]]:
    """scale*(total - 1) as factors and sums, one for each of the scale's poles."""
    slopes = slopes_of(total)
    assert slopes is not None
    index = total.args[1]
    order = sorted(slopes, key=structural)
    usual = order[0]

    def counted(base: Expr) -> VocabSum:
        (other,) = (log for log in order if log != base)
        return VocabSum(base.args[0] * (Exp(slopes[other] * (other - base)) - 1), index)

    parameters = set().union(*(slope.free_symbols for slope in slopes.values()))
    own = [f for f in Mul.make_args(scale) if f.free_symbols and f.free_symbols <= parameters]
    if len(parameters) != 1 or not own:
        return [(scale, counted(usual))]
    (parameter,) = parameters
    rest = scale / Mul(*own)
    found = []
    for part in Add.make_args(apart(Mul(*own))):
        bases = [
            log
            for pole in poles_of(part)
            for log in order
            if expand(slopes[log].xreplace({parameter: pole.at})) == 1
        ]
        found.append((rest * part, counted(bases[0] if bases else usual)))
    return found
