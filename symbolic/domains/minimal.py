"""Conditions without what the others say already: beta > 0 makes beta != 0 needless."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Add, Expr, Mul, Pow, Rational

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.algebra.signs import plainer
from midpo.symbolic.language.nodes import Exp, Log
from midpo.symbolic.language.places import Condition
from midpo.symbolic.language.signs import enclosure, is_negative, is_positive

MAX_COMPARED = 40  # conditions that are held against each other


def minimal(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """The conditions, each said of what decides it, less those that follow from the others."""
    kept = list(dict.fromkeys(_plain(part) for c in conditions for part in _parts(c)))
    for found in [c for c in kept if c.kind == "nonnegative"]:
        apart = Condition(found.expr, "nonzero")
        if apart in kept:
            kept[kept.index(found)] = Condition(found.expr, "positive")
            kept.remove(apart)
    kept = list(dict.fromkeys(kept))
    if len(kept) > MAX_COMPARED:
        return tuple(kept)
    for found in list(kept):
        if any(_implies(other, found) for other in kept if other != found):
            kept.remove(found)
    return tuple(kept)


def _parts(condition: Condition) -> Iterable[Condition]:
    """A product is not 0 where no factor is."""
    if condition.kind != "nonzero":
        return (condition,)
    parts = [f for f in Mul.make_args(condition.expr) if not (is_positive(f) or is_negative(f))]
    return [Condition(part, "nonzero") for part in parts] or (condition,)


def _plain(condition: Condition) -> Condition:
    """The same of the base of a power, and less positive factors."""
    expr, kind = condition.expr, condition.kind
    while True:
        open_ = [
            f for f in Mul.make_args(expr) if not (is_positive(f) or (kind == "nonzero" and is_negative(f)))
        ]
        if open_ and len(open_) < len(Mul.make_args(expr)):
            expr = Mul(*open_)
            continue
        if isinstance(expr, Log):  # log(x) has the sign of x - 1
            expr = expand(expr.args[0] - 1)
            continue
        simpler = plainer(expr) if isinstance(expr, Add) and expr.has(Exp) else None
        if simpler is not None and not simpler.has(Log):  # exp(x) - 1 has the sign of x
            expr = simpler
            continue
        base, exponent = expr.as_base_exp() if isinstance(expr, Pow) else (expr, None)
        if not isinstance(exponent, Rational) or exponent < 0:
            return Condition(expr, kind)
        if kind == "nonzero" or (kind == "positive" and exponent.q == 1 and exponent.p % 2):
            expr = base
        elif kind == "positive" and exponent.q == 1:
            expr, kind = base, "nonzero"
        else:
            return Condition(expr, kind)


def _implies(known: Condition, asked: Condition) -> bool:
    """Whether the one condition makes the other needless."""
    if known.kind == "nonzero":
        return asked.kind == "nonzero" and asked.expr == -known.expr
    strict = known.kind == "positive"
    if strict and asked.kind == "nonzero" and _divides(asked.expr, known.expr):
        return True
    above = enclosure(asked.expr - known.expr)
    if above.nonnegative and (strict or asked.kind == "nonnegative"):
        return True
    return above.positive or (
        asked.kind == "nonzero" and strict and enclosure(-asked.expr - known.expr).nonnegative
    )


def _divides(part: Expr, whole: Expr) -> bool:
    """Whether `part` or its opposite is a factor of `whole`, to a power that is a number."""
    bases = [f.as_base_exp()[0] for f in Mul.make_args(whole)]
    return part in bases or -part in bases
