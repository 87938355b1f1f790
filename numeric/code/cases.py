"""Random inputs of code, of any size: laws, tokens, features, parameters, and a direction.

All numbers are rational. Some cases have policies that agree, some are as far apart as laws of one
kind allow on long responses, where clamps and cuts of code begin to act.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from midpo.numeric.arithmetic import Floats
from midpo.numeric.evaluate import Point
from midpo.numeric.witness import parameter_values

from .heads import HIDDEN, names
from .layout import Layout
from .places import DIRECTION, SHIFT, UPSTREAM

VOCABULARY = 4
LENGTHS = ((1, 2), (2, 1), (3, 1), (2, 3), (1, 1), (4, 2), (3, 3), (5, 2))
EXTRA = (0, 1, 2, 0, 0, 1, 0, 2)  # positions beyond the longest response
AGREED = 4  # the case where training begins: all policies agree, and functions have their kinks
FAR = 14  # tokens of a response on which policies are far apart
_WEIGHTS = range(3, 90)  # of vocabulary entries, before they are a law: ties are rare
_FEATURES = (Fraction(1, 2), Fraction(2), Fraction(1, 4), Fraction(3, 4), Fraction(3, 2))
_SIGNED = (*_FEATURES, *(-x for x in _FEATURES))


@dataclass
class CodeCase:
    """One case of a layout. `counts` are positions by response and padding, `total` those of a row;
    laws are by policy and response, for each position."""

    layout: Layout
    counts: Mapping[str, int]
    total: int
    vocabulary: int
    tokens: Mapping[str, list[int]]
    laws: Mapping[tuple[str, str], list[tuple[Fraction, ...]]]
    parameters: Mapping[str, Fraction]
    features: dict[str, Any]
    seed: int = 0
    points: dict[str, Point] = field(default_factory=dict, repr=False)
    arrays: dict[tuple[str, str, str], Any] = field(default_factory=dict, repr=False)

    def point(self, ops: Any) -> Point:
        """The case in the numbers of an arithmetic."""
        name = ops.name
        if name not in self.points:
            number = _numbers(ops)
            laws = {key: [[ops.number(p) for p in law] for law in rows] for key, rows in self.laws.items()}
            features = {k: v if k == "label" else number(v) for k, v in self.features.items()}
            parameters = {k: ops.number(v) for k, v in self.parameters.items()}
            parameters["V"] = ops.number(Fraction(self.vocabulary))
            parameters |= {f"{UPSTREAM}{n or ''}": ops.number(v) for n, v in enumerate(self.upstream)}
            self.points[name] = Point(self.tokens, laws, parameters, features)
        return self.points[name]

    @property
    def upstream(self) -> tuple[Fraction, ...]:
        """What each entry of the loss is multiplied by before it is differentiated."""
        return tuple(Fraction(2 + (n + self.seed) % 3, 2) for n in range(self.layout.pairs))

    def floats(self) -> Point:
        return self.point(Floats())

    def law(self, policy: str, y: str) -> Any:
        """The laws of a response's positions, (positions, vocabulary)."""
        return self.array("law", policy, y, lambda: self.laws[policy, y]).reshape(-1, self.vocabulary)

    def ids(self, y: str) -> Any:
        return self.array("ids", y, "", lambda: self.tokens[y]).astype(int)

    def labelled(self, policy: str, y: str) -> Any:
        """The probabilities of a response's tokens."""
        return np.take_along_axis(self.law(policy, y), self.ids(y)[:, None], 1)[:, 0]

    def logits(self, policy: str, y: str) -> Any:
        shift = self.array("shift", policy, y, lambda: self.features[f"{SHIFT}{policy}"][y])
        return np.log(self.law(policy, y)) + shift[:, None]

    def directions(self, y: str) -> Any:
        return self.array("d", y, "", lambda: self.features["d"][y]).reshape(-1, self.vocabulary)

    def array(self, kind: str, name: str, y: str, of: Callable[[], Any]) -> Any:
        key = kind, name, y
        if key not in self.arrays:
            self.arrays[key] = np.array(
                [[float(p) for p in row] if isinstance(row, (tuple, list)) else float(row) for row in of()],
                dtype=float,
            )
        return self.arrays[key]

    def __str__(self) -> str:
        told = [f"|{y}| = {self.counts[str(y)]}" for y in self.layout.responses]
        told += [f"padded to {self.total}"] if any(self.counts[str(p)] for p in self.layout.paddings) else []
        told += [f"{k} = {v}" for k, v in self.parameters.items()]
        return ", ".join(told)


