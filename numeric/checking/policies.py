"""Random batches to hold a kernel against: logits, labels, features and parameters, seeded.

Lengths are unequal, labels have gaps, some vocabulary entries are masked in every policy, and the
logits' sizes put margins on both sides of every branch point of the functions involved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from sympy import Expr

from midpo.numeric.arithmetic import digits
from midpo.numeric.evaluate import Point
from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.nodes import Sorted, Tanh
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.words import BY_NODE

from .tape import Tape

IGNORED = -100

Leaf = Callable[..., Any]


def plain(name: str, at: tuple[int, ...], value: Any, size: float) -> Any:
    """An input as it is."""
    return value


VOCABULARIES = (2, 3, 5, 11)
# Sizes of logits: with alphas from 1/16 to 5/2, margins from hundredths to tens of thousands.
SCALES = (0.25, 1.0, 3.0, 12.0, 60.0, 1e4)

_LINE = tuple(Fraction(n, 8) for n in (-6, -1, 1, 4, 12))
_RAY = tuple(Fraction(n, 16) for n in (1, 2, 8, 12, 24, 40))
_SEGMENT = tuple(Fraction(n, 8) for n in (1, 2, 6, 7))
_STEPS = (Fraction(1, 2**20), Fraction(1, 2**12), Fraction(1, 2**6))  # from an end
_EIGHTHS = tuple(Fraction(n, 8) for n in range(1, 24))  # of features


@dataclass(frozen=True)
class Head:
    """Hidden states (2B, T, D), the output head (V, D) and its bias (V,): the logits are
    cap*tanh(raw/cap)/temperature of raw = hidden @ weight.T + bias; no cap where it is None."""

    hidden: Any
    weight: Any
    bias: Any
    cap: float | None
    temperature: float


@dataclass(frozen=True)
class Batch:
    """One random batch: `logits[policy]` (2B, T, V), `labels` (2B, T), `features` and
    `parameters` (exact in every dtype). With responses beside the pair (`roles` names all) there
    are as many times B rows.

    Where a policy is known by its labels' log-probabilities only, `logps[policy]` has them,
    (2B, T); where by those of whole responses, `whole[policy]`, (2B,), of which each token has its
    share.
    Logits of `heads` are numbers of 50 digits; `rounding[policy]` is what they are sums of.
    `spans` are the largest ends of parameters' domains: 1 - p is as good a parameter as p.
    `known` keeps probabilities that were computed.
    """

    logits: dict[str, Any]
    labels: Any
    features: dict[str, Any]
    parameters: dict[str, Fraction]
    scale: float
    roles: tuple[str, ...] = ("y_w", "y_l")
    logps: dict[str, Any] = field(default_factory=dict)
    whole: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    rounding: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, float] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def pairs(self) -> int:
        return int(self.labels.shape[0]) // len(self.roles)

    @property
    def policies(self) -> tuple[str, ...]:
        return (*self.logits, *self.logps, *self.whole)

    def rows(self, pair: int) -> list[int]:
        """Where the responses of a pair stand."""
        return [pair + n * self.pairs for n in range(len(self.roles))]

    def reader(self, expr: Expr) -> Callable[..., Point]:
        """How pairs are read for `expr`: with the batch's others where it orders them."""
        return self.place if expr.has(Sorted) else self.point

    def place(self, ops: Any, pair: int, logits: Any = None, leaf: Leaf = plain) -> Point:
        """As `point`, with the other pairs of the batch."""
        points = tuple(self.point(ops, each, logits, leaf) for each in range(self.pairs))
        return replace(points[pair], batch=points, place=pair)

    def point(self, ops: Any, pair: int, logits: Any = None, leaf: Leaf = plain) -> Point:
        """The pair as the numbers of an arithmetic. `leaf` is told each input: its name, where it
        stands there, its value, and how far rounding moves it: of a probability in proportion, of
        the others as it is, per unit of eps."""
        rows = dict(zip(self.roles, self.rows(pair), strict=True))
        where = {y: np.flatnonzero(self.labels[row] != IGNORED) for y, row in rows.items()}
        tokens = {y: [int(v) for v in self.labels[row][where[y]]] for y, row in rows.items()}
        tables: dict[tuple[str, str], Any] = {}
        for y, row in rows.items():
            for policy, values in (logits or self.logits).items():
                tables[policy, y] = [
                    self.entries(ops, policy, row, int(t), values[row, t], leaf, logits is None)
                    for t in where[y]
                ]
            for policy, given in self.logps.items():
                tables[policy, y] = [
                    Labelled(ops.exp(leaf(policy, (row, t), *sized(ops, given[row, t])))) for t in where[y]
                ]
            for policy, given in self.whole.items():
                total = leaf(policy, (row,), *sized(ops, given[row]))
                tables[policy, y] = [
                    Labelled(ops.exp(total * ops.number(share))) for share in shares(len(where[y]))
                ]
        parameters = {
            k: leaf(k, (), ops.number(v), max(abs(float(v)), self.spans.get(k, 0.0)))
            for k, v in self.parameters.items()
        }
        features: dict[str, Any] = {}
        for name, values in self.features.items():

            def read(*at: int, name: str = name, values: Any = values) -> Any:
                return leaf(name, at, *sized(ops, values[at]))

            if values.shape == (self.pairs,) and self.labels.shape[0] != self.pairs:
                features[name] = read(pair)
            elif values.ndim == 1:
                features[name] = {y: read(r) for y, r in rows.items()}
            else:
                features[name] = {y: [read(r, int(t)) for t in where[y]] for y, r in rows.items()}
        return Point(tokens, tables, parameters, features)

    def entries(
        self, ops: Any, policy: str, row: int, t: int, values: Any, leaf: Leaf, own: bool
    ) -> list[Any]:
        """The probabilities of one position, kept where the logits are the batch's `own`."""
        arithmetic = ops.ops if isinstance(ops, Tape) else ops
        key = arithmetic, policy, row, t
        found = self.known.get(key) if own else None
        if found is None:
            found = softmax(arithmetic, values, self.rounding.get(policy, _NONE)[row, t])
            if own:
                self.known[key] = found
        return [leaf(policy, (row, t, v), p, size) for v, (p, size) in enumerate(found)]


