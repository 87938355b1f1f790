"""One spec as a section of a page: what its template shows, and nothing left to compute."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from midpo.symbolic.domains.needs import telling
from midpo.symbolic.formula.tree import EMPTY, Formula, leaf, row
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.table import CONFIRMED
from midpo.writers import narrative, parts
from midpo.writers.parts import Remark, Stated

from .plots import LivePlot, plots
from .standing import topics
from .text import Display, display, formula, inline, words
from .witness import crossing, witness

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.proofs.recover.recovery import Recovery
    from midpo.writers.section import Section


def verdict(section: Section) -> str:
    """One word or two for what was found: proved, refuted, undecided, or the class of a target."""
    if section.spec.reason:
        return "no pair loss"
    if section.recovery is not None:
        return section.recovery.verdict
    if section.solution is not None:
        return {"none": "no prior"}.get(section.solution.kind, section.solution.kind)
    return "prior only"


def context(section: Section) -> dict[str, Any]:
    """What `page_section.html.j2` speaks of, but for its anchor and the number of its reference."""
    spec, facts, account = section.spec, section.facts, section.account
    drawn, missing = plots(spec)
    return {
        "name": spec.name,
        "title": spec.title or spec.name,
        "status": "" if spec.status == CONFIRMED else spec.status,
        "verdict": verdict(section),
        "opening": words(parts.opening(section)),
        "stated": [
            {"key": shown.key, "words": words(shown.words), "display": display(shown.head, shown.expr)}
            for shown in parts.stated(spec)
        ],
        "assumptions": [] if spec.reason else [words(s) for s in narrative.assumptions(spec)],
        "conditions": _conditions(spec),
        "statement": _statement(parts.statement(section.recovery)),
        "chain": _chain(section.recovery),
        "remarks": list(map(_remark, parts.remarks(section))),
        "witness": witness(section.recovery),
        "crossing": crossing(section.solution),
        "facts": [(fact, words(meaning)) for fact, meaning in narrative.dependence(spec, facts)]
        if facts
        else [],
        "plots": [_plot(plot) for plot in drawn],
        "not_drawn": missing,
        "class": topics([account["class"]] if "class" in account else []),
        "audit": topics(() if section.audit is None else section.audit.sections),
        "standings": topics(account.without(*section.placed)),
        "check": _check(section.check),
        "kernel": section.source or section.kernel,
        "kernel_file": f"{spec.name.replace('-', '_')}_loss.py",
    }


def _conditions(spec: Spec) -> list[Display]:
    return [display(EMPTY, c.expr, row(*narrative.HELD[c.kind])) for c in telling(spec.conditions)]


# --- Recoveries ----------------------------------------------------------------------------------


def _statement(found: Stated | None) -> dict[str, Any] | None:
    if found is None:
        return None
    shown = (
        formula(row(found.left, found.right))
        if isinstance(found.right, Formula)
        else display(found.left, found.right)
    )
    return {
        "kind": found.kind.capitalize(),
        "text": words(found.text),
        "display": shown,
        "close": words(found.close),
    }


def _chain(recovery: Recovery | None) -> dict[str, Any] | None:
    if recovery is None or recovery.verdict != "proved":
        return None
    start = parts.proof_start(recovery)
    return {
        "opening": words(parts.proof_opening(recovery)),
        "start": display(start.head, start.expr),
        "steps": [
            {
                "reason": words(narrative.reason(step)),
                "rule": step.rule,
                "display": display(leaf("= "), step.after),
            }
            for step in recovery.steps
        ],
        "close": parts.proof_close(recovery),
    }


# --- What else there is to say -------------------------------------------------------------------


def _remark(found: Remark) -> dict[str, Any]:
    shown = None if found.shown is None else display(found.shown.head, found.shown.expr)
    return {"title": found.title, "text": words(found.text), "display": shown}


def _plot(plot: LivePlot) -> dict[str, Any]:
    knobs = [
        {
            "name": k.name,
            "words": k.words,
            "label": inline(k.label),
            "low": k.low,
            "high": k.high,
            "step": k.step,
            "value": k.value,
            "scale": k.scale,
            "is_parameter": k.is_parameter,
        }
        for k in plot.knobs
    ]
    return {
        "key": plot.key,
        "title": plot.title,
        "note": plot.note,
        "axes": plot.axes,
        "knobs": knobs,
        "data": script_json(plot.as_json()),
    }


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _check(found: CrossCheck | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "opening": parts.check_opening(found),
        "rows": [
            (
                d.dtype,
                str(d.cases),
                f"{d.value_ulp:.3g}",
                f"{d.gradient_ulp:.3g}",
                f"{d.limit_ulp:.3g}",
                "passed" if d.passed else "failed",
            )
            for d in found.dtypes
        ],
        "close": parts.check_close(found),
    }
