"""Theorems 1 to 8: which losses have a prior. `solve` cites them by number."""

from __future__ import annotations

import random

from sympy import Expr, S

from midpo.numeric.framework import Sample
from midpo.symbolic.framework.hypothesis import Hypothesis
from midpo.symbolic.framework.words import Element, Partial, applied, mass, score
from midpo.symbolic.language.nodes import Exp, Log, LogSigmoid, Parameter

from .optimum import ALPHA, MARGIN, L, W, Y, margin, pi, zeta
from .theorem import Fact, Theorem

LOSS, M = Parameter("L", "positive"), Parameter("m")
A, B, C, D = (Element(name) for name in "abcd")
W1, L1 = Element("y_w'"), Element("y_l'")
_PAIRED = "The loss of a pair is a function of the policy, the chosen and the rejected response."


def f(y: Expr) -> Expr:
    return score("f", y)


def g(y: Expr) -> Expr:
    return score("g", y)


def m(w: Expr, l: Expr) -> Expr:  # noqa: E741
    return score("m", w, l)


def square(w: Element, w1: Element, l: Element, l1: Element) -> Expr:  # noqa: E741
    return m(w, l) - m(w, l1) - m(w1, l) + m(w1, l1)


def made(prior: str, of: Expr, words: str) -> Hypothesis:
    """The prior that a side of the margin gives."""
    return Hypothesis(f"prior {prior}", words, mass(prior, Y), pi(Y) * Exp(-of / ALPHA), (Y,))


BOTH = margin("pi", mass("zeta_w", W), mass("zeta_l", L))
separable = Hypothesis("separable", "the margin is a function of the chosen response less one of "
                       "the rejected response", m(W, L), f(W) - g(L), (W, L))
_chosen = made("zeta_w", f(Y), "the prior of the chosen response is made from f")
_rejected = made("zeta_l", g(Y), "that of the rejected response from g")
_f_of = Hypothesis("f", "f is alpha times the log-ratio for the chosen response",
                   f(Y), ALPHA * Log(pi(Y) / mass("zeta_w", Y)), (Y,))
_g_of = Hypothesis("g", "g is alpha times that for the rejected one",
                   g(Y), ALPHA * Log(pi(Y) / mass("zeta_l", Y)), (Y,))

THEOREM_1 = Theorem(
    "theorem-1", "The margin of a loss",
    "A positive loss L has a prior iff {margin} is separable: {separable}. A loss that is not "
    "positive somewhere has none.",
    (
        Fact("inverse", "The log-sigmoid loss is one to one, for it has an inverse",
             -Log(Exp(-LogSigmoid(M)) - 1), "=", M),
        Fact("onto", "and it takes every positive value",
             -LogSigmoid(-Log(Exp(LOSS) - 1)), "=", LOSS),
        Fact("positive", "and no other", S.Zero, "<", -LogSigmoid(M), (), -LogSigmoid(M)),
        Fact("priors", "A separable margin has the priors pi*exp(-f/alpha) and pi*exp(-g/alpha)",
             BOTH, "=", f(W) - g(L), (_chosen, _rejected)),
        Fact("separable", "and the margin of any two priors is separable",
             BOTH, "=", f(W) - g(L), (_f_of, _g_of)),
    ),
    {"margin": (M, -Log(Exp(LOSS) - 1)), "separable": (m(W, L), f(W) - g(L))},
    (_PAIRED,),
)

HEXAGON = m(A, B) - m(C, B) + m(C, A) - m(B, A) + m(B, C) - m(A, C)
_square_of = Hypothesis(
    "square", "definition of the cross difference", score("Δ", W, W1, L, L1),
    square(W, W1, L, L1), (W, W1, L, L1))


def delta(*at: Element) -> Expr:
    return score("Δ", *at)


# The pairs of three responses but (c, a), solved with F(a) = 0.
_F, _G = score("F", A, B, C), score("G", A, B, C)
_last_chosen = Hypothesis("F", "what f(c) must be", _F, m(C, B) - m(A, B), (A, B, C))
_last_rejected = Hypothesis("G", "what g(a) must be", _G, m(B, C) - m(A, C) - m(B, A), (A, B, C))

