"""What reports speak of again and again: the loss, the margin and the prior, as formulas."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr

from midpo.symbolic.language.nodes import MARGIN as MARGIN_SYMBOL
from midpo.symbolic.language.nodes import POLICY, RESPONSE, Prior, Prob

from .tree import Fence, Formula, Fraction, between, call, first, leaf, row, script
from .write import GIVEN, PROMPT, ZETA, name, response, responses, write

LOSS = leaf(r"\ell")
MARGIN = write(MARGIN_SYMBOL)
LOSS_THROUGH, MARGIN_THROUGH = script(LOSS, ZETA), script(MARGIN, ZETA)  # through the prior
PRIOR = call(ZETA, row(response(RESPONSE), GIVEN, PROMPT))
PRIOR_IS = row(PRIOR, r" \propto ")
LOSS_AT_PLACE = script(LOSS, "i", bare=True)  # of a batch
LINK = call("f", MARGIN)


def of(quantity: Formula | str, roles: Sequence[Expr]) -> Formula:
    """A quantity as a function of the responses: m(y_w, y_l)."""
    return row(quantity, responses(roles))


def defines(*left: Formula | str) -> Formula:
    """The left-hand side of a definition: m ="""
    return row(*left, " = ")


def implicit_reward(of: Expr) -> Formula:
    """alpha*log(pi/zeta) of a response."""
    ratio = Fraction(write(Prob(POLICY, of)), write(Prior(of)))
    return row(name("alpha"), r"\log", ratio)


def logistic(margin: Formula) -> Formula:
    """The logistic loss of a margin: -log sigma(m)."""
    return row("-", r"\log", r"\sigma", Fence("(", margin, ")"))


def affine(factor: Expr, constant: Expr, loss: Formula) -> Formula:
    """a*loss + b, as a recovery found the factor a and the constant b."""
    scaled = loss
    if factor.is_Add:
        scaled = row(between("(", write(factor), ")"), loss)
    elif factor != 1:
        scaled = row(write(factor), r"\,", loss)
    if constant == 0:
        return scaled
    plus = write(constant)
    return row(scaled, plus) if first(plus) == leaf("-") else row(scaled, " + ", plus)
