"""Appendix A and A.1 of the paper: the optimal policy for a prior, and the loss that follows.

The prompt is fixed and not written, but where two prompts are compared. beta is the paper's inverse
temperature of section 3, alpha = 1/beta.
"""

from __future__ import annotations

from sympy import Expr, Integer, S

from midpo.symbolic.framework.hypothesis import Hypothesis
from midpo.symbolic.framework.words import (
    COMPARISONS,
    PROMPTS,
    Element,
    Gap,
    Mean,
    Partial,
    Relative,
    Same,
    SumOver,
    mass,
    member,
    score,
)
from midpo.symbolic.language.nodes import Exp, Log, LogSigmoid, Parameter, Sigmoid

from .theorem import Fact, Theorem

Y, Y1 = Element("y"), Element("y'")
W, L = Element("y_w"), Element("y_l")
X, X1 = Element("x", PROMPTS), Element("x'", PROMPTS)
C = Element("c", COMPARISONS)

ALPHA, BETA = Parameter("alpha", "positive"), Parameter("beta", "positive")
LAM = Parameter("lam")
Z, SIZE = Parameter("Z", "positive"), Parameter("n", "positive")



def pi(y: Expr) -> Expr:
    return mass("pi", y)


def star(y: Expr) -> Expr:
    return mass("pi_star", y)


def zeta(y: Expr) -> Expr:
    return mass("zeta", y)


def r(y: Expr) -> Expr:
    return score("r", y)


def margin(policy: str, prior_w: Expr, prior_l: Expr, alpha: Expr = ALPHA) -> Expr:
    """The margin of the generalised loss, one prior for each role."""
    return alpha * Log(mass(policy, W) / prior_w) - alpha * Log(mass(policy, L) / prior_l)


MARGIN = margin("pi", zeta(W), zeta(L))


def total(name: str) -> Hypothesis:
    """A law sums to one."""
    law = mass(name, Y)
    return Hypothesis(f"law {name}", f"the probabilities {name}(y) sum to one",
                      SumOver(law, Y), S.One)


STATIONARY_POLICY = zeta(Y) * Exp(BETA * r(Y) - 1) * Exp(BETA * LAM)
UNNORMALISED = SumOver(zeta(Y) * Exp(BETA * r(Y) - 1), Y)
LAGRANGIAN = (
    SumOver(pi(Y) * (r(Y) + Log(zeta(Y)) / BETA), Y)
    - SumOver(pi(Y) * Log(pi(Y)), Y) / BETA
    + LAM * (SumOver(pi(Y), Y) - 1)
)
DERIVATIVE = r(Y) + Log(zeta(Y)) / BETA - Log(pi(Y)) / BETA - 1 / BETA + LAM
DUAL = Exp(BETA * LAM) * UNNORMALISED / BETA - LAM
OBJECTIVE = Mean(pi(Y), Y, r(Y)) - ALPHA * Relative(pi(Y), Y, zeta(Y))
_AT_OPTIMUM = Mean(star(Y), Y, r(Y)) - ALPHA * Relative(star(Y), Y, zeta(Y))

_pi_stationary = Hypothesis(
    "stationary policy", "the policy is the stationary point of the Lagrangian",
    pi(Y), STATIONARY_POLICY, (Y,))
_lam_star = Hypothesis(
    "dual minimiser", "the multiplier is the minimiser of the dual",
    LAM, -Log(UNNORMALISED) / BETA)
_z_beta = Hypothesis(
    "definition of Z", "definition of the normaliser Z",
    SumOver(zeta(Y) * Exp(BETA * r(Y)), Y), Z)
_stationarity = Hypothesis(
    "stationarity", "the derivative of the Lagrangian vanishes, solved for the reward",
    r(Y), -Log(zeta(Y)) / BETA + Log(pi(Y)) / BETA + 1 / BETA - LAM, (Y,))
_star_beta = Hypothesis(
    "optimal policy", "definition of the optimal policy",
    star(Y), zeta(Y) * Exp(BETA * r(Y)) / Z, (Y,))
Z_ALPHA = Hypothesis(
    "definition of Z at alpha", "definition of the normaliser Z",
    SumOver(zeta(Y) * Exp(r(Y) / ALPHA), Y), Z)
STAR = Hypothesis(
    "optimal policy at alpha", "definition of the optimal policy",
    star(Y), zeta(Y) * Exp(r(Y) / ALPHA) / Z, (Y,))
_flat_prior = Hypothesis("flat prior", "the prior is 1 for every response", zeta(Y), S.One, (Y,))
_flat_reward = Hypothesis("flat reward", "the reward is 0 for every response", r(Y), S.Zero, (Y,))
_uniform = Hypothesis("uniform policy", "the policy is uniform", pi(Y), 1 / SIZE, (Y,))
_size = Hypothesis("size", "there are n responses", SumOver(S.One, Y), SIZE)



