"""One spec with what is known of it: what a section of a report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.language.spec import Spec

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
    certificate: str = "not checked"
    solution: Solution | None = None
    audit: Audit | None = None
    plots: tuple[Plot, ...] = ()
    source: str = ""
