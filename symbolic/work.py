"""A bound on work that is counted, not timed: the same input always gets the same answer.

The bounds grow with the input, so what they limit is growth: a long sum is no more suspect than a
short one, but ten symbols that become a million terms are. Beyond them, the work on one question
of a user is bounded as a whole, whatever it holds: that is some seconds.
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


QUESTION = 450_000  # units in all

_running: ContextVar[Bounds | None] = ContextVar("running", default=None)
_asked: ContextVar[Bounds | None] = ContextVar("asked", default=None)
SPENT = "the work allowed is spent"


@contextmanager
def question() -> Iterator[None]:
    """All the work on one question of a user: its stages may `spend` so many units together, beside
    what each is allowed. A question inside another is part of it."""
    if _asked.get() is not None:
        yield
        return
    token = _asked.set(Bounds(QUESTION))
    try:
        yield
    finally:
        _asked.reset(token)


@contextmanager
def uncounted() -> Iterator[None]:
    """Inside, nothing is counted: an answer is to be told, also where all work is spent."""
    tokens = _running.set(None), _asked.set(None)
    try:
        yield
    finally:
        _running.reset(tokens[0])
        _asked.reset(tokens[1])


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
    return Bounds(UNITS + UNITS_A_PART * size, TERMS + TERMS_A_PART * size, PARTS + PARTS_A_PART * size)


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
    """Take `units` from the running allowance and from the question's, where there are such.

    Raises: TooLarge when one is used up.
    """
    running = _running.get()
    if running is not None:
        running.units -= units
        if running.units < 0:  # and the question does not pay for what is not done
            raise TooLarge("the expressions take more work than is allowed")
    asked = _asked.get()
    if asked is not None:
        asked.units -= units
        if asked.units < 0:
            raise TooLarge(SPENT)


def is_spent() -> bool:
    """Whether the work that the question is allowed is used up."""
    asked = _asked.get()
    return asked is not None and asked.units < 0


def limits() -> Bounds:
    """The bounds that are in force."""
    return _running.get() or Bounds()
