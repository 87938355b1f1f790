"""A smallest concrete case in which two expressions differ.

Policies are trees: the law of a token depends on the prompt and the tokens before it, so responses
that share a prefix share its laws. Laws are dyadic (every probability a power of two), so that most
differences are exact numbers in Q(log 2); what is not is decided by interval arithmetic.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.symbolic.loss import loss_of_margin
from midpo.symbolic.spec import Spec, in_domain

from .arithmetic import Dyadic, Floats, Intervals, NotExact, Undefined
from .evaluate import Evaluator, Point

EOS = 0
VOCABULARY = 4
LENGTHS = ((1, 2), (2, 1), (2, 3), (3, 2), (1, 3), (3, 4), (4, 2), (2, 2))
ATTEMPTS_A_LENGTH = 6

_LAWS = tuple(
    tuple(Fraction(1, d) for d in law)
    for law in sorted({*itertools.permutations((2, 4, 8, 8)), *itertools.permutations((8, 2, 8, 4))})
) + ((Fraction(1, 4),) * VOCABULARY,)
_VALUES = {
    "positive": (Fraction(1, 2), Fraction(2), Fraction(3), Fraction(1, 4)),
    "unit": (Fraction(1, 2), Fraction(1, 4), Fraction(3, 4)),
    "nonnegative": (Fraction(1, 2), Fraction(2), Fraction(3)),
    "real": (Fraction(1, 2), Fraction(2), Fraction(-1), Fraction(3)),
}
_FEATURES = (Fraction(1, 2), Fraction(2), Fraction(1, 4), Fraction(3, 4), Fraction(3, 2))


@dataclass(frozen=True)
class Case:
    """A pair of responses, policies and parameters, all rational.

    `laws[policy]` maps each prefix (a tuple of token ids) to the law of the next token.
    """

    tokens: Mapping[str, tuple[int, ...]]
    laws: Mapping[str, Mapping[tuple[int, ...], tuple[Fraction, ...]]]
    parameters: Mapping[str, Fraction]
    features: Mapping[str, Any]

    def point(self, ops: Any) -> Point:
        tables = {
            (policy, response): [
                [ops.number(p) for p in law[tuple(tokens[:t])]] for t in range(len(tokens))
            ]
            for policy, law in self.laws.items()
            for response, tokens in self.tokens.items()
        }
        convert = _map_numbers(ops.number)
        return Point(
            self.tokens,
            tables,
            {k: ops.number(v) for k, v in self.parameters.items()},
            {k: convert(v) for k, v in self.features.items()},
        )


@dataclass(frozen=True)
class Witness:
    """A case at which the target and the recovered expression differ, with both values.

    `difference` is target minus recovered: exact (a text in log(2)) or an enclosing interval;
    `standing` says which. Margins and losses are in nats, to 12 digits.
    """

    case: Case
    difference: str
    standing: str
    target_margin: float | None
    recovered_margin: float | None
    target_loss: float
    recovered_loss: float

    def as_json(self) -> dict[str, Any]:
        show = _map_numbers(str)
        return {
            "lengths": {k: len(v) for k, v in self.case.tokens.items()},
            "tokens": {k: list(v) for k, v in self.case.tokens.items()},
            "vocabulary": VOCABULARY,
            "distributions": {
                policy: {
                    " ".join(map(str, prefix)): [str(p) for p in law]
                    for prefix, law in laws.items()
                }
                for policy, laws in self.case.laws.items()
            },
            "parameters": {k: str(v) for k, v in self.case.parameters.items()},
            "features": {k: show(v) for k, v in self.case.features.items()},
            "difference": self.difference,
            "standing": self.standing,
            "margins": {"target": self.target_margin, "recovered": self.recovered_margin},
            "losses": {"target": self.target_loss, "recovered": self.recovered_loss},
        }


def find_witness(
    spec: Spec, target: Expr, recovered: Expr, difference: Expr, *, margins: bool, seed: int = 0
) -> Witness | None:
    """The first case, by increasing length, at which `target` and `recovered` differ for certain.

    Both are margins (`margins`) or losses, as they are written; `difference` is their difference in
    normal form, which often has an exact value. The expressions as written decide.
    """
    for case in cases(spec, seed):
        try:
            found = _compare(case, target, recovered, difference)
            if found is None:
                continue
            values = Evaluator(Floats(), case.point(Floats()))
            sides = [float(values(side)) for side in (target, recovered)]
            losses = sides
            if margins:
                losses = [float(values(loss_of_margin(spec, side))) for side in (target, recovered)]
        except Undefined:
            continue
        shown = sides if margins else [None, None]
        return Witness(case, *found, *shown, *losses)
    return None


def _compare(case: Case, target: Expr, recovered: Expr, difference: Expr) -> tuple[str, str] | None:
    """The difference at `case` if it is certainly not zero, with how that is known."""
    intervals = Intervals()
    evaluator = Evaluator(intervals, case.point(intervals))
    value = intervals.context.convert(evaluator(target) - evaluator(recovered))
    if value.a <= 0 <= value.b:
        return None
    known = f"0 excluded by {intervals.name}"
    try:
        exact = Dyadic()
        shown = Evaluator(exact, case.point(exact))(difference)
        size = abs(float(value.a)) + abs(float(value.b))
        if abs(exact.float(shown) - float(value.a)) <= 1e-9 * size:
            return str(shown), f"{exact.name}; {known}"
    except (NotExact, Undefined):
        pass
    return f"{(float(value.a) + float(value.b)) / 2:.12g}", known


def cases(spec: Spec, seed: int = 0) -> Iterator[Case]:
    """Random cases, shortest responses first, the same for the same seed."""
    generator = random.Random(seed)
    for lengths in LENGTHS:
        for attempt in range(ATTEMPTS_A_LENGTH):
            yield _case(spec, lengths, attempt, generator)


def _case(spec: Spec, lengths: tuple[int, int], attempt: int, rng: random.Random) -> Case:
    tokens: dict[str, tuple[int, ...]] = {}
    for offset, (response, length) in enumerate(zip(("y_w", "y_l"), lengths, strict=True)):
        # Ends in EOS, with none before: no response is a prefix of another.
        inner = [1 + (offset + attempt) % 3] + [rng.randint(1, 3) for _ in range(length)]
        tokens[response] = (*inner[: length - 1], EOS)
    prefixes = sorted({t[:i] for t in tokens.values() for i in range(len(t))}, key=lambda p: (len(p), p))
    laws = {
        policy: {prefix: rng.choice(_LAWS) for prefix in prefixes} for policy in spec.policies
    }
    parameters = {}
    for name, parameter in spec.names.parameters.items():
        values = [v for v in _VALUES[parameter.domain] if in_domain(v, parameter.domain)]
        parameters[name] = values[0] if attempt == 0 else rng.choice(values)
    features: dict[str, Any] = {}
    for name, kind in spec.names.features.items():
        if kind == "pair":
            features[name] = rng.choice(_FEATURES)
        elif kind == "response":
            features[name] = {y: rng.choice(_FEATURES) for y in tokens}
        else:
            features[name] = {y: [rng.choice(_FEATURES) for _ in t] for y, t in tokens.items()}
    return Case(tokens, laws, parameters, features)


def _map_numbers(convert: Any) -> Any:
    """A function that applies `convert` to each number in nested lists and mappings."""

    def walk(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: walk(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(v) for v in value]
        return convert(value)

    return walk
