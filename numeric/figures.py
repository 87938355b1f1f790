"""Figures as they are printed: the same on every processor.

The last digits of float64 depend on the processor: its kernels sum in another order, and fuse
products. So a number is printed to digits that do not change when it moves a little; an error,
which is nothing but such digits, is printed as the bound that it was held against.
"""

from __future__ import annotations

import math

NOISE = 1e-8  # a number below this may be rounding alone, of a difference of two like numbers
ZERO = 1e-13  # and below this it is
SPARE = 4  # digits beyond those that are printed, which may not turn them
MORE = 5  # digits beside the usual, where a number stands between two roundings


def figure(value: float, digits: int = 3) -> str:
    """`value` to so many significant digits, or to the few more that tell on which side of a tie of
    roundings it is: 0.125 to two digits is 0.125, as 0.12 and 0.13 are both as near."""
    if abs(value) < ZERO:
        return "0"
    slack = 10.0 ** -(digits + SPARE)
    for count in range(digits, digits + MORE + 1):
        shown = {f"{value * (1 + by):.{count}g}" for by in (-slack, 0.0, slack)}
        if len(shown) == 1:
            return f"{value:.{count}g}"
    return f"{value:.{digits}g}"


def decimals(value: float, count: int) -> str:
    """`value` to so many decimals, or to the few more that a tie of roundings needs; no -0."""
    slack = 10.0 ** -(count + SPARE)
    for places in range(count, count + MORE + 1):
        shown = {f"{round(value + by, places) + 0.0:.{places}f}" for by in (-slack, 0.0, slack)}
        if len(shown) == 1:
            return shown.pop()
    return f"{round(value, count) + 0.0:.{count}f}"


def below(error: float, *limits: float) -> str:
    """The first of the limits that `error` keeps below, as a bound; the error itself where it keeps
    below none. A limit is what a test held the error against, or the rounding of such a figure."""
    for limit in sorted(limits):
        if error < limit:
            return f"below {limit:.0e}".replace("e-0", "e-").replace("e-0", "e-")
    return figure(error, 2)


def settled(value: float) -> float:
    """`value` to six digits, and 0 where it may be rounding alone: a number for data."""
    if not math.isfinite(value):
        return value
    return 0.0 if abs(value) < NOISE else float(figure(value, 6))
