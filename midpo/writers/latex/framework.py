"""The framework's theorems and the paper's slips as parts of a report, and as documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import Formatter
from typing import Any

from sympy import Expr

from midpo.proofs.framework.slip_checks import Finding, Slip
from midpo.proofs.framework.theorem import Proof, Theorem
from midpo.symbolic.formula.characters import mathematics
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told
from midpo.symbolic.formula.tree import EMPTY, Text, leaf, listed, row
from midpo.symbolic.formula.width import width as measure
from midpo.symbolic.formula.write import write
from midpo.symbolic.framework.hypothesis import HYPOTHESIS
from midpo.symbolic.rewriting.derivation import Step

from .pieces import WIDTH, answered, escape, marked, math, pasted, rows, scientific

_SIGNS = {"=": "= ", "≤": r"\le ", "<": "< "}
_SEVERITY = {"E": "error", "G": "gap", "N": "notation", "none": "none"}


@dataclass(frozen=True)
class Framework:
    """The framework's theorems, and each slip of the paper with what its checks found."""

    theorems: Sequence[Theorem]
    slips: Sequence[tuple[Slip, tuple[Finding, ...]]]


def context(derived: Framework) -> dict[str, Any]:
    """What `theorems.tex.j2` speaks of: every theorem with its chains, and the slips."""
    return {
        "theorems": [_theorem(t) for t in derived.theorems],
        "slips": [
            {
                "name": slip.name,
                "where": escape(slip.where),
                "severity": _SEVERITY[slip.severity],
                "printed": escape(slip.printed),
                "right": escape(slip.right),
                "findings": [_finding(f) for f in found],
            }
            for slip, found in derived.slips
        ],
    }


def summary(theorems: Sequence[Theorem]) -> list[dict[str, str]]:
    """A row for each theorem: what it says, and how it is known."""
    return [
        {
            "label": f"thm:{theorem.name}",
            "title": escape(theorem.title),
            "count": f"{len(theorem.parts)} parts, {sum(len(proof.steps) for proof in theorem.proofs)} steps",
            "standing": _standing(theorem.holds, theorem.standing),
        }
        for theorem in theorems
    ]


def _standing(holds: bool, standing: Told) -> str:
    if not holds:
        return rf"\refuted{{}}: {escape(standing)}"
    return marked(standing) if standing.standing is Standing.PROVED else answered(standing)


def _theorem(theorem: Theorem) -> dict[str, Any]:
    return {
        "label": f"thm:{theorem.name}",
        "name": escape(theorem.name),
        "title": escape(theorem.title),
        "statement": _sentence(theorem),
        "assumptions": [escape(a) for a in theorem.assumptions],
        "hypotheses": [
            {"words": _led(h.words), "display": _equation(h.left, "=", h.right)} for h in theorem.hypotheses
        ],
        "cites": [escape(fact) for fact in theorem.cites],
        "parts": [_part(number, proof) for number, proof in enumerate(theorem.proofs, 1)],
    }


def _sentence(theorem: Theorem) -> str:
    """The statement, its words escaped and its formulas set; long ones may break."""
    shown = []
    for words, name, _, _ in Formatter().parse(theorem.statement):
        shown.append(escape(words) if not words.startswith(" ") else " " + escape(words))
        if name is not None:
            formula = theorem.formulas[name]
            sides = formula if isinstance(formula, tuple) else (formula,)
            shown.append(" " + math(listed(map(write, sides), " = ")))
    return "".join(shown)


def _led(words: str) -> str:
    return f"{escape(words[:1].upper() + words[1:])}:"


def _equation(left: Expr, relation: str, right: Expr) -> str:
    """left = right as rows of a display, the sign first on a line where both are long."""
    sign = _SIGNS[relation]
    lines = broken(write(left), WIDTH)
    second = broken(write(right), WIDTH - 6)
    second[0] = row(sign, second[0])
    if len(lines) == len(second) == 1 and measure(lines[0]) + measure(second[0]) <= WIDTH:
        return pasted(EMPTY, [row(lines[0], " ", second[0])], numbered=False)
    return pasted(EMPTY, [*lines, *second], numbered=False)


