"""Constants as they are read, and Python numbers that remember an expression.

A float literal is read as its shortest decimal, a logarithm of a small whole number or a simple
fraction as what rounds exactly to it in its dtype; every reading but that of a short decimal is
noted. Sizes of symbolic axes and hyperparameters are Python numbers with an expression beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Dummy, Expr, Integer, Rational, S

from midpo.numeric.code.places import POSITION, T, opaque, unknowns
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import Log, Max, Min, Step
from midpo.symbolic.language.signs import is_negative, is_nonnegative, is_positive
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import piecewise

from .trace import current, decide, refuse, suppose

SHORT = 9  # digits of a decimal that somebody wrote
SMALL = 64  # denominators of fractions that somebody may have meant
_LOGARITHMS = {math.log(k): Log(Integer(k)) for k in range(2, 33)}
_KNOWN: dict[float, Expr] = {
    **_LOGARITHMS,
    **{1 / x: 1 / e for x, e in _LOGARITHMS.items()},
    math.log2(math.e): 1 / Log(Integer(2)),
}
_KNOWN.update({-x: -e for x, e in list(_KNOWN.items())})


def expr_of(x: Any) -> Expr:
    """An entry, or a Python number, as an expression. Raises: CannotLift for NaN."""
    if isinstance(x, Expr):
        return x
    if isinstance(x, (bool, np.bool_)):
        return S.One if x else S.Zero
    if isinstance(x, (int, np.integer)):
        return getattr(x, "expr", None) or Integer(int(x))
    if isinstance(x, Number):
        return x.expr
    return read(float(x))


def read(x: float, single: bool = False) -> Expr:
    """A float constant; with `single` it was rounded to float32."""
    if math.isnan(x):
        refuse(
            "a NaN, or a parameter that went through a function of Python, flows into a tensor; "
            "give the parameter as a number (--set ARG=0.1)"
        )
    if math.isinf(x):
        return S.Infinity if x > 0 else S.NegativeInfinity
    if x == int(x) and abs(x) < 2**53:
        return Integer(int(x))
    shown = str(np.float32(x)) if single else repr(x)
    found: Expr | None = None
    if len(shown.split("e")[0].strip("-0.").replace(".", "")) > SHORT - 2 * single:
        found = _meant(x, single)
    if found is None:
        found = Rational(shown)
    current().constants[shown] = text(found)
    return found


def _meant(x: float, single: bool) -> Expr | None:
    """The logarithm or simple fraction that rounds exactly to `x`; of a logarithm also to float32,
    where kernels split it in two, and then divided by."""
    rounded: Callable[[float], float] = (lambda v: float(np.float32(v))) if single else float
    for value, known in _KNOWN.items():
        if x in (rounded(value), float(np.float32(value)), 1 / float(np.float32(1 / value))):
            return known
    near = Fraction(x).limit_denominator(SMALL)
    if not near or rounded(float(near)) != x:
        return None
    return Rational(near.numerator, near.denominator)


# --- Comparisons ---------------------------------------------------------------------------------


def is_whole(e: Expr) -> bool:
    """Whether an expression is a whole number: of positions, lengths, and extrema of such."""
    extrema = [m for m in e.atoms(Max, Min) if all(map(is_whole, m.args))]
    return bool(e.xreplace({x: Dummy(integer=True) for x in (T, POSITION, *extrema)}).is_integer)


def at_least(a: Expr, b: Expr) -> bool | Expr:
    """Whether a >= b: known, or a step, of whole numbers off its jump."""
    difference = expand(a - b)
    known = opaque(difference)
    if is_nonnegative(known):
        return True
    if is_negative(known):
        return False
    return Step(difference + Rational(1, 2) if is_whole(difference) else difference)


def above(a: Expr, b: Expr) -> bool | Expr:
    found = at_least(b, a)
    return (not found) if isinstance(found, bool) else 1 - found


def equal(a: Expr, b: Expr) -> bool | Expr:
    """Whether a = b: known; of whole numbers, and of what is made of pieces or not known, two steps;
    of other data no, but for a null set."""
    difference = expand(a - b)
    if difference.is_Number:
        return bool(difference == 0)
    known = opaque(difference)
    if is_positive(known) or is_negative(known):
        return False
    if is_whole(difference) or difference.has(*piecewise()) or unknowns(difference):
        return Step(difference) * Step(-difference)
    suppose(f"{text(difference)} is not 0")
    return False


def truth(c: bool | Expr) -> bool:
    """The answer to a Python `if`."""
    if isinstance(c, (bool, np.bool_)):
        return bool(c)
    if c.is_Number:
        return bool(c != 0)
    return decide(c)


# --- Python numbers ------------------------------------------------------------------------------


def _compared(f: Callable[[Expr, Expr], bool | Expr]) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        if not isinstance(other, (int, float, np.number)):
            return NotImplemented
        if isinstance(other, float) and math.isinf(other):
            return f(S.Zero, S.One if other > 0 else S.NegativeOne)
        return truth(f(self.expr, expr_of(other)))

    return compare


def _not_equal(a: Expr, b: Expr) -> bool | Expr:
    found = equal(a, b)
    return (not found) if isinstance(found, bool) else 1 - found


class _Compared:
    """Comparisons of expressions: known, or a question about data."""

    expr: Expr
    __ge__ = _compared(at_least)
    __gt__ = _compared(above)
    __le__ = _compared(lambda a, b: at_least(b, a))
    __lt__ = _compared(lambda a, b: above(b, a))
    __eq__ = _compared(equal)
    __ne__ = _compared(_not_equal)
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(truth(_not_equal(self.expr, S.Zero)))


def _arithmetic(f: Callable[[Expr, Expr], Expr], swapped: bool = False) -> Callable[..., Any]:
    def operate(self: Any, other: Any) -> Any:
        if not isinstance(other, (int, float, np.number)):
            return NotImplemented
        a, b = self.expr, expr_of(other)
        return Number(f(b, a) if swapped else f(a, b))

    return operate


def _over(a: Expr, b: Expr) -> Expr:
    if b == 0:
        raise ZeroDivisionError("float division by zero")
    return a / b


def _power(a: Expr, b: Expr) -> Expr:
    if not (b.is_Rational or is_positive(a)):
        refuse("a power of a number that may be negative")
    return a**b


class Number(_Compared, float):
    """A Python float that stands for an expression. Its own value is NaN: where it goes through C
    it is lost, and a NaN is refused."""

    def __new__(cls, expr: Expr) -> Number:
        self = float.__new__(cls, "nan")
        self.expr = expr
        return self

    __add__ = __radd__ = _arithmetic(lambda a, b: a + b)
    __sub__, __rsub__ = _arithmetic(lambda a, b: a - b), _arithmetic(lambda a, b: a - b, True)
    __mul__ = __rmul__ = _arithmetic(lambda a, b: a * b)
    __truediv__, __rtruediv__ = _arithmetic(_over), _arithmetic(_over, True)
    __pow__, __rpow__ = _arithmetic(_power), _arithmetic(_power, True)

    def __neg__(self) -> Number:
        return Number(-self.expr)

    def __pos__(self) -> Number:
        return self

    def __abs__(self) -> Number:
        return self if self >= 0 else -self

    def _lost(self, *args: Any) -> Any:
        refuse(
            "a parameter or a value becomes a whole number; give the parameter as a number (--set ARG=0.1)"
        )

    __int__ = __round__ = __floor__ = __ceil__ = __trunc__ = __index__ = _lost
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = _lost

    def __float__(self) -> float:
        refuse("float() of a parameter or a value; give the parameter as a number (--set ARG=0.1)")

    def __repr__(self) -> str:
        return text(self.expr)

    def __format__(self, how: str) -> str:
        return text(self.expr)

    __str__ = __repr__


def _sized(f: Callable[[int, int], int], g: Callable[[Expr, Expr], Expr]) -> Callable[..., Any]:
    def operate(self: Any, other: Any) -> Any:
        if isinstance(other, float):
            return Number(g(self.expr, expr_of(other)))
        if not isinstance(other, int):
            return NotImplemented
        return size(f(int.__int__(self), int.__int__(other)), g(self.expr, expr_of(other)))

    return operate


class Dim(_Compared, int):
    """The size of a symbolic axis: a hint for torch, and how many there are as an expression."""

    def __new__(cls, hint: int, expr: Expr) -> Dim:
        self = int.__new__(cls, hint)
        self.expr = expr
        return self

    __add__ = __radd__ = _sized(int.__add__, lambda a, b: a + b)
    __sub__ = _sized(int.__sub__, lambda a, b: a - b)
    __rsub__ = _sized(int.__rsub__, lambda a, b: b - a)
    __mul__ = __rmul__ = _sized(int.__mul__, lambda a, b: a * b)

    def __neg__(self) -> Any:
        return size(-int.__int__(self), -self.expr)

    def __truediv__(self, other: Any) -> Any:
        return Number(_over(self.expr, expr_of(other)))

    def __rtruediv__(self, other: Any) -> Any:
        return Number(_over(expr_of(other), self.expr))

    def __float__(self) -> float:
        refuse("float() of the size of a symbolic axis")

    def __int__(self) -> int:
        refuse("int() of the size of a symbolic axis")

    def _lost(self, *args: Any) -> Any:
        refuse("whole-number arithmetic with the size of a symbolic axis")

    __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __rfloordiv__ = __pow__ = __rpow__ = _lost
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __invert__ = _lost
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = bit_length = bit_count = _lost

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __floordiv__(self, other: Any) -> Any:
        found = self.expr / expr_of(other)
        if other == 1 or (found.is_integer and int.__int__(self) % int.__int__(other) == 0):
            return size(int.__int__(self) // int.__int__(other), found)
        return self._lost()

    def __repr__(self) -> str:
        return text(self.expr)

    __str__ = __repr__


def size(hint: int, expr: Expr) -> Any:
    """A size: a whole number where it is one."""
    return Dim(hint, expr) if not expr.is_Integer else int(expr)
