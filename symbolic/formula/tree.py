r"""A formula as a small tree: what is laid out, whatever it is written in.

Leaves are signs, numbers, words; a `Name` knows what it is called in the spec. What LaTeX's source
has beyond that (spaces that are not seen, braces around one sign) is kept in the leaves, so that
`latex` is a mere concatenation. What a page leaves unsaid and a line of characters must say (that
factors are multiplied, where an argument ends), or the reverse, is a `Twofold`. `row` joins parts,
and takes signs as they are spelt in LaTeX: row(ALPHA, " + ", 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .signs import GLYPHS, SPACES, Glyph


class Formula:
    """A node of the tree."""


@dataclass(frozen=True)
class Sign(Formula):
    """A sign of the table of `signs`, between the spaces that LaTeX's source has there."""

    tex: str

    def __post_init__(self) -> None:
        if self.tex.strip() not in GLYPHS:
            raise ValueError(f"{self.tex!r} is no sign of symbolic.formula.signs")

    @cached_property
    def glyph(self) -> Glyph:
        return GLYPHS[self.tex.strip()]


@dataclass(frozen=True)
class Space(Formula):
    r"""A space: \, or \quad, perhaps with a blank behind it; a blank alone is not seen."""

    tex: str

    @property
    def command(self) -> str:
        return self.tex if self.tex in SPACES else self.tex.rstrip()


@dataclass(frozen=True)
class Placeholder(Formula):
    """The dot that stands for an argument that is left out, as in p(. | s)."""


@dataclass(frozen=True)
class Number(Formula):
    digits: str


@dataclass(frozen=True)
class Upright(Formula):
    """A name in upright letters."""

    letters: str


@dataclass(frozen=True)
class Text(Formula):
    """Words within a formula, with their spaces."""

    words: str


@dataclass(frozen=True)
class Foreign(Formula):
    """A reader's own LaTeX, `wide` digits wide by an estimate; `open`: a letter that followed would
    be read as a part of it."""

    tex: str
    wide: float
    open: bool


@dataclass(frozen=True)
class Beside(Formula):
    """Parts side by side; none of them is a row."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Name(Formula):
    """How the symbol is written that the spec calls `key`."""

    key: str
    body: Formula


@dataclass(frozen=True)
class Quantity(Formula):
    """What is spelled out where a name would stand: what is before it keeps its distance."""

    body: Formula


@dataclass(frozen=True)
class Spoken(Name):
    """A part of a response, or what precedes it: y_{w,t} or s_{w,t}. `letter` and `index` are what
    there is beside the response's own index."""

    letter: str
    index: Formula


class Twofold(Formula):
    """What a page and a line of characters write differently. A page has the body."""

    body: Formula


@dataclass(frozen=True)
class Times(Twofold):
    """That two factors are multiplied: a space or a dot on a page, a dot on a line."""

    body: Formula


@dataclass(frozen=True)
class Enclosed(Twofold):
    """What needs no brackets on a page, as its end is seen: the argument of log, a last factor."""

    body: Formula


@dataclass(frozen=True)
class Abridged(Twofold):
    """What a page spells out and a line of characters writes as the spec language does: `short`."""

    body: Formula
    short: Formula


@dataclass(frozen=True)
class Slash(Twofold):
    """A fraction on one line; in brackets where it `multiplies` what follows: (a/b) log c."""

    above: Formula
    below: Formula
    multiplies: bool = False

    @property
    def body(self) -> Formula:  # type: ignore[override]
        flat = row(self.above, "/", self.below)
        return Fence("(", flat, ")") if self.multiplies else flat


@dataclass(frozen=True)
class Fraction(Formula):
    above: Formula
    below: Formula
    small: bool = False


@dataclass(frozen=True)
class Root(Formula):
    body: Formula


@dataclass(frozen=True)
class Script(Formula):
    """A base with what stands below and above it; `bare`: LaTeX's source has no braces there."""

    base: Formula
    below: Formula | None = None
    above: Formula | None = None
    bare: bool = False


@dataclass(frozen=True)
class Bracket(Formula):
    """One bracket, its partner on another line."""

    sign: str
    size: str
    opening: bool


@dataclass(frozen=True)
class Fence(Formula):
    """What stands between brackets of a size of `signs.SIZES`; "left" grows with the body."""

    left: str
    body: Formula
    right: str
    size: str = ""

    @property
    def brackets(self) -> tuple[Bracket, Bracket]:
        return Bracket(self.left, self.size, True), Bracket(self.right, self.size, False)


@dataclass(frozen=True)
class Infix(Formula):
    """A sign at the beginning of a line that stands between two terms all the same."""

    sign: Sign


@dataclass(frozen=True)
class Accent(Formula):
    """`mark` is bar, hat or tilde; `bare` as in a script."""

    mark: str
    body: Formula
    bare: bool = False


@dataclass(frozen=True)
class Cases(Formula):
    """(value, where it holds) for each case."""

    rows: tuple[tuple[Formula, Formula], ...]


Part = Formula | str | int


def row(*parts: Part) -> Formula:
    """`parts` side by side, rows among them opened; one part alone is itself."""
    found = tuple(leaf for part in parts for leaf in _opened(part))
    return found[0] if len(found) == 1 else Beside(found)


def _opened(part: Part) -> tuple[Formula, ...]:
    if isinstance(part, Beside):
        return part.parts
    return (part if isinstance(part, Formula) else leaf(part),)