def _part(number: int, proof: Proof) -> dict[str, Any]:
    part, seen = proof.part, proof.evidence
    close = (
        ""
        if part.relation == "="
        else ("This is at least 0." if part.relation == "≤" else "This is greater than 0.")
    )
    counts = "".join(
        f"; without ``{escape(name)}'' the equation fails at {fails} of {tried}"
        for name, (fails, tried) in seen.broken.items()
    )
    return {
        "number": str(number),
        "words": _led(part.words),
        "claim": _equation(part.left, part.relation, part.right),
        "given": escape(", ".join(h.name for h in part.given)),
        "start": ""
        if part.relation == "="
        else rows(row(Text("right"), " - ", Text("left"), " = "), part.start, numbered=False),
        "steps": _steps(proof),
        "close": close,
        "standing": f"{_standing(proof.holds, proof.standing)}. Evaluated on {seen.instances} "
        f"random instances: largest relative error {scientific(seen.error)}{counts}.",
    }


_KINDS = ("meaning", HYPOTHESIS)  # other steps are algebra and derivatives


def _steps(proof: Proof) -> list[tuple[str, str]]:
    """The chain, with neighbouring steps of one kind shown as one: their reasons, their result."""
    rules = proof.part.rules

    def kind(step: Step) -> str:
        phase = rules[step.rule].phase if step.rule in rules else ""
        return phase if phase in _KINDS else ""

    shown = []
    for _, group in groupby(proof.steps, kind):
        steps = list(group)
        reasons = dict.fromkeys(proof.part.reason(step) for step in steps)
        shown.append((_led("; ".join(reasons)), rows(leaf("= "), steps[-1].after, numbered=False)))
    return shown


def _finding(found: Finding) -> dict[str, str]:
    words = escape(found.words)
    if found.how == "theorem":
        name, part = found.words.split(", ")
        words = rf"section~\ref{{thm:{name}}}, {escape(part)}"
    elif found.laid_out is not None:
        words += f": {math(found.laid_out)}"
    return {"how": found.how, "words": words, "standing": _standing(found.holds, found.standing)}


# --- Documentation -------------------------------------------------------------------------------


def markdown(theorems: Sequence[Theorem]) -> str:
    """The table of theorems for docs/theorems.md: statement, parts, and what each rests on."""
    out = []
    for theorem in theorems:
        out += [f"### {theorem.name}: {theorem.title}", "", _stated(theorem, mathematics), ""]
        for number, part in enumerate(theorem.parts, 1):
            out.append(f"{number}. {part.words}: `{part.formula()}`")
        notes = [*theorem.assumptions, *(f"Cited: {fact}." for fact in theorem.cites)]
        out += ["", *(f"- {note}" for note in notes), ""]
    return "\n".join(out).rstrip() + "\n"


def _stated(theorem: Theorem, write: Callable[[Expr], str]) -> str:
    return theorem.stated(write, quote="`")


def slips_markdown(slips: Sequence[tuple[Slip, tuple[Finding, ...]]]) -> str:
    """The table of slips, without what their checks find (midpo derive --slips prints that)."""
    head: Sequence[str] = (
        "| # | where | kind | printed | right | checked by |",
        "| --- | --- | --- | --- | --- | --- |",
    )
    kinds = [
        f"| {slip.name} | {slip.where} | {_SEVERITY[slip.severity]} | {slip.printed} | "
        f"{slip.right} | {_ways(found)} |"
        for slip, found in slips
    ]
    return "\n".join([*head, *kinds]) + "\n"


def _ways(found: Sequence[Finding]) -> str:
    return ", ".join(dict.fromkeys(f.how for f in found))
