"""Freeze the prior, solve, refresh: pi <- zeta[pi] e^(r/alpha) / Z for self-referential priors.

Its fixed points are the policies whose implicit reward alpha log(pi/zeta[pi]) is r up to a
constant of each prompt (theorem 2.4). They are not optima of the regularised problem unless
the prior satisfies condition SA (proposition 2.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from midpo.numeric.figures import below, figure

from .tabular import Floats, Tabular, log_normalise, optimum

TOLERANCE = 1e-11  # of the largest log-probability, or of one nat
CAP = 100_000
PATIENCE = 200  # iterations without a smaller residual, after which it does not converge
FAR = 1e12  # nats: past this the iteration has diverged
WINDOW = 10

Prior = Callable[[Floats], Floats]


def centropy_prior(log_reference: Floats, eta: float) -> Prior:
    """log zeta = log pi_ref + (1 - eta) log pi. Shapes (n, m). Reference: cEntropy."""

    def prior(log_policy: Floats) -> Floats:
        finite = np.where(log_reference > -np.inf, log_policy, 0.0)
        return log_reference + (1 - eta) * finite

    return prior


def length_normalised_prior(lengths: Floats) -> Prior:
    """log zeta = (1 - 1/|y|) log pi, |y| of shape (m,). Reference: SimPO without its offset."""

    def prior(log_policy: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # pi^0 = 1, also where pi is 0
            return np.where(lengths == 1, 0.0, (1 - 1 / lengths) * log_policy)

    return prior


def jensen_shannon_prior(log_reference: Floats) -> Prior:
    """log zeta = log((pi + pi_ref) / 2). Shapes (n, m). Reference: f-DPO, Jensen-Shannon."""
    return lambda log_policy: np.logaddexp(log_policy, log_reference) - math.log(2)


@dataclass(frozen=True)
class FixedPoint:
    """Where the iteration ended, and how fast it went there.

    `residuals`: max |log pi' - log pi| at each iteration, nats. `rate`: the factor by which the
    last residuals shrink, below 1 where it converges. `reward_error`: how far alpha
    log(pi/zeta[pi]) is from r, up to a constant of each prompt, in units of the reward.
    """

    converged: bool
    log_policy: Floats
    residuals: tuple[float, ...]
    rate: float
    reward_error: float

    @property
    def residual(self) -> float:
        return self.residuals[-1]

    def sentence(self) -> str:
        count = f"{len(self.residuals)} iterations"
        if self.converged:
            return (
                f"converged in {count}, rate {figure(self.rate, 4)}, "
                f"residual {below(self.residual, 1e-9)} nats"
            )
        word = "has not converged" if self.rate < 1 - 1e-6 else "does not converge"
        return (
            f"{word}: after {count} the residual is {figure(self.residual)} nats "
            f"and its rate {figure(self.rate, 4)}"
        )


def fixed_point(
    problem: Tabular,
    prior: Prior,
    *,
    log_policy: Floats | None = None,
    tolerance: float = TOLERANCE,
    cap: int = CAP,
    progress: Callable[[int, float], None] = lambda iteration, residual: None,
) -> FixedPoint:
    """Iterate pi <- zeta[pi] e^(r/alpha) / Z from `log_policy` (the reference, or uniform).

    Stops by the residual, and gives up where it has not shrunk for PATIENCE iterations or a
    log-ratio has left the range of sense. Reference: theorem 2.4.
    """
    now = _start(problem) if log_policy is None else np.asarray(log_policy, np.float64)
    residuals: list[float] = []
    best, best_at, converged = math.inf, 0, False
    while len(residuals) < cap:
        after = optimum(problem, prior(now)).log_policy
        residual = float(np.abs(_differences(after, now)).max())
        residuals.append(residual)
        progress(len(residuals), residual)
        size = float(np.abs(after[after > -np.inf]).max(initial=0.0))
        if not math.isfinite(residual) or size > FAR:
            break
        now = after
        converged = residual <= tolerance * max(1.0, size)
        if residual < best * (1 - 1e-9):
            best, best_at = residual, len(residuals)
        if converged or len(residuals) - best_at >= PATIENCE:
            break
    error = reward_error(problem, prior, now)
    return FixedPoint(converged, now, tuple(residuals), _rate(residuals), error)


def _differences(left: Floats, right: Floats) -> Floats:
    """left - right, 0 where both are -inf: a response outside the support stays there."""
    with np.errstate(invalid="ignore"):
        return np.where(left == right, 0.0, left - right)


def _start(problem: Tabular) -> Floats:
    if problem.log_reference is not None:
        return problem.log_reference
    return log_normalise(np.zeros(problem.shape))


def _rate(residuals: list[float]) -> float:
    """The geometric mean of the last ratios of residuals; 0 where it ended at once."""
    last = [r for r in residuals[-WINDOW - 1 :] if math.isfinite(r)]
    if len(last) < 2 or last[-1] == 0 or last[0] == 0:
        return 0.0
    return float((last[-1] / last[0]) ** (1 / (len(last) - 1)))


def reward_error(problem: Tabular, prior: Prior, log_policy: Floats) -> float:
    """max over prompts of half the range over y of r - alpha log(pi/zeta[pi]): 0 iff fixed.

    Over the support only: off it the ratio is 0/0.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        error = problem.rewards - problem.alpha * (log_policy - prior(log_policy))
    used = log_policy > -np.inf
    top, bottom = np.where(used, error, -np.inf), np.where(used, error, np.inf)
    return float((top.max(axis=1) - bottom.min(axis=1)).max() / 2)
