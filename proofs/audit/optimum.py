"""Is r = alpha*log(pi/zeta) + c true at the true optimum, when zeta depends on pi?

F[pi] = E_pi[r] - alpha*E_pi[log(pi/zeta[pi])] is maximised over the policies with zeta varied
together with pi. Its stationary points have r = alpha*log(pi/zeta) - alpha*T[pi] + c, where
T[pi](y) is the sum over y' of pi(y') * d log zeta[pi](y') / d pi(y) (proposition 2.1). The usual
expression is right iff T is constant in y: condition SA. Here T is read off the rows of log zeta,
and each formula is held against exact differentiation on random trees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from midpo.numeric.duals import Floats64
from midpo.numeric.figures import below, figure
from midpo.numeric.trees import Sight, centre, centred_response
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.words import CORRECTION
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Displayed, proposition, proved, told, undecided
from midpo.symbolic.formula.tree import Text, row
from midpo.symbolic.language.nodes import Log

from .correction import Correction, correction, special_cases, written
from .fixed_point import fixed_point
from .formulas import Notebook, tokens_before
from .regulariser import degenerate, regulariser
from .side import VANISHES, PriorSide, alpha_of, of_role

DIFFERS = 1e-3


@dataclass(frozen=True)
class Measured:
    """Exact differentiation at random policies: the largest gradient of F that the formula leaves,
    and the smallest and largest that the usual expression leaves, each relative to the size of T
    (or of 1)."""

    policies: int
    formula: float
    usual_least: float
    usual_most: float


def measure(side: PriorSide, sight: Sight, seed: int, *, bar: bool) -> Measured | None:
    """The gradient of F on the simplex at random policies, with r set to the two expressions.

    Everything but the formula comes from differentiating log zeta as the spec writes it.
    """
    formula: list[float] = []
    usual: list[float] = []
    for world in side.random_worlds(sight, seed):
        pi = world.probability()
        log_zeta, slopes = world.jacobian(Log(side.expr))
        alpha = alpha_of(side.spec, world)
        if bar:
            zeta = np.exp(log_zeta - log_zeta.max())
            zeta /= zeta.sum()
            log_zeta = np.log(zeta)
            slopes = slopes - zeta @ slopes  # of log zeta - log sum zeta
        else:
            zeta = np.zeros_like(pi)
        exact = pi @ slopes
        size = max(1.0, float(np.abs(centre(exact)).max())) * alpha

        def gradient(
            r: Floats64,
            pi: Floats64 = pi,
            log_zeta: Floats64 = log_zeta,
            exact: Floats64 = exact,
            alpha: float = alpha,
        ) -> float:
            field_ = r - alpha * np.log(pi) + alpha * log_zeta + alpha * exact
            return float(np.abs(centre(field_)).max())

        plain = alpha * (np.log(pi) - log_zeta)
        usual.append(gradient(plain) / size)
        if side.rows is not None:
            predicted = centred_response(world, side.rows, pi - zeta)
            formula.append(gradient(plain - alpha * predicted) / size)
    if not usual:
        return None
    return Measured(len(usual), max(formula, default=np.inf), min(usual), max(usual))


def expression_answer(side: PriorSide, seed: int, *, bar: bool) -> Claim:
    """Whether the usual expression holds at the true optimum, raw or normalised."""
    question = of_role("normalised" if bar else "raw", side)
    name = "with the normalised prior" if bar else "with the prior as it stands"
    if side.policy_free:
        return Claim(
            question,
            "exact",
            f"{name} the expression is exact",
            proved("the prior is free of the policy (Gibbs identity)"),
        )
    measured = {sight: measure(side, sight, seed, bar=bar) for sight in side.sights}
    first = measured["token"]
    if first is None:
        return Claim(
            question,
            "undecided",
            f"{name} no random policy has a value",
            undecided("undefined at every random policy"),
        )
    numbers: dict[str, Any] = {sight: vars(m) for sight, m in measured.items() if m is not None}
    if side.rows is None:
        right = all(m is None or m.usual_most < VANISHES for m in measured.values())
        verdict = "exact" if right else "not exact"
        return Claim(
            question,
            verdict,
            f"{name} the expression is {verdict}; the correction is not known in symbols ({side.obstacle})",
            told(
                "{}, {} policies",
                Standing.EVIDENCE if right else Standing.DIFFERENTIATED,
                str(first.policies),
            ),
            data=numbers,
        )
    verdict, conditions = "not exact", ""
    books = {sight: Notebook() for sight in side.sights}
    found = {s: correction(side.rows, s, books[s], bar=bar) for s in side.sights}
    if found["token"].vanishes:
        verdict = "exact"
    elif "state" in found and found["state"].vanishes:
        verdict = "exact if features see only the tokens before"
    else:
        conditions = special_cases(side, bar=bar)
    if verdict.startswith("exact"):
        sight: Sight = "token" if verdict == "exact" else "state"
        agreed = measured[sight]
        assert agreed is not None
        if agreed.usual_most > VANISHES:
            return _contradiction(question, name, agreed)
        standing = proved(
            "{} is constant ({}); {} agrees at {} policies: the gradient of F is {}",
            CORRECTION,
            proposition("2.1"),
            Standing.DIFFERENTIATED,
            str(agreed.policies),
            below(agreed.usual_most, VANISHES),
        )
    else:
        worst = max(m.formula for m in measured.values() if m is not None)
        if worst > VANISHES:
            return _contradiction(question, name, first)
        if first.usual_most < DIFFERS:
            verdict = "undecided"
        standing = told(
            "{}, {} policies: the gradient of F is {} with the formula, and {} to {} without",
            Standing.DIFFERENTIATED,
            str(first.policies),
            below(worst, VANISHES),
            figure(first.usual_least, 1),
            figure(first.usual_most, 1),
        )
    sentence = told(
        "{} the expression is {}{}", name, verdict, told("; {}", conditions) if conditions else ""
    )
    shown = () if verdict == "exact" else _corrected(side, found, books, bar=bar)
    return Claim(question, verdict, sentence, standing, shown, numbers)


def _corrected(
    side: PriorSide, found: Mapping[Sight, Correction], books: Mapping[Sight, Notebook], *, bar: bool
) -> tuple[Displayed, ...]:
    """The expression with its correction; another one for features that see less, where it is."""
    shown = (written(side, found["token"], books["token"], bar=bar),)
    if "state" not in found or found["state"].vanishes:
        return shown
    at_state = written(side, found["state"], books["state"], bar=bar)
    if at_state == shown[0]:
        return shown
    seen = row(r"\quad", Text("(features of "), " ", tokens_before(), Text(")"))
    return (*shown, Displayed(row(at_state.formula, seen)))


def _contradiction(question: str, name: str, found: Measured) -> Claim:
    return Claim(
        question,
        "undecided",
        f"{name} the symbolic formula and exact differentiation differ by {figure(found.formula, 2)}",
        undecided("please report this spec"),
        data=vars(found),
    )


def answers(side: PriorSide, seed: int) -> Iterator[Claim]:
    """Every answer about the optimum of one function zeta."""
    yield expression_answer(side, seed, bar=False)
    yield expression_answer(side, seed, bar=True)
    nothing = None if side.policy_free else degenerate(side)
    if nothing is not None:
        yield nothing
    yield regulariser(side, seed)
    yield fixed_point(side, seed)
