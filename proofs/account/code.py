"""What code is found to compute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known, proved, told, undecided

from .claim import Claim, Topic

if TYPE_CHECKING:
    from midpo.proofs.code.answer import CodeProof

_SENTENCES = {
    "proved": "its {} is that of {}",
    "refuted": "its {} is not that of {}",
    "undecided": "whether its {} is that of {}",
}


def code_topic(found: CodeProof) -> Topic:
    """Every claim about a function and a spec."""
    return Topic("code", "what the code computes", tuple(_claims(found)))


def _claims(found: CodeProof) -> Iterator[Claim]:
    for question in ("value", "gradient"):
        verdict = getattr(found, question)
        if verdict != "not asked" and found.verdict != "not lifted":
            yield Claim(
                question,
                verdict,
                _SENTENCES[verdict].format(question, found.name),
                _standing(found, question, verdict),
                where=(f"for {found.scope}", *found.assumptions),
            )
    if found.verdict == "not lifted":
        yield Claim("code", "not lifted", "what it computes", undecided(found.reason))
    if found.up_to is not None:
        yield Claim("up to", "up to", f"it is {found.up_to}", proved("the value, by a derivation, replayed"))
    if found.formula:
        yield Claim(
            "formula",
            "lifted",
            f"it computes {found.formula}",
            told("{} the code, which was run on symbols, and tested against it", Standing.READ),
        )
    if found.certificate is not None:
        said = told("{}", str(found.certificate.kernel))
        yield Claim("certificate", found.certificate.state, "its value is a theorem for Coq", said)


def _standing(found: CodeProof, question: str, verdict: str) -> Told:
    if verdict == "proved":
        steps = f"{found.steps} step{'s' * (found.steps != 1)}"
        return proved(
            f"derivations of {steps}, replayed by the checker"
            if found.steps
            else "both sides are one expression"
        )
    if verdict == "refuted":
        witness = found.witness
        told_of = "" if witness is None or witness["what"] != question else str(witness["said"])
        return known(Standing.REFUTED, told_of)
    return undecided(found.reason)
