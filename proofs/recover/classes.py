"""The class of a target that has a prior, and the theorem by which it is of that class."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Expr

from midpo.numeric.linkage import no_log_sigmoid
from midpo.symbolic.formula.told import Displayed, Told, theorem, told
from midpo.symbolic.formula.write import name
from midpo.symbolic.language.nodes import Further
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import is_constant
from midpo.symbolic.representable import PriorFacts

from .anatomy import Parts
from .solved import Kind
from .words import POLICY_PART, PSI, TERM_FACTOR, scaled, short, stated


def class_of(
    spec: Spec, parts: Parts, temperature: Expr, facts: PriorFacts, swap: Expr, unseen: Iterable[str]
) -> tuple[Kind, Told]:
    """The class, and why: what stands beside the margin outweighs what the prior depends on.
    `swap` is the margin plus its swap, `unseen` are policies that no case shows to be needed."""
    kind, reason = _of_prior(spec, facts, swap)
    if unseen:
        reason = told(
            "{}: the margin is separable; no case shows that a prior needs the {} with "
            "which this one is written",
            theorem("4"),
            " and ".join(sorted(unseen)),
        )
    if parts.link is not None:
        kind, reason = "other-link", _of_link(spec, parts.link, reason)
    if parts.term != 0:
        kind, reason = "constraint", _of_term(spec, parts)
    if parts.derived:
        reason = told("{} gives the margin {}, and {} its parts; {}", theorem("1"), PSI, theorem("7"), reason)
    if temperature != 1:
        kind = "temperature"
        reason = told(
            "inside the link, {} is a temperature of the pair, {} in place of {}; {}",
            short(temperature, spec),
            scaled(temperature, spec),
            Displayed(name("alpha"), spelt="alpha"),
            reason,
        )
    if parts.weight != 1:
        kind = "weighted"
        reason = told(
            "outside the link, {} is a weight of the data: the loss is that of the pairs so weighted; {}",
            short(parts.weight, spec),
            reason,
        )
    return kind, reason


def _of_prior(spec: Spec, facts: PriorFacts, swap: Expr) -> tuple[Kind, Told]:
    if not facts.label_free:
        offset = ", a constant offset" if is_constant(swap) else ""
        return "label-dependent", told(
            "{}: the margin plus its swap is {}{}, not 0", theorem("3"), short(swap, spec), offset
        )
    kind: Kind = facts.policy  # type: ignore[assignment]
    return kind, {
        "fixed": told("{}: the margin less {} is free of the policy", theorem("5"), POLICY_PART),
        "iterative": told(
            "{}: the margin less {} speaks of earlier policies only", theorem("5"), POLICY_PART
        ),
        "self-referential": told(
            "{}: the margin is separable and label-free; {}: less {} it still depends on the policy",
            theorem("4"),
            theorem("5"),
            POLICY_PART,
        ),
    }[kind]


def _of_link(spec: Spec, link: Expr, reason: Told) -> Told:
    shown = stated(link)
    if no_log_sigmoid(link, spec.names):
        return told("{}: the link {} is no affine log-sigmoid one; {}", theorem("6"), shown, reason)
    return told(
        "no derivation shows the link {} to be an affine log-sigmoid one, and no slopes exclude it ({}); {}",
        shown,
        theorem("6"),
        reason,
    )


def _of_term(spec: Spec, parts: Parts) -> Told:
    term = told("A = {}", short(parts.term, spec))
    if parts.term.has(Further):
        return told(
            "{}: {} is no function of the chosen response less one of the rejected, as the "
            "term {} speaks of a third",
            theorem("1"),
            PSI,
            term,
        )
    if parts.link is not None:
        return told("{}: beside the link, {} speaks of one response alone", theorem("7"), term)
    return told(
        "{}: {} differs between winners, so the term {} leaves the prior form",
        theorem("7"),
        TERM_FACTOR,
        term,
    )


def turns(spec: Spec, factor: Expr) -> Told:
    """That a factor of the loss or of its margin may be negative."""
    return told(
        "what multiplies the prior's loss or its margin is not seen to be positive at all "
        "lengths: {}; where it is negative it is no weight of the data and no temperature",
        short(factor, spec),
    )
