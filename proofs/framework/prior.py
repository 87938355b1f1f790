"""Sections 5.1 and 5.2 of the paper: constraints, and optimising the prior."""

from __future__ import annotations

import random
from fractions import Fraction

from sympy import Expr, Integer, S

from midpo.numeric.framework import Sample
from midpo.symbolic.framework.hypothesis import Hypothesis
from midpo.symbolic.framework.words import (
    COMPARISONS,
    EDGES,
    PROMPTS,
    Element,
    Gap,
    Partial,
    SumOver,
    mass,
    member,
    score,
)
from midpo.symbolic.language.nodes import Exp, Log, LogSigmoid, Parameter, Sigmoid

from .optimum import ALPHA, LAM, L, W, Y, margin, pi, r, zeta
from .theorem import Fact, Theorem

# --- Section 5.1 ---------------------------------------------------------------------------------

NU = Parameter("nu", "nonnegative")
PENALTY = Parameter("mu", "positive")  # the weight of a penalty; LAM belongs to sum pi = 1
_N, _M = Parameter("N", "positive"), Parameter("m")


def _hat(y: Expr) -> Expr:
    return mass("q_hat", y)


def _odds(y: Expr) -> Expr:
    return mass("P", y) / (1 - mass("P", y))


CONSTRAINED = (
    SumOver(pi(Y) * (r(Y) - ALPHA * Log(pi(Y)) + ALPHA * Log(zeta(Y))), Y)
    + NU * SumOver(_hat(Y) * Log(pi(Y)), Y) + LAM * (SumOver(pi(Y), Y) - 1)
)
_SLOPE = r(Y) - ALPHA * Log(pi(Y)) - ALPHA + ALPHA * Log(zeta(Y)) + NU * _hat(Y) / pi(Y) + LAM
_stationary = Hypothesis(
    "stationarity", "the derivative of the Lagrangian vanishes, solved for the reward",
    r(Y), ALPHA * Log(pi(Y) / zeta(Y)) + ALPHA - NU * _hat(Y) / pi(Y) - LAM, (Y,))
_flat = Hypothesis("flat prior", "the prior is 1 for every response", zeta(Y), S.One, (Y,))
_odds_prior = Hypothesis(
    "odds prior", "the prior is the policy over the odds of P, the length-normalised probability",
    zeta(Y), pi(Y) / _odds(Y), (Y,))
_J, _J0, _K, _K0 = (Parameter(n) for n in ("J", "J1", "K", "K1"))
_EXCESS, _SLACK = Parameter("g", "nonnegative"), Parameter("s", "nonnegative")
_least = Hypothesis("minimiser", "the policy with the values J1, K1 minimises J + mu*K, so the "
                    "excess g of any other policy is at least 0",
                    _J, _J0 + PENALTY * _K0 + _EXCESS - PENALTY * _K)
_within = Hypothesis("constraint", "the other policy keeps the bound K1, with the slack s ≥ 0",
                     _K, _K0 - _SLACK)
_GENERALISED = -LogSigmoid(margin("pi", zeta(W), zeta(L))) - PENALTY * Log(pi(W))
_UNIT = -LogSigmoid(margin("pi", zeta(W), zeta(L), Integer(1))) - PENALTY * Log(pi(W))

