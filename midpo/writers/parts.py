"""What a section of a report says around its claims, for LaTeX and HTML alike: words and formulas.

What the spec states, the theorem or proposition, how its derivation begins and ends, remarks, and
the numbers of a check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sympy import Expr

from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.domains.needs import telling
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Referred, Told, joined, listed, told
from midpo.symbolic.formula.tree import EMPTY, Formula, between, call, row
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, response, write
from midpo.symbolic.language.nodes import RESPONSE
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import recovered_margin

from .narrative import batch_head, folded, of_batch

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.writers.section import Section


@dataclass(frozen=True)
class Shown:
    """An expression after its left-hand side, and the words that lead to it."""

    key: str
    words: str
    head: Formula
    expr: Expr


@dataclass(frozen=True)
class Stated:
    """A theorem, whose `right` is a formula, or a proposition, whose `right` is an expression."""

    kind: str
    text: Told
    left: Formula
    right: Formula | Expr
    close: str


@dataclass(frozen=True)
class Remark:
    title: str
    text: str
    shown: Shown | None = None


def opening(section: Section) -> Told:
    """What was found, in a sentence."""
    spec, recovery = section.spec, section.recovery
    if spec.reason:
        return told("No specification of one pair can hold this loss: {}.", spec.reason)
    if recovery is None:
        missing = "target" if spec.prior is not None else "prior"
        return told("The specification states no {}, so that there is no recovery to prove.", missing)
    if recovery.verdict == "proved":
        return told("The prior recovers the target: {}.", Standing.PROVED)
    if recovery.verdict == "refuted":
        return told("The prior does not recover the target: {} at a witness.", Standing.REFUTED)
    return told("It is not known whether the prior recovers the target. {}", recovery.explanation)


# --- What the spec states ------------------------------------------------------------------------


def stated(spec: Spec) -> Iterator[Shown]:
    """The spec's own formulas, each with the words that lead to it."""
    if spec.prior is not None:
        yield Shown(
            "prior",
            told("The prior, up to a factor that does not depend on {}:", response(RESPONSE)),
            terms.PRIOR_IS,
            spec.prior,
        )
    if spec.loss is not None:
        yield Shown(
            "target",
            "The target, the loss of one pair:",
            terms.defines(terms.of(terms.LOSS, spec.roles)),
            spec.loss,
        )
    if spec.margin is not None:
        yield Shown(
            "target",
            told("The target, the loss {} of the margin:", outer(spec, terms.MARGIN)),
            terms.defines(terms.of(terms.MARGIN, spec.roles)),
            spec.margin,
        )
    if spec.batch is not None:
        yield Shown("batch", of_batch(spec), batch_head(spec), spec.batch)
    if spec.link is not None:
        yield Shown(
            "link",
            told("The link, which takes the place of {} in the losses:", terms.logistic(terms.MARGIN)),
            terms.defines(terms.LINK),
            spec.link,
        )
    if spec.constraint is not None:
        yield Shown(
            "constraint",
            told("The constraint, added to the losses with the multiplier {}:", write(spec.multiplier)),
            terms.defines(terms.of("c", spec.roles)),
            spec.constraint,
        )


def outer(spec: Spec, margin: Formula) -> Formula:
    """The loss of a pair as a formula in its margin."""
    link = terms.logistic(margin) if spec.link is None else call("f", margin)
    if spec.constraint is None:
        return link
    return row(link, " + ", write(spec.multiplier), r"\,", terms.of("c", spec.roles))


# --- Recoveries ----------------------------------------------------------------------------------


def statement(recovery: Recovery | None) -> Stated | None:
    """The theorem or the proposition; None where nothing was decided."""
    if recovery is None:
        return None
    spec = recovery.spec
    if recovery.verdict == "proved":
        return Stated(
            "theorem",
            told(
                "With {} the generalised loss {} equals the target loss{}: for {}{},",
                Referred("prior", "the prior above"),
                row(terms.LOSS_THROUGH, " = ", outer(spec, terms.MARGIN_THROUGH)),
                _up_to(recovery),
                _varying(spec),
                _held(recovery),
            ),
            terms.defines(terms.of(terms.LOSS, spec.roles)),
            recovery.affine(terms.of(terms.LOSS_THROUGH, spec.roles)),
            _gradients(recovery),
        )
    if recovery.verdict == "refuted":
        side = "margins" if recovery.kind == "margin" else "losses"
        return Stated(
            "proposition",
            told(
                "{} does not recover {}: {}the {} differ at the witness below. Their difference, "
                "target less prior, in normal form, is",
                Referred("prior", "The prior"),
                Referred("target", "the target"),
                _scaled(recovery),
                side,
            ),
            EMPTY,
            folded(recovery),
            "",
        )
    return None


