"""The vocabulary: one row per function a user can write.

Every node is inert; a row says what it means and how each backend says it. All quantities are real;
logarithms are natural (nats).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from functools import partial, reduce
from math import inf
from typing import Any, Protocol, TypeVar

from sympy import Expr, Mul, S

from midpo.symbolic.domains.intervals import REAL, Interval, cut, largest, magnitude, point, rising, smallest
from midpo.symbolic.errors import NotYet

from .nodes import (
    Abs,
    ByLabel,
    Divergence,
    Entropy,
    Exp,
    Length,
    Log,
    LogSigmoid,
    Max,
    Min,
    Node,
    Relu,
    Sigmoid,
    Sorted,
    Sqrt,
    Step,
    StopGradient,
    Tanh,
    TokenProd,
    TokenSum,
    VocabSum,
)

ZERO, ONE = Fraction(0), Fraction(1)
T = TypeVar("T")


class Arithmetic(Protocol):
    """What a row's `value` may use of the numbers it is given (floats, 50 digits, intervals)."""

    def exp(self, x: Any) -> Any: ...
    def log(self, x: Any) -> Any: ...
    def sqrt(self, x: Any) -> Any: ...
    def negative(self, x: Any) -> bool: ...


@dataclass(frozen=True)
class Notation:
    """A function on a page: `head`, a bracket, `lead`, the arguments, `tail`, a bracket. The parts
    are signs as LaTeX spells them, numbers, and words in upright letters."""

    head: tuple[str, ...]
    left: str = "("
    right: str = ")"
    lead: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Word:
    """One function of the language: how it is written, what it means, how each backend says it.

    Meaning. `value(ops, *args)` is its value in an arithmetic: floats, 50 digits, intervals, and
    numbers that carry derivatives. `domain` names the real arguments it takes; `image(*intervals)`
    holds the values it takes on these; `corners` are arguments on both sides of each place where an
    implementation might change its mind. `slopes(*args)` are its partial derivatives, at a kink
    those of one side. `pieces(*args)`, of a function with kinks or jumps, are the smooth ones among
    which it chooses by the sign of its argument, or of differences of its arguments; `picks` is 1
    where that is always the largest of them, -1 where it is the smallest. `keeps_sign`: it has the
    sign of its argument.

    Texts. `says` is its line in the reference of the language. `torch`, `triton` and `c` are
    templates over {0} and {1}; of more arguments the first two are taken together. `python` (over
    floats; where there is none, torch's own) is a template over all arguments, with commas between.
    `notation` is how a page and a terminal write it; where there is none, as its name. `coq` is a
    name of the library rocq/Midpo.v or of Coq's own, `script` a function of numbers with slopes for
    the plots of a page.

    Who asks for a column that a row lacks gets NotYet, which names both.
    """

    name: str
    node: type[Node]
    arity: tuple[int, int]
    value: Callable[..., Any]
    _: KW_ONLY
    says: str = ""
    domain: str = "real"
    corners: tuple[float, ...] = (-2.0, -0.5, 0.5, 2.0)
    image: Callable[..., Interval] = lambda *xs: REAL
    slopes: Callable[..., tuple[Expr, ...]] | None = None
    pieces: Callable[..., tuple[Expr, ...]] | None = None
    picks: int = 0
    keeps_sign: bool = False
    torch: str | None = None
    python: str | None = None
    triton: str | None = None
    c: str | None = None
    coq: str | None = None
    notation: Notation | None = None
    script: str | None = None

    @property
    def call(self) -> str:
        """How it is written: `log(x)`, `max(a, b, ...)`."""
        least, most = self.arity
        names = "x" if most == 1 else ", ".join("abcdefgh"[:least])
        return f"{self.name}({names}{', ...' if most > least else ''})"

    def lacks(self, column: str) -> str:
        """What to tell whoever asked for a column that the row leaves out."""
        return f"{self.name}: its row in the table of words has no {column}"

    def column(self, name: str) -> Any:
        """What the row says there. Raises: NotYet where it says nothing."""
        held = getattr(self, name)
        if held is None:
            raise NotYet(self.lacks(name))
        return held

    def over(self, name: str, args: Iterable[str]) -> str:
        """The template of that column over all arguments, with commas between. Raises: NotYet."""
        return str(self.column(name)).format(", ".join(args))

    def pairwise(
        self, name: str, args: Sequence[T], fill: Callable[..., T] = str.format  # type: ignore
    ) -> T:
        """The template of that column, its holes filled; where it takes as many arguments as it is
        given, two by two from the first on. Raises: NotYet."""
        filled = partial(fill, str(self.column(name)))
        return filled(*args) if self.arity[0] == self.arity[1] else reduce(filled, args)


