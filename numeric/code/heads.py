"""Hidden states and heads, where sizes are concrete: logits as what a policy's head makes of them.

A head has `WIDTH` columns. What is given of a policy is then free: its hidden states at each
position, and the weight and bias of each vocabulary entry; its logits are their products.
"""

from __future__ import annotations

from typing import Any, Final

from sympy import Add, Expr, Integer, S, Symbol

from midpo.symbolic.language.nodes import Feature

from .places import DIRECTION, LOGIT, T

WIDTH: Final = 2  # of hidden states
HIDDEN, WEIGHT, BIAS = "hidden", "weight", "bias"
PARTS = (HIDDEN, WEIGHT, BIAS)


def name_of(part: str, policy: str, column: int = 0) -> str:
    """What a part of a policy's head is called among features; hidden states and weights have one
    name a column."""
    return f"{part}_{policy}" + (f".{column}" if part != BIAS else "")


def names(policy: str) -> frozenset[str]:
    """All that is free of a policy that is given by hidden states."""
    columns = {name_of(part, policy, k) for part in (HIDDEN, WEIGHT) for k in range(WIDTH)}
    return frozenset({*columns, name_of(BIAS, policy)})


def state(policy: str, y: Any, t: Any = T) -> tuple[Expr, ...]:
    """The hidden state at a position."""
    return tuple(Feature(Symbol(name_of(HIDDEN, policy, k)), y, t) for k in range(WIDTH))


def weights(policy: str, v: int) -> tuple[Expr, ...]:
    """The head's weights for a vocabulary entry."""
    return tuple(Feature(Symbol(name_of(WEIGHT, policy, k)), Integer(v)) for k in range(WIDTH))


def offset(policy: str, v: int) -> Expr:
    """The head's bias for a vocabulary entry."""
    return Feature(Symbol(name_of(BIAS, policy)), Integer(v))


def with_heads(expr: Expr, policies: dict[str, bool]) -> Expr:
    """An expression in which logits of `policies` are products; each says whether its head has a
    bias."""
    table: dict[Expr, Expr] = {}
    for node in expr.atoms(Feature):
        policy = str(node.args[0]).removeprefix(LOGIT)
        if not str(node.args[0]).startswith(LOGIT) or policy not in policies:
            continue
        _, y, t, v = node.args
        products = (a * b for a, b in zip(state(policy, y, t), weights(policy, int(v)), strict=True))
        table[node] = Add(*products, offset(policy, int(v)) if policies[policy] else S.Zero)
    return expr.xreplace(table) if table else expr


def moving(entry: Expr) -> Expr:
    """How a free part of a head moves: by a number of its own."""
    return Feature(Symbol(f"{DIRECTION}_{entry.args[0]}"), *entry.args[1:])


def is_direction(name: Any) -> bool:
    """Whether a feature's name is that of a direction."""
    return name == DIRECTION or str(name).startswith(f"{DIRECTION}_")
