"""Intervals of real numbers with open and closed ends: domains of parameters and data, and what
the signs of expressions are read off.

An end is a fraction or infinite. Arithmetic encloses: the result holds every value that the
operation takes on its arguments, and an end is closed only where it may be reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

Bound = Fraction | float  # a float is an infinity
End = tuple[Bound, bool]  # a bound, and whether it is reached

MAX_BITS = 1024  # an end of an enclosure beyond this is widened to a bound without digits
MAX_POWER = 16  # likewise a power


@dataclass(frozen=True)
class Interval:
    """The numbers from `lower` to `upper`; whether each end belongs to it."""

    lower: Bound
    upper: Bound
    lower_closed: bool = False
    upper_closed: bool = False

    @cached_property
    def word(self) -> str:
        """The language's word for it; "" where it has none."""
        return next((word for word, known in DOMAINS.items() if known == self), "")

    def __str__(self) -> str:
        return self.word or self.written

    @property
    def written(self) -> str:
        """With brackets: [0, 1/2)."""
        left, right = "[" if self.lower_closed else "(", "]" if self.upper_closed else ")"
        return f"{left}{shown(self.lower)}, {shown(self.upper)}{right}"

    @property
    def described(self) -> str:
        """What a number must be to lie in it."""
        return _DESCRIBED.get(self.word) or f"a number in {self.written}"

    @property
    def end_values(self) -> tuple[tuple[Fraction, bool], ...]:
        """Its finite ends, and whether each belongs to it."""
        ends = ((self.lower, self.lower_closed), (self.upper, self.upper_closed))
        return tuple((end, closed) for end, closed in ends if isinstance(end, Fraction))

    @property
    def whole(self) -> tuple[int | None, int | None]:
        """The least and the largest whole number in it; None where there is none."""
        low = high = None
        if isinstance(self.lower, Fraction):
            low = math.ceil(self.lower)
            low += low == self.lower and not self.lower_closed
        if isinstance(self.upper, Fraction):
            high = math.floor(self.upper)
            high -= high == self.upper and not self.upper_closed
        return low, high

    def __contains__(self, value: Any) -> bool:
        """Whether a real number of any kind lies in it."""
        above = value >= self.lower if self.lower_closed else value > self.lower
        below = value <= self.upper if self.upper_closed else value < self.upper
        return bool(above) and bool(below)

    def within(self, other: Interval) -> bool:
        """Whether `other` holds all of it."""
        return (_low(other) <= _low(self)) and (_high(self) <= _high(other))

    def meet(self, other: Interval) -> Interval | None:
        """What both hold; None where that is nothing."""
        lower, upper = max(self, other, key=_low), min(self, other, key=_high)
        found = Interval(lower.lower, upper.upper, lower.lower_closed, upper.upper_closed)
        if found.lower < found.upper or (
            found.lower == found.upper and found.lower_closed and found.upper_closed
        ):
            return found
        return None

    # -- signs

    @property
    def positive(self) -> bool:
        return self.lower > 0 or (self.lower == 0 and not self.lower_closed)

    @property
    def nonnegative(self) -> bool:
        return self.lower >= 0

    @property
    def negative(self) -> bool:
        return self.upper < 0 or (self.upper == 0 and not self.upper_closed)

    @property
    def nonpositive(self) -> bool:
        return self.upper <= 0

    @property
    def below_one(self) -> bool:
        return self.upper < 1 or (self.upper == 1 and not self.upper_closed)

    # -- values to try

    def spread(
        self, line: Iterable[Any], ray: Iterable[Any], segment: Iterable[Any], *, ends: bool = True
    ) -> tuple[Any, ...]:
        """Numbers in it: those of `line` that it holds where it is the whole line, the finite end
        moved inwards by each of `ray` where it has one, these shares of its length where it has
        two; then, with `ends`, the ends that belong to it."""
        if self.lower == -math.inf and self.upper == math.inf:
            found: tuple[Any, ...] = tuple(line)
        elif self.upper == math.inf:
            found = tuple(self.lower + step for step in ray)
        elif self.lower == -math.inf:
            found = tuple(self.upper - step for step in ray)
        else:
            found = tuple(self.lower + (self.upper - self.lower) * share for share in segment)
        reached = tuple(end for end, closed in self.end_values if closed) if ends else ()
        return tuple(dict.fromkeys(found + reached))

    def near(self, step: Fraction) -> tuple[Fraction, ...]:
        """A number close to each of its finite ends: at most `step` from it, and inside."""
        room, found = step, []
        if isinstance(self.lower, Fraction) and isinstance(self.upper, Fraction):
            room = min(step, (self.upper - self.lower) / 2)
        if isinstance(self.lower, Fraction):
            found.append(self.lower + room)
        if isinstance(self.upper, Fraction):
            found.append(self.upper - room)
        return tuple(found)

    # -- arithmetic

    def __neg__(self) -> Interval:
        return Interval(-self.upper, -self.lower, self.upper_closed, self.lower_closed)

    def __add__(self, other: Interval) -> Interval:
        return _bounded(
            _sum(self.lower, other.lower),
            _sum(self.upper, other.upper),
            self.lower_closed and other.lower_closed,
            self.upper_closed and other.upper_closed,
        )

    def __mul__(self, other: Interval) -> Interval:
        corners = [
            _product(mine, theirs)
            for mine in ((self.lower, self.lower_closed), (self.upper, self.upper_closed))
            for theirs in ((other.lower, other.lower_closed), (other.upper, other.upper_closed))
        ]
        return _hull(corners)

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return _hull(
            [(i.lower, i.lower_closed) for i in (self, other)]
            + [(i.upper, i.upper_closed) for i in (self, other)]
        )

    def reciprocal(self) -> Interval:
        """Of 1/x; every number where it holds 0."""
        if not (self.positive or self.negative):
            return REAL
        if self.negative:
            return -(-self).reciprocal()
        lower, upper = _inverse(self.upper), _inverse(self.lower)
        return _bounded(lower, upper, self.upper_closed and lower != 0, self.lower_closed)

    def power(self, exponent: Interval) -> Interval:
        """Of x**e, where that has a value."""
        if exponent.lower == exponent.upper and isinstance(exponent.lower, Fraction):
            if exponent.lower.denominator == 1:
                return self._whole_power(int(exponent.lower))
            if not self.positive:
                return NONNEGATIVE
        if not self.positive:
            return REAL
        rising = (self.below_one and exponent.negative) or (self.lower >= 1 and exponent.nonnegative)
        falling = (self.lower >= 1 and exponent.nonpositive) or (self.below_one and exponent.nonnegative)
        strict = (self.lower > 1 or (self.lower == 1 and not self.lower_closed) or self.below_one) and (
            exponent.positive or exponent.negative
        )
        if rising:
            return Interval(Fraction(1), math.inf, not strict)
        if falling:
            return Interval(Fraction(0), Fraction(1), False, not strict)
        return POSITIVE

    def _whole_power(self, exponent: int) -> Interval:
        if exponent < 0:
            return (
                self._whole_power(-exponent).reciprocal()
                if self.positive or self.negative
                else NONNEGATIVE
                if exponent % 2 == 0
                else REAL
            )
        if exponent == 0:
            return Interval(Fraction(1), Fraction(1), True, True)
        if self.nonpositive and not self.nonnegative:
            mirrored = (-self)._whole_power(exponent)
            return mirrored if exponent % 2 == 0 else -mirrored
        if not self.nonnegative:
            if exponent % 2 == 0:
                return _hull(
                    [
                        (Fraction(0), True),
                        (_raised(-self.lower, exponent), self.lower_closed),
                        (_raised(self.upper, exponent), self.upper_closed),
                    ]
                )
            return _bounded(
                -_raised(-self.lower, exponent),
                _raised(self.upper, exponent),
                self.lower_closed,
                self.upper_closed,
            )
        return _bounded(
            _raised(self.lower, exponent, down=True),
            _raised(self.upper, exponent),
            self.lower_closed,
            self.upper_closed,
        )


