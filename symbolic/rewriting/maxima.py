"""Rows of RULES for maxima.

Every maximum becomes max(0, x) times a positive factor, plus a term, with one of x and -x standing
for both; then max(0, x) = x*step(x), whose rows are `steps`.
"""

from __future__ import annotations

from itertools import combinations, permutations, product

from sympy import Add, Expr, Mul, S

from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.algebra.factor import content, orient
from midpo.symbolic.algebra.polynomial import expand, polynomial, rational
from midpo.symbolic.domains.whole import lattice, takes_whole_values
from midpo.symbolic.language.nodes import Max, Step, structural
from midpo.symbolic.language.signs import is_nonnegative, is_positive

from .rule import Parts, Rule

MAX_ARGUMENTS = 20  # of a maximum that others are multiplied into


def _find_flat(node: Max) -> Parts | None:
    inner = tuple(x.args if isinstance(x, Max) else (x,) for x in node.args)
    return (inner,) if any(isinstance(x, Max) for x in node.args) else None


def _flat_left(inner: tuple[Parts, ...]) -> Expr:
    return Max(*(xs[0] if len(xs) == 1 else Max(*xs) for xs in inner))


def _maximum(*xs: Expr) -> Expr:
    return Max(*xs) if len(xs) > 1 else xs[0]


def _inner_maximum(x: Expr) -> tuple[Expr, Expr, Expr] | None:
    """(k, M, rest) with x = k*M + rest, M a maximum and k a positive or negative number or atom."""
    for term in Add.make_args(x):
        for factor in Mul.make_args(term):
            if isinstance(factor, Max):
                scale = term / factor
                if is_positive(scale) or is_positive(-scale):
                    return scale, factor, x - term
    return None


def _find_distributed(node: Max) -> Parts | None:
    """A maximum inside an argument, which is then a maximum of sums (or, with a minus, all the
    others are)."""
    for i, x in enumerate(node.args):
        found = None if isinstance(x, Max) else _inner_maximum(x)
        if found is None:
            continue
        scale, inner, rest = found
        others = tuple(y for j, y in enumerate(node.args) if j != i)
        if len(others) * len(inner.args) <= MAX_ARGUMENTS:
            return scale, tuple(inner.args), rest, others, tuple(node.args)
    return None


def _distributed_left(scale: Expr, inner: Parts, rest: Expr, others: Parts, args: Parts) -> Expr:
    return Max(*args)


def _distributed_right(scale: Expr, inner: Parts, rest: Expr, others: Parts, args: Parts) -> Expr:
    if is_positive(scale):
        return Max(*others, *(expand(scale * z + rest) for z in inner))
    raised = [expand(y - scale * z) for y, z in product(others, inner)]
    return Max(expand(rest), *raised) + scale * Max(*inner)


def _distributed_holds(
    scale: Expr, inner: Parts, rest: Expr, others: Parts, args: Parts
) -> bool:
    signed = is_positive(scale) or is_positive(-scale)
    return signed and {*others, scale * Max(*inner) + rest} == {*args}


def _find_known(node: Max) -> Parts | None:
    """An argument that is never larger than another, or the same."""
    for x, y in permutations(node.args, 2):
        if x == y or is_nonnegative(expand(y - x)):
            return x, y, tuple(node.args)
    return None


def _find_between(node: Max) -> Parts | None:
    """An argument that is a mean of two others, and so never larger than both."""
    if len(node.args) > MAX_ARGUMENTS:
        return None
    for y, z in combinations(node.args, 2):
        span = polynomial(y - z)
        for x in node.args:
            part = polynomial(x - z)
            if x in (y, z) or part.keys() != span.keys():
                continue
            weights = {part[m] / span[m] for m in span}
            if len(weights) == 1 and 0 < min(weights) < 1:
                return x, y, z, rational(min(weights)), tuple(node.args)
    return None


def _between_holds(x: Expr, y: Expr, z: Expr, weight: Expr, xs: Parts) -> bool:
    return (bool(0 < weight < 1) and {x, y, z} <= {*xs} and x not in (y, z)
            and equal_in_field(x, weight * y + (1 - weight) * z))


def _find_shift(node: Max) -> Parts | None:
    """The same maximum for every common shift and positive scale of its arguments."""
    xs = node.args
    if len(set(xs)) < 2:
        return None
    scale = content([expand(x - xs[0]) for x in xs[1:]])
    choices = []
    for x in xs:
        others = {expand((z - x) / scale) for z in xs} - {S.Zero}
        choices.append((tuple(sorted(others, key=structural)), x))
    differences, base = min(choices, key=_standing)
    found = (tuple(xs), base, scale, differences)
    return None if _shift_right(*found) == node else found


