"""The width of a formula in display style, in widths of a digit: a fold that errs on the wide side."""

from __future__ import annotations

from .signs import BRACKETS, SIZES, SPACES, Kind, letter_width
from .tree import (
    Accent,
    Beside,
    Bracket,
    Cases,
    Fence,
    Foreign,
    Formula,
    Fraction,
    Infix,
    Name,
    Number,
    Placeholder,
    Quantity,
    Root,
    Script,
    Sign,
    Space,
    Text,
    Twofold,
    Upright,
    whole,
)

_SCRIPT = 0.8  # a sub- or superscript, relative to the line it hangs on
_DOT = {False: 0.7, True: 0.6}
_ACCENT = 1.25


def width(formula: Formula, inside: bool = False) -> float:
    """The estimated width; `inside` a script."""
    match formula:
        case Sign():
            return formula.glyph.inside if inside else formula.glyph.width
        case Space():
            return SPACES[formula.command]
        case Number(digits):
            return sum(0.6 if sign == "." else 1.0 for sign in digits)
        case Upright(letters):
            return sum(map(letter_width, letters))
        case Text(words):
            return sum(letter_width(letter) for letter in words if letter != " ")
        case Foreign():
            return formula.wide
        case Beside(parts):
            return sum(width(part, inside) for part in parts)
        case Name(_, body) | Quantity(body):
            return width(body, inside)
        case Twofold():
            return width(formula.body, inside)
        case Fraction(above, below):
            return max(width(above, inside), width(below, inside)) + 0.5
        case Root(body):
            return 2.25 + width(body, inside)
        case Script():
            return _with_scripts(formula, inside)
        case Bracket(sign, size):
            return BRACKETS[sign] + SIZES[size]
        case Fence(_, body, _):
            return width(body, inside) + sum(map(width, formula.brackets))
        case Infix(sign):
            return width(sign, inside)
        case Accent(_, body):
            return _ACCENT + width(body, inside)
        case Cases(rows):
            return max(width(value) + 2.0 + width(held) for value, held in rows) + 2.5
        case Placeholder():
            return _DOT[inside]
    raise TypeError(f"{type(formula).__name__} is no formula")


def _with_scripts(formula: Script, inside: bool) -> float:
    base, *scripts = whole(formula)
    size = width(base, inside)
    sizes = [_SCRIPT * width(script, True) for script in scripts if script is not None]
    if isinstance(base, Sign) and base.glyph.kind is Kind.LARGE:
        return max(size, *sizes) + 0.3
    return size + max(sizes) + 0.15
