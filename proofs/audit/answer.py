"""What an audit answers with: a sentence, how far it is known, formulas, and data.

Standings begin with one of four words. "proved": a symbolic argument of the theorem named, for
every policy and parameter in its domain. "exact differentiation": derivatives without a step size
at random policies, in float64. "exact computation": a finite case worked out. "numerical evidence":
random cases, and no more. "not decided" is none of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from midpo.numeric.figures import settled
from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.told import Displayed

PROVED = "proved"
EXACT = "exact differentiation"
COMPUTED = "exact computation"
EVIDENCE = "numerical evidence"
UNDECIDED = "not decided"


@dataclass(frozen=True)
class Answer:
    """One answer. `verdict` is a short code that does not change with wording; `data` holds the
    numbers behind it."""

    question: str
    verdict: str
    sentence: str
    standing: str
    formulas: tuple[Displayed, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def decided(self) -> bool:
        return self.verdict not in ("undecided", UNDECIDED)

    def as_json(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "verdict": self.verdict,
            "answer": self.sentence,
            "standing": self.standing,
            "formulas": [{"unicode": f.unicode, "latex": tex(f.formula)} for f in self.formulas],
            "data": _plain(self.data),
        }


def _plain(value: Any) -> Any:
    """`value` as what JSON has, numbers settled; an infinity or nan as its name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return settled(value) if math.isfinite(value) else str(value)
    return value


@dataclass(frozen=True)
class Section:
    """One topic's answers."""

    name: str
    title: str
    answers: tuple[Answer, ...]

    def __getitem__(self, question: str) -> Answer:
        return next(answer for answer in self.answers if answer.question == question)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "answers": [answer.as_json() for answer in self.answers],
        }
