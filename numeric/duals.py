"""Exact first derivatives: numbers that carry their gradient through every operation.

A `Dual` is a value and its derivatives along some directions; sums, products and functions of duals
follow the rules of differentiation, so that a derivative is exact up to the rounding of float64: no
step size is involved. Constants are plain floats.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arithmetic import Floats, Undefined

Floats64 = NDArray[np.float64]
Number = Any  # a float, or a Dual
LARGEST = 1e150  # products of two such numbers still have a value


class Dual:
    """value + the derivatives of it along the directions, an array of shape (directions,)."""

    __slots__ = ("gradient", "value")

    def __init__(self, value: float, gradient: Floats64) -> None:
        self.value, self.gradient = value, gradient

    def __add__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.gradient + other.gradient)
        return Dual(self.value + other, self.gradient)

    __radd__ = __add__

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.gradient)

    def __sub__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value - other.value, self.gradient - other.gradient)
        return Dual(self.value - other, self.gradient)

    def __rsub__(self, other: float) -> Dual:
        return Dual(other - self.value, -self.gradient)

    def __mul__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            gradient = self.gradient * other.value + other.gradient * self.value
            return Dual(self.value * other.value, gradient)
        return Dual(self.value * other, self.gradient * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            ratio = self.value / other.value
            return Dual(ratio, (self.gradient - ratio * other.gradient) / other.value)
        return Dual(self.value / other, self.gradient / other)

    def __rtruediv__(self, other: float) -> Dual:
        ratio = other / self.value
        return Dual(ratio, self.gradient * (-ratio / self.value))

    def __pow__(self, exponent: int) -> Dual:
        slope = exponent * self.value ** (exponent - 1) if exponent else 0.0
        return Dual(self.value**exponent, self.gradient * slope)


def value_of(x: Number) -> float:
    return float(x.value if isinstance(x, Dual) else x)


def gradient_of(x: Number, directions: int) -> Floats64:
    return x.gradient if isinstance(x, Dual) else np.zeros(directions)


class Duals:
    """float64 with derivatives. Where a function has a kink the derivative of one side is taken."""

    name = "float64, exact derivatives"

    def __init__(self) -> None:
        self.floats = Floats()

    def number(self, value: Fraction) -> float:
        return float(value)

    def exp(self, x: Number) -> Number:
        value = self.floats.exp(value_of(x))
        if value > LARGEST:
            raise Undefined("exp is beyond 1e150, where derivatives overflow float64")
        return Dual(value, x.gradient * value) if isinstance(x, Dual) else value

    def log(self, x: Number) -> Number:
        value = self.floats.log(value_of(x))
        return Dual(value, x.gradient / x.value) if isinstance(x, Dual) else value

    def sqrt(self, x: Number) -> Number:
        value = self.floats.sqrt(value_of(x))
        if not isinstance(x, Dual):
            return value
        if value == 0:
            raise Undefined("a root has no derivative at 0")
        return Dual(value, x.gradient / (2 * value))

    def negative(self, x: Number) -> bool:
        return value_of(x) < 0

    def zero(self, x: Number) -> bool:
        return value_of(x) == 0

    def power(self, base: Number, exponent: Number) -> Number:
        if not isinstance(base, Dual) and not isinstance(exponent, Dual):
            return self.floats.power(base, exponent)
        return self.exp(exponent * self.log(base))
