"""The two axes of any size: tokens as segments, the vocabulary as one representative entry.

A token axis holds, for each row, one entry for all the positions of a response, one for those of
its padding (a response of its own, which may be empty), and units: single positions. Entries speak
of a position as the index `T`, of a vocabulary entry as `V`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sympy import Add, Expr, Integer, Mul, S, Symbol

from midpo.numeric.code.places import (
    IS,
    POSITION,
    UNIT,
    UNKNOWN,
    VOCABULARY,
    Padding,
    T,
    V,
    is_label,
    opaque,
    unknown,
    unknowns,
)
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.language.nodes import (
    BINDERS,
    Feature,
    Length,
    Min,
    Step,
    TokenProb,
    TokenSum,
    VocabProb,
    VocabSum,
    nodes_of,
)
from midpo.symbolic.language.signs import is_negative, is_nonnegative

from .numbers import expr_of
from .trace import current, refuse

BIG = 300  # sizes from here on name a symbolic axis


@dataclass(frozen=True)
class Hints:
    """The sizes by which torch knows the symbolic axes: `total` positions of a row, `vocabulary`
    entries, and how many of the total each response has; `rows` are the segments of a batch whose
    rows are one after the other. Lifting twice with others shows a size that leaked into the loss.
    """

    total: int
    vocabulary: int
    lengths: dict[Any, int]
    sizes: dict[int, Expr]  # what a size stands for
    rows: dict[int, list[Any]] = field(default_factory=dict)

    def number(self, e: Expr) -> int | None:
        """The hint of a whole number that is made of lengths alone."""
        lengths = {n: Integer(self.lengths.get(n.args[0], 0)) for n in e.atoms(Length)}
        found = e.xreplace(lengths) if all(lengths.values()) else e
        return int(found) if found.is_Integer else None

    def of(self, domains: Iterable[Any]) -> int:
        """How many positions segments have together."""
        listed = list(domains)
        found = sum(1 if d == UNIT else self.lengths[d] for d in listed)
        self.sizes.setdefault(found, Add(*map(count, listed)))
        return found


def obj(values: Iterable[Any], shape: Sequence[int]) -> Any:
    """An array of objects."""
    out = np.empty(int(np.prod(shape)), dtype=object)
    out[:] = list(values)
    return out.reshape(tuple(shape))


def fresh(why: str, e: Any) -> Expr:
    """A number of which nothing is known, at each position and entry that `e` speaks of."""
    trace = current()
    trace.unknowns += 1
    free = expr_of(e).free_symbols
    return unknown(f"{why} {trace.unknowns}", *(i for i in (T, V) if i in free))


def count(domain: Any) -> Expr:
    """How many positions a segment has."""
    return S.One if domain == UNIT else Length(domain)


def positions(domains: Sequence[Any]) -> list[Expr]:
    """Where the entries of a row stand, from 0 on, as expressions in `T`."""
    found, before = [], Integer(0)
    for domain in domains:
        found.append(before if domain == UNIT else before + T - 1)
        before = before + count(domain)
    return found


def within(e: Any, domain: Any) -> Any:
    """An entry at positions of a response: steps whose sign these tell, as T is at most its
    length."""
    if domain is None or domain == UNIT or not isinstance(e, Expr) or not e.has(Step):
        return e
    beyond = Symbol("beyond", nonnegative=True)
    done: dict[Expr, Expr] = {}

    def known(node: Expr) -> Expr:
        if node not in done:
            done[node] = _known(node)
        return done[node]

    def _known(node: Expr) -> Expr:
        if isinstance(node, BINDERS) and node.args[1] == T:
            return node  # inside, T is another response's
        if isinstance(node, Step):
            parts = _each(node)
            told = [known(p) for p in parts] if len(parts) > 1 else []
            if any(p.is_Number for p in told):
                return Mul(*told)
            at = opaque(expand(node.args[0].xreplace({Length(domain): T + beyond})))
            if is_nonnegative(at) or is_negative(at):
                return Integer(int(is_nonnegative(at)))
        args = [known(a) for a in node.args]
        return rebuild(node, args) if args != list(node.args) else node

    return known(e)


def _each(node: Expr) -> list[Expr]:
    """Steps whose product is that of a minimum: one of each of its arguments."""
    at = node.args[0]
    least = next((a for a in Add.make_args(at) if isinstance(a, Min)), None)
    return [node] if least is None else [Step(at - least + a) for a in least.args]


def token_sum(e: Any, domain: Any) -> Expr:
    """The sum of an entry over the positions of its segment."""
    e = within(expr_of(e), domain)
    if domain == UNIT or e == 0:
        return e
    if domain is None:
        refuse("a sum over positions of what belongs to no response")
    return TokenSum(e, T, domain) if T in e.free_symbols else Length(domain) * e


def is_entry(label: Any) -> Expr:
    """1 where the vocabulary entry is `label`, else 0."""
    return S.One if label == V else Feature(IS, V, expr_of(label))


def _is_pick(f: Expr) -> bool:
    return isinstance(f, Feature) and f.args[0] == IS and f.args[1] == V


def _picks(e: Expr) -> list[Expr]:
    return [f for f in nodes_of(e, Feature) if _is_pick(f)]


def vocab_sum(e: Any) -> Expr:
    """The sum of an entry over the vocabulary; is(v, label) picks the label's."""
    e = expr_of(e)
    if V not in e.free_symbols:
        return VOCABULARY * e
    if not _picks(e):
        return VocabSum(e, V)
    found, rest = [], []
    for term in Add.make_args(expand(e)):
        pick = next((f for f in Mul.make_args(term) if _is_pick(f)), None)
        if pick is None:
            rest.append(term)
        else:
            found.append(at_label(term / pick, pick.args[2]))
    left = Add(*rest)
    if _picks(left):
        refuse("a choice of one vocabulary entry inside a function")
    return Add(
        *found, *([VocabSum(left, V)] if V in left.free_symbols else [VOCABULARY * left] if left != 0 else [])
    )


def at_label(e: Any, label: Any) -> Expr:
    """An entry at the vocabulary entry that is the label."""
    e, label = expr_of(e), expr_of(label)
    if V not in e.free_symbols:
        return e
    if label.free_symbols & {T} and any(V in b.free_symbols for b in nodes_of(e, *BINDERS) if b.args[1] == T):
        refuse("a label inside a sum over positions")
    return _put(e, label, {})


def _put(e: Any, label: Expr, done: dict[Any, Any]) -> Any:
    """`e` with `label` for the entry of the vocabulary."""
    if V not in e.free_symbols:
        return e
    if e not in done:
        args = [_put(arg, label, done) for arg in e.args]
        done[e] = label if e == V else rebuild(e, args)
        if _is_pick(e):
            done[e] = S.One if e.args[2] == label else Feature(IS, label, args[2])
        elif isinstance(e, VocabProb) and is_label(args[3]) and args[3].args[1:] == tuple(args[1:3]):
            done[e] = TokenProb(*args[:3])
    return done[e]


__all__ = [
    "BIG",
    "POSITION",
    "UNIT",
    "UNKNOWN",
    "VOCABULARY",
    "Hints",
    "Padding",
    "T",
    "V",
    "at_label",
    "count",
    "fresh",
    "is_entry",
    "is_label",
    "obj",
    "positions",
    "token_sum",
    "unknown",
    "unknowns",
    "vocab_sum",
    "within",
]