def _v(y: Expr) -> Expr:
    return score("v", y)


_hessian = -Same(Y, Y1) / (BETA * pi(Y))

OPTIMAL_POLICY = Theorem(
    "optimal-policy",
    "Appendix A: the optimal policy for a prior",
    "For a positive prior with a finite normaliser {normaliser} the problem of maximising "
    "{objective} over laws has exactly one solution, {optimum}, and its value is {value}.",
    (
        Fact("lagrangian", "The Lagrangian of the problem, written out as in the paper",
             Mean(pi(Y), Y, r(Y)) - Relative(pi(Y), Y, zeta(Y)) / BETA
             + LAM * (SumOver(pi(Y), Y) - 1), "=", LAGRANGIAN),
        Fact("derivative", "Its derivative with respect to one probability",
             Partial(LAGRANGIAN, pi(Y)), "=", DERIVATIVE),
        Fact("stationary", "The derivative vanishes at the stationary point",
             DERIVATIVE, "=", S.Zero, (_pi_stationary,)),
        Fact("only-stationary", "Nowhere else: where it vanishes, the policy is this one",
             STATIONARY_POLICY, "=", pi(Y), (_stationarity,)),
        Fact("hessian", "The second derivatives of the Lagrangian",
             Partial(Partial(LAGRANGIAN, pi(Y)), pi(Y1)), "=", _hessian),
        Fact("concave", "The Hessian is negative definite: for every direction v its quadratic form"
             " is minus a sum of squares with positive weights, 0 only at v = 0",
             SumOver(SumOver(_v(Y) * _hessian * _v(Y1), Y1), Y), "≤", S.Zero, (),
             SumOver(_v(Y) ** 2 / (BETA * pi(Y)), Y)),
        Fact("dual", "The dual function: the Lagrangian at the stationary point",
             LAGRANGIAN, "=", DUAL, (_pi_stationary,)),
        Fact("dual-slope", "The derivative of the dual",
             Partial(DUAL, LAM), "=", Exp(BETA * LAM) * UNNORMALISED - 1),
        Fact("dual-convex", "The dual is strictly convex",
             S.Zero, "<", Partial(Partial(DUAL, LAM), LAM), (),
             BETA * Exp(BETA * LAM) * UNNORMALISED),
        Fact("dual-minimiser", "Its derivative vanishes at the minimiser",
             Exp(BETA * LAM) * UNNORMALISED - 1, "=", S.Zero, (_lam_star,)),
        Fact("dual-value", "The value of the dual at its minimiser",
             DUAL, "=", Log(Z) / BETA, (_lam_star, _z_beta)),
        Fact("policy", "The stationary point with this multiplier",
             pi(Y), "=", zeta(Y) * Exp(BETA * r(Y)) / Z, (_z_beta, _lam_star, _pi_stationary)),
        Fact("normalised", "It is a law",
             SumOver(star(Y), Y), "=", S.One, (_z_beta, _star_beta)),
        Fact("reward", "The reward in terms of it",
             r(Y), "=", Log(star(Y) / zeta(Y)) / BETA + Log(Z) / BETA, (_star_beta,)),
        Fact("gibbs-identity", "The Gibbs identity, for every law",
             OBJECTIVE, "=", ALPHA * Log(Z) - ALPHA * Relative(pi(Y), Y, star(Y)),
             (STAR, total("pi"))),
        Fact("gibbs-inequality", "A divergence between laws is at least 0; it is 0 only where the "
             "laws agree, for each term of the remainder is",
             S.Zero, "≤", Relative(pi(Y), Y, star(Y)), (total("pi"), total("pi_star")),
             SumOver(pi(Y) * Gap(star(Y) / pi(Y)), Y)),
        Fact("optimal", "So no law exceeds the value, and only the optimal policy can attain it",
             OBJECTIVE, "≤", ALPHA * Log(Z), (Z_ALPHA, STAR, total("pi")),
             ALPHA * SumOver(pi(Y) * Gap(star(Y) / pi(Y)), Y)),
        Fact("attained", "The optimal policy attains it. On finitely many of infinitely many "
             "responses, with Z their part of the sum, this is the value too: where Z is infinite "
             "the supremum is infinite, and no policy attains it",
             _AT_OPTIMUM, "=", ALPHA * Log(Z), (Z_ALPHA, STAR)),
        Fact("infinite", "For example for the prior 1 and the reward 0: n responses give this, "
             "which grows without bound",
             OBJECTIVE, "=", ALPHA * Log(SIZE),
             (_size, _uniform, _flat_prior, _flat_reward)),
    ),
    {
        "normaliser": (Z, SumOver(zeta(Y) * Exp(r(Y) / ALPHA), Y)),
        "objective": OBJECTIVE,
        "optimum": (star(Y), zeta(Y) * Exp(r(Y) / ALPHA) / Z),
        "value": ALPHA * Log(Z),
    },
    (
        "The set of responses is finite and not empty; its size is left open. Policies give every "
        "response a positive probability (at a probability 0 the terms of the objective are "
        "0, and the Gibbs identity extends by continuity).",
        "The prior is positive and does not depend on the policy. It need not sum to one.",
    ),
)

