"""What the printer of a kernel asks of an expression: which form it has."""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Mul, S, Symbol

from midpo.codegen.plan.exponentials import signed
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import (
    CHOSEN,
    REJECTED,
    RESPONSE,
    Exp,
    Index,
    Length,
    Log,
    LogSigmoid,
    Max,
    Min,
    Node,
    Parameter,
    Sigmoid,
    StopGradient,
    TokenProb,
    VocabProb,
    roles,
)
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.language.words import BY_NODE
from midpo.symbolic.loss import is_constant

OTHER = Symbol("other response of the pair")


def at_a_place(expr: Expr) -> Expr:
    """`expr` for any response and position."""
    generic = expr.xreplace(dict.fromkeys(roles(expr), RESPONSE))
    return generic.xreplace({i: Symbol("position") for i in generic.free_symbols if isinstance(i, Index)})


def parameter_power(expr: Exp) -> tuple[Parameter, Expr] | None:
    """exp(e*log(b)) with a parameter b, as (b, e)."""
    factors = Mul.make_args(expr.args[0])
    logs = [f for f in factors if isinstance(f, Log) and isinstance(f.args[0], Parameter)]
    if len(logs) != 1:
        return None
    return logs[0].args[0], Mul(*(f for f in factors if f is not logs[0]))


def is_torch_number(expr: Expr) -> bool:
    """Whether a scalar is printed as a tensor already: a function of torch is in it."""
    if isinstance(expr, Exp) and parameter_power(expr):
        return False
    plain = not isinstance(expr, Node) or isinstance(expr, (Max, Min, StopGradient))
    return not plain or any(map(is_torch_number, expr.args))


def is_token_logp(expr: Expr) -> bool:
    return isinstance(expr, Log) and isinstance(expr.args[0], TokenProb)


def may_be_zero(factor: Any) -> bool:
    """Whether a factor is 0 at more than a null set of pairs, or at the end of a domain."""
    base = factor.as_base_exp()[0]
    if is_constant(base):
        known = is_positive(base) or is_positive(-base)
        return not known and (is_nonnegative(base) or is_nonnegative(-base))
    while (word := BY_NODE.get(type(base))) is not None and word.keeps_sign:
        (base,) = base.args
    return word is not None and word.pieces is not None and S.Zero in word.pieces(*base.args)


def is_probability(factor: Any) -> bool:
    base, exponent = factor.as_base_exp()
    return isinstance(base, VocabProb) and bool(exponent.is_Rational and exponent > 0)


def logsigmoids_apart(expr: Add) -> tuple[Expr, Expr, Expr] | None:
    """The (k, a, b) of k*(logsigmoid(a) - logsigmoid(b)), else None."""
    found = [(t / f, f.args[0]) for t in expr.args for f in Mul.make_args(t) if isinstance(f, LogSigmoid)]
    if len(found) != 2 or len(expr.args) != 2 or found[0][0] != -found[1][0]:
        return None
    (scale, a), (_, b) = sorted(found, key=lambda term: bool(term[0].as_coeff_Mul()[0] < 0))
    return scale, a, b


def agreeing_sigmoids(expr: Add) -> tuple[Expr, Expr, Expr] | None:
    """The (k, a, b) of k times the divergence of sigmoid(b) from sigmoid(a), else None."""
    found = []
    for term in expr.args:
        factors = Mul.make_args(term)
        sums = [f for f in factors if isinstance(f, Add) and f.has(LogSigmoid)]
        parts = logsigmoids_apart(sums[0]) if len(sums) == 1 else None
        if parts is None:
            return None
        scale, a, b = parts
        scale *= term / sums[0]
        if Sigmoid(b) in Mul.make_args(scale):
            scale, a, b = -scale, b, a
        found.append((scale / Sigmoid(a), a, b))
    if len(found) != 2:
        return None
    (scale, a, b), (other, c, d) = found
    same = scale == other and not scale.has(Sigmoid) and expand(a + c) == 0 == expand(b + d)
    return (scale, a, b) if same else None


def near_one(*parts: Expr | None) -> frozenset[str]:
    """The policies of which a logarithm of 1 - p is taken, for which a p near one needs all its
    digits."""
    logs = (log for part in parts if part is not None for log in part.atoms(Log))
    found = (signed(log.args[0]) for log in logs if not isinstance(log.args[0], TokenProb))
    exponents = (e for one in found if one is not None for e in one.minus)
    return frozenset(str(p.args[0]) for e in exponents for p in e.atoms(TokenProb))


def of_one_response(expr: Expr) -> Expr:
    """A sum or product over a response's tokens, the other's length named so that both roles are
    printed alike."""
    response = expr.args[2]
    others = {CHOSEN: REJECTED, REJECTED: CHOSEN}
    if response not in others:
        return expr
    return expr.xreplace({Length(others[response]): Length(OTHER)})


def is_negative_number(exponent: Any) -> bool:
    return bool(exponent.is_Number and exponent < 0)
