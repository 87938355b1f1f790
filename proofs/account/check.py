"""What the numbers say of a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from midpo.numeric.figures import below
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import known, told

from .claim import Claim, Topic

if TYPE_CHECKING:
    from midpo.numeric.checking.found import CrossCheck

_TITLE = "what the numbers say of the kernel"


def check_topic(found: CrossCheck) -> Topic:
    """Every claim of a cross-check."""
    return Topic("check", _TITLE, tuple(_claims(found)))


def _claims(found: CrossCheck) -> Iterator[Claim]:
    what = "code" if found.code and found.backend == "code" else "kernel"
    does = "computes" if found.passed else "does not compute"
    yield Claim(
        what,
        "agrees" if found.passed else "differs",
        f"the {what} {does} the loss and its gradient",
        known(Standing.EVIDENCE, f"{found.cases} pairs, seed {found.seed}, {found.device}"),
        why=found.failure,
    )
    if found.prior_gap is not None:
        gap = below(found.prior_gap, 1e-40)
        yield Claim(
            "two losses",
            "compared",
            f"loss through the prior - loss through the target: {gap} (50 digits)",
            known(Standing.EVIDENCE, f"{found.cases} pairs"),
        )


def unchecked_topic() -> Topic:
    """That a kernel was written, and not held against its formula."""
    return Topic(
        "check",
        _TITLE,
        (
            Claim(
                "kernel",
                "not checked",
                "whether the kernel computes the loss and its gradient",
                told("{} here; midpo check does it", Standing.UNCHECKED),
            ),
        ),
    )