def plain_value(domain: Interval) -> Fraction:
    """A plain number of a domain: 1, 1 beyond its one end, or its middle."""
    found: Fraction = domain.spread(*((Fraction(1),),) * 2, (Fraction(1, 2),), ends=False)[0]
    return found


def point(value: Fraction) -> Interval:
    """The interval that holds one number."""
    return Interval(value, value, True, True)


def _low(interval: Interval) -> tuple[Bound, bool]:
    return interval.lower, not interval.lower_closed


def _high(interval: Interval) -> tuple[Bound, bool]:
    return interval.upper, interval.upper_closed


def _bounded(lower: Bound, upper: Bound, lower_closed: bool, upper_closed: bool) -> Interval:
    """The interval, an end with too many digits widened to an infinity or to 0, which keeps its
    sign."""
    if _bits(lower) > MAX_BITS:
        lower, lower_closed = (Fraction(0) if lower > 0 else -math.inf), False
    if _bits(upper) > MAX_BITS:
        upper, upper_closed = (Fraction(0) if upper < 0 else math.inf), False
    return Interval(
        lower, upper, lower_closed and not math.isinf(lower), upper_closed and not math.isinf(upper)
    )


def _hull(corners: Sequence[End]) -> Interval:
    lower, upper = min(c for c, _ in corners), max(c for c, _ in corners)
    return _bounded(
        lower,
        upper,
        any(closed for c, closed in corners if c == lower),
        any(closed for c, closed in corners if c == upper),
    )