def _leans(ops: Arithmetic, x: Any) -> bool:
    """Which of two forms to take, where both are right: that for negative numbers?"""
    known = getattr(ops, "leans", None)  # of intervals around 0
    return bool(known(x) if known else ops.negative(x))


def _logsigmoid(ops: Arithmetic, x: Any) -> Any:
    return x - ops.log(1 + ops.exp(x)) if _leans(ops, x) else -ops.log(1 + ops.exp(-x))


def _sigmoid(ops: Arithmetic, x: Any) -> Any:
    return ops.exp(_logsigmoid(ops, x))


def _tanh(ops: Arithmetic, x: Any) -> Any:
    # At a tie x and -x may both be taken for negative.
    if _leans(ops, x):
        small = ops.exp(2 * x)
        return (small - 1) / (1 + small)
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


def _wins(xs: tuple[Expr, ...], sign: int) -> tuple[Expr, ...]:
    """For each of xs: 1 where it is the largest (sign 1) or the smallest (sign -1), else 0; of
    those that are equal, the last."""
    return tuple(
        Mul(*(Step(sign * (x - other)) for other in xs[:at]),
            *(1 - Step(sign * (other - x)) for other in xs[at + 1 :]))
        for at, x in enumerate(xs)
    )


_BOTH_SIDES = (-30.0, -2.0, -0.5, 0.0, 0.5, 2.0, 30.0)
_BRANCH = (-1e4, -88.8, -20.1, -19.9, -1.0, 0.0, 1.0, 19.9, 20.1, 88.8, 1e4)
_NAN = "propagate_nan=tl.PropagateNan.ALL"  # else Triton answers with the other argument

