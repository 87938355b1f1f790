"""How expressions move as the trained policy does, with stopped gradients held: in 80 digits.

The slope along a direction is a central difference with a step of 1e-18, so that its own error is
of order 1e-36.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from sympy import Expr

from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import POLICY
from midpo.symbolic.language.spec import Spec

from .arithmetic import Digits, Undefined
from .case import Case
from .evaluate import Evaluator, Point
from .witness import MAX_VALUES, cases

DIGITS = 80
STEP = Fraction(1, 10**18)
CASES = 8


def slopes(spec: Spec, exprs: Sequence[Expr], seed: int = 0) -> Iterator[tuple[float, ...]]:
    """The slope of each expression along a random direction of the policy, at some random pairs."""
    ops, rng = Digits(DIGITS), random.Random(seed)
    taken = 0
    for case in itertools.islice(cases(spec, seed), 4 * CASES):
        direction = {prefix: rng.sample(range(len(law)), 2) for prefix, law in case.laws[str(POLICY)].items()}
        base = case.point(ops)
        up, down = (_moved(case, direction, sign * STEP).point(ops) for sign in (1, -1))

        def slope(expr: Expr, up: Point = up, down: Point = down, base: Point = base) -> float:
            sides = (Evaluator(ops, p, base, limit=MAX_VALUES)(expr) for p in (up, down))
            return float((next(sides) - next(sides)) / (2 * ops.number(STEP)))

        try:
            yield tuple(map(slope, exprs))
        except (Undefined, TooLarge):
            continue
        taken += 1
        if taken == CASES:
            return


def _moved(case: Case, direction: dict[tuple[int, ...], list[int]], by: Fraction) -> Case:
    """The case with probability `by` moved from one token to another, after every prefix."""
    laws = {}
    for prefix, law in case.laws[str(POLICY)].items():
        up, down = direction[prefix]
        laws[prefix] = tuple(p + by * ((v == up) - (v == down)) for v, p in enumerate(law))
    return replace(case, laws={**case.laws, str(POLICY): laws})
