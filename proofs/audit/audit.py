"""What "recovered" hides: an audit of a spec's prior.

Equal losses are not equal derivations. For one prior, five sections: the gradient (what must be
differentiated), the optimum (whether the usual reward expression holds there), labels (one function
or two), mass (whether the prior can be normalised) and domain (where the objective is empty,
reversed or undefined). Each answer says what it rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sympy import Expr

from midpo.proofs.account.claim import Claim, Topic
from midpo.proofs.audit.words import USUAL
from midpo.proofs.recover.levels import Preference
from midpo.proofs.recover.solution import solve
from midpo.symbolic.errors import MidpoError, SpecError
from midpo.symbolic.formula.told import told, undecided
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import is_constant
from midpo.symbolic.work import allowance, question

from . import domain as audit_domain
from . import labels as audit_labels
from . import mass as audit_mass
from . import optimum as audit_optimum
from . import side as audit_side
from .gradient import answers as audit_gradient

TRIALS = 80
UNITS = 500_000  # of work: some ten seconds
Progress = Callable[[str], None]

TITLES = {
    "gradient": "what is differentiated",
    "optimum": told("is {} at the optimum", USUAL),
    "labels": "one function or two",
    "mass": "can the prior be normalised",
    "domain": "where the objective has no meaning",
}


@dataclass(frozen=True)
class Audit:
    """The answers for one spec. `solved` is the prior that was audited where the spec has none of
    its own; `sections` by name: gradient, optimum, labels, mass, domain."""

    spec: Spec
    sections: tuple[Topic, ...]
    solved: str = ""

    def __getitem__(self, name: str) -> Topic:
        return next(section for section in self.sections if section.name == name)

    @property
    def undecided(self) -> tuple[Claim, ...]:
        """The answers that decide nothing."""
        return tuple(a for s in self.sections for a in s.claims if not a.decided)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.spec.name,
            "prior": None if self.spec.prior is None else text(self.spec.prior, self.spec.names.taken()),
            "prior_found_by_solve": bool(self.solved),
            "sections": [section.as_json() for section in self.sections],
        }


def audit(
    spec: Spec,
    *,
    seed: int = 0,
    trials: int = TRIALS,
    pairs: Sequence[Preference] | None = None,
    progress: Progress = lambda now: None,
    units: int = UNITS,
) -> Audit:
    """Audit `spec`'s prior; where it has none, the prior that `solve` finds for its target.

    `trials` are random pairs for the cosines; `pairs` comparisons on which one function is asked
    for; `units` bounds the work. Raises: SpecError where there is no prior, TooLarge and Undefined
    never.
    """
    with question():
        return _audited(spec, seed, trials, pairs, progress, units)


def _audited(
    spec: Spec, seed: int, trials: int, pairs: Sequence[Preference] | None, progress: Progress, units: int
) -> Audit:
    solved, parts = "", (None, None, None, None)
    if spec.prior is None:
        progress("solve")
        found = solve(spec)
        if found.prior is None:
            raise SpecError(
                f"there is no prior to audit: {found.reason}",
                file=spec.file,
                key="prior",
                expected="a prior, or a target that has one (midpo solve)",
            )
        spec, solved = replace(spec, prior=found.prior), text(found.prior)
        parts = found.weight, found.link, found.constraint, found.temperature
    with allowance(*spec.expressions, units=units), np.errstate(all="ignore"):
        total = _swap_sum(spec)
        one = total is not None and (total == 0 or is_constant(total))
        progress("prior")
        sides = audit_side.sides_of(spec, one)
        makers: dict[str, Callable[[], Iterator[Claim]]] = {
            "gradient": lambda: audit_gradient.answers(spec, seed, trials, progress, parts),
            "optimum": lambda: (a for s in sides for a in audit_optimum.answers(s, seed)),
            "labels": lambda: audit_labels.answers(spec, total, pairs),
            "mass": lambda: (a for s in sides for a in audit_mass.answers(s, seed)),
            "domain": lambda: audit_domain.answers(spec, seed),
        }
        sections = []
        for name, make in makers.items():
            progress(name)
            sections.append(Topic(name, TITLES[name], tuple(_answered(name, make))))
    return Audit(spec, tuple(sections), solved)


def _swap_sum(spec: Spec) -> Expr | None:
    try:
        return audit_labels.swap_sum(spec)
    except (MidpoError, RecursionError):
        return None


def _answered(name: str, make: Callable[[], Iterator[Claim]]) -> Iterator[Claim]:
    """The answers that `make` gives, and one that says why where it gives up."""
    try:
        yield from make()
    except (MidpoError, RecursionError) as error:
        reason = str(error) or "the expressions are nested too deeply"
        yield Claim(
            name, "undecided", f"no further answers: {reason}", undecided("too much work, or no value")
        )