THEOREM_2 = Theorem(
    "theorem-2", "Separable margins",
    "A margin is separable iff {square} is 0 for all responses. A prompt with only three has no "
    "such square of different responses; there the test is that the hexagon {hexagon} is 0.",
    (
        Fact("square", "The cross difference of a separable margin vanishes",
             square(W, W1, L, L1), "=", S.Zero, (separable,)),
        Fact("converse", "With f(y_w) = m(y_w, b) and g(y_l) = m(a, b) - m(a, y_l) the margin less "
             "f - g is a cross difference",
             m(W, L) - (m(W, B) - (m(A, B) - m(A, L))), "=", delta(W, A, L, B), (_square_of,)),
        Fact("hexagon", "The hexagon of a separable margin vanishes",
             HEXAGON, "=", S.Zero, (separable,)),
        Fact("three", "Of three responses: f and g can be solved from five of the six pairs, with "
             "f(a) = 0, which gives F for f(c) and G for g(a); for the sixth the margin less F - G "
             "is the hexagon",
             m(C, A) - (_F - _G), "=", HEXAGON, (_last_chosen, _last_rejected)),
        Fact("four", "With a fourth response the hexagon is a sum of squares of different ones, so "
             "squares suffice",
             HEXAGON, "=", delta(A, C, B, D) + delta(C, B, A, D) + delta(B, A, C, D),
             (_square_of,)),
    ),
    {"square": square(W, W1, L, L1), "hexagon": HEXAGON},
    ("All pairs of different responses can be compared.",),
)

_swap = Hypothesis("swap sum", "definition of the swap sum", score("t", W, L), m(W, L) + m(L, W),
                   (W, L))
_label_free = Hypothesis("label-free", "the margin is f of the one less f of the other response",
                         m(W, L), f(W) - f(L), (W, L))
_KAPPA = Parameter("kappa")
_offset = Hypothesis("constant offset", "f is g and a constant", f(Y), g(Y) + _KAPPA, (Y,))
_plus = Hypothesis("prior for the chosen", "the prior of g times exp(-kappa/(2*alpha))",
                   mass("zeta_w", Y), pi(Y) * Exp(-g(Y) / ALPHA) * Exp(-_KAPPA / (2 * ALPHA)), (Y,))
_minus = Hypothesis("prior for the rejected", "the prior of g times exp(kappa/(2*alpha))",
                    mass("zeta_l", Y), pi(Y) * Exp(-g(Y) / ALPHA) * Exp(_KAPPA / (2 * ALPHA)),
                    (Y,))


def t(y: Element, y1: Element) -> Expr:
    return score("t", y, y1)


THEOREM_3 = Theorem(
    "theorem-3", "One prior for both roles",
    "A separable margin has one prior for both roles iff {swap} is 0.",
    (
        Fact("swap", "The swap sum of a separable margin",
             m(A, B) + m(B, A), "=", (f(A) - g(A)) + (f(B) - g(B)), (separable,)),
        Fact("three-points", "If it vanishes for the pairs of three responses then f = g",
             f(A) - g(A), "=", (t(A, B) + t(A, C) - t(B, C)) / 2, (separable, _swap)),
        Fact("additive", "Equivalently margins add up along a third response",
             m(A, B) + m(B, C), "=", m(A, C), (_label_free,)),
        Fact("constant", "A constant offset kappa gives the swap sum 2*kappa",
             m(A, B) + m(B, A), "=", 2 * _KAPPA, (_offset, separable)),
        Fact("offset-priors", "and then the two priors differ by a constant factor",
             BOTH, "=", g(W) - g(L) + _KAPPA, (_plus, _minus)),
    ),
    {"swap": m(A, B) + m(B, A)},
    ("There are at least three responses; all pairs of different ones can be compared.",),
)

_SCALE = Parameter("lam", "positive")
_zeta_of = made("zeta_f", f(Y), "the prior is pi*exp(-f/alpha)")
_powered = Hypothesis("powered prior", "the prior pi*(zeta/pi)**lam", mass("zeta_2", Y),
                      pi(Y) * (zeta(Y) / pi(Y)) ** _SCALE, (Y,))


def _log_ratio(y: Expr) -> Expr:
    return ALPHA * Log(mass("zeta_2", y) / zeta(y))


