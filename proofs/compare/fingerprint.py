"""Numbers that two losses share if one is the other up to a positive factor and a constant.

They say which pairs are worth a proof, and prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

from sympy import Expr

from midpo.numeric.arithmetic import Floats, Undefined
from midpo.numeric.evaluate import Evaluator, Point
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.places import Names

from .settings import Option

Fingerprint = tuple[float, ...]
LENGTHS = ((1, 2), (3, 2), (2, 4), (4, 1), (2, 2), (1, 3))
VOCABULARY = 3
ALPHA, OTHER = 0.6875, 0.375  # one value for all parameters but alpha: what they are called is free
SAME = 1e-7
_SMALL = 1e-12


def fingerprint(loss: Expr, names: Names, fixed: Iterable[Option] = ()) -> Fingerprint | None:
    """The values of `loss` at a few cases, shifted and scaled; None where it has no values there
    or only one, or where the trained policy does not move it. `fixed` holds options whose values
    are numbers, parameters or the reference."""
    table = {setting.name: setting.value for setting, _ in fixed}
    try:
        points = list(_points(names, table))
        values = [_value(loss, point) for point in points]
        if not any(_moves(loss, point, value) for point, value in zip(points, values, strict=True)):
            return None
    except (Undefined, OverflowError, TooLarge):
        return None
    steps = [value - values[0] for value in values[1:]]
    scale = max(map(abs, steps))
    if scale <= _SMALL * (1 + abs(values[0])):
        return None
    return tuple(step / scale for step in steps)


def _value(loss: Expr, point: Point, stopped: Point | None = None) -> float:
    return float(Evaluator(Floats(), point, stopped, limit=20_000)(loss))


def _moves(loss: Expr, point: Point, value: float) -> bool:
    """Whether the loss, of this value there, changes with the trained policy where what is stopped
    is held."""
    turned = {
        (policy, y): [[*law[1:], law[0]] for law in laws] if policy == "pi" else laws
        for (policy, y), laws in point.tables.items()
    }
    other = _value(loss, replace(point, tables=turned), point)
    return abs(other - value) > _SMALL * (1 + abs(value))


def alike(one: Fingerprint, other: Fingerprint) -> bool:
    return all(abs(a - b) <= SAME for a, b in zip(one, other, strict=True))


def _points(names: Names, fixed: Mapping[str, str]) -> Iterable[Point]:
    """The cases, with these names fixed."""
    parameters = {n: ALPHA if n == "alpha" else OTHER for n in names.parameters}
    for name in parameters.keys() & fixed:
        parameters[name] = _number(fixed[name])
    beside = tuple(map(str, names.responses))
    # Frozen policies and further responses have laws by their place: what they are called is free.
    called = {
        name: str(place)
        for free in (sorted(names.policies - {"pi", "pi_ref"}), beside)
        for place, name in enumerate(free)
    }
    for case, tokens in enumerate(_tokens(beside)):
        tables = {
            (policy, y): _laws(
                case,
                called.get(y, y),
                len(tokens[y]),
                "pi_ref" if policy in fixed else called.get(policy, policy),
            )
            for policy in names.policies
            for y in tokens
        }
        features = {
            name: _feature(kind, case, tokens, fixed.get(name)) for name, kind in names.features.items()
        }
        yield Point(tokens, tables, parameters, features)


def _number(value: str) -> float:
    """The number that a name is fixed at; another name has the value that its kind has."""
    if value in ("alpha", "1/alpha"):
        return ALPHA if value == "alpha" else 1 / ALPHA
    return OTHER if value.isidentifier() else float(Fraction(value))


def _feature(kind: str, case: int, tokens: Mapping[str, Any], fixed: str | None) -> Any:
    """Data of a feature: of one kind the same, whatever the feature is called."""
    rng = random.Random(f"{kind} {case}")
    number = None if fixed is None else _number(fixed)

    def value() -> float:
        drawn = rng.choice((0.25, 0.5, 0.625, 1.25, 1.5))
        return drawn if number is None else number

    if kind == "pair":
        return value()
    if kind == "response":
        return {y: value() for y in tokens}
    return {y: [value() for _ in t] for y, t in tokens.items()}


@cache
def _tokens(beside: tuple[str, ...]) -> tuple[dict[str, list[int]], ...]:
    """The tokens of each case's pair, and of the responses beside it."""
    rng = random.Random(0)
    pairs = [
        {
            y: [rng.randrange(VOCABULARY) for _ in range(n)]
            for y, n in zip(("y_w", "y_l"), lengths, strict=True)
        }
        for lengths in LENGTHS
    ]
    others = [
        {y: [(at + n) % VOCABULARY, at % VOCABULARY] for n, y in enumerate(beside)}
        for at in range(len(LENGTHS))
    ]
    return tuple(pair | other for pair, other in zip(pairs, others, strict=True))


@cache
def _laws(case: int, response: str, length: int, policy: str) -> list[list[float]]:
    rng = random.Random(f"{case} {response} {policy}")
    laws = []
    for _ in range(length):
        weights = [rng.uniform(0.2, 1) for _ in range(VOCABULARY)]
        laws.append([w / sum(weights) for w in weights])
    return laws
