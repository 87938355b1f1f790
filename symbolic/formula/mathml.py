r"""Formula -> presentation MathML: a fold.

A word becomes one identifier, a bracketed part one row, a function is followed by the (invisible)
sign of its application, so that what is read aloud is what is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from html import escape

from .signs import GLYPHS, Glyph, Kind
from .tree import (
    Accent,
    Beside,
    Bracket,
    Cases,
    Fence,
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
    seen,
    whole,
)

_SPACES = {r"\,": "0.17em", r"\ ": "0.3em", r"\;": "0.28em", r"\quad": "1em", r"\qquad": "2em"}
_SIZES = {"big": "1.2em", "Big": "1.8em", "bigg": "2.4em"}
_ACCENTS = {"bar": "¯", "hat": "^", "tilde": "~"}
_APPLICATION = "<mo>&#8289;</mo>"
_THIN = '<mspace width="0.17em"></mspace>'
_SPACED = ("<mo>", "<mo ", "<mspace")  # what brings its own space
_EMPTY = "<mrow></mrow>"
# After these, a sign belongs to the term that follows.
_LEADING = {f"<mo>{escape(glyph.character)}</mo>" for glyph in GLYPHS.values() if glyph.leads}


@lru_cache(maxsize=20_000)
def mathml(formula: Formula, *, display: bool = False) -> str:
    """`formula` as a <math> element."""
    style = ' displaystyle="true"' if display else ""
    return f"<math{style}>{''.join(_nodes(formula, outermost=True))}</math>"


def _row(formula: Formula, scripted: bool) -> str:
    nodes = _nodes(formula, scripted)
    return nodes[0] if len(nodes) == 1 else f"<mrow>{''.join(nodes)}</mrow>"


def _items(formula: Formula) -> Iterator[Formula]:
    """What stands side by side; brackets whose size is given stand for themselves."""
    for part in seen(formula):
        if isinstance(part, Fence) and part.size in _SIZES:
            opening, closing = part.brackets
            yield opening
            yield from _items(part.body)
            yield closing
        else:
            yield part


def _nodes(formula: Formula, scripted: bool = False, *, outermost: bool = False) -> list[str]:
    """The elements of a row; in scripts (`scripted`) signs have no space around them."""
    items = list(_items(formula))
    done: list[str] = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        base, *scripts = whole(item) if isinstance(item, Script) else (item, None, None)
        close = _touches(following) or (following is None and outermost)
        leading = not done or done[-1] in _LEADING
        function = _function(base)
        if function and not leading and not done[-1].startswith(_SPACED):
            done.append(_THIN)
        done += [_EMPTY] if base == Beside(()) else _element(base, scripted, leading)
        if isinstance(item, Script):
            _raise(done, scripts)
        if function:
            done.append(_APPLICATION if close else _APPLICATION + _THIN)
    return done


def _touches(following: Formula | None) -> bool:
    """Whether what follows a function's name needs no space before it."""
    if isinstance(following, Script):
        following = whole(following)[0]
    if isinstance(following, (Fence, Bracket)):
        sign = following.left if isinstance(following, Fence) else following.sign
        return sign in "([" if following.size == "" else following.size != "Big"
    return False


def _function(base: Formula) -> bool:
    return isinstance(base, Sign) and base.glyph.kind is Kind.FUNCTION


def _raise(done: list[str], scripts: list[Formula | None]) -> None:
    """Scripts for the last element."""
    base = done.pop()
    if 'minsize="' in base:  # browsers do not stretch a base: it keeps its place
        done.append(base)
        base = '<mspace width="0" height="1.2em"></mspace>'
    below, above = ("" if part is None else _row(part, True) for part in scripts)
    large = base in _LARGE
    pair = ("munderover", "munder", "mover") if large else ("msubsup", "msub", "msup")
    tag = pair[0] if below and above else pair[1] if below else pair[2]
    done.append(f"<{tag}>{base}{below}{above}</{tag}>")


