"""Blahut-Arimoto: max over policies and priors zeta(y) of E[r] - alpha I(X; Y), and its curve.

The prior that minimises E_x KL(pi || zeta) is the marginal p_Y (Lemma 1), so alternating
pi = zeta e^(r/alpha) / Z and zeta = p_Y climbs the concave function
F(zeta) = alpha E_x log Z(x). With c(y) = sum_x p(x) e^(r(x,y)/alpha) / Z(x), the alternation is
zeta <- zeta c, the Karush-Kuhn-Tucker conditions are c <= 1 with equality where zeta > 0, and

    F(zeta) <= max F <= F(zeta) + alpha log max_y c(y),

which is what the iteration stops by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .tabular import Booleans, Floats, NotConverged, Tabular, expected_reward, log_sum_exp, mutual_information

TOLERANCE = 1e-9  # nats
CAP = 1_000_000
# A lost response keeps this much, so that a later iteration, or another alpha, can bring it back.
LOWEST = -700.0
MIXED = 1e-3  # of a warm start that is uniform
GROWTH = 1.5

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class CurvePoint:
    """A point of the rate-distortion curve, with the certificate that it is one.

    Shapes: `log_prior`, `multipliers` (m,), `log_policy` (n, m). `rate` is I(X; Y) in nats,
    `distortion` is -E[r]; `value` = F(zeta) is within alpha * `gap` below the maximum; `gap` in
    nats. `gaps` is the gap at each iteration.
    """

    alpha: float
    log_prior: Floats
    log_policy: Floats
    multipliers: Floats
    value: float
    rate: float
    distortion: float
    gap: float
    gaps: tuple[float, ...]

    @property
    def mass_bounds(self) -> Floats:
        """An upper bound on the optimal prior's mass at each response. Shape (m,).

        From sum_y zeta*(y) c(y) >= 1: zeta*(y) <= (max c - 1) / (max c - c(y)).
        """
        top = float(self.multipliers.max())
        room = top - self.multipliers
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.where(room > 0, max(top - 1.0, 0.0) / room, 1.0)
        return np.minimum(bound, 1.0)

    def lost(self, mass: float = 1e-6) -> Booleans:
        """The responses that no optimal prior gives more than `mass`. Shape (m,)."""
        return np.asarray(self.mass_bounds <= mass)

    @property
    def stationarity(self) -> float:
        """sum_y zeta(y) |c(y) - 1|: the error of the KKT conditions on the support."""
        return float(np.exp(self.log_prior) @ np.abs(self.multipliers - 1.0))


def log_multipliers(
    scores: Floats, log_probabilities: Floats, log_prior: Floats, work: Floats
) -> tuple[Floats, Floats]:
    """log Z and log c at a prior. Shapes: (n, m), (n,), (m,), scratch (n, m); results (n,), (m,).

    `work` is overwritten, so that a large problem needs two arrays of its size and no more.
    """
    np.add(scores, log_prior, out=work)
    log_partition = _reduce(work, 1)
    np.add(scores, (log_probabilities - log_partition)[:, None], out=work)
    return log_partition, _reduce(work, 0)


def _reduce(work: Floats, axis: int) -> Floats:
    top = work.max(axis=axis, keepdims=True)
    np.subtract(work, top, out=work)
    np.exp(work, out=work)
    return np.asarray(np.log(work.sum(axis=axis)) + top.squeeze(axis))


def iterate(problem: Tabular, log_prior: Floats) -> Iterator[tuple[Floats, Floats, Floats]]:
    """The priors of the alternation with their log Z and log c, for ever: (m,), (n,), (m,).

    Each step is zeta <- zeta c^s / norm. s = 1 is the alternation itself, which never lowers F;
    s grows while the slope of the concave F at the new prior still points forward, which proves
    that F rose, and a step that fails this is taken back and made with s = 1.
    """
    scores, logs = problem.scores, np.log(problem.probabilities)
    work = np.empty_like(scores)
    prior = _normal(log_prior)
    partition, log_c = log_multipliers(scores, logs, prior, work)
    step = 1.0
    while True:
        yield prior, partition, log_c
        after = _normal(prior + step * log_c)
        new_partition, new_c = log_multipliers(scores, logs, after, work)
        if step > 1 and np.expm1(new_c) @ (np.exp(after) - np.exp(prior)) < 0:
            step = 1.0
            after = _normal(prior + log_c)
            new_partition, new_c = log_multipliers(scores, logs, after, work)
        else:
            step *= GROWTH
        prior, partition, log_c = after, new_partition, new_c


def _normal(log_prior: Floats) -> Floats:
    raised = np.maximum(log_prior - log_prior.max(), LOWEST)
    return np.asarray(raised - log_sum_exp(raised, 0))


def blahut_arimoto(
    problem: Tabular,
    *,
    log_prior: Floats | None = None,
    tolerance: float = TOLERANCE,
    cap: int = CAP,
    progress: Progress = lambda iteration, gap: None,
) -> CurvePoint:
    """The policy and the prior that maximise E[r] - alpha I(X; Y), to a duality gap in nats.

    `log_prior` is where to start (full support; uniform by default). Raises: NotConverged past
    `cap` iterations, with the gap reached. Reference: section 3.1, Lemma 1; Blahut 1972, Arimoto
    1972.
    """
    start = np.zeros(problem.shape[1]) if log_prior is None else np.asarray(log_prior, np.float64)
    gaps: list[float] = []
    for prior, partition, log_c in iterate(problem, start):
        gaps.append(max(float(log_c.max()), 0.0))
        progress(len(gaps), gaps[-1])
        if gaps[-1] <= tolerance:
            return _point(problem, prior, partition, log_c, gaps)
        if len(gaps) >= cap or not math.isfinite(gaps[-1]):
            break
    raise NotConverged(
        f"Blahut-Arimoto at alpha = {problem.alpha:g}: after {len(gaps)} iterations the duality "
        f"gap is {gaps[-1]:.3g} nats, not {tolerance:.3g}"
    )


def _point(
    problem: Tabular, log_prior: Floats, partition: Floats, log_c: Floats, gaps: list[float]
) -> CurvePoint:
    log_policy = problem.scores
    log_policy += log_prior
    log_policy -= partition[:, None]
    weights = problem.probabilities
    return CurvePoint(
        problem.alpha,
        log_prior,
        log_policy,
        np.exp(log_c),
        problem.alpha * float(weights @ partition),
        mutual_information(problem, log_policy),
        -float(weights @ expected_reward(problem, log_policy)),
        gaps[-1],
        tuple(gaps),
    )


def curve(
    problem: Tabular,
    alphas: Sequence[float],
    *,
    tolerance: float = TOLERANCE,
    cap: int = CAP,
    progress: Progress = lambda iteration, gap: None,
) -> list[CurvePoint]:
    """The rate-distortion curve at `alphas`: each starts from the prior before it.

    A little of the uniform prior is mixed into the start, since a response that one alpha loses
    the next may need.
    """
    points: list[CurvePoint] = []
    start = np.zeros(problem.shape[1])
    uniform = math.log(MIXED / problem.shape[1])
    for alpha in alphas:
        points.append(
            blahut_arimoto(
                replace(problem, alpha=alpha),
                log_prior=start,
                tolerance=tolerance,
                cap=cap,
                progress=progress,
            )
        )
        start = np.logaddexp(points[-1].log_prior, uniform)
    return points


def curve_violation(points: Sequence[CurvePoint]) -> float:
    """By how much a point of the curve beats another at the other's own alpha; at most 0, exactly.

    The point of alpha_i must maximise E[r] - alpha_i I among all policies, those of the other
    points too; its gap is allowed for. In units of the reward. This makes the curve convex, with
    slope -1/alpha_i at point i.
    """
    alphas, rates, distortions, gaps, values = (
        np.array([getattr(p, name) for p in points])
        for name in ("alpha", "rate", "distortion", "gap", "value")
    )
    others = -distortions[None, :] - alphas[:, None] * rates[None, :]
    return float((others - (values + alphas * gaps)[:, None]).max())


def is_binary_symmetric(problem: Tabular) -> bool:
    """Whether this is the binary symmetric source with Hamming distortion: r = -[x != y]."""
    return bool(
        problem.shape == (2, 2)
        and np.allclose(problem.probabilities, 0.5, rtol=0, atol=1e-12)
        and np.array_equal(problem.rewards, np.eye(2) - 1.0)
    )


def binary_symmetric_rate(distortion: float) -> float:
    """R(D) = log 2 - h(D) nats, 0 <= D <= 1/2: the binary symmetric source, Hamming distortion."""
    entropy = -sum(q * math.log(q) for q in (distortion, 1 - distortion) if q > 0)
    return max(math.log(2) - entropy, 0.0)


def binary_symmetric_distortion(alpha: float) -> float:
    """The distortion at which R has slope -1/alpha: 1 / (1 + e^(1/alpha))."""
    return math.exp(-1 / alpha) / (1 + math.exp(-1 / alpha))
