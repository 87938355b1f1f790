"""What `midpo optimise` computes: each part of an exact problem with the checks that it passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from midpo.numeric.figures import below, decimals, figure

from . import blahut, fixed_point, joint, tabular
from .problems import ProblemFile
from .tabular import Floats, Held

Progress = Callable[[str], None]
ROWS, SHOWN = 20, 8  # of prompts and of responses in a table; JSON has all


@dataclass(frozen=True)
class Part:
    """One part's table, sentences and checks; `series` holds arrays by name, for plots and JSON."""

    what: str
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    checks: tuple[Held, ...] = ()
    series: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(check.holds for check in self.checks)


def _scale(case: ProblemFile) -> float:
    """The size of the numbers in play, which rounding errors are in proportion to."""
    return max(1.0, case.problem.alpha, float(np.abs(case.problem.rewards).max()))


def optimum(case: ProblemFile, seed: int, progress: Progress) -> Part:
    """The optimum for the stated prior; the Gibbs identity at random policies of its support."""
    progress("optimum")
    problem, prior = case.problem, case.log_prior
    found = tabular.optimum(problem, prior)
    random = np.random.default_rng(seed)
    with np.errstate(invalid="ignore"):
        gaps = [
            tabular.gibbs_gap(
                problem,
                found,
                tabular.log_normalise(np.where(found.support, 3 * random.normal(size=prior.shape), -np.inf)),
                prior,
            )
            for _ in range(8)
        ]
    reward = tabular.expected_reward(problem, found.log_policy)
    cost = tabular.divergence(found.log_policy, prior)
    rows = tuple(
        (f"x{i}", figure(problem.probabilities[i], 4), figure(found.values[i], 6), *cells)
        for i, cells in enumerate(
            (figure(r, 6), figure(c, 6), _few([decimals(p, 4) for p in row], " "))
            for r, c, row in zip(reward, cost, np.exp(found.log_policy[:ROWS]), strict=False)
        )
    )
    notes = [f"value E[alpha log Z] = {figure(found.value, 9)}"]
    if len(rows) < len(found.values):
        notes.append(f"{len(rows)} of {len(found.values)} prompts are shown")
    zeros = int((~found.support).sum())
    if zeros:
        notes.append(
            f"the prior is 0 at {zeros} of {prior.size} pairs of a prompt and a response: pi* is 0 "
            "there, and the reward cannot be read off log(pi*/zeta)"
        )
    notes += [f"x{i}: Z = 0, no policy is feasible" for i in np.flatnonzero(~found.attained)]
    limit = 1e-12 * _scale(case)
    return Part(
        "optimum",
        "the optimum for the stated prior, pi* = zeta e^(r/alpha)/Z",
        ("prompt", "p(x)", "alpha log Z", "E[r]", "KL, nats", "pi*"),
        rows,
        tuple(notes),
        (Held("Gibbs identity at 8 random policies", _worst(gaps), limit),),
        {"policy": np.exp(found.log_policy), "prior": np.exp(prior), "values": found.values},
    )


def _few(words: list[str], between: str) -> str:
    """The first of the words, and that there are more."""
    more = f"{between}and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return between.join(words[:SHOWN]) + more


def _worst(values: list[float]) -> float:
    return float(np.max(values))  # nan if one of them is


