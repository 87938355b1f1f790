"""The framework's theorems: all of them, and each by its name."""

from __future__ import annotations

from midpo.symbolic.errors import SpecError, nearest

from . import information as framework_information
from . import optimum as framework_optimum
from . import prior as framework_prior
from . import representability as framework_representability
from .theorem import Theorem


def theorems() -> tuple[Theorem, ...]:
    """The framework's theorems, in the paper's order, then those that `solve` cites."""
    return (
        framework_optimum.OPTIMAL_POLICY,
        framework_optimum.BRADLEY_TERRY,
        framework_information.MUTUAL_INFORMATION,
        framework_prior.CONSTRAINTS,
        framework_prior.LEARNED_PRIOR,
        *framework_representability.THEOREMS,
    )


def theorem(name: str) -> Theorem:
    """The theorem of this name. Raises: SpecError naming what is near."""
    known = {t.name: t for t in theorems()}
    if name not in known:
        raise SpecError(f'no theorem is called "{name}"', expected=nearest(name, known))
    return known[name]
