"""Random instances of the framework: finite sets with laws, rewards and numbers on them.

An expression of `symbolic.framework.words` is evaluated term by term as it is written; derivatives
are difference quotients in twice the digits, which know nothing of the rules of differentiation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import Any

from sympy import Expr, Mul

from midpo.symbolic.domains.intervals import REAL, UNIT
from midpo.symbolic.framework.hypothesis import Hypothesis
from midpo.symbolic.framework.words import (
    COMPARISONS,
    EDGES,
    PROMPTS,
    RESPONSES,
    Applied,
    Element,
    Gap,
    Mass,
    Mean,
    Member,
    Partial,
    Relative,
    Same,
    Score,
    SumOver,
    space,
)
from midpo.symbolic.language.nodes import Parameter

from .arithmetic import DIGITS, Digits
from .evaluate import Evaluator, Point

SIZES = ((2, 1), (3, 2), (5, 3), (4, 2), (7, 4))  # responses, prompts
_SPARE = 4  # comparisons beyond the number of prompts
_ORDER = 5  # derivatives of a random function that are not 0


@dataclass
class Sample:
    """Numbers for every name: `tables[name][at]` for functions on sets, `at` a tuple of indices;
    `members[which][c]`; `functions[name]` are coefficients of powers; `scope` places the free
    elements."""

    ops: Any
    sizes: Mapping[str, int]
    tables: dict[str, dict[tuple[int, ...], Any]] = field(default_factory=dict)
    members: dict[str, list[int]] = field(default_factory=dict)
    functions: dict[str, list[Any]] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    scope: dict[Any, int] = field(default_factory=dict)


class Values(Evaluator):
    """Evaluates expressions at an instance."""

    def __init__(self, instance: Sample) -> None:
        super().__init__(instance.ops, Point({}, {}, instance.parameters))
        self.instance = instance

    def compute(self, expr: Any, scope: dict[Any, int]) -> Any:
        ops = self.ops
        if isinstance(expr, (Mass, Score)):
            name, *at = expr.args
            return self.instance.tables[str(name)][tuple(self.place(e, scope) for e in at)]
        if isinstance(expr, SumOver):
            body, element = expr.args
            size = self.instance.sizes[element.space]
            terms = (self.value(body, {**scope, element: at}) for at in range(size))
            return sum(terms, ops.number(Fraction(0)))
        if isinstance(expr, (Relative, Mean)):
            return self.average(expr, scope)
        if isinstance(expr, Same):
            first, second = (self.place(e, scope) for e in expr.args)
            return ops.number(Fraction(first == second))
        if isinstance(expr, Gap):
            u = self.value(expr.args[0], scope)
            return u - 1 - ops.log(u)
        if isinstance(expr, Applied):
            return self.applied(expr, scope)
        if isinstance(expr, Partial):
            return self.slope(expr.args[0], expr.args[1], scope)
        return super().compute(expr, scope)

    def place(self, element: Any, scope: dict[Any, int]) -> int:
        """Where an element stands in its set."""
        if isinstance(element, Member):
            which, comparison = element.args
            return self.instance.members[str(which)][scope[comparison]]
        return scope[element]

    def product(self, expr: Mul, scope: dict[Any, int]) -> Any:
        total = self.ops.number(Fraction(1))
        for factor in expr.args:
            total = total * self.value(factor, scope)
        return total

    def average(self, expr: Any, scope: dict[Any, int]) -> Any:
        p, y, other = expr.args
        total = self.ops.number(Fraction(0))
        for at in range(self.instance.sizes[y.space]):
            here = {**scope, y: at}
            weight, rest = self.value(p, here), self.value(other, here)
            if isinstance(expr, Relative):
                rest = self.ops.log(weight) - self.ops.log(rest)
            total = total + weight * rest
        return total

    def applied(self, expr: Applied, scope: dict[Any, int]) -> Any:
        name, argument, order = expr.args
        at = self.value(argument, scope)
        total = self.ops.number(Fraction(0))
        for power, coefficient in enumerate(self.instance.functions[str(name)]):
            left = power - int(order)
            if left >= 0:
                for factor in range(left + 1, power + 1):
                    coefficient = coefficient * factor
                total = total + coefficient * at**left
        return total

    def slope(self, body: Expr, variable: Expr, scope: dict[Any, int]) -> Any:
        """A symmetric difference quotient, whose error is of the order of its step squared."""
        instance = self.instance
        step = self.ops.number(Fraction(1, 10 ** (DIGITS // 2)))
        ends = []
        for sign in (1, -1):
            if isinstance(variable, Parameter):
                moved = {variable.name: instance.parameters[variable.name] + sign * step}
                other = _changed(instance, parameters={**instance.parameters, **moved})
            else:
                name, *at = variable.args
                place = tuple(self.place(e, scope) for e in at)
                table = dict(instance.tables[str(name)])
                table[place] = table[place] + sign * step
                other = _changed(instance, tables={**instance.tables, str(name): table})
            ends.append(Values(other).value(body, scope))
        return (ends[0] - ends[1]) / (2 * step)


def _changed(instance: Sample, **given: Any) -> Sample:
    return Sample(**{**vars(instance), **given})


# --- Drawing instances ---------------------------------------------------------------------------


def draw(exprs: Iterable[Expr], given: Iterable[Hypothesis], seed: int, *, without: str = "") -> Sample:
    """A random instance with numbers for everything `exprs` speak of, at which each hypothesis of
    `given` holds but the one named `without`, which is broken."""
    rng = random.Random(f"{seed}")
    given = tuple(given)
    told = [*exprs, *(side for h in given for side in (h.left, h.right))]
    instance = _blank(told, rng, seed)
    names = {e for expr in told for e in expr.atoms(Element)}
    for where in sorted({e.space for e in names}):
        here = sorted((e for e in names if e.space == where), key=str)
        places = list(range(instance.sizes[where]))
        rng.shuffle(places)
        instance.scope |= {e: places[i % len(places)] for i, e in enumerate(here)}
    defined = {str(h.left.args[0]) for h in given if h.realise is None and isinstance(h.left, (Mass, Score))}
    for node in sorted({n for expr in told for n in expr.atoms(Mass, Score)}, key=str):
        if str(node.args[0]) not in defined:
            _fill(instance, node, rng)
    for name in sorted({str(n.args[0]) for expr in told for n in expr.atoms(Applied)}):
        instance.functions[name] = [_number(instance, rng) for _ in range(_ORDER)]
    for parameter in sorted({p for expr in told for p in expr.atoms(Parameter)}, key=str):
        value = abs(_number(instance, rng)) + Fraction(1, 16)
        if parameter.domain == UNIT:
            value = value / (value + 1)
        elif parameter.domain == REAL and rng.random() < 0.5:
            value = -value
        instance.parameters[parameter.name] = value
    for hypothesis in given:
        if hypothesis.realise is not None:
            if hypothesis.name != without:
                hypothesis.realise(instance, rng)
        else:
            off = Fraction(rng.randint(3, 9), 10) if hypothesis.name == without else Fraction(0)
            impose(instance, hypothesis, instance.ops.number(1 + off))
    return instance


def _blank(told: list[Expr], rng: random.Random, seed: int) -> Sample:
    deep = any(expr.has(Partial) for expr in told)
    responses, prompts = SIZES[seed % len(SIZES)]
    names: dict[str, int] = {}
    for element in {e for expr in told for e in expr.free_symbols if isinstance(e, Element)}:
        names[element.space] = names.get(element.space, 0) + 1
    # Room for different elements of every name.
    responses = max(responses, names.get(RESPONSES, 0))
    prompts = max(prompts, names.get(PROMPTS, 0))
    comparisons = prompts + _SPARE
    sizes = {RESPONSES: responses, PROMPTS: prompts, COMPARISONS: comparisons, EDGES: responses + 1}
    instance = Sample(Digits(DIGITS * 3 if deep else DIGITS), sizes)
    pairs = [rng.sample(range(responses), 2) for _ in range(comparisons)]
    instance.members = {
        "y_w": [pair[0] for pair in pairs],
        "y_l": [pair[1] for pair in pairs],
        "x": [rng.randrange(prompts) for _ in range(comparisons)],
    }
    return instance


def _number(instance: Sample, rng: random.Random) -> Any:
    return instance.ops.number(Fraction(rng.randint(-40, 40), 17))


def places(instance: Sample, node: Any) -> list[tuple[int, ...]]:
    """Every place at which a function has a value."""
    return list(product(*(range(instance.sizes[space(e) or ""]) for e in node.args[1:])))


def _fill(instance: Sample, node: Any, rng: random.Random) -> None:
    name = str(node.args[0])
    if name in instance.tables:
        return
    table = {at: _number(instance, rng) for at in places(instance, node)}
    if isinstance(node, Mass):
        table = {at: abs(v) / 3 + Fraction(1, 20) for at, v in table.items()}
    instance.tables[name] = table


def impose(instance: Sample, hypothesis: Hypothesis, scale: Any = 1) -> None:
    """Make left = right: assign the side that is an atom, or scale a law whose sum is given; times
    `scale`, which is 1 unless the hypothesis is to be broken."""
    left, right = hypothesis.left, hypothesis.right
    law = left.args[0] if isinstance(left, SumOver) else None
    if isinstance(law, Mass) and not isinstance(right, (Mass, Parameter)):
        _scale(instance, hypothesis, law, left.args[1], scale)
        return
    atom, other = (left, right) if isinstance(left, (Mass, Score, Parameter)) else (right, left)
    if isinstance(atom, Parameter):
        found = Values(instance).value(other, dict(instance.scope)) * scale
        instance.parameters[atom.name] = found if scale == 1 else found + Fraction(1, 7)
        return
    assert isinstance(atom, (Mass, Score)), f"{hypothesis.name}: which side is an atom?"

    def compute(at: tuple[int, ...]) -> Any:
        scope = {**instance.scope, **dict(zip(atom.args[1:], at, strict=True))}
        found = Values(instance).value(other, scope) * scale
        return found if scale == 1 else found + _off(at)

    instance.tables[str(atom.args[0])] = Defined(compute)


def _off(at: tuple[int, ...]) -> Fraction:
    """Something positive that follows no pattern in the place."""
    return Fraction(random.Random(f"{at}").randint(100, 900), 700)


class Defined(dict[tuple[int, ...], Any]):
    """A table whose entries are computed when they are asked for."""

    def __init__(self, compute: Callable[[tuple[int, ...]], Any]) -> None:
        super().__init__()
        self.compute = compute

    def __missing__(self, at: tuple[int, ...]) -> Any:
        self[at] = self.compute(at)
        return self[at]


def _scale(instance: Sample, hypothesis: Hypothesis, law: Mass, over: Element, scale: Any) -> None:
    name = str(law.args[0])
    table = dict(instance.tables[name])
    column = law.args[1:].index(over)
    for at in places(instance, law):
        alike = [
            o for o in places(instance, law) if o[:column] + o[column + 1 :] == at[:column] + at[column + 1 :]
        ]
        total = sum(instance.tables[name][o] for o in alike)
        table[at] = instance.tables[name][at] / total * scale
    instance.tables[name] = table
