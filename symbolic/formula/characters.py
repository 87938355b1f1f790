"""Formula -> one line of characters for a terminal: a fold. Structure that a line lacks is spelled:
a_{w,t}, e^(V/α), (a + b)/c."""

from __future__ import annotations

from .signs import Kind
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
    Upright,
    parts,
    whole,
)

_ACCENTS = {"bar": "\u0304", "hat": "\u0302", "tilde": "\u0303"}
_SPACES = {r"\,": " ", r"\ ": " ", r"\;": " ", r"\quad": "  ", r"\qquad": "    ", " ": " "}
_BLACKBOARD = {r"\mathbf{1}": "1", r"\mathbb{E}": "E", r"\mathcal{V}": "V", r"\mathsf{T}": "T"}


def line(formula: Formula) -> str:
    """`formula` in characters."""
    match formula:
        case Sign():
            return _sign(formula)
        case Space():
            return _SPACES[formula.command]
        case Placeholder():
            return "·"
        case Number(shown) | Upright(shown) | Text(shown) | Foreign(shown, _, _):
            return shown
        case Beside():
            return _row(formula)
        case Name(_, body) | Quantity(body):
            return line(body)
        case Fraction(above, below):
            return f"{_held(above)}/{_held(below)}"
        case Root(body):
            return f"√{_held(body)}"
        case Script():
            base, lower, upper = whole(formula)
            return line(base) + _script("_", lower, "{}") + _script("^", upper, "()")
        case Fence(left, body, right):
            return f"{left}{line(body)}{right}"
        case Bracket(sign, _, _):
            return sign
        case Infix(sign):
            return line(sign)
        case Accent(mark, body):
            return line(body) + _ACCENTS[mark]
        case Cases(rows):
            return f"[{', '.join(f'{line(value)} {line(held)}' for value, held in rows)}]"
    raise TypeError(f"{type(formula).__name__} has no line")


def _sign(sign: Sign) -> str:
    shown = _BLACKBOARD.get(sign.glyph.tex, sign.glyph.character)
    after = (
        " "
        if sign.tex.endswith(" ")
        and sign.glyph.kind is Kind.SIGN
        and (sign.tex.startswith(" ") or not sign.tex.startswith("\\"))
        else ""
    )
    return f"{' ' * sign.tex.startswith(' ')}{shown}{after}"


def _row(formula: Beside) -> str:
    """The parts side by side, a space between a function's name and a letter or number."""
    done = ""
    items = parts(formula)
    for item, following in zip(items, [*items[1:], None], strict=True):
        done += line(item)
        base = whole(item)[0] if isinstance(item, Script) else item
        named = isinstance(base, Sign) and base.glyph.kind is Kind.FUNCTION
        if named and not isinstance(following, (Fence, Bracket, Space, type(None))):
            done += " "
    return done


def _held(part: Formula) -> str:
    """A part that holds together: in brackets where it is more than one sign."""
    shown = line(part)
    single = isinstance(part, (Fence, Number, Upright, Name)) or len(shown) == 1
    return shown if single else f"({shown})"


def _script(sign: str, part: Formula | None, brackets: str) -> str:
    if part is None:
        return ""
    shown = line(part)
    return sign + (shown if len(shown) == 1 or shown.isalnum() else f"{brackets[0]}{shown}{brackets[1]}")
