"""Lemma 1 of the paper with the right marginal, and the objective as rate-distortion."""

from __future__ import annotations

from typing import Any

from sympy import Expr, S

from midpo.numeric.framework import Sample, impose
from midpo.symbolic.framework.hypothesis import Hypothesis
from midpo.symbolic.framework.words import Gap, Mean, Relative, SumOver, mass, score

from .optimum import BETA, X, Y
from .theorem import Fact, Theorem

P_X = mass("p_X", X)
CHANNEL = mass("p", Y, X)
MARGINAL = mass("p_Y", Y)
Q = mass("q", Y)


marginal = Hypothesis(
    "marginal", "definition of the marginal p_Y, over all prompts", SumOver(P_X * CHANNEL, X), MARGINAL, (Y,)
)
_prompts = Hypothesis("law p_X", "the probabilities of the prompts sum to one", SumOver(P_X, X), S.One)
_channel = Hypothesis(
    "law p(.|x)", "the probabilities p(y|x) sum to one for each prompt", SumOver(CHANNEL, Y), S.One, (X,)
)


def _proper_laws(instance: Sample, rng: Any) -> None:
    """Conditional laws and a law of prompts, so that the marginal becomes one."""
    impose(instance, _prompts)
    impose(instance, _channel)


_marginal_law = Hypothesis(
    "law p_Y", "the probabilities p_Y(y) sum to one", SumOver(MARGINAL, Y), S.One, realise=_proper_laws
)
_q = Hypothesis("law q", "the probabilities q(y) sum to one", SumOver(Q, Y), S.One)
conditional = Hypothesis(
    "conditional prior", "q may depend on the prompt and is p(y|x)", mass("q", Y, X), CHANNEL, (X, Y)
)


def mean_divergence(prior: Expr) -> Expr:
    """E_x KL(p(.|x) || prior)."""
    return Mean(P_X, X, Relative(CHANNEL, Y, prior))


INFORMATION = mean_divergence(MARGINAL)
_reward = Mean(P_X, X, Mean(CHANNEL, Y, score("r", X, Y)))
_distortion = Hypothesis(
    "distortion", "distortion is minus the reward", score("r", X, Y), -score("d", X, Y), (X, Y)
)

MUTUAL_INFORMATION = Theorem(
    "mutual-information",
    "Lemma 1: the best prior that does not see the prompt",
    "For a prior that is one law for all prompts, the mean divergence {divergence} is least at the "
    "marginal {marginal}, where it is the mutual information {information}. Not at a conditional "
    "law: that gives 0.",
    (
        Fact(
            "lemma",
            "The mean divergence is the mutual information and a divergence from the marginal",
            mean_divergence(Q),
            "=",
            INFORMATION + Relative(MARGINAL, Y, Q),
            (marginal,),
        ),
        Fact(
            "marginal-mass",
            "The mass of the marginal is the mean mass of the conditional laws",
            SumOver(MARGINAL, Y),
            "=",
            Mean(P_X, X, SumOver(CHANNEL, Y)),
            (marginal,),
        ),
        Fact(
            "marginal-law",
            "Which is one: the marginal is a law",
            Mean(P_X, X, SumOver(CHANNEL, Y)),
            "=",
            S.One,
            (_prompts, _channel),
        ),
        Fact(
            "least",
            "So no law does better than the marginal, and only the marginal does as well",
            INFORMATION,
            "≤",
            mean_divergence(Q),
            (_q, _marginal_law, marginal),
            SumOver(MARGINAL * Gap(Q / MARGINAL), Y),
        ),
        Fact(
            "at-least-zero",
            "The mutual information is at least 0; it is 0 only where the "
            "responses do not depend on the prompt",
            S.Zero,
            "≤",
            INFORMATION,
            (_prompts, marginal),
            SumOver(P_X * SumOver(CHANNEL * Gap(MARGINAL / CHANNEL), Y), X),
        ),
        Fact(
            "conditional",
            "With a prior that may see the prompt the least mean divergence is 0, "
            "and there is no mutual information",
            mean_divergence(mass("q", Y, X)),
            "=",
            S.Zero,
            (conditional,),
        ),
        Fact(
            "objective",
            "The objective at its best prior, as a rate-distortion Lagrangian: rate "
            "plus beta times distortion, up to the factor -1/beta",
            _reward - INFORMATION / BETA,
            "=",
            -(INFORMATION + BETA * Mean(P_X, X, Mean(CHANNEL, Y, score("d", X, Y)))) / BETA,
            (_distortion,),
        ),
        Fact(
            "any-prior",
            "With any other prior the objective is smaller by a divergence from the marginal",
            _reward - mean_divergence(Q) / BETA,
            "=",
            _reward - INFORMATION / BETA - Relative(MARGINAL, Y, Q) / BETA,
            (marginal,),
        ),
    ),
    {
        "divergence": mean_divergence(Q),
        "marginal": (MARGINAL, SumOver(P_X * CHANNEL, X)),
        "information": INFORMATION,
    },
    ("The sets of prompts and responses are finite and not empty; their sizes are left open.",),
)