def rate_distortion(case: ProblemFile, seed: int, progress: Progress) -> Part:
    """Blahut-Arimoto at the problem's alpha, and the curve about it."""
    problem = case.problem

    def at(iteration: int, gap: float) -> None:
        if iteration % 100 == 1:
            progress(f"Blahut-Arimoto: gap {gap:.1e}")

    own = blahut.blahut_arimoto(problem, progress=at)
    points = blahut.curve(problem, case.alphas, progress=at)
    rows = tuple(
        (
            figure(p.alpha, 5),
            decimals(p.rate, 6),
            decimals(p.distortion, 6),
            str(len(p.gaps)),
            below(p.gap, blahut.TOLERANCE),
            _few(_names(case, p.lost()), ", ") or "none",
        )
        for p in points
    )
    tolerance = blahut.TOLERANCE
    limit = max(1e-12 * _scale(case), 2 * tolerance * max(case.alphas))
    violation = blahut.curve_violation(points)
    over = max(float(p.multipliers.max()) for p in (own, *points)) - 1
    checks = [
        Held("duality gap, nats", max(p.gap for p in (own, *points)), tolerance),
        Held("E[r] - alpha I(X;Y) at the policy = alpha E[log Z]", _value_error(points), limit),
        Held("KKT: c(y) <= 1 for every response", over, 2 * tolerance),
        Held("KKT: sum zeta |c - 1|", max(p.stationarity for p in points), 3 * tolerance),
        Held("no point beats another at its alpha", violation, 1e-12 * max(_scale(case), *case.alphas)),
    ]
    if blahut.is_binary_symmetric(problem):
        error = max(abs(p.rate - blahut.binary_symmetric_rate(p.distortion)) for p in points)
        slope = max(abs(p.distortion - blahut.binary_symmetric_distortion(p.alpha)) for p in points)
        checks.append(Held("R(D) = log 2 - h(D) nats", error, 1e-8))
        checks.append(Held("D = 1/(1 + e^(1/alpha))", slope, 1e-8))
    lost = _names(case, own.lost())
    kept = "keeps every response" if not lost else f"loses {_few(lost, ', ')}"
    bound = float(own.mass_bounds[own.lost()].max(initial=0.0))
    notes = [
        f"alpha = {problem.alpha:g}: I(X;Y) = {figure(own.rate, 6)} nats, "
        f"E[r] = {figure(-own.distortion, 6)}, value {figure(own.value, 9)}, "
        f"{len(own.gaps)} iterations",
        f"the optimal prior {kept}"
        + (f" (mass {below(bound, 1e-8, 1e-6, 1e-4)}, certified)" if lost else ""),
    ]
    prior = np.broadcast_to(np.exp(own.log_prior), problem.shape)
    return Part(
        "rate-distortion",
        "Blahut-Arimoto, max E[r] - alpha I(X;Y)",
        ("alpha", "I(X;Y), nats", "D = -E[r]", "iterations", "gap, nats", "lost"),
        rows,
        tuple(notes),
        tuple(checks),
        {
            "alphas": [p.alpha for p in points],
            "rates": [p.rate for p in points],
            "distortions": [p.distortion for p in points],
            "gaps": own.gaps,
            "multipliers": own.multipliers,
            "policy": np.exp(own.log_policy),
            "prior": prior,
        },
    )


def _value_error(points: list[blahut.CurvePoint]) -> float:
    """The policies' own objectives against F: they lie between F and F + alpha * gap."""
    return _worst([abs(-p.distortion - p.alpha * p.rate - p.value) for p in points])


def _names(case: ProblemFile, which: tabular.Booleans) -> list[str]:
    return [case.responses[i] for i in np.flatnonzero(which)]


def fixed_points(case: ProblemFile, seed: int, progress: Progress) -> Part:
    """The frozen-prior iteration for cEntropy, f-DPO (JS) and, with lengths, SimPO."""
    problem = case.problem
    reference = problem.log_reference
    if reference is None:
        reference = tabular.log_normalise(np.zeros(problem.shape))
    priors = {
        f"cEntropy, eta = {case.eta:g}": fixed_point.centropy_prior(reference, case.eta),
        "f-DPO, Jensen-Shannon": fixed_point.jensen_shannon_prior(reference),
    }
    if case.lengths is not None:
        priors["SimPO, no offset"] = fixed_point.length_normalised_prior(case.lengths)
    # A random start: the reference may happen to be the fixed point, which then shows no rate.
    random = np.random.default_rng(seed).normal(size=problem.shape)
    start = tabular.log_normalise(np.where(reference > -np.inf, random, -np.inf))
    free = bool((np.sum(reference > -np.inf, axis=1) > 1).any())
    rows, notes, checks, residuals = [], [], [], {}
    for name, prior in priors.items():
        progress(f"fixed point: {name}")
        found = fixed_point.fixed_point(problem, prior, log_policy=start)
        word = "yes" if found.converged else "no"
        cells = (str(len(found.residuals)), figure(found.rate, 4), below(found.residual, 1e-9))
        rows.append((name, word, *cells, below(found.reward_error, 1e-9)))
        residuals[name] = found.residuals
        if not found.converged:
            notes.append(f"{name} {found.sentence()}")
        else:
            size = problem.alpha * max(1.0, _largest(found.log_policy))
            limit = 1e-9 * max(size, _scale(case))
            error = found.reward_error
            checks.append(Held(f"{name}: alpha log(pi/zeta[pi]) = r + c(x)", error, limit))
        if name.startswith("cEntropy"):
            rate = abs(1 - case.eta)
            if free:  # one response alone is where it stays, whatever eta is
                error = abs(found.rate - rate) / max(1.0, rate)
                checks.append(Held(f"{name}: rate |1 - eta| = {figure(rate, 4)}", error, 0.02))
            if found.converged and 0 < case.eta < 2:
                exact = tabular.log_normalise((reference + problem.scores) / case.eta)
                error = float(np.abs(np.exp(exact) - np.exp(found.log_policy)).max())
                checks.append(Held(f"{name}: pi = (pi_ref e^(r/alpha))^(1/eta)/Z", error, 1e-6))
    return Part(
        "fixed-point",
        "frozen-prior fixed points, pi <- zeta[pi] e^(r/alpha)/Z",
        ("prior", "converges", "iterations", "rate", "residual, nats", "reward error"),
        tuple(rows),
        tuple(notes),
        tuple(checks),
        {"residuals": residuals},
    )


