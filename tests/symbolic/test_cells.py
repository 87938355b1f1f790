"""Proofs by cells: what they prove, what they leave open, and that the checker sees through false
ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from sympy import Expr, Integer, Symbol
from test_recovery import both, decide

from midpo.proofs.checking.check import CheckFailed, check
from midpo.symbolic.algebra.cells import Empty, Fork, Leaf, Tree, contradicts, leaves, on_cell, sign_of
from midpo.symbolic.algebra.linear import nonnegative_solution
from midpo.symbolic.language.nodes import Exp, Feature, Length, Max, Prob
from midpo.symbolic.language.nodes import Step as Indicator
from midpo.symbolic.rewriting.derivation import Derivation, Step
from midpo.symbolic.rewriting.rule import CELLS

Y = Symbol("y")
A, B, C = (Feature(Symbol(name), Y) for name in "abc")
N = Length(Y)

EQUAL = {
    "product of maxima": ("abs(score(y)*u(y))", "abs(score(y))*abs(u(y))"),
    "median": (
        "max(min(score(y), u(y)), min(max(score(y), u(y)), len(y)))",
        "score(y) + u(y) + len(y) - max(score(y), u(y), len(y)) - min(score(y), u(y), len(y))",
    ),
    "monotone": ("exp(max(score(y), u(y)))", "max(exp(score(y)), exp(u(y)))"),
    "logarithm in a maximum": ("exp(max(log(1 - pi(y)), score(y)))", "max(exp(score(y)), 1 - pi(y))"),
    "nested": ("max(len(y), min(exp(score(y)/2), 1))", "min(max(len(y), exp(score(y)/2)), max(len(y), 1))"),
    "in a sum": (
        "sum(abs(w(y,t))*max(w(y,t), log(pi(y,t))) for t in y)",
        "sum(max(w(y,t), -w(y,t))*(w(y,t) + relu(log(pi(y,t)) - w(y,t))) for t in y)",
    ),
    "quotients": ("exp(score(y)/(1 + u(y)**2))", "exp(score(y))/exp(score(y)*u(y)**2/(1 + u(y)**2))"),
    "quotients over the vocabulary": (
        "sum(sum(pi(y,t,v)**2/(pi(y,t,v) + pi_ref(y,t,v)) for v in vocab) for t in y)",
        "len(y) - sum(sum(pi(y,t,v)*pi_ref(y,t,v)/(pi(y,t,v) + pi_ref(y,t,v)) for v in vocab) for t in y)",
    ),
    "finer factors": ("log(1 - pi(y))", "log(1 - sqrt(pi(y))) + log(1 + sqrt(pi(y)))"),
}
HEAD = """name = "cells"
[parameters]
alpha = {domain = "positive", default = 0.1}
[features]
score = "response"
u = "response"
w = "token"
"""


@pytest.mark.parametrize("name", EQUAL)
def test_equal_by_cells(name: str) -> None:
    one, other = EQUAL[name]
    found = decide(f"pi(y)*exp(-({one}))", both(other), head=HEAD)
    assert found.verdict == "proved", found.explanation
    off = decide(f"pi(y)*exp(-({one}) + max(score(y)/3, u(y)/5))", both(other), head=HEAD)
    assert off.verdict == "refuted" and off.witness is not None


def test_ties_of_steps_are_side_conditions() -> None:
    found = decide("pi(y)*exp(-step(-score(y)))", both("1 - step(score(y))"))
    assert found.verdict == "proved"
    assert found.side_conditions == ("score(y_l) != 0", "score(y_w) != 0")
    token = decide("pi(y)*exp(-sum(step(-w(y,t)) for t in y))", both("len(y) - sum(step(w(y,t)) for t in y)"))
    assert token.side_conditions == ("w(y_l, t) != 0 for every t", "w(y_w, t) != 0 for every t")
    assert decide("pi(y)*exp(-abs(score(y)))", both("abs(-score(y))")).side_conditions == ()


def test_signs_on_a_cell() -> None:
    cell = ((A, True), (B, False))
    product = sign_of(-2 * A * B, cell)
    assert product is not None and product.positive and not product.strict
    assert sign_of(A + B, cell) is None
    assert on_cell(Max(A, 2 * A) + Max(B, Integer(0)), cell) == (2 * A, frozenset())
    assert on_cell(Indicator(-A), cell) == (Integer(0), frozenset({A}))
    assert on_cell(Indicator(B), cell) == (Integer(0), frozenset())
    grown = sign_of(Exp(A) - 1, cell)
    assert grown is not None and grown.positive


def test_contradictions() -> None:
    one = Integer(1)
    assert contradicts(((A, True), (A + 1, False)), ((one, A), (one, A + 1)))
    assert not contradicts(((A, True), (A - 1, False)), ((one, A), (one, A - 1)))
    assert not contradicts((), ())
    assert not contradicts(((A, True), (A + 1, False)), ((-one, A), (one, A + 1)))
    assert not contradicts(((A, True),), ((one, B),))
    probability = Prob(Symbol("pi"), Y)
    assert contradicts(((2 - A, False), (A - probability, False)), ((one, A - 2), (one, A - probability)))
    assert not contradicts(((A, True), (A - probability, False)), ((one, A), (one, A - probability)))
    assert contradicts(((A, True), (A + N, False)), ((one, A), (one, A + N)))


def proof() -> tuple[Derivation, Expr, Expr, dict[Expr, Expr]]:
    found = decide("pi(y)*exp(-abs(score(y)*u(y)))", both("abs(score(y))*abs(u(y))"), head=HEAD)
    assert found.derivation is not None
    return found.derivation, found.recovered, found.target, dict(found.definitions)


def changed(tree: Tree) -> Iterator[Tree]:
    """False trees that are near `tree`."""
    if isinstance(tree, Fork):
        yield tree.above
        yield replace(tree, above=tree.below, below=tree.above)
        yield replace(tree, cut=tree.cut + 1)
        for branch in changed(tree.below):
            yield replace(tree, below=branch)
    elif isinstance(tree, Leaf):
        yield Empty(())
        yield Empty(((Integer(1), tree.chain.start),))
        yield Leaf(Derivation(tree.chain.start + 1, tree.chain.steps))
        if tree.chain.steps:
            yield Leaf(Derivation(tree.chain.start, tree.chain.steps[:-1]))
    else:
        yield Leaf(Derivation(Integer(0)))


def test_false_trees_are_refused() -> None:
    chain, start, end, definitions = proof()
    assert check(chain, start, end, definitions)
    tried = 0
    for at, step in enumerate(chain.steps):
        if step.rule != CELLS:
            continue
        for instance in step.instances:
            (tree,) = instance.parts
            for false in changed(tree):
                steps: list[Step] = list(chain.steps)
                wrong: Any = replace(instance, parts=(false,))
                steps[at] = replace(step, instances=(wrong,))
                tried += 1
                with pytest.raises(CheckFailed):
                    check(Derivation(chain.start, steps), start, end, definitions)
    assert tried >= 10


def test_every_cell_is_covered() -> None:
    chain, *_ = proof()
    trees = [i.parts[0] for s in chain.steps if s.rule == CELLS for i in s.instances]
    assert trees
    for tree in trees:
        ends = [dict(signs) for signs, _ in leaves(tree)]
        assert sum(Fraction(1, 2 ** len(signs)) for signs in ends) == 1


def test_linear_programs_against_scipy() -> None:
    linprog = pytest.importorskip("scipy.optimize").linprog
    rng = random.Random(5)
    solved = 0
    for _ in range(150):
        rows, columns = rng.randint(1, 7), rng.randint(1, 9)
        matrix = [[Fraction(rng.randint(-3, 3)) for _ in range(columns)] for _ in range(rows)]
        values = [Fraction(rng.randint(-2, 2)) for _ in range(rows)]
        found = nonnegative_solution(matrix, values)
        theirs = linprog(
            [0] * columns, A_eq=[[float(a) for a in row] for row in matrix], b_eq=[float(v) for v in values]
        )
        assert (found is not None) == (theirs.status == 0)
        if found is not None:
            solved += 1
            assert min(found) >= 0
            for row, value in zip(matrix, values, strict=True):
                assert sum(a * x for a, x in zip(row, found, strict=True)) == value
    assert 20 < solved < 140