class _Nothing:
    def __getitem__(self, at: Any) -> float:
        return 0.0


_NONE = _Nothing()


class Labelled:
    """A row of a table of which only the label's entry is known."""

    def __init__(self, probability: Any) -> None:
        self.probability = probability

    def __getitem__(self, entry: int) -> Any:
        return self.probability

    def __len__(self) -> int:
        raise MidpoError(ONLY_LABELS)


ONLY_LABELS = "the loss needs whole distributions, and the code takes log-probabilities of labels"


def shares(tokens: int) -> list[Fraction]:
    """What each of a response's tokens adds to its log-probability: all different."""
    return [Fraction(2 * (n + 1), tokens * (tokens + 1)) for n in range(tokens)]


def sized(ops: Any, value: Any) -> tuple[Any, float]:
    """A number of the arithmetic, and its size."""
    return ops.number(Fraction(value)), abs(float(value))


def softmax(ops: Any, logits: Any, rounding: Any = 0.0) -> list[Any]:
    """Probabilities of `logits` (a row of numbers, -inf allowed) in an arithmetic, and how far each
    moves, relative to itself, for a relative change of one of its logarithm or of `rounding`."""
    numbers = [None if is_minus_infinity(z) else _number(ops, z) for z in logits]
    top = max(z for z in numbers if z is not None)
    weights = [None if z is None else ops.exp(z - top) for z in numbers]
    total = sum(w for w in weights if w is not None)
    shift = top + ops.log(total)
    others = np.broadcast_to(rounding, len(numbers))
    found = []
    for z, w, other in zip(numbers, weights, others, strict=True):
        if z is None:
            found.append((ops.number(Fraction(0)), 0.0))
            continue
        found.append((w / total, max(1.0, float(abs(z - shift)), float(other))))
    return found