def _up_to(recovery: Recovery) -> str:
    parts = ["a positive factor"] * (recovery.factor != 1) + ["a constant"] * (recovery.constant != 0)
    return f" up to {' and '.join(parts)}" if parts else ""


def _varying(spec: Spec) -> Told:
    return listed(
        [
            "every prompt",
            "every pair of responses",
            "all policies",
            *["all parameters"] * bool(spec.names.parameters),
            *["all data"] * bool(spec.names.features),
        ]
    )


def _held(recovery: Recovery) -> Told:
    """Under which conditions: those that the spec needs, and what the proof leaves out."""
    above = "that satisfy the conditions above" if telling(recovery.spec.conditions) else "as above"
    where = told(", where {}", joined(", ", recovery.side_conditions)) if recovery.side_conditions else ""
    return told(" {}{}", above, where)


def _gradients(recovery: Recovery) -> Told:
    affine = "" if recovery.factor == 1 and recovery.constant == 0 else ", up to scale and offset"
    if recovery.gradient is not None:
        return told(
            "Hence the two objectives are one function of the policy{}. Of gradients: {}.",
            affine,
            recovery.gradient.sentence,
        )
    return told(
        "Hence the two objectives are one function of the policy{}, and so are their "
        "gradients, provided {} is differentiated wherever it depends on {}.",
        affine,
        ZETA,
        POLICY_SIGN,
    )


def _scaled(recovery: Recovery) -> Told | str:
    """How a target stated as a loss comes from its margin."""
    if recovery.kind == "loss" or recovery.spec.loss is None:
        return ""
    loss = terms.logistic(terms.MARGIN)
    scaled = recovery.affine(between("(", loss, ")", "big") if recovery.factor != 1 else loss)
    return told("the target is {} of a margin {}, and ", scaled, terms.MARGIN)


def proof_opening(recovery: Recovery) -> Told:
    """What the chain leads from and to, and why that suffices."""
    led = told(
        "The {} through the prior is taken, step by step, to the target {}.", recovery.kind, recovery.kind
    )
    if recovery.kind == "loss":
        return led
    if recovery.spec.loss is not None:
        return told(
            "{}it suffices that the margins agree. {}", told("{}", _scaled(recovery)).capitalised(), led
        )
    return told(
        "Both losses are {} of their margins, so it suffices that the margins agree. {}",
        outer(recovery.spec, terms.MARGIN),
        led,
    )


def proof_start(recovery: Recovery) -> Shown:
    """The side that the chain begins with."""
    roles = recovery.spec.roles
    left = terms.of(terms.MARGIN_THROUGH, roles)
    if recovery.kind == "loss":
        left = recovery.affine(terms.of(terms.LOSS_THROUGH, roles))
    return Shown("start", "", terms.defines(left), recovery.recovered)


def proof_close(recovery: Recovery) -> str:
    return f"This is the target {recovery.kind}. Each step was replayed by the checker."


# --- What else there is to say -------------------------------------------------------------------


def remarks(section: Section) -> Iterator[Remark]:
    """What is off and what works, of a refutation; the loss of a prior without a target."""
    spec, recovery = section.spec, section.recovery
    if recovery is not None and recovery.verdict == "refuted" and recovery.explanation:
        yield Remark("What is off", recovery.explanation)
    if recovery is not None and recovery.working_prior:
        yield _working(spec, recovery.working_prior)
    if recovery is None and spec.prior is not None and not spec.reason:
        yield Remark(
            "The loss of this prior",
            told(
                "The generalised loss with this prior is {} of the margin", outer(spec, terms.MARGIN_THROUGH)
            ),
            Shown(
                "margin",
                "",
                terms.defines(terms.of(terms.MARGIN_THROUGH, spec.roles)),
                recovered_margin(spec),
            ),
        )


def _working(spec: Spec, text: str) -> Remark:
    words = "The target is recovered by the prior"
    try:
        prior = parse(text, spec.names, PRIOR)
    except MidpoError:
        return Remark("A prior that works", f"{words} {text}.")
    return Remark("A prior that works", words, Shown("prior", "", terms.PRIOR_IS, prior))


def check_opening(found: CrossCheck) -> str:
    """How a kernel was held against its formula."""
    return (
        f"The kernel was held against the formula above, evaluated in 50 digits, on "
        f"{found.cases} random pairs (seed {found.seed}, device {found.device}). Errors are "
        "the largest found, in units in the last place; a unit is the rounding of the result, "
        "or of the inputs carried through to it, whichever is larger."
    )


def check_close(found: CrossCheck) -> str:
    """What torch's own check of gradients says."""
    said = {True: "passed", False: "failed", None: "does not apply (stopped gradient)"}
    return (
        "Automatic differentiation against differences in float64 (torch.autograd.gradcheck): "
        f"{said[found.gradcheck]}."
    )
