"""A bound on work that is counted, not timed: the same input always gets the same answer.

The bounds grow with the input, so what they limit is growth: a long sum is no more suspect than a
short one, but ten symbols that become a million terms are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .errors import TooLarge

UNITS, UNITS_A_PART = 100_000, 40  # some seconds, and some milliseconds a part
TERMS, TERMS_A_PART = 2_000, 2
PARTS, PARTS_A_PART = 20_000, 8


@dataclass
class Bounds:
    """What may be done: `units` of work in all, no expression of more than `parts` parts, no
    normal form of more than `terms` terms."""

    units: int = UNITS
    terms: int = TERMS
    parts: int = PARTS


_running: ContextVar[Bounds | None] = ContextVar("running", default=None)


def parts(*exprs: Any) -> int:
    """How many different parts the expressions have; a part that is shared counts once."""
    seen: set[Any] = set()
    waiting = list(exprs)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += node.args
    return len(seen)


def bounds(*exprs: Any) -> Bounds:
    """The bounds for work on these expressions."""
    size = parts(*exprs)
    return Bounds(UNITS + UNITS_A_PART * size, TERMS + TERMS_A_PART * size,
                  PARTS + PARTS_A_PART * size)


@contextmanager
def allowance(*exprs: Any, units: int | None = None, anew: bool = False) -> Iterator[None]:
    """Work on these expressions: whatever is done inside may `spend` so many units together. An
    allowance that is already running goes on instead, or pays for one of fewer `units`, unless this
    is to be counted `anew`."""
    outer = None if anew else _running.get()
    if outer is not None and units is None:
        yield
        return
    given = bounds(*exprs) if outer is None else Bounds(outer.units, outer.terms, outer.parts)
    if units is not None:
        given.units = units if outer is None else min(units, outer.units)
    start = given.units
    token = _running.set(given)
    try:
        yield
    finally:
        _running.reset(token)
        if outer is not None:
            outer.units -= start - given.units


def spend(units: int) -> None:
    """Take `units` from the running allowance, if there is one.

    Raises: TooLarge when it is used up.
    """
    running = _running.get()
    if running is not None:
        running.units -= units
        if running.units < 0:
            raise TooLarge("the expressions take more work than is allowed")


def limits() -> Bounds:
    """The bounds that are in force."""
    return _running.get() or Bounds()
