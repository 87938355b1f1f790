"""Derivatives of expressions over the vocabulary with respect to a log-probability.

A statistic is a sum over the vocabulary of a function f of log-probabilities l_v. With
l_v = z_v - log(sum over u of exp(z_u)), its gradient with respect to the logits z is

    d/dz_v (sum over u of f(l_u)) = f'(l_v) - p_v * (sum over u of f'(l_u)),

so all that is needed is f', by the chain rule. What moves, and what is held, is said here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Expr, S

from midpo.symbolic.language.nodes import Log, VocabProb


def is_log_probability(expr: Expr) -> bool:
    return isinstance(expr, Log) and isinstance(expr.args[0], VocabProb)


def by_log_probability(policy: Expr) -> Callable[[Expr], Expr | None]:
    """Atoms for the derivative with respect to the log-probability l_v of `policy`: p_v and l_v
    themselves change; what does not depend on the entry v is held."""

    def of(expr: Any) -> Expr | None:
        if isinstance(expr, VocabProb):
            return expr if expr.args[0] == policy else S.Zero
        if is_log_probability(expr):
            return S.One if expr.args[0].args[0] == policy else S.Zero
        return None

    return of


def by_symbol(symbol: Expr) -> Callable[[Expr], Expr | None]:
    """Atoms for the derivative with respect to a symbol."""

    def of(expr: Any) -> Expr | None:
        if expr == symbol:
            return S.One
        return S.Zero if isinstance(expr, VocabProb) or is_log_probability(expr) else None

    return of
