"""What comparing two losses found: their relation, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sympy import Expr, S

from midpo.numeric.witness import Witness
from midpo.proofs.recover.conditions import defined_where
from midpo.symbolic.formula import notebook
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import UNSAID, Told
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.representable import fold

from .settings import Setting

Verdict = Literal[
    "equal", "equal up to factor and constant", "special case", "limiting case", "different", "undecided"
]
Special = Literal["first", "second", "both"]


@dataclass(frozen=True)
class Comparison:
    """The answer for two specs.

    loss of `first` = `factor` * loss of `second` + `constant` where the verdict is "equal" (then as
    it stands) or "equal up to factor and constant", `settings` saying what names of the first are
    called in the second; and at `settings` where it is "special case" or "limiting case" (a value
    is an end of its domain that does not belong to it). `special` says which of the two is the
    other with these names fixed; "both" where names of both are. Where the verdict is "different",
    `settings` are values at which the two meet because terms of both vanish there.

    `gradient` says whether the gradients are then equal too, None where that was not seen.
    `difference` is first minus second as they stand, of margins where both have one link
    (`compared`), and `explanation` says it in words. `witness` is a case at which they differ as
    they stand, its `target` being `first`.
    """

    first: Spec
    second: Spec
    verdict: Verdict
    compared: Literal["margin", "loss"] = "loss"
    settings: tuple[Setting, ...] = ()
    special: Special | None = None
    factor: Expr = S.One
    constant: Expr = S.Zero
    side_conditions: tuple[str, ...] = ()
    difference: Expr | None = None
    explanation: str = ""
    witness: Witness | None = None
    standing: Told = UNSAID
    gradient: bool | None = None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        one, other = self.first.name, self.second.name
        fixed = ", ".join(map(str, self.settings))
        stopped = {
            True: "",
            None: "; their gradients were not seen to be equal",
            False: "; their gradients differ",
        }[self.gradient]
        equal = "equal in value" if stopped else "equal"
        if self.verdict in ("equal", "equal up to factor and constant"):
            scale = "" if self.verdict == "equal" else " up to a positive factor and a constant"
            return f"{one} and {other} are equal{scale}{f', with {fixed}' if fixed else ''}"
        if self.verdict in ("special case", "limiting case"):
            ends = ", ".join(s.name for s in self.settings if s.limit)
            beyond = f" (a limit: {ends} leaves its domain)" if ends else ""
            what = f"{equal} at {fixed}{beyond}{stopped}"
            if self.special == "both":
                return f"{one} and {other} have a {self.verdict} in common: {what}"
            general, special = (one, other) if self.special == "second" else (other, one)
            return f"{special} is a {self.verdict} of {general}: {what}"
        if self.equal_in_value:
            return f"{one} and {other} are equal in value{stopped}"
        if self.verdict == "undecided":
            return f"whether {one} and {other} are equal is not decided"
        return f"{one} and {other} are different"

    @property
    def proved(self) -> bool:
        """Whether the answer rests on a derivation."""
        return self.standing.standing is Standing.PROVED

    @property
    def equal_in_value(self) -> bool:
        """Whether the losses are equal as they stand and their gradients are not seen to be."""
        return self.verdict in ("different", "undecided") and self.proved

    @property
    def defined_where(self) -> tuple[str, ...]:
        """The lengths at which both losses have a value, where these are not all."""
        return tuple(dict.fromkeys((*defined_where(self.first), *defined_where(self.second))))

    @property
    def names(self) -> set[str]:
        """What the two declare."""
        return self.first.names.taken() | self.second.names.taken()

    def _repr_html_(self) -> str:
        affine = (self.factor, self.constant) != (1, 0)
        return notebook.card(
            f"{self.first.name} and {self.second.name}",
            self.verdict,
            [
                ("in words", self.sentence),
                ("factor", self.factor if affine else None),
                ("constant", self.constant if affine else None),
                *(("where", condition) for condition in self.side_conditions),
                ("difference", None if self.difference is None else fold(self.difference)),
                ("what differs", self.explanation),
                ("standing", self.standing),
            ],
        )

    def as_json(self) -> dict[str, Any]:
        shown = self.difference
        return {
            "first": self.first.name,
            "second": self.second.name,
            "verdict": self.verdict,
            "special": self.special,
            "settings": {s.name: s.value for s in self.settings},
            "limit": any(s.limit for s in self.settings),
            "up_to": {"factor": text(self.factor), "constant": text(self.constant)},
            "gradient": self.gradient,
            "side_conditions": list(self.side_conditions),
            "defined_where": list(self.defined_where),
            "compared": self.compared,
            "difference": None if shown is None else text(fold(shown), self.names),
            "explanation": self.explanation,
            "witness": None if self.witness is None else self.witness.as_json(),
            "standing": self.standing,
        }
