"""A prior is positive: seen to be, on a condition, or it is none.

zeta(y) > 0 is read off the signs of its factors. A factor whose sign is open becomes a side
condition, unless some pair or some value of its parameters makes it 0 or negative in a way that no
condition on parameters or data could exclude: then the spec is refused, with the case.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.algebra.factor import factors
from midpo.symbolic.algebra.polynomial import expand, is_zero
from midpo.symbolic.errors import MidpoError, SpecError, TooLarge
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import (
    BINDERS,
    CHOSEN,
    REJECTED,
    RESPONSE,
    Abs,
    ByLabel,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    Max,
    Parameter,
    Prob,
    Relu,
    Step,
    StopGradient,
    TokenProb,
    TokenProd,
    VocabProb,
)
from midpo.symbolic.language.parser import Condition, Names
from midpo.symbolic.language.signs import enclosure
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import BY_NODE, word_of
from midpo.symbolic.work import allowance, spend

from .definite import one_number

_LAWS = (  # of a token after any prefix
    (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)),
    (Fraction(1, 8), Fraction(1, 8), Fraction(3, 4)),
    (Fraction(1, 16), Fraction(3, 4), Fraction(3, 16)),
)
_LENGTHS = (1, 2, 3, 5, 40)
_MANY_LENGTHS = tuple(Fraction(n) for n in (*range(1, 101), 10**6))
_PROBABILITIES = tuple(Fraction(n, 10**6) for n in (1, 10**4, 2 * 10**5, 5 * 10**5, 8 * 10**5,
                                                    99 * 10**4, 10**6 - 1))
_VALUES = tuple(Fraction(n, 4) for n in (4, -4, 12, 1, 0))  # of parameters and data
_SHARES = (Fraction(1, 2), Fraction(1, 8), Fraction(7, 8))
_NOISE = 1e-9  # of a sum of floating-point numbers, relative to its terms
_MAX_CASES = 400
_MAX_SAID = 200  # characters of a formula in a message
_MAX_VALUES = 4_000  # that one case may compute
_MAX_DIGITS = 4_000  # binary, of an exact power
_MAX_WORK = 150_000  # values that are computed for one prior


def positivity(prior: Expr, names: Names) -> tuple[Condition, ...]:
    """What must hold for `prior` to be positive beyond the declared domains.

    Raises: SpecError where it cannot be, with what is 0 or negative and where.
    """
    found: list[Condition] = []
    with allowance(prior, units=_MAX_WORK):
        for branch, named in _branches(prior):
            if not enclosure(branch).positive:
                found += _conditions(branch, named, names)
    for one, other in itertools.combinations([c.expr for c in found if c.kind == "positive"], 2):
        if enclosure(one + other).nonpositive:
            raise _refusal(prior, f"the prior is nowhere positive: {text(one)} > 0 and "
                           f"{text(other)} > 0 exclude each other")
    return tuple(dict.fromkeys(found))


def _branches(prior: Expr) -> Iterator[tuple[Expr, str]]:
    """The prior of either role, as a function of y, and what to call it."""
    if not prior.has(ByLabel):
        yield prior, "the prior"
        return
    for role, place in ((CHOSEN, "preferred"), (REJECTED, "dispreferred")):
        branch = substitute(with_label(prior, role), {role: RESPONSE})
        yield branch, f"the prior of the {place} response, {_short(branch)},"


def _short(expr: Expr) -> str:
    said = text(expr)
    return said if len(said) <= _MAX_SAID else said[:_MAX_SAID] + "..."


def _conditions(prior: Expr, named: str, names: Names) -> Iterator[Condition]:
    whole = enclosure(prior)
    if whole.nonpositive:
        how = "0" if prior == 0 or whole.lower == 0 else \
            "negative" if whole.negative else "0 or negative"
        raise _refusal(prior, f"{named} is {how} everywhere")
    scalar: list[Expr] = []
    for base, exponent in _open_factors(prior):
        if isinstance(exponent, Rational) and exponent.q == 1 and exponent.p % 2 == 0:
            open_sign, kind = base, "nonzero"
        elif isinstance(exponent, Rational) and exponent.q == 1:
            open_sign, kind = base, "positive"
        else:  # a power with such a base is itself a condition of the language
            continue
        if _is_scalar(open_sign) and kind == "positive" and not enclosure(open_sign).nonnegative:
            scalar.append(open_sign)
            continue
        if not _is_given(open_sign):
            found = _counterexample(open_sign, kind, names)
            if found is not None:
                how, where = found
                what = "" if open_sign == prior else f", as {_short(open_sign)} is"
                if how == "0" and _is_below(exponent):
                    raise _refusal(prior, f"{named} has no value at {where}: {_short(open_sign)} "
                                   "is 0 there", open_sign)
                raise _refusal(prior, f"{named} is {how} at {where}{what}", open_sign)
        yield _plainest(open_sign, kind)
    sign = Mul(*scalar)
    if sign != 1:
        if enclosure(sign).nonpositive:
            raise _refusal(prior, f"{named} is nowhere positive: {_short(sign)} is not")
        yield from _of_product(prior, named, sign)


def _of_product(prior: Expr, named: str, sign: Expr) -> Iterator[Condition]:
    """That a product of parameters is positive: its factors of even powers are not 0, the product
    of the others is positive."""
    try:
        parts = factors(expand(sign), plain=True)
    except MidpoError:
        parts = ()
    if not parts or not all(e.is_Integer for _, e in parts) or not any(
            e % 2 == 0 for _, e in parts[1:]):
        yield _plainest(sign, "positive")
        return
    odd = Mul(*(base for base, e in parts if e % 2))
    if enclosure(odd).nonpositive:
        raise _refusal(prior, f"{named} is nowhere positive: {_short(sign)} is not")
    if not enclosure(odd).positive:
        yield _plainest(odd, "positive")
    yield from (_plainest(base, "nonzero") for base, e in parts
                if e % 2 == 0 and not enclosure(base).positive)


def _plainest(expr: Expr, kind: str) -> Condition:
    """That `expr` is positive, or not 0, said of what stands inside functions that keep signs."""
    while True:
        word = BY_NODE.get(type(expr))
        if (word is not None and word.keeps_sign) or (
                isinstance(expr, Relu) and kind == "positive"):
            expr = expr.args[0]
        elif isinstance(expr, Abs):
            expr, kind = expr.args[0], "nonzero"
        elif isinstance(expr, Log) and enclosure(expr.args[0]).positive:
            expr = expr.args[0] - 1
        elif isinstance(expr, Step):
            return Condition(expr.args[0], "nonnegative")
        elif isinstance(expr, Max) and kind == "positive":
            able = [arg for arg in expr.args if not enclosure(arg).nonpositive]
            if len(able) != 1:
                return Condition(expr, kind)
            (expr,) = able
        else:
            return Condition(expr, kind)


def _open_factors(prior: Expr) -> Iterator[tuple[Expr, Expr]]:
    """The factors of a prior, as powers, whose signs are not seen; a number's sign goes with the
    first of them that counts."""
    parts: list[tuple[Expr, Expr]] = []
    for factor in Mul.make_args(prior):
        base, exponent = factor.as_base_exp() if isinstance(factor, Pow) else (factor, S.One)
        if isinstance(base, Add) and isinstance(exponent, Rational) and exponent.q == 1:
            try:
                split = factors(base, plain=True)
            except MidpoError:
                split = ()
            parts += [(b, e * exponent) for b, e in split] or [(base, exponent)]
        else:
            parts.append((base, exponent))
    sign = S.One
    kept: list[tuple[Expr, Expr]] = []
    for base, exponent in parts:
        held = enclosure(base)
        odd = isinstance(exponent, Rational) and exponent.q == 1 and exponent.p % 2
        if held.negative and odd:
            sign = -sign
        elif not (held.positive or (held.negative and not odd)):
            kept.append((base, exponent))
    turned = False
    for base, exponent in kept:
        odd = isinstance(exponent, Rational) and exponent.q == 1 and exponent.p % 2
        if odd and sign < 0 and not turned:
            base, turned = -base, True
        yield base, exponent


def _is_below(exponent: Expr) -> bool:
    """Whether a factor stands in the denominator."""
    return isinstance(exponent, Rational) and exponent < 0


def _is_scalar(expr: Expr) -> bool:
    return all(isinstance(s, Parameter) for s in expr.free_symbols)


def _is_given(expr: Expr) -> bool:
    """Whether `expr` is made of parameters and data alone, also of data summed over the tokens: a
    condition on what the user gives."""
    if expr.has(Prob, TokenProb, VocabProb, Length, Divergence, Entropy):
        return False
    return all(node.has(Feature) and not _counts(node) for node in expr.atoms(*BINDERS))


def _counts(binder: Expr) -> bool:
    """Whether the index of a sum or product stands in it as a number."""
    bare = binder.args[0].xreplace(dict.fromkeys(binder.args[0].atoms(Feature), S.One))
    return bool(bare.has(Index))


def _refusal(prior: Expr, problem: str, factor: Expr = S.One) -> SpecError:
    hint = "a prior that is positive for every response"
    given = sorted({str(s.name if isinstance(s, Parameter) else s.args[0])
                    for s in factor.atoms(Parameter, Feature)})
    if _looks_like_a_logarithm(prior):
        hint = "is this log zeta? Then write exp(...) around it"
    elif given:
        hint += f", or a narrower domain of {' or '.join(given)}"
    return SpecError(problem, expected=hint)


def _looks_like_a_logarithm(prior: Expr) -> bool:
    """Whether a logarithm stands outside exponentials."""
    def bare(expr: Expr) -> bool:
        if isinstance(expr, Log):
            return True
        return not isinstance(expr, Exp) and any(map(bare, expr.args))
    return bare(prior)


# --- Looking for a case --------------------------------------------------------------------------


def _counterexample(expr: Expr, kind: str, names: Names) -> tuple[str, str] | None:
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
        whole = sorted({p for e in expr.atoms(Divergence, Entropy, VocabProb)
                        for p in (e.args[:1] if isinstance(e, VocabProb) else e.args[:-2])}
                       - known, key=str)
        return ", ".join([
            f"|y| = {self.length}",
            *(f"{text(e)} = {value.probability(e, {})}" for e in seen),
            *(f"{policy} = {_law(self, policy)} at the tokens" for policy in tokens),
            *(f"{policy} = {', '.join(map(str, self.law(policy, 1)))} over the vocabulary"
              for policy in whole),
            *(f"{text(e)} = {v}" for e, v in self.given.items()),
        ])


def _law(case: _Case, policy: Expr) -> str:
    """The probabilities of the tokens of the response."""
    return ", ".join(str(case.law(policy, t)[t % 3]) for t in range(1, case.length + 1))


def _cases(expr: Expr, names: Names) -> Iterator[_Case]:
    """Cases for what `expr` speaks of, short responses first."""
    policies = sorted(names.policies)
    given = sorted((s for s in expr.free_symbols | expr.atoms(Feature)
                    if isinstance(s, (Parameter, Feature))), key=str)
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
            if isinstance(exponent, Fraction) and exponent.denominator == 1 and not (
                    isinstance(base, Fraction) and _digits(base) * abs(exponent) > _MAX_DIGITS):
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
            return math.prod((self.case.law(policy, t)[t % 3] for t in
                              range(1, self.case.length + 1)), start=Fraction(1))
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
