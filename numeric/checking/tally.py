"""Errors of one dtype, gathered over batches."""

from __future__ import annotations

from dataclasses import dataclass, field

from .found import DtypeErrors
from .judging import LIMIT, Failure, Judge


@dataclass
class Tally:
    """Errors of one dtype so far."""

    cases: int = 0
    value: float = 0.0
    gradient: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def add(self, judge: Judge) -> None:
        self.value = max(self.value, judge.value)
        self.gradient = max(self.gradient, judge.gradient)
        self.failures += judge.failures


def result_of(dtype: str, tally: Tally) -> DtypeErrors:
    passed = not tally.failures
    return DtypeErrors(dtype, tally.cases, tally.value, tally.gradient, LIMIT, passed)
