"""Can the prior be normalised over all finite strings, and does Z exist?

log zeta is read as a sum of weighted log-probabilities, divergences and lengths:
zeta(y) = product over tokens of rho(y_t)**e for several policies rho, times exp(b*len(y)), times
exponentials of divergences. Each rule names the inequality its bound rests on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.figures import figure
from midpo.numeric.trees import EOS, VOCABULARY, World, default_parameters, softmax
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.words import INFINITE, LARGEST_WEIGHT, LEAST_WEIGHT, WEIGHT
from midpo.proofs.certify.library import cited
from midpo.symbolic.domains.intervals import plain_value
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import proved, told, undecided
from midpo.symbolic.language.nodes import Log

from .bounds import Bound, rule
from .side import PriorSide

LONGEST = 7  # tokens, of the strings that are summed over
PROBES = 3  # random policies, the same law after every prefix


# --- Numbers -------------------------------------------------------------------------------------


def partial_masses(side: PriorSide, seed: int) -> list[list[float]]:
    """The mass of the strings of each length up to LONGEST, for random policies whose law does not
    depend on the prefix, with the default parameters and features that are 1 where they can be."""
    rng = np.random.default_rng(seed + 4)
    found = []
    strings = _strings()
    for _ in range(PROBES):
        prefixes = {y[:t] for y in strings for t in range(len(y))}
        laws = {}
        for policy in side.spec.policies:
            stop = float(rng.uniform(0.05, 0.3))
            law = np.concatenate([[stop], (1 - stop) * softmax(rng.normal(size=VOCABULARY - 1))])
            laws[policy] = dict.fromkeys(prefixes, law)
        features: dict[str, Any] = {}
        for name, kind in side.spec.names.features.items():
            domain = side.spec.names.range(name)
            one = 1.0 if 1 in domain else float(plain_value(domain))
            features[name] = {"pair": one, "response": dict.fromkeys(strings, one)}.get(
                kind, {y: [one] * len(y) for y in strings}
            )
        world = World(strings, laws, default_parameters(side.spec), features)
        try:
            values = np.exp(world.values(Log(side.expr)))
        except Undefined:
            continue
        lengths = np.array([len(y) for y in strings])
        found.append([float(values[lengths == n].sum()) for n in range(1, LONGEST + 1)])
    return found


def _strings() -> tuple[tuple[int, ...], ...]:
    return tuple(
        (*inner, EOS) for n in range(LONGEST) for inner in itertools.product(range(1, VOCABULARY), repeat=n)
    )


def answers(side: PriorSide, seed: int) -> Iterator[Claim]:
    """Every answer about the mass of one function zeta."""
    question = "normalisable" + (f" ({side.role})" if side.role else "")
    found = rule(side)
    masses = partial_masses(side, seed)
    ratios = [m[-1] / m[-2] for m in masses if m[-2] > 0]
    totals = [sum(m) for m in masses]
    data = {"masses": masses, "growth": ratios}
    shown = (
        f"{len(masses)} random policies over {VOCABULARY} tokens: strings of at most {LONGEST} "
        f"tokens weigh {figure(max(totals))} at most, and the last token changes the mass by "
        f"{figure(max(ratios))} at most"
        if ratios
        else "no values"
    )
    if found is None:
        yield Claim(
            question,
            "not decided",
            f"no rule applies; {shown}",
            told("{}, defaults; {} in general", Standing.EVIDENCE, Standing.UNDECIDED),
            data=data,
        )
        verdict = "not decided"
    else:
        violated = _violated(found, totals)
        if violated:
            yield Claim(question, "not decided", violated, undecided("please report this spec"), data=data)
            return
        standing = found.standing
        if found.coq:
            standing = told("{}; in Coq: {}", standing, ", ".join(cited(found.coq)))
        yield Claim(question, found.verdict, found.sentence, told("{}; {}", standing, shown), data=data)
        verdict = found.verdict
    yield _partition(side, verdict)


def _violated(found: Bound, totals: list[float]) -> str:
    """A partial sum that exceeds the bound of the rule: the rule would be wrong."""
    if max(totals, default=0.0) > found.limit + 1e-9:
        return f"a partial sum {figure(max(totals), 4)} exceeds the bound {figure(found.limit, 4)}"
    return ""


def _partition(side: PriorSide, verdict: str) -> Claim:
    question = "Z exists" + (f" ({side.role})" if side.role else "")
    moved = "" if side.policy_free else " (at the policy it is refreshed from)"
    if verdict == "finite":
        return Claim(
            question,
            "yes",
            f"for a bounded reward Z is finite{moved}",
            proved("Z is at most the mass times {}", LARGEST_WEIGHT),
        )
    if verdict == "infinite":
        return Claim(
            question,
            "no",
            told(
                "for a bounded reward Z is infinite: the problem's value is {} and it has no "
                "optimum; the loss itself is well defined",
                INFINITE,
            ),
            proved("Z is at least the mass times {}", LEAST_WEIGHT),
        )
    return Claim(
        question,
        "as the mass",
        told(
            "for a bounded reward Z is finite iff the mass is{}; where it is not, the problem's "
            "value is {} and only the loss is defined",
            moved,
            INFINITE,
        ),
        proved("{} lies between two positive constants", WEIGHT),
    )
