"""Cells: regions on which the signs of some expressions, the cuts, are known.

A proof by cells is a tree. At each fork a cut is at least 0 or below 0; at each leaf either the
signs assumed on the way contradict each other, or a chain of steps shows the two sides equal where
every step and maximum is what those signs make it. A cut of whole numbers (see `whole`) that is
below 0 is at most -1, so that nothing is left out at its zeros; and where the signs leave it one
value only, the sides are compared at that value. Of other cuts the zeros may be left out: `ties`.

Everything here is trusted by the checker; what finds such trees is `splitting`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.domains.whole import lattice, thresholds
from midpo.symbolic.errors import NoValue
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.language.nodes import BINDERS, Exp, Index, Length, Max, Step, TokenSum, structural
from midpo.symbolic.language.signs import enclosure, is_nonnegative, is_positive
from midpo.symbolic.rewriting.rule import CELLS

from .equality import equal_in_field
from .factor import content, factors, orient
from .polynomial import expand
from .signs import same_sign

if TYPE_CHECKING:
    from midpo.symbolic.rewriting.derivation import Derivation

Signs = tuple[tuple[Expr, bool], ...]
"""Each cut with whether it is at least 0 (True) or below 0 (False)."""


@dataclass(frozen=True)
class Empty:
    """Nothing has the signs assumed, or nothing but zeros of cuts: numbers whose signs are known on
    the cell, each so many times, add up to what is never above 0. Pairs of a multiplier and an
    expression."""

    terms: tuple[tuple[Rational, Expr], ...]


@dataclass(frozen=True)
class Fork:
    """Either `cut` is at least 0, or it is below."""

    cut: Expr
    above: Tree
    below: Tree


@dataclass(frozen=True)
class Leaf:
    """The chain leads from one side to the other, as both are on this cell."""

    chain: Derivation


Tree = Empty | Fork | Leaf


def leaves(tree: Tree, signs: Signs = ()) -> Iterator[tuple[Signs, Empty | Leaf]]:
    """Every end of the tree, with the signs assumed there."""
    if isinstance(tree, Fork):
        yield from leaves(tree.above, (*signs, (tree.cut, True)))
        yield from leaves(tree.below, (*signs, (tree.cut, False)))
    else:
        yield signs, tree


def contradicts(signs: Signs, terms: tuple[tuple[Rational, Expr], ...]) -> bool:
    """Whether the expressions, with their signs and taken so many times, add up to what cannot be;
    or can only at zeros of cuts that are no whole numbers."""
    return left_out(signs, terms) is not None


def left_out(signs: Signs, terms: tuple[tuple[Rational, Expr], ...]) -> frozenset[Expr] | None:
    """The cuts at whose zeros alone the signs hold, none where they never do; None where the terms
    show neither."""
    known = [(k, *bound) for k, x in terms if (bound := at_least_zero(x, signs)) is not None]
    if not terms or len(known) < len(terms) or any(k <= 0 for k, *_ in known):
        return None
    rest = expand(-Add(*(k * x for k, x, _ in known)))
    if is_positive(rest) or (is_nonnegative(rest) and any(sign.strict for *_, sign in known)):
        return frozenset()
    zeros = frozenset().union(*(sign.ties for *_, sign in known))
    return zeros if zeros and is_nonnegative(rest) else None


def at_least_zero(x: Expr, signs: Signs) -> tuple[Expr, KnownSign] | None:
    """What is at least 0 on the cell because of the sign of `x` there, as far as is known: x or -x;
    for a whole number, how far it is above or below what the cell allows."""
    sign = sign_of(x, signs)
    if sign is None:
        return None
    whole = lattice(x)
    if whole is not None:
        low, high = bounds_of(whole.u, signs)
        if sign.positive == (whole.scale > 0) and low is not None:
            return whole.u - low, KnownSign(True, False)
        if sign.positive != (whole.scale > 0) and high is not None:
            return high - whole.u, KnownSign(True, False)
    return (x if sign.positive else -x), sign


# --- What steps and maxima are on a cell ----------------------------------------------------------


@dataclass(frozen=True)
class KnownSign:
    """What is known of a number: at least 0 or at most 0; `strict` where it is not 0; `ties` are
    the cuts, no whole numbers, whose zeros are its zeros, as far as the cell allows such."""

    positive: bool
    strict: bool
    ties: frozenset[Expr] = frozenset()


def parts_of(x: Expr) -> tuple[Expr, tuple[tuple[Expr, Expr], ...]]:
    """(k, factors) with x = k times the product of the factors' powers and k a number; the factors
    are irreducible where that can be found, and have standard signs."""
    found = factors(x, plain=True)
    if found:
        return found[0][0], found[1:]
    scale = content([expand(x)])
    base, sign = orient(expand(x / scale))
    return sign, ((scale, S.One), (base, S.One))


def asked_of(x: Expr) -> Expr:
    """The number of which a sign is asked for x: multiplied out, exp(j*a + k*b) as
    exp(a)**j*exp(b)**k, so that what maxima leave on a cell meets what was written so."""

    def visit(node: Any) -> Any:
        if not node.has(Exp):
            return node
        args = [visit(arg) for arg in node.args]
        if not isinstance(node, Exp):
            return rebuild(node, args)
        parts = (term.as_coeff_Mul() for term in Add.make_args(args[0]))
        return Mul(*(Pow(Exp(m), c) for c, m in parts if c != 0))

    return expand(visit(x))


def sign_of(x: Expr, signs: Signs) -> KnownSign | None:
    """The sign of `x` on the cell, if its factors' are known."""
    x = asked_of(x)
    if x == 0 or is_nonnegative(x):
        return KnownSign(True, is_positive(x))
    whole = _whole_sign(x, signs)
    if whole is not None:
        return whole
    known = dict(signs)
    number, parts = parts_of(x)
    if not number.is_Rational or not equal_in_field(x, Mul(number, *(Pow(b, e) for b, e in parts))):
        return None
    positive, strict, whole_zeros = bool(number > 0), True, False
    ties: set[Expr] = set()
    for base, exponent in parts:
        if is_positive(base):
            continue
        if not exponent.is_Integer:
            return None
        whole = _whole_sign(base, signs)
        if whole is not None or lattice(base) is not None:
            found: KnownSign | None = whole
        elif base in known:
            above = known[base]
            found = KnownSign(above, not above, frozenset({base} if above else ()))
        else:
            same = same_sign(base)
            found = None if same is None else sign_of(same, signs)
        if found is None:
            return None
        whole_zeros = whole_zeros or not (found.strict or found.ties)
        strict = strict and found.strict
        ties |= found.ties
        if not found.positive and exponent % 2:
            positive = not positive
    return KnownSign(positive, strict, frozenset() if whole_zeros else frozenset(ties))


