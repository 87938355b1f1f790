"""The vocabulary: one row per function a user can write.

Every node is inert; a row says what it means and how each backend says it. All quantities are real;
logarithms are natural (nats).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any, Protocol

from midpo.symbolic.domains.intervals import (
    REAL,
    Interval,
    cut,
    largest,
    magnitude,
    point,
    rising,
    smallest,
)

from .nodes import (
    Abs,
    Exp,
    Log,
    LogSigmoid,
    Max,
    Min,
    Node,
    Relu,
    Sigmoid,
    Sqrt,
    Step,
    StopGradient,
    Tanh,
)

ZERO, ONE = Fraction(0), Fraction(1)


class Arithmetic(Protocol):
    """What a row's `value` may use of the numbers it is given (floats, 50 digits, intervals)."""

    def exp(self, x: Any) -> Any: ...
    def log(self, x: Any) -> Any: ...
    def sqrt(self, x: Any) -> Any: ...
    def negative(self, x: Any) -> bool: ...


@dataclass(frozen=True)
class Word:
    """One function: how it is written, what it means, and how each backend says it.

    `value(ops, *args)` is its meaning in an arithmetic; `torch` and `latex` are templates over
    `{0}`, `{1}`; `domain` names the real arguments it takes; `corners` are arguments on both sides
    of each place where an implementation might change its mind; `image(*intervals)` holds the
    values it takes on these.
    """

    name: str
    node: type[Node]
    arity: tuple[int, int]
    value: Callable[..., Any]
    torch: str
    latex: str
    domain: str = "real"
    corners: tuple[float, ...] = (-2.0, -0.5, 0.5, 2.0)
    image: Callable[..., Interval] = lambda *xs: REAL


def _leans(ops: Arithmetic, x: Any) -> bool:
    """Which of two forms to take, where both are right: that for negative numbers?"""
    known = getattr(ops, "leans", None)  # of intervals around 0
    return bool(known(x) if known else ops.negative(x))


def _logsigmoid(ops: Arithmetic, x: Any) -> Any:
    return x - ops.log(1 + ops.exp(x)) if _leans(ops, x) else -ops.log(1 + ops.exp(-x))


def _sigmoid(ops: Arithmetic, x: Any) -> Any:
    return ops.exp(_logsigmoid(ops, x))


def _tanh(ops: Arithmetic, x: Any) -> Any:
    if _leans(ops, x):
        return -_tanh(ops, -x)
    small = ops.exp(-2 * x)
    return (1 - small) / (1 + small)


def _largest(ops: Arithmetic, *xs: Any) -> Any:
    # Intervals know a maximum even where they do not know which argument it is.
    known = getattr(ops, "maximum", None)
    best = xs[0]
    for x in xs[1:]:
        best = known(best, x) if known else x if ops.negative(best - x) else best
    return best


def _step(ops: Arithmetic, x: Any) -> Any:
    return x * 0 if ops.negative(x) else x * 0 + 1


_BOTH_SIDES = (-30.0, -2.0, -0.5, 0.0, 0.5, 2.0, 30.0)
_BRANCH = (-1e4, -88.8, -20.1, -19.9, -1.0, 0.0, 1.0, 19.9, 20.1, 88.8, 1e4)

FUNCTIONS: dict[str, Word] = {
    word.name: word
    for word in (
        Word("log", Log, (1, 1), lambda ops, x: ops.log(x), "torch.log({0})", r"\log {0}",
             "positive", (1e-30, 0.5, 1.0, 2.0, 1e30), rising(-inf, inf, {1: 0})),
        Word("exp", Exp, (1, 1), lambda ops, x: ops.exp(x), "torch.exp({0})",
             r"\exp\left({0}\right)", corners=_BOTH_SIDES, image=rising(ZERO, inf, {0: 1})),
        Word("sqrt", Sqrt, (1, 1), lambda ops, x: ops.sqrt(x), "torch.sqrt({0})", r"\sqrt{{{0}}}",
             "nonnegative", (0.25, 1.0, 2.0), lambda x: x.power(point(Fraction(1, 2)))),
        # Not torch.sigmoid, whose gradient is sigmoid*(1 - sigmoid): no digits are left near 1.
        Word("sigmoid", Sigmoid, (1, 1), _sigmoid, "torch.exp(F.logsigmoid({0}))",
             r"\sigma\left({0}\right)", corners=_BRANCH,
             image=rising(ZERO, ONE, {0: Fraction(1, 2)})),
        Word("logsigmoid", LogSigmoid, (1, 1), _logsigmoid, "F.logsigmoid({0})",
             r"\log\sigma\left({0}\right)", corners=_BRANCH, image=rising(-inf, ZERO)),
        Word("tanh", Tanh, (1, 1), _tanh, "torch.tanh({0})", r"\tanh\left({0}\right)",
             corners=_BRANCH, image=rising(-ONE, ONE, {0: 0})),
        Word("relu", Relu, (1, 1), lambda ops, x: _largest(ops, x * 0, x), "torch.relu({0})",
             r"\max\left(0, {0}\right)", corners=_BOTH_SIDES,
             image=lambda x: largest(point(ZERO), x)),
        Word("abs", Abs, (1, 1), lambda ops, x: _largest(ops, x, -x), "torch.abs({0})",
             r"\left|{0}\right|", corners=_BOTH_SIDES, image=magnitude),
        Word("max", Max, (2, 8), _largest, "torch.maximum({0}, {1})", r"\max\left({0}\right)",
             corners=_BOTH_SIDES, image=largest),
        Word("min", Min, (2, 8), lambda ops, *xs: -_largest(ops, *(-x for x in xs)),
             "torch.minimum({0}, {1})", r"\min\left({0}\right)", corners=_BOTH_SIDES,
             image=smallest),
        Word("step", Step, (1, 1), _step,
             "({0} >= 0).to(dtype)", r"\mathbf{{1}}\left[{0} \ge 0\right]",
             corners=(-2.0, -1e-9, 1e-9, 2.0), image=cut),
        Word("sg", StopGradient, (1, 1), lambda ops, x: x, "({0}).detach()",
             r"\mathrm{{sg}}\left[{0}\right]", image=lambda x: x),
    )
}

BY_NODE: dict[type[Node], Word] = {word.node: word for word in FUNCTIONS.values()}

# Words with their own grammar; the parser holds it, and errors list them.
SPECIAL = ("len", "sum", "prod", "kl", "entropy", "by_label", "sorted")
