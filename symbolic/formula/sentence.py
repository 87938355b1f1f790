"""A sentence with formulas in it: plain words, and formulas as holes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .tree import Formula


@dataclass(frozen=True)
class Sentence:
    """Words and formulas in order."""

    parts: tuple[str | Formula, ...] = ()

    @property
    def words(self) -> str:
        """The words alone."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def __add__(self, other: Sentence | Formula | str) -> Sentence:
        return Sentence(self.parts + sentence(other).parts)


def said(template: str, *holes: Sentence | Formula | str) -> Sentence:
    """`template` with each {} filled, by a formula, a sentence or words."""
    words = template.split("{}")
    if len(words) != len(holes) + 1:
        raise ValueError(f"{len(words) - 1} holes for {len(holes)} formulas: {template}")
    parts: list[str | Formula] = [words[0]]
    for hole, after in zip(holes, words[1:], strict=True):
        parts += [*sentence(hole).parts, after]
    return Sentence(tuple(part for part in parts if part != ""))


def sentence(part: Sentence | Formula | str) -> Sentence:
    return part if isinstance(part, Sentence) else Sentence((part,))


def joined(items: Iterable[Sentence | Formula | str], between: str = "") -> Sentence:
    """One after the other."""
    found = Sentence()
    for place, item in enumerate(items):
        found = (found + between if place and between else found) + item
    return found


def listed(items: Iterable[Sentence | Formula | str]) -> Sentence:
    """a, b and c."""
    first, *rest = map(sentence, items)
    for place, item in enumerate(rest, 2):
        first = first + (" and " if place == len(rest) + 1 else ", ") + item
    return first
