"""Exact numbers as closed expressions, such as log(5) and sqrt(2): what `Dyadic` cannot hold."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.algebra.polynomial import is_zero, rational
from midpo.symbolic.domains.constants import closed_sign
from midpo.symbolic.errors import NoValue
from midpo.symbolic.language.nodes import Exp, Log, Sqrt

from .arithmetic import NotExact, Undefined


class Closed:
    """A number is 0 where its normal form is; of others intervals tell the sign."""

    name = "exact"

    def number(self, value: Fraction) -> Expr:
        return rational(value)

    def exp(self, x: Any) -> Expr:
        return Exp(self._of(x))

    def log(self, x: Any) -> Expr:
        if self._sign(x) <= 0:
            raise Undefined("logarithm of a number that is not positive")
        return Log(self._of(x))

    def sqrt(self, x: Any) -> Expr:
        if self._sign(x) < 0:
            raise Undefined("root of a negative number")
        return Sqrt(self._of(x))

    def negative(self, x: Any) -> bool:
        return self._sign(x) < 0

    def zero(self, x: Any) -> bool:
        return self._sign(x) == 0

    def power(self, base: Any, exponent: Any) -> Expr:
        return self.exp(self._of(exponent) * self.log(base))

    def _of(self, x: Any) -> Expr:
        return x if isinstance(x, Expr) else rational(Fraction(x))

    def _sign(self, x: Any) -> int:
        """Raises: NotExact where it is not told."""
        x = self._of(x)
        try:
            found = closed_sign(x)
            if found is None and is_zero(normal_form(x)):
                return 0
        except NoValue as error:
            raise Undefined(str(error)) from None
        if found is None:
            raise NotExact
        return found