THEOREM_4 = Theorem(
    "theorem-4", "Existence and uniqueness",
    "Every separable margin has a prior, unique up to one factor free of y and common to both "
    "roles. The temperature is not identified: lam times the margin of (alpha, zeta) is that of "
    "(alpha*lam, zeta), and of (alpha, {powered}).",
    (
        Fact("existence", "Every difference f(y_w) - f(y_l) is the margin of a prior",
             margin("pi", mass("zeta_f", W), mass("zeta_f", L)), "=", f(W) - f(L), (_zeta_of,)),
        Fact("uniqueness", "Two priors with equal margins have the same ratio at both responses",
             _log_ratio(W) - _log_ratio(L), "=",
             MARGIN - margin("pi", mass("zeta_2", W), mass("zeta_2", L))),
        Fact("scaled", "lam times a margin is that of the temperature alpha*lam",
             _SCALE * MARGIN, "=", margin("pi", zeta(W), zeta(L), ALPHA * _SCALE)),
        Fact("powered", "and of another prior at the same temperature",
             _SCALE * MARGIN, "=", margin("pi", mass("zeta_2", W), mass("zeta_2", L)),
             (_powered,)),
    ),
    {"powered": pi(Y) * (zeta(Y) / pi(Y)) ** _SCALE},
    (_PAIRED,),
)

_h = Hypothesis("policy-free part", "f less alpha*log(pi) is h, which is free of the policy",
                f(Y), ALPHA * Log(pi(Y)) + score("h", Y), (Y,))
_of_fixed = Hypothesis("margin of a prior", "f is alpha times the log-ratio to the prior",
                       f(Y), ALPHA * Log(pi(Y) / zeta(Y)), (Y,))

THEOREM_5 = Theorem(
    "theorem-5", "Fixed priors",
    "The prior is fixed iff the margin less alpha*log(pi) is free of the policy; iterative if it "
    "speaks of earlier policies.",
    (
        Fact("fixed", "If f less alpha*log(pi) is free of the policy, so is the prior",
             mass("zeta_f", Y), "=", Exp(-score("h", Y) / ALPHA), (_h, _zeta_of)),
        Fact("converse", "f less alpha*log(pi) is the prior's logarithm, up to a factor",
             f(Y) - ALPHA * Log(pi(Y)), "=", -ALPHA * Log(zeta(Y)), (_of_fixed,)),
        Fact("still", "so where the prior is free of the policy the difference does not move",
             Partial(-ALPHA * Log(zeta(Y)), pi(Y)), "=", S.Zero),
    ),
    {},
    (_PAIRED,),
)

_S, _P = Parameter("a", "positive"), Parameter("b")
_U, _V, _U1, _V1 = (Parameter(name) for name in ("u", "v", "u'", "v'"))


def psi(at: Expr, order: int = 0) -> Expr:
    return applied("psi", at, order)


def _affine(instance: Sample, rng: random.Random) -> None:
    """The solutions of the equation: affine functions of one slope."""
    slope, shift = instance.functions["psi"][1], instance.functions["psi"][0]
    start = instance.functions["F"][0]
    instance.functions |= {
        "psi": [shift, slope], "F": [start, slope], "G": [start - shift, slope]
    }


_pexider = Hypothesis(
    "separable link", "psi of a difference is a function of the one less one of the other",
    psi(_U - _V), applied("F", _U) - applied("G", _V), (_U, _V), realise=_affine)
_link_w = made("zeta_w", _S * f(Y) + _P, "the prior of the chosen response, from a*f + b")
_link_l = made("zeta_l", _S * g(Y), "that of the rejected response, from a*g")

THEOREM_6 = Theorem(
    "theorem-6", "Links",
    "A link applied to a non-degenerate margin gives a log-sigmoid loss only if it is {link}, with "
    "a > 0.",
    (
        Fact("affine", "That link of a separable margin is the loss of two priors",
             -LogSigmoid(_S * (f(W) - g(L)) + _P), "=", -LogSigmoid(BOTH), (_link_w, _link_l)),
        Fact("pexider", "Conversely psi = -log(exp(link) - 1) satisfies an equation of Pexider's",
             psi(_U - _V) - psi(_U - _V1) - psi(_U1 - _V) + psi(_U1 - _V1), "=", S.Zero,
             (_pexider,),
             cites=("a continuous function on an interval that turns differences into differences "
                    "is affine (Pexider)",)),
        Fact("smooth", "For a smooth psi: its mixed derivative is minus its second derivative",
             Partial(Partial(psi(_U - _V), _U), _V), "=", -psi(_U - _V, 2)),
        Fact("vanishes", "and that of a difference of two functions vanishes, so psi'' = 0",
             Partial(Partial(applied("F", _U) - applied("G", _V), _U), _V), "=", S.Zero),
    ),
    {"link": -LogSigmoid(_S * M + _P)},
    ("f and g range over intervals independently; the link is continuous, strictly decreasing and "
     "positive.",),
)



