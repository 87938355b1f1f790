"""Derivatives of expressions over the vocabulary with respect to a log-probability.

A statistic is a sum over the vocabulary of a function f of log-probabilities l_v. With
l_v = z_v - log(sum over u of exp(z_u)), its gradient with respect to the logits z is

    d/dz_v (sum over u of f(l_u)) = f'(l_v) - p_v * (sum over u of f'(l_u)),

so all that is needed is f', by the chain rule and the table below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Add, Expr, Mul, Pow, S

from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import (
    Abs,
    Exp,
    Log,
    LogSigmoid,
    Max,
    Min,
    Node,
    Relu,
    Sigmoid,
    Sqrt,
    Step,
    StopGradient,
    Tanh,
    VocabProb,
)
from midpo.symbolic.language.text import text


def _sign(x: Expr) -> Expr:
    return 2 * Step(x) - 1


# Partial derivatives with respect to each argument. At a kink the value is one of the two sides'.
PARTIALS: dict[type[Node], Callable[..., tuple[Expr, ...]]] = {
    Log: lambda x: (1 / x,),
    Exp: lambda x: (Exp(x),),
    Sqrt: lambda x: (1 / (2 * Sqrt(x)),),
    Sigmoid: lambda x: (Sigmoid(x) * Sigmoid(-x),),
    LogSigmoid: lambda x: (Sigmoid(-x),),
    Tanh: lambda x: (4 * Sigmoid(2 * x) * Sigmoid(-2 * x),),
    Relu: lambda x: (Step(x),),
    Abs: lambda x: (_sign(x),),
    Max: lambda *xs: tuple(_wins(x, xs, 1) for x in xs),
    Min: lambda *xs: tuple(_wins(x, xs, -1) for x in xs),
    Step: lambda x: (S.Zero,),
    StopGradient: lambda x: (S.Zero,),
}


def _wins(x: Expr, xs: tuple[Expr, ...], sign: int) -> Expr:
    """1 where x is the largest (sign 1) or smallest (sign -1) of xs, else 0."""
    at = xs.index(x)
    ahead = [Step(sign * (x - other)) for other in xs[at + 1 :]]
    strictly = [1 - Step(sign * (other - x)) for other in xs[:at]]
    return Mul(*ahead, *strictly)


def is_log_probability(expr: Expr) -> bool:
    return isinstance(expr, Log) and isinstance(expr.args[0], VocabProb)


def derivative(expr: Expr, of: Callable[[Expr], Expr | None]) -> Expr:
    """The derivative of `expr`; `of` gives that of the atoms it knows, None for what is made of
    parts. Raises: NotYet for a function that the table lacks."""
    known = of(expr)
    if known is not None:
        return known
    if not expr.args:
        return S.Zero
    if isinstance(expr, Add):
        return Add(*(derivative(arg, of) for arg in expr.args))
    if isinstance(expr, Mul):
        parts = [(arg, derivative(arg, of)) for arg in expr.args]
        return Add(*(expr / arg * slope for arg, slope in parts if slope != 0))
    if isinstance(expr, Pow):
        inside, outside = (derivative(arg, of) for arg in expr.args)
        base, exponent = expr.args
        grown = S.Zero if inside == 0 else exponent * Pow(base, exponent - 1) * inside
        return grown + (S.Zero if outside == 0 else expr * Log(base) * outside)
    slopes = [derivative(arg, of) for arg in expr.args]
    if all(slope == 0 for slope in slopes):
        return S.Zero
    if type(expr) not in PARTIALS:
        raise NotYet(f"no derivative is known for {text(expr)}")
    partials = PARTIALS[type(expr)](*expr.args)
    return Add(*(p * s for p, s in zip(partials, slopes, strict=True)))


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
