"""Values of parameters and features that a spec's own cuts and maxima ask for.

step(len(y) - k) and step(2*len(y) - 2*k + 1) differ where k is just above a whole number, and there
alone: a value on each side of every turn tells such formulas apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from sympy import Expr

from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, RESPONSE, Feature, Index, Parameter, structural
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.words import piecewise

from .arithmetic import Floats, Undefined
from .case import Case
from .evaluate import Evaluator

MOST = 12  # values of one name at one case
CUTS = 24  # that are looked at
PLACES = 2  # positions that an index is tried at
_SAMPLES = (Fraction(1, 4), Fraction(5, 4), Fraction(9, 4))
_GRID = tuple(Fraction(n, 4) for n in range(-17, 18, 2))  # for cuts that are not affine


def at_turns(spec: Spec, case: Case) -> Iterator[Case]:
    """The case with one parameter, or one feature everywhere or of the chosen response alone, at a
    value on each side of every turn of the spec's steps and maxima."""
    cuts = _compared(spec.expressions)
    for name in (*spec.names.parameters, *spec.names.features):
        mine = [cut for cut in cuts if _speaks(cut, name)]
        if not mine:
            continue
        domain = (
            spec.names.parameters[name].domain if name in spec.names.parameters else spec.names.range(name)
        )
        values = (v for v in _between(case, name, mine[:CUTS], domain) if v in domain)
        for value in itertools.islice(values, MOST):
            turned = _with(case, name, value)
            yield turned
            known: Any = case.features.get(name)
            if isinstance(known, Mapping):  # of one value everywhere, a margin may see nothing
                chosen = {str(CHOSEN): turned.features[name][str(CHOSEN)]}
                yield replace(case, features={**case.features, name: {**known, **chosen}})


@lru_cache(maxsize=64)
def _compared(exprs: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """What is held against 0."""
    found: set[Expr] = set()
    for node in {node for expr in exprs for node in expr.atoms(*piecewise())}:
        args = node.args
        found.update(args if len(args) == 1 else (x - y for i, x in enumerate(args) for y in args[:i]))
    found.update(
        substitute(cut, {RESPONSE: role})
        for cut in [*found]
        if cut.has(RESPONSE)
        for role in (CHOSEN, REJECTED)
    )
    return tuple(sorted(found, key=structural))


def _speaks(cut: Expr, name: str) -> bool:
    return any(p.name == name for p in cut.atoms(Parameter)) or any(
        f.args[0].name == name for f in cut.atoms(Feature)
    )


def _with(case: Case, name: str, value: Fraction) -> Case:
    if name in case.parameters:
        return replace(case, parameters={**case.parameters, name: value})

    def everywhere(known: Any) -> Any:
        if isinstance(known, Mapping):
            return {y: everywhere(v) for y, v in known.items()}
        return [value] * len(known) if isinstance(known, (list, tuple)) else value

    return replace(case, features={**case.features, name: everywhere(case.features[name])})


def _between(case: Case, name: str, cuts: Iterable[Expr], domain: Interval) -> list[Fraction]:
    """Values between neighbouring turns of the cuts, and beyond the last, where there is room."""
    turns: set[Fraction] = set()
    grid: tuple[Fraction, ...] = ()
    samples = [Evaluator(Floats(), _with(case, name, v).point(Floats())) for v in _SAMPLES]
    for cut in cuts:
        for scope in _scopes(case, cut):
            try:
                first, second, third = (float(at.value(cut, scope)) for at in samples)
            except (Undefined, ArithmeticError, ValueError, TooLarge, KeyError):
                continue
            slope = second - first
            if abs(third - second - slope) > 1e-9 * (1 + abs(first) + abs(third)):
                grid = _GRID
            elif slope:
                root = Fraction(float(_SAMPLES[0]) - first / slope).limit_denominator(1000)
                if abs(root) < 1000:
                    turns.add(root)
    edges = sorted(turn for turn in turns if turn in domain)
    inner = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
    outer: list[Fraction] = []
    for edge, step, end in (
        (min(edges, default=None), -1, domain.lower),
        (max(edges, default=None), 1, domain.upper),
    ):
        if edge is not None and edge + step in domain:
            outer.append(edge + step)
        elif edge is not None and isinstance(end, Fraction):
            outer.append((edge + end) / 2)
    return [*inner, *outer, *grid]


def _scopes(case: Case, cut: Expr) -> Iterator[dict[Index, int]]:
    """Some places of the indices that nothing in the cut binds."""
    free = sorted((i for i in cut.free_symbols if isinstance(i, Index)), key=str)
    places = range(min(PLACES, *map(len, case.tokens.values())))
    for at in itertools.islice(itertools.product(places, repeat=len(free)), 4):
        yield dict(zip(free, at, strict=True))
