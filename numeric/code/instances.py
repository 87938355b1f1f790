"""An expression at concrete sizes: sums over positions, and over the vocabulary, written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Add, Expr, Integer, Mul, S, Symbol

from midpo.symbolic.language.building import rebuild, rename_index
from midpo.symbolic.language.nodes import (
    Divergence,
    Entropy,
    Exp,
    Feature,
    Length,
    Log,
    Prob,
    Step,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.signs import is_positive

from .places import LABEL, LOGIT, V


def at_sizes(expr: Expr, counts: Mapping[Any, int], vocabulary: int, tokens: Mapping[str, list[int]]) -> Expr:
    """`expr` where responses have so many tokens; with a `vocabulary`, where it has so many entries
    and the labels are `tokens`."""
    known: dict[Expr, Expr] = {}

    def entry(y: Any, t: Any) -> Integer:
        return Integer(tokens[str(y)][int(t) - 1])

    def compute(e: Any) -> Any:
        if not e.args:
            return e
        if isinstance(e, Length):
            return Integer(counts[e.args[0]])
        if isinstance(e, Prob):
            p, y = e.args
            return Mul(*(walk(TokenProb(p, y, Integer(n + 1))) for n in range(counts[y])))
        if isinstance(e, (TokenSum, TokenProd)):
            body, t, y = e.args
            parts = [walk(rename_index(body, t, Integer(n + 1))) for n in range(counts[y])]
            return Add(*parts) if isinstance(e, TokenSum) else Mul(*parts)
        if vocabulary:
            if isinstance(e, TokenProb) and e.args[2].is_Integer:
                p, y, t = e.args
                return share(p, y, t, entry(y, t), vocabulary)
            if isinstance(e, VocabProb) and e.args[3].is_Integer:
                p, y, t, v = e.args
                return share(p, y, t, v, vocabulary)
            if isinstance(e, Feature) and e.args[0] == LABEL and e.args[2].is_Integer:
                return entry(*e.args[1:])
            written = written_out(e)
            if written is not None:
                return walk(written)
            if isinstance(e, VocabSum):
                body, v = e.args
                return Add(*(walk(rename_index(body, v, Integer(k))) for k in range(vocabulary)))
        args = [walk(a) for a in e.args]
        if isinstance(e, Log):
            return logarithm(args[0])
        if isinstance(e, Step) and args[0].is_Number:
            return S.One if args[0] >= 0 else S.Zero
        return rebuild(e, args) if any(a is not b for a, b in zip(args, e.args, strict=True)) else e

    def walk(e: Any) -> Any:
        if e not in known:
            known[e] = compute(e)
        return known[e]

    found: Expr = walk(expr)
    return found


def logarithm(x: Expr) -> Expr:
    """log(x), written as a sum where x is a product of what is positive."""
    found, rest = [], []
    for factor in Mul.make_args(x):
        base, power = factor.as_base_exp()
        if power.is_Rational and is_positive(base):
            found.append(power * (base.args[0] if isinstance(base, Exp) else Log(base)))
        else:
            rest.append(factor)
    left = Mul(*rest)
    return Add(*found, *([Log(left)] if left != 1 else []))


def share(p: Any, y: Any, t: Any, v: Any, vocabulary: int) -> Expr:
    """A probability as its logit's exponential over the sum of all, of which nothing is known."""
    all_of = [Exp(logit(p, y, t, Integer(k))) for k in range(vocabulary)]
    return Exp(logit(p, y, t, v)) / Add(*all_of)


def logit(p: Any, y: Any, t: Any, v: Any) -> Expr:
    return Feature(Symbol(f"{LOGIT}{p}"), y, t, v)


def written_out(e: Expr) -> Expr | None:
    """A divergence or an entropy as sums over the vocabulary."""
    if isinstance(e, Divergence):
        p, q, y, t = e.args
        mine, other = VocabProb(p, y, t, V), VocabProb(q, y, t, V)
        return VocabSum(mine * Log(mine), V) - VocabSum(mine * Log(other), V)
    if isinstance(e, Entropy):
        p, y, t = e.args
        own = VocabProb(p, y, t, V)
        return -VocabSum(own * Log(own), V)
    return None
