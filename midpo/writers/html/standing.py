"""Claims on a page: each with a mark for its standing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from midpo.proofs.account.claim import Claim, Topic
from midpo.symbolic.formula.standing import Standing

from .text import formula, words

KINDS = {
    Standing.PROVED: "proved",
    Standing.ACCEPTED: "kernel",
    **dict.fromkeys(
        (
            Standing.REFUTED,
            Standing.EXACT,
            Standing.ENCLOSED,
            Standing.DIFFERENTIATED,
            Standing.COMPUTED,
            Standing.READ,
        ),
        "exact",
    ),
    Standing.EVIDENCE: "evidence",
    **dict.fromkeys((Standing.REFERENCE, Standing.STATED), "reference"),
}


def topics(found: Iterable[Topic]) -> list[dict[str, Any]]:
    """Topics as the template speaks of them."""
    return [
        {"name": topic.name, "title": words(topic.title), "claims": list(map(_shown, topic.claims))}
        for topic in found
    ]


def _shown(claim: Claim) -> dict[str, Any]:
    return {
        "question": claim.question,
        "sentence": words(claim.sentence),
        "why": words(claim.why),
        "where": [words(condition) for condition in claim.where],
        "formulas": [(words(f.words), formula(f.formula)) for f in claim.formulas],
        "standing": words(claim.standing),
        "kind": KINDS.get(claim.standing.standing, "none"),
    }
