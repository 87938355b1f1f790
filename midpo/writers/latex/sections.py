"""One spec as a section of a report: strings for the template, and nothing left to compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.domains.needs import telling
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.told import joined, told
from midpo.symbolic.formula.told import listed as enumerated
from midpo.symbolic.formula.tree import EMPTY, Formula, between, call, row
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, write
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import recovered_margin
from midpo.writers import findings, narrative, worked

from .claims import listed, paragraphs
from .pieces import (
    answered,
    at,
    escape,
    math,
    own,
    pasted,
    plain,
    rows,
    scientific,
    tex,
    typewriter,
    width,
    worded,
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
    parts: dict[str, Any] = {
        "title": escape(spec.title or spec.name),
        "outline": plain(spec.title or spec.name) or spec.name,
        "name": typewriter(spec.name),
        "key": key,
        "citation": citation,
        "opening": _opening(section),
        "stated": " and ".join(
            word for word, part in (("prior", spec.prior), ("target", stated_target(spec))) if part
        ).capitalize() or ("The loss" if spec.batch is not None else ""),
        "prior": "" if spec.prior is None else rows(terms.PRIOR_IS, spec.prior),
        "target": _target(spec, key),
        "assumptions": () if spec.reason else list(map(worded, narrative.assumptions(spec))),
        "conditions": narrative.side_conditions(spec),
        "statement": None,
        "chain": None,
        "witness": None,
        "remarks": [],
        "facts": [(fact, worded(meaning)) for fact, meaning in
                  narrative.dependence(spec, facts)] if facts else (),
        "class": listed(account["class"].claims) if "class" in account else "",
        "cycle": section.solution and section.solution.witness
        and findings.cycle(section.solution.witness),
        "audit": "" if section.audit is None else paragraphs(section.audit.sections),
        "solved": _solved(section),
        "check": _check(section.check),
        "standings": listed(claim for topic in account.without(*section.placed)
                            for claim in topic.claims),
        "figures": findings.figures(section.plots, key),
        "kernel": listing(section.kernel),
    }
    if recovery is None and not spec.reason:
        parts["remarks"] = _alone(section)
    elif recovery is not None and recovery.verdict == "proved":
        parts |= _proved(recovery, key)
    elif recovery is not None and recovery.verdict == "refuted":
        parts |= _refuted(recovery, key)
    return parts


def stated_target(spec: Spec) -> bool:
    """Whether there is a target, also for a spec that cannot have one."""
    return not spec.reason and spec.has_target


def _solved(section: Section) -> str:
    """Whose prior the audit speaks of, where the spec has none of its own."""
    if section.audit is None or not section.audit.solved:
        return ""
    return "The specification states no prior; audited is the one shown above."


def _opening(section: Section) -> str:
    spec, recovery = section.spec, section.recovery
    if spec.reason:
        return findings.reason(spec)
    if recovery is not None:
        why = f" {answered(recovery.explanation)}" if recovery.verdict == "undecided" else ""
        return f"Recovery: {mark(recovery.verdict)}.{why}"
    missing = "target" if spec.prior is not None else "prior"
    return f"The specification states no {missing}, so that there is no recovery to prove."


def _target(spec: Spec, key: str) -> list[tuple[str, str]]:
    """The target, and what the generalised loss has besides the margin."""
    shown = []
    label = rf" \label{{{at(f'eq:{key}:target')}}}"
    if spec.loss is not None:
        shown.append(("The target, the loss of one pair:",
                      rows(terms.defines(terms.of(terms.LOSS, spec.roles)), spec.loss) + label))
    if spec.margin is not None:
        shown.append((f"The target, the loss {math(outer(spec, terms.MARGIN))} of the margin",
                      rows(terms.defines(terms.of(terms.MARGIN, spec.roles)), spec.margin)
                      + label))
    if spec.batch is not None:
        shown.append((worded(narrative.of_batch(spec)),
                      rows(narrative.batch_head(spec), spec.batch)))
    if spec.link is not None:
        shown.append((worded(told("The link, which takes the place of {} in the losses:",
                                  terms.logistic(terms.MARGIN))),
                      rows(terms.defines(terms.LINK), spec.link)))
    if spec.constraint is not None:
        weight = f"the multiplier {math(write(spec.multiplier))}"
        shown.append((f"The constraint, added to the losses with {weight}:",
                      rows(terms.defines(terms.of("c", spec.roles)), spec.constraint)))
    return shown


def outer(spec: Spec, margin: Formula) -> Formula:
    """The loss of a pair as a formula in its margin."""
    link = terms.logistic(margin) if spec.link is None else call("f", margin)
    if spec.constraint is None:
        return link
    return row(link, " + ", write(spec.multiplier), r"\,", terms.of("c", spec.roles))


# --- Proved --------------------------------------------------------------------------------------


def _proved(recovery: Recovery, key: str) -> dict[str, Any]:
    return {
        "statement": _statement(recovery, key),
        "chain": {
            "opening": _proof_opening(recovery, key),
            "start": _start(recovery),
            "steps": narrative.chain(recovery),
            "close": "This is the target" + (" margin." if recovery.kind == "margin" else "."),
        },
    }


def _statement(recovery: Recovery, key: str) -> dict[str, str]:
    spec = recovery.spec
    mixed = recovery.affine(terms.of(terms.LOSS_THROUGH, spec.roles))
    loss = tex(terms.of(terms.LOSS, spec.roles))
    conditions = " that satisfy the conditions above" if telling(spec.conditions) else " as above"
    if recovery.side_conditions:
        conditions += answered(told(", where {}", joined(", ", recovery.side_conditions)))
    varying = worded(enumerated([
        "every prompt", "every pair of responses",
        "all policies", *(["all parameters"] if spec.names.parameters else []),
        *(["all data"] if spec.names.features else []),
    ]))
    gradients = (
        "Hence the two objectives are one function of the policy"
        + ("" if recovery.factor == 1 and recovery.constant == 0 else ", up to scale and offset")
        + (
            f". Of gradients: {answered(recovery.gradient.sentence)}."
            if recovery.gradient is not None
            else worded(told(", and so are their gradients, provided {} is differentiated wherever "
                             "it depends on {}.", ZETA, POLICY_SIGN))
        )
    )
    return {
        "kind": "theorem",
        "text": rf"With the prior \eqref{{{at(f'eq:{key}:prior')}}}, the generalised loss"
        f"{_generalised(spec)} equals the target loss{_up_to(recovery)}: "
        f"for {varying}{conditions},",
        "display": f"& {loss} = {own('fit')}{{{tex(mixed)}}}.",
        "close": gradients,
    }


def _generalised(spec: Spec) -> str:
    if spec.link is None and spec.constraint is None:
        return rf" {math(terms.LOSS_THROUGH)} of \eqref{{{at('eq:loss')}}}"
    return f" {math(row(terms.LOSS_THROUGH, ' = ', outer(spec, terms.MARGIN_THROUGH)))}"


def _up_to(recovery: Recovery) -> str:
    parts = []
    if recovery.factor != 1:
        parts.append("a positive factor")
    if recovery.constant != 0:
        parts.append("a constant")
    return f" up to {' and '.join(parts)}" if parts else ""


def _proof_opening(recovery: Recovery, key: str) -> str:
    if recovery.kind == "loss":
        return "The loss through the prior is carried over into the target loss."
    if recovery.spec.loss is not None:
        return f"T{_scaled(recovery)[1:]}it suffices that the margins agree."
    loss = math(outer(recovery.spec, terms.MARGIN))
    return rf"Both losses are {loss} of their margins, so it suffices that the margins agree."


def _scaled(recovery: Recovery) -> str:
    """How a target stated as a loss comes from its margin."""
    if recovery.kind == "loss" or recovery.spec.loss is None:
        return ""
    loss = terms.logistic(terms.MARGIN)
    scaled = recovery.affine(between("(", loss, ")", "big") if recovery.factor != 1 else loss)
    return f"the target is {math(scaled)} of a margin {math(terms.MARGIN)}, and "


def _start(recovery: Recovery) -> str:
    roles = recovery.spec.roles
    left = terms.of(terms.MARGIN_THROUGH, roles)
    if recovery.kind == "loss":
        left = recovery.affine(terms.of(terms.LOSS_THROUGH, roles))
    return rows(terms.defines(left), recovery.recovered)


# --- Refuted -------------------------------------------------------------------------------------


def _refuted(recovery: Recovery, key: str) -> dict[str, Any]:
    witness = recovery.witness
    assert witness is not None
    laws = narrative.witness_laws(witness)
    side = "losses" if witness.target_margin is None else "margins"
    return {
        "statement": {
            "kind": "proposition",
            "text": rf"The prior \eqref{{{at(f'eq:{key}:prior')}}} does not recover the target "
            rf"\eqref{{{at(f'eq:{key}:target')}}}: {_scaled(recovery)}the {side} differ at the "
            "witness below. Their difference, target less prior, in normal form, is",
            "display": pasted(EMPTY, broken(narrative.folded(recovery), width())),
            "close": "",
        },
        "remarks": _diagnosis(recovery),
        "witness": worked.example(recovery) | {
            "vocabulary": tuple(map(str, range(len(laws[0][2])))),
            "laws": [("" if law is None else math(law), math(prefix), tuple(map(math, numbers)))
                     for law, prefix, numbers in laws],
            "data": worded(enumerated(narrative.witness_data(witness) or [""])),
        },
    }


def _diagnosis(recovery: Recovery) -> list[dict[str, str]]:
    remarks = []
    if recovery.explanation:
        text = answered(recovery.explanation)
        remarks.append({"title": "What is off", "text": text, "display": ""})
    if recovery.working_prior:
        spec = recovery.spec
        try:
            prior = parse(recovery.working_prior, spec.names, PRIOR)
            display = rows(terms.PRIOR_IS, prior)
        except MidpoError:
            display = rf"& \text{{{typewriter(recovery.working_prior)}}}"
        remarks.append({"title": "A prior that works",
                        "text": "The target is recovered by the prior", "display": display})
    return remarks


# --- A prior or a target alone -------------------------------------------------------------------


def _alone(section: Section) -> list[dict[str, str]]:
    spec = section.spec
    if spec.prior is not None:
        loss = math(outer(spec, terms.MARGIN_THROUGH))
        return [{
            "title": "The loss of this prior",
            "text": f"The generalised loss with this prior is {loss} of the margin",
            "display": rows(terms.defines(terms.of(terms.MARGIN_THROUGH, spec.roles)),
                            recovered_margin(spec)),
        }]
    return []


# --- Numbers and code ----------------------------------------------------------------------------


def _check(found: CrossCheck | None) -> dict[str, Any] | None:
    if found is None:
        return None
    gradcheck = {True: "passed", False: r"\textbf{failed}", None: "does not apply"}[found.gradcheck]
    failure = f" Failure: {escape(found.failure)}" if found.failure else ""
    return {
        "opening": rf"The kernel {typewriter(found.name)} was held against the formula above, "
        f"evaluated in 50 digits, on {found.cases} random pairs (seed {found.seed}, device "
        f"{escape(found.device)}). Errors are the largest found, in units in the last place; a "
        "unit is the rounding of the result, or of the inputs carried through to it, whichever is "
        "larger.",
        "rows": [
            (typewriter(d.dtype), str(d.cases), scientific(d.value_ulp), scientific(d.gradient_ulp),
             scientific(d.limit_ulp), "passed" if d.passed else r"\textbf{failed}")
            for d in found.dtypes
        ],
        "close": "Automatic differentiation against differences in float64 (gradcheck): "
        f"{gradcheck}.{failure}",
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
    shown = [] if facts is None else [
        words[facts.policy],
        *([] if facts.label_free else ["label"]),
        *(["tokens"] if facts.token_level else []),
    ]
    return {
        "name": escape(spec.name),
        "prior": prior,
        "facts": ", ".join(shown) or mark("unstated"),
        "class": section.solution.kind if section.solution else mark("unstated"),
        "verdict": mark(recovery.verdict) if recovery else mark("unstated"),
    }
