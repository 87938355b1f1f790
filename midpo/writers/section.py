"""One spec with what is known of it: what a section of a report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from midpo.proofs.account.account import NOT_CERTIFIED, account_of
from midpo.proofs.account.claim import Account
from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.formula.told import Told
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.representable import PriorFacts, prior_facts

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.proofs.audit.audit import Audit
    from midpo.proofs.recover.solved import Solution
    from midpo.writers.pictures.plots import Plot


@dataclass(frozen=True)
class Section:
    """One spec with what is known of it; `kernel` is source text (`source` the whole file),
    `certificate` what an independent proof kernel says of the recovery, `solution` what `solve`
    says of the target, `plots` the pictures to show. What was not asked for is None or empty."""

    spec: Spec
    recovery: Recovery | None
    check: CrossCheck | None
    kernel: str = ""
    certificate: Told = NOT_CERTIFIED
    solution: Solution | None = None
    audit: Audit | None = None
    plots: tuple[Plot, ...] = ()
    source: str = ""

    @cached_property
    def facts(self) -> PriorFacts | None:
        """What the stated prior depends on."""
        if self.spec.reason or self.spec.prior is None:
            return None
        return self.recovery.facts if self.recovery is not None else prior_facts(self.spec)

    @cached_property
    def account(self) -> Account:
        """What is claimed of the spec."""
        return account_of(
            self.spec,
            self.recovery,
            self.solution,
            self.audit,
            self.check,
            certificate=self.certificate,
            facts=self.facts,
            kernel=bool(self.kernel or self.source),
        )

    @property
    def placed(self) -> tuple[str, ...]:
        """The topics of the account that have a part of the section of their own."""
        audited = () if self.audit is None else (topic.name for topic in self.audit.sections)
        return ("class", *audited)
