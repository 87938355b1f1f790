"""What is claimed of code: a claim a question, each with its standing, and the terminal says all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from midpo.proofs.account.code import code_topic
from midpo.proofs.code.answer import CodeProof, UpTo
from midpo.symbolic.formula.standing import Standing
from midpo.writers.terminal.code import MOST, proof

PROVED = CodeProof(
    "dpo",
    "loss.py:loss",
    "proved",
    "proved",
    "proved",
    "every value",
    "-log(sigmoid(alpha))",
    ("real",),
    steps=3,
)
REFUTED = replace(
    PROVED,
    verdict="refuted",
    value="refuted",
    gradient="undecided",
    reason="too much work",
    up_to=UpTo(factor="2"),
    witness={"what": "value", "said": "the code gives 1, the spec 2"},
)
NOT_LIFTED = replace(
    PROVED, verdict="not lifted", value="undecided", gradient="undecided", formula="", reason="it sleeps"
)


@pytest.mark.parametrize(
    ("found", "standings"),
    [
        (PROVED, {"value": Standing.PROVED, "gradient": Standing.PROVED, "formula": Standing.READ}),
        (
            REFUTED,
            {
                "value": Standing.REFUTED,
                "gradient": Standing.UNDECIDED,
                "up to": Standing.PROVED,
                "formula": Standing.READ,
            },
        ),
        (NOT_LIFTED, {"code": Standing.UNDECIDED}),
        (replace(PROVED, gradient="not asked"), {"value": Standing.PROVED, "formula": Standing.READ}),
    ],
)
def test_each_question_has_its_standing(
    found: CodeProof, standings: dict[str, Standing], capsys: pytest.CaptureFixture[str]
) -> None:
    topic = code_topic(found)
    assert {claim.question: claim.standing.standing for claim in topic.claims} == standings
    proof(found)
    said = capsys.readouterr().out
    for claim in topic.claims:
        assert f"{claim.sentence} [{claim.standing}]" in said
        assert all(condition in said for condition in claim.where)


def test_a_case_stands_at_the_question_it_answers() -> None:
    topic = code_topic(replace(REFUTED, gradient="refuted"))
    assert "the spec 2" in topic["value"].standing and "the spec 2" not in topic["gradient"].standing


def test_a_long_formula_is_cut_and_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    proof(replace(PROVED, formula="alpha + " * MOST + "alpha"))
    assert "all of them: --json" in capsys.readouterr().out
