"""A claim: a sentence, how far it is known, formulas, and data. A topic: the claims of one kind.
An account: all that is claimed of a spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from midpo.numeric.figures import settled
from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.told import Displayed, Told


@dataclass(frozen=True)
class Claim:
    """One answer to a `question`: a sentence, `why` it is so, and `where` it holds. `verdict` is a
    short code that does not change with wording; `data` holds the numbers behind it."""

    question: str
    verdict: str
    sentence: str
    standing: Told
    formulas: tuple[Displayed, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    where: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        return self.verdict not in ("undecided", "not decided")

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
class Topic:
    """One topic's claims."""

    name: str
    title: str
    claims: tuple[Claim, ...]

    def __getitem__(self, question: str) -> Claim:
        return next(claim for claim in self.claims if claim.question == question)

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "title": self.title, "answers": [claim.as_json() for claim in self.claims]}


@dataclass(frozen=True)
class Account:
    """What is claimed of one spec: what terminal, LaTeX and HTML write."""

    topics: tuple[Topic, ...]

    def __getitem__(self, name: str) -> Topic:
        return next(topic for topic in self.topics if topic.name == name)

    def __contains__(self, name: str) -> bool:
        return any(topic.name == name for topic in self.topics)

    def without(self, *names: str) -> tuple[Topic, ...]:
        """The topics but those of these names."""
        return tuple(topic for topic in self.topics if topic.name not in names)

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(claim for topic in self.topics for claim in topic.claims)
