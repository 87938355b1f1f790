"""Rows of RULES for sums over positions that have a closed form: powers of the position, and
geometric series.
"""

from __future__ import annotations

from sympy import Add, Expr, Mul, Pow, Rational, S, bernoulli, binomial

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import Exp, Length, TokenSum
from midpo.symbolic.language.signs import is_negative, is_positive

from .rule import Parts, Rule

MAX_POWER = 12  # of a position


def _find_power_sum(node: TokenSum) -> Parts | None:
    body, index, y = node.args
    base, exponent = body.as_base_exp()
    fits = base == index and exponent.is_Integer and 1 <= exponent <= MAX_POWER
    return (index, exponent, y) if fits else None


def _faulhaber(t: Expr, k: Expr, y: Expr) -> Expr:
    """1**k + 2**k + ... + n**k as a polynomial in n = len(y); k is a whole number from 1 on."""
    n, k = Length(y), int(k)
    # With B(1) = 1/2: conventions differ in that number alone.
    numbers = (S.Half if j == 1 else bernoulli(j) for j in range(k + 1))
    terms = (binomial(k + 1, j) * b * n ** (k + 1 - j) for j, b in enumerate(numbers))
    return Add(*(term / (k + 1) for term in terms))


def _find_geometric(node: TokenSum) -> Parts | None:
    """The exponent of a product of exponentials, as slope*t + rest."""
    body, t, y = node.args
    exponent: list[Expr] = []
    for factor in Mul.make_args(body):
        base, power = factor.as_base_exp()
        if not isinstance(base, Exp) or not isinstance(power, Rational):
            return None
        exponent.append(power * base.args[0])
    terms = Add.make_args(expand(Add(*exponent)))
    slope = Add(*(term / t for term in terms if t in term.free_symbols))
    rest = Add(*(term for term in terms if t not in term.free_symbols))
    if t in slope.free_symbols or not (is_positive(slope) or is_negative(slope)):
        return None
    return body, t, y, slope, rest


def _geometric_right(body: Expr, t: Expr, y: Expr, slope: Expr, rest: Expr) -> Expr:
    ratio, first = Exp(slope), Exp(slope + rest)
    return first * (1 - Exp(slope * Length(y))) / (1 - ratio)


def _geometric_holds(body: Expr, t: Expr, y: Expr, slope: Expr, rest: Expr) -> bool:
    """The ratio is not 1, and the body is the exponential of slope*t + rest."""
    total = Add(*(f.as_base_exp()[1] * f.as_base_exp()[0].args[0] for f in Mul.make_args(body)))
    return (
        all(isinstance(f.as_base_exp()[0], Exp) for f in Mul.make_args(body))
        and t not in slope.free_symbols | rest.free_symbols
        and (is_positive(slope) or is_negative(slope))
        and expand(total - slope * t - rest) == 0
    )


SERIES: tuple[Rule, ...] = (
    Rule(
        "sum_of_powers",
        "field",
        "sum(t**k for t in y) = a polynomial in len(y)",
        f"k = 1, ..., {MAX_POWER}",
        "sum of powers of the positions (Faulhaber)",
        (TokenSum,),
        _find_power_sum,
        lambda t, k, y: TokenSum(Pow(t, k), t, y),
        _faulhaber,
        lambda t, k, y: bool(k.is_Integer and 1 <= k <= MAX_POWER),
    ),
    Rule(
        "geometric_sum",
        "field",
        "sum(exp(a*t + b) for t in y) = exp(a + b)*(1 - exp(a*len(y)))/(1 - exp(a))",
        "a, b free of t; a != 0",
        "geometric series",
        (TokenSum,),
        _find_geometric,
        lambda body, t, y, *rest: TokenSum(body, t, y),
        _geometric_right,
        _geometric_holds,
    ),
)
