"""Cells: regions on which the signs of some expressions, the cuts, are known.

A proof by cells is a tree. At each fork a cut is at least 0 or below 0; at each leaf either the
signs assumed on the way contradict each other, or a chain of steps shows the two sides equal where
every step and maximum is what those signs make it.

Everything here is trusted by the checker; what finds such trees is `splitting`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sympy import Add, Expr, Mul, Pow, Rational, S

from .equality import equal_in_field
from .factor import content, factors, orient
from .language import BINDERS, Exp, Log, Max, Step, is_nonnegative, is_positive, rebuild
from .polynomial import expand
from .rule import CELLS

if TYPE_CHECKING:
    from .derivation import Derivation

Signs = tuple[tuple[Expr, bool], ...]
"""Each cut with whether it is at least 0 (True) or below 0 (False)."""


@dataclass(frozen=True)
class Empty:
    """No open set has the signs assumed: numbers whose signs are known on the cell, each so many
    times, add up to what is never above 0. Pairs of a multiplier and an expression."""

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
    """Whether the expressions, with their signs and taken so many times, add up to what cannot
    be; or can only where all of them are 0, so that the cell has no interior."""
    known = [(k, x, sign_of(x, signs)) for k, x in terms]
    if not terms or any(sign is None or k <= 0 for k, _, sign in known):
        return False
    total = expand(Add(*(k * x if sign and sign.positive else -k * x for k, x, sign in known)))
    return total == 0 or is_nonnegative(-total)


# --- What steps and maxima are on a cell ----------------------------------------------------------


@dataclass(frozen=True)
class Sign:
    """What is known of a number: at least 0 or at most 0; `strict` where it is not 0; `ties` are
    the cuts whose zeros are its zeros, as far as the cell allows such."""

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


def sign_of(x: Expr, signs: Signs) -> Sign | None:
    """The sign of `x` on the cell, if its factors' are known."""
    x = expand(x)
    if x == 0 or is_nonnegative(x):
        return Sign(True, is_positive(x))
    known = dict(signs)
    number, parts = parts_of(x)
    if not number.is_Rational or not equal_in_field(x, Mul(number, *(Pow(b, e) for b, e in parts))):
        return None
    positive, strict = bool(number > 0), True
    ties: set[Expr] = set()
    for base, exponent in parts:
        if is_positive(base):
            continue
        if not exponent.is_Integer:
            return None
        if base in known:
            above = known[base]
            found: Sign | None = Sign(above, not above, frozenset({base} if above else ()))
        else:
            same = same_sign(base)
            found = None if same is None else sign_of(same, signs)
        if found is None:
            return None
        strict = strict and found.strict
        ties |= found.ties
        if not found.positive and exponent % 2:
            positive = not positive
    return Sign(positive, strict, frozenset(ties))


def same_sign(x: Expr) -> Expr | None:
    """A simpler expression with the sign of `x`, or None: log(a) - log(b) for x = a - b with
    positive products a and b, one of them of exponentials; and a - b for the logarithm x of a/b
    where that has more terms."""
    if any(isinstance(term.as_coeff_Mul()[1], Log) for term in Add.make_args(x)):
        return _without_logs(x)
    if not isinstance(x, Add) or len(x.args) != 2 or not x.has(Exp):
        return None
    above, below = sorted(x.args, key=is_positive, reverse=True)
    if not (is_positive(above) and is_positive(-below)):
        return None
    return expand(Add(*(_log_of(f, 1) for f in Mul.make_args(above)),
                      *(_log_of(f, -1) for f in Mul.make_args(-below))))


def _without_logs(x: Expr) -> Expr | None:
    above: list[Expr] = []
    below: list[Expr] = []
    for term in Add.make_args(x):
        coefficient, factor = term.as_coeff_Mul()
        side = above if coefficient > 0 else below
        if isinstance(factor, Log):
            side.append(Pow(factor.args[0], abs(coefficient)))
        else:
            side.append(Exp(factor if abs(coefficient) == 1 else abs(coefficient) * factor))
    difference = expand(Mul(*above) - Mul(*below))
    return difference if len(Add.make_args(difference)) > 2 else None


def _log_of(factor: Expr, sign: int) -> Expr:
    base, exponent = factor.as_base_exp()
    if factor == 1:
        return S.Zero
    return sign * exponent * (base.args[0] if isinstance(base, Exp) else Log(base))


def on_cell(expr: Expr, signs: Signs) -> tuple[Expr, frozenset[Expr]]:
    """`expr` with the steps and maxima that the signs decide replaced by what they are, and the
    cuts at whose zeros that may be wrong (never for a maximum, which is continuous)."""
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
    for signs, end in leaves(tree):
        if isinstance(end, Leaf):
            found.update(*(on_cell(side, signs)[1] for side in sides), ties_of(end.chain))
        elif isinstance(end, Empty) and any(side.has(Step) for side in sides):
            known = [sign_of(x, signs) for _, x in end.terms]
            if not any(sign is None or sign.strict for sign in known):
                found.update(*(sign.ties for sign in known if sign is not None))
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
