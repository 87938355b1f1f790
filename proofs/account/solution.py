"""What is claimed where the prior of a target was sought."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Expr

from midpo.proofs.recover.levels import Levels
from midpo.proofs.recover.solved import Solution
from midpo.proofs.recover.words import stated
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Displayed, known, proved, theorem, told
from midpo.symbolic.formula.tree import Formula, row
from midpo.symbolic.formula.write import name, response, write
from midpo.symbolic.language.nodes import RESPONSE
from midpo.symbolic.language.text import text

from .claim import Claim, Topic
from .recovery import gradient_claim, lengths

_CLASSES: dict[str, str] = {
    "fixed": "has a prior that does not depend on the policy that is trained",
    "iterative": "has a prior that depends on a policy of an earlier round",
    "self-referential": "has a prior that depends on the policy that is trained",
    "label-dependent": "has a prior that must be told which response was preferred",
    "constraint": "has a prior once an additive term is set aside",
    "other-link": told(
        "has a prior through another link than {}",
        Displayed(terms.logistic(terms.MARGIN), spelt="-log(sigmoid(m))"),
    ),
    "temperature": "has a prior once the temperature of the pair is set aside",
    "weighted": "has a prior once the weight of the pair is set aside",
    "none": "has no prior",
    "undecided": "is not decided",
}


def solution_topic(found: Solution, levels: Levels | None = None) -> Topic:
    """Every claim about a target's prior; `levels` is whether one function serves given data."""
    return Topic("class", "which prior gives the target", tuple(_claims(found, levels)))


def _claims(found: Solution, levels: Levels | None) -> Iterator[Claim]:
    yield Claim(
        "class",
        found.kind,
        told("the target {} (class {})", _CLASSES[found.kind], found.kind),
        found.standing,
        tuple(_formulas(found)),
        why=found.reason,
        where=found.conditions,
    )
    taken = found.spec.names.taken()
    for other in found.alternatives:
        prior = _displayed(terms.PRIOR_IS, other.prior, taken)
        yield Claim(
            "another scale",
            "exists",
            told("or, with {}: {}", _scale(other.alpha), prior),
            proved("{}", theorem("4")),
        )
    yield from lengths(found.defined_where)
    if found.proof is not None and found.gradient is not None:
        yield gradient_claim(found.proof)
    if levels is not None:
        yield Claim(
            "data",
            "one function" if levels.exists else "no single function",
            f"on the data: {levels.sentence()}",
            known(Standing.COMPUTED, f"{levels.comparisons} comparisons"),
        )


def _formulas(found: Solution) -> Iterator[Displayed]:
    taken = found.spec.names.taken()
    if found.prior is not None:
        words = told(
            "prior at the scale {} (up to one factor free of {}):",
            stated(found.spec.alpha),
            Displayed(response(RESPONSE), spelt="y"),
        )
        yield _displayed(terms.PRIOR_IS, found.prior, taken, words)
    heads = {
        "link": terms.LINK,
        "constraint": terms.of("c", found.spec.roles),
        "temperature": terms.of("t", found.spec.roles),
        "weight": terms.of("w", found.spec.roles),
    }
    for part, head in heads.items():
        expr = getattr(found, part)
        if expr is not None:
            yield _displayed(terms.defines(head), expr, taken, f"{part}:")


def _displayed(head: Formula, expr: Expr, taken: set[str], words: str = "") -> Displayed:
    return Displayed(row(head, write(expr)), spelt=text(expr, taken), words=words)


def _scale(alpha: Expr) -> Displayed:
    return Displayed(row(name("alpha"), " = ", write(alpha)), spelt=f"alpha = {text(alpha)}")
