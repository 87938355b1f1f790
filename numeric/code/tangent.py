"""The derivative of an expression along a direction in which the policy moves.

Of log-probabilities of tokens the direction is d(y, t); of logits d(y, t, v), and the logarithm of
a probability moves by it less its mean under the policy. What is stopped, sg(e), does not move.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Integer, S, Symbol

from midpo.symbolic.algebra.derivative import derivative
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import (
    POLICY,
    Feature,
    Prob,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)

from .heads import HIDDEN, moving, names
from .instances import written_out
from .places import DIRECTION, LABEL, LOGIT, T, V

_LOGIT = Symbol(f"{LOGIT}{POLICY}")


def tangent(expr: Expr, leaf: str, vocabulary: int = 0) -> Expr:
    """The derivative of `expr` as inputs of the kind `leaf` move ("whole", "logps", "logits", "hidden"); with
    a `vocabulary` of concrete size, sums over it are written out.

    Raises: NotYet where a part has no known derivative.
    """

    def moves(p: Any, y: Any, t: Any, v: Any = None) -> Expr:
        if leaf != "logits":
            if v is not None:
                raise NotYet("log-probabilities of labels say nothing of other vocabulary entries")
            return Feature(DIRECTION, y, t)
        own = Feature(DIRECTION, y, t, Feature(LABEL, y, t) if v is None else v)
        if vocabulary:
            return own - Add(
                *(
                    VocabProb(p, y, t, Integer(k)) * Feature(DIRECTION, y, t, Integer(k))
                    for k in range(vocabulary)
                )
            )
        return own - VocabSum(VocabProb(p, y, t, V) * Feature(DIRECTION, y, t, V), V)

    free = {POLICY, _LOGIT} | ({Symbol(n) for n in names(str(POLICY))} if leaf == HIDDEN else set())

    def of(e: Expr) -> Expr | None:
        if leaf == HIDDEN and isinstance(e, Feature) and e.args[0] in free:
            return moving(e)
        if isinstance(e, Feature) and e.args[0] == _LOGIT:
            return Feature(DIRECTION, *e.args[1:])
        if not e.free_symbols & free:
            return S.Zero
        if isinstance(e, Prob):
            p, y = e.args
            return e * TokenSum(moves(p, y, T), T, y)
        if isinstance(e, (TokenProb, VocabProb)):
            return e * moves(*e.args)
        if isinstance(e, (TokenSum, VocabSum)):
            inner = derivative(e.args[0], of)
            return e.func(inner, *e.args[1:]) if inner != 0 else S.Zero
        if isinstance(e, TokenProd):
            body, *over = e.args
            return e * TokenSum(derivative(body, of) / body, *over)
        written = written_out(e)
        return None if written is None else derivative(written, of)

    return derivative(expr, of)
