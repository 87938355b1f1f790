"""The gradients of one pair's margin and loss, exactly, with any part of the prior detached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sympy import Add, Expr, S

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.duals import Dual, Floats64, gradient_of, value_of
from midpo.numeric.trees import World, default_parameters, random_pair, random_world
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.calculus import T, log_prior, rows, same, sequence_form
from midpo.proofs.audit.side import PriorSide
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.told import undecided
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    POLICY,
    REJECTED,
    RESPONSE,
    Log,
    Prob,
    StopGradient,
    VocabSum,
)
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import is_constant, loss_of_margin, target_loss

DEPTH = 6  # the longest response of a pair
ROLES = (CHOSEN, REJECTED)
Progress = Callable[[str], None]
Kept = tuple[tuple[bool, ...], ...]  # which terms of each role's prior are differentiated


@dataclass(frozen=True)
class Pair:
    """The gradients of log pi, and of each term of log zeta, along the logits of one pair's world.

    `loss` is the gradient of the target's loss (None without a target), `slope` that of the loss
    with respect to the margin, `rest` that of what the loss adds to it.
    """

    world: World
    policy: tuple[Floats64, Floats64]
    prior: tuple[tuple[Floats64, ...], tuple[Floats64, ...]]
    alpha: float
    margin: float
    loss: Floats64 | None
    target_value: float | None
    value: float
    slope: float
    rest: Floats64

    def gradient(self, kept: Sequence[Sequence[bool]]) -> Floats64:
        """The gradient of the margin with only the `kept` terms of each role's prior
        differentiated."""
        sides = [
            own - sum((g for g, keep in zip(terms, kept[i], strict=True) if keep), np.zeros(1))
            for i, (own, terms) in enumerate(zip(self.policy, self.prior, strict=True))
        ]
        found: Floats64 = self.alpha * (sides[0] - sides[1])
        return found

    def of_loss(self, kept: Sequence[Sequence[bool]]) -> Floats64:
        return self.slope * self.gradient(kept) + self.rest

    def everything(self, keep: bool) -> tuple[tuple[bool, ...], ...]:
        return tuple((keep,) * len(terms) for terms in self.prior)


class Gradients:
    """The gradients of one spec at random pairs; `terms` are the terms of each role's log zeta
    that move with the policy."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        both = (PriorSide.of(spec, role, "", stopped=True) for role in ROLES)
        self.terms = tuple(moving_terms(side) for side in both)
        # As the spec writes it: quicker to evaluate than the terms, where all are wanted.
        self.whole = tuple(Log(with_label(spec.prior, role)) for role in ROLES)
        self.parts = tuple(
            tuple(substitute(t, {RESPONSE: role}) for t in terms)
            for role, terms in zip(ROLES, self.terms, strict=True)
        )
        self.target = target_loss(spec) if spec.has_target else None
        self.link = loss_of_margin(replace(spec, constraint=None), MARGIN)
        self.constraint = None if spec.constraint is None else spec.multiplier * spec.constraint

    def pair(self, world: World, *, target: bool = True, parts: bool = False) -> Pair:
        """Everything at one pair; with `parts`, the prior term by term. Raises: Undefined."""
        named = dict(zip(("y_w", "y_l"), world.responses, strict=True))
        # A response beside the pair may be any, the preferred one too.
        named |= {str(y): named["y_w"] for y in self.spec.names.responses}
        size = world.directions("logits")
        at = world.evaluator(named, "logits")
        policy = [gradient_of(at(Log(Prob(POLICY, role))), size) for role in ROLES]
        prior = [
            tuple(gradient_of(at(term), size) for term in terms)
            for terms in (self.parts if parts else [(whole,) for whole in self.whole])
        ]
        values = [
            value_of(at(Log(Prob(POLICY, role)))) - value_of(at(whole))
            for role, whole in zip(ROLES, self.whole, strict=True)
        ]
        alpha = float(world.parameters["alpha"]) if not self.spec.alpha.is_number else 1.0
        margin = alpha * (values[0] - values[1])
        loss = world.evaluator(named, None, Dual(margin, np.ones(1)))(self.link)
        rest, added = np.zeros(size), 0.0
        if self.constraint is not None:
            found = at(self.constraint)
            rest, added = gradient_of(found, size), value_of(found)
        wanted = at(self.target) if target and self.target is not None else None
        return Pair(
            world,
            (policy[0], policy[1]),
            (prior[0], prior[1]),
            alpha,
            margin,
            None if wanted is None else gradient_of(wanted, size),
            None if wanted is None else value_of(wanted),
            value_of(loss) + added,
            float(gradient_of(loss, 1)[0]),
            rest,
        )

    def random(self, rng: np.random.Generator, *, defaults: bool = True) -> World:
        parameters = default_parameters(self.spec) if defaults else None
        scale = float(rng.choice((0.5, 1.5, 3.0)))
        return random_world(
            self.spec, random_pair(rng, DEPTH), rng, sight="free", scale=scale, parameters=parameters
        )

    def pairs(self, seed: int, count: int) -> list[Pair]:
        """`count` random pairs at which everything has a value, as far as there are such."""
        rng = np.random.default_rng(seed)
        found: list[Pair] = []
        for _ in range(4 * count):
            try:
                found.append(self.pair(self.random(rng), parts=True))
            except Undefined:
                continue
            if len(found) == count:
                break
        return found


def moving_terms(side: PriorSide) -> tuple[Expr, ...]:
    """The additive terms of log zeta that move with the policy; the whole, where its form is not
    known."""
    whole = Log(side.expr) if side.log is None else side.log
    return tuple(t for t in Add.make_args(_joined(whole)) if POLICY in t.free_symbols)


def _joined(expr: Expr) -> Expr:
    """A sum with terms of one weight joined: what a spec writes as one factor stays one term."""
    groups: dict[Any, Expr] = {}
    for term in Add.make_args(expr):
        stopped = frozenset(term.atoms(StopGradient))
        kind = "own" if speaks_of_logs_alone(term) else "law"
        groups[kind, stopped] = groups.get((kind, stopped), S.Zero) + term
    return Add(*groups.values()) if len(groups) < 2 else _unevaluated(groups.values())


def _unevaluated(parts: Any) -> Expr:
    return Add(*parts, evaluate=False)


def speaks_of_logs_alone(term: Expr) -> bool:
    return not term.has(VocabSum)


def side_rows(spec: Spec, role: Expr) -> Any:
    """The rows of log pi - log zeta on the side of `role`."""
    assert spec.prior is not None
    return rows(sequence_form(Log(Prob(POLICY, RESPONSE)) - log_prior(spec.prior, role)))


def parallel(spec: Spec) -> Expr | None:
    """The c with nabla m = c*alpha*(nabla L_w - nabla L_l), constant; None where there is none."""
    try:
        found = [side_rows(spec, role) for role in ROLES]
    except (MidpoError, RecursionError):
        return None
    if any(len(side) != 1 or side[0].law is not None for side in found):
        return None
    left, right = (side[0].weight for side in found)
    constant = is_constant(left) and T not in left.free_symbols
    return left if constant and same(left, right) else None


def undefined(question: str) -> Claim:
    return Claim(
        question,
        "undecided",
        "no random pair gives the loss a value",
        undecided("undefined at every random pair"),
    )
