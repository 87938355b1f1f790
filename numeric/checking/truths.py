"""Truths that are kept: one batch has one truth, whichever function is held against it.

A batch is known by all that is in it, so what it was drawn from (seed, number, dtype) need not be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sympy import Expr

from .oracle import Oracle, Truth
from .policies import Batch

KEPT = 512  # a check has some 40, most of them small


def truth_of(batch: Batch, loss: Expr, seed: int) -> Truth | None:
    """`Oracle.truth` of these, computed once."""
    return _truth(_Asked(_content(batch), loss, seed, batch))


@dataclass(frozen=True)
class _Asked:
    content: tuple[Any, ...]
    loss: Expr
    seed: int
    batch: Batch = field(compare=False)


@lru_cache(maxsize=KEPT)
def _truth(asked: _Asked) -> Truth | None:
    return Oracle(asked.batch, asked.loss, asked.seed).truth()


def _content(batch: Batch) -> tuple[Any, ...]:
    """Every number of the inputs, and what it is."""
    arrays = (batch.features, batch.logits, batch.logps, batch.whole, batch.rounding)
    return (
        batch.roles,
        _numbers(batch.labels),
        *(tuple((name, _numbers(x)) for name, x in each.items()) for each in arrays),
        *(tuple(each.items()) for each in (batch.parameters, batch.spans)),
    )


def _numbers(values: Any) -> tuple[Any, ...]:
    whole = tuple(values.flat) if values.dtype == object else values.tobytes()
    return values.shape, values.dtype.str, whole
