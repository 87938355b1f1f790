"""Random batches to hold a kernel against: logits, labels, features and parameters, seeded.

Lengths are unequal, labels have gaps, some vocabulary entries are masked in every policy, and the
logits' sizes put margins on both sides of every branch point of the functions involved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Expr

from midpo.symbolic.language import Sorted
from midpo.symbolic.spec import Spec

from .evaluate import Point

IGNORED = -100
VOCABULARIES = (2, 3, 5, 11)
# Sizes of logits: with alphas from 1/16 to 5/2, margins from hundredths to tens of thousands.
SCALES = (0.25, 1.0, 3.0, 12.0, 60.0, 1e4)
WIDE = (64, 257)

_LINE = tuple(Fraction(n, 8) for n in (-6, -1, 1, 4, 12))
_RAY = tuple(Fraction(n, 16) for n in (1, 2, 8, 12, 24, 40))
_SEGMENT = tuple(Fraction(n, 8) for n in (1, 2, 6, 7))
_EIGHTHS = tuple(Fraction(n, 8) for n in range(1, 24))  # of features


@dataclass(frozen=True)
class Batch:
    """One random batch: `logits[policy]` (2B, T, V) float64, `labels` (2B, T), `features` and
    `parameters` (exact in every dtype). With responses beside the pair (`roles` names all) there
    are as many times B rows."""

    logits: dict[str, Any]
    labels: Any
    features: dict[str, Any]
    parameters: dict[str, Fraction]
    scale: float
    roles: tuple[str, ...] = ("y_w", "y_l")

    @property
    def pairs(self) -> int:
        return int(self.labels.shape[0]) // len(self.roles)

    def reader(self, expr: Expr) -> Callable[..., Point]:
        """How pairs are read for `expr`: with the batch's others where it orders them."""
        return self.place if expr.has(Sorted) else self.point

    def place(self, ops: Any, pair: int, logits: dict[str, Any], noise: Any = None) -> Point:
        """As `point`, with the other pairs of the batch."""
        points = tuple(self.point(ops, each, logits, noise) for each in range(self.pairs))
        return replace(points[pair], batch=points, place=pair)

    def point(self, ops: Any, pair: int, logits: dict[str, Any], noise: Any = None) -> Point:
        """The pair as the numbers of an arithmetic. `noise(x)` is a relative change of a
        log-probability or parameter of size x; none where it is left out."""
        rows = {y: pair + n * self.pairs for n, y in enumerate(self.roles)}
        where = {y: np.flatnonzero(self.labels[row] != IGNORED) for y, row in rows.items()}
        tables = {
            (policy, y): [softmax(ops, values[row, t], noise) for t in where[y]]
            for policy, values in logits.items()
            for y, row in rows.items()
        }
        tokens = {y: [int(v) for v in self.labels[row][where[y]]] for y, row in rows.items()}
        parameters = {
            k: ops.number(v) * (1 if noise is None else 1 + noise(1))
            for k, v in self.parameters.items()
        }
        features: dict[str, Any] = {}
        for name, values in self.features.items():
            if values.shape == (self.pairs,) and self.labels.shape[0] != self.pairs:
                features[name] = ops.number(Fraction(float(values[pair])))
            elif values.ndim == 1:
                features[name] = {
                    y: ops.number(Fraction(float(values[r]))) for y, r in rows.items()
                }
            else:
                features[name] = {
                    y: [ops.number(Fraction(float(values[r, t]))) for t in where[y]]
                    for y, r in rows.items()
                }
        return Point(tokens, tables, parameters, features)


def softmax(ops: Any, logits: Any, noise: Any = None) -> list[Any]:
    """Probabilities of `logits` (a row of numbers, -inf allowed) in an arithmetic."""
    numbers = [None if is_minus_infinity(z) else _number(ops, z) for z in logits]
    top = max(z for z in numbers if z is not None)
    weights = [None if z is None else ops.exp(z - top) for z in numbers]
    total = sum(w for w in weights if w is not None)
    zero = ops.number(Fraction(0))
    if noise is None:
        return [zero if w is None else w / total for w in weights]
    shift = top + ops.log(total)
    return [
        zero if w is None else w / total * (1 + noise(max(1, abs(z - shift))))
        for w, z in zip(weights, numbers, strict=True)
    ]


def representable(values: Any) -> Any:
    """`values` rounded to 8 significant bits: the same number in every dtype, bfloat16 included."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def is_minus_infinity(value: Any) -> bool:
    return isinstance(value, float) and value == -np.inf


def _number(ops: Any, value: Any) -> Any:
    return ops.number(Fraction(float(value))) if isinstance(value, float) else value


def batches(spec: Spec, policies: tuple[str, ...], trials: int, seed: int) -> Iterator[Batch]:
    """`trials` batches, the same for the same seed; sizes and scales take turns."""
    rng = np.random.default_rng(seed)
    for trial in range(trials):
        scale = SCALES[trial % len(SCALES)]
        vocabulary = VOCABULARIES[(trial // 2) % len(VOCABULARIES)]
        yield random_batch(spec, policies, rng, scale=scale, vocabulary=vocabulary)


def random_batch(
    spec: Spec,
    policies: tuple[str, ...],
    rng: np.random.Generator,
    *,
    scale: float,
    vocabulary: int,
    positions: int = 6,
) -> Batch:
    pairs = int(rng.integers(1, 4))
    rows = len(spec.roles) * pairs
    shape = (rows, positions, vocabulary)
    labels = rng.integers(0, vocabulary, size=(rows, positions))
    for row in range(rows):
        # Responses of different lengths, with what is ignored before, after and in between.
        length = int(rng.integers(1, positions + 1))
        kept = rng.choice(positions, size=length, replace=False)
        ignored = np.setdiff1d(np.arange(positions), kept)
        labels[row, ignored] = IGNORED
    logits = {}
    for policy in policies:
        logits[policy] = representable(rng.normal(size=shape) * scale)
    if vocabulary > 2 and rng.random() < 0.3:
        entry = int(rng.integers(vocabulary))
        masked = np.broadcast_to((labels != entry)[..., None], shape).copy()
        masked &= np.arange(vocabulary) == entry
        for values in logits.values():
            values[masked] = -np.inf
    features = {}
    for name, kind in spec.names.features.items():
        size = {"pair": (pairs,), "response": (rows,), "token": (rows, positions)}[kind]
        values = spec.names.range(name).spread(_EIGHTHS, _EIGHTHS, _SEGMENT)
        features[name] = rng.choice([float(value) for value in values], size=size)
    parameters = {
        name: values[int(rng.integers(len(values)))]
        for name, parameter in spec.names.parameters.items()
        for values in [parameter.domain.spread(_LINE, _RAY, _SEGMENT)]
    }
    return Batch(logits, labels, features, parameters, scale, tuple(map(str, spec.roles)))