def representable(values: Any) -> Any:
    """`values` rounded to 8 significant bits: the same number in every dtype, bfloat16 included."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def is_minus_infinity(value: Any) -> bool:
    return isinstance(value, float) and value == -np.inf


def _number(ops: Any, value: Any) -> Any:
    return ops.number(Fraction(float(value))) if isinstance(value, float) else value


def nth_batch(
    spec: Spec, kinds: Mapping[str, str], number: int, rng: np.random.Generator, **shape: Any
) -> Batch:
    """A batch of a series in which sizes and scales take turns."""
    scale = SCALES[number % len(SCALES)]
    vocabulary = VOCABULARIES[(number // 2) % len(VOCABULARIES)]
    return random_batch(spec, kinds, rng, scale=scale, vocabulary=vocabulary, ends=number % 4 == 3, **shape)


def random_batch(
    spec: Spec,
    kinds: Mapping[str, str],
    rng: np.random.Generator,
    *,
    scale: float,
    vocabulary: int,
    positions: int = 6,
    shortest: int = 1,
    pairs: int | None = None,
    ends: bool = False,
    finite: bool = False,
    leading: bool = False,
    fixed: Mapping[str, Fraction] = MappingProxyType({}),
    ops: Any = None,
) -> Batch:
    """One batch. `kinds` says of each policy what is given: "logits", "hidden" states and a head,
    the labels' "logps", or "whole" responses' log-probabilities. Responses have `shortest` tokens
    or more, with `leading` before all that is ignored; `ends` draws parameters near the ends of
    their domains; `finite` masks no entry; `fixed` parameters are as given; logits of heads are
    numbers of `ops`, or of 50 digits."""
    pairs = int(rng.integers(1, 4)) if pairs is None else pairs
    rows = len(spec.roles) * pairs
    labels = rng.integers(0, vocabulary, size=(rows, positions))
    for row in range(rows):
        # Responses of different lengths, with what is ignored before, after and in between.
        length = int(rng.integers(shortest, positions + 1))
        kept = np.arange(length) if leading else rng.choice(positions, size=length, replace=False)
        ignored = np.setdiff1d(np.arange(positions), kept)
        labels[row, ignored] = IGNORED
    logits, logps, whole, heads = {}, {}, {}, {}
    scalings = _scalings(rng, scale)
    for policy, kind in kinds.items():
        if kind == "logits":
            logits[policy] = representable(rng.normal(size=(rows, positions, vocabulary)) * scale)
        elif kind == "hidden":
            heads[policy] = _head(rng, (rows, positions), vocabulary, scale, scalings)
        elif kind == "logps":
            logps[policy] = -representable(np.abs(rng.normal(size=(rows, positions))) * scale)
        else:
            whole[policy] = -representable(np.abs(rng.normal(size=rows)) * scale * positions)
    masks = vocabulary > 2 and rng.random() < 0.3 and not finite
    if masks and not heads:
        entry = int(rng.integers(vocabulary))
        masked = np.broadcast_to((labels != entry)[..., None], (*labels.shape, vocabulary)).copy()
        masked &= np.arange(vocabulary) == entry
        for values in logits.values():
            values[masked] = -np.inf
    made = {policy: scores(ops or digits(), head) for policy, head in heads.items()}
    features = {}
    for name, kind in spec.names.features.items():
        size = {"pair": (pairs,), "response": (rows,), "token": (rows, positions)}[kind]
        values = spec.names.range(name).spread(_EIGHTHS, _EIGHTHS, _SEGMENT)
        features[name] = rng.choice([float(value) for value in values], size=size)
    parameters = {
        name: draw(parameter.domain, rng, ends) if name not in fixed else fixed[name]
        for name, parameter in spec.names.parameters.items()
    }
    return Batch(
        {p: logits[p] if p in logits else made[p] for p in kinds if p in logits or p in made},
        labels,
        features,
        parameters,
        scale,
        tuple(map(str, spec.roles)),
        logps,
        whole,
        heads,
        {policy: _magnitudes(head) for policy, head in heads.items()},
        {
            name: max((abs(float(end)) for end, _ in p.domain.end_values), default=0.0)
            for name, p in spec.names.parameters.items()
        },
    )


def far_above(batch: Batch, far: float) -> Batch:
    """`batch` with one logit in each response that is far above the others: a label's, by 16 or
    less, and in the next one the last entry's, by `far`. Each policy's is at another position,
    where there are as many: what a pass over the logits carries must be moved for each alone."""
    logits = {policy: np.array(values) for policy, values in batch.logits.items()}
    for n, values in enumerate(logits.values() if not batch.heads else ()):
        for row in range(2):
            place = np.flatnonzero(batch.labels[row] != IGNORED)[: n + 1][-1]
            at = row, place, -1 if row else batch.labels[row, place]
            values[at] = representable(values[at] + (far if row else min(far, 16.0)))
    return replace(batch, logits=logits)


def draw(domain: Interval, rng: np.random.Generator, ends: bool) -> Fraction:
    """A parameter of this domain, exact in every dtype; where `ends`, near an end of it."""
    near = [n for step in _STEPS for n in domain.near(step)] if ends else []
    values = near or list(domain.spread(_LINE, _RAY, _SEGMENT))
    return values[int(rng.integers(len(values)))]


def _scalings(rng: np.random.Generator, scale: float) -> tuple[float | None, float]:
    """A soft cap, or none, and a temperature."""
    cap = float(representable(scale * 2.0)) if rng.random() < 0.5 else None
    return cap, float(rng.choice((0.5, 1.0, 1.25, 2.0)))


def _head(
    rng: np.random.Generator, shape: tuple[int, int], vocabulary: int, scale: float, scalings: Any
) -> Head:
    width = max(1, min(3, vocabulary - 1))  # fewer than entries: the head is no identity
    hidden = representable(rng.normal(size=(*shape, width)) * scale)
    weight = representable(rng.normal(size=(vocabulary, width)))
    bias = representable(rng.normal(size=vocabulary)) if rng.random() < 0.7 else None
    return Head(hidden, weight, bias, *scalings)


def scores(ops: Any, head: Head) -> Any:
    """The logits of a head, (2B, T, V), as numbers of an arithmetic."""
    exact = np.vectorize(lambda x: ops.number(Fraction(float(x))), otypes=[object])
    raw = np.dot(exact(head.hidden), exact(head.weight).T)
    if head.bias is not None:
        raw = raw + exact(head.bias)
    if head.cap is not None:
        cap = ops.number(Fraction(head.cap))
        tanh = BY_NODE[Tanh].value
        raw = np.vectorize(lambda x: cap * tanh(ops, x / cap), otypes=[object])(raw)
    return raw / ops.number(Fraction(head.temperature))


def _magnitudes(head: Head) -> Any:
    """The sizes of what a head's logits are sums of: rounding moves them in proportion."""
    sizes = np.abs(head.hidden) @ np.abs(head.weight).T
    return (sizes + (0 if head.bias is None else np.abs(head.bias))) / head.temperature
