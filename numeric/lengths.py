"""Lengths that a spec's own cuts and maxima ask for: on both sides of each threshold.

A window of the first 50 tokens shows only at responses of some 50 tokens, a bonus for equal lengths
only at equal ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import Any

from sympy import Expr, Rational

from midpo.symbolic.algebra.factor import content
from midpo.symbolic.algebra.polynomial import ONE, expand, polynomial
from midpo.symbolic.algebra.signs import plainer
from midpo.symbolic.domains.whole import is_whole, thresholds
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.building import rebuild, substitute
from midpo.symbolic.language.nodes import Index, Length, Node, Parameter, TokenSum, structural
from midpo.symbolic.language.words import piecewise, word_of

Lengths = tuple[int, int]

LONGEST = 600  # tokens that a witness may have
MOST = 24  # pairs of lengths
FEW = 6  # lengths that are tried beside more than one other
COUNTED = 5
PIECES = 64  # that a number held against 0 may have
_TRIED = (1, 2, Fraction(1, 2), 3)  # for whatever else a cut speaks of


@lru_cache(maxsize=64)
def telling_lengths(exprs: tuple[Expr, ...]) -> tuple[Lengths, ...]:
    """Pairs of lengths at which some step or maximum of `exprs` that speaks of lengths or positions
    turns, and next to it, the shortest first; none where nothing speaks of them."""
    edges = sorted({n for x in _compared(exprs) for n in _turns(x)})
    around = dict.fromkeys(at for n in edges for at in (n, n - 1, n + 1) if 1 <= at <= LONGEST)
    others = (1, 2) if len(around) <= FEW else (1,)
    pairs = [pair for at in around for other in others for pair in ((at, other), (other, at))]
    return tuple(sorted(dict.fromkeys(pairs[:MOST]), key=lambda pair: (sum(pair), pair)))


def _compared(exprs: Iterable[Expr]) -> set[Expr]:
    """What is held against 0 in `exprs`, where it speaks of lengths or positions."""
    found: set[Expr] = set()
    for node in {node for expr in exprs for node in expr.atoms(*piecewise())}:
        args = node.args
        pairs = (x - y for i, x in enumerate(args) for y in args[:i])
        found.update(x for x in (args if len(args) == 1 else pairs) if _numbers(x))
    return found


def _numbers(x: Expr) -> set[Expr]:
    return {a for a in x.atoms(Length, Index) if a.is_positive}


def _turns(x: Expr) -> set[int]:
    """Whole numbers at which `x`, as a polynomial of one length or position, comes to be 0 or
    changes its sign, whatever else it speaks of being a small number."""
    found: set[int] = set()
    for atom, piece in itertools.product(sorted(_numbers(x), key=structural), _pieces(x)):
        for value in _TRIED:
            try:
                plain = expand(_with_values(piece, atom, Rational(value)))
                found |= _edges(_simpler(plain), atom)
            except (NoValue, TooLarge):
                continue
    return found


def _pieces(x: Expr) -> list[Expr]:
    """What `x` may be on some cell, with no step or maximum left."""
    counted = [node for node in x.atoms(TokenSum) if is_whole(node.args[0])]
    waiting: list[Expr] = [
        substitute(x, {node: Length(node.args[2]) - less for node in counted})
        for less in (range(COUNTED) if counted else (0,))
    ]  # most tokens count, in most sums
    found: list[Expr] = []
    kinds = piecewise()
    while waiting and len(found) + len(waiting) <= PIECES:
        expr = waiting.pop()
        inner = sorted(
            (node for node in expr.atoms(*kinds) if not any(arg.has(*kinds) for arg in node.args)),
            key=structural,
        )
        if not inner:
            found.append(expr)
            continue
        node = inner[0]
        for value in word_of(node).column("pieces")(*node.args):
            try:
                waiting.append(substitute(expr, {node: value}))
            except (NoValue, TooLarge):
                continue
    return found


def _with_values(expr: Any, kept: Expr, value: Rational) -> Any:
    """`expr` with `value` for each parameter, function and number but `kept`."""
    if expr == kept:
        return expr
    if isinstance(expr, (Parameter, Index, Node)):
        return expr if expr.has(kept) else value
    if not expr.args:
        return expr
    return rebuild(expr, [_with_values(arg, kept, value) for arg in expr.args])


def _simpler(x: Expr) -> Expr:
    """What has the sign of `x`, less growing functions and positive factors."""
    same = plainer(x)
    x = expand(x if same is None else same)
    return expand(x / content([x])) if x != 0 else x


def _edges(x: Expr, atom: Expr) -> set[int]:
    poly = polynomial(x)
    if any(factor != atom for monomial in poly for factor, _ in monomial):
        return set()
    turning = thresholds(x)
    if turning is not None:
        return {at for at, _ in turning[2]}
    slope = poly.get(frozenset({(atom, Fraction(1))}), Fraction(0))
    linear = slope and set(poly) <= {ONE, frozenset({(atom, Fraction(1))})}
    return {floor(-poly.get(ONE, Fraction(0)) / slope)} if linear else set()
