"""The value of a lifted formula at a case: it may speak of single positions and entries."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from sympy import Expr, Integer

from midpo.numeric.evaluate import Evaluator
from midpo.symbolic.language.nodes import Feature, Index

from .places import DIRECTION, LOGIT, SHIFT, UNKNOWN, stand_in


class Reader(Evaluator):
    """An evaluator that knows positions and vocabulary entries by number, and directions."""

    def value(self, expr: Any, scope: dict[Any, int]) -> Any:
        return super().value(expr, _Numbered(scope))

    def probability(self, expr: Expr, scope: dict[Any, int]) -> Any:
        policy, response, *at = expr.args
        if len(at) == 2:
            row = self.point.tables[str(policy), str(response)][scope[at[0]]]
            return row[self.entry(at[1], scope)]
        return super().probability(expr, scope)

    def entry(self, v: Expr, scope: dict[Any, int]) -> int:
        if isinstance(v, (Index, Integer)):
            return scope[v] if isinstance(v, Index) else int(v)
        name, y, t = v.args  # a label
        return int(self.point.features[str(name)][str(y)][scope[t]])

    def feature(self, expr: Feature, scope: dict[Any, int]) -> Any:
        name, *at = expr.args
        if name == DIRECTION:
            y, t = str(at[0]), scope[at[1]]
            tokens = self.point.tokens[y]
            entry = tokens[t] if len(at) == 2 else self.entry(at[2], scope)
            return self.point.features[str(name)][y][t][entry]
        if str(name).startswith(UNKNOWN):
            where = [scope[i] for i in at if isinstance(i, Index)]
            beside = "".join(str(i) for i in at if not isinstance(i, Index))
            return self.ops.number(Fraction(stand_in(str(name) + beside, *where)))
        if str(name).startswith(LOGIT):
            policy, y, t = str(name)[len(LOGIT) :], str(at[0]), scope[at[1]]
            shift = self.point.features[f"{SHIFT}{policy}"][y][t]
            law = self.point.tables[policy, y][t]
            return self.ops.log(law[self.entry(at[2], scope)]) + shift
        if str(name) == "label":
            numbers = self.point.features["label"][str(at[0])]
            return self.ops.number(Fraction(numbers[scope[at[1]]]))
        return super().feature(expr, scope)


class _Numbered(dict[Any, int]):
    """A scope in which the number n is position n - 1."""

    def __missing__(self, key: Any) -> int:
        return int(key) - 1
