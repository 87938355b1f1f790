"""Are the gradients of two expressions of one value equal too, where gradients are stopped?

A stopped gradient holds its policy: sg(e) is e at another policy that happens to be equal. Two
expressions whose difference, so read, is free of the trained policy have one gradient. That
gradients differ is numerical evidence: slopes along a random direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Symbol

from midpo.numeric.slopes import slopes
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known, proved, told, undecided
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.language.nodes import POLICY, StopGradient
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.work import allowance

from .problem import FORMS

HELD = Symbol("pi held")  # no name that a spec can give
SAME = 1e-12  # relative, of slopes in 80 digits with an error of order 1e-36
SLOPES = "slopes in 80 digits at random pairs"


@dataclass(frozen=True)
class GradientFact:
    """What is known of the gradients with respect to the trained policy of a target and of what the
    prior gives, which are equal in value. `verdict` is "equal", "zero" (the target's is 0, the
    other is not), "different" or "undecided"; `standing` says what that rests on."""

    verdict: str
    sentence: str
    standing: Told

    def as_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "sentence": self.sentence, "standing": self.standing}


def gradient_fact(spec: Spec, target: Expr, recovered: Expr) -> GradientFact | None:
    """How the gradients compare; None where neither side stops one of the
    trained policy."""
    stopped = target.atoms(StopGradient) | recovered.atoms(StopGradient)
    if not any(POLICY in node.free_symbols for node in stopped):
        return None
    one, other = held(target), held(recovered)
    still = not _moves(one)
    if still and not _moves(other):
        return GradientFact(
            "equal",
            "gradients are equal too: both are 0",
            proved("with what is stopped held, no normal form moves with pi"),
        )
    if not still and not _moves(one - other):
        return GradientFact(
            "equal",
            "gradients are equal too, stopped ones held",
            proved("with what is stopped held, the normal form of the difference is free of pi"),
        )
    apart = any(abs(a - b) > SAME * (1 + abs(a) + abs(b)) for a, b in slopes(spec, (target, recovered)))
    if still and apart:
        return GradientFact(
            "zero",
            "equal in value only: the target's gradient is 0, that of the prior's loss is not",
            told(
                "{} that it is 0: with what is stopped held, the target's normal "
                "form is free of pi; that the other is not: {}",
                Standing.PROVED,
                known(Standing.EVIDENCE, SLOPES),
            ),
        )
    if apart:
        return GradientFact(
            "different",
            "equal in value only: the gradients differ, for part of the expressions is stopped",
            known(Standing.EVIDENCE, SLOPES),
        )
    return GradientFact(
        "undecided",
        "equal in value; whether the gradients are equal is not decided",
        undecided("no derivation, and no slope that differs"),
    )


def held(expr: Expr) -> Expr:
    """`expr` with every sg(e) as e at the held policy."""
    if isinstance(expr, StopGradient):
        return held(expr.args[0]).xreplace({POLICY: HELD})
    if not expr.has(StopGradient):
        return expr
    return rebuild(expr, [held(arg) for arg in expr.args])


def _moves(expr: Expr) -> bool:
    """Whether no normal form shows `expr` to be free of the trained policy."""
    return not any(POLICY not in form.free_symbols for form in _forms(expr))


def _forms(expr: Expr) -> Iterator[Expr]:
    yield expr
    for form in FORMS:
        try:
            with allowance(expr):
                yield normal_form(expr, **form)
        except (TooLarge, NoValue, RecursionError):
            return