CONSTRAINTS = Theorem(
    "constraints",
    "Section 5.1: constraints beside a prior",
    "CPO and ORPO are Lagrangians of a constrained preference problem, {lagrangian} with a prior "
    "of their own. A constraint inside the reinforcement-learning problem gives another loss: it "
    "changes the margin itself.",
    (
        Fact("cpo", "CPO: the flat prior and the penalty on the chosen response",
             _GENERALISED, "=",
             -LogSigmoid(ALPHA * Log(pi(W)) - ALPHA * Log(pi(L))) - PENALTY * Log(pi(W)), (_flat,)),
        Fact("orpo", "ORPO: the odds of the length-normalised probability P, temperature 1",
             _UNIT, "=",
             -LogSigmoid(Log(_odds(W)) - Log(_odds(L))) - PENALTY * Log(pi(W)), (_odds_prior,)),
        Fact("penalised-minimiser", "Every minimiser of the penalised loss J + mu*K solves the "
             "constrained problem with its own K as the bound",
             _J0, "≤", _J, (_within, _least), _EXCESS + PENALTY * _SLACK),
        Fact("shift", "The converse, for tables of probabilities and a fixed prior: in logarithms "
             "the constraint that they sum to at most one is convex and tight, for a larger factor "
             "leaves the margin alone",
             margin("pi", zeta(W) / _N, zeta(L) / _N), "=", margin("pi", zeta(W), zeta(L))),
        Fact("convex", "and the loss is strictly convex in the margin, so a multiplier exists",
             S.Zero, "<", Partial(Partial(-LogSigmoid(_M), _M), _M), (),
             Sigmoid(_M) * Sigmoid(-_M),
             ("a convex problem with a strictly feasible point has a Lagrange multiplier (Slater)",)
             ),
        Fact("three-policies", "It fails for classes that are not convex: of three policies with "
             "the values (J, K) = (0, 2), (3, 0), (2, 1), the bound K ≤ 1 selects the third, and "
             "no multiplier does, for its value is above the mean of the other two",
             ((0 + 2 * PENALTY) + (3 + 0 * PENALTY)) / 2, "<", 2 + PENALTY, (), S.Half),
        Fact("rl-derivative", "A bound on -E log(pi) over the data, with law q, inside the "
             "regularised problem, with multiplier nu: the derivative of its Lagrangian",
             Partial(CONSTRAINED, pi(Y)), "=", _SLOPE),
        Fact("rl-margin", "so the difference of rewards, which is the margin of the loss, has a "
             "term inside the sigmoid and none beside it",
             r(W) - r(L), "=",
             margin("pi", zeta(W), zeta(L)) - NU * (_hat(W) / pi(W) - _hat(L) / pi(L)),
             (_stationary,)),
    ),
    {"lagrangian": _GENERALISED},
    ("Policies give every response a positive probability.",
     "That such a loss is of no prior form, and the exception, is theorem 7."),
)

# --- Section 5.2 ---------------------------------------------------------------------------------

X, C, E = Element("x", PROMPTS), Element("c", COMPARISONS), Element("i", EDGES)
_W, _L, _X = member("y_w", C), member("y_l", C), member("x", C)
_T, _D = Parameter("t", "positive"), Parameter("d", "nonnegative")
_RAISE, _BOUND, _SIZE = (Parameter(n, "positive") for n in ("b", "B", "k"))


def _ratio(policy: str, prior: str, y: Expr) -> Expr:
    return ALPHA * Log(mass(policy, y, _X) / mass(prior, y, _X))


def objective(policy: str, prior: str) -> Expr:
    """The loss of all comparisons, with weights omega."""
    m = _ratio(policy, prior, _W) - _ratio(policy, prior, _L)
    return -SumOver(mass("omega", C) * LogSigmoid(m), C)


def s(x: Expr, y: Expr) -> Expr:
    return score("s", x, y)


LIKELIHOOD = -SumOver(mass("omega", C) * LogSigmoid(s(_X, _W) - s(_X, _L)), C)

_prior_of = Hypothesis(
    "prior of a score", "the prior made from the policy and an arbitrary score",
    mass("zeta_s", Y, X), mass("pi", Y, X) * Exp(-s(X, Y) / ALPHA) / mass("N", X), (Y, X))
_score_of = Hypothesis(
    "score of a prior", "the score that policy and prior define",
    s(X, Y), ALPHA * Log(mass("pi", Y, X) / mass("zeta", Y, X)), (X, Y))
