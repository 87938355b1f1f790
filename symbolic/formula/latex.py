r"""Formula -> LaTeX's mathematics mode: a fold, and nothing decided but where braces stand."""

from __future__ import annotations

from sympy import Expr

from midpo.symbolic.language.nodes import Node

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
)
from .write import name as _name
from .write import policy as _policy
from .write import write


def tex(formula: Formula) -> str:
    """`formula` in LaTeX."""
    match formula:
        case Sign(spelt) | Space(spelt) | Foreign(spelt):
            return spelt
        case Number(digits):
            return digits
        case Upright(letters):
            escaped = letters.replace("_", r"\_")
            return rf"\mathrm{{{escaped}}}"
        case Text(words):
            return rf"\text{{{words}}}"
        case Beside(parts):
            return _row(parts)
        case Name(_, body) | Quantity(body):
            return tex(body)
        case Twofold():
            return tex(formula.body)
        case Fraction(above, below, small):
            return rf"\{'t' * small}frac{{{tex(above)}}}{{{tex(below)}}}"
        case Root(body):
            return rf"\sqrt{{{tex(body)}}}"
        case Script(base, below, above, bare):
            return tex(base) + _script("_", below, bare) + _script("^", above, bare)
        case Fence(_, body, _):
            left, right = formula.brackets
            return tex(left) + tex(body) + tex(right)
        case Bracket(sign, size, opening):
            return _bracket(sign, size, opening)
        case Infix(sign):
            return "{}" + tex(sign)
        case Accent(mark, body, bare):
            inside = tex(body)
            apart = " " if inside[:1].isalpha() else ""  # of a control word and a letter
            return rf"\{mark}{apart}{inside}" if bare else rf"\{mark}{{{inside}}}"
        case Cases(rows):
            lines = r"\\ ".join(f"{tex(value)} & {tex(held)}" for value, held in rows)
            return rf"\begin{{cases}} {lines} \end{{cases}}"
        case Placeholder():
            return r"\cdot"
    raise TypeError(f"{type(formula).__name__} is no formula")


def _row(parts: tuple[Formula, ...]) -> str:
    texts = list(map(tex, parts))
    for place, part in enumerate(parts[:-1]):
        if isinstance(part, Foreign) and part.open and texts[place + 1][:1].isalpha():
            texts[place] += " "
    return "".join(texts)


def _script(sign: str, part: Formula | None, bare: bool) -> str:
    if part is None:
        return ""
    return sign + tex(part) if bare else f"{sign}{{{tex(part)}}}"


def _bracket(sign: str, size: str, opening: bool) -> str:
    if size == "left":
        return (r"\left" if opening else r"\right") + sign
    return rf"\{size}{'l' if opening else 'r'}{sign}" if size else sign


def latex(expr: Expr) -> str:
    """`expr` in LaTeX, terms of y_w before terms of y_l."""
    return tex(write(expr))


def name(word: str) -> str:
    """A parameter or feature."""
    return tex(_name(word))


def policy(word: str) -> str:
    return tex(_policy(word))


Node.in_latex = staticmethod(latex)  # so that notebooks show a bare expression as a spec's
