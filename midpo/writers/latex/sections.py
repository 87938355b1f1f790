"""One spec as a section of a report: strings for the template, and nothing left to compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.domains.needs import telling
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.told import listed as enumerated
from midpo.symbolic.formula.tree import EMPTY, Formula, leaf, row
from midpo.symbolic.formula.write import POLICY_SIGN, write
from midpo.symbolic.language.spec import Spec
from midpo.writers import narrative, parts
from midpo.writers.latex import findings, worked
from midpo.writers.parts import Remark, Shown, Stated

from .claims import listed, paragraphs
from .pieces import (
    answered,
    escape,
    labelled,
    marked,
    math,
    own,
    pasted,
    plain,
    rows,
    scientific,
    tex,
    typewriter,
    width,
)

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.writers.section import Section


def mark(verdict: str) -> str:
    """A verdict, as the document marks it."""
    return f"{own(verdict)}{{}}"


def label(place: int) -> str:
    """The stem of the labels of a report's n-th spec."""
    return f"s{place}"


def context(section: Section, key: str, citation: str) -> dict[str, Any]:
    """What `section.tex.j2` speaks of."""
    spec, recovery = section.spec, section.recovery
    account, facts = section.account, section.facts
    return {
        "title": escape(spec.title or spec.name),
        "outline": plain(spec.title or spec.name) or spec.name,
        "name": typewriter(spec.name),
        "key": key,
        "citation": citation,
        "opening": marked(parts.opening(section)),
        "stated": " and ".join(
            word for word, part in (("prior", spec.prior), ("target", stated_target(spec))) if part
        ).capitalize()
        or ("The loss" if spec.batch is not None else ""),
        "formulas": [
            (answered(shown.words), rows(shown.head, shown.expr) + _label(shown))
            for shown in parts.stated(spec)
        ],
        "assumptions": () if spec.reason else list(map(answered, narrative.assumptions(spec))),
        "conditions": _conditions(spec),
        "statement": _statement(parts.statement(recovery)),
        "chain": _chain(recovery),
        "witness": _witness(recovery),
        "remarks": list(map(_remark, parts.remarks(section))),
        "facts": [(fact, answered(meaning)) for fact, meaning in narrative.dependence(spec, facts)]
        if facts
        else (),
        "class": listed(account["class"].claims) if "class" in account else "",
        "cycle": section.solution and section.solution.witness and findings.cycle(section.solution.witness),
        "audit": "" if section.audit is None else paragraphs(section.audit.sections),
        "solved": _solved(section),
        "check": _check(section.check),
        "standings": listed(claim for topic in account.without(*section.placed) for claim in topic.claims),
        "figures": findings.figures(section.plots, key),
        "kernel": listing(section.kernel),
    }


def stated_target(spec: Spec) -> bool:
    """Whether there is a target, also for a spec that cannot have one."""
    return not spec.reason and spec.has_target


def _solved(section: Section) -> str:
    """Whose prior the audit speaks of, where the spec has none of its own."""
    if section.audit is None or not section.audit.solved:
        return ""
    return "The specification states no prior; audited is the one shown above."


def _conditions(spec: Spec) -> tuple[str, ...]:
    """Displays of what must not vanish, or must be positive."""
    displays = []
    for condition in telling(spec.conditions):
        *most, last = broken(write(condition.expr), width() - 8)
        ends = [*most, row(last, *narrative.HELD[condition.kind])]
        displays.append(pasted(EMPTY, ends, numbered=False))
    return tuple(displays)


def _label(shown: Shown) -> str:
    """The label of a formula that a document refers to."""
    named = shown.key in ("prior", "target")
    return rf" \label{{{labelled(shown.key)}}}" if named else ""


# --- Recoveries ----------------------------------------------------------------------------------


def _statement(found: Stated | None) -> dict[str, str] | None:
    if found is None:
        return None
    if isinstance(found.right, Formula):
        display = f"& {tex(found.left)}{own('fit')}{{{tex(found.right)}}}."
    else:
        display = pasted(found.left, broken(write(found.right), width()))
    return {
        "kind": found.kind,
        "text": answered(found.text),
        "display": display,
        "close": answered(found.close),
    }


def _chain(recovery: Recovery | None) -> dict[str, Any] | None:
    if recovery is None or recovery.verdict != "proved":
        return None
    start = parts.proof_start(recovery)
    return {
        "opening": answered(parts.proof_opening(recovery)),
        "start": rows(start.head, start.expr),
        "steps": [
            (
                f"{answered(narrative.reason(step))}, rule {typewriter(step.rule)}:",
                rows(leaf("= "), step.after),
            )
            for step in recovery.steps
        ],
        "close": answered(parts.proof_close(recovery)),
    }


def _witness(recovery: Recovery | None) -> dict[str, Any] | None:
    if recovery is None or recovery.witness is None:
        return None
    laws = narrative.witness_laws(recovery.witness)
    return worked.example(recovery) | {
        "vocabulary": tuple(map(str, range(len(laws[0][2])))),
        "laws": [
            ("" if law is None else math(law), math(prefix), tuple(map(math, numbers)))
            for law, prefix, numbers in laws
        ],
        "data": answered(enumerated(narrative.witness_data(recovery.witness) or [""])),
    }


def _remark(found: Remark) -> dict[str, str]:
    shown = found.shown
    return {
        "title": found.title,
        "text": answered(found.text),
        "display": "" if shown is None else rows(shown.head, shown.expr),
    }


# --- Numbers and code ----------------------------------------------------------------------------


def _check(found: CrossCheck | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "opening": answered(parts.check_opening(found)),
        "rows": [
            (
                typewriter(d.dtype),
                str(d.cases),
                scientific(d.value_ulp),
                scientific(d.gradient_ulp),
                scientific(d.limit_ulp),
                "passed" if d.passed else r"\textbf{failed}",
            )
            for d in found.dtypes
        ],
        "close": answered(parts.check_close(found)),
    }


_TOO_LONG = 103  # characters to a line of a listing


def listing(source: str) -> str:
    """Source text for lstlisting: ASCII, and unable to end its environment."""
    safe = source.expandtabs(4).encode("ascii", "backslashreplace").decode()
    safe = "".join(char if char == "\n" or char.isprintable() else " " for char in safe)
    lines = [
        line[at : at + _TOO_LONG]
        for line in safe.replace(r"\end{", r"\end {").splitlines()
        for at in range(0, max(len(line), 1), _TOO_LONG)
    ]
    return "\n".join(lines).strip("\n")


def summary_row(section: Section, prior: str) -> Mapping[str, str]:
    """A line of the table of priors."""
    spec, recovery = section.spec, section.recovery
    facts = section.facts
    words = {"fixed": "fixed", "iterative": "earlier policy", "self-referential": math(POLICY_SIGN)}
    shown = (
        []
        if facts is None
        else [
            words[facts.policy],
            *([] if facts.label_free else ["label"]),
            *(["tokens"] if facts.token_level else []),
        ]
    )
    return {
        "name": escape(spec.name),
        "prior": prior,
        "facts": ", ".join(shown) or mark("unstated"),
        "class": section.solution.kind if section.solution else mark("unstated"),
        "verdict": mark(recovery.verdict) if recovery else mark("unstated"),
    }
