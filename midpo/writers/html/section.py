"""One spec as a section of a page: what its template shows, and nothing left to compute."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from midpo.symbolic.domains.needs import telling
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.told import joined, told
from midpo.symbolic.formula.tree import EMPTY, leaf, row
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, write
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.table import CONFIRMED
from midpo.symbolic.loss import recovered_margin
from midpo.writers import narrative
from midpo.writers.latex.sections import outer

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
        "reason": spec.reason,
        "status": "" if spec.status == CONFIRMED else spec.status,
        "verdict": verdict(section),
        "opening": _opening(section),
        "stated": _stated(spec),
        "assumptions": [] if spec.reason else [words(s) for s in narrative.assumptions(spec)],
        "conditions": _conditions(spec),
        "statement": _statement(section.recovery),
        "chain": _chain(section.recovery),
        "remarks": _remarks(section),
        "witness": witness(section.recovery),
        "crossing": crossing(section.solution),
        "facts": [(fact, words(meaning)) for fact, meaning in narrative.dependence(spec, facts)]
        if facts else [],
        "plots": [_plot(plot) for plot in drawn],
        "not_drawn": missing,
        "class": topics([account["class"]] if "class" in account else []),
        "audit": topics(() if section.audit is None else section.audit.sections),
        "standings": topics(account.without(*section.placed)),
        "check": _check(section.check),
        "kernel": section.source or section.kernel,
        "kernel_file": f"{spec.name.replace('-', '_')}_loss.py",
    }


def _opening(section: Section) -> Markup | str:
    spec, recovery = section.spec, section.recovery
    if spec.reason:
        return ""
    if recovery is not None:
        found = {
            "proved": "The prior recovers the target: proved.",
            "refuted": "The prior does not recover the target: refuted at a witness.",
            "undecided": "Whether the prior recovers the target is undecided.",
        }[recovery.verdict]
        return words(told("{} {}", found, recovery.explanation)) if recovery.explanation else found
    if section.solution is not None:
        return "The specification states a target and no prior; midpo solve was asked for one."
    return "The specification states a prior and no target, so that there is no recovery to prove."


# --- What the spec states ------------------------------------------------------------------------


def _stated(spec: Spec) -> list[dict[str, Any]]:
    """The spec's own formulas, each with the words that lead to it."""
    shown: list[tuple[str, Markup | str, Display]] = []
    if spec.prior is not None:
        shown.append(("prior", "The prior, up to a factor that does not depend on y:",
                      display(terms.PRIOR_IS, spec.prior)))
    if spec.loss is not None:
        shown.append(("target", "The target, the loss of one pair:",
                      display(terms.defines(terms.of(terms.LOSS, spec.roles)), spec.loss)))
    if spec.margin is not None:
        shown.append(("target", words(told(
            "The target, the loss {} of the margin:", outer(spec, terms.MARGIN))),
                      display(terms.defines(terms.of(terms.MARGIN, spec.roles)), spec.margin)))
    if spec.batch is not None:
        shown.append(("target", words(narrative.of_batch(spec)),
                      display(narrative.batch_head(spec), spec.batch)))
    if spec.link is not None:
        shown.append(("link", words(told(
            "The link, which takes the place of {}:", terms.logistic(terms.MARGIN))),
                      display(terms.defines(terms.LINK), spec.link)))
    if spec.constraint is not None:
        multiplied = words(told("The constraint, added to the losses with the multiplier {}:",
                                write(spec.multiplier)))
        shown.append(("constraint", multiplied,
                      display(terms.defines(terms.of("c", spec.roles)), spec.constraint)))
    return [{"key": k, "words": w, "display": d} for k, w, d in shown]


def _conditions(spec: Spec) -> list[Display]:
    return [display(EMPTY, c.expr, row(*narrative.HELD[c.kind])) for c in telling(spec.conditions)]


# --- Recoveries ----------------------------------------------------------------------------------


def _statement(recovery: Recovery | None) -> dict[str, Any] | None:
    if recovery is None or recovery.verdict == "undecided":
        return None
    if recovery.verdict == "refuted":
        side = "margins" if recovery.kind == "margin" else "losses"
        return {
            "kind": "Proposition",
            "text": f"The prior does not recover the target. The {side} differ; their difference, "
            "target less prior, is",
            "display": display(EMPTY, narrative.folded(recovery)),
            "close": "",
        }
    spec = recovery.spec
    loss = terms.defines(terms.of(terms.LOSS, spec.roles))
    through = recovery.affine(terms.of(terms.LOSS_THROUGH, spec.roles))
    return {
        "kind": "Theorem",
        "text": Markup("With this prior the generalised loss {} equals the target{}, for every "
                       "prompt, pair of responses and choice of policies{}:").format(
            inline(row(terms.LOSS_THROUGH, " = ", outer(spec, terms.MARGIN_THROUGH))),
            _up_to(recovery), _varying(recovery)),
        "display": formula(row(loss, through)),
        "close": _gradients(recovery),
    }


