"""A refutation's witness as a small worked example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.told import listed, told
from midpo.symbolic.formula.tree import EMPTY, number, row
from midpo.symbolic.formula.write import response
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import LINK, Names
from midpo.writers import narrative

from .text import Display, display, inline, words

if TYPE_CHECKING:
    from midpo.proofs.recover.recovery import Recovery
    from midpo.proofs.recover.solved import Solution


def witness(recovery: Recovery | None) -> dict[str, Any] | None:
    """The case at which target and prior differ: laws, data, both sides, their difference."""
    if recovery is None or recovery.witness is None:
        return None
    found = recovery.witness
    tokens = found.case.tokens
    lengths = listed(row(response(y), " = ", narrative.tokens(ids)) for y, ids in tokens.items())
    laws = narrative.witness_laws(found)
    sides = [("loss", f"{found.target_loss:.12g}", f"{found.recovered_loss:.12g}")]
    if found.target_margin is not None:
        sides.insert(0, ("margin", f"{found.target_margin:.12g}", f"{found.recovered_margin:.12g}"))
    shown, text = _difference(found.difference)
    return {
        "opening": words(
            told("Tokens are numbers; {} ends a response. The responses are {}.", number(0), lengths)
        ),
        "vocabulary": [str(v) for v in range(len(laws[0][2]))],
        "laws": [
            ("" if law is None else inline(law), inline(prefix), list(map(inline, numbers)))
            for law, prefix, numbers in laws
        ],
        "data": words(listed(narrative.witness_data(found) or [""])),
        "sides": sides,
        "difference": shown,
        "difference_text": text,
        "standing": words(found.standing),
    }


def _difference(text: str) -> tuple[Display | None, str]:
    """A witness's difference as a formula where the spec language can write it."""
    try:
        return display(EMPTY, parse(text, Names({}, {}, frozenset()), LINK)), ""
    except MidpoError:
        return None, text


def crossing(solution: Solution | None) -> dict[str, Any] | None:
    """Four responses at which a cross difference does not vanish."""
    if solution is None or solution.witness is None:
        return None
    found = solution.witness
    return {
        "rows": [(chosen, rejected, f"{value:.10g}") for (chosen, rejected), value in found.values.items()],
        "difference": f"{found.difference:.10g}",
        "standing": words(found.standing),
        "words": Markup(
            "A margin that some prior gives is a function of the preferred response "
            "less a function of the dispreferred one, and its signed sum around this "
            "cycle is 0. Here it is not."
        ),
    }
