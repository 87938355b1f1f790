"""The formula against the code itself, and a case at which code and spec differ for certain.

A refutation needs all three: the code's own output, in float64 where it takes that, apart from the
spec's value by more than rounding explains; intervals of 50 digits that hold the spec's value and
exclude the lifted formula's; and the code's output where its formula says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.numeric.arithmetic import Digits, Floats, Intervals, Undefined
from midpo.symbolic.errors import TooLarge

from .arrays import TooNested, program
from .cases import AGREED, CodeCase
from .heads import HIDDEN, names
from .places import DIRECTION, unknowns
from .reader import Reader
from .tensors import Answer

ROUNDING = 1e-7  # relative to 1 + the value: what float64 and tables' thresholds explain
_INTERVALS = Intervals()
Call = Callable[[CodeCase], Answer]


@dataclass(frozen=True)
class Difference:
    """A case at which the code is not the spec: which entry of the loss (None for the derivative),
    what the code returned, the spec's value, and whether the code was called in float32."""

    case: CodeCase
    entry: int | None
    code: float
    spec: float
    single: bool = False

    def __str__(self) -> str:
        what = "the derivative along a direction of whole numbers" if self.entry is None else ("the code")
        return (
            f"{self.case}: {what} gives {self.code:.6g}, the spec {self.spec:.6g}"
            if (self.entry is not None)
            else (f"{self.case}: {what} is {self.code:.6g} by autograd, {self.spec:.6g} of the spec")
        )


def value(expr: Expr, case: CodeCase, ops: Any) -> Any:
    """Raises: Undefined, TooLarge."""
    try:
        return Reader(ops, case.point(ops), limit=200_000)(expr)
    except (KeyError, IndexError):
        raise Undefined("a name without a number") from None


def fast(expr: Expr, case: CodeCase) -> float:
    """The value in float64. Raises: Undefined, TooLarge."""
    try:
        return float(program(expr)(case)[0, 0])
    except TooNested:
        return float(value(expr, case, Floats()))
    except (KeyError, IndexError):
        raise Undefined("a name without a number") from None


def disagreement(losses: Sequence[Expr], slope: Expr | None, cases: Iterable[CodeCase], call: Call) -> str:
    """How the formula differs from the code at some case; empty where it does not."""
    tried = 0
    for case in cases:
        try:
            wanted = [fast(e, case) for e in losses]
        except (Undefined, TooLarge):
            continue
        try:
            found = call(case)
        except Exception as error:
            return (
                f"the code cannot be run at {case}: {type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}"
            )
        tried += 1
        if len(found.losses) != len(wanted):
            return f"the loss has another shape at {case}"
        for got, want in zip(found.losses, wanted, strict=True):
            if not close(got, want, found.bound(1e-6)):
                depends = [w for e in losses for w in unknowns(e)]
                if depends:
                    return f"the answer depends on what is not known: {depends[0]}"
                return (
                    f"what was lifted is not what the code returns at {case}: {want:.8g}, and "
                    f"the code {got:.8g}; a size or a value leaks into its formula"
                )
        if slope is not None and found.slope is not None and case.seed != AGREED:
            try:
                want = fast(slope, case)
            except (Undefined, TooLarge):
                continue
            if not close(found.slope, want, found.bound(1e-5)):
                return (
                    f"the gradient that was lifted is not autograd's at {case}: {want:.8g}, "
                    f"and the code's {found.slope:.8g}"
                )
    return "" if tried else "the loss has no value at any case that was tried"


def close(a: float, b: float, bound: float = 1e-6) -> bool:
    return abs(a - b) <= bound * (1 + abs(b)) or (math.isnan(a) and math.isnan(b))


