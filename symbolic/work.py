"""A bound on work that is counted, not timed: the same input always gets the same answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .errors import TooLarge

ALLOWANCE = 100_000  # some seconds

_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def allowance(units: int = ALLOWANCE) -> Iterator[None]:
    """Whatever is done inside may `spend` so many units together; an allowance that is already
    running goes on instead."""
    if _left.get() is not None:
        yield
        return
    token = _left.set([units])
    try:
        yield
    finally:
        _left.reset(token)


def spend(units: int) -> None:
    """Take `units` from the running allowance, if there is one.

    Raises: TooLarge when it is used up.
    """
    left = _left.get()
    if left is not None:
        left[0] -= units
        if left[0] < 0:
            raise TooLarge("the expressions take more work than is allowed")
