"""Averages of exponentials, whose logarithms are near 0 where all that is averaged is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Add, Expr, Mul, S

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import Exp, Log
from midpo.symbolic.loss import is_constant

from .exponentials import signed


@dataclass(frozen=True)
class Average:
    """The (w, x) of the sum of w*exp(x) over them, and `rest` the weight of what is 1: the weights
    and `rest` add up to 1."""

    terms: tuple[tuple[Expr, Expr], ...]
    rest: Expr


def average_of(exponents: Sequence[Expr]) -> Average | None:
    """The sum of exp(e) over the exponents as an average; None where its weights do not add up to 1."""
    terms: list[tuple[Expr, Expr]] = []
    rest: Expr = S.Zero
    for exponent in exponents:
        parts = Add.make_args(exponent)
        weight = Mul(*(_exponential(part) for part in parts if is_constant(part)))
        x = Add(*(part for part in parts if not is_constant(part)))
        if x == 0:
            rest += weight
        else:
            terms.append((weight, x))
    total = expand(Add(rest, *(weight for weight, _ in terms)))
    return Average(tuple(terms), rest) if terms and len(exponents) > 1 and total == 1 else None


def is_first_order(inside: Expr) -> bool:
    """Whether `inside` is an average whose logarithm goes to 0 as what is averaged does, no faster."""
    parts = signed(inside)
    average = None if parts is None or parts.minus else average_of(parts.plus)
    return average is not None and expand(Add(*(w * x for w, x in average.terms))) != 0


def _exponential(part: Expr) -> Expr:
    """exp(part), a power where that is a multiple of a logarithm."""
    logs = [f for f in Mul.make_args(part) if isinstance(f, Log)]
    return logs[0].args[0] ** (part / logs[0]) if len(logs) == 1 else Exp(part)
