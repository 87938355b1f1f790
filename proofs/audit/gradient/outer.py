"""The loss as a function of the generalised margin, and its gradient with every factor.

With m = alpha*log(pi/zeta)(y_w) - alpha*log(pi/zeta)(y_l) the target is f(m), where f may hold a
weight of the pair: inside the sigmoid, -log sigmoid(g*m), it is the pair's temperature and scales
the argument too; outside, -g*log sigmoid(m), it weighs the data and nothing else.
"""

from __future__ import annotations

from sympy import Expr, S

from midpo.proofs.account.claim import Claim
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.told import Displayed, proved
from midpo.symbolic.formula.tree import THIN, Fence, between, row
from midpo.symbolic.formula.write import write
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import MARGIN, LogSigmoid, Sigmoid
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text


def outer(spec: Spec, weight: Expr | None, link: Expr | None = None, temperature: Expr | None = None) -> Expr:
    """f with target = f(m), written in the margin m, up to a positive factor and a constant.

    `weight`, `link` and `temperature` are what `solve` found beside the prior that `spec` has; a
    link that the spec states itself counts where `solve` was not asked.
    """
    link = spec.link if link is None else link
    margin = MARGIN if temperature is None else temperature * MARGIN
    function = -LogSigmoid(margin) if link is None else substitute(link, {MARGIN: margin})
    return function if weight is None else weight * function


def loss_gradient(
    spec: Spec,
    weight: Expr | None = None,
    link: Expr | None = None,
    beside: Expr | None = None,
    temperature: Expr | None = None,
) -> Claim | None:
    """nabla of the target in terms of nabla m; None where it is the plain -sigmoid(-m)*nabla m.

    `beside` is a term of one response beside f(m), such as a constraint with its weight.
    """
    question = "the loss's gradient"
    if beside is None and spec.constraint is not None:
        beside = spec.multiplier * spec.constraint
    parts = (weight, beside, link, spec.link, temperature)
    if not spec.has_target or all(part is None for part in parts):
        return None
    try:
        function = outer(spec, weight, link, temperature)
    except (MidpoError, RecursionError):
        return None
    data = {"loss": text(function, spec.names.taken())}
    verdict, words = "the margin's and another term's", "a term stands beside the margin's loss"
    if temperature is not None:
        verdict = "temperature of the pair"
        words = (
            "a weight inside the sigmoid is the pair's temperature: it scales the step, and "
            "the margin at which the step becomes small"
        )
    elif weight is not None:
        verdict = "weight of the data"
        words = "a weight outside the sigmoid weighs the pair in the data, and changes nothing else"
    elif link is not None or spec.link is not None:
        verdict, words = "another link", "the loss is another function of the margin"
    factor = _derivative(weight, temperature, spec.link if link is None else link)
    if factor is None:
        slope = row("f", "'", Fence("(", terms.MARGIN, ")"), THIN, r"\nabla ", terms.MARGIN)
        shown = row(slope, ",", r"\quad ", terms.LINK, " = ", write(function))
    else:
        shown = row(write(factor), THIN, r"\nabla ", terms.MARGIN)
    if beside is not None:
        data["beside"] = text(beside, spec.names.taken())
        term = row(r"\nabla", between("(", write(beside), ")", "big"))
        shown = row(term, " + ", shown)
    formula = Displayed(row(r"\nabla ", "L", " = ", shown))
    return Claim(question, verdict, words, proved("chain rule"), (formula,), data)


def _derivative(weight: Expr | None, temperature: Expr | None, link: Expr | None) -> Expr | None:
    """df/dm, of a logistic f; None for another."""
    if link is not None:
        return None
    inside = S.One if temperature is None else temperature
    outside = S.One if weight is None else weight
    return -outside * inside * Sigmoid(-inside * MARGIN)
