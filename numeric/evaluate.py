"""The value of an expression at a point, term by term as it is written.

This is the oracle that kernels and proofs are held against: it walks the spec's own expression (no
rewriting, no torch), with 0*log(0) = 0 inside sums over the vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational

from midpo.symbolic.domains.whole import value_of
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import (
    MARGIN,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Node,
    Parameter,
    Prob,
    Sorted,
    Step,
    StopGradient,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.words import word_of
from midpo.symbolic.work import spend

from .arithmetic import Undefined


@dataclass
class Point:
    """Everything an expression can speak of, in numbers of one arithmetic.

    `tokens[response]` are the token ids; `tables[policy, response][t][v]` is the probability of
    entry v at the t-th position (0-based); `features[name]` is a number (pair), a mapping from
    response to number (response) or to a sequence (token). `batch` are the points of all pairs of
    a batch, of which this is the one at `place`.
    """

    tokens: Mapping[str, Sequence[int]]
    tables: Mapping[tuple[str, str], Sequence[Sequence[Any]]]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    margin: Any = None
    batch: Sequence[Point] = ()
    place: int = 0


@functools.lru_cache(maxsize=10_000)
def _free(expr: Any) -> frozenset[Any]:
    """The free symbols of `expr`, which SymPy gathers anew whenever it is asked."""
    return frozenset(expr.free_symbols)


class Evaluator:
    """Evaluates expressions at one point. `stopped` is the point at which stopped gradients are
    read: the same point, or the base point of a finite difference. At most `limit` values are
    computed: sums within sums within sums would not end."""

    def __init__(self, ops: Any, point: Point, stopped: Point | None = None, limit: int = 1_000_000) -> None:
        self.ops, self.point, self.limit = ops, point, limit
        self.frozen = Evaluator(ops, stopped) if stopped is not None else None
        self.known: dict[Any, Any] = {}

    def __call__(self, expr: Expr) -> Any:
        """The value of `expr`. Raises: Undefined where it has none; TooLarge past the limit."""
        try:
            return self.value(expr, {})
        except ZeroDivisionError:
            raise Undefined("division by zero") from None
        except OverflowError:
            raise Undefined("overflow") from None

    def value(self, expr: Any, scope: dict[Index, int]) -> Any:
        key: Any = expr
        if scope:
            free = _free(expr)
            key = (expr, *((i, at) for i, at in scope.items() if i in free))
        if key not in self.known:
            if len(self.known) >= self.limit:
                raise TooLarge(f"an evaluation of more than {self.limit} values")
            spend(1)
            self.known[key] = self.compute(expr, scope)
        return self.known[key]

    def compute(self, expr: Any, scope: dict[Index, int]) -> Any:
        ops, point = self.ops, self.point
        if isinstance(expr, Rational):
            return ops.number(Fraction(int(expr.p), int(expr.q)))
        if isinstance(expr, Index):
            return ops.number(Fraction(scope[expr] + 1))
        if isinstance(expr, Parameter):
            return point.parameters[expr.name]
        if expr == MARGIN and point.margin is not None:
            return point.margin
        if isinstance(expr, Add):
            return sum((self.value(arg, scope) for arg in expr.args), ops.number(Fraction(0)))
        if isinstance(expr, Mul):
            return self.product(expr, scope)
        if isinstance(expr, Pow):
            return self.power(expr, scope)
        if isinstance(expr, Feature):
            return self.feature(expr, scope)
        if isinstance(expr, (Prob, TokenProb, VocabProb)):
            return self.probability(expr, scope)
        if isinstance(expr, Length):
            return ops.number(Fraction(len(point.tokens[str(expr.args[0])])))
        if isinstance(expr, (TokenSum, TokenProd, VocabSum)):
            return self.bound(expr, scope)
        if isinstance(expr, Divergence):
            return self.divergence(expr, scope)
        if isinstance(expr, Entropy):
            (policy, response, position) = expr.args
            row = point.tables[str(policy), str(response)][scope[position]]
            return -sum((p * ops.log(p) for p in row if not ops.zero(p)), ops.number(Fraction(0)))
        if isinstance(expr, StopGradient) and self.frozen is not None:
            return self.frozen.value(expr.args[0], scope)
        if isinstance(expr, Sorted) and point.batch:
            others = (type(self)(ops, other, limit=self.limit) for other in point.batch)
            return sorted(other(expr.args[0]) for other in others)[point.place]
        if isinstance(expr, Step):
            # Of whole numbers exactly: 2/3*len(y) - 2 is 0 at 3 tokens, whatever 2/3 is rounded to.
            whole = value_of(expr.args[0], lambda atom: _rounded(self.value(atom, scope)))
            if whole is not None:
                return ops.number(Fraction(int(whole >= 0)))
        if isinstance(expr, Node):
            return word_of(expr).value(ops, *(self.value(a, scope) for a in expr.args))
        raise Undefined(f"{expr} has no value")

    def product(self, expr: Mul, scope: dict[Index, int]) -> Any:
        # Probabilities of vocabulary entries first: a zero decides the product, as 0*log(0) is 0.
        total = self.ops.number(Fraction(1))
        for factor in sorted(expr.args, key=lambda arg: not _vanishing(arg)):
            value = self.value(factor, scope)
            if _vanishing(factor) and self.ops.zero(value):
                return value
            total = total * value
        return total

    def power(self, expr: Pow, scope: dict[Index, int]) -> Any:
        base = self.value(expr.base, scope)
        exponent = expr.exp
        if exponent.is_Integer:
            if exponent < 0 and self.ops.zero(base):
                raise Undefined("division by zero")
            return base ** int(exponent) if exponent >= 0 else 1 / base ** int(-exponent)
        if exponent == Rational(1, 2):
            return self.ops.sqrt(base)
        return self.ops.power(base, self.value(exponent, scope))

    def feature(self, expr: Feature, scope: dict[Index, int]) -> Any:
        name, *at = expr.args
        data = self.point.features[str(name)]
        if at:
            data = data[str(at[0])]
        return data[scope[at[1]]] if len(at) == 2 else data

    def probability(self, expr: Expr, scope: dict[Index, int]) -> Any:
        policy, response, *at = expr.args
        table = self.point.tables[str(policy), str(response)]
        tokens = self.point.tokens[str(response)]
        if not at:
            total = self.ops.number(Fraction(1))
            for row, token in zip(table, tokens, strict=True):
                total = total * row[token]
            return total
        position = scope[at[0]]
        return table[position][tokens[position] if len(at) == 1 else scope[at[1]]]

    def bound(self, expr: Expr, scope: dict[Index, int]) -> Any:
        body, index = expr.args[:2]
        if isinstance(expr, VocabSum):
            size = len(next(iter(self.point.tables.values()))[0])
        else:
            size = len(self.point.tokens[str(expr.args[2])])
        values = (self.value(body, {**scope, index: at}) for at in range(size))
        if not isinstance(expr, TokenProd):
            return sum(values, self.ops.number(Fraction(0)))
        total = self.ops.number(Fraction(1))
        for value in values:
            total = total * value
        return total

    def divergence(self, expr: Expr, scope: dict[Index, int]) -> Any:
        p, q, response, position = expr.args
        rows = (self.point.tables[str(k), str(response)][scope[position]] for k in (p, q))
        log = self.ops.log
        total = self.ops.number(Fraction(0))
        for a, b in zip(*rows, strict=True):
            if not self.ops.zero(a):
                total = total + a * (log(a) - log(b))
        return total


def _vanishing(factor: Expr) -> bool:
    """Whether `factor` is a positive power of the probability of a vocabulary entry."""
    base, exponent = factor.as_base_exp()
    return isinstance(base, VocabProb) and bool(exponent.is_positive)


def _rounded(count: Any) -> int:
    """A number that is whole, by itself or with derivatives beside it."""
    return round(float(getattr(count, "value", count)))