def _numbers(ops: Any) -> Any:
    def walk(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: walk(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(v) for v in value]
        return ops.number(Fraction(value))

    return walk


def cases(layout: Layout, fixed: Mapping[str, Fraction], number: int) -> Iterator[CodeCase]:
    """So many cases, the same ones every time, small ones first."""
    for seed in range(number):
        yield case(layout, fixed, seed)


def case(layout: Layout, fixed: Mapping[str, Fraction], seed: int) -> CodeCase:
    rng = random.Random(seed)
    # Late cases: policies far apart, one way and the other; then long responses again.
    far = 0 if seed < 8 else (1, 2, 0, 3)[seed % 4]
    counts, total = _sizes(layout, seed, rng, far)
    size = layout.vocabulary or VOCABULARY
    tokens = (
        layout.tokens
        if layout.vocabulary
        else {y: [rng.randrange(size) for _ in range(n)] for y, n in counts.items()}
    )
    policies = sorted(layout.spec.names.policies)
    laws = {(p, y): [_law(size, rng) for _ in range(n)] for p in policies for y, n in counts.items()}
    if far and size == VOCABULARY:
        _apart(layout, laws, tokens, far)
    if seed == AGREED:
        laws = {(p, y): laws["pi", y] for p, y in laws}
    for pair in layout.sides:  # one prompt: one law for the first token
        for p in policies:
            for y in pair[1:]:
                if counts[str(y)] and not far:
                    laws[p, str(y)][0] = laws[p, str(pair[0])][0]
    return CodeCase(
        layout,
        counts,
        total,
        size,
        tokens,
        laws,
        _parameters(layout, fixed, seed, rng),
        _features(layout, counts, size, tokens, seed, rng),
        seed,
    )


def _law(size: int, rng: random.Random) -> tuple[Fraction, ...]:
    weights = [rng.choice(_WEIGHTS) for _ in range(size)]
    return tuple(Fraction(w, sum(weights)) for w in weights)


def _sizes(layout: Layout, seed: int, rng: random.Random, far: int) -> tuple[dict[str, int], int]:
    if layout.bounded:
        return {str(y): n for y, n in layout.counts.items()}, layout.total
    pair = LENGTHS[seed % len(LENGTHS)]
    found = {}
    for k, responses in enumerate(layout.sides):
        for role, y in enumerate(responses):
            base = pair[role] if role < 2 else 1 + (seed + role) % 3
            found[y] = base if k == 0 else 1 + (base + k + role) % 4
            if far:
                found[y] = FAR + (role + k) % 3 if far < 3 else 30 + role
    total = max(found.values()) + EXTRA[seed % len(EXTRA)]
    paddings = dict(zip(layout.responses, layout.paddings, strict=True))
    counts = {str(y): n for y, n in found.items()}
    return counts | {str(paddings[y]): total - n for y, n in found.items()}, total


def _apart(layout: Layout, laws: Any, tokens: Mapping[str, list[int]], far: int) -> None:
    """The policy favours the chosen response and the others do not, or the other way round."""
    for pair in layout.sides:
        for role, y in enumerate(pair):
            for p in {p for p, _ in laws}:
                up = ((p == "pi") == (role == 0)) == (far != 2)
                laws[p, str(y)] = [_leaning(v, up) for v in tokens[str(y)]]


def _leaning(v: int, up: bool) -> tuple[Fraction, ...]:
    weights = [Fraction(1, 8), Fraction(1, 8), Fraction(1, 4), Fraction(1, 2)]
    order = [(v + 1) % 4, (v + 2) % 4, (v + 3) % 4, v] if up else [v, (v + 1) % 4, (v + 2) % 4, (v + 3) % 4]
    found = [Fraction(0)] * 4
    for entry, weight in zip(order, weights, strict=True):
        found[entry] = weight
    return tuple(found)


def _parameters(
    layout: Layout, fixed: Mapping[str, Fraction], seed: int, rng: random.Random
) -> dict[str, Fraction]:
    found = {}
    for name, parameter in layout.spec.names.parameters.items():
        values = parameter_values(parameter.domain)
        found[name] = fixed[name] if name in fixed else (values[0] if seed == 0 else rng.choice(values))
    return found


def _features(
    layout: Layout,
    counts: Mapping[str, int],
    size: int,
    tokens: Mapping[str, list[int]],
    seed: int,
    rng: random.Random,
) -> dict[str, Any]:
    found: dict[str, Any] = {"label": dict(tokens)}
    for name, kind in layout.spec.names.features.items():
        known = layout.spec.names.range(name).spread(
            _SIGNED if seed % 3 == 2 else _FEATURES,
            _FEATURES,
            (Fraction(1, 2), Fraction(1, 4), Fraction(3, 4)),
        )
        if kind == "pair":
            datum = layout.spec.names.datum(name)
            for k in range(layout.pairs):
                found[layout.of_pair(datum, k).name] = rng.choice(known)
        elif kind == "response":
            found[name] = {str(y): rng.choice(known) for y in layout.responses}
        else:
            found[name] = {y: [rng.choice(known) for _ in range(n)] for y, n in counts.items()}
    for p in layout.spec.names.policies:
        found[f"{SHIFT}{p}"] = {
            y: [Fraction(rng.randint(-4, 4), 2) for _ in range(n)] for y, n in counts.items()
        }
    found["d"] = {
        y: [[Fraction(rng.randint(-3, 3)) for _ in range(size)] for _ in range(n)] for y, n in counts.items()
    }
    return found | _heads(layout, counts, rng)


def _heads(layout: Layout, counts: Mapping[str, int], rng: random.Random) -> dict[str, Any]:
    """Hidden states and heads, and how those of the trained policy move."""
    found: dict[str, Any] = {}

    def draw(most: int, below: int) -> Fraction:
        return Fraction(rng.randint(-most, most), below)

    for policy, _ in layout.heads:
        for name in sorted(names(policy)):
            for own, most, below in ((name, 9, 4), (f"{DIRECTION}_{name}", 3, 1)):
                found[own] = (
                    {y: [draw(most, below) for _ in range(n)] for y, n in counts.items()}
                    if name.startswith(HIDDEN)
                    else {str(v): draw(most, below) for v in range(layout.vocabulary)}
                )
    return found
