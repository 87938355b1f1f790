"""What solve answers: the prior of a loss, its class, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sympy import Expr, S

from midpo.numeric.crossing import Crossing
from midpo.symbolic.formula import notebook
from midpo.symbolic.formula.told import UNSAID, Told
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text

from .conditions import defined_where
from .gradients import GradientFact
from .recovery import Recovery

Kind = Literal[
    "fixed",
    "iterative",
    "self-referential",
    "label-dependent",
    "constraint",
    "other-link",
    "temperature",
    "weighted",
    "none",
    "undecided",
]
REPRESENTABLE = ("fixed", "iterative", "self-referential", "label-dependent", "other-link")


@dataclass(frozen=True)
class Alternative:
    """Another temperature and its prior for the same margin (theorem 4)."""

    alpha: Expr
    prior: Expr


@dataclass(frozen=True)
class Solution:
    """The answer for one target.

    `prior` is zeta(y) at the spec's own `alpha`, unique up to one factor free of y; `link` (in m),
    `constraint`, `temperature` (what the pair multiplies the margin by) and `weight` (what it
    multiplies the loss by) stand beside it where the class has them, and `conditions` say where
    these are positive. `proof` is the recovery that proves the answer, and `gradient` whether
    gradients are equal too (None where none is stopped). `reason` names the theorem and its
    instance. `witness` is a square of four responses, `hexagon` the same for prompts that have only
    three.
    """

    spec: Spec
    kind: Kind
    reason: str
    prior: Expr | None = None
    link: Expr | None = None
    constraint: Expr | None = None
    temperature: Expr | None = None
    weight: Expr | None = None
    conditions: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    witness: Crossing | None = None
    hexagon: Crossing | None = None
    proof: Recovery | None = None
    standing: Told = UNSAID
    swap_sum: Expr = S.Zero  # the margin plus the margin of the swapped pair, 0 where label-free

    @property
    def gradient(self) -> GradientFact | None:
        """Whether the prior gives the target's gradient too; None where no gradient is stopped."""
        return None if self.proof is None else self.proof.gradient

    @property
    def defined_where(self) -> tuple[str, ...]:
        """The lengths at which the target has a value, where these are not all."""
        return defined_where(self.spec)

    @property
    def representable(self) -> bool | None:
        """None where undecided."""
        return None if self.kind == "undecided" else self.kind in REPRESENTABLE

    def _repr_html_(self) -> str:
        parts = ("prior", "link", "constraint", "temperature", "weight")
        return notebook.card(
            self.spec.name,
            self.kind,
            [
                *((name, getattr(self, name)) for name in parts),
                *(("where", condition) for condition in self.conditions),
                ("because", self.reason),
                ("standing", self.standing),
            ],
        )

    def as_json(self) -> dict[str, Any]:
        taken = self.spec.names.taken()

        def shown(expr: Expr | None) -> str | None:
            return None if expr is None else text(expr, taken)

        return {
            "name": self.spec.name,
            "representable": self.representable,
            "class": self.kind,
            "alpha": text(self.spec.alpha),
            "prior": shown(self.prior),
            "unique": "up to one factor free of y" if self.prior is not None else None,
            "alternatives": [{"alpha": shown(a.alpha), "prior": shown(a.prior)} for a in self.alternatives],
            "link": shown(self.link),
            "constraint": shown(self.constraint),
            "temperature": shown(self.temperature),
            "weight": shown(self.weight),
            "conditions": list(self.conditions),
            "defined_where": list(self.defined_where),
            "gradient": None if self.gradient is None else self.gradient.as_json(),
            "reason": self.reason,
            "witness": None if self.witness is None else self.witness.as_json(),
            "hexagon": None if self.hexagon is None else self.hexagon.as_json(),
            "standing": self.standing,
        }
