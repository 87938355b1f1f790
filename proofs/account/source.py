"""Where the formulas come from: what no program can prove."""

from __future__ import annotations

from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import known, told
from midpo.symbolic.language.spec import Spec

from .claim import Claim, Topic


def source_topic(spec: Spec) -> Topic:
    """That the formulas are those of the source; or that there are none, and why."""
    paper = bool(spec.reference or spec.bibtex)
    kind = Standing.REFERENCE if paper else Standing.STATED
    known_from = told("{}; {}", kind, spec.status) if paper else known(kind)
    if spec.reason:
        claim = Claim("loss", "none", "no loss of one pair", known_from, why=spec.reason)
    else:
        claim = Claim(
            "formulas",
            "stated",
            "the formulas stated are the published ones"
            if paper
            else "the formulas are those of the file, which cites no source",
            known_from,
        )
    return Topic("source", "where the formulas come from", (claim,))
