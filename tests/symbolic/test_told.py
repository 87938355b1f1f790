"""Sentences with formulas and standings in them, and formulas as one line of characters."""

from __future__ import annotations

import pickle

from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Displayed, known, listed, proved, theorem, told
from midpo.symbolic.formula.write import name


def test_a_standing_is_a_value_of_the_sentence_that_names_it() -> None:
    inner = known(Standing.EVIDENCE, "{} pairs", "3")
    whole = told("{}; {}", proved("{}", inner), "more")
    assert whole == "proved: numerical evidence: 3 pairs; more"
    assert (whole.standing, inner.standing) == (Standing.PROVED, Standing.EVIDENCE)
    assert told("proved: a word is no standing").standing is Standing.UNDECIDED
    assert pickle.loads(pickle.dumps(whole)).standing is Standing.PROVED


def test_citations_have_a_number_and_a_capital() -> None:
    assert told("({})", theorem("3", "2.7")) == "(theorems 3 and 2.7)"
    assert told("{}: x", theorem("2")).capitalised() == "Theorem 2: x"
    assert theorem("1", "2").under("result") == "results 1 and 2"


def test_a_list_keeps_its_formulas() -> None:
    alpha, beta = name("alpha"), name("beta")
    assert listed([alpha, "b", beta]) == "α, b and β" and listed([alpha]) == "α"
    assert [part.formula for part in listed([alpha, beta]).parts if isinstance(part, Displayed)] == [
        alpha,
        beta,
    ]