def bounds_of(u: Expr, signs: Signs) -> tuple[int | None, int | None]:
    """The least and the largest value of a whole number on the cell, where there are such."""
    low, high = enclosure(u).whole
    for cut, above in signs:
        known = lattice(cut)
        if known is None or known.u != u or known.scale != 1:
            continue
        edge = -int(known.shift)
        if above:
            low = edge if low is None else max(low, edge)
        else:
            high = edge - 1 if high is None else min(high, edge - 1)
    return low, high


def _whole_sign(x: Expr, signs: Signs) -> KnownSign | None:
    """The sign of what takes whole values, up to a scale and a shift, from those of its cuts."""
    found = lattice(x)
    if found is None:
        return None
    low, high = bounds_of(found.u, signs)
    up = found.scale > 0
    if low is not None and low + found.shift >= 0:
        return KnownSign(up, low + found.shift > 0)
    if high is not None and high + found.shift <= 0:
        return KnownSign(not up, high + found.shift < 0)
    above, below = _at_least_zero(x, signs), _at_least_zero(-x, signs)
    if above:
        return KnownSign(True, below is False)
    return KnownSign(False, above is False) if below or above is False else None


def _at_least_zero(x: Expr, signs: Signs) -> bool | None:
    """Whether the polynomial `x` of one whole number is at least 0 for all values that the cell
    leaves to it, or for none of them; None where neither is known."""
    found = thresholds(x)
    if found is None:
        return None
    u, first, jumps = found
    low, high = bounds_of(u, signs)
    if any((low is None or at > low) and (high is None or at <= high) for at, _ in jumps):
        return None
    return first + sum(jump for at, jump in jumps if low is not None and at <= low) > 0


def within(index: Index, response: Expr) -> tuple[Expr, bool]:
    """That a position of a response is at most its length, as the sign of a cut."""
    found = lattice(Length(response) - index)
    assert found is not None
    return found.cut


def on_cell(expr: Expr, signs: Signs) -> tuple[Expr, frozenset[Expr]]:
    """`expr` with the steps and maxima that the signs decide replaced by what they are, whole
    numbers of one value by it, and the cuts at whose zeros that may be wrong (never for a maximum,
    which is continuous)."""
    found, ties = without_pieces(expr, signs)
    plain = at_values(found, signs)
    while plain != found:  # a number that has one value there may decide more of them
        found, more = without_pieces(plain, signs)
        ties |= more
        plain = at_values(found, signs)
    return found, ties