def _product(one: End, other: End) -> End:
    (a, a_closed), (b, b_closed) = one, other
    if a == 0 or b == 0:
        return Fraction(0), (a == 0 and a_closed) or (b == 0 and b_closed)
    infinite = isinstance(a, float) or isinstance(b, float)  # and the other perhaps beyond all floats
    value = math.copysign(math.inf, 1 if (a > 0) == (b > 0) else -1) if infinite else a * b
    return value, a_closed and b_closed


def _sum(one: Bound, other: Bound) -> Bound:
    """Of two lower or two upper ends; what is infinite stays so beside what is beyond all floats."""
    if isinstance(one, float):
        return one
    return other if isinstance(other, float) else one + other


def _inverse(bound: Bound) -> Bound:
    if isinstance(bound, float):
        return Fraction(0)
    return 1 / bound if bound else math.inf


def _raised(bound: Bound, exponent: int, *, down: bool = False) -> Bound:
    """A bound of the power of a nonnegative `bound`: from below with `down`, else from above."""
    if isinstance(bound, float) or bound in (0, 1):
        return bound
    if exponent <= MAX_POWER and _bits(bound) * exponent <= MAX_BITS:
        return bound**exponent
    if down:
        return Fraction(1) if bound > 1 else Fraction(0)
    return math.inf if bound > 1 else Fraction(1)


def _bits(bound: Bound) -> int:
    return 0 if isinstance(bound, float) else bound.numerator.bit_length() + bound.denominator.bit_length()


REAL = Interval(-math.inf, math.inf)
POSITIVE = Interval(Fraction(0), math.inf)
NONNEGATIVE = Interval(Fraction(0), math.inf, True)
UNIT = Interval(Fraction(0), Fraction(1))
FROM_ONE = Interval(Fraction(1), math.inf, True)

DOMAINS: Mapping[str, Interval] = {
    "real": REAL,
    "positive": POSITIVE,
    "nonnegative": NONNEGATIVE,
    "unit": UNIT,
}
_DESCRIBED = {
    "real": "any real number",
    "positive": "a number greater than 0",
    "nonnegative": "a number at least 0",
    "unit": "a number strictly between 0 and 1",
}


# --- Images of the language's functions --------------------------------------------------------


def rising(
    lower: Bound, upper: Bound, fixed: Mapping[int, Any] | None = None
) -> Callable[[Interval], Interval]:
    """The image of a strictly growing function with values in (`lower`, `upper`) of which the
    values at the numbers of `fixed` are known: what lies beyond one of them maps beyond its
    value."""
    known = sorted((fixed or {}).items())

    def image(x: Interval) -> Interval:
        low, low_closed = lower, False
        high, high_closed = upper, False
        for at, value in known:
            if x.lower >= at:
                low, low_closed = Fraction(value), x.lower == at and x.lower_closed
        for at, value in reversed(known):
            if x.upper <= at:
                high, high_closed = Fraction(value), x.upper == at and x.upper_closed
        return Interval(low, high, low_closed, high_closed)

    return image


def largest(*xs: Interval) -> Interval:
    """The image of max."""
    lower, upper = max(xs, key=_low), max(xs, key=_high)
    return Interval(lower.lower, upper.upper, lower.lower_closed, upper.upper_closed)


def smallest(*xs: Interval) -> Interval:
    """The image of min."""
    return -largest(*(-x for x in xs))


def magnitude(x: Interval) -> Interval:
    """The image of abs."""
    if x.nonnegative:
        return x
    return (
        -x
        if x.nonpositive
        else _hull([(Fraction(0), True), (-x.lower, x.lower_closed), (x.upper, x.upper_closed)])
    )


def cut(x: Interval) -> Interval:
    """The image of step: 1 where x >= 0, else 0."""
    if x.nonnegative:
        return point(Fraction(1))
    return point(Fraction(0)) if x.negative else Interval(Fraction(0), Fraction(1), True, True)


def repeated_sum(x: Interval) -> Interval:
    """Sums of one or more numbers of `x`."""
    lower, lower_closed = (x.lower, x.lower_closed) if x.nonnegative else (-math.inf, False)
    upper, upper_closed = (x.upper, x.upper_closed) if x.nonpositive else (math.inf, False)
    return Interval(lower, upper, lower_closed, upper_closed)


def repeated_product(x: Interval) -> Interval:
    """Products of one or more numbers of `x`."""
    if x.nonnegative:
        low = (x.lower, x.lower_closed) if x.lower >= 1 else (Fraction(0), not x.positive)
        high = (x.upper, x.upper_closed) if x.upper <= 1 else (math.inf, False)
        return Interval(low[0], high[0], low[1], high[1])
    return x.hull(-x) if x.lower >= -1 and x.upper <= 1 else REAL


# --- Reading -------------------------------------------------------------------------------------


def shown(bound: Bound) -> str:
    return str(bound)  # Fractions as p/q, infinities as inf and -inf
