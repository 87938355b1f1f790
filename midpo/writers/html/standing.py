"""The claims of a section, each with what it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from midpo.numeric.figures import below
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, told
from midpo.symbolic.formula.tree import row
from midpo.symbolic.formula.write import ZETA
from midpo.symbolic.language.table import CONFIRMED
from midpo.symbolic.representable import PriorFacts

from .text import inline, words

if TYPE_CHECKING:
    from midpo.writers.section import Section

Claim = tuple[Markup | str, str, str]  # the claim, its kind of standing, the words


def standings(section: Section, facts: PriorFacts | None) -> list[Claim]:
    """(claim, kind, what it rests on); kinds are proved, kernel, exact, evidence, reference, mixed,
    none."""
    spec = section.spec
    source = "taken from the reference" if spec.reference or spec.bibtex else "stated by the file"
    found: list[Claim] = []
    if not spec.reason:
        status = "" if spec.status == CONFIRMED else f"; {spec.status}"
        found.append(("The formulas stated are the published ones", "reference",
                      f"{source}, and for the reader to compare{status}"))
    else:
        found.append(("There is no loss of one pair", "reference", source))
    found += [*_recovery(section), *_solution(section), *_kernel(section)]
    if facts is not None:
        found.append(("What the prior depends on", "exact",
                      "read off the normal form of the prior's logarithm"))
    if section.audit is not None:
        found.append(("The answers of the audit", "mixed", "each says what it rests on"))
    return found


def _recovery(section: Section) -> list[Claim]:
    recovery = section.recovery
    if recovery is None:
        return []
    if recovery.verdict == "undecided":
        return [("Whether the prior recovers the target", "none", recovery.standing)]
    certified = section.certificate
    if certified == "not checked":
        certified += " here; midpo certify does it"
    kernel: Claim = (
        "The same, by a proof kernel that shares no code with the checker",
        "kernel" if certified.startswith("accepted") else "none", certified)
    if recovery.verdict == "refuted":
        assert recovery.witness is not None
        return [("The prior does not recover the target", "exact",
                 f"at the witness: {recovery.witness.standing}"), kernel]
    steps = len(recovery.steps)
    agree = Markup("The losses agree: {}").format(
        inline(row(terms.LOSS, " = ", recovery.affine(terms.LOSS_THROUGH))))
    stopped = recovery.gradient
    gradients: Claim = (
        words(told("The gradients agree where both sides are differentiable and {} is "
                   "differentiated", ZETA)),
        "proved", "follows from the equality of values for every policy",
    ) if stopped is None else (
        f"Of gradients: {stopped.sentence}", kind_of(stopped.standing), stopped.standing)
    return [
        (agree, "proved", f"{steps} step{'s' * (steps != 1)} by named rules, replayed by the "
         "checker"),
        kernel,
        gradients,
    ]


def _solution(section: Section) -> list[Claim]:
    found = section.solution
    if found is None:
        return []
    kind = "proved" if found.proof is not None or found.standing.standing is Standing.PROVED else (
        "exact" if found.witness is not None else "none")
    return [(f"The class of the target: {found.kind}", kind, found.standing or found.reason)]


def _kernel(section: Section) -> list[Claim]:
    check = section.check
    if check is None:
        return [("The kernel computes the loss and its gradient", "none",
                 "not checked here; midpo check does it")] if section.kernel else []
    verdict = "agrees" if check.passed else "differs"
    claims: list[Claim] = [
        ("The kernel computes the loss and its gradient", "evidence",
         f"numerical evidence: {check.cases} pairs, seed {check.seed}: the kernel {verdict}")]
    if check.prior_gap is not None:
        claims.append(("The losses through prior and target agree in 50 digits", "evidence",
                       f"numerical evidence: {check.cases} pairs, largest relative difference "
                       f"{below(check.prior_gap, 1e-40)}"))
    return claims


_KINDS = {
    Standing.PROVED: "proved",
    **dict.fromkeys((Standing.EXACT, Standing.DIFFERENTIATED, Standing.COMPUTED), "exact"),
    Standing.EVIDENCE: "evidence",
}


def kind_of(standing: Told) -> str:
    """How a page marks a standing."""
    return _KINDS.get(standing.standing, "none")
