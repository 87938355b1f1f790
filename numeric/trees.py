"""Small worlds on which everything can be computed: token trees with random policies.

A world has finitely many responses, none a prefix of another, and a law of the next token after
each prefix. On a full tree every string up to a greatest length occurs: it ends with the token EOS
or at that length, so that the probabilities of all responses sum to one.

Derivatives are taken along the probabilities pi(y) of whole responses (the sequence simplex), where
a token's conditional is p(a|s) = pi(sa)/pi(s), or along the logits of a tabular softmax.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from typing import Any, Literal

import numpy as np
from sympy import Expr

from midpo.symbolic.domains.intervals import Interval, plain_value
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import Index
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.work import spend

from .arithmetic import Undefined
from .duals import Dual, Duals, Floats64, gradient_of, value_of
from .evaluate import Evaluator, Point

EOS = 0
VOCABULARY = 3
MAX_VALUES = 20_000  # that one evaluation may compute
A_UNIT = 8  # values in float64 that take as long as a unit of other work

Response = tuple[int, ...]
Laws = Mapping[Response, Floats64]
# What a token feature is a function of: the tokens before it, these and its own, or anything.
Sight = Literal["state", "token", "free"]
Coordinates = Literal["simplex", "logits"]

# Where parameters and features are drawn from: on the line, off an end, as shares of a segment.
_PARAMETERS = ((-1.5, 1.5), (0.2, 2.0), (0.15, 0.85))
_FEATURES = ((0.25, 1.75), (0.25, 1.75), (0.15, 0.85))


class QuickEvaluator(Evaluator):
    """The evaluator, with the free indices of each expression remembered: one expression is
    evaluated at many responses."""

    def value(self, expr: Any, scope: dict[Index, int]) -> Any:
        key: Any = expr
        if scope:
            free = _free_indices(expr)
            key = (expr, *((i, at) for i, at in scope.items() if i in free))
        if key not in self.known:
            if len(self.known) >= self.limit:
                raise TooLarge(f"an evaluation of more than {self.limit} values")
            if len(self.known) % A_UNIT == 0:
                spend(1)
            self.known[key] = self.compute(expr, scope)
        return self.known[key]


@lru_cache(maxsize=20_000)
def _free_indices(expr: Any) -> frozenset[Any]:
    return frozenset(s for s in expr.free_symbols if isinstance(s, Index))


@dataclass(frozen=True)
class World:
    """Responses, a law after each prefix for each policy, and the numbers a spec speaks of.

    `laws[policy][prefix]` has shape (vocabulary,); `features[name]` is a number or maps a response
    to a number or to one number a token.
    """

    responses: tuple[Response, ...]
    laws: Mapping[str, Laws]
    parameters: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def prefixes(self) -> tuple[Response, ...]:
        found = {y[:t] for y in self.responses for t in range(len(y))}
        return tuple(sorted(found, key=lambda s: (len(s), s)))

    @cached_property
    def vocabulary(self) -> int:
        return len(next(iter(self.laws["pi"].values())))

    def probability(self, policy: str = "pi") -> Floats64:
        """pi(y) of each response. Shape (responses,)."""
        law = self.laws[policy]
        return np.array([float(np.prod([law[y[:t]][a] for t, a in enumerate(y)])) for y in self.responses])

    def below(self, prefix: Response) -> Floats64:
        """1 for each response that begins with `prefix`, else 0. Shape (responses,)."""
        at = len(prefix)
        return np.array([float(y[:at] == prefix) for y in self.responses])

    # -- derivatives

    @cached_property
    def simplex(self) -> dict[Response, list[Dual]]:
        """p(a|s) with its derivatives along every pi(y): (1[y after sa] - p 1[y after s])/pi(s)."""
        pi = self.probability()
        tables: dict[Response, list[Dual]] = {}
        for s in self.prefixes:
            inside = self.below(s)
            mass = float(inside @ pi)
            tables[s] = [
                Dual(float(p), (self.below((*s, a)) - p * inside) / mass)
                for a, p in enumerate(self.laws["pi"][s])
            ]
        return tables

    @cached_property
    def logits(self) -> dict[Response, list[Dual]]:
        """p(a|s) with its derivatives along every logit of a tabular softmax, prefix by prefix:
        p(a)(1[a = b] - p(b))."""
        size = self.vocabulary
        tables: dict[Response, list[Dual]] = {}
        for at, s in enumerate(self.prefixes):
            law = self.laws["pi"][s]
            tables[s] = []
            for a, p in enumerate(law):
                gradient = np.zeros(len(self.prefixes) * size)
                gradient[at * size : (at + 1) * size] = -p * law
                gradient[at * size + a] += p
                tables[s].append(Dual(float(p), gradient))
        return tables

    def directions(self, coordinates: Coordinates) -> int:
        simplex = coordinates == "simplex"
        return len(self.responses) if simplex else len(self.prefixes) * self.vocabulary

    def evaluator(
        self, named: Mapping[str, Response], coordinates: Coordinates | None, margin: Any = None
    ) -> Evaluator:
        """An evaluator of expressions in the responses `named`; without coordinates, of values."""
        duals = None if coordinates is None else getattr(self, coordinates)
        plain = self._point(named, None, margin)
        if duals is None:
            return QuickEvaluator(Duals(), plain, limit=MAX_VALUES)
        return QuickEvaluator(Duals(), self._point(named, duals, margin), plain, limit=MAX_VALUES)

    def _point(
        self, named: Mapping[str, Response], duals: Mapping[Response, Any] | None, margin: Any
    ) -> Point:
        tables: dict[tuple[str, str], Any] = {}
        for policy, law in self.laws.items():
            source = duals if duals is not None and policy == "pi" else law
            for name, y in named.items():
                tables[policy, name] = [list(source[y[:t]]) for t in range(len(y))]
        features = {
            name: {role: data[y] for role, y in named.items()} if isinstance(data, dict) else data
            for name, data in self.features.items()
        }
        return Point(named, tables, self.parameters, features, margin)

    def values(self, expr: Expr) -> Floats64:
        """`expr` (in y) at each response. Shape (responses,)."""
        return np.array([value_of(self.evaluator({"y": y}, None)(expr)) for y in self.responses])

    def jacobian(self, expr: Expr) -> tuple[Floats64, Floats64]:
        """`expr` (in y) at each response, and its derivatives along each pi(y').

        Shapes (responses,) and (responses, responses), rows by the response spoken of.
        Raises: Undefined.
        """
        found = [self.evaluator({"y": y}, "simplex")(expr) for y in self.responses]
        size = len(self.responses)
        rows = np.array([gradient_of(x, size) for x in found])
        values = np.array([value_of(x) for x in found])
        if not (np.isfinite(rows).all() and np.isfinite(values).all()):
            raise Undefined("a derivative overflows float64")
        return values, rows

    def gradient(self, expr: Expr, named: Mapping[str, Response]) -> tuple[float, Floats64]:
        """`expr` and its derivatives along the logits. Shape (prefixes * vocabulary,)."""
        found = self.evaluator(named, "logits")(expr)
        return value_of(found), gradient_of(found, self.directions("logits"))

    # -- conditional expectations

    def path_sums(self, weights: Floats64) -> dict[Response, float]:
        """The sum of `weights` over the responses after each prefix, whole responses included."""
        total: dict[Response, float] = {}
        for y, weight in zip(self.responses, weights, strict=True):
            for t in range(len(y) + 1):
                total[y[:t]] = total.get(y[:t], 0.0) + float(weight)
        return total


@dataclass(frozen=True)
class Movement:
    """One way in which a function of y moves with the policy.

    The derivative of the function at y is the sum over t of weight(y, t) times that of
    log pi(y, t), where `law` is None, and else times the sum over v of law(y, t, v) times that of
    log pi(y, t, v). `position` and `entry` are the indices t and v in the two expressions.
    """

    weight: Expr
    law: Expr | None
    position: Index
    entry: Index


def centred_response(world: World, rows: Sequence[Movement], measure: Floats64) -> Floats64:
    """Sum over y' of measure(y') * d f(y')/d pi(y) for the function f that has these `rows`, up to
    a constant: T[pi] of proposition 2.1 where f = log zeta and `measure` is pi.

    With A(s) the sum of measure(y') weight(y', t) over the y' after s, divided by pi(s):
    sum over t of A(s a) - A(s) where the law is None (a = y_t), and of
    A(s) (law(a)/p(a) - sum of law) otherwise. Shape (responses,).
    """
    pi = world.path_sums(world.probability())
    total = np.zeros(len(world.responses))
    depth = max(map(len, world.responses))
    evaluators = [world.evaluator({"y": y}, None) for y in world.responses]
    for row, t in itertools.product(rows, range(depth)):
        weights = np.array(
            [
                m * value_of(e.value(row.weight, {row.position: t})) if t < len(y) else 0.0
                for y, e, m in zip(world.responses, evaluators, measure, strict=True)
            ]
        )
        after = world.path_sums(weights)
        for at, y in enumerate(world.responses):
            if t >= len(y):
                continue
            here = after[y[:t]] / pi[y[:t]]
            if row.law is None:
                total[at] += after[y[: t + 1]] / pi[y[: t + 1]] - here
                continue
            law = [
                value_of(evaluators[at].value(row.law, {row.position: t, row.entry: v}))
                for v in range(world.vocabulary)
            ]
            own = world.laws["pi"][y[:t]][y[t]]
            total[at] += here * (law[y[t]] / own - sum(law))
    return total


def full_tree(depth: int, vocabulary: int = VOCABULARY) -> tuple[Response, ...]:
    """Every response of at most `depth` tokens that ends with EOS or at that length."""
    found: list[Response] = []
    for length in range(1, depth + 1):
        inner = itertools.product(range(1, vocabulary), repeat=length - 1)
        last = range(vocabulary) if length == depth else (EOS,)
        found += [(*start, end) for start in inner for end in last]
    return tuple(found)


def random_world(
    spec: Spec,
    responses: Sequence[Response],
    rng: np.random.Generator,
    *,
    sight: Sight = "token",
    scale: float = 1.0,
    parameters: Mapping[str, float] | None = None,
    vocabulary: int = VOCABULARY,
) -> World:
    """Random laws after each prefix, parameters and features inside their domains (features
    without one in (0.25, 1.75))."""
    listed = tuple(responses)
    prefixes = sorted({y[:t] for y in listed for t in range(len(y))}, key=lambda s: (len(s), s))
    laws = {
        policy: {s: softmax(scale * rng.normal(size=vocabulary)) for s in prefixes}
        for policy in spec.policies
    }
    chosen = {name: _drawn(p.domain, _PARAMETERS, rng) for name, p in spec.names.parameters.items()}
    features: dict[str, Any] = {}
    for name, kind in spec.names.features.items():
        draw = partial(_drawn, spec.names.range(name), _FEATURES, rng)
        if kind == "pair":
            features[name] = draw()
        elif kind == "response":
            features[name] = {y: draw() for y in listed}
        else:
            features[name] = _token_feature(listed, sight, draw)
    return World(listed, laws, {**chosen, **(parameters or {})}, features)


def _drawn(domain: Interval, ranges: tuple[tuple[float, float], ...], rng: np.random.Generator) -> float:
    low, high = sorted(map(float, domain.spread(*ranges, ends=False)))
    return float(rng.uniform(low, high))


def _token_feature(
    responses: Sequence[Response], sight: Sight, draw: Callable[[], float]
) -> dict[Response, list[float]]:
    known: dict[Any, float] = {}

    def value(y: Response, t: int) -> float:
        key = {"state": y[:t], "token": y[: t + 1], "free": (y, t)}[sight]
        if key not in known:
            known[key] = draw()
        return known[key]

    return {y: [value(y, t) for t in range(len(y))] for y in responses}


def random_pair(rng: np.random.Generator, depth: int = 6) -> tuple[Response, Response]:
    """Two different responses of random lengths, neither a prefix of the other: one in two share
    a prefix."""
    while True:
        left, right = (
            (*(int(a) for a in rng.integers(1, VOCABULARY, int(n) - 1)), EOS)
            for n in rng.integers(1, depth + 1, 2)
        )
        if rng.random() < 0.5 and len(left) > 1:
            at = int(rng.integers(1, len(left)))
            right = (*left[:at], *right)[: depth - 1]
            right = (*right, *((EOS,) if right[-1] != EOS else ()))
        if left != right:
            return left, right


def default_parameters(spec: Spec) -> dict[str, float]:
    """The spec's defaults; for a parameter that has none 1/2, or a plain value of its domain."""
    half = Fraction(1, 2)
    return {
        name: float(spec.defaults.get(name, half if half in p.domain else plain_value(p.domain)))
        for name, p in spec.names.parameters.items()
    }


def with_policy(world: World, logits: Floats64) -> World:
    """The world with another policy: `logits` of shape (prefixes * vocabulary,)."""
    rows = logits.reshape(len(world.prefixes), -1)
    law = {s: softmax(row) for s, row in zip(world.prefixes, rows, strict=True)}
    return replace(world, laws={**world.laws, "pi": law})


def policy_of(world: World, log_probability: Floats64) -> World:
    """The world whose policy gives the responses these probabilities (normalised here)."""
    weights = np.exp(log_probability - log_probability.max())
    mass = world.path_sums(weights / weights.sum())
    size = world.vocabulary
    law = {s: np.array([mass.get((*s, a), 0.0) for a in range(size)]) / mass[s] for s in world.prefixes}
    return replace(world, laws={**world.laws, "pi": law})


def softmax(logits: Floats64) -> Floats64:
    weights: Floats64 = np.exp(logits - logits.max())
    normalised: Floats64 = weights / weights.sum()
    return normalised


def logits_of(world: World) -> Floats64:
    """Logits of the world's policy, for `with_policy`."""
    logits: Floats64 = np.log(np.concatenate([world.laws["pi"][s] for s in world.prefixes]))
    return logits


def centre(vector: Floats64) -> Floats64:
    """`vector` less its mean: what of it is not a constant in y."""
    centred: Floats64 = vector - vector.mean()
    return centred
