"""Conditions that say something: not met by every whole number and every value of a domain."""

from __future__ import annotations

from collections.abc import Iterable

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.places import Condition

from .definite import definite
from .whole import lattice


def telling(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Those of the conditions that do not hold everywhere."""
    return tuple(c for c in conditions if not _always(c))


def _always(condition: Condition) -> bool:
    try:
        x = expand(condition.expr)
        whole = lattice(x)
        held = definite(x)
    except TooLarge:
        return False
    return {
        "nonzero": held.positive or held.negative or (whole is not None and whole.shift.denominator > 1),
        "nonnegative": held.nonnegative,
        "positive": held.positive,
    }[condition.kind]
