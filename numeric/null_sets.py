"""Whether the zeros of a cut are a null set, judged at random points of small pairs.

Where a formula of policies and features is not 0 at one point of some lengths, its zeros there are
a null set. That of sum(t*w(y, t)) - sum(w(y, t)) is 0 at every answer of one token: no null set.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

from sympy import Expr

from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import Index, Parameter, roles
from midpo.symbolic.language.spec import Spec

from .arithmetic import Digits, Undefined
from .evaluate import Evaluator
from .ties import REDRAWN, counts, varies
from .witness import random_case

SMALL = 3  # tokens
NOTHING = 1e-40  # of 50 digits


def is_null_set(spec: Spec, cut: Expr) -> bool:
    """Whether the zeros of `cut` are a null set of the policies and features of every small pair,
    or of the parameters where it speaks of nothing else, as far as random points show."""
    if not varies(cut):
        return bool(cut.atoms(Parameter)) and not counts(cut)
    free = sorted((i for i in cut.free_symbols if isinstance(i, Index)), key=str)
    spoken = [str(y) for y in roles(cut)]
    for lengths in itertools.product(range(1, SMALL + 1), repeat=2):
        named = dict(zip(("y_w", "y_l"), lengths, strict=True))
        beside = {str(y): 1 + n % SMALL for n, y in enumerate(spec.names.responses)}
        shortest = min(((named | beside)[y] for y in spoken), default=1)
        for places in itertools.product(range(shortest), repeat=len(free)):
            scope = dict(zip(free, places, strict=True))
            if not _somewhere(spec, cut, named | beside, scope):
                return False
    return True


def _somewhere(spec: Spec, cut: Expr, lengths: Mapping[str, int], scope: dict[Index, int]) -> bool:
    """Whether `cut` is not 0 at some random point of these lengths, or has no value there."""
    rng, ops = random.Random(0), Digits()
    for attempt in range(REDRAWN):
        case = random_case(spec, lengths, attempt, rng)
        try:
            value = Evaluator(ops, case.point(ops)).value(cut, scope)
        except (Undefined, ZeroDivisionError, TooLarge, KeyError):
            return True
        if abs(value) > NOTHING:
            return True
    return False
