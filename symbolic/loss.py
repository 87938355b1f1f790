"""The generalised loss -log sigmoid(m) with m = alpha*log(pi/zeta)(y_w) - alpha*log(pi/zeta)(y_l).

Reference: Tutunov, Grosnit and Bou-Ammar, arXiv:2501.01544, equation for J_MI-DPO (section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Add, Expr, Mul, Pow, S, Symbol

from midpo.symbolic.algebra.polynomial import monomial_expression, polynomial
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    POLICY,
    REJECTED,
    Exp,
    Feature,
    Log,
    LogSigmoid,
    Parameter,
    Prior,
    Prob,
    Sigmoid,
    roles,
)
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.language.spec import Spec

ROLES = (CHOSEN, REJECTED)


def prior_margin(alpha: Expr) -> Expr:
    """The margin with the prior as an unknown zeta."""
    chosen, rejected = (Log(Prob(POLICY, y) / Prior(y)) for y in ROLES)
    return alpha * chosen - alpha * rejected


def prior_definitions(prior: Expr) -> dict[Expr, Expr]:
    """What zeta is on each side: the prior, spoken of y_w where preferred and y_l where not."""
    return {Prior(y): with_label(prior, y) for y in ROLES}


def loss_of_margin(spec: Spec, margin: Expr) -> Expr:
    """The loss of one pair: link(margin) + multiplier*constraint."""
    loss = -LogSigmoid(margin) if spec.link is None else substitute(spec.link, {MARGIN: margin})
    if spec.constraint is not None:
        loss += spec.multiplier * spec.constraint
    return loss


def recovered_margin(spec: Spec) -> Expr:
    """The margin that the spec's prior gives, before any rewriting."""
    assert spec.prior is not None
    return substitute(prior_margin(spec.alpha), prior_definitions(spec.prior))


def recovered_loss(spec: Spec) -> Expr:
    return loss_of_margin(spec, recovered_margin(spec))


def target_loss(spec: Spec) -> Expr:
    """The loss of one pair as the spec's target states it."""
    if spec.loss is not None:
        return spec.loss
    assert spec.margin is not None
    return loss_of_margin(spec, spec.margin)


def pair_loss(spec: Spec) -> Expr:
    """The loss of one pair: the target's, or the prior's where there is no target.

    Raises: SpecError where no spec of one pair can hold the loss.
    """
    return target_loss(spec) if spec.has_target else recovered_loss(spec)


def kernel_loss(spec: Spec) -> Expr:
    """What a kernel computes: the loss of a pair, or what is stated of a batch where there is none.

    Raises: as `pair_loss`.
    """
    return pair_loss(spec) if spec.batch is None else spec.batch


@dataclass(frozen=True)
class LogisticForm:
    """A loss factor*(-log sigmoid(margin)) + constant, both free of pair and policy; the factor is
    positive unless it was asked for otherwise."""

    factor: Expr
    margin: Expr
    constant: Expr


def logistic_form(loss: Expr, *, signed: bool = False) -> LogisticForm | None:
    """`loss` as a logistic loss of a margin, or None where it is not written as one. With `signed`
    also where the sign of the factor depends on parameters."""
    logistic: dict[Expr, Expr] = {}
    terms = []
    for term in Add.make_args(loss):
        factors = [_as_logsigmoid(factor) for factor in Mul.make_args(term)]
        terms.append(Mul(*factors))
    poly = polynomial(Add(*terms))
    constant: Expr = S.Zero
    for monomial, coefficient in poly.items():
        logistic_part = {(a, e) for a, e in monomial if isinstance(a, LogSigmoid) and e == 1}
        margins = [a.args[0] for a, _ in logistic_part]
        rest = monomial_expression(monomial - logistic_part, coefficient)
        if not is_constant(rest) or len(margins) > 1:
            return None
        if margins:
            logistic[margins[0]] = logistic.get(margins[0], S.Zero) - rest
        else:
            constant += rest
    if len(logistic) != 1:
        return None
    ((margin, factor),) = logistic.items()
    fits = not is_nonnegative(-factor) if signed else is_positive(factor)
    return LogisticForm(factor, margin, constant) if fits else None


def _as_logsigmoid(factor: Expr) -> Expr:
    """log(sigmoid(m)), log(1 + exp(-m)), log(1/(1 + exp(-m))) and the Bradley-Terry ratio
    log(a/(a + b)) as log-sigmoids of the margin."""
    if not isinstance(factor, Log):
        return factor
    ratio = _bradley_terry(factor.args[0])
    if ratio is not None:
        return LogSigmoid(ratio)
    arg, sign = factor.args[0], -1
    if isinstance(arg, Sigmoid):
        return LogSigmoid(arg.args[0])
    if isinstance(arg, Pow) and arg.exp == -1:
        arg, sign = arg.base, 1
    if isinstance(arg, Add) and len(arg.args) == 2 and arg.args[0] == 1:
        other = arg.args[1]
        return sign * LogSigmoid(-other.args[0]) if isinstance(other, Exp) else factor
    return factor


def _bradley_terry(ratio: Expr) -> Expr | None:
    """The margin log(a) - log(b) of a ratio a/(a + b) of positive expressions, or None."""
    sums = [f for f in Mul.make_args(ratio) if isinstance(f, Pow) and isinstance(f.base, Add)]
    if len(sums) != 1 or sums[0].exp != -1 or len(sums[0].base.args) != 2:
        return None
    above = ratio / sums[0]
    below = sums[0].base.args
    if above not in below or 1 in below or not all(map(is_positive, below)):
        return None
    (other,) = (term for term in below if term != above)
    return Log(above) - Log(other)


def is_constant(expr: Expr) -> bool:
    """Whether `expr` has one value for every policy, pair and token: numbers and parameters."""
    if isinstance(expr, (Symbol, Feature)):
        return isinstance(expr, Parameter)
    return all(is_constant(arg) for arg in expr.args)


def stated_sides(margin: Expr) -> tuple[Expr, Expr] | None:
    """(r_w, r_l) of a margin r_w - r_l + c as it stands, where each of its terms speaks of one
    response alone, or of neither (c); None where one speaks of both, or a side is missing."""
    terms = Add.make_args(margin)
    whose = [roles(term) for term in terms]
    if any(len(each) > 1 for each in whose):
        return None
    chosen = Add(*(t for t, each in zip(terms, whose, strict=True) if each == {CHOSEN}))
    rejected = -Add(*(t for t, each in zip(terms, whose, strict=True) if each == {REJECTED}))
    return (chosen, rejected) if chosen != 0 and rejected != 0 else None
