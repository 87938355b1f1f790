"""However big a spec is, each question has an answer within the work that it is allowed."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sizes import LARGEST, SHAPES, spec

import midpo
from midpo.proofs.audit.audit import audit
from midpo.proofs.compare import comparison
from midpo.proofs.compare.comparison import compare
from midpo.proofs.recover.recovery import verify
from midpo.proofs.recover.solution import solve
from midpo.rows import class_of, row
from midpo.symbolic import work
from midpo.symbolic.errors import SpecError, TooLarge
from midpo.symbolic.language.spec import Spec

SECONDS = 20  # of processor time: some ten, and room for a machine that others use too
ANSWERS: dict[str, Callable[[Spec], str]] = {
    "verify": lambda given: verify(given).verdict,
    "solve": lambda given: solve(given).kind,
    "compare": lambda given: compare(given, midpo.load("dpo")).verdict,
    "audit": lambda given: str(audit(given, trials=2).undecided),
    "show": lambda given: f"{row(given, kind=class_of(given)).kind}",
}


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_an_answer_at_any_allowance(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the work ends, what is then said is no error and not false."""
    name = list(SHAPES)[number]
    allowed = (0, 300, 3_000)[number % 3]
    monkeypatch.setattr(work, "QUESTION", allowed)
    for right in (True, False):
        found = verify(midpo.loads(spec(name, 3, right=right)))
        assert found.verdict != ("refuted" if right else "proved")
        assert found.as_json()["verdict"] == found.verdict
    command = list(ANSWERS)[1 + number % (len(ANSWERS) - 1)]
    try:
        ANSWERS[command](midpo.loads(spec(name, 2)))
    except SpecError as error:
        assert "no prior to audit" in str(error)


def test_one_question_is_counted_as_a_whole() -> None:
    with work.question():
        for _ in range(3):  # each stage anew, all of them of the question's own
            with work.allowance(units=work.QUESTION, anew=True):
                work.spend(work.QUESTION // 3)
        with work.question(), pytest.raises(TooLarge, match="the work allowed is spent"):
            work.spend(1 + work.QUESTION % 3)
        with work.uncounted():
            work.spend(10 * work.QUESTION)
    with work.question():
        for _ in range(3):  # what a stage is refused is not done, and costs the question nothing
            with work.allowance(units=100, anew=True), pytest.raises(TooLarge, match="more work than"):
                work.spend(work.QUESTION)
        work.spend(work.QUESTION)


def test_a_comparison_says_what_it_did_not_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "is_spent", lambda: True)
    found = compare(midpo.load("ipo"), midpo.load("orpo"))
    assert found.verdict == "different" and "before all were tried" in found.standing


def test_a_difference_is_found_before_special_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their search may spend all the work that a question has."""

    def search(*_: object) -> None:
        with pytest.raises(TooLarge), work.allowance(units=2 * work.QUESTION):
            work.spend(work.QUESTION)

    monkeypatch.setattr(comparison, "_special", search)
    found = compare(midpo.load("dpo"), midpo.load("orpo"))
    assert found.verdict == "different" and found.witness is not None
    assert work.SPENT in found.standing


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(ANSWERS))
@pytest.mark.parametrize("name", sorted(SHAPES))
def test_an_answer_in_time(name: str, command: str, tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_text(spec(name, LARGEST), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "midpo", command, str(file), *["dpo"] * (command == "compare")],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS)),
    )
    assert done.returncode in (0, 1, 2, 3, 4), done.stderr[-500:]
    assert "Traceback" not in done.stderr
