"""A case at which an expression is not positive: looked for exactly, within bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational

from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import (
    BINDERS,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Parameter,
    Prob,
    StopGradient,
    TokenProb,
    TokenProd,
    VocabProb,
)
from midpo.symbolic.language.places import Names
from midpo.symbolic.language.signs import enclosure
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import word_of
from midpo.symbolic.work import spend

from .definite import one_number

_LAWS = (  # of a token after any prefix
    (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)),
    (Fraction(1, 8), Fraction(1, 8), Fraction(3, 4)),
    (Fraction(1, 16), Fraction(3, 4), Fraction(3, 16)),
)


_LENGTHS = (1, 2, 3, 5, 40)


_MANY_LENGTHS = tuple(Fraction(n) for n in (*range(1, 101), 10**6))


_PROBABILITIES = tuple(
    Fraction(n, 10**6) for n in (1, 10**4, 2 * 10**5, 5 * 10**5, 8 * 10**5, 99 * 10**4, 10**6 - 1)
)


_VALUES = tuple(Fraction(n, 4) for n in (4, -4, 12, 1, 0))  # of parameters and data


_SHARES = (Fraction(1, 2), Fraction(1, 8), Fraction(7, 8))


_NOISE = 1e-9  # of a sum of floating-point numbers, relative to its terms


_MAX_CASES = 400


_MAX_VALUES = 4_000  # that one case may compute


_MAX_DIGITS = 4_000  # binary, of an exact power


MAX_WORK = 150_000  # values that are computed for one prior


def counterexample(expr: Expr, kind: str, names: Names) -> tuple[str, str] | None:
    """How, "0" or (unless `kind` is "nonzero") "negative", and where `expr` is not positive; None
    if that is not found."""
    exact = _in_one_number(expr, kind)
    if exact is not None:
        return exact
    for case in _cases(expr, names):
        try:
            value, noise = _Value(case)(expr)
        except (ArithmeticError, ValueError, _TooMuch):
            continue
        except TooLarge:
            return None
        if value == 0 and isinstance(value, Fraction):
            return "0", case.told(expr)
        if value < -noise and kind == "positive":
            return "negative", case.told(expr)
    return None


def _in_one_number(expr: Expr, kind: str) -> tuple[str, str] | None:
    """The same for a polynomial in a length or in one probability, which take every value of their
    kind."""
    found = one_number(expr)
    atom = next((a for a in expr.atoms(Length, Prob, TokenProb)), None)
    if found is None or atom is None or len(expr.atoms(Length, Prob, TokenProb)) > 1:
        return None
    poly = found[0]
    tried = _MANY_LENGTHS if isinstance(atom, Length) else _PROBABILITIES
    if not is_zero(expr - poly.as_expr().xreplace({poly.gen: atom})):
        return None  # of something made of it, which may not take every value
    for value in tried:
        at = poly.eval(Rational(value.numerator, value.denominator))
        where = f"|y| = {value}" if isinstance(atom, Length) else f"{text(atom)} = {value}"
        if at == 0:
            return "0", where
        if at < 0 and kind == "positive":
            return "negative", where
    return None


@dataclass
class _Case:
    """A response of some length, a law for each policy, and numbers for parameters and data."""

    length: int
    laws: Mapping[str, int]
    given: Mapping[Expr, Fraction]

    def law(self, policy: Expr, position: int) -> tuple[Fraction, ...]:
        return _LAWS[(self.laws[str(policy)] + position) % len(_LAWS)]

    def told(self, expr: Expr) -> str:
        """The case, as far as `expr` depends on it."""
        value = _Value(self)
        seen = sorted(expr.atoms(Prob), key=str)
        known = {e.args[0] for e in seen}
        tokens = sorted({e.args[0] for e in expr.atoms(TokenProb)} - known, key=str)
        known |= set(tokens)
        whole = sorted(
            {
                p
                for e in expr.atoms(Divergence, Entropy, VocabProb)
                for p in (e.args[:1] if isinstance(e, VocabProb) else e.args[:-2])
            }
            - known,
            key=str,
        )
        return ", ".join(
            [
                f"|y| = {self.length}",
                *(f"{text(e)} = {value.probability(e, {})}" for e in seen),
                *(f"{policy} = {_law(self, policy)} at the tokens" for policy in tokens),
                *(
                    f"{policy} = {', '.join(map(str, self.law(policy, 1)))} over the vocabulary"
                    for policy in whole
                ),
                *(f"{text(e)} = {v}" for e, v in self.given.items()),
            ]
        )


def _law(case: _Case, policy: Expr) -> str:
    """The probabilities of the tokens of the response."""
    return ", ".join(str(case.law(policy, t)[t % 3]) for t in range(1, case.length + 1))


def _cases(expr: Expr, names: Names) -> Iterator[_Case]:
    """Cases for what `expr` speaks of, short responses first."""
    policies = sorted(names.policies)
    given = sorted(
        (s for s in expr.free_symbols | expr.atoms(Feature) if isinstance(s, (Parameter, Feature))), key=str
    )
    choices = [_values(e) for e in given]
    count = min(math.prod(map(len, choices)), _MAX_CASES // (len(_LENGTHS) * len(_LAWS)))
    for length, shift in itertools.product(_LENGTHS, range(len(_LAWS))):
        laws = {p: shift * (at + 1) + at for at, p in enumerate(policies)}
        for values in _some(choices, count):
            yield _Case(length, laws, dict(zip(given, values, strict=True)))


def _some(choices: list[tuple[Fraction, ...]], count: int) -> Iterator[tuple[Fraction, ...]]:
    """`count` rows of a table of all choices, spread over it: all of them where it has no more."""
    size = math.prod(map(len, choices))
    for number in range(count):
        at, row = number * size // count, []
        for values in choices:
            at, place = divmod(at, len(values))
            row.append(values[place])
        yield tuple(row)


def _values(given: Expr) -> tuple[Fraction, ...]:
    domain = enclosure(given)
    rays = [v for v in _VALUES if v > 0]
    return domain.spread(_VALUES, rays, _SHARES)


class _TooMuch(Exception):
    """A case that would take too much work."""


class _Value:
    """The value of an expression at a case, and how much of it may be rounding: exact fractions as
    long as no function but the rational ones is met, then floats."""

    def __init__(self, case: _Case) -> None:
        self.case, self.left = case, _MAX_VALUES

    def __call__(self, expr: Expr) -> tuple[Any, float]:
        terms = [self.value(term, {}) for term in Add.make_args(expr)]
        return sum(terms), _NOISE * sum(abs(float(t)) for t in terms)

    def value(self, expr: Expr, scope: Mapping[Expr, int]) -> Any:
        self.left -= 1
        if self.left < 0:
            raise _TooMuch
        spend(1)
        if isinstance(expr, Rational):
            return Fraction(int(expr.p), int(expr.q))
        if expr in self.case.given:
            return self.case.given[expr]
        if isinstance(expr, Feature):  # at a position that is bound
            return next(v for e, v in self.case.given.items() if e.args[:1] == expr.args[:1])
        if isinstance(expr, Index):
            return Fraction(scope[expr])
        if isinstance(expr, Length):
            return Fraction(self.case.length)
        if isinstance(expr, (Prob, TokenProb, VocabProb)):
            return self.probability(expr, scope)
        if isinstance(expr, (Divergence, Entropy)):
            return self.information(expr, scope)
        if isinstance(expr, BINDERS):
            index, whole = expr.args[1], len(expr.args) == 3
            over = range(1, self.case.length + 1) if whole else range(len(_LAWS[0]))
            parts = [self.value(expr.args[0], {**scope, index: at}) for at in over]
            return math.prod(parts) if isinstance(expr, TokenProd) else sum(parts)
        args = [self.value(arg, scope) for arg in expr.args]
        if isinstance(expr, Add):
            return sum(args)
        if isinstance(expr, Mul):
            return math.prod(args)
        if isinstance(expr, Pow):
            base, exponent = args
            if (
                isinstance(exponent, Fraction)
                and exponent.denominator == 1
                and not (isinstance(base, Fraction) and _digits(base) * abs(exponent) > _MAX_DIGITS)
            ):
                return base ** int(exponent)
            found = float(base) ** float(exponent)
            if isinstance(found, complex):
                raise ValueError("a power of a negative number")
            return found
        if isinstance(expr, StopGradient):
            return args[0]
        return word_of(expr).value(_FLOATS, *args)

    def probability(self, expr: Expr, scope: Mapping[Expr, int]) -> Fraction:
        policy, _, *at = expr.args
        if not at:
            return math.prod(
                (self.case.law(policy, t)[t % 3] for t in range(1, self.case.length + 1)), start=Fraction(1)
            )
        position = scope.get(at[0], 1)
        entry = scope[at[1]] if len(at) == 2 else position % 3
        return self.case.law(policy, position)[entry]

    def information(self, expr: Expr, scope: Mapping[Expr, int]) -> Any:
        policies = expr.args[:-2]
        own, *others = (self.case.law(p, scope.get(expr.args[-1], 1)) for p in policies)
        if others:
            if own == others[0]:
                return Fraction(0)
            return sum(float(p) * math.log(p / q) for p, q in zip(own, others[0], strict=True))
        return -sum(float(p) * math.log(p) for p in own)


def _digits(value: Fraction) -> int:
    """The binary digits of a fraction; 0 of 1 and -1, whose powers have no more."""
    return value.numerator.bit_length() + value.denominator.bit_length() - 2


class _Floats:
    """Functions in floats, exact where their value is a plain number."""

    @staticmethod
    def exp(x: Any) -> Any:
        return Fraction(1) if x == 0 and isinstance(x, Fraction) else math.exp(x)

    @staticmethod
    def log(x: Any) -> Any:
        return Fraction(0) if x == 1 and isinstance(x, Fraction) else math.log(x)

    @staticmethod
    def sqrt(x: Any) -> Any:
        if isinstance(x, Fraction) and x >= 0:
            root = Fraction(math.isqrt(x.numerator), math.isqrt(x.denominator))
            if root * root == x:
                return root
        return math.sqrt(x)

    @staticmethod
    def negative(x: Any) -> bool:
        return bool(x < 0)


_FLOATS = _Floats()