def difference(
    losses: Sequence[Expr],
    targets: Sequence[Expr],
    cases: Iterable[CodeCase],
    call: Call,
    slope: bool = False,
    confirmed: Callable[[CodeCase, float], bool] = lambda case, value: True,
) -> Difference | None:
    """The first case at which code and spec differ; with `slope` the pair is of derivatives, and
    the spec's is `confirmed` by another road."""
    for case in cases:
        if slope and case.seed == AGREED:
            continue
        for n, (lifted, target) in enumerate(zip(losses, targets, strict=True)):
            try:
                if close(fast(lifted, case), fast(target, case), ROUNDING / 10):
                    continue
                code, spec = (
                    _INTERVALS.context.convert(value(e, case, _INTERVALS)) for e in (lifted, target)
                )
            except (Undefined, TooLarge):
                continue
            apart = code - spec
            middle = float(spec.mid)
            if not (apart.a > 0 or apart.b < 0) or close(float(code.mid), middle, ROUNDING):
                continue
            try:
                answer = call(case)
            except Exception:
                continue
            own = answer.slope if slope else answer.losses[n]
            rounding = answer.bound(ROUNDING)
            if own is None or not math.isfinite(own) or close(own, middle, rounding):
                continue
            if slope and not confirmed(case, middle):
                continue
            if close(own, float(code.mid), answer.bound(1e-6)):
                return Difference(case, None if slope else n, own, middle, answer.single)
    return None


def finite_difference(targets: Sequence[Expr], case: CodeCase, leaf: str) -> float | None:
    """The derivative of the targets' weighted sum along the case's direction, what is stopped held:
    a central difference in 50 digits; None where there is none."""
    ops, step = Digits(), Fraction(1, 10**15)
    base = case.point(ops)

    def at(by: Fraction) -> Any:
        laws = {}
        for (policy, y), rows in base.tables.items():
            if policy != "pi":
                laws[policy, y] = rows
                continue
            laws[policy, y] = [
                _moved(ops, row, d, by, leaf) for row, d in zip(rows, case.features["d"][y], strict=True)
            ]
        features = dict(base.features)
        for name in names("pi") & set(features) if leaf == HIDDEN else ():
            features[name] = _added(features[name], features[f"{DIRECTION}_{name}"], ops.number(by))
        reader = Reader(ops, replace(base, tables=laws, features=features), base, limit=200_000)
        weights = case.upstream
        return sum(reader(t) * ops.number(w) for t, w in zip(targets, weights, strict=False))

    try:
        return float((at(step) - at(-step)) / (2 * ops.number(step)))
    except (Undefined, TooLarge, KeyError, IndexError):
        return None


def _added(value: Any, direction: Any, by: Any) -> Any:
    """Numbers that moved, by what they belong to."""
    if isinstance(value, dict):
        return {key: _added(inner, direction[key], by) for key, inner in value.items()}
    if isinstance(value, list):
        return [_added(a, b, by) for a, b in zip(value, direction, strict=True)]
    return value + by * direction


def _moved(ops: Any, row: Any, direction: Any, by: Fraction, leaf: str) -> list[Any]:
    """A law whose logits, or the logarithms of whose probabilities, moved."""
    moved = [p * ops.exp(ops.number(by * d)) for p, d in zip(row, direction, strict=True)]
    if leaf != "logits":
        return moved
    whole = sum(moved, ops.number(Fraction(0)))
    return [p / whole for p in moved]


def ratio(
    losses: Sequence[Expr], targets: Sequence[Expr], cases: Iterable[CodeCase]
) -> tuple[float, float] | None:
    """(a, b) with code = a*spec + b at all cases with the same parameters, or None."""
    found: list[tuple[float, float]] = []
    for case in cases:
        try:
            found += [(fast(x, case), fast(y, case)) for x, y in zip(losses, targets, strict=True)]
        except (Undefined, TooLarge):
            continue
    base = next(((x, y) for x, y in found[1:] if abs(y - found[0][1]) > 1e-6), None)
    if base is None or len(found) < 4:
        return None
    factor = (base[0] - found[0][0]) / (base[1] - found[0][1])
    constant = found[0][0] - factor * found[0][1]
    same = all(close(x, factor * y + constant, 1e-9) for x, y in found)
    return (factor, constant) if same else None