def _a(y: Expr) -> Expr:
    return mass("A", y)


_K, _RATE, _C0 = Parameter("k", "positive"), Parameter("lam", "positive"), Parameter("c")


def with_term(w: Element, l: Element) -> Expr:  # noqa: E741
    """L = -log sigmoid(f - g) + A of the chosen response."""
    return -LogSigmoid(f(w) - g(l)) + _a(w)


_constant = Hypothesis("constant product", "(1 - exp(-A))*exp(f) is the number k",
                       f(Y), Log(_K) - Log(1 - Exp(-_a(Y))), (Y,))
_nll = Hypothesis("log-likelihood", "A is -lam*log(pi)", _a(Y), -_RATE * Log(pi(Y)), (Y,))
_except = Hypothesis("exceptional f", "f is c - log(1 - pi**lam)",
                     f(Y), _C0 - Log(1 - pi(Y) ** _RATE), (Y,))


def _excess(w: Element, l: Element) -> Expr:  # noqa: E741
    return Exp(with_term(w, l)) - 1


THEOREM_7 = Theorem(
    "theorem-7", "Additive terms",
    "{loss} has a prior iff {product} is the same for all y_w. Otherwise it is a prior and a "
    "constraint: the Lagrangian of minimising the loss under a bound on the mean of A.",
    (
        Fact("factor", "exp(L) - 1 in factors",
             _excess(W, L), "=",
             Exp(_a(W) - f(W)) * ((1 - Exp(-_a(W))) * Exp(f(W)) + Exp(g(L)))),
        Fact("cross", "Its cross determinant vanishes, for a g that is not constant, only where "
             "the product (1 - exp(-A))*exp(f) agrees at both chosen responses",
             _excess(W, L) * _excess(W1, L1) - _excess(W, L1) * _excess(W1, L), "=",
             Exp(_a(W) - f(W)) * Exp(_a(W1) - f(W1)) * (Exp(g(L1)) - Exp(g(L)))
             * ((1 - Exp(-_a(W))) * Exp(f(W)) - (1 - Exp(-_a(W1))) * Exp(f(W1)))),
        Fact("exception", "Where it does, the loss is that of two priors",
             with_term(W, L), "=",
             -LogSigmoid((f(W) - _a(W)) - Log(_K + Exp(g(L)))), (_constant,)),
        Fact("log-likelihood", "For A = -lam*log(pi) it does for f = c - log(1 - pi**lam)",
             (1 - Exp(-_a(W))) * Exp(f(W)), "=", Exp(_C0), (_nll, _except)),
        Fact("alone", "The negative log-likelihood alone has a prior",
             -Log(pi(W)), "=", -LogSigmoid(Log(pi(W) / (1 - pi(W))))),
    ),
    {"loss": with_term(W, L), "product": (1 - Exp(-_a(W))) * Exp(f(W))},
    ("g is not constant on the rejected responses, and the loss is positive (it is for A > 0).",),
)

_AF, _BF = Parameter("a"), Parameter("b")
_inner = applied("f", _AF) - applied("g", _BF)
_ratio = -applied("f", _AF, 1) / applied("g", _BF, 1)

THEOREM_8 = Theorem(
    "theorem-8", "Any smooth link",
    "If L is a smooth function of one separable margin, {loss}, then log of the absolute ratio of "
    "dL/da to dL/db is a sum of a function of the chosen and one of the rejected response, for any "
    "quantity a of the one and b of the other.",
    (
        Fact("ratio", "The two slopes are proportional: the link drops out of their ratio",
             Partial(psi(_inner), _AF), "=", _ratio * Partial(psi(_inner), _BF)),
        Fact("separable", "and the ratio Q is a product of a function of a and one of b: "
             "Q*Q_ab = Q_a*Q_b",
             _ratio * Partial(Partial(_ratio, _AF), _BF), "=",
             Partial(_ratio, _AF) * Partial(_ratio, _BF)),
        Fact("square", "For one given link: a margin whose cross difference is not 0 is not "
             "separable (theorem 2)",
             square(W, W1, L, L1), "=", S.Zero, (separable,)),
    ),
    {"loss": psi(_inner)},
    ("L is three times differentiable and its slopes do not vanish.",),
)

THEOREMS = (
    THEOREM_1, THEOREM_2, THEOREM_3, THEOREM_4, THEOREM_5, THEOREM_6, THEOREM_7, THEOREM_8
)
