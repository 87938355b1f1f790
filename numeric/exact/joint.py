"""The generalised loss over policies and priors, and why optimising the prior gains nothing.

J(pi, zeta) = -E_D log sigmoid(rho_w - rho_l) depends on rho = alpha log(pi / zeta) only, so its
infimum over either argument, the other fixed, is the Bradley-Terry maximum-likelihood value B
(theorem 2.8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .bradley_terry import GAP, GRADIENT, BradleyTerry, Edges, Progress, bradley_terry, fit
from .preferences import Comparisons
from .tabular import Floats, Held, log_normalise


def loss(alpha: float, comparisons: Comparisons, log_policy: Floats, log_prior: Floats) -> float:
    """J(pi, zeta). Shapes (n, m). Nats. Reference: Eq. (MI)."""
    margins = _margins(alpha, comparisons, log_policy, log_prior)
    return float(comparisons.weights @ np.logaddexp(0.0, -margins))


def _margins(alpha: float, comparisons: Comparisons, log_policy: Floats, log_prior: Floats) -> Floats:
    ratio = alpha * (log_policy - log_prior)
    x = comparisons.prompt
    return ratio[x, comparisons.chosen] - ratio[x, comparisons.rejected]


def gradient(alpha: float, comparisons: Comparisons, log_policy: Floats, log_prior: Floats) -> Floats:
    """dJ / dlog pi, which is -dJ / dlog zeta; also the gradients in the logits. Shape (n, m).

    Its rows sum to 0, since a factor free of y cancels; so the softmax changes nothing.
    """
    margins = _margins(alpha, comparisons, log_policy, log_prior)
    pull = -alpha * comparisons.weights * np.exp(-np.logaddexp(0.0, margins))
    found = np.zeros_like(log_policy)
    np.add.at(found, (comparisons.prompt, comparisons.chosen), pull)
    np.add.at(found, (comparisons.prompt, comparisons.rejected), -pull)
    return found


Over = Literal["policy", "prior", "both"]
_SHARE = {"policy": 1.0, "prior": 0.0, "both": 0.5}


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended: shapes (n, m), and J at each iteration in nats."""

    log_policy: Floats
    log_prior: Floats
    losses: tuple[float, ...]


def minimise(
    alpha: float,
    comparisons: Comparisons,
    log_policy: Floats,
    log_prior: Floats,
    over: Over,
    *,
    progress: Progress = lambda iteration, gradient: None,
) -> Minimum:
    """Minimise J over the policy, over the prior, or over both at once, from where they are.

    Newton's step in rho goes to log pi and log zeta in equal and opposite shares where both move.
    Stops by the gradient in rho, also where the infimum is not attained. Raises: NotConverged.
    """
    edges = Edges.of(comparisons, log_policy.shape[1])
    start = alpha * (log_policy - log_prior).ravel()[edges.nodes]
    scores, losses = fit(edges, start, progress=progress)
    moved = np.zeros(log_policy.size)
    moved[edges.nodes] = (scores - start) / alpha
    change = moved.reshape(log_policy.shape)
    share = _SHARE[over]
    policy = log_policy if share == 0 else log_normalise(log_policy + share * change)
    prior = log_prior if share == 1 else log_normalise(log_prior - (1 - share) * change)
    return Minimum(policy, prior, losses)


def alternate(
    alpha: float,
    comparisons: Comparisons,
    log_policy: Floats,
    log_prior: Floats,
    *,
    tolerance: float = GRADIENT,
    progress: Progress = lambda iteration, gradient: None,
) -> list[Minimum]:
    """Minimise over the policy, then the prior, in turns, until a turn changes J no more.

    By theorem 2.8 the first turn is already the last that gains anything.
    """
    turns: list[Minimum] = []
    before = loss(alpha, comparisons, log_policy, log_prior)
    while True:
        over: Over = "prior" if len(turns) % 2 else "policy"
        turns.append(minimise(alpha, comparisons, log_policy, log_prior, over, progress=progress))
        log_policy, log_prior = turns[-1].log_policy, turns[-1].log_prior
        after = loss(alpha, comparisons, log_policy, log_prior)
        if before - after <= tolerance:
            return turns
        before = after


def prior_checks(
    alpha: float,
    comparisons: Comparisons,
    shape: tuple[int, int],
    *,
    seed: int = 0,
    trials: int = 5,
    progress: Progress = lambda iteration, gradient: None,
) -> tuple[BradleyTerry, list[Held]]:
    """Theorem 2.8 on these comparisons: `trials` random policies, as many priors, and pairs.

    Reference: section 5.2.
    """
    random = np.random.default_rng(seed)
    best = bradley_terry(comparisons, shape[1])
    errors: dict[Over, float] = {"prior": 0.0, "policy": 0.0, "both": 0.0}
    invariance = 0.0
    for _ in range(trials):
        policy, prior, factor = (log_normalise(2 * random.normal(size=shape)) for _ in range(3))
        for over in errors:
            end = minimise(alpha, comparisons, policy, prior, over, progress=progress)
            value = loss(alpha, comparisons, end.log_policy, end.log_prior)
            errors[over] = max(errors[over], abs(value - best.value))
        pair = log_normalise(policy + factor), log_normalise(prior + factor)
        change = loss(alpha, comparisons, *pair) - loss(alpha, comparisons, policy, prior)
        invariance = max(invariance, abs(change))
    wrong = float(best.acyclic == (best.lower > 0))
    kind = "attained" if best.attained else "not attained"
    statements: dict[Over, str] = {
        "prior": "inf over the prior = B for every fixed policy",
        "policy": "inf over the policy = B for every fixed prior",
        "both": "inf over both = B",
    }
    return best, [
        Held("B, the Bradley-Terry value: duality gap", best.gap, 10 * GAP),
        *(Held(f"{statements[o]} ({kind})", e, best.tolerance) for o, e in errors.items()),
        Held("B > 0, by its lower bound, iff there is a cycle", wrong, 0),
        Held("J(pi e^g, zeta e^g) = J(pi, zeta)", invariance, 1e-12 * max(1.0, alpha)),
    ]
