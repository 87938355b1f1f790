"""Formulas within the sentences of an audit: for a terminal, and laid out.

A dot stands between the factors of a long product: a line of a sentence may end there.
"""

from __future__ import annotations

import math

from sympy import Expr

from midpo.symbolic.formula.told import Displayed
from midpo.symbolic.formula.tree import (
    DOT,
    JOINED,
    THIN,
    Fence,
    Formula,
    Number,
    Part,
    Upright,
    between,
    call,
    leaf,
    number,
    row,
    script,
)
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, inline, name, policy, response
from midpo.symbolic.language.nodes import RESPONSE


def shown(expr: Expr) -> Displayed:
    """An expression, its fractions on one line."""
    return Displayed(inline(expr))


def symbol(word: str) -> Displayed:
    """A parameter or feature."""
    return Displayed(name(word))


def policy_named(word: str) -> Displayed:
    return Displayed(policy(word))


def compared(left: Displayed, sign: str, right: object) -> Displayed:
    """left sign right, the right side a formula or a number."""
    relation = {"≥": r" \ge ", "≤": r" \le "}.get(sign, f" {sign} ")
    other = right.formula if isinstance(right, Displayed) else number(right)
    return Displayed(row(left.formula, relation, other))


def at_token(feature: str) -> Displayed:
    """w(y, t)."""
    laid_out = call(name(feature), response(RESPONSE), "t")
    return Displayed(laid_out)


def length(of: object, count: int) -> Displayed:
    """|y| = n."""
    return Displayed(row(Fence("|", response(str(of)), "|"), " = ", count))


def _ratio(below: Part) -> Formula:
    return Fence("(", row(POLICY_SIGN, "/", below), ")")


def _mean(of: Formula) -> Formula:
    return row(script(r"\mathbb{E}", POLICY_SIGN), between("[", of, "]", ""))


_ALPHA = name("alpha")
_REFRESHED = row(ZETA, between("[", POLICY_SIGN, "]", ""))
_LOG_RATIO = row(r"\log", _ratio(ZETA))
_WEIGHT = call(r"\exp", row("r", "/", _ALPHA))
_SKEW = row("P", Fence("(", row("M", " - ", script("M", above=r"\mathsf{T}")), ")"), "P")
_RHO = leaf(r"\rho")
_LEFT = Fence("(", row(1, " - ", _RHO), ")")
_OTHERS = Fence("(", row("V", " - ", 1), ")")

PI, Y = Displayed(POLICY_SIGN), Displayed(response(RESPONSE))
ALPHA, RHO = symbol("alpha"), Displayed(_RHO)
LOG_ZETA = Displayed(row(r"\log", ZETA))
LOG_RATIO = Displayed(_LOG_RATIO)
SCORE = Displayed(row(r"\nabla", r"\log", POLICY_SIGN))
USUAL = Displayed(row("r", " = ", _ALPHA, JOINED, _LOG_RATIO, " + ", "c"))
USUAL_REFRESHED = Displayed(row("r", " = ", _ALPHA, JOINED, r"\log", _ratio(_REFRESHED), " + ", "c"))
OPTIMUM = Displayed(row(POLICY_SIGN, r" \propto ", ZETA, DOT, _WEIGHT))
FROZEN = Displayed(row(POLICY_SIGN, " = ", _REFRESHED, DOT, _WEIGHT, "/", "Z"))
REGULARISER = Displayed(_mean(_LOG_RATIO))
SCALED_REGULARISER = Displayed(row(_ALPHA, THIN, _mean(_LOG_RATIO)))
OBJECTIVE = Displayed(row("F", between("[", POLICY_SIGN, "]", ""), " = ", _mean(leaf("r"))))
DIVERGENCE = Displayed(
    row(_ALPHA, THIN, Upright("KL"), Fence("(", row(POLICY_SIGN, r"\,", r"\|", r"\,", ZETA), ")"))
)
SKEW = Displayed(_SKEW)
CORRECTION = Displayed(row("T", between("[", POLICY_SIGN, "]", "")))
PROBABILITY = Displayed(call(POLICY_SIGN, response(RESPONSE)))
WEIGHT = Displayed(_WEIGHT)
LARGEST_WEIGHT = Displayed(call(r"\exp", row(r"\max ", "r", "/", _ALPHA)))
LEAST_WEIGHT = Displayed(call(r"\exp", row(r"\min ", "r", "/", _ALPHA)))
ODDS = Displayed(call(r"\exp", "d"))
OFFSET_ODDS = Displayed(call(r"\exp", name("gamma")))
INFINITE = Displayed(row("+", r"\infty"))
LENGTH = Displayed(Fence("|", response(RESPONSE), "|"))
PER_LENGTH = Displayed(row(1, "/", LENGTH.formula))
CONTRIBUTION = Displayed(call("G", response(RESPONSE)))
PERPLEXITY = Displayed(_mean(script(PROBABILITY.formula, above=row("-", PER_LENGTH.formula))))
ENOUGH = Displayed(row("-", r"\log", _OTHERS))
STRINGS = Displayed(script(_OTHERS, above=row("n", " - ", 1)))
STOPPING = Displayed(row("-", r"\log", _LEFT))
EXCESS = Displayed(row(1, " + ", call(Upright("TV"), POLICY_SIGN, policy("pi_ref"))))
MAXIMUM = Displayed(call(r"\max", "p", "q"))
VARIATION = Displayed(row(1, " + ", Upright("TV")))
_V = leaf("V")
VOCABULARY_SIZE = Displayed(_V)
_E = Fence("(", row("e", " + ", "e", "/", Fence("(", row("e", " - ", 1), ")")), ")")
_MOST = f"{math.e + math.e / (math.e - 1):.2f}"
MOST = Displayed(row(_E, DOT, _V, " = ", Number(_MOST), DOT, _V))
_GAIN = row("w", THIN, Upright("KL"))
GAIN = Displayed(_GAIN)
GROWTH = Displayed(row(_LEFT, DOT, call(r"\exp", _GAIN)))


def bracketed(inside: Displayed) -> Displayed:
    return Displayed(Fence("(", inside.formula, ")"))


def prior_less(factor: Displayed) -> Displayed:
    """zeta / c."""
    return Displayed(row(ZETA, "/", factor.formula))


def times(factor: str, of: Displayed) -> Displayed:
    return Displayed(row(Number(factor), THIN, of.formula))


def exponential(weight: Displayed, divergence: Displayed) -> Displayed:
    """exp(w*KL)."""
    inside = row(weight.formula, THIN, divergence.formula)
    return Displayed(call(r"\exp", inside))


def mean_length(growth: Displayed) -> Displayed:
    """E[exp(b*|y|)]."""
    inside = row(Fence("(", growth.formula, ")"), DOT, LENGTH.formula)
    laid_out = row(r"\mathbb{E}", between("[", call(r"\exp", inside), "]", ""))
    return Displayed(laid_out)


def stopped(growth: Displayed) -> Displayed:
    """(1 - rho)*exp(b) < 1."""
    return Displayed(row(_LEFT, DOT, call(r"\exp", growth.formula), " < ", 1))
