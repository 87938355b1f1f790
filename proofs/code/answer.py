"""What is found of a function: proved, refuted, undecided or not lifted, and on what terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from midpo.proofs.certify.certificate import Certificate
from midpo.symbolic.formula import notebook

Part = Literal["proved", "refuted", "undecided", "not asked"]
Verdict = Literal["proved", "refuted", "undecided", "not lifted"]
TERMS = (
    "real arithmetic: nothing is said of rounding, overflow or NaN, which midpo check tests",
    "deterministic code: it was run twice at each number of pairs, with one result",
)


@dataclass(frozen=True)
class UpTo:
    """The code's loss is `factor` times the spec's plus `constant`, or so with its `guards` (small
    constants) read as 0."""

    factor: str = "1"
    constant: str = "0"
    guards: tuple[str, ...] = ()
    gradient: bool | None = None

    def __str__(self) -> str:
        told = f"{self.factor} times the spec's loss" if self.factor != "1" else "the spec's loss"
        told += f" plus {self.constant}" if self.constant != "0" else ""
        guards = ", ".join(self.guards)
        return f"{told}, with the guards {guards} read as 0" if guards else told

    def as_json(self) -> dict[str, Any]:
        return {"factor": self.factor, "constant": self.constant, "guards": list(self.guards)}


@dataclass(frozen=True)
class CodeProof:
    """The answer for one function and one spec.

    `value` and `gradient` are decided apart; the verdict is proved only if both are that were asked
    for. `scope` says for which inputs; `formula` is the loss of one pair that was lifted, in the
    spec language; `assumptions` are what the answer rests on; `reason` says why nothing was decided
    or lifted; `witness` is a case at which code and spec differ, `program` a file that shows it
    without midpo, where the code is in a file or a module; `certificate` the value's theorem for Coq,
    where it was asked for.
    """

    name: str
    function: str
    verdict: Verdict
    value: Part
    gradient: Part
    scope: str
    formula: str = ""
    assumptions: tuple[str, ...] = ()
    up_to: UpTo | None = None
    witness: Mapping[str, Any] | None = None
    reason: str = ""
    steps: int = 0
    seconds: float = 0.0
    operations: int = 0
    program: str = ""
    certificate: Certificate | None = None

    @property
    def proved(self) -> bool:
        return self.verdict == "proved"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "function": self.function,
            "verdict": self.verdict,
            "value": self.value,
            "gradient": self.gradient,
            "scope": self.scope,
            "formula": self.formula or None,
            "assumptions": list(self.assumptions),
            "up_to": None if self.up_to is None else self.up_to.as_json(),
            "witness": None if self.witness is None else dict(self.witness),
            "reason": self.reason,
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "certificate": None if self.certificate is None else self.certificate.as_json(),
        }

    def _repr_html_(self) -> str:
        return notebook.card(
            f"{self.name}: {self.function}",
            self.verdict,
            [
                ("value", self.value),
                ("gradient", self.gradient),
                ("scope", self.scope),
                ("formula", self.formula),
                ("reason", self.reason),
                *(("rests on", a) for a in self.assumptions),
            ],
        )


def verdict_of(value: Part, gradient: Part) -> Verdict:
    """Proved only if all is that was asked for, refuted if one is."""
    parts = {value, gradient} - {"not asked"}
    if "refuted" in parts:
        return "refuted"
    return "proved" if parts == {"proved"} else "undecided"
