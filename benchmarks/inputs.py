"""Inputs of any size from the fragment: one margin, written in two ways.

Each is a sum of n terms over token sums with features, powers of lengths, and parameters. The same
pair is also built for SymPy alone, with a plain symbol for each token sum, feature and length; what
only midpo could be asked (products over tokens) is spared SymPy.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Pow, Rational, Symbol

from midpo.symbolic.language.nodes import (
    CHOSEN,
    POLICY,
    REFERENCE,
    REJECTED,
    RESPONSE,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    Parameter,
    Prob,
    TokenProb,
    TokenProd,
    TokenSum,
)
from midpo.symbolic.language.places import Names
from midpo.symbolic.language.spec import Spec

ALPHA, RATE = Parameter("alpha", "positive"), Parameter("eta")
_TOKEN = Index("t", position=True)


def _words(y: Symbol) -> Any:
    def word(kind: str, i: int) -> Expr:
        policy = REFERENCE if i % 2 else POLICY
        weight = Feature(Symbol(f"w{i}"), y, _TOKEN)
        token = TokenProb(policy, y, _TOKEN)
        return {
            "score": lambda: Feature(Symbol(f"s{i}"), y),
            "sum": lambda: TokenSum(weight * Log(token), _TOKEN, y),
            "product": lambda: Log(TokenProd(Pow(token, weight), _TOKEN, y)),
        }[kind]()

    return word


def _plain(y: Symbol) -> Any:
    def word(kind: str, i: int) -> Expr:
        name = "s" if kind == "score" else "S"
        return Symbol(f"{name}{i}_{y.name}", real=True)

    return word


def terms(n: int, y: Symbol, *, plain: bool, other: bool) -> list[Expr]:
    """n terms; `other` writes each in another way."""
    word = (_plain if plain else _words)(y)
    length = Symbol(f"n_{y.name}", positive=True) if plain else Length(y)
    found = []
    for i in range(n):
        c = Rational(i + 1, 3)
        match i % 3:
            case 0:
                term = c * word("product" if other else "sum", i)
            case 1:
                s = word("score", i)
                term = (
                    c * s * (1 + RATE) / length**2 - c * RATE * s / length**2 if other else c * s / length**2
                )
            case _:
                s = word("score", i)
                term = (RATE + s) * (RATE - s) if other else RATE**2 - s**2
        found.append(term)
    return found


def spec(n: int) -> Spec:
    """A recovery whose margin has about n terms, target and prior written differently."""
    half = max(1, n // 2)
    sides = [Add(*terms(half, y, plain=False, other=False)) for y in (CHOSEN, REJECTED)]
    score = Add(*terms(half, RESPONSE, plain=False, other=True))
    kinds = ("token", "response", "response")
    features = {f"{'w' if i % 3 == 0 else 's'}{i}": kinds[i % 3] for i in range(half)}
    names = Names({"alpha": ALPHA, "eta": RATE}, features)
    return Spec(
        f"sum-{n}",
        names,
        prior=Prob(POLICY, RESPONSE) * Exp(-score),
        margin=ALPHA * sides[0] - ALPHA * sides[1],
    )


def plain_difference(n: int) -> Expr:
    """The same question for SymPy alone: an expression that is zero."""
    half = max(1, n // 2)
    total = []
    for sign, y in ((1, CHOSEN), (-1, REJECTED)):
        left, right = (Add(*terms(half, y, plain=True, other=other)) for other in (False, True))
        total += [sign * ALPHA * left, -sign * ALPHA * right]
    return Add(*total)