# --- Appendix A.1 --------------------------------------------------------------------------------



def _zx(x: Expr) -> Expr:
    return mass("Z", x)


_N = Parameter("N", "positive")
_NW, _NL = Parameter("N1", "positive"), Parameter("N2", "positive")
_reward_beta = Hypothesis(
    "reward", "the reward of which the policy is optimal, in terms of it",
    r(Y), Log(star(Y) / zeta(Y)) / BETA + Log(Z) / BETA, (Y,))
_inverse = Hypothesis("alpha", "alpha is 1/beta", BETA, 1 / ALPHA)
_reward_x = Hypothesis(
    "reward for each prompt", "the reward of which the policy is optimal, prompt by prompt",
    score("r", X, Y),
    ALPHA * Log(mass("pi_star", Y, X) / mass("zeta", Y, X)) + ALPHA * Log(_zx(X)), (X, Y))
PREFERENCE = Exp(r(W)) / (Exp(r(W)) + Exp(r(L)))


def across(policy: str) -> Expr:
    """The margin of responses to two different prompts."""
    return (ALPHA * Log(mass(policy, W, X) / mass("zeta", W, X))
            - ALPHA * Log(mass(policy, L, X1) / mass("zeta", L, X1)))


_wc, _lc = member("y_w", C), member("y_l", C)
_fit = Hypothesis(
    "reward of the policy", "the reward that the policy stands for",
    r(Y), ALPHA * Log(pi(Y) / zeta(Y)) + ALPHA * Log(Z), (Y,))

BRADLEY_TERRY = Theorem(
    "bradley-terry",
    "Appendix A.1: from the reward to the loss",
    "Under the Bradley-Terry model with the reward of the optimal policy, the normaliser cancels "
    "between two responses to one prompt, and the negative log-likelihood of a pair is "
    "{loss} with {alpha}.",
    (
        Fact("logistic", "The Bradley-Terry probability depends on the difference of rewards",
             PREFERENCE, "=", Sigmoid(r(W) - r(L))),
        Fact("probabilities", "The two outcomes of a comparison have probabilities that sum to one",
             Sigmoid(r(W) - r(L)) + Sigmoid(r(L) - r(W)), "=", S.One),
        Fact("cancels", "With the optimal policy's reward the normaliser cancels",
             PREFERENCE, "=",
             Sigmoid(Log(star(W) / zeta(W)) / BETA - Log(star(L) / zeta(L)) / BETA),
             (_reward_beta,)),
        Fact("temperature", "The paper's beta of section 3 is 1/alpha",
             Log(star(W) / zeta(W)) / BETA - Log(star(L) / zeta(L)) / BETA, "=",
             margin("pi_star", zeta(W), zeta(L)), (_inverse,)),
        Fact("common-factor", "A factor of the prior common to both responses cancels in the "
             "margin", margin("pi", zeta(W) / _N, zeta(L) / _N), "=", MARGIN),
        Fact("two-prompts", "Between responses to two prompts it does not cancel: the difference "
             "of rewards less the margin is",
             score("r", X, W) - score("r", X1, L) - across("pi_star"), "=",
             ALPHA * Log(_zx(X) / _zx(X1)), (_reward_x,)),
        Fact("two-normalisers", "Nor with one normaliser for each label: the margin is shifted by",
             margin("pi", mass("zeta_w", W) / _NW, mass("zeta_l", L) / _NL)
             - margin("pi", mass("zeta_w", W), mass("zeta_l", L)), "=", ALPHA * Log(_NW / _NL)),
        Fact("loss", "The negative log-likelihood of a pair is the generalised loss",
             -Log(PREFERENCE), "=", -LogSigmoid(MARGIN), (_fit,)),
        Fact("objective", "And that of all comparisons, with weights omega, its weighted sum",
             -SumOver(score("omega", C) * Log(Exp(r(_wc)) / (Exp(r(_wc)) + Exp(r(_lc)))), C), "=",
             -SumOver(score("omega", C) * LogSigmoid(
                 ALPHA * Log(pi(_wc) / zeta(_wc)) - ALPHA * Log(pi(_lc) / zeta(_lc))), C),
             (_fit,)),
    ),
    {"loss": -LogSigmoid(MARGIN), "alpha": (ALPHA, Integer(1) / BETA)},
    (
        "Preferences follow the Bradley-Terry model with the reward of the regularised problem.",
        "Both responses of a pair answer one prompt, and one prior serves both.",
    ),
)
