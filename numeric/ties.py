"""What a step is where its argument is 0: 1, and evidence only where that is no accident.

A score of 0, or a policy that agrees with the reference, is a null set of the data: what a step is
there is left open by proofs, as a side condition, and no witness rests on it. A length that meets a
threshold is none: pairs of that length have the tie whatever the policies and features are. There
the step is 1, and a witness may rest on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sympy import Expr

from midpo.symbolic.language.nodes import (
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Parameter,
    Prior,
    Prob,
    Step,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)

from .arithmetic import Dyadic, NotExact, Undefined
from .closed import Closed
from .evaluate import Evaluator, Point

CONTINUOUS = (Prob, TokenProb, VocabProb, Feature, Divergence, Entropy, Prior)
WHOLE = (Length, TokenSum, TokenProd, VocabSum)
REDRAWN = 12  # times that the policies and features are drawn anew before a tie is no accident

EXACT = (Dyadic(), Closed())  # the quicker first
Points = Callable[[Any], Iterator[Point]]


class Certain(Evaluator):
    """Evaluates in intervals; at a step whose argument they do not tell from 0, exactly.

    `exact` gives the same point in the arithmetic it is asked for, then points of the same lengths
    and parameters with other policies and features. Raises: Undefined at a tie that is an accident.
    """

    def __init__(self, ops: Any, point: Point, exact: Points, limit: int) -> None:
        super().__init__(ops, point, limit=limit)
        self.exact = exact

    def compute(self, expr: Any, scope: dict[Index, int]) -> Any:
        if not isinstance(expr, Step):
            return super().compute(expr, scope)
        argument = expr.args[0]
        x = self.ops.context.convert(self.value(argument, scope))
        if x.a > 0 or x.b < 0:
            return self.ops.context.mpf(int(x.a > 0))
        for exact in EXACT:
            points = self.exact(exact)
            try:
                at = _Exact(exact, next(points), points, self.limit)
                return self.ops.context.mpf(at.step(argument, scope))
            except (NotExact, ZeroDivisionError):
                continue
        raise Undefined("a step that is not told from 0")


class _Exact(Evaluator):
    """Evaluates exactly; `others` are points that tell whether a tie is an accident."""

    def __init__(self, ops: Dyadic | Closed, point: Point, others: Iterator[Point], limit: int) -> None:
        super().__init__(ops, point, limit=limit)
        self.others = others

    def compute(self, expr: Any, scope: dict[Index, int]) -> Any:
        if isinstance(expr, Step):
            return self.ops.number(self.step(expr.args[0], scope))
        return super().compute(expr, scope)

    def step(self, argument: Expr, scope: dict[Index, int]) -> int:
        x = self.value(argument, scope)
        if not self.ops.zero(x):
            return int(not self.ops.negative(x))
        if varies(argument) or (argument.atoms(Parameter) and not counts(argument)):
            self.no_accident(argument, scope)
        return 1

    def no_accident(self, argument: Expr, scope: dict[Index, int]) -> None:
        """Raises: Undefined unless the argument is 0 at all the other points too."""
        if not varies(argument):
            raise Undefined("a step at 0, for these parameters")
        for number, other in enumerate(self.others):
            if number == REDRAWN:
                return
            ops = self.ops
            if not ops.zero(Evaluator(ops, other, limit=self.limit).value(argument, scope)):
                break
        raise Undefined("a step at 0, by accident")


def varies(expr: Expr) -> bool:
    """Whether `expr` speaks of policies or features other than through steps."""
    if isinstance(expr, Step):
        return False
    return isinstance(expr, CONTINUOUS) or any(map(varies, expr.args))


def counts(expr: Expr) -> bool:
    """Whether `expr` speaks of lengths or positions."""
    return expr.has(*WHOLE, Step) or any(i.is_positive for i in expr.atoms(Index))
