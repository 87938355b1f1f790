"""Exact problems on finite sets: the regularised optimum for a given prior, in float64.

Everything is in the log domain and vectorised over prompts (rows, n) and responses (columns, m).
Entropies, divergences and log-probabilities are in nats; rewards, values and alpha share one unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from midpo.symbolic.errors import MidpoError, SpecError

from .preferences import Comparisons

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

MOST_NATS = 1e5  # of |r| / alpha: rounding then stays below the tolerances here
SUM_TOLERANCE = 1e-6  # a distribution that a person typed is renormalised if it is this close


class NotConverged(MidpoError):
    """An iteration that reached its cap; the message says how near it came."""


@dataclass(frozen=True)
class Held:
    """A statement that was measured: it holds where `measured` is at most `limit`."""

    statement: str
    measured: float
    limit: float

    @property
    def holds(self) -> bool:
        return bool(self.measured <= self.limit)  # nan does not


@dataclass(frozen=True)
class Tabular:
    """p(x), r(x, y) and alpha: maximise E[r] - alpha * E_x KL(pi(.|x) || zeta).

    Shapes: `probabilities` (n,), `rewards` (n, m), `log_reference` (n, m) or None.
    Units: `rewards` as `alpha`. Raises: SpecError, with the field's name as its key.
    Reference: Eq. (1.1).
    """

    probabilities: Floats
    rewards: Floats
    alpha: float
    log_reference: Floats | None = None
    comparisons: Comparisons | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "rewards", matrix(self.rewards, "rewards"))
        set_(self, "probabilities", _distribution(self.probabilities, "probabilities"))
        if self.probabilities.shape != (self.rewards.shape[0],):
            raise SpecError(
                f"{self.probabilities.size} probabilities for {self.rewards.shape[0]} prompts",
                key="probabilities",
                expected="one for each row of rewards",
            )
        if not (np.isfinite(self.alpha) and self.alpha > 0):
            raise SpecError(f"{self.alpha}", key="alpha", expected="a positive number")
        set_(self, "alpha", float(self.alpha))
        if not float(np.abs(self.rewards).max()) <= MOST_NATS * self.alpha:
            raise SpecError(
                f"{self.alpha} is too small for these rewards",
                key="alpha",
                expected=f"|r| / alpha of at most {MOST_NATS:.0e}",
            )
        if self.log_reference is not None:
            set_(self, "log_reference", self._policy(self.log_reference, "log_reference"))
        if self.comparisons is not None:
            self.comparisons.within(*self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        return self.rewards.shape[0], self.rewards.shape[1]

    @property
    def scores(self) -> Floats:
        """r / alpha. Shape (n, m). Nats."""
        return np.asarray(self.rewards / self.alpha)

    def _policy(self, value: Floats, key: str) -> Floats:
        logs = np.asarray(value, dtype=np.float64)
        if logs.shape != self.shape:
            raise SpecError(f"its shape is {logs.shape}", key=key, expected=f"{self.shape}, as the rewards")
        total = log_sum_exp(logs, 1)
        if not np.all(np.abs(total) <= SUM_TOLERANCE):
            row = int(np.argmax(~(np.abs(total) <= SUM_TOLERANCE)))
            raise SpecError(f"row {row} does not sum to 1", key=key, expected="the logs of distributions")
        return logs - total[:, None]


def matrix(value: Any, key: str) -> Floats:
    """`value` as finite numbers of shape (n, m), neither of them zero. Raises: SpecError."""
    try:
        raw = np.asarray(value)
    except ValueError:  # rows of unequal lengths
        raw = np.empty(0, dtype=object)
    if raw.dtype.kind not in "iuf":  # text, truth values and dates would be converted
        raise SpecError("not rows of equally many numbers", key=key, expected="[[0.0, 1.0], [1.0, 0.0]]")
    found = raw.astype(np.float64)
    if found.ndim != 2 or 0 in found.shape:
        raise SpecError(f"its shape is {found.shape}", key=key, expected="a row for each prompt, none empty")
    if not np.all(np.isfinite(found)):
        raise SpecError("a number is not finite", key=key, expected="finite numbers")
    return found


def _distribution(value: Any, key: str) -> Floats:
    found = np.asarray(value, dtype=np.float64)
    if found.ndim != 1 or not (np.all(found > 0) and abs(found.sum() - 1) <= SUM_TOLERANCE):
        raise SpecError(
            "this is not a distribution of full support", key=key, expected="positive numbers whose sum is 1"
        )
    return np.asarray(found / found.sum())


def log_sum_exp(values: Floats, axis: int) -> Floats:
    """log sum exp along `axis`: exact where all are -inf (then -inf) and where one is +inf."""
    top = values.max(axis=axis, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        total = np.log(np.exp(values - shift).sum(axis=axis))
    return np.asarray(total + shift.squeeze(axis), dtype=np.float64)


def log_normalise(values: Floats) -> Floats:
    """The log-probabilities proportional to exp(values), each row for itself. Shape (n, m)."""
    return values - log_sum_exp(values, -1)[..., None]


def divergence(log_policy: Floats, log_prior: Floats) -> Floats:
    """KL(pi || zeta) for each row, with 0 log 0 = 0; +inf where pi leaves zeta's support. Nats.

    zeta need not be normalised (the result may then be negative). Shapes: (n, m), and (n, m) or
    (m,); result (n,).
    """
    used = log_policy > -np.inf
    with np.errstate(invalid="ignore"):
        terms = np.where(used, np.exp(log_policy) * (log_policy - log_prior), 0.0)
    return np.asarray(terms.sum(axis=-1), dtype=np.float64)


def expected_reward(problem: Tabular, log_policy: Floats) -> Floats:
    """E_pi[r | x]. Shape (n,)."""
    return np.asarray(np.einsum("xy,xy->x", np.exp(log_policy), problem.rewards))


def log_marginal(problem: Tabular, log_policy: Floats) -> Floats:
    """log p_Y, p_Y(y) = sum_x p(x) pi(y|x): the prior of Lemma 1. Shape (m,). Nats."""
    return log_sum_exp(log_policy + np.log(problem.probabilities)[:, None], 0)


def mutual_information(problem: Tabular, log_policy: Floats) -> float:
    """I(X; Y) = E_x KL(pi(.|x) || p_Y). Nats. Reference: Lemma 1."""
    marginal = log_marginal(problem, log_policy)
    return float(problem.probabilities @ divergence(log_policy, marginal))


@dataclass(frozen=True)
class Optimum:
    """pi* = zeta e^(r/alpha) / Z and its value alpha log Z, prompt by prompt.

    Shapes: `log_policy`, `support` (n, m); `values`, `attained` (n,). A prompt is not attained
    where Z is 0 (no policy is feasible, the value is -inf) or infinite (the value is +inf and no
    policy has it); its row of `log_policy` is nan. `support` is where zeta is positive: outside it
    pi* is 0 and the reward cannot be read off log(pi*/zeta).
    """

    log_policy: Floats
    values: Floats
    value: float
    support: Booleans
    attained: Booleans


def optimum(problem: Tabular, log_prior: Floats) -> Optimum:
    """The maximiser of E[r] - alpha KL(pi || zeta) for a prior zeta(y) or zeta(y|x).

    `log_prior`: shape (m,) or (n, m), not necessarily normalised, -inf where zeta is 0.
    Reference: Appendix A, Eq. (5).
    """
    scores = problem.scores + log_prior
    log_partition = log_sum_exp(scores, 1)
    attained = np.isfinite(log_partition)
    with np.errstate(invalid="ignore"):
        log_policy = np.where(attained[:, None], scores - log_partition[:, None], np.nan)
    values = problem.alpha * log_partition
    support = np.broadcast_to(np.asarray(log_prior) > -np.inf, problem.shape)
    return Optimum(log_policy, values, float(problem.probabilities @ values), support, attained)


def objective(problem: Tabular, log_policy: Floats, log_prior: Floats) -> Floats:
    """E_pi[r] - alpha KL(pi || zeta) for each prompt. Shape (n,)."""
    return expected_reward(problem, log_policy) - problem.alpha * divergence(log_policy, log_prior)


def gibbs_gap(problem: Tabular, found: Optimum, log_policy: Floats, log_prior: Floats) -> float:
    """The largest error, over prompts, of the Gibbs identity at the policy `log_policy`:

    E_pi[r] - alpha KL(pi || zeta) = alpha log Z - alpha KL(pi || pi*). In units of the reward.
    Prompts whose optimum is not attained are left out. Where both sides are -inf the error is 0.
    """
    left = objective(problem, log_policy, log_prior)
    right = found.values - problem.alpha * divergence(log_policy, found.log_policy)
    with np.errstate(invalid="ignore"):
        error = np.where(left == right, 0.0, np.abs(left - right))
    return float(error[found.attained].max(initial=0.0))


def partial_values(problem: Tabular, log_prior: Floats) -> Floats:
    """alpha log Z_N on the first N responses, N = 1..m: increasing; unbounded iff Z is infinite.

    For a countable response set listed in some order: if these grow without bound there is no
    optimum, and pi proportional to zeta e^(r/alpha) on the first N responses attains each of them.
    Shape (n, m).
    """
    return problem.alpha * np.logaddexp.accumulate(problem.scores + log_prior, axis=1)