def leaf(spelt: str | int) -> Formula:
    """A sign as LaTeX spells it, a space, or a number."""
    if isinstance(spelt, int) or spelt.isdigit():
        return Number(str(spelt))
    if spelt in SPACES or spelt.rstrip() in SPACES:
        return Space(spelt)
    return Sign(spelt)


EMPTY: Formula = Beside(())
# Between factors by hand: nothing, a thin space, a dot.
JOINED, THIN, DOT = Times(EMPTY), Times(Space(r"\,")), Times(Sign(r" \cdot "))


def beside(formula: Formula) -> tuple[Formula, ...]:
    """What stands side by side in `formula` on a page."""
    return _side_by_side(formula, Twofold)


def parts(formula: Formula) -> tuple[Formula, ...]:
    """The same, with names opened where they are rows."""
    return _side_by_side(formula, (Twofold, Name, Quantity))


def _side_by_side(formula: Formula, through: type | tuple[type, ...]) -> tuple[Formula, ...]:
    if isinstance(formula, through):
        return _side_by_side(formula.body, through)  # type: ignore[attr-defined]
    if not isinstance(formula, Beside):
        return (formula,)
    if not any(isinstance(part, through) for part in formula.parts):
        return formula.parts
    return tuple(p for part in formula.parts for p in _side_by_side(part, through))


def seen(formula: Formula) -> tuple[Formula, ...]:
    """`parts` without the blanks that are not seen."""
    return tuple(p for p in parts(formula) if not (isinstance(p, Space) and p.tex == " "))


def without_first(formula: Formula) -> Formula:
    """All but the first part of a row."""
    return row(*_opened(formula)[1:])


def first(formula: Formula) -> Formula:
    """The leaf, fraction or bracketed part with which `formula` begins."""
    while not isinstance(formula, (Sign, Number, Upright, Fence, Fraction, Quantity)):
        inside = seen(formula)
        if isinstance(formula, Script):
            formula = formula.base
        elif not inside or inside[0] == formula:
            break
        else:
            formula = inside[0]
    return formula


def script(
    base: Part, below: Part | None = None, above: Part | None = None, *, bare: bool = False
) -> Formula:
    """Scripts at the last part of `base`."""
    *before, last = _opened(base) or (EMPTY,)
    if isinstance(last, Abridged):
        ways = (script(way, below, above, bare=bare) for way in (last.body, last.short))
        return row(*before, Abridged(*ways))
    lower, upper = (None if part is None else row(part) for part in (below, above))
    return row(*before, Script(last, lower, upper, bare))


def whole(formula: Script) -> tuple[Formula, Formula | None, Formula | None]:
    """A script's base, with the scripts that the base brings along: mu_1 squared has two."""
    base = formula.base
    inner = base.body if isinstance(base, Name) else base
    if isinstance(inner, Script):
        core, below, above = whole(inner)
        if not ((formula.below and below) or (formula.above and above)):
            return core, formula.below or below, formula.above or above
    return base, formula.below, formula.above


def between(left: str, body: Part, right: str, size: str = "left") -> Formula:
    return Fence(left, row(body), right, size)


def call(function: Part, *arguments: Part) -> Formula:
    """f(a, b)."""
    return row(function, Fence("(", listed(arguments), ")"))


def listed(items: Iterable[Part], sign: Part = ", ") -> Formula:
    """a, b, c."""
    found: list[Part] = []
    for item in items:
        found += [sign, item] if found else [item]
    return row(*found)


def number(value: Any) -> Formula:
    """A number as it is printed: 2, -0.5, 1/3."""
    if getattr(value, "denominator", 1) != 1:
        return row(number(value.numerator), "/", Number(str(value.denominator)))
    digits = str(value)
    return row("-", Number(digits[1:])) if digits.startswith("-") else Number(digits)


def nodes(formula: Formula) -> Iterator[Formula]:
    """Every node of the tree as a page has it, `formula` first."""
    yield formula
    inside: tuple[Any, ...] = ()
    match formula:
        case Beside(parts):
            inside = parts
        case Name(_, body) | Quantity(body) | Root(body) | Accent(_, body) | Fence(_, body):
            inside = (body,)
        case Twofold():
            inside = (formula.body,)
        case Fraction(above, under):
            inside = (above, under)
        case Script(base, under, above):
            inside = tuple(part for part in (base, under, above) if part is not None)
        case Cases(rows):
            inside = tuple(part for pair in rows for part in pair)
    for part in inside:
        yield from nodes(part)


def rebuilt(formula: Formula, change: Callable[[Formula], Formula]) -> Formula:
    """`formula` with each of its parts changed."""

    def perhaps(part: Formula | None) -> Formula | None:
        return None if part is None else change(part)

    match formula:
        case Beside(parts):
            return row(*map(change, parts))
        case Abridged(body, short):
            return Abridged(change(body), change(short))
        case (
            Name(_, body)
            | Quantity(body)
            | Root(body)
            | Accent(_, body)
            | Fence(_, body)
            | Times(body)
            | Enclosed(body)
        ):
            return replace(formula, body=change(body))
        case Fraction(above, below) | Slash(above, below):
            return replace(formula, above=change(above), below=change(below))
        case Script(base, below, above, bare):
            return Script(change(base), perhaps(below), perhaps(above), bare)
        case Cases(rows):
            return Cases(tuple((change(value), change(held)) for value, held in rows))
    return formula
