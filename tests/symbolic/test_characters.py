"""Formulas as one line of characters, for a terminal."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies import NAMES as LANGUAGE
from strategies import texts
from sympy import Add, Expr, I, Mul, Pow, Rational, nan, oo, zoo

import midpo
from midpo.symbolic.formula import layout
from midpo.symbolic.formula.characters import line, mathematics
from midpo.symbolic.formula.tree import (
    Beside,
    Bracket,
    Fence,
    Formula,
    Fraction,
    Root,
    Script,
    call,
    row,
    script,
)
from midpo.symbolic.formula.write import inline, write
from midpo.symbolic.formula.write import name as symbol
from midpo.symbolic.language.nodes import Exp, Log, Parameter
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR, TARGET, Names

NAMES = Names(policies=frozenset({"pi", "pi_ref", "pi_old"}))


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("pi(y)**(1 - 1/len(y))", "π(y)^(1 − 1/|y|)"),
        ("pi_old(y)*exp(-len(y))", "π_old(y)·exp(−|y|)"),
        ("sum(kl(pi_ref, pi, y, t) for t in y)", "Σ_{t∈y} KL(π_ref ‖ π; y, t)"),
        ("len(y)*sum(log(pi(y, s)) for s in y)", "|y|·(Σ_{t∈y} log(π(y, t)))"),
        ("sum(sum(pi(y, t, v) for v in vocab) for t in y)", "Σ_{t∈y} Σ_{v∈V} π(y, t, v)"),
    ],
)
def test_mathematics(source: str, written: str) -> None:
    assert mathematics(parse(source, NAMES, PRIOR)) == written


def test_targets_read_in_order() -> None:
    shown = mathematics(parse("logsigmoid(-len(y_l)) + sigmoid(len(y_w))", NAMES, TARGET))
    assert shown == "σ(|y_w|) + log σ(−|y_l|)"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("alpha", "α"), ("mu1", "μ₁"), ("lam", "λ"), ("Gamma", "Γ"), ("score", "score"), ("w", "w")],
)
def test_letters(name: str, shown: str) -> None:
    assert line(symbol(name)) == shown


@given(texts(PRIOR))
@settings(max_examples=60)
def test_everything_can_be_shown(source: str) -> None:
    try:
        expr = parse(source, LANGUAGE, PRIOR)
    except midpo.SpecError:
        return
    assert mathematics(expr).isprintable()


@pytest.mark.parametrize(
    ("formula", "shown"),
    [
        (Fraction(row("a", " + ", "b"), row("c")), "(a + b)/c"),
        (row(r"\log", Fence("(", row("x"), ")")), "log(x)"),
        (row(r"\log", "x", r" \le ", 1), "log x ≤ 1"),
        (script("y", row("w", ",", "t")), "y_{w,t}"),
        (script("e", above=row("V", "/", symbol("alpha"))), "e^(V/α)"),
        (row("-", call(r"\sigma", symbol("mu1"))), "−σ(μ₁)"),
        (Root(row("a", "b")), "√(ab)"),
    ],
)
def test_a_formula_is_one_line_of_characters(formula: Formula, shown: str) -> None:
    assert line(formula) == shown


@pytest.mark.parametrize("row_name", ["dpo", "tdpo", "kto", "sparsepo", "exo"])
def test_every_formula_has_a_line(row_name: str) -> None:
    for expr in midpo.load(row_name).expressions:
        shown = line(write(expr))
        assert "\\" not in shown and "\n" not in shown and "  " not in shown


VALUES = {"a": 1.3, "b": 0.7, "c": 2.1}
A, B, C = map(Parameter, VALUES)
LEAVES = [A, B, C, *map(Rational, (2, 3, "1/2", "3/4"))]


LONG = Add(*(A**n * Log(B) / (C + n) for n in range(1, 7)))


@st.composite
def arithmetic(draw: st.DrawFn, depth: int = 4) -> Expr:
    """Sums, products, quotients, logarithms and powers."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(LEAVES))
    one, other = draw(arithmetic(depth - 1)), draw(arithmetic(depth - 1))
    if draw(st.booleans()):
        return draw(st.sampled_from([one + other, one - other, one * other]))
    return draw(st.sampled_from([Log(one), Exp(one), one**2, Pow(one, -1), other / Pow(one, 2), A**one]))


def value(expr: Expr) -> complex:
    """What an expression is worth, without its text."""
    if isinstance(expr, (Add, Mul)):
        found = list(map(value, expr.args))
        return sum(found) if isinstance(expr, Add) else math.prod(found)
    if isinstance(expr, Pow):
        return value(expr.base) ** value(expr.exp)
    if isinstance(expr, (Log, Exp)):
        return (cmath.log if isinstance(expr, Log) else cmath.exp)(value(expr.args[0]))
    return complex(VALUES[expr.name] if isinstance(expr, Parameter) else expr)


@given(arithmetic())
@example((A + B) / C)
@example((A + B) * Log(C) / B)
@example(A / (B * C) - (A - (B - C)))
@example(A ** (B + C) / (2 * Log(A) * (B - 1)))
@example(LONG / C)
@example(A * Log(B) / LONG)
@example(A - LONG**2 * Log(B - LONG))
@example(A**LONG / (2 - LONG))
@settings(max_examples=150, deadline=None)
def test_a_line_means_what_the_expression_does(expr: Expr) -> None:
    """Brackets are where Python's grammar needs them, which is that of a reader."""
    assume(not expr.has(I, nan, oo, zoo))  # no words of the language
    try:
        wanted = value(expr)
    except (ArithmeticError, ValueError):
        return
    for formula in (write(expr), inline(expr)):
        broken = (rejoined(layout.lines(formula, width)) for width in (20, 40))
        for shown in map(line, (formula, *broken)):
            read = shown.translate(PYTHON)
            got = eval(read, {"log": cmath.log, "exp": cmath.exp, **VALUES})
            assert got == pytest.approx(wanted, rel=1e-6, abs=1e-6), shown


PYTHON = str.maketrans({"·": "*", "×": "*", "−": "-", "^": "**", "↑": "**"})


def rejoined(lines: list[Formula]) -> Formula:
    """The lines of a formula side by side, each bracket with its partner again."""
    rows: list[tuple[str, list[Formula]]] = [("", [])]
    whole = row(*lines)
    for part in whole.parts if isinstance(whole, Beside) else (whole,):
        bracket = part.base if isinstance(part, Script) else part
        if not isinstance(bracket, Bracket):
            rows[-1][1].append(part)
        elif bracket.opening:
            rows.append((bracket.sign, []))
        else:
            left, inside = rows.pop()
            fence = Fence(left, row(*inside), bracket.sign)
            rows[-1][1].append(replace(part, base=fence) if isinstance(part, Script) else fence)
    ((_, parts),) = rows
    return row(*parts)
