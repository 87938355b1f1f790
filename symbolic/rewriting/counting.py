"""Rows of RULES for sums over positions: how many positions there are beyond a threshold.

The positions are 1, 2, ..., len(y), so that those from c on are all but the first c - 1 of them,
where c - 1 is held between 0 and len(y). With F(n) the sum of t**p over t = 1, ..., n, the sum of
t**p over them is F(len(y)) - F(c - 1). Of two sums, one inside the other, that one goes inside
which can be counted.
"""

from __future__ import annotations

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S

from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.domains.whole import is_whole
from midpo.symbolic.language.nodes import Index, Length, Max, Step, TokenSum, structural

from .rule import Parts, Rule

# F(n) for t**0, t, t**2, t**3, by powers of n from n**1 on.
SUMS = (
    (S.One,),
    (Rational(1, 2), Rational(1, 2)),
    (Rational(1, 6), Rational(1, 2), Rational(1, 3)),
    (S.Zero, Rational(1, 4), Rational(1, 2), Rational(1, 4)),
)


def power_sum(power: int, n: Expr) -> Expr:
    """The sum of t**power over t = 1, ..., n."""
    return Add(*(c * n**k for k, c in enumerate(SUMS[power], 1)))


def _clamped(n: Expr, response: Expr) -> Expr:
    """n held between 0 and the response's length."""
    return -Max(-Length(response), -Max(S.Zero, n))


def _counted(body: Expr, index: Index) -> tuple[int, Expr, bool] | None:
    """(p, n, up) with body = index**p*step(index - n - 1) where `up`, and else
    index**p*step(n - index); n is whole and free of the index."""
    power, cut = 0, None
    for factor in Mul.make_args(body):
        base, exponent = factor.as_base_exp()
        if base == index and exponent.is_Integer and 0 < exponent < len(SUMS):
            power = int(exponent)
        elif isinstance(factor, Step) and cut is None:
            cut = expand(factor.args[0])
        else:
            return None
    if cut is None:
        return None
    slope = cut.coeff(index)
    rest = expand(cut - slope * index)
    if slope not in (1, -1) or index in rest.free_symbols or not is_whole(rest):
        return None
    return (power, -rest - 1, True) if slope == 1 else (power, rest, False)


def _find_count(node: TokenSum) -> Parts | None:
    body, index, response = node.args
    found = _counted(body, index)
    return None if found is None else (body, index, response, *found)


def _count_right(body: Expr, index: Index, response: Expr, power: int, n: Expr, up: bool) -> Expr:
    below = power_sum(power, _clamped(n, response))
    return power_sum(power, Length(response)) - below if up else below


def _count_holds(body: Expr, index: Index, response: Expr, power: int, n: Expr, up: bool) -> bool:
    cut = index - n - 1 if up else n - index
    steps = body.atoms(Step)
    return (
        0 <= power < len(SUMS)
        and is_whole(n)
        and index not in n.free_symbols
        and bool(index.is_positive)
        and len(steps) == 1
        and body == Mul(Pow(index, Integer(power)), *steps)
        and equal_in_field(next(iter(steps)).args[0], cut)
    )


def _countable(body: Expr, index: Index) -> bool:
    """Whether the factors that speak of the index can be counted together."""
    spoken = Mul(*(f for f in Mul.make_args(body) if index in f.free_symbols))
    return _counted(spoken, index) is not None


def _find_swap(node: TokenSum) -> Parts | None:
    """Another order of two sums: the inner one can then be counted, or nothing can, and the order
    is the standard one of two over one response."""
    body, outer, over = node.args
    inside = [f for f in Mul.make_args(body) if isinstance(f, TokenSum)]
    if len(inside) != 1:
        return None
    inner_body, inner, inner_over = inside[0].args
    beside = Mul(*(f for f in Mul.make_args(body) if f != inside[0]))
    if inner in beside.free_symbols or outer == inner or _countable(inner_body, inner):
        return None
    if any(isinstance(f, Add) for f in Mul.make_args(inner_body)):
        return None  # until it is taken apart
    if not _countable(beside * inner_body, outer):
        if over != inner_over or beside != 1 or inner_body.has(TokenSum):
            return None
        exchanged = inner_body.xreplace({outer: inner, inner: outer})
        if structural(exchanged) >= structural(inner_body):
            return None
    return beside, inner_body, inner, inner_over, outer, over


SWAP = Rule(
    "sum_swap",
    "piecewise",
    "sum(a*sum(b for s in z) for t in y) = sum(sum(a*b for t in y) for s in z)",
    "s not in a",
    "two finite sums can be taken in either order; then their indices change names",
    (TokenSum,),
    _find_swap,
    lambda a, b, s, z, t, y: TokenSum(Mul(a, TokenSum(b, s, z)), t, y),
    lambda a, b, s, z, t, y: TokenSum(TokenSum(Mul(a, b).xreplace({s: t, t: s}), s, y), t, z),
    lambda a, b, s, z, t, y: s not in a.free_symbols and s != t,
)
COUNT = Rule(
    "step_count",
    "piecewise",
    "sum(t**p*step(t - n - 1) for t in y) = F(len(y)) - F(min(len(y), max(0, n)))",
    "n whole and free of t; F(n) = 1 + 2**p + ... + n**p",
    "of the positions 1, 2, ..., len(y), those beyond n are all but the first n",
    (TokenSum,),
    _find_count,
    lambda body, t, y, *rest: TokenSum(body, t, y),
    _count_right,
    _count_holds,
)


def _find_power(node: TokenSum) -> Parts | None:
    body, index, response = node.args
    base, power = body.as_base_exp()
    known = base == index and power.is_Integer and 0 < power < len(SUMS)
    return (index, int(power), response) if known else None


POWERS = Rule(
    "power_sum",
    "piecewise",
    "sum(t for t in y) = len(y)*(len(y) + 1)/2, sum(t**p for t in y)",
    "",
    "the sum of the first whole numbers, or of their squares or cubes",
    (TokenSum,),
    _find_power,
    lambda t, p, y: TokenSum(Pow(t, Integer(p)), t, y),
    lambda t, p, y: power_sum(p, Length(y)),
    lambda t, p, y: bool(t.is_positive) and 0 < p < len(SUMS),
)
COUNTING: tuple[Rule, ...] = (POWERS, COUNT, SWAP)
