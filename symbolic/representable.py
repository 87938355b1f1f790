"""What a prior depends on, and the prior that a separable margin needs.

Reference: a margin m(w, l) = f(w) - g(l) has the priors pi*exp(-f/alpha) on the chosen side and
pi*exp(-g/alpha) on the rejected side, unique up to one factor free of y.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import (
    CHOSEN,
    POLICY,
    REFERENCE,
    REJECTED,
    RESPONSE,
    ByLabel,
    Exp,
    Feature,
    Log,
    Max,
    Prob,
    Step,
    TokenProb,
    TokenSum,
    roles,
)
from midpo.symbolic.language.signs import is_positive
from midpo.symbolic.language.spec import Spec

from .loss import ROLES, is_constant


@dataclass(frozen=True)
class PriorFacts:
    """What a prior depends on.

    `policy`: "fixed" (at most the reference), "iterative" (further frozen policies) or
    "self-referential" (the trained policy). `label_free`: one function for both roles.
    `token_level`: not a function of whole-response probabilities, lengths and features alone.
    """

    policy: str
    label_free: bool
    token_level: bool


def prior_facts(spec: Spec) -> PriorFacts:
    """The facts of `spec`'s prior, read off the normal form of its logarithm."""
    assert spec.prior is not None
    labels = [substitute(with_label(spec.prior, role), {role: RESPONSE}) for role in ROLES]
    sides = [normal_form(Log(side), written_out=True) for side in dict.fromkeys(labels)]
    used = {symbol for side in sides for symbol in side.free_symbols}
    policies = {s for s in used if s.name in spec.names.policies}
    policy = "self-referential" if POLICY in policies else "iterative" if policies - {REFERENCE} else "fixed"
    tokens = any(
        not (isinstance(s.args[0], Log) and isinstance(s.args[0].args[0], TokenProb))
        for side in sides
        for s in side.atoms(TokenSum)
    )
    return PriorFacts(policy, is_zero(sides[0] - sides[-1]), tokens)


def fold(expr: Expr) -> Expr:
    """`expr` with sums of token log-probabilities written as log-probabilities of responses, and
    exponentials of multiples of logarithms as powers."""

    def whole(node: Expr) -> Expr:
        body, index, response = node.args
        if isinstance(body, Log) and isinstance(body.args[0], TokenProb):
            policy, at, position = body.args[0].args
            if (at, position) == (response, index):
                return Log(Prob(policy, response))
        return node

    folded = substitute(expr, {node: whole(node) for node in expr.atoms(TokenSum)})
    powers = {node: power for node in folded.atoms(Exp) if (power := _as_power(node)) is not None}
    return substitute(folded, powers)


def _as_power(node: Expr) -> Expr | None:
    """exp(a*log(x) + b*log(y)) as x**a*y**b, where a and b hold no logarithms, and are rational or
    x and y are positive."""
    powers = []
    for term in Add.make_args(node.args[0]):
        logs = [f for f in Mul.make_args(term) if isinstance(f, Log)]
        exponent = term / Mul(*logs)
        if len(logs) != 1 or exponent.has(Log, TokenSum):
            return None
        base = logs[0].args[0]
        if not isinstance(exponent, Rational) and not is_positive(base):
            return None
        powers.append(Pow(base, exponent))
    return Mul(*powers)


def plainest(margin: Expr) -> Expr:
    """The margin, or its field form where that is shorter and without maxima and steps."""
    if not margin.has(Max, Step):
        return margin
    try:
        found = normal_form(margin, field=True)
    except (TooLarge, NoValue, RecursionError):
        return margin
    shorter = found.count_ops() < margin.count_ops() and not found.has(Max, Step)
    return found if shorter else margin


def prior_of_margin(margin: Expr, alpha: Expr) -> Expr | None:
    """The prior that gives `margin`, as an expression in y; None where it is not separable.

    `margin` is in normal form. A constant is shared evenly between the roles. A feature of the pair
    is no function of y, so that no prior can give a margin that speaks of one.
    """
    if any(len(feature.args) == 1 for feature in margin.atoms(Feature)):
        return None
    sides: dict[Expr, list[Expr]] = {CHOSEN: [], REJECTED: []}
    constant: Expr = S.Zero
    for term in Add.make_args(margin):
        spoken = roles(term)
        if spoken in ({CHOSEN}, {REJECTED}):
            sides[spoken.pop()].append(term)
        elif not spoken and is_constant(term):
            constant += term
        else:
            return None
    chosen = substitute(Add(*sides[CHOSEN]), {CHOSEN: RESPONSE})
    rejected = -substitute(Add(*sides[REJECTED]), {REJECTED: RESPONSE})
    if is_zero(chosen - rejected):
        offset = -constant / (2 * alpha)
        shared = _prior_of_score(chosen, alpha)
        return shared if constant == 0 else shared * Exp(ByLabel(offset, -offset))
    half = constant / 2
    return ByLabel(_prior_of_score(chosen + half, alpha), _prior_of_score(rejected - half, alpha))


def _prior_of_score(score: Expr, alpha: Expr) -> Expr:
    """pi(y)*exp(-score/alpha), with log-probabilities of responses as powers."""
    logarithm = fold(normal_form(Log(Prob(POLICY, RESPONSE)) - score / alpha))
    powers: dict[Expr, list[Expr]] = {}
    rest = []
    for term in Add.make_args(logarithm):
        parts = Mul.make_args(term)
        logs = [f for f in parts if isinstance(f, Log) and isinstance(f.args[0], Prob)]
        others = Mul(*(f for f in parts if f not in logs))
        if len(logs) == 1 and not others.has(Log, TokenSum):
            powers.setdefault(logs[0].args[0], []).append(others)
        else:
            rest.append(term)
    factors = [Pow(base, Add(*exponents)) for base, exponents in powers.items()]
    return Mul(*factors, *([Exp(Add(*rest))] if rest and Add(*rest) != 0 else []))
