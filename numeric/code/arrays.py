"""Values of formulas in float64, at all positions and vocabulary entries at once.

What `reader` says entry by entry, as a program of numpy's operations that is made once a formula
and run at many cases. It looks for cases; what it finds is confirmed in intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from sympy import Add, Expr, Mul, Pow, Rational

from midpo.numeric.arithmetic import Undefined
from midpo.symbolic.language.nodes import (
    Abs,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    LogSigmoid,
    Max,
    Min,
    Parameter,
    Prob,
    Relu,
    Sigmoid,
    Sqrt,
    Step,
    StopGradient,
    Tanh,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)

from .places import DIRECTION, LABEL, LOGIT, UNKNOWN, T, V, stand_in

Array = Any
_FUNCTIONS: dict[type, Callable[..., Array]] = {
    Log: np.log,
    Exp: np.exp,
    Sqrt: np.sqrt,
    Tanh: np.tanh,
    Abs: np.abs,
    Sigmoid: lambda x: np.exp(-np.logaddexp(0.0, -x)),
    LogSigmoid: lambda x: -np.logaddexp(0.0, -x),
    Relu: lambda x: np.maximum(x, 0.0),
    Step: lambda x: (x >= -0.0) * 1.0,
    StopGradient: lambda x: x,
    Max: lambda *xs: reduce(np.maximum, xs),
    Min: lambda *xs: reduce(np.minimum, xs),
}


class TooNested(Exception):
    """More indices at once than an array here has axes for."""


@dataclass(frozen=True)
class _Scope:
    """Of which response a position index runs, and which index runs over the vocabulary."""

    t: Any = None
    y: Any = None
    v: Any = None


@dataclass
class Program:
    """Steps in order; each takes the results of earlier ones, and the case."""

    steps: list[tuple[Callable[..., Array], tuple[int, ...]]]

    def __call__(self, case: Any) -> Array:
        """The value at a case: (1, 1), or (positions, entries) of an entry.

        Raises: Undefined.
        """
        known: list[Array] = []
        with np.errstate(all="ignore"):
            for f, args in self.steps:
                known.append(f(case, *(known[a] for a in args)))
        found = known[-1]
        if not np.isfinite(found).all():
            raise Undefined("no finite value in float64")
        return found


@lru_cache(maxsize=4096)
def program(expr: Expr, y: Any = None) -> Program:
    """The program of a formula; of an entry, at the positions of `y`. Raises: TooNested."""
    builder = _Builder()
    builder.visit(expr, _Scope(T, y, V) if y is not None else _Scope())
    return Program(builder.steps)


class _Builder:
    def __init__(self) -> None:
        self.steps: list[tuple[Callable[..., Array], tuple[int, ...]]] = []
        self.known: dict[Any, int] = {}
        self.free: dict[Any, frozenset[Any]] = {}

    def indices(self, e: Any) -> frozenset[Any]:
        """The free indices of an expression."""
        if e not in self.free:
            if isinstance(e, Index):
                self.free[e] = frozenset((e,))
            elif isinstance(e, (TokenSum, TokenProd, VocabSum)):
                self.free[e] = self.indices(e.args[0]) - {e.args[1]}
            else:
                self.free[e] = frozenset().union(*map(self.indices, e.args))
        return self.free[e]

    def visit(self, e: Any, scope: _Scope) -> int:
        free = self.indices(e)
        key = (e, (scope.t, scope.y) if scope.t in free else None, scope.v if scope.v in free else None)
        if key not in self.known:
            made = self.make(e, scope)
            self.steps.append(made)
            self.known[key] = len(self.steps) - 1
        return self.known[key]

    def make(self, e: Any, scope: _Scope) -> tuple[Callable[..., Array], tuple[int, ...]]:
        if isinstance(e, Rational):
            value = np.full((1, 1), float(e))
            return (lambda case: value), ()
        if isinstance(e, Parameter):
            return (lambda case: np.full((1, 1), float(case.floats().parameters[e.name]))), ()
        if isinstance(e, Index):
            if e != scope.t:
                raise TooNested
            return (lambda case: np.arange(1.0, case.counts[str(scope.y)] + 1)[:, None]), ()
        if isinstance(e, (Add, Mul)):
            join = np.add if isinstance(e, Add) else np.multiply
            return (lambda case, *xs: reduce(join, xs)), self.all(e.args, scope)
        if isinstance(e, Pow):
            base, exponent = e.args
            if exponent.is_Integer:
                n = int(exponent)
                return (lambda case, x: x ** float(n)), (self.visit(base, scope),)
            return (lambda case, x, k: np.power(x, k)), self.all(e.args, scope)
        if isinstance(e, (TokenSum, TokenProd, VocabSum)):
            return self.bound(e, scope)
        if isinstance(e, Length):
            return (lambda case: np.full((1, 1), float(case.counts[str(e.args[0])]))), ()
        if isinstance(e, Prob):
            return (lambda case: np.prod(case.labelled(*map(str, e.args)), keepdims=True).reshape(1, 1)), ()
        if isinstance(e, (TokenProb, VocabProb, Feature)):
            return self.atom(e, scope), ()
        if isinstance(e, (Divergence, Entropy)):
            return self.whole(e, scope), ()
        f = _FUNCTIONS.get(type(e))
        if f is None:
            raise TooNested
        return (lambda case, *xs: f(*xs)), self.all(e.args, scope)

    def all(self, args: Any, scope: _Scope) -> tuple[int, ...]:
        return tuple(self.visit(a, scope) for a in args)

    def bound(self, e: Any, scope: _Scope) -> tuple[Callable[..., Array], tuple[int, ...]]:
        body, index = e.args[:2]
        outer = self.indices(body) - {index}
        if isinstance(e, VocabSum):
            if scope.v in outer and scope.v != index:
                raise TooNested
            inner = _Scope(scope.t, scope.y, index)

            def over(case: Any, x: Array) -> Array:
                wide = np.broadcast_to(x, (x.shape[0], case.vocabulary))
                return wide.sum(1, keepdims=True)

            return over, (self.visit(body, inner),)
        if scope.t in outer and scope.t != index:
            raise TooNested
        y = str(e.args[2])
        together = np.sum if isinstance(e, TokenSum) else np.prod

        def along(case: Any, x: Array) -> Array:
            wide = np.broadcast_to(x, (case.counts[y], x.shape[1]))
            return together(wide, axis=0, keepdims=True)

        return along, (self.visit(body, _Scope(index, e.args[2], scope.v)),)

    def place(self, y: Any, t: Any, scope: _Scope) -> Callable[[Any], Any]:
        """The positions that t means."""
        if t.is_Integer:
            n = int(t)
            return lambda case: slice(n - 1, n)
        if t != scope.t or y != scope.y:
            raise TooNested
        return lambda case: slice(None)

    def atom(self, e: Any, scope: _Scope) -> Callable[..., Array]:
        name, *at = map(str, e.args)
        if name.startswith(UNKNOWN):
            return self.unknown(e, scope)
        if not at:
            return lambda case: np.full((1, 1), float(case.floats().features[name]))
        y = at[0]
        if isinstance(e, Feature) and len(e.args) == 2:
            return lambda case: np.full((1, 1), float(case.floats().features[name][y]))
        where = self.place(e.args[1], e.args[2], scope)
        if isinstance(e, TokenProb):
            return lambda case: case.labelled(name, y)[where(case), None]
        if isinstance(e, VocabProb) or len(e.args) == 4:
            return self.entry(e.args[3], self.wide(e, name, y), where, e.args[1:3], scope)
        if e.args[0] == DIRECTION:
            return lambda case: np.take_along_axis(case.directions(y), case.ids(y)[:, None], 1)[where(case)]
        if e.args[0] == LABEL:
            return lambda case: case.ids(y)[where(case), None] * 1.0
        return lambda case: np.array(case.floats().features[name][y], dtype=float)[where(case), None]

    def wide(self, e: Any, name: str, y: str) -> Callable[[Any], Array]:
        """Where an atom with a vocabulary entry is read: laws, logits or directions."""
        if isinstance(e, VocabProb):
            return lambda case: case.law(name, y)
        if name.startswith(LOGIT):
            return lambda case: case.logits(name[len(LOGIT) :], y)
        return lambda case: case.directions(y)

    def unknown(self, e: Any, scope: _Scope) -> Callable[..., Array]:
        """The stand-in for what is not known, as `reader` has it."""
        name, *at = e.args
        indices = [i for i in at if isinstance(i, Index)]
        if set(indices) - {scope.t, scope.v}:
            raise TooNested
        full = str(name) + "".join(str(i) for i in at if not isinstance(i, Index))

        def value(case: Any) -> Array:
            rows = range(case.counts[str(scope.y)]) if scope.t in indices else range(1)
            columns = range(case.vocabulary) if scope.v in indices else range(1)
            found = np.array([[stand_in(full, t, v) for v in columns] for t in rows])
            return found.reshape(len(rows), len(columns))

        return value

    def entry(self, v: Any, wide: Any, where: Any, at: Any, scope: _Scope) -> Callable[..., Array]:
        if v.is_Integer:
            k = int(v)
            return lambda case: wide(case)[where(case), k : k + 1]
        if v == scope.v:
            return lambda case: wide(case)[where(case)]
        if isinstance(v, Feature) and v.args[0] == LABEL:
            y, t = str(v.args[1]), v.args[2]
            if t.is_Integer:  # the label of one position, wherever the law is taken
                n = int(t) - 1
                return lambda case: wide(case)[where(case)][:, [case.ids(y)[n]]]
            if (v.args[1], t) == at:
                return lambda case: np.take_along_axis(wide(case), case.ids(y)[:, None], 1)[where(case)]
        raise TooNested

    def whole(self, e: Any, scope: _Scope) -> Callable[..., Array]:
        y, t = e.args[-2:]
        where, names = self.place(y, t, scope), [str(p) for p in e.args[:-2]]
        y = str(y)

        def value(case: Any) -> Array:
            p = case.law(names[0], y)[where(case)]
            terms = (
                p * np.log(p / case.law(names[1], y)[where(case)]) if len(names) == 2 else (-p * np.log(p))
            )
            return terms.sum(1, keepdims=True)

        return value
