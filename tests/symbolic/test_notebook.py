"""Answers in notebooks: every public answer shows itself, and nothing of a spec is markup."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import midpo
from midpo.symbolic.formula import notebook


def parsed(html: str) -> str:
    """The text of well-formed HTML."""
    return "".join(ElementTree.fromstring(f"<div>{html}</div>").itertext())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: midpo.solve("simpo"), "label-dependent"),
        (lambda: midpo.compare("tdpo2", "dpo"), "special case"),
        (lambda: midpo.generate("dpo"), "def dpo_loss("),
        (lambda: midpo.check("dpo", trials=2, dtypes=["float32"]), "agrees"),
    ],
)
def test_an_answer_shows_itself(answer: object, said: str) -> None:
    if said == "agrees":
        pytest.importorskip("torch")
    assert callable(answer)
    assert said in parsed(answer()._repr_html_())


def test_text_is_no_markup() -> None:
    html = notebook.card("<b>", "</p>", [("<i>", "<script>"), ("left out", None), ("and", "")])
    assert "<script>" not in html and "left out" not in html
    assert parsed(html) == "<b>: </p><i><script>"