_LARGE = {"<mi>max</mi>"} | {
    f"<mo>{glyph.character}</mo>" for glyph in GLYPHS.values() if glyph.kind is Kind.LARGE
}


def _element(item: Formula, scripted: bool, leading: bool) -> list[str]:
    """One part of a row; the elements of a name are those of its body."""
    match item:
        case Name(_, body) | Quantity(body):
            return _nodes(body, scripted)
        case Sign():
            return [_sign(item.glyph, scripted, leading)]
        case Space():
            return [f'<mspace width="{_SPACES[item.command]}"></mspace>']
        case Placeholder():
            return ["<mi>⋅</mi>"]
        case Number(digits):
            return [f"<mn>{digits}</mn>"]
        case Upright(letters):
            upright = ' mathvariant="normal"' if len(letters) == 1 else ""
            return [f"<mi{upright}>{escape(letters)}</mi>"]
        case Text(words):
            return [f"<mtext>{escape(words).replace(' ', '&#160;')}</mtext>"]
        case Fraction(above, below):
            return [f"<mfrac>{_row(above, scripted)}{_row(below, scripted)}</mfrac>"]
        case Root(body):
            return [f"<msqrt>{_row(body, scripted)}</msqrt>"]
        case Fence(left, body, right, size):
            return [_fenced(left, "".join(_nodes(body, scripted)), right, grows=size == "left")]
        case Bracket(sign, size, opening):
            form, wide = "prefix" if opening else "postfix", _SIZES[size]
            return [f'<mo form="{form}" stretchy="true" minsize="{wide}" maxsize="{wide}">{sign}</mo>']
        case Infix(sign):
            return [f'<mo form="infix">{sign.glyph.character}</mo>']
        case Accent(mark, body):
            sign = f'<mo stretchy="false">{_ACCENTS[mark]}</mo>'
            return [f'<mover accent="true">{_row(body, scripted)}{sign}</mover>']
        case Cases(rows):
            lines = "".join(_case(value, held, scripted) for value, held in rows)
            brace = '<mo form="prefix" fence="true">{</mo>'
            return [f'<mrow>{brace}<mtable class="cases">{lines}</mtable></mrow>']
    raise TypeError(f"{type(item).__name__} has no MathML")


def _case(value: Formula, held: Formula, scripted: bool) -> str:
    cells = (f"<mtd>{''.join(_nodes(part, scripted))}</mtd>" for part in (value, held))
    return f"<mtr>{''.join(cells)}</mtr>"


def _fenced(left: str, inside: str, right: str, *, grows: bool) -> str:
    """( ... ) or | ... | as large as its letters, or as tall as what it holds."""
    if grows:
        head, tail = (
            f'<mo form="{form}" fence="true">{sign}</mo>'
            for form, sign in (("prefix", left), ("postfix", right))
        )
    else:
        head, tail = (
            f'<mo stretchy="false" form="{form}">{sign}</mo>'
            for form, sign in (("prefix", left), ("postfix", right))
        )
    return f"<mrow>{head}{inside}{tail}</mrow>"


def _sign(glyph: Glyph, scripted: bool, leading: bool) -> str:
    shown = escape(glyph.character)
    if glyph.kind in (Kind.LETTER, Kind.FUNCTION):
        return f"<mi>{shown}</mi>"
    if glyph.kind is Kind.LARGE:
        return f"<mo>{shown}</mo>"
    if glyph.tex == r"\|":
        return f'<mo stretchy="false">{shown}</mo>'
    form = ' form="prefix"' if leading and glyph.tex in "+-" else ""
    close = ' lspace="0" rspace="0"' if glyph.tex == "/" or scripted else ""
    fixed = ' stretchy="false"' if glyph.tex == r"\mid" else ""
    return f"<mo{form}{close}{fixed}>{shown}</mo>"