_normaliser = Hypothesis(
    "normaliser", "definition of the normaliser of the policy made from a score",
    SumOver(mass("zeta", Y, X) * Exp(s(X, Y) / ALPHA), Y), mass("N", X), (X,))
_policy_of = Hypothesis(
    "policy of a score", "the policy made from the prior and an arbitrary score",
    mass("pi_s", Y, X), mass("zeta", Y, X) * Exp(s(X, Y) / ALPHA) / mass("N", X), (Y, X))
_moved_policy = Hypothesis(
    "moved policy", "the policy times exp(g), normalised",
    mass("pi_s", Y, X), mass("pi", Y, X) * Exp(score("g", X, Y)) / mass("Z", X), (Y, X))
_moved_prior = Hypothesis(
    "moved prior", "the prior times exp(g), normalised",
    mass("zeta_s", Y, X), mass("zeta", Y, X) * Exp(score("g", X, Y)) / mass("Z'", X), (Y, X))


def _around(instance: Sample, rng: random.Random) -> None:
    """The score after an edge is that before the next one."""
    size = instance.sizes[EDGES]
    instance.tables["v"] = {(i,): instance.tables["u"][((i + 1) % size,)] for i in range(size)}


def _excess(instance: Sample, rng: random.Random) -> None:
    """e² is what the loss has above its tangent."""
    ops = instance.ops
    for at in list(instance.tables["e"]):
        m = instance.tables["u"][at] - instance.tables["v"][at]
        instance.tables["e"][at] = ops.sqrt(ops.log((1 + ops.exp(-m)) / 2) + m / 2)


def _closing(instance: Sample, rng: random.Random) -> None:
    total = sum(instance.tables["m"].values())
    instance.parameters["M"] = -total + Fraction(0)


_u, _v = score("u", E), score("v", E)
_EDGE = Parameter("M")
_cycle = Hypothesis(
    "cycle", "around a cycle the scores v after the edges are the scores u before them",
    SumOver(_v, E), SumOver(_u, E), realise=_around)
_above_tangent = Hypothesis(
    "tangent line", "each loss is its tangent and an excess e², by the part before",
    LogSigmoid(_u - _v), (_u - _v) / 2 - Log(Integer(2)) - score("e", E) ** 2, (E,),
    realise=_excess)
_length = Hypothesis("length", "the cycle has k edges", SumOver(S.One, E), _SIZE)
_rest = Hypothesis(
    "rest of a cycle", "the margins m of the other edges of a cycle sum to minus this one",
    SumOver(score("m", E), E), -_EDGE, realise=_closing)
_low = Hypothesis("lowest prior", "at the chosen response the prior has the least value allowed",
                  mass("zeta_w", Y), zeta(Y) * Exp(-_BOUND), (Y,))
_high = Hypothesis("highest prior", "at the rejected one the largest",
                   mass("zeta_l", Y), zeta(Y) * Exp(_BOUND), (Y,))


def _tangent(m: Expr) -> Expr:
    """-log sigmoid(m) - log 2 + m/2, in parts that are at least 0."""
    below = 1 + Exp(-m)
    return Gap(2 * Exp(-m / 2) / below) + (1 - Exp(-m / 2)) ** 2 / below


_STEP = _T * (1 + _D)
_TOPOLOGICAL = "the vertices of a graph without directed cycles can be ranked along its edges"
_COMPACT = "a continuous function has a minimum on a compact set"
_CONDENSATION = (
    "a connected graph that is not strongly connected has a set of vertices that edges leave and "
    "none enters"
)

