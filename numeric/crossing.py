"""Responses at which a margin's cross difference does not vanish.

m(w, l) - m(w, l') - m(w', l) + m(w', l') is 0 for every f(w) - g(l); where it is not, no prior of
any kind gives the margin.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.symbolic.errors import TooLarge
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known
from midpo.symbolic.language.spec import Spec

from .arithmetic import Intervals, Undefined
from .case import Case, map_numbers
from .evaluate import Evaluator
from .lengths import telling_lengths
from .witness import MAX_VALUES, SEGMENT, cases, certain, random_case

# Cycles of pairs (chosen, rejected), with the sign of each: f(w) - g(l) sums to 0 around them.
Cycle = Mapping[tuple[str, str], int]
SQUARE: Cycle = {("w", "l"): 1, ("w", "l'"): -1, ("w'", "l"): -1, ("w'", "l'"): 1}
# Three responses make no square whose corners are different responses; this is their test.
HEXAGON: Cycle = {
    ("a", "b"): 1, ("c", "b"): -1, ("c", "a"): 1, ("b", "a"): -1, ("b", "c"): 1, ("a", "c"): -1,
}  # fmt: skip
LENGTHS = ((2, 3, 1, 4), (1, 2, 3, 2), (3, 1, 2, 4), (2, 5, 4, 3))
LAST_LENGTHS = ((2, 2, 1, 3), (3, 3, 2, 4))  # where the spec's cuts compare lengths
ATTEMPTS = 6
PAIR_DATA = tuple(map(Fraction, (1, 2, 3, 5)))


@dataclass(frozen=True)
class Crossing:
    """A cycle of pairs and the signed sum around it, `difference`, an interval that excludes 0.

    `pair_features` gives a pair feature's value for each (chosen, rejected) of the cycle.
    """

    case: Case
    pair_features: Mapping[tuple[str, str], Mapping[str, Any]]
    values: Mapping[tuple[str, str], float]
    difference: float
    standing: Told

    def as_json(self) -> dict[str, Any]:
        show = map_numbers(str)
        return self.case.as_json() | {
            "pair_features": {f"{w}, {r}": show(dict(given)) for (w, r), given in self.pair_features.items()},
            "values": {f"{w}, {r}": value for (w, r), value in self.values.items()},
            "cross_difference": self.difference,
            "standing": self.standing,
        }


def find_crossing(
    spec: Spec,
    expr: Expr,
    through: Callable[[Any, Any], Any] | None = None,
    *,
    cycle: Cycle = SQUARE,
    seed: int = 0,
) -> Crossing | None:
    """The first cycle of this kind around which `expr` certainly does not sum to zero.

    `through(ops, value)` maps the value of each pair first (a loss to its margin, say); it raises
    Undefined where it has none.
    """
    ops = Intervals()
    rng = random.Random(seed)
    responses = tuple(dict.fromkeys(name for pair in cycle for name in pair))
    telling = telling_lengths(spec.expressions)
    last = (*LAST_LENGTHS, *((n, m, n + 1, m + 2) for n, m in telling)) if telling else ()
    for lengths, attempt in itertools.product((*LENGTHS, *last), range(ATTEMPTS)):
        # A pair feature, and a response beside the pair, are each pair's own.
        beside = {
            _beside(r, *p): 1 + (n + attempt) % 3
            for n, p in enumerate(cycle)
            for r in map(str, spec.names.responses)
        }
        named = dict(zip(responses, lengths, strict=False))
        case = random_case(spec, named | beside, attempt, rng)
        pair_features = {
            pair: {
                n: rng.choice(spec.names.range(n).spread(PAIR_DATA, PAIR_DATA, SEGMENT))
                for n, k in spec.names.features.items()
                if k == "pair"
            }
            for pair in cycle
        }
        try:
            values = {}
            for pair in cycle:
                value = certain(pair_case(spec, case, *pair, pair_features[pair]))(expr)
                values[pair] = value if through is None else through(ops, value)
        except (Undefined, TooLarge):
            continue
        crossed = ops.context.convert(sum(sign * values[pair] for pair, sign in cycle.items()))
        if crossed.a > 0 or crossed.b < 0:
            return Crossing(
                case,
                pair_features,
                {pair: float(ops.context.convert(v).mid) for pair, v in values.items()},
                float(crossed.mid),
                known(Standing.ENCLOSED),
            )
    return None


def pair_case(spec: Spec, case: Case, chosen: str, rejected: str, pair_features: Mapping[str, Any]) -> Case:
    """One pair of a case with more responses, called y_w and y_l, and what is beside it."""
    roles = {"y_w": chosen, "y_l": rejected}
    roles |= {r: _beside(r, chosen, rejected) for r in map(str, spec.names.responses)}
    features: dict[str, Any] = {
        name: {role: value[response] for role, response in roles.items()}
        for name, value in case.features.items()
        if isinstance(value, Mapping)
    }
    tokens = {role: case.tokens[response] for role, response in roles.items()}
    return replace(case, tokens=tokens, features=features | dict(pair_features))


def _beside(response: str, chosen: str, rejected: str) -> str:
    return f"{response} beside {chosen}, {rejected}"


def margin_of_loss(ops: Any, loss: Any) -> Any:
    """-log(exp(L) - 1): the margin whose log-sigmoid loss is L (theorem 1)."""
    if not ops.context.convert(loss).a > 0:
        raise Undefined("a loss that is not positive")
    return -ops.log(ops.exp(loss) - 1)


def find_nonpositive(spec: Spec, loss: Expr, *, seed: int = 0) -> float | None:
    """The value of `loss` at the first random case where it is certainly not positive."""
    ops = Intervals()
    for case in cases(spec, seed):
        try:
            value = Evaluator(ops, case.point(ops), limit=MAX_VALUES)(loss)
        except (Undefined, TooLarge):
            continue
        if ops.context.convert(value).b <= 0:
            return float(ops.context.convert(value).mid)
    return None
