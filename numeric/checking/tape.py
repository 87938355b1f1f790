"""Numbers that remember how they were made: gradients with respect to every input at once.

A `Taped` is a value of some arithmetic and the partial derivatives with respect to what it was
made from; `Tape` offers the arithmetic's own functions on them. One walk back over the tape gives
the derivative of a value by every number on it (reverse accumulation), exact up to the arithmetic's
rounding. Where a cut (a maximum, a step) falls on a tie, either side is right: `side` says which
one this tape takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from heapq import heappop, heappush
from typing import Any

from midpo.numeric.arithmetic import Undefined

TIE = 1e-35  # nearer to 0 than this, a number that was computed is a tie
_ONE, _MINUS = 1, -1  # derivatives of sums and differences
LEVEL = 1e-5  # nearer than this relative to their size, numbers that are ordered may change places


class Taped:
    """A value, and its partial derivatives by the numbers that it was made from."""

    __slots__ = ("at", "parents", "tape", "value")

    def __init__(self, tape: Tape, value: Any, *parents: tuple[Taped, Any]) -> None:
        self.tape, self.value, self.parents, self.at = tape, value, parents, len(tape.nodes)
        tape.nodes.append(self)

    def __add__(self, other: Any) -> Taped:
        if isinstance(other, Taped):
            return Taped(self.tape, self.value + other.value, (self, _ONE), (other, _ONE))
        return Taped(self.tape, self.value + other, (self, _ONE))

    __radd__ = __add__

    def __neg__(self) -> Taped:
        return Taped(self.tape, -self.value, (self, _MINUS))

    def __sub__(self, other: Any) -> Taped:
        if isinstance(other, Taped):
            return Taped(self.tape, self.value - other.value, (self, _ONE), (other, _MINUS))
        return Taped(self.tape, self.value - other, (self, _ONE))

    def __rsub__(self, other: Any) -> Taped:
        return Taped(self.tape, other - self.value, (self, _MINUS))

    def __mul__(self, other: Any) -> Taped:
        if isinstance(other, Taped):
            a, b = self.value, other.value
            return Taped(self.tape, a * b, (self, b), (other, a))
        return Taped(self.tape, self.value * other, (self, other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Taped:
        if isinstance(other, Taped):
            ratio, below = self.value / other.value, 1 / other.value
            return Taped(self.tape, ratio, (self, below), (other, -ratio * below))
        return Taped(self.tape, self.value / other, (self, 1 / self.tape.number(other)))

    def __rtruediv__(self, other: Any) -> Taped:
        ratio = other / self.value
        return Taped(self.tape, ratio, (self, -ratio / self.value))

    def __pow__(self, exponent: int) -> Taped:
        if exponent == 0:
            return Taped(self.tape, self.value * 0 + 1)
        slope = self.value ** (exponent - 1) * exponent
        return Taped(self.tape, self.value**exponent, (self, slope))

    def __lt__(self, other: Any) -> bool:  # sorted() orders by it
        there = _value(other)
        if abs(self.value - there) <= LEVEL * max(abs(self.value), abs(there)):
            self.tape.level = True
        return bool(self.value < there)


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Taped) else x


class Tape:
    """The functions of an arithmetic, on its numbers and on `Taped` ones.

    `side` is what a tie counts as: None as the rounded number says, True below 0, False not; or one
    of these for each tie in turn. What is nearer to 0 than `tie`, or than `rounding` times how far
    rounding moves it, is a tie. `ties` counts them, and `nearest` is the least such ratio of other
    cuts; `level` says whether two numbers that were ordered are equal but for rounding.
    """

    def __init__(
        self,
        ops: Any,
        side: bool | Sequence[bool] | None = None,
        tie: float = TIE,
        rounding: float | None = None,
    ) -> None:
        self.ops, self.side, self.tie, self.rounding = ops, side, tie, rounding
        self.nodes: list[Taped] = []
        # Of leaves: how far rounding moves each per unit of eps, and whether in proportion.
        self.sizes: dict[int, tuple[float, bool]] = {}
        self.ties, self.level = 0, False
        self.nearest: Any = float("inf")
        self.name = ops.name

    def leaf(self, value: Any, size: float = 0.0, relative: bool = False) -> Taped:
        found = Taped(self, value)
        self.sizes[found.at] = size, relative
        return found

    def number(self, value: Any) -> Any:
        return self.ops.number(value) if isinstance(value, (int, Fraction)) else value

    def exp(self, x: Any) -> Any:
        value = self.ops.exp(_value(x))
        return Taped(self, value, (x, value)) if isinstance(x, Taped) else value

    def log(self, x: Any) -> Any:
        value = self.ops.log(_value(x))
        return Taped(self, value, (x, 1 / x.value)) if isinstance(x, Taped) else value

    def sqrt(self, x: Any) -> Any:
        value = self.ops.sqrt(_value(x))
        if not isinstance(x, Taped):
            return value
        if self.ops.zero(value):
            raise Undefined("a root has no derivative at 0")
        return Taped(self, value, (x, 1 / (2 * value)))

    def power(self, base: Any, exponent: Any) -> Any:
        if not isinstance(base, Taped) and not isinstance(exponent, Taped):
            return self.ops.power(base, exponent)
        if self.ops.zero(_value(base)) and _value(exponent) > 0:
            return _value(base)
        return self.exp(exponent * self.log(base))

    def negative(self, x: Any) -> bool:
        if isinstance(x, Taped) and self.tied(x):
            self.ties += 1
            if isinstance(self.side, bool):
                return self.side
            if self.side is not None:
                return self.side[(self.ties - 1) % len(self.side)]
        return bool(self.ops.negative(_value(x)))

    def tied(self, x: Taped) -> bool:
        """Whether a number is 0 but for rounding."""
        if abs(x.value) <= self.tie:
            return True
        if self.rounding is None:
            return False
        moved = self.moved(x)
        if moved and abs(x.value) <= moved * self.rounding:
            return True
        if moved:
            self.nearest = min(self.nearest, abs(x.value) / moved)
        return False

    def moved(self, x: Taped) -> Any:
        """How far rounding may move a number, per unit of eps: a leaf is rounded on each way on
        which it enters."""
        sizes: dict[int, Any] = {x.at: 1}
        waiting, total = [-x.at], 0
        while waiting:
            node = self.nodes[-heappop(waiting)]
            size = sizes.pop(node.at)
            if node.at in self.sizes:
                own, relative = self.sizes[node.at]
                exact = self.number(Fraction(own))
                total += size * (exact * (abs(node.value) if relative else 1))
            for parent, partial in node.parents:
                if parent.at not in sizes:
                    sizes[parent.at] = 0
                    heappush(waiting, -parent.at)
                sizes[parent.at] += size * abs(partial)
        return total

    def zero(self, x: Any) -> bool:
        return bool(self.ops.zero(_value(x)))

    def adjoints(self, ends: Sequence[tuple[Any, Any]]) -> list[Any]:
        """The derivative of the sum of weight*end by each number on the tape, by its `at`."""
        return self._back(ends, absolute=False)

    def ways(self, ends: Sequence[tuple[Any, Any]]) -> list[Any]:
        """The sizes of these: sums over all ways of what is added there with either sign."""
        return self._back([(end, abs(weight)) for end, weight in ends], absolute=True)

    def _back(self, ends: Sequence[tuple[Any, Any]], absolute: bool) -> list[Any]:
        found: list[Any] = [None] * len(self.nodes)  # None: 0, to which nothing need be added
        for end, weight in ends:
            if isinstance(end, Taped):
                there = found[end.at]
                found[end.at] = weight if there is None else there + weight
        for node in reversed(self.nodes):
            own = found[node.at]
            if own is None or own == 0:
                continue
            for parent, partial in node.parents:
                if partial is _ONE or (absolute and partial is _MINUS):
                    change = own
                else:
                    change = own * (abs(partial) if absolute else partial)
                there = found[parent.at]
                found[parent.at] = change if there is None else there + change
        return [0 if own is None else own for own in found]
