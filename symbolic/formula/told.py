"""A sentence of an answer: a plain text that knows which of its words are mathematics.

A terminal and JSON have the text; a page that sets mathematics goes by the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from .characters import line
from .standing import Standing
from .tree import Formula


@dataclass(frozen=True)
class Displayed:
    """A statement in mathematics; `words` lead to it. `spelt` is what a terminal has for it where
    that is no formula: the spec language, which can be copied into a spec, or a sentence."""

    formula: Formula
    words: str = ""
    spelt: str = ""

    @cached_property
    def unicode(self) -> str:
        """One line of characters."""
        return self.spelt or line(self.formula)

    def __str__(self) -> str:
        return self.unicode


class CutShort(str):
    """An expression of the spec language, cut short: a text that is mathematics no more."""

    __slots__ = ()


@dataclass(frozen=True)
class Citation:
    """Results that are cited by their numbers, and what they are called: theorem, proposition."""

    called: str
    numbers: tuple[str, ...]

    def __str__(self) -> str:
        return self.under(self.called)

    def under(self, name: str) -> str:
        """The same under another name."""
        return f"{name}{'s' * (len(self.numbers) > 1)} {' and '.join(self.numbers)}"

    def capitalised(self) -> Citation:
        return Citation(self.called.capitalize(), self.numbers)


@dataclass(frozen=True)
class Referred:
    """Words for a formula of the same section, `to` being its key there."""

    to: str
    words: str

    def __str__(self) -> str:
        return self.words


def theorem(*numbers: str) -> Citation:
    return Citation("theorem", numbers)


def proposition(*numbers: str) -> Citation:
    return Citation("proposition", numbers)


Hole = str | Displayed | Citation | Referred | Standing


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
        first, *rest = self.parts or ("",)
        if isinstance(first, Citation):
            return Told((first.capitalised(), *rest))
        if isinstance(first, Displayed):
            return self
        words = str(first)
        return Told((words[:1].upper() + words[1:], *rest))

    @property
    def rest(self) -> Told:
        """What a standing rests on: the text without the standing that it begins with."""
        begins = self.parts[:1] == (self.standing,) and self.parts[1:2] == (": ",)
        return Told(self.parts[2:]) if begins else self

    @property
    def standing(self) -> Standing:
        """The first standing that it names; UNDECIDED where it names none."""
        found = (part for part in self.parts if isinstance(part, Standing))
        return next(found, Standing.UNDECIDED)


def told(template: str, *holes: Hole | Formula) -> Told:
    """`template` with each {} filled, by a formula, a text with formulas, a standing, or words; a
    formula alone is written in characters for a terminal."""
    words = template.split("{}")
    if len(words) != len(holes) + 1:
        raise ValueError(f"{len(words) - 1} holes for {len(holes)} parts: {template}")
    found: list[Hole] = [words[0]]
    for hole, after in zip(holes, words[1:], strict=True):
        found += [*parts_of(hole), after]
    return Told(tuple(part for part in found if part != ""))


def known(standing: Standing, why: str = "", *holes: Hole | Formula) -> Told:
    """A standing, and what it rests on: `why` is filled as `told` does."""
    return told("{}: {}", standing, told(why, *holes)) if why else told("{}", standing)


UNSAID = Told(())


def proved(why: str = "", *holes: Hole | Formula) -> Told:
    return known(Standing.PROVED, why, *holes)


def undecided(why: str = "", *holes: Hole | Formula) -> Told:
    return known(Standing.UNDECIDED, why, *holes)


def parts_of(text: Hole | Formula) -> tuple[Hole, ...]:
    """Words and formulas of a text, in order."""
    if isinstance(text, Formula):
        return (Displayed(text),)
    return text.parts if isinstance(text, Told) else (text,)


def joined(between: str, texts: Sequence[Hole | Formula]) -> Told:
    """Texts one after the other, `between` between them."""
    return told(between.join("{}" for _ in texts), *texts)


def listed(items: Iterable[Hole | Formula]) -> Told:
    """a, b and c."""
    *most, last = [told("{}", item) for item in items]
    return told("{} and {}", joined(", ", most), last) if most else last
