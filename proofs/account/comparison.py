"""What is claimed where two losses were compared."""

from __future__ import annotations

from collections.abc import Iterator

from midpo.proofs.compare.found import Comparison
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.terms import LOSS, affine
from midpo.symbolic.formula.told import Displayed, joined, proved, told
from midpo.symbolic.formula.tree import Upright, row, script
from midpo.symbolic.language.text import text

from .claim import Claim, Topic


def comparison_topic(found: Comparison) -> Topic:
    """Every claim about two losses."""
    return Topic("comparison", "how two losses differ", tuple(_claims(found)))


def _claims(found: Comparison) -> Iterator[Claim]:
    scaled = (found.factor, found.constant) != (1, 0)
    yield Claim(
        "losses",
        found.verdict,
        found.sentence,
        found.standing,
        (_equality(found),) if scaled else (),
        why=found.explanation,
        where=found.side_conditions,
    )
    if found.defined_where:
        yield Claim(
            "lengths",
            "stated",
            told("the losses have a value where {}", joined(" and ", found.defined_where)),
            told("{} the divisions, roots and logarithms of both", Standing.READ),
        )
    if found.settings and found.verdict in ("different", "undecided"):
        at = ", ".join(map(str, found.settings))
        yield Claim(
            "meeting",
            "a third loss",
            f"they meet at {at}, where both are a third loss",
            proved("a derivation at these values"),
        )


def _equality(found: Comparison) -> Displayed:
    one, other = (script(LOSS, Upright(spec.name)) for spec in (found.first, found.second))
    return Displayed(
        row(one, " = ", affine(found.factor, found.constant, other)),
        spelt=f"loss of {found.first.name} = ({text(found.factor)}) * loss of {found.second.name}"
        f" + ({text(found.constant)})",
    )
