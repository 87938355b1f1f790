"""A sentence of an answer: a plain text that knows which of its words are mathematics.

A terminal and JSON have the text; a page that sets mathematics goes by the parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .tree import Formula


@dataclass(frozen=True)
class Displayed:
    """A statement in mathematics: for a terminal, and laid out."""

    unicode: str
    formula: Formula

    def __str__(self) -> str:
        return self.unicode


class CutShort(str):
    """An expression of the spec language, cut short: a text that is mathematics no more."""

    __slots__ = ()


Hole = str | Displayed


class Told(str):
    """A text with formulas in it. What is put together of such texts by anything but `told` is a
    plain text, and its formulas are words."""

    parts: tuple[Hole, ...]

    def __new__(cls, parts: tuple[Hole, ...]) -> Told:
        self = super().__new__(cls, "".join(map(str, parts)))
        self.parts = parts
        return self

    def __reduce__(self) -> tuple[type[Told], tuple[tuple[Hole, ...]]]:
        return Told, (self.parts,)

    def capitalised(self) -> Told:
        first, *rest = self.parts
        return Told((first[:1].upper() + first[1:], *rest)) if isinstance(first, str) else self


def told(template: str, *holes: Hole) -> Told:
    """`template` with each {} filled, by a formula, a text with formulas, or words."""
    words = template.split("{}")
    if len(words) != len(holes) + 1:
        raise ValueError(f"{len(words) - 1} holes for {len(holes)} parts: {template}")
    found: list[Hole] = [words[0]]
    for hole, after in zip(holes, words[1:], strict=True):
        found += [*parts_of(hole), after]
    return Told(tuple(part for part in found if part != ""))


def parts_of(text: Hole) -> tuple[Hole, ...]:
    """Words and formulas of a text, in order."""
    return text.parts if isinstance(text, Told) else (text,)


def joined(between: str, texts: Sequence[Hole]) -> Told:
    """Texts one after the other, `between` between them."""
    return told(between.join("{}" for _ in texts), *texts)
