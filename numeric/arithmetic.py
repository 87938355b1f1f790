"""Kinds of numbers an expression can be evaluated in.

`Floats` (float64), `Digits` (50 digits), `Intervals` (50 digits, rigorous) and `Dyadic` (exact:
polynomials in log 2 over the rationals). Each converts rationals and offers exp, log, sqrt, power
and a sign test; sums and products are the numbers' own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from midpo.symbolic.errors import MidpoError

DIGITS = 50


class Undefined(MidpoError):
    """The expression has no value at this point (logarithm of 0, a division by 0, an overflow)."""


class NotExact(Exception):
    """The value leaves the exact numbers; another arithmetic is needed."""


class Floats:
    """float64."""

    name = "float64"

    def number(self, value: Fraction) -> float:
        return float(value)

    def exp(self, x: float) -> float:
        try:
            return math.exp(x)
        except OverflowError:
            raise Undefined("exp overflows float64") from None

    def log(self, x: float) -> float:
        if x <= 0:
            raise Undefined("logarithm of a number that is not positive")
        return math.log(x)

    def sqrt(self, x: float) -> float:
        if x < 0:
            raise Undefined("root of a negative number")
        return math.sqrt(x)

    def negative(self, x: float) -> bool:
        return x < 0

    def zero(self, x: float) -> bool:
        return x == 0

    def power(self, base: float, exponent: float) -> float:
        if base < 0 or (base == 0 and exponent <= 0):
            raise Undefined("power of a number that is not positive")
        try:
            return float(base**exponent)
        except OverflowError:
            raise Undefined("a power overflows float64") from None


# Beyond this an exponential is no number anybody computes with, and its digits would not fit.
_MAX_EXPONENT = 10**7


class Digits:
    """Decimal numbers of `DIGITS` digits, with unbounded exponents."""

    name = f"{DIGITS} digits"

    def __init__(self, digits: int = DIGITS) -> None:
        import mpmath

        self.context = mpmath.ctx_mp.MPContext()
        self.context.dps = digits

    def number(self, value: Fraction) -> Any:
        return self.context.mpf(value.numerator) / value.denominator

    def exp(self, x: Any) -> Any:
        if abs(x) > _MAX_EXPONENT:
            raise Undefined("exp of a number beyond 10**7")
        return self.context.exp(x)

    def log(self, x: Any) -> Any:
        if x <= 0:
            raise Undefined("logarithm of a number that is not positive")
        return self.context.log(x)

    def sqrt(self, x: Any) -> Any:
        if x < 0:
            raise Undefined("root of a negative number")
        return self.context.sqrt(x)

    def negative(self, x: Any) -> bool:
        return bool(x < 0)

    def zero(self, x: Any) -> bool:
        return bool(x == 0)

    def power(self, base: Any, exponent: Any) -> Any:
        if base == 0 and exponent > 0:
            return base
        return self.exp(exponent * self.log(base))


class Intervals:
    """Intervals of `DIGITS` digits that contain the true value; a sign test that an interval
    cannot answer raises Undefined."""

    name = f"intervals of {DIGITS} digits"

    def __init__(self, digits: int = DIGITS) -> None:
        import mpmath

        self.context = mpmath.ctx_iv.MPIntervalContext()
        self.context.dps = digits
        self.known: dict[Fraction, Any] = {}

    def number(self, value: Fraction) -> Any:
        # A case has few different numbers, each at many places.
        if value not in self.known:
            if len(self.known) >= 1_000:
                self.known.clear()
            self.known[value] = self.context.mpf(value.numerator) / value.denominator
        return self.known[value]

    def exp(self, x: Any) -> Any:
        if abs(x.b) > _MAX_EXPONENT or abs(x.a) > _MAX_EXPONENT:
            raise Undefined("exp of a number beyond 10**7")
        return self.context.exp(x)

    def log(self, x: Any) -> Any:
        if x.a <= 0:
            raise Undefined("logarithm of a number that is not positive")
        return self.context.log(x)

    def sqrt(self, x: Any) -> Any:
        if x.a < 0:
            raise Undefined("root of a negative number")
        return self.context.sqrt(x)

    def negative(self, x: Any) -> bool:
        x = self.context.convert(x)
        if x.b < 0:
            return True
        if x.a >= 0:
            return False
        raise Undefined("the sign is not decided at this precision")

    def leans(self, x: Any) -> bool:
        return bool(self.context.convert(x).mid < 0)

    def maximum(self, x: Any, y: Any) -> Any:
        x, y = self.context.convert(x), self.context.convert(y)
        return self.context.mpf([max(x.a, y.a), max(x.b, y.b)])

    def zero(self, x: Any) -> bool:
        x = self.context.convert(x)
        return bool(x.a == 0 and x.b == 0)

    def power(self, base: Any, exponent: Any) -> Any:
        return self.exp(exponent * self.log(base))


class Dyadic:
    """Exact numbers: polynomials in log 2 with rational coefficients."""

    name = "Q(log 2)"

    def number(self, value: Fraction) -> Log2:
        return Log2({0: value})

    def exp(self, x: Log2) -> Log2:
        k = x.polynomial().get(1, Fraction(0))
        if set(x.terms) - {1} or k.denominator != 1 or abs(k) > 1000:
            raise NotExact
        return Log2({0: Fraction(2) ** int(k)})

    def log(self, x: Log2) -> Log2:
        value = x.constant()
        if value <= 0:
            raise Undefined("logarithm of a number that is not positive")
        for part, sign in ((value.numerator, 1), (value.denominator, -1)):
            if part > 1:
                if part & (part - 1):
                    raise NotExact
                return Log2({1: Fraction(sign * (part.bit_length() - 1))})
        return Log2({})

    def sqrt(self, x: Log2) -> Log2:
        raise NotExact

    def negative(self, x: Log2) -> bool:
        return (_value(x.terms) < 0) != (_value(x.below) < 0)

    def float(self, x: Log2) -> float:
        return float(x)

    def zero(self, x: Log2) -> bool:
        return not x.terms

    def power(self, base: Log2, exponent: Log2) -> Log2:
        raise NotExact


Terms = Mapping[int, Fraction]


class Log2:
    """A quotient of polynomials in log 2 over the rationals, in lowest terms: `terms[k]` and
    `below[k]` are the coefficients of (log 2)**k; the denominator's highest one is 1."""

    __slots__ = ("below", "terms")

    def __init__(self, terms: Terms, below: Terms | None = None) -> None:
        above = {k: c for k, c in terms.items() if c}
        under = {k: c for k, c in (below or {0: Fraction(1)}).items() if c}
        if set(under) != {0}:
            common = _divisor(above, under)
            above, under = _divided(above, common)[0], _divided(under, common)[0]
        leading = under[max(under)]
        self.terms = {k: c / leading for k, c in above.items()}
        self.below = {k: c / leading for k, c in under.items()}

    def polynomial(self) -> Terms:
        """The numerator, of what has no denominator."""
        if set(self.below) != {0}:
            raise NotExact
        return self.terms

    def constant(self) -> Fraction:
        if set(self.polynomial()) - {0}:
            raise NotExact
        return self.terms.get(0, Fraction(0))

    def __float__(self) -> float:
        return _value(self.terms) / _value(self.below)

    @staticmethod
    def of(value: Any) -> Log2:
        return value if isinstance(value, Log2) else Log2({0: Fraction(value)})

    def __add__(self, other: Any) -> Log2:
        other = Log2.of(other)
        above = _sum(_product(self.terms, other.below), _product(other.terms, self.below))
        return Log2(above, _product(self.below, other.below))

    __radd__ = __add__

    def __neg__(self) -> Log2:
        return Log2({k: -c for k, c in self.terms.items()}, self.below)

    def __sub__(self, other: Any) -> Log2:
        return self + -Log2.of(other)

    def __rsub__(self, other: Any) -> Log2:
        return Log2.of(other) - self

    def __mul__(self, other: Any) -> Log2:
        other = Log2.of(other)
        return Log2(_product(self.terms, other.terms), _product(self.below, other.below))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Log2:
        other = Log2.of(other)
        if not other.terms:
            raise Undefined("division by zero")
        return self * Log2(other.below, other.terms)

    def __rtruediv__(self, other: Any) -> Log2:
        return Log2.of(other) / self

    def __pow__(self, exponent: int) -> Log2:
        if exponent < 0:
            return Log2({0: Fraction(1)}) / self**-exponent
        if exponent == 0:
            return Log2({0: Fraction(1)})
        half = self ** (exponent // 2)
        return half * half * self if exponent % 2 else half * half

    def __str__(self) -> str:
        if set(self.below) == {0}:
            return _shown(self.terms)
        above, below = (f"({_shown(t)})" if len(t) > 1 else _shown(t) for t in (self.terms, self.below))
        return f"{above}/{below}"


def _sum(left: Terms, right: Terms) -> dict[int, Fraction]:
    return {k: left.get(k, Fraction(0)) + right.get(k, Fraction(0)) for k in {*left, *right}}


def _product(left: Terms, right: Terms) -> dict[int, Fraction]:
    terms: dict[int, Fraction] = {}
    for i, a in left.items():
        for j, b in right.items():
            terms[i + j] = terms.get(i + j, Fraction(0)) + a * b
    return terms


def _divided(above: Terms, below: Terms) -> tuple[dict[int, Fraction], dict[int, Fraction]]:
    """The quotient and the remainder of two polynomials; all coefficients are not 0."""
    quotient: dict[int, Fraction] = {}
    rest, degree = dict(above), max(below)
    while rest and max(rest) >= degree:
        shift, ratio = max(rest) - degree, rest[max(rest)] / below[degree]
        quotient[shift] = ratio
        rest = {k: c for k, c in _sum(rest, _product(below, {shift: -ratio})).items() if c}
    return quotient, rest


def _divisor(left: Terms, right: Terms) -> Terms:
    """The greatest common divisor, by Euclid's algorithm."""
    while left:
        left, right = _divided(right, left)[1], left
    return right


def _value(terms: Terms) -> float:
    try:
        parts = [float(c) * math.log(2) ** k for k, c in terms.items()]
        value = math.fsum(parts)
    except OverflowError:
        raise NotExact from None  # beyond float64
    if parts and abs(value) < 1e-9 * sum(map(abs, parts)):
        raise NotExact  # float64 does not see the sign
    return value


def _shown(terms: Terms) -> str:
    parts: list[str] = []
    for k, c in sorted(terms.items()):
        base = {0: "", 1: "log(2)"}.get(k, f"log(2)**{k}")
        size = str(abs(c))
        body = base if base and size == "1" else f"{size}*{base}" if base else size
        sign = ("-" if c < 0 else "") if not parts else (" - " if c < 0 else " + ")
        parts.append(sign + body)
    return "".join(parts) or "0"


@cache
def digits() -> Digits:
    return Digits()
