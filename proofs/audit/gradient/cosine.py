"""How far apart are the gradients with the prior differentiated and with it frozen?"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from sympy import Expr, S

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.duals import Floats64
from midpo.numeric.figures import figure
from midpo.numeric.trees import logits_of, with_policy
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.words import compared, length, shown
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import known, proved, told
from midpo.symbolic.language.nodes import CHOSEN, REJECTED

from .pair import DEPTH, Gradients, Pair, Progress, parallel, undefined

SHARED = 3  # parameters of a shared parametrisation


@dataclass(frozen=True)
class Worst:
    """The smallest cosine found, and where: lengths of the two responses, share of the prefix."""

    cosine: float
    lengths: tuple[int, int]
    shared: int


def cosines(gradients: Gradients, seed: int, trials: int, progress: Progress) -> Claim:
    """The cosine between the two gradients of the loss: worst cases found."""
    question = "the two gradients' cosine"
    if not any(gradients.terms):
        return Claim(
            question,
            "the same",
            "they are the same",
            proved("the prior is fixed"),
            data={"tabular": 1.0, "shared": 1.0},
        )
    factor = parallel(gradients.spec)
    if factor is not None and gradients.constraint is None:
        return _parallel(gradients, question, factor)
    rng = np.random.default_rng(seed + 2)
    worst, shared, tried = _tried(gradients, rng, trials, progress)
    if worst is None:
        return undefined(question)
    progress("cosines: local descent")
    best, pair = _descend(gradients, worst, rng, trials // 2)
    y_w, y_l = pair.world.responses
    common = sum(1 for _ in itertools.takewhile(lambda ab: ab[0] == ab[1], zip(y_w, y_l, strict=False)))
    case = Worst(best, (len(y_w), len(y_l)), common)
    against = "opposite" if best < 0 else "acute"
    raised = ", where a step on the one raises the loss of the other" if shared < 0 else ""
    sentence = told(
        "a tabular policy: {} at worst ({}, {}, {} shared); {} shared parameters: {} at worst{}",
        figure(best),
        length(CHOSEN, case.lengths[0]),
        length(REJECTED, case.lengths[1]),
        f"{common} token{'s' * (common != 1)}",
        str(SHARED),
        figure(shared),
        raised,
    )
    return Claim(
        question,
        against,
        sentence,
        known(
            Standing.EVIDENCE,
            f"{tried} random pairs of at most {2 * DEPTH} tokens, defaults, then local descent",
        ),
        data={
            "tabular": best,
            "shared": shared,
            "pairs": tried,
            "lengths": list(case.lengths),
            "shared_prefix": common,
            "tokens": [list(y_w), list(y_l)],
            "policy": {
                " ".join(map(str, s)): [float(p) for p in law] for s, law in pair.world.laws["pi"].items()
            },
        },
    )


def _parallel(gradients: Gradients, question: str, factor: Expr) -> Claim:
    """The answer where the one gradient is a constant times the other."""
    turned = compared(shown(factor), "<", 0)
    opposite = told(" (opposite where {})", turned) if factor.free_symbols else ""
    value = (
        float(
            factor.xreplace(
                {p: gradients.spec.defaults.get(str(p.name), S.Half) for p in factor.free_symbols}
            )
        )
        if factor.free_symbols
        else float(factor)
    )
    cosine = float(np.sign(value))
    return Claim(
        question,
        "parallel",
        told(
            "they are parallel: the one is {} times the other, at every policy and in every "
            "parametrisation{}",
            shown(factor),
            opposite,
        ),
        proved("the rows differ by a constant factor"),
        data={"tabular": cosine, "shared": cosine},
    )


def _tried(
    gradients: Gradients, rng: np.random.Generator, trials: int, progress: Progress
) -> tuple[tuple[float, Pair] | None, float, int]:
    """Random pairs: the smallest cosine with its pair, the smallest with shared parameters, and how
    many pairs had one."""
    worst: tuple[float, Pair] | None = None
    shared = 1.0
    tried = 0
    for trial in range(trials):
        if trial % 25 == 0:
            progress(f"cosines: {trial} of {trials}")
        try:
            pair = gradients.pair(gradients.random(rng), target=False)
        except Undefined:
            continue
        found = _cosine(pair)
        if found is None:
            continue
        tried += 1
        if worst is None or found < worst[0]:
            worst = (found, pair)
        for _ in range(4):
            features = rng.normal(size=(SHARED, len(pair.policy[0])))
            low = _cosine(pair, features)
            shared = shared if low is None else min(shared, low)
    return worst, shared, tried


def _cosine(pair: Pair, features: Floats64 | None = None) -> float | None:
    """The cosine of the two gradients; with `features`, along parameters theta in
    logits = features^T theta."""
    left = pair.slope * pair.gradient(pair.everything(True)) + pair.rest
    right = pair.slope * pair.gradient(pair.everything(False)) + pair.rest
    if features is not None:
        left, right = features @ left, features @ right
    size = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / size if size > 1e-18 else None


def _descend(
    gradients: Gradients, start: tuple[float, Pair], rng: np.random.Generator, steps: int
) -> tuple[float, Pair]:
    """Random steps of the policy's logits from the worst pair, kept where the cosine falls."""
    best, pair = start
    width = 1.0
    for _ in range(steps):
        logits = logits_of(pair.world)
        moved = with_policy(pair.world, logits + width * rng.normal(size=logits.shape))
        try:
            other = gradients.pair(moved, target=False)
        except Undefined:
            continue
        found = _cosine(other)
        if found is not None and found < best:
            best, pair = found, other
            width *= 1.3
        else:
            width = max(0.02, width * 0.93)
    return best, pair
