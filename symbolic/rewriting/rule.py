"""Rule: one rewrite as a theorem with its condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sympy import Expr

Parts = tuple[Any, ...]

# The names of what is not a row of the table.
ARITHMETIC, CELLS, PRIOR_RULE = "arithmetic", "cells", "prior"


@dataclass(frozen=True)
class Rule:
    """`left(*parts) = right(*parts)` wherever `holds(*parts)`; `head` are the nodes to look at."""

    name: str
    phase: str
    statement: str
    condition: str
    reason: str
    head: tuple[type, ...]
    find: Callable[[Any], Parts | None]
    left: Callable[..., Expr]
    right: Callable[..., Expr]
    holds: Callable[..., bool] = lambda *parts: True
