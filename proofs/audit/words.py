"""Formulas within the sentences of an audit: for a terminal, and laid out.

A dot stands between the factors of a long product: a line of a sentence may end there.
"""

from __future__ import annotations

import math

from sympy import Expr

from midpo.symbolic.formula.told import Displayed
from midpo.symbolic.formula.tree import (
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
from midpo.symbolic.formula.unicode import letter, mathematics
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, inline, name, policy, response
from midpo.symbolic.language.nodes import RESPONSE


def shown(expr: Expr) -> Displayed:
    """An expression, its fractions on one line."""
    return Displayed(mathematics(expr), inline(expr))


def symbol(word: str) -> Displayed:
    """A parameter or feature."""
    return Displayed(letter(word), name(word))


def policy_named(word: str) -> Displayed:
    return Displayed(letter(word), policy(word))


def compared(left: Displayed, sign: str, right: object) -> Displayed:
    """left sign right, the right side a formula or a number."""
    relation = {"≥": r" \ge ", "≤": r" \le "}.get(sign, f" {sign} ")
    other = right.formula if isinstance(right, Displayed) else number(right)
    return Displayed(f"{left} {sign} {right}", row(left.formula, relation, other))


def at_token(feature: str) -> Displayed:
    """w(y, t)."""
    laid_out = call(name(feature), response(RESPONSE), "t")
    return Displayed(f"{letter(feature)}(y, t)", laid_out)


def length(of: object, count: int) -> Displayed:
    """|y| = n."""
    return Displayed(f"|{of}| = {count}", row(Fence("|", response(str(of)), "|"), " = ", count))


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

PI, Y = Displayed("π", POLICY_SIGN), Displayed("y", response(RESPONSE))
ALPHA, RHO = symbol("alpha"), Displayed("ρ", _RHO)
LOG_ZETA = Displayed("log ζ", row(r"\log", ZETA))
LOG_RATIO = Displayed("log(π/ζ)", _LOG_RATIO)
SCORE = Displayed("∇log π", row(r"\nabla", r"\log", POLICY_SIGN))
USUAL = Displayed("r = α·log(π/ζ) + c", row("r", " = ", _ALPHA, _LOG_RATIO, " + ", "c"))
USUAL_REFRESHED = Displayed(
    "r = α·log(π/ζ[π]) + c", row("r", " = ", _ALPHA, r"\log", _ratio(_REFRESHED), " + ", "c")
)
OPTIMUM = Displayed("π ∝ ζ·exp(r/α)", row(POLICY_SIGN, r" \propto ", ZETA, r" \cdot ", _WEIGHT))
FROZEN = Displayed("π = ζ[π]·exp(r/α)/Z", row(POLICY_SIGN, " = ", _REFRESHED, r" \cdot ", _WEIGHT, "/", "Z"))
REGULARISER = Displayed("E_π[log(π/ζ)]", _mean(_LOG_RATIO))
SCALED_REGULARISER = Displayed("α·E_π[log(π/ζ)]", row(_ALPHA, r"\,", _mean(_LOG_RATIO)))
OBJECTIVE = Displayed("F[π] = E_π[r]", row("F", between("[", POLICY_SIGN, "]", ""), " = ", _mean(leaf("r"))))
DIVERGENCE = Displayed(
    "α·KL(π ‖ ζ)",
    row(_ALPHA, r"\,", Upright("KL"), Fence("(", row(POLICY_SIGN, r"\,", r"\|", r"\,", ZETA), ")")),
)
SKEW = Displayed("P(M − Mᵀ)P", _SKEW)
CORRECTION = Displayed("T[π]", row("T", between("[", POLICY_SIGN, "]", "")))
PROBABILITY = Displayed("π(y)", call(POLICY_SIGN, response(RESPONSE)))
WEIGHT = Displayed("exp(r/α)", _WEIGHT)
LARGEST_WEIGHT = Displayed("exp(max r/α)", call(r"\exp", row(r"\max ", "r", "/", _ALPHA)))
LEAST_WEIGHT = Displayed("exp(min r/α)", call(r"\exp", row(r"\min ", "r", "/", _ALPHA)))
ODDS = Displayed("exp(d)", call(r"\exp", "d"))
OFFSET_ODDS = Displayed("exp(γ)", call(r"\exp", name("gamma")))
INFINITE = Displayed("+∞", row("+", r"\infty"))
LENGTH = Displayed("|y|", Fence("|", response(RESPONSE), "|"))
PER_LENGTH = Displayed("1/|y|", row(1, "/", LENGTH.formula))
CONTRIBUTION = Displayed("G(y)", call("G", response(RESPONSE)))
PERPLEXITY = Displayed(
    "E_π[π(y)^(−1/|y|)]", _mean(script(PROBABILITY.formula, above=row("-", PER_LENGTH.formula)))
)
ENOUGH = Displayed("−log(V − 1)", row("-", r"\log", _OTHERS))
STRINGS = Displayed("(V − 1)^(n − 1)", script(_OTHERS, above=row("n", " - ", 1)))
STOPPING = Displayed("−log(1 − ρ)", row("-", r"\log", _LEFT))
EXCESS = Displayed("1 + TV(π, π_ref)", row(1, " + ", call(Upright("TV"), POLICY_SIGN, policy("pi_ref"))))
MAXIMUM = Displayed("max(p, q)", call(r"\max", "p", "q"))
VARIATION = Displayed("1 + TV", row(1, " + ", Upright("TV")))
_V = leaf("V")
VOCABULARY_SIZE = Displayed("V", _V)
_E = Fence("(", row("e", " + ", "e", "/", Fence("(", row("e", " - ", 1), ")")), ")")
_MOST = f"{math.e + math.e / (math.e - 1):.2f}"
MOST = Displayed(
    f"(e + e/(e − 1))·V = {_MOST}·V", row(_E, r" \cdot ", _V, " = ", Number(_MOST), r" \cdot ", _V)
)
_GAIN = row("w", r"\,", Upright("KL"))
GAIN = Displayed("w·KL", _GAIN)
GROWTH = Displayed("(1 − ρ)·exp(w·KL)", row(_LEFT, r" \cdot ", call(r"\exp", _GAIN)))


def bracketed(inside: Displayed) -> Displayed:
    return Displayed(f"({inside})", Fence("(", inside.formula, ")"))


def prior_less(factor: Displayed) -> Displayed:
    """zeta / c."""
    return Displayed(f"ζ/{factor}", row(ZETA, "/", factor.formula))


def times(factor: str, of: Displayed) -> Displayed:
    return Displayed(f"{factor}·{of}", row(Number(factor), r"\,", of.formula))


def exponential(weight: Displayed, divergence: Displayed) -> Displayed:
    """exp(w*KL)."""
    inside = row(weight.formula, r"\,", divergence.formula)
    return Displayed(f"exp({weight}·{divergence})", call(r"\exp", inside))


def mean_length(growth: Displayed) -> Displayed:
    """E[exp(b*|y|)]."""
    inside = row(Fence("(", growth.formula, ")"), r" \cdot ", LENGTH.formula)
    laid_out = row(r"\mathbb{E}", between("[", call(r"\exp", inside), "]", ""))
    return Displayed(f"E[exp(({growth})·|y|)]", laid_out)


def stopped(growth: Displayed) -> Displayed:
    """(1 - rho)*exp(b) < 1."""
    return Displayed(
        f"(1 − ρ)·exp({growth}) < 1", row(_LEFT, r" \cdot ", call(r"\exp", growth.formula), " < ", 1)
    )
