"""What an evaluation on a tape reads: the inputs, each with the rounding error that it has."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from midpo.numeric.evaluate import Evaluator
from midpo.symbolic.language.nodes import Divergence, Entropy, StopGradient, VocabSum

from .tape import Tape, Taped


class Leaves:
    """The inputs that an evaluation on a tape has read. `errors` are rounding errors of each, per
    unit of its size, in the order of reading; none where left out."""

    def __init__(self, tape: Tape, errors: Iterator[Any] | None = None) -> None:
        self.tape, self.errors = tape, errors
        self.found: list[tuple[str, tuple[int, ...], Taped, float]] = []

    def __call__(self, name: str, at: tuple[int, ...], value: Any, size: float) -> Taped:
        if self.errors is not None:
            error = next(self.errors) * size
            value = value * (1 + error) if len(at) == 3 else value + error
        taped = self.tape.leaf(value, size, len(at) == 3)
        self.found.append((name, at, taped, size))
        return taped


class Differentiated(Evaluator):
    """Nothing is differentiated through a stopped gradient, unless the question is how far a value
    moves (`stops` is false). A sum over the vocabulary has a rounding error of its own, which no
    error of the probabilities makes up for."""

    leaves: Leaves | None = None
    stops = True

    def compute(self, expr: Any, scope: Any) -> Any:
        value = super().compute(expr, scope)
        if self.stops and isinstance(expr, StopGradient) and isinstance(value, Taped):
            return value.value
        if self.leaves is None or not isinstance(expr, (Divergence, Entropy, VocabSum)):
            return value
        if not isinstance(expr, VocabSum):
            *policies, response, position = expr.args
            rows = [self.point.tables[str(p), str(response)][scope[position]] for p in policies]
            size = _magnitude(rows, self.ops.ops)
        else:  # beside a 1 that is taken from it, a sum may be counted from there
            plain = getattr(value, "value", value)
            size = min(as_float(abs(plain)), as_float(abs(plain - 1)))
        return value + self.leaves("", (), self.ops.number(Fraction(0)), size)


def _magnitude(rows: list[Any], ops: Any) -> float:
    """The sizes of the logarithms in a divergence or an entropy, weighted as these are: each is
    known up to eps, or eps of itself."""
    total = 0.0
    for entries in zip(*rows, strict=True):
        values = [getattr(p, "value", p) for p in entries]
        if all(p > 0 for p in values):
            logs = sum(max(1.0, abs(float(ops.log(p)))) for p in values)
            total += float(values[0]) * logs
    return total


def as_float(x: Any) -> float:
    try:
        return float(x)
    except OverflowError:
        return float("inf")