LEARNED_PRIOR = Theorem(
    "learned-prior",
    "Section 5.2: optimising the prior",
    "Over all positive priors the infimum of {objective} is the Bradley-Terry maximum-likelihood "
    "value, the infimum of {likelihood} over scores s, whatever the policy; over all policies it "
    "is the same, whatever the prior. So the paper's inequality is an equality where neither is "
    "restricted. The value is 0 iff no prompt has a directed cycle of preferences; then it is not "
    "attained. It is attained iff every connected component is strongly connected.",
    (
        Fact("every-score", "For each policy every score comes from a prior",
             objective("pi", "zeta_s"), "=", LIKELIHOOD, (_prior_of,)),
        Fact("every-prior", "and every prior gives a score: one set of values for all policies",
             objective("pi", "zeta"), "=", LIKELIHOOD, (_score_of,)),
        Fact("every-policy", "For each prior every score comes from a policy",
             objective("pi_s", "zeta"), "=", LIKELIHOOD, (_policy_of,)),
        Fact("policy-law", "which is a law",
             SumOver(mass("pi_s", Y, X), Y), "=", S.One, (_normaliser, _policy_of)),
        Fact("invariance", "Policy and prior can be moved together, by any function g(x, y)",
             objective("pi_s", "zeta_s"), "=", objective("pi", "zeta"),
             (_moved_policy, _moved_prior)),
        Fact("acyclic", "Without directed cycles: scores t times a rank that rises by 1 + d along "
             "each comparison make each loss as small as desired as t grows",
             -LogSigmoid(_STEP), "≤", Exp(-_T), (),
             Gap(1 + Exp(-_STEP)) + Exp(-_STEP) * (_T * _D + Gap(Exp(_T * _D))), (_TOPOLOGICAL,)),
        Fact("not-attained", "but the value 0 is not attained",
             S.Zero, "<", LIKELIHOOD, (),
             SumOver(-mass("omega", C) * LogSigmoid(s(_X, _W) - s(_X, _L)), C)),
        Fact("tangent", "The loss of a margin lies above its tangent at 0",
             Log(Integer(2)) - _EDGE / 2, "≤", -LogSigmoid(_EDGE), (), _tangent(_EDGE)),
        Fact("cycle", "With a directed cycle of k comparisons the value is positive: around it the "
             "margins sum to 0, and the losses to at least this",
             _SIZE * Log(Integer(2)), "≤", SumOver(-LogSigmoid(_u - _v), E),
             (_length, _cycle, _above_tangent), SumOver(score("e", E) ** 2, E)),
        Fact("bounded-above", "On a cycle a margin M is at most the loss of the other comparisons",
             _EDGE, "≤", SumOver(-LogSigmoid(score("m", E)), E), (_rest,),
             SumOver(Log(1 + Exp(score("m", E))), E)),
        Fact("bounded-below", "and minus it at most its own loss. So where every comparison is on a"
             " cycle, margins are bounded by the loss, and the minimum is attained",
             -_EDGE, "≤", -LogSigmoid(_EDGE), (), Log(1 + Exp(_EDGE)), (_COMPACT,)),
        Fact("raised", "Where a component is not strongly connected, raising the scores of a set "
             "that comparisons leave and none enters raises their margins by b and lowers the "
             "loss, wherever one starts: no minimum",
             -LogSigmoid(_EDGE + _RAISE), "<", -LogSigmoid(_EDGE), (),
             Gap((1 + Exp(-_EDGE - _RAISE)) / (1 + Exp(-_EDGE)))
             + Exp(-_EDGE - _RAISE) * (_RAISE + Gap(Exp(_RAISE))) / (1 + Exp(-_EDGE)),
             (_CONDENSATION,)),
        Fact("bounded-prior", "With the prior held within a factor exp(B) of a given one, the best "
             "for one pair sits on the boundary and adds an offset to the margin",
             margin("pi", mass("zeta_w", W), mass("zeta_l", L)), "=",
             margin("pi", zeta(W), zeta(L)) + 2 * ALPHA * _BOUND, (_low, _high)),
    ),
    {"objective": objective("pi", "zeta"), "likelihood": LIKELIHOOD},
    ("The data are finite; policies and priors are all positive functions, without a model class.",
     "Restricted classes, such as one network, can do worse; then optimising the prior can gain."),
)
