"""What the usual reward expression does describe: frozen-prior fixed points (theorems 2.4, 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sympy import Expr, S

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.duals import Floats64
from midpo.numeric.figures import below
from midpo.numeric.trees import World, centre, default_parameters, full_tree, policy_of, random_world
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.words import FROZEN, LOG_RATIO, OPTIMUM, USUAL_REFRESHED, policy_named
from midpo.symbolic.formula.characters import line, mathematics
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Displayed, Told, proved, theorem, told, undecided
from midpo.symbolic.formula.tree import Fence, Text, row
from midpo.symbolic.formula.write import write
from midpo.symbolic.language.nodes import POLICY, REFERENCE, RESPONSE, Log, Prob
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import is_constant

from .calculus import T, expected_body, same, sequence_form
from .side import PriorSide, alpha_of, of_role

REPEATS = 2  # rewards for which the fixed point is looked for
SWEEPS = 150


def fixed_point(side: PriorSide, seed: int) -> Claim:
    """Theorem 2.4 and 2.5: the frozen-prior fixed points, and the value they are greedy for."""
    question = of_role("fixed point", side)
    if side.policy_free:
        return Claim(
            question,
            "the optimum",
            told("the expression describes the optimum itself: {}", OPTIMUM),
            proved("the prior is free of the policy"),
        )
    runs = _iterate(side, seed)
    if runs is None:
        return Claim(
            question, "undecided", "the iteration has no value", undecided("undefined at a random policy")
        )
    swept = [run for run in runs if run.converged]
    sentence = told("policies that are optimal for their own prior, frozen: {}", FROZEN)
    data: dict[str, Any] = {
        "converged": len(swept),
        "runs": len(runs),
        "sweeps": [run.sweeps for run in runs],
        "implicit_reward_error": max((run.error for run in swept), default=None),
    }
    if len(swept) < len(runs):
        verdict = "does not converge"
        sentence = told(
            "{}; refreshing it did not converge within {} sweeps in {} of {} cases",
            sentence,
            str(SWEEPS),
            str(len(runs) - len(swept)),
            str(len(runs)),
        )
        standing = told("{}, {} rewards on a tree of depth 2, defaults", Standing.EVIDENCE, str(len(runs)))
        return Claim(question, verdict, sentence, standing, _rate(side), data)
    most = max(run.sweeps for run in runs)
    value, proof = _value(side, swept)
    greedy = f". The fixed point is greedy for the {value}" if value else ""
    sentence = told("{}; refreshing it converges ({} sweeps at most){}", sentence, str(most), greedy)
    standing = told(
        "{}, {} rewards on a tree of depth 2, defaults: {}, an error {}",
        Standing.EVIDENCE,
        str(len(runs)),
        USUAL_REFRESHED,
        below(data["implicit_reward_error"], 1e-9),
    )
    if proof:
        standing = told("{}; {}", proof, standing)
    return Claim(question, value or "frozen-prior fixed point", sentence, standing, _rate(side), data)


@dataclass(frozen=True)
class Run:
    converged: bool
    sweeps: int
    error: float
    world: World
    reward: Floats64
    alpha: float


def _iterate(side: PriorSide, seed: int) -> list[Run] | None:
    rng = np.random.default_rng(seed + 1)
    runs = []
    for _ in range(REPEATS):
        world = random_world(
            side.spec, full_tree(2), rng, sight="state", parameters=default_parameters(side.spec)
        )
        alpha = alpha_of(side.spec, world)
        reward = alpha * rng.normal(size=len(world.responses))
        last, steps, converged = np.log(world.probability()), 0, False
        try:
            while steps < SWEEPS:
                steps += 1
                new = world.values(Log(side.expr)) + reward / alpha
                new = new - new.max()
                new = new - np.log(np.exp(new).sum())
                if not np.isfinite(new).all() or new.min() < -200:
                    break
                world = policy_of(world, new)
                moved = float(np.abs(new - last).max())
                last = new
                if moved < 1e-10:
                    converged = True
                    break
            implicit = alpha * (np.log(world.probability()) - world.values(Log(side.expr)))
        except (Undefined, FloatingPointError):
            return None
        error = float(np.ptp(implicit - reward)) / alpha
        runs.append(Run(converged, steps, error, world, reward, alpha))
    return runs


def _value(side: PriorSide, runs: Sequence[Run]) -> tuple[str, Told | None]:
    """The value V with p(a|s) proportional to q(a|s)*exp(k(s) V(sa)) at the fixed point, found by
    backward induction, and why."""
    names = {"reference's value": "pi_ref", "unregularised on-policy value": "pi", "soft value": ""}
    for name, policy in names.items():
        if "pi_ref" not in runs[0].world.laws:
            return "", None
        if not all(_greedy(run, policy) for run in runs):
            continue
        proof = None
        if policy and side.log is not None:
            body = expected_body(
                Log(Prob(POLICY, RESPONSE)) - side.log, POLICY if policy == "pi" else REFERENCE
            )
            if body is not None and same(body, S.Zero):
                proof = proved(
                    "each token's share of {} is centred under {} ({}), checked by backward induction",
                    LOG_RATIO,
                    policy_named(policy),
                    theorem("2.5"),
                )
        return name, proof
    return "", None


def _greedy(run: Run, policy: str) -> bool:
    """Whether log p/q is an increasing affine function of the next state's value, at each state."""
    world = run.world
    value = dict(zip(world.responses, run.reward / run.alpha, strict=True))
    reference = world.laws["pi_ref"]
    for s in reversed(world.prefixes):
        after = np.array([value[*s, a] for a in range(world.vocabulary)])
        ratio = centre(np.log(world.laws["pi"][s]) - np.log(reference[s]))
        wanted = centre(after)
        slope = float(ratio @ wanted) / float(wanted @ wanted)
        if slope <= 0 or np.abs(ratio - slope * wanted).max() > 1e-7:
            return False
        law = world.laws[policy][s] if policy else reference[s]
        value[s] = float(law @ after) if policy else float(np.log(law @ np.exp(after)))
    return True


def _rate(side: PriorSide) -> tuple[Displayed, ...]:
    """The factor of the iteration where log zeta is c*log pi(y) plus what is free of pi."""
    if side.rows is None or len(side.rows) != 1 or side.rows[0].law is not None:
        return ()
    factor = side.rows[0].weight
    if not is_constant(factor) or T in factor.free_symbols:
        return ()
    condition = _inside(factor)
    tail = f", {condition}" if condition else ""
    converges = row(Text("converges iff "), " ", Fence("|", write(factor), "|"), " < ", 1)
    sentence = f"each sweep multiplies the distance by {mathematics(factor)}: it {line(converges)}{tail}"
    return (Displayed(converges, spelt=sentence),)


def _inside(factor: Expr) -> str:
    """|factor| < 1 solved for its only parameter, where that is linear."""
    free = sorted(factor.free_symbols, key=str)
    if len(free) != 1:
        return ""
    (name,) = free
    slope = sequence_form(factor.xreplace({name: S.One}) - factor.xreplace({name: S.Zero}))
    shift = factor.xreplace({name: S.Zero})
    if slope == 0 or not same(slope * name + shift, factor) or not (slope + shift).is_number:
        return ""
    ends = sorted(((1 - shift) / slope, (-1 - shift) / slope))
    return f"{text(ends[0])} < {mathematics(name)} < {text(ends[1])}"