def _up_to(recovery: Recovery) -> str:
    parts = ["a positive factor"] * (recovery.factor != 1) + ["a constant"] * (
        recovery.constant != 0)
    return f" up to {' and '.join(parts)}" if parts else ""


def _varying(recovery: Recovery) -> Markup:
    spec = recovery.spec
    more = ["parameters"] * bool(spec.names.parameters) + ["data"] * bool(spec.names.features)
    held = told(", where {}", joined(", ", recovery.side_conditions)) if recovery.side_conditions \
        else ", where the side conditions hold" if telling(spec.conditions) else ""
    return words(told("{}{}", f", all {' and '.join(more)}" if more else "", held))


def _gradients(recovery: Recovery) -> Markup | str:
    if recovery.gradient is not None:
        return words(told("Of gradients: {}.", recovery.gradient.sentence))
    return words(told("So are their gradients, provided {} is differentiated wherever it depends "
                      "on {}.", ZETA, POLICY_SIGN))


def _chain(recovery: Recovery | None) -> dict[str, Any] | None:
    if recovery is None or recovery.verdict != "proved":
        return None
    roles = recovery.spec.roles
    left = recovery.affine(terms.of(terms.LOSS_THROUGH, roles))
    left = terms.of(terms.MARGIN_THROUGH, roles) if recovery.kind == "margin" else left
    side = "margin" if recovery.kind == "margin" else "loss"
    return {
        "opening": f"The {side} through the prior is taken, step by step, to the target {side}.",
        "start": display(terms.defines(left), recovery.recovered),
        "steps": [
            {
                "reason": words(narrative.reason(step)),
                "rule": step.rule,
                "display": display(leaf("= "), step.after),
            }
            for step in recovery.steps
        ],
        "close": f"This is the target {side}. Each step was replayed by the checker.",
    }


# --- What else there is to say -------------------------------------------------------------------


def _remarks(section: Section) -> list[dict[str, Any]]:
    spec, recovery = section.spec, section.recovery
    if recovery is not None and recovery.working_prior:
        return [_working(spec, recovery.working_prior)]
    if recovery is None and spec.prior is not None and not spec.reason:
        loss = inline(outer(spec, terms.MARGIN_THROUGH))
        return [{
            "title": "The loss of this prior",
            "text": Markup("The generalised loss with this prior is {} of the margin").format(loss),
            "display": display(terms.defines(terms.of(terms.MARGIN_THROUGH, spec.roles)),
                               recovered_margin(spec)),
        }]
    return []


def _working(spec: Spec, text: str) -> dict[str, Any]:
    try:
        shown: Display | None = display(terms.PRIOR_IS, parse(text, spec.names, PRIOR))
        said: Markup | str = "The target is recovered by the prior"
    except MidpoError:
        shown, said = None, f"The target is recovered by the prior {text}."
    return {"title": "A prior that works", "text": said, "display": shown}


def _plot(plot: LivePlot) -> dict[str, Any]:
    knobs = [
        {
            "name": k.name, "words": k.words, "label": inline(k.label), "low": k.low,
            "high": k.high, "step": k.step, "value": k.value, "scale": k.scale,
            "is_parameter": k.is_parameter,
        }
        for k in plot.knobs
    ]
    return {"key": plot.key, "title": plot.title, "note": plot.note, "axes": plot.axes,
            "knobs": knobs, "data": script_json(plot.as_json())}


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
        "opening": f"The kernel was held against the formula above, evaluated in 50 digits, on "
        f"{found.cases} random pairs (seed {found.seed}, device {found.device}). Errors are the "
        "largest found, in units in the last place.",
        "rows": [
            (d.dtype, str(d.cases), f"{d.value_ulp:.3g}", f"{d.gradient_ulp:.3g}",
             f"{d.limit_ulp:.3g}", "passed" if d.passed else "failed")
            for d in found.dtypes
        ],
        "gradcheck": {True: "passes", False: "fails", None: "does not apply (stopped gradient)"}[
            found.gradcheck],
        "failure": found.failure,
    }
