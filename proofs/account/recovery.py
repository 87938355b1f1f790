"""What is claimed where a prior and a target were compared."""

from __future__ import annotations

from collections.abc import Iterator

from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Displayed, Told, joined, proved, told
from midpo.symbolic.formula.tree import row
from midpo.symbolic.formula.write import ZETA, write
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.text import text
from midpo.symbolic.representable import PriorFacts

from .claim import Claim, Topic

POLICIES = {
    "fixed": "reference only (fixed)",
    "iterative": "an earlier policy (iterative)",
    "self-referential": "the policy itself (self-referential)",
}
_SENTENCES = {
    "refuted": "the prior does not recover the target",
    "undecided": "it is not known whether the prior recovers the target",
}
_VALUES = told("{} the divisions, roots and logarithms of the specification", Standing.READ)


def recovery_topic(found: Recovery, certificate: Told | None = None) -> Topic:
    """Every claim about a recovery; `certificate` is what a proof kernel says of it, None where
    that was not asked."""
    return Topic("recovery", "whether the prior recovers the target", tuple(_claims(found, certificate)))


def _claims(found: Recovery, certificate: Told | None) -> Iterator[Claim]:
    sentence = _SENTENCES.get(found.verdict) or told("the losses agree: {}", _equality(found))
    yield Claim(
        "recovery",
        found.verdict,
        sentence,
        found.standing,
        why=found.explanation,
        where=found.side_conditions,
    )
    if certificate is not None and found.verdict != "undecided":
        yield kernel_claim(certificate)
    if found.facts is not None:
        yield prior_claim(found.facts)
    yield from lengths(found.defined_where)
    yield from _gradients(found)
    if found.working_prior is not None:
        yield Claim(
            "a prior that works",
            "exists",
            told("a prior that works: {}", _written_prior(found)),
            told("{} the normal form of the target", Standing.READ),
        )


def kernel_claim(certificate: Told) -> Claim:
    """What a proof kernel says."""
    return Claim(
        "proof kernel",
        certificate.standing.name.lower(),
        "the same, by a proof kernel that shares no code with the checker",
        certificate,
    )


def _equality(found: Recovery) -> Displayed:
    scale = "" if found.factor == 1 else f"{text(found.factor)} * "
    shift = "" if found.constant == 0 else f" + {text(found.constant)}"
    return Displayed(
        row(terms.LOSS, " = ", found.affine(terms.LOSS_THROUGH)),
        spelt=f"target loss = {scale}loss of the prior{shift}",
    )


def _written_prior(found: Recovery) -> Displayed | str:
    assert found.working_prior is not None
    try:
        prior = parse(found.working_prior, found.spec.names, PRIOR)
    except MidpoError:
        return found.working_prior
    return Displayed(write(prior), spelt=found.working_prior)


def _gradients(found: Recovery) -> Iterator[Claim]:
    if found.gradient is not None:
        yield gradient_claim(found)
    elif found.verdict == "proved":
        yield Claim(
            "gradients",
            "equal",
            told("the gradients agree where both sides are differentiable, {} being differentiated", ZETA),
            proved("the values are equal for every policy"),
        )


def gradient_claim(found: Recovery) -> Claim:
    """Whether gradients are equal too, where some are stopped."""
    fact = found.gradient
    assert fact is not None
    return Claim("gradients", fact.verdict, fact.sentence, fact.standing)


def prior_claim(facts: PriorFacts) -> Claim:
    """What a prior depends on."""
    free, tokens = ("yes" if fact else "no" for fact in (facts.label_free, facts.token_level))
    return Claim(
        "prior",
        facts.policy,
        f"prior depends on {POLICIES[facts.policy]}; label-free: {free}; token-level: {tokens}",
        told("{} the normal form of {}", Standing.READ, row(r"\log", ZETA)),
    )


def lengths(where: tuple[str, ...]) -> Iterator[Claim]:
    """The lengths at which there is something to state."""
    if where:
        yield Claim(
            "lengths",
            "stated",
            told("the spec's formulas have a value where {}", joined(" and ", where)),
            _VALUES,
        )
