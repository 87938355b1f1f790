"""One account of a spec, and three that write it: each claim stands in all of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from test_page import Reader

import midpo
from midpo.gathering import Wanted, section_of
from midpo.numeric.checking.found import CrossCheck, DtypeErrors
from midpo.proofs.account.claim import Claim
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, proved, told
from midpo.symbolic.language.spec import Spec, load, loads
from midpo.writers.html.page import entry, render
from midpo.writers.html.text import words
from midpo.writers.latex import report
from midpo.writers.latex.pieces import answered, marked
from midpo.writers.section import Section
from midpo.writers.terminal import answers, audit, checks, specs
from midpo.writers.terminal.pieces import out

CERTIFICATE = told("{} (Coq 8.16.1)", Standing.ACCEPTED)
ERRORS = DtypeErrors("float64", 60, 1.2, 2.5e-3, 32.0, True)
CHECK = CrossCheck("any", True, 60, 0, "cpu", (ERRORS,), 3e-49, True)
REFUTED = """
name = "wrong"
prior = "pi_ref(y)"
[parameters]
alpha = "positive"
gamma = "real"
[target]
margin = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l)) - gamma"
"""
STEPPED = """
name = "stepped"
prior = "pi_ref(y)*exp(relu(s(y)) - relu(-s(y)))"
[parameters]
alpha = "positive"
[features]
s = "response"
[target]
margin = '''alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))
- alpha*(s(y_w)*step(s(y_w)) + s(y_w)*step(-s(y_w)) - s(y_l))'''
"""


def told_of(spec: Spec, audited: bool) -> Section:
    found = section_of(spec, CHECK, Wanted(audit=audited, kernel=False, plots=()))
    return replace(found, certificate=CERTIFICATE)


def in_terminal(section: Section) -> str:
    """What show, verify --certify, solve, check and audit print."""
    with out.capture() as captured:
        specs.spec(section.spec)
        if section.recovery is not None:
            answers.recovery(section.recovery)
            answers.kernel(SimpleNamespace(kernel=section.certificate))  # type: ignore[arg-type]
        elif section.facts is not None:
            specs.prior(section.facts)
        if section.solution is not None:
            answers.solution(section.solution, None)
        checks.crosscheck(CHECK)
    shown = "" if section.audit is None else audit.written(section.audit)
    return " ".join(f"{captured.get()} {shown}".split())


def flat(text: str) -> str:
    return " ".join(text.split())


# The document, and how it writes a sentence and a standing (a page's line may begin with it).
WRITERS: dict[str, Any] = {
    "terminal": (in_terminal, flat, (flat, lambda standing: flat(standing.rest))),
    "latex": (lambda section: report.render([section]), answered, (marked, answered)),
    "html": (lambda section: render([entry(section)]), words, (words,)),
}


def missing(section: Section, more: tuple[Claim, ...] = ()) -> set[tuple[str, str]]:
    """(writer, what it does not say) for each claim: its sentence, why, where and standing."""
    lost = set()
    for name, (document, write, stand) in WRITERS.items():
        text = str(document(section))
        for claim in (*section.account.claims, *more):
            lost |= {
                (name, str(said))
                for said in (claim.sentence, claim.why, *claim.where)
                if str(write(said)) not in text
            }
            if not any(str(way(claim.standing)) in text for way in stand):
                lost.add((name, str(claim.standing)))
    return lost


@pytest.mark.parametrize("name", midpo.catalogue())
def test_every_claim_is_in_terminal_latex_and_html(name: str) -> None:
    found = told_of(load(name), audited=name in ("tdpo", "simpo"))
    assert found.account["source"].claims and not missing(found)
    made = entry(found)
    Reader(render([made]))
    said = [*made.section["assumptions"], *(meaning for _, meaning in made.section["facts"])]
    said += [step["reason"] for step in (made.section["chain"] or {"steps": ()})["steps"]]
    assert not [sentence for sentence in said if "\\" in sentence or "$" in sentence]


def test_a_refutation_and_its_reason_are_in_all_three() -> None:
    found = told_of(loads(REFUTED), audited=False)
    assert next(claim.verdict for claim in found.account["recovery"].claims) == "refuted"
    assert not missing(found)


def test_what_a_proof_leaves_out_is_in_all_three() -> None:
    found = told_of(loads(STEPPED), audited=False)
    (claim, *_) = found.account["recovery"].claims
    assert claim.verdict == "proved" and claim.where, claim
    assert not missing(found)
    tex = report.render([found])
    assert answered(claim.where[0]) in tex.split(r"\begin{theorem}")[1].split(r"\end{theorem}")[0]


def test_a_claim_that_a_writer_drops_is_missed() -> None:
    found = told_of(load("dpo"), audited=False)
    dropped = Claim("planted", "", "no writer says this", proved("planted"))
    assert {name for name, _ in missing(found, (dropped,))} == set(WRITERS)


@pytest.mark.parametrize("name", ["tdpo", "kto"])
def test_every_claim_has_a_standing_that_is_a_value(name: str) -> None:
    for claim in told_of(load(name), audited=name == "tdpo").account.claims:
        assert isinstance(claim.standing, Told) and claim.question and claim.sentence
        assert any(isinstance(part, Standing) for part in claim.standing.parts), claim