def without_pieces(expr: Expr, signs: Signs) -> tuple[Expr, frozenset[Expr]]:
    """As `on_cell`, with all whole numbers as they are."""
    done: dict[Any, tuple[Any, frozenset[Expr]]] = {}
    spoken_of = {symbol for cut, _ in signs for symbol in cut.free_symbols}

    def visit(node: Any) -> tuple[Any, frozenset[Expr]]:
        if isinstance(node, BINDERS) and node.args[1] in spoken_of:
            return node, frozenset()  # another index of the same name
        if node not in done:
            found = [visit(arg) for arg in node.args]
            ties: frozenset[Expr] = frozenset().union(*(t for _, t in found))
            new = [arg for arg, _ in found]
            result = node
            if any(a is not b for a, b in zip(new, node.args, strict=True)):
                result = rebuild(node, new)
            if isinstance(result, Step):
                result, more = _step_on(result, signs)
                ties |= more
            elif isinstance(result, Max):
                result = _maximum_on(result, signs)
            done[node] = result, ties
        return done[node]

    return visit(expr)


def at_values(expr: Expr, signs: Signs) -> Expr:
    """`expr` with a length or a position replaced wherever the cell leaves a whole number that it
    is part of one value: at len(y) < 2, len(y) is 1."""
    for cut in sorted({cut for cut, _ in signs}, key=structural):
        whole = lattice(cut)
        if whole is None:
            continue
        low, high = bounds_of(whole.u, signs)
        if low is None or low != high:
            continue
        found = _solved(whole.u, low)
        if found is None:
            continue
        try:
            expr = _put(expr, *found)
        except NoValue:
            continue
    return expr


def _put(node: Any, atom: Expr, value: Expr) -> Any:
    """`node` with `value` for `atom`, but under other indices of a name that these speak of."""
    if node == atom:
        return value
    if isinstance(node, BINDERS) and node.args[1] in (atom, *value.free_symbols):
        return node
    if not node.args:
        return node
    args = [_put(arg, atom, value) for arg in node.args]
    same = all(new is old for new, old in zip(args, node.args, strict=True))
    return node if same else rebuild(node, args)


def _solved(u: Expr, value: int) -> tuple[Expr, Expr] | None:
    """(a, b) with a = b where u has this value, for an index or else a length a."""
    for kind in (Index, Length):
        for atom in sorted(u.atoms(kind), key=structural):
            slope = u.coeff(atom)
            rest = expand(u - slope * atom)
            if slope.is_Rational and slope != 0 and atom not in rest.atoms(kind):
                return atom, expand((value - rest) / slope)
    return None


def _step_on(node: Step, signs: Signs) -> tuple[Expr, frozenset[Expr]]:
    sign = sign_of(node.args[0], signs)
    if sign is None:
        return node, frozenset()
    if not sign.positive and not sign.strict and not sign.ties:
        return node, frozenset()  # 0 where it is not positive, and nothing says where
    return (S.One, frozenset()) if sign.positive else (S.Zero, sign.ties)


def _maximum_on(node: Max, signs: Signs) -> Expr:
    for x in node.args:
        found = (sign_of(x - y, signs) for y in node.args if y != x)
        if all(sign is not None and sign.positive for sign in found):
            return x
    return node


# --- What a proof by cells leaves out -------------------------------------------------------------


def ties(old: Expr, new: Expr, tree: Tree) -> set[Expr]:
    """The cuts at whose zeros the proof says nothing: steps may differ there. Where there are only
    maxima, both sides are continuous, and equal at the zeros too."""
    sides = inside(old, new)
    found: set[Expr] = set()
    for signs, end in leaves(tree, assumed(old, new)):
        if isinstance(end, Leaf):
            found.update(*(on_cell(side, signs)[1] for side in sides), ties_of(end.chain))
        elif isinstance(end, Empty) and any(side.has(Step) for side in sides):
            found |= left_out(signs, end.terms) or frozenset()
    return found


def ties_of(derivation: Derivation) -> set[Expr]:
    """The ties of all its proofs by cells."""
    instances = (i for step in derivation.steps if step.rule == CELLS for i in step.instances)
    return set().union(*(ties(i.old, i.new, *i.parts) for i in instances))


def inside(old: Expr, new: Expr) -> tuple[Expr, Expr]:
    """The bodies of two sums over the same index and response, which are equal when these are; or
    the two as they are."""
    while isinstance(old, BINDERS) and type(old) is type(new) and old.args[1:] == new.args[1:]:
        old, new = old.args[0], new.args[0]
    return old, new


def assumed(old: Expr, new: Expr) -> Signs:
    """What holds of the indices of the sums of which `inside` takes the bodies."""
    found: list[tuple[Expr, bool]] = []
    while isinstance(old, BINDERS) and type(old) is type(new) and old.args[1:] == new.args[1:]:
        if isinstance(old, TokenSum):
            found.append(within(*old.args[1:]))
        old, new = old.args[0], new.args[0]
    return tuple(found)
