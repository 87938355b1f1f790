"""All that is claimed of a spec, from what was asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, told
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.representable import PriorFacts

from .check import check_topic, unchecked_topic
from .claim import Account, Topic
from .recovery import prior_claim, recovery_topic
from .solution import solution_topic
from .source import source_topic

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck
    from midpo.proofs.audit.audit import Audit
    from midpo.proofs.recover.recovery import Recovery
    from midpo.proofs.recover.solved import Solution

NOT_CERTIFIED = told("{} here; midpo certify does it", Standing.UNCHECKED)


def account_of(
    spec: Spec,
    recovery: Recovery | None = None,
    solution: Solution | None = None,
    audit: Audit | None = None,
    check: CrossCheck | None = None,
    *,
    certificate: Told | None = None,
    facts: PriorFacts | None = None,
    kernel: bool = False,
) -> Account:
    """The account of these results; what was not asked for is None. `facts` are those of a prior
    without a target; `kernel` says that one was written."""

    def topics() -> Iterator[Topic]:
        yield source_topic(spec)
        if recovery is not None:
            yield recovery_topic(recovery, certificate)
        elif facts is not None:
            yield Topic("recovery", "what is known of the prior", (prior_claim(facts),))
        if solution is not None:
            yield solution_topic(solution)
        if check is not None:
            yield check_topic(check)
        elif kernel:
            yield unchecked_topic()
        if audit is not None:
            yield from audit.sections

    return Account(tuple(topics()))
