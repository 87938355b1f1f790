"""Formulas as one line of characters, for a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies import NAMES as LANGUAGE
from strategies import texts

import midpo
from midpo.symbolic.formula.characters import line, mathematics
from midpo.symbolic.formula.tree import Fence, Formula, Fraction, Root, call, row, script
from midpo.symbolic.formula.write import name as symbol
from midpo.symbolic.formula.write import write
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
