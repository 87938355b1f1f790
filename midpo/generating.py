"""A kernel whose lowering was replayed by the checker, and what kernels of a spec take."""

from __future__ import annotations

from functools import partial

from midpo.codegen import emit
from midpo.codegen.emit import Kernel, has_loss
from midpo.codegen.kernels.steps import WHERES, refuse
from midpo.codegen.plan.lower import lower
from midpo.codegen.plan.needs import Takes, takes
from midpo.proofs.checking.check import CheckFailed
from midpo.proofs.checking.check import check as replay
from midpo.symbolic.errors import NotYet, SpecError
from midpo.symbolic.language.spec import Spec


def checked_kernel(
    spec: Spec, backend: str, thin: bool = False, where: str = "", token_metrics: bool = False
) -> Kernel:
    """The kernel of a spec's loss, for somewhere to train where that is said; computed as it is
    written, where a step of its lowering does not follow.

    Raises: NotYet for what no kernel is written for.
    """
    write = partial(emit.generate, spec, backend, thin=thin, where=where, token_metrics=token_metrics)
    kernel = write()
    try:
        for derivation in kernel.lowered.derivations:
            replay(derivation, derivation.start, derivation.end)
    except (CheckFailed, RecursionError):
        return write(as_written=True)
    return kernel


def takes_of(spec: Spec) -> Takes | None:
    """What a kernel of the spec takes; None where none is written for it."""
    try:
        if not has_loss(spec):
            return None
        return takes(spec, lower(spec))
    except (SpecError, NotYet, RecursionError):
        return None


def usual_backend(where: str) -> str:
    """The backend where none is asked for. Raises: MidpoError for nowhere that is known."""
    if not where:
        return "eager"
    refuse(where, "")
    return WHERES[where].backends[0]