def _standing(choice: tuple[Parts, Expr]) -> tuple[object, ...]:
    """What puts the choices of a base in order: a standard sign first."""
    differences, _ = choice
    return [orient(d)[1] for d in differences].count(S.NegativeOne), [*map(structural, differences)]


def _shift_right(xs: Parts, base: Expr, scale: Expr, differences: Parts) -> Expr:
    return base + scale * Max(S.Zero, *differences)


def _shift_holds(xs: Parts, base: Expr, scale: Expr, differences: Parts) -> bool:
    if base not in xs or not is_positive(scale):
        return False
    wanted = [x for x in xs if x != base]
    found = [base + scale * d for d in differences]
    return (all(any(equal_in_field(x, y) for y in found) for x in wanted)
            and all(any(equal_in_field(x, y) for x in wanted) for y in found))


def _find_relu(node: Max) -> Parts | None:
    zero, *rest = node.args
    return (rest[0],) if zero == 0 and len(rest) == 1 else None


def _find_max_whole(node: Max) -> Parts | None:
    relu = _find_relu(node)
    found = None if relu is None else lattice(relu[0])
    if relu is None or found is None:
        return None
    return relu[0], found.u, rational(found.scale), rational(found.shift)


def _max_whole_right(x: Expr, u: Expr, k: Expr, c: Expr) -> Expr:
    step = Step(u + c.floor())
    return x * step if k > 0 else x * (1 - step)


def _max_whole_holds(x: Expr, u: Expr, k: Expr, c: Expr) -> bool:
    return bool(k.is_Rational and c.is_Rational and k != 0 and takes_whole_values(u)
                and equal_in_field(x, k * (u + c)))


MAXIMA: tuple[Rule, ...] = (
    Rule("max_flat", "piecewise", "max(a, max(b, c)) = max(a, b, c)", "",
         "a maximum of maxima is one maximum",
         (Max,), _find_flat, _flat_left, lambda inner: Max(*(x for xs in inner for x in xs))),
    Rule("max_distribute", "piecewise",
         "max(a, k*max(b, c) + d) = max(a, k*b + d, k*c + d), "
         "max(a, d - k*max(b, c)) = max(d, a + k*b, a + k*c) - k*max(b, c)", "k > 0",
         "sums distribute over a maximum",
         (Max,), _find_distributed, _distributed_left, _distributed_right, _distributed_holds),
    Rule("max_known", "piecewise", "max(a, b, c) = max(b, c)", "a <= b",
         "an argument that is never the largest can go",
         (Max,), _find_known, lambda x, y, xs: Max(*xs),
         lambda x, y, xs: _maximum(*(z for z in dict.fromkeys(xs) if x == y or z != x)),
         lambda x, y, xs: y in xs and (xs.count(x) > 1 if x == y else
                                       x in xs and is_nonnegative(expand(y - x)))),
    Rule("max_between", "piecewise", "max(a, k*a + (1 - k)*b, b) = max(a, b)", "0 < k < 1",
         "a mean of two arguments is never larger than both",
         (Max,), _find_between, lambda x, y, z, k, xs: Max(*xs),
         lambda x, y, z, k, xs: _maximum(*(u for u in xs if u != x)), _between_holds),
    Rule("max_shift", "piecewise", "max(a, a + k*b) = a + k*max(0, b)", "k > 0",
         "common terms and positive factors go out of a maximum",
         (Max,), _find_shift, lambda xs, *rest: Max(*xs), _shift_right, _shift_holds),
    Rule("max_whole", "piecewise",
         "max(0, k*(u + c)) = k*(u + c)*step(u + floor(c)), "
         "max(0, -k*(u + c)) = -k*(u + c)*(1 - step(u + floor(c)))",
         "u whole, k > 0 and k, c rational", "a maximum with 0, by the sign of a whole number",
         (Max,), _find_max_whole, lambda x, *rest: Max(S.Zero, x), _max_whole_right,
         _max_whole_holds),
    Rule("max_step", "piecewise", "max(0, x) = x*step(x)", "", "a maximum with 0, by the sign",
         (Max,), _find_relu, lambda x: Max(S.Zero, x), lambda x: x * Step(x)),
)