def _largest(logs: Floats) -> float:
    return float(np.abs(logs[logs > -np.inf]).max())


def preferences(case: ProblemFile, seed: int, progress: Progress) -> Part:
    """The loss over policies and priors: theorem 2.8 on the case's comparisons."""
    problem, comparisons = case.problem, case.problem.comparisons
    assert comparisons is not None
    alpha, random = problem.alpha, np.random.default_rng(seed)

    def at(iteration: int, gradient: float) -> None:
        progress(f"fits: gradient {gradient:.1e}")

    best, checks = joint.prior_checks(alpha, comparisons, problem.shape, seed=seed, progress=at)
    policy = tabular.log_normalise(2 * random.normal(size=problem.shape))
    full = bool(np.all(np.isfinite(case.log_prior)))
    prior = tabular.log_normalise(case.log_prior if full else np.zeros(problem.shape))
    turns = joint.alternate(alpha, comparisons, policy, prior, progress=at)
    both = joint.minimise(alpha, comparisons, policy, prior, "both", progress=at)
    gain = joint.loss(alpha, comparisons, turns[0].log_policy, turns[0].log_prior) - best.value
    checks.append(Held("alternation gains nothing after its first turn", gain, best.tolerance))
    kind = "acyclic" if best.acyclic else "strongly connected" if best.attained else "cyclic"
    start = joint.loss(alpha, comparisons, policy, prior)
    rows = (
        ("start", figure(start, 9), "0"),
        *(
            (f"turn {i}, over the {'prior' if i % 2 == 0 else 'policy'}", *_end(turn))
            for i, turn in enumerate(turns, 1)
        ),
        ("both at once", *_end(both)),
    )
    attained = "attained" if best.attained else "not attained: margins grow without bound"
    started = () if full else ("the stated prior has zeros: the uniform one is taken as the start",)
    notes = (
        *started,
        f"the data are {kind}; B = {figure(best.value, 9)} nats, {attained}",
        "optimising the prior improves nothing: the infimum is B for every fixed policy",
    )
    return Part(
        "joint",
        "the loss J(pi, zeta) over policy and prior",
        ("minimised", "J, nats", "iterations"),
        rows,
        notes,
        tuple(checks),
        {
            "bradley_terry": best.value,
            "alternating": [value for turn in turns for value in turn.losses],
            "both": both.losses,
            "policy": np.exp(both.log_policy),
            "prior": np.exp(both.log_prior),
            "policy_before": np.exp(policy),
            "prior_before": np.exp(prior),
        },
    )


def _end(found: joint.Minimum) -> tuple[str, str]:
    return figure(found.losses[-1], 9), str(len(found.losses) - 1)


PARTS: dict[str, Callable[[ProblemFile, int, Progress], Part]] = {
    "optimum": optimum,
    "rate-distortion": rate_distortion,
    "fixed-point": fixed_points,
    "joint": preferences,
}


def applicable(case: ProblemFile) -> tuple[str, ...]:
    """The parts for which the problem states what they need."""
    with_rewards = ("optimum", "rate-distortion", "fixed-point") if case.rewarded else ()
    return with_rewards + (("joint",) if case.problem.comparisons is not None else ())
