"""Sums of multiples of exponentials: which an expression is, and its logarithm's parts.

A product of powers of probabilities, exponentials and sigmoids is exp(a) with a linear in
log-probabilities. An expression sum of c*exp(a) with coefficients c of known signs is P - N with P
and N sums of exponentials exp(a + log c); then log(P) is a log-sum-exp of them, and
log(P - N) = log P + log(1 - exp(log N - log P)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy
from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.language.nodes import (
    Exp,
    Log,
    LogSigmoid,
    Max,
    Min,
    Node,
    Sigmoid,
    StopGradient,
    TokenProb,
    TokenSum,
    VocabSum,
)
from midpo.symbolic.language.signs import is_nonnegative, is_positive

from .log_sums import tilt

MAX_TERMS = 24  # of a coefficient that is factored to see its sign
_TOTALS = (TokenSum, VocabSum)


@dataclass(frozen=True)
class Signed:
    """The exponents of P and of N in P - N."""

    plus: tuple[Expr, ...]
    minus: tuple[Expr, ...]


def is_exponential(expr: Expr) -> bool:
    """Whether `expr` may be far beyond the range of numbers, or below it, where its logarithm is
    not."""
    if isinstance(expr, (Exp, Sigmoid, TokenProb)):
        return True
    if isinstance(expr, Pow):
        return isinstance(expr.exp, Rational) and is_exponential(expr.base)
    if isinstance(expr, (Add, Mul, Max, Min)):
        return any(map(is_exponential, expr.args))
    if isinstance(expr, (StopGradient, TokenSum)):
        return is_exponential(expr.args[0])
    return isinstance(expr, VocabSum) and tilt(expr) is not None


@lru_cache(maxsize=4096)
def signed(expr: Expr) -> Signed | None:
    """`expr` as P - N, both sums of exponentials; None where a sign is not known, or where nothing
    in it is an exponential. A coefficient that may be 0 has the sign that it has elsewhere."""
    if not is_exponential(expr):
        return None
    plus: list[Expr] = []
    minus: list[Expr] = []
    for exponent, coefficient in by_exponent(expr).items():
        sign = sign_of(coefficient) or is_nonnegative(coefficient) - is_nonnegative(-coefficient)
        if sign == 0:
            return None
        side = plus if sign > 0 else minus
        side.append(exponent + _log(sign * coefficient))
    return Signed(tuple(plus), tuple(minus))


def _log(coefficient: Expr) -> Expr:
    return S.Zero if coefficient == 1 else Log(coefficient)


def by_exponent(expr: Expr) -> dict[Expr, Expr]:
    """The sum `expr` as exponent a -> coefficient of exp(a)."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(expr):
        exponent: Expr = S.Zero
        coefficient: Expr = S.One
        for factor in Mul.make_args(term):
            inner = logarithm(factor)
            if inner is None:
                coefficient *= factor
            else:
                exponent += inner
        found[exponent] = found.get(exponent, S.Zero) + coefficient
    return {exponent: c for exponent, c in found.items() if c != 0}


def logarithm(factor: Expr) -> Expr | None:
    """The logarithm of a positive factor that is an exponential; None for any other."""
    if isinstance(factor, Exp):
        return factor.args[0]
    if isinstance(factor, Sigmoid):
        return LogSigmoid(*factor.args)
    if isinstance(factor, TokenProb):
        return Log(factor)
    if isinstance(factor, Pow) and isinstance(factor.exp, Rational):
        inner = logarithm(factor.base)
        return None if inner is None else factor.exp * inner
    if isinstance(factor, (Max, Min)) and is_exponential(factor):
        parts = [_logarithm_of_positive(arg) for arg in factor.args]
        return None if None in parts else factor.func(*parts)
    if isinstance(factor, StopGradient):
        inner = logarithm(factor.args[0])
        return None if inner is None else StopGradient(inner)
    if isinstance(factor, Add) and is_exponential(factor) and is_positive_sum(factor):
        return Log(factor)
    if isinstance(factor, TokenSum) and is_positive_total(factor):
        return Log(factor)
    return None


def _logarithm_of_positive(expr: Expr) -> Expr | None:
    found = signed(expr)
    if found is None:
        return Log(expr) if is_positive(expr) else None
    if len(found.plus) == 1 and not found.minus and is_positive_sum(expr):
        return found.plus[0]
    return Log(expr) if is_positive_sum(expr) else None


def is_positive_sum(expr: Expr) -> bool:
    """Whether `expr` is greater than 0 everywhere, all coefficients being positive or seen so."""
    found = signed(expr)
    if found is not None and not found.minus and any(map(sign_of, by_exponent(expr).values())):
        return True
    return is_positive(expr)


def is_positive_total(expr: Expr) -> bool:
    """Whether a sum over tokens is of positive exponentials."""
    return is_exponential(expr) and is_positive_sum(expr.args[0])


@lru_cache(maxsize=4096)
def sign_of(coefficient: Expr) -> int:
    """1 or -1 where a coefficient has that sign for every value of its parameters, else 0."""
    if is_positive(coefficient):
        return 1
    if is_positive(-coefficient):
        return -1
    if not isinstance(coefficient, (Add, Mul)) or len(Add.make_args(coefficient)) > MAX_TERMS:
        return 0
    if isinstance(coefficient, Add):
        if coefficient.has(Node):
            return 0
        coefficient = sympy.factor(coefficient)
        if isinstance(coefficient, Add):
            return 0
    sign = 1
    for factor in Mul.make_args(coefficient):
        base, exponent = factor.as_base_exp()
        if is_positive(factor):
            continue
        one = 1 if is_positive(base) else -1 if is_positive(-base) else 0
        if one == 0 and factor != coefficient:
            one = sign_of(base)
        if one == 0 or (one < 0 and not exponent.is_Integer):
            return 0
        sign *= one if one > 0 or exponent % 2 else 1
    return sign
