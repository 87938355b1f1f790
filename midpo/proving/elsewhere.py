"""Code that was proved at a few small sizes, held against the spec at others by numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.checking.binding import Binding
from midpo.numeric.code import cases as trying
from midpo.numeric.code.layout import Layout
from midpo.numeric.code.witness import close, fast, finite_difference
from midpo.proofs.code.claim import CodeClaim, Reduction, claim
from midpo.symbolic.errors import TooLarge

from .deciding import called

# Longer, and of other parities, than where proofs are asked for: lengths of rows, padded length.
OTHER = (((3, 1), 4), ((2, 5), 7), ((2, 4, 3, 1), 5))
CASES = 3  # of each
WIDER = 11  # entries of a vocabulary, where a proof has two: labels may be computed with
APART = 1e-4  # of code and spec: far more than rounding


def elsewhere(
    binding: Binding, layouts: Iterable[Layout], reduction: Reduction, slope: bool, step: float
) -> Layout | None:
    """The first of these layouts at which the code's own loss, or its gradient, is not the spec's at
    a random case, by more than numbers `step` apart at 1 explain. It is no refutation: that is left
    to a proof at this layout."""
    for layout, seed in itertools.product(layouts, range(CASES)):
        case = trying.case(layout, binding.fixed, seed)
        try:
            own = called(binding, layout, case, slope)
        except Exception:  # code may know few sizes
            continue
        own = replace(own, step=max(own.step, step))
        way = reduction if len(own.losses) == 1 else "each"
        stated = claim(layout, (), way, binding.fixed)
        if len(stated.targets) == len(own.losses) and _apart(stated, own, case, binding, slope):
            return layout
    return None


def _apart(stated: CodeClaim, own: Any, case: Any, binding: Binding, slope: bool) -> bool:
    try:
        wanted = [fast(target, case) for target in stated.targets]
    except (Undefined, TooLarge):
        return False
    if not all(close(a, b, own.bound(APART)) for a, b in zip(own.losses, wanted, strict=True)):
        return True
    rise = finite_difference(stated.targets, case, binding.kinds.get("pi", "")) if slope else None
    return rise is not None and own.slope is not None and not close(own.slope, rise, own.bound(10 * APART))
