"""Sums over the vocabulary beside what they are where policies agree.

A sum of products of powers of probabilities whose exponents add up to 1 is 1 where the policies are
equal. Beside a 1 that is taken from it, as in a divergence, it is counted from there: with a base
policy r, sum of exp(e) - 1 = sum of r*(exp(e - log r) - 1). Where the difference is divided by what
goes to 0 with a parameter, the base is the policy that exp(e) goes to, and the sum may be any that
goes to 1 there, as that of p**(1 + c) does.
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

from .derivatives import is_log_probability
from .log_sums import tilt
from .poles import apart, poles_of
from .stable import everywhere

Slopes = dict[Expr, Expr]


def slopes_of(total: VocabSum) -> Slopes | None:
    """The factors of one or two log-probabilities in the exponent, in parameters; None for another."""
    found = tilt(total)
    if found is None or found.surprise:
        return None
    slopes: Slopes = {}
    for term in Add.make_args(found.exponent):
        logs = [f for f in Mul.make_args(term) if is_log_probability(f)]
        if len(logs) != 1 or (term / logs[0]).has(VocabProb):
            return None
        slopes[logs[0]] = slopes.get(logs[0], S.Zero) + term / logs[0]
    plain = all(slope.free_symbols <= slope.atoms(Parameter) for slope in slopes.values())
    return slopes if plain and len(slopes) <= 2 else None


def _is_mean(slopes: Slopes) -> bool:
    """Whether the factors are at least 0 and add up to 1: no term is above its probabilities."""
    return (
        len(slopes) == 2
        and expand(Add(*slopes.values())) == 1
        and all(is_nonnegative(slope) for slope in slopes.values())
    )


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


def exponent_of(parts: tuple[Expr, Expr]) -> Expr:
    """log r + x, each log-probability once: of log r + x as it stands digits cancel where an order
    is near the end of its domain."""
    whole = expand(Add(*parts))
    logs = [log for log in whole.atoms(Log) if is_log_probability(log)]
    slopes = {log: Add(*(t / log for t in Add.make_args(whole) if log in Mul.make_args(t))) for log in logs}
    return Add(*(log * slope for log, slope in slopes.items()))


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
    if not term.has(VocabSum):  # most terms of long sums
        return
    others = [t for t in Add.make_args(total) if t != term]
    for factor in Mul.make_args(term):
        place = factor.args[1:] if isinstance(factor, TokenSum) else ()
        body = factor.args[0] if place else factor
        sums = [f for f in Mul.make_args(body) if isinstance(f, VocabSum)]
        if len(sums) != 1:
            continue
        outer, inner = term / factor, body / sums[0]
        if _bases(sums[0], outer * inner) is None:
            continue
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
    slopes, bases = slopes_of(total), _bases(total, scale)
    assert slopes is not None and bases is not None

    def counted(base: Expr) -> VocabSum:
        apart_from = [slope * (log - base) for log, slope in slopes.items() if log != base]
        surplus = expand(Add(*slopes.values(), -1))
        return VocabSum(base.args[0] * (Exp(Add(*apart_from, surplus * base)) - 1), total.args[1])

    return [(factor, counted(base)) for factor, base in bases]


def _bases(total: VocabSum, scale: Expr) -> list[tuple[Expr, Expr]] | None:
    """`scale` as terms, one for each of its poles, and the logarithm of the base policy of each: the
    one that exp(e) goes to there. None where the sum is not to be counted from 1."""
    slopes = slopes_of(total)
    if slopes is None:
        return None
    usual = min(slopes, key=structural) if _is_mean(slopes) else None
    parameters = set().union(*(slope.free_symbols for slope in slopes.values()))
    own = [f for f in Mul.make_args(scale) if f.free_symbols and f.free_symbols <= parameters]
    if len(parameters) != 1 or not own:
        return None if usual is None else [(scale, usual)]
    rest = scale / Mul(*own)
    found = [(rest * part, _base(slopes, part, *parameters)) for part in Add.make_args(apart(Mul(*own)))]
    # An entry that the base excludes counts nothing, which is right where its power is at least 0.
    usual = usual or next((b for _, b in found if b is not None and is_nonnegative(slopes[b])), None)
    return None if usual is None else [(factor, base or usual) for factor, base in found]


def _base(slopes: Slopes, part: Expr, parameter: Expr) -> Expr | None:
    """The logarithm of the policy that exp(e) goes to at the pole of `part`."""
    for pole in poles_of(part):
        limit = {log: expand(slope.xreplace({parameter: pole.at})) for log, slope in slopes.items()}
        for log in sorted(slopes, key=structural):
            if limit[log] == 1 and not any(value for other, value in limit.items() if other != log):
                return log
    return None