FUNCTIONS: dict[str, Word] = {
    word.name: word
    for word in (
        Word(
            "log", Log, (1, 1), lambda ops, x: ops.log(x),
            says="the natural logarithm of x > 0",
            domain="positive", corners=(1e-30, 0.5, 1.0, 2.0, 1e30),
            image=rising(-inf, inf, {1: 0}),
            slopes=lambda x: (1 / x,),
            torch="torch.log({0})", triton="tl.log({0})", c="_log({0})", coq="ln",
            notation=Notation((r"\log",)),
            script="chain(Math.log, (a) => 1 / a)",
        ),
        Word(
            "exp", Exp, (1, 1), lambda ops, x: ops.exp(x),
            says="e to the power x",
            corners=_BOTH_SIDES, image=rising(ZERO, inf, {0: 1}),
            slopes=lambda x: (Exp(x),),
            torch="torch.exp({0})", triton="_exp({0})", c="_exp({0})", coq="exp",
            notation=Notation((r"\exp",)),
            script="chain(Math.exp, Math.exp)",
        ),
        Word(
            "sqrt", Sqrt, (1, 1), lambda ops, x: ops.sqrt(x),
            says="the root of x >= 0",
            domain="nonnegative", corners=(0.25, 1.0, 2.0),
            image=lambda x: x.power(point(Fraction(1, 2))),
            slopes=lambda x: (1 / (2 * Sqrt(x)),),
            keeps_sign=True,
            torch="torch.sqrt({0})", triton="tl.sqrt({0})", c="_sqrt({0})", coq="sqrt",
            script="chain(Math.sqrt, (a) => 0.5 / Math.sqrt(a))",
        ),
        # Not torch.sigmoid, whose gradient is sigmoid*(1 - sigmoid): no digits are left near 1.
        Word(
            "sigmoid", Sigmoid, (1, 1), _sigmoid,
            says="1/(1 + exp(-x))",
            corners=_BRANCH, image=rising(ZERO, ONE, {0: Fraction(1, 2)}),
            slopes=lambda x: (Sigmoid(x) * Sigmoid(-x),),
            torch="torch.exp(F.logsigmoid({0}))", triton="tl.sigmoid({0})", c="_sigmoid({0})",
            coq="sigmoid",
            notation=Notation((r"\sigma",)),
            script="chain(sigmoid, (a) => sigmoid(a) * sigmoid(-a))",
        ),
        Word(
            "logsigmoid", LogSigmoid, (1, 1), _logsigmoid,
            says="log(sigmoid(x))",
            corners=_BRANCH, image=rising(-inf, ZERO),
            slopes=lambda x: (Sigmoid(-x),),
            torch="F.logsigmoid({0})", triton="_log_sigmoid({0})", c="_log_sigmoid({0})",
            coq="logsigmoid",
            notation=Notation((r"\log", r"\sigma")),
            script="chain(logSigmoid, (a) => sigmoid(-a))",
        ),
        Word(
            "tanh", Tanh, (1, 1), _tanh,
            says="the hyperbolic tangent of x",
            corners=_BRANCH, image=rising(-ONE, ONE, {0: 0}),
            # Not 1 - tanh(x)**2, whose digits are lost far from 0.
            slopes=lambda x: (4 * Sigmoid(2 * x) * Sigmoid(-2 * x),),
            keeps_sign=True,
            torch="torch.tanh({0})", triton="_tanh({0})", c="_tanh({0})", coq="tanh",
            notation=Notation((r"\tanh",)),
            script="chain(Math.tanh, (a) => 1 - Math.tanh(a) ** 2)",
        ),
        Word(
            "relu", Relu, (1, 1), lambda ops, x: _largest(ops, x * 0, x),
            says="the larger of 0 and x",
            corners=_BOTH_SIDES, image=lambda x: largest(point(ZERO), x),
            slopes=lambda x: (Step(x),),
            pieces=lambda x: (S.Zero, x), picks=1,
            torch="torch.relu({0})", triton=f"tl.maximum({{0}}, 0.0, {_NAN})",
            c="_maximum({0}, 0.0)", coq="relu",
            notation=Notation((r"\max",), lead=("0", ", ")),
            script="chain((a) => Math.max(a, 0), (a) => (a > 0 ? 1 : 0))",
        ),
        Word(
            "abs", Abs, (1, 1), lambda ops, x: _largest(ops, x, -x),
            says="the larger of x and -x",
            corners=_BOTH_SIDES, image=magnitude,
            slopes=lambda x: (2 * Step(x) - 1,),
            pieces=lambda x: (x, -x), picks=1,
            torch="torch.abs({0})", triton="tl.abs({0})", c="_absolute({0})", coq="Rabs",
            notation=Notation((), "|", "|"),
            script="chain(Math.abs, Math.sign)",
        ),
        Word(
            "max", Max, (2, 8), _largest,
            says="the largest of its arguments",
            corners=_BOTH_SIDES, image=largest,
            slopes=lambda *xs: _wins(xs, 1),
            pieces=lambda *xs: xs, picks=1,
            torch="torch.maximum({0}, {1})", python="max({0})",
            triton=f"tl.maximum({{0}}, {{1}}, {_NAN})", c="_maximum({0}, {1})", coq="Rmax",
            notation=Notation((r"\max",)),
            script="pick((b, a) => b > a)",
        ),
        Word(
            "min", Min, (2, 8), lambda ops, *xs: -_largest(ops, *(-x for x in xs)),
            says="the smallest of its arguments",
            corners=_BOTH_SIDES, image=smallest,
            slopes=lambda *xs: _wins(xs, -1),
            pieces=lambda *xs: xs, picks=-1,
            torch="torch.minimum({0}, {1})", python="min({0})",
            triton=f"tl.minimum({{0}}, {{1}}, {_NAN})", c="_minimum({0}, {1})", coq="Rmin",
            notation=Notation((r"\min",)),
            script="pick((b, a) => b < a)",
        ),
        Word(
            "step", Step, (1, 1), _step,
            says="1 for x >= 0, else 0",
            corners=(-2.0, -1e-9, 1e-9, 2.0), image=cut,
            slopes=lambda x: (S.Zero,),
            pieces=lambda x: (S.Zero, S.One),
            torch="({0} >= 0).to(dtype)", python="(({0}) >= 0)",
            triton="tl.where({0} >= 0, 1.0, 0.0)", c="_where({0} >= 0.0, 1.0, 0.0)", coq="step",
            notation=Notation((r"\mathbf{1}",), "[", "]", tail=(r" \ge ", "0")),
            script="chain((a) => (a >= 0 ? 1 : 0), () => 0)",
        ),
        Word(
            "sg", StopGradient, (1, 1), lambda ops, x: x,
            says="x with its gradient stopped",
            image=lambda x: x,
            slopes=lambda x: (S.Zero,),
            keeps_sign=True,
            torch="({0}).detach()", python="({0})", triton="({0})", c="({0})", coq="stopped",
            notation=Notation(("sg",), "[", "]"),
            script="([a]) => [a, 0]",
        ),
    )
}

BY_NODE: dict[type[Node], Word] = {word.node: word for word in FUNCTIONS.values()}


def word_of(node: Expr) -> Word:
    """The row of a function's node. Raises: NotYet for what is no function of the language."""
    word = BY_NODE.get(type(node))
    if word is None:
        raise NotYet(f"{type(node).__name__} has no row in the table of words")
    return word


def piecewise() -> tuple[type[Node], ...]:
    """The functions with kinks or jumps."""
    return tuple(node for node, word in BY_NODE.items() if word.pieces is not None)


# Words with their own grammar, which the parser holds, and the nodes that they make.
SPECIAL: dict[str, tuple[type[Node], ...]] = {
    "len": (Length,), "sum": (TokenSum, VocabSum), "prod": (TokenProd,), "kl": (Divergence,),
    "entropy": (Entropy,), "by_label": (ByLabel,), "sorted": (Sorted,),
}
