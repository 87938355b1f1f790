"""Which sums over the vocabulary one pass over the logits gives, and what it carries for them.

With z a policy's logits, m the largest seen so far, u = z - m and L the logarithm of the sum of
exp(u) at the end, log p = u - L. So for any constants

    sum of p**a * q**b * (k + c*log p + d*log q)
        = exp(-a*L_p - b*L_q) * (D + (k - c*L_p - d*L_q)*W),
    W = sum of exp(a*u_p + b*u_q),   D = sum of exp(a*u_p + b*u_q)*(c*u_p + d*u_q):

W and D are moments, which are carried along. Where a maximum moves from m to n, with s = m - n,

    W becomes r*W,   D becomes r*(D + (c*s_p + d*s_q)*W),   r = exp(a*s_p + b*s_q).

Exponents are at least 0, so that no term exceeds 1. Both divergences, the entropy, cross-entropies
and power sums have this form; the rest takes a second pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sympy import Add, Expr, Mul, Rational, S, expand

from midpo.symbolic.language.nodes import Exp, Sqrt, VocabProb

from .derivatives import is_log_probability
from .statistics import ENTRY

Coefficients = tuple[tuple[str, Expr], ...]
"""A number for each of some policies: exponents of probabilities, or factors of logarithms."""


@dataclass(frozen=True)
class Term:
    """sum of (product of p**a) * (constant + sum of c*log p): `weight` holds the a by policy,
    `linear` the c."""

    weight: Coefficients
    constant: Expr
    linear: Coefficients


@dataclass(frozen=True)
class Moments:
    """What some sums need together: W for each of `weights`, D for each of `forms`, a weight with
    the factors of its logarithms."""

    weights: tuple[Coefficients, ...]
    forms: tuple[tuple[Coefficients, Coefficients], ...]


def terms_of(body: Expr) -> tuple[Term, ...] | None:
    """The sum of `body` over the vocabulary by its weights; None where it has no such form."""
    found: dict[Coefficients, tuple[Expr, dict[str, Expr]]] = {}
    for summand in Add.make_args(expand(body)):
        parsed = _monomial(summand)
        if parsed is None:
            return None
        weight, log, factor = parsed
        constant, linear = found.get(weight, (S.Zero, {}))
        if log is None:
            constant += factor
        else:
            linear[log] = linear.get(log, S.Zero) + factor
        found[weight] = constant, linear
    return tuple(
        Term(weight, constant, _coefficients(linear)) for weight, (constant, linear) in found.items()
    )


def moments(terms: Iterable[Term]) -> Moments:
    """What one pass must carry for these sums, each moment once."""
    weights: dict[Coefficients, None] = {}
    forms: dict[tuple[Coefficients, Coefficients], None] = {}
    for term in terms:
        weights[term.weight] = None
        if term.linear:
            forms[term.weight, term.linear] = None
    return Moments(tuple(weights), tuple(forms))


def _monomial(summand: Expr) -> tuple[Coefficients, str | None, Expr] | None:
    """(weight, policy of a logarithm, factor) of one summand."""
    exponents: dict[str, Expr] = {}
    log: str | None = None
    factor: Expr = S.One
    for part in Mul.make_args(summand):
        if ENTRY not in part.free_symbols:
            factor *= part
        elif is_log_probability(part):
            if log is not None:
                return None
            log = str(part.args[0].args[0])
        else:
            powers = _powers(part)
            if powers is None:
                return None
            factor *= powers[1]
            for policy, exponent in powers[0].items():
                exponents[policy] = exponents.get(policy, S.Zero) + exponent
    weight = _coefficients(exponents)
    if not weight or not all(exponent.is_nonnegative for _, exponent in weight):
        return None
    return weight, log, factor


def _powers(part: Expr) -> tuple[dict[str, Expr], Expr] | None:
    """(exponent of each policy, factor) of p**a, sqrt(p) or exp(a*log p + b)."""
    if isinstance(part, Exp):
        return _exponential(part.args[0])
    half = isinstance(part, Sqrt)
    base, exponent = (part.args[0], Rational(1, 2)) if half else part.as_base_exp()
    if isinstance(base, VocabProb) and ENTRY not in exponent.free_symbols:
        return {str(base.args[0]): exponent}, S.One
    return None


def _exponential(inside: Expr) -> tuple[dict[str, Expr], Expr] | None:
    exponents: dict[str, Expr] = {}
    factor: Expr = S.One
    for term in Add.make_args(expand(inside)):
        moving = [f for f in Mul.make_args(term) if ENTRY in f.free_symbols]
        if not moving:
            factor *= Exp(term)
            continue
        if len(moving) > 1 or not is_log_probability(moving[0]):
            return None
        policy = str(moving[0].args[0].args[0])
        exponents[policy] = exponents.get(policy, S.Zero) + term / moving[0]
    return exponents, factor


def _coefficients(found: dict[str, Expr]) -> Coefficients:
    return tuple(sorted((p, c) for p, c in found.items() if c != 0))
