"""Mathematics for a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from strategies import NAMES as LANGUAGE
from strategies import texts

import midpo
from midpo.symbolic.formula.unicode import letter, mathematics
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
    [
        ("alpha", "α"),
        ("mu1", "μ₁"),
        ("lam", "λ"),
        ("Gamma", "Γ"),
        ("pi_ref", "π_ref"),
        ("score", "score"),
        ("w", "w"),
        ("beta_2", "β_2"),
    ],
)
def test_letters(name: str, shown: str) -> None:
    assert letter(name) == shown


@given(texts(PRIOR))
@settings(max_examples=60)
def test_everything_can_be_shown(source: str) -> None:
    try:
        expr = parse(source, LANGUAGE, PRIOR)
    except midpo.SpecError:
        return
    assert mathematics(expr).isprintable()
