"""Formula -> one line of characters for a terminal: a fold. Structure that a line lacks is spelled:
y_{w,t}, e^(V/α), (a + b)/c, α·log(π(y)/ζ(y)).

It is to be read; `language.text` writes what the parser reads back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sympy import Expr

from .signs import Kind
from .tree import (
    Abridged,
    Accent,
    Beside,
    Bracket,
    Cases,
    Enclosed,
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
    Slash,
    Space,
    Text,
    Times,
    Upright,
    whole,
)
from .write import write

_ACCENTS = {"bar": "\u0304", "hat": "\u0302", "tilde": "\u0303"}
_SPACES = {r"\,": " ", r"\ ": " ", r"\;": " ", r"\quad": " ", r"\qquad": "  ", " ": " "}
# Where a terminal's letters lack a sign, or have one that more fonts know.
_SIMPLER = {
    r"\mathbf{1}": "1",
    r"\mathbb{E}": "E",
    r"\mathcal{V}": "V",
    r"\mathsf{T}": "T",
    r"\sum": "Σ",
    r"\cdot": "·",
    r"\mid": "|",
    r"\sim": "~",
    r"\phi": "φ",
    r"\epsilon": "ε",
    "*": "*",
}
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_RAISED = {"+": "⁺", "−": "⁻", "*": "*", "T": "ᵀ"}
# What stands between terms, and what makes a part of a fraction need brackets.
_BETWEEN = frozenset(
    r"+ - = < > \le \ge \ne \equiv \propto \sim \in \mid \| , ; :".split()  # noqa: SIM905
)
_SUMS: frozenset[type | str] = frozenset({*_BETWEEN, Infix})
_PRODUCTS: frozenset[type | str] = frozenset({"/", r"\cdot", r"\times", Times, Fraction, Slash})
_LOOSE = _SUMS | _PRODUCTS | {Space}


def mathematics(expr: Expr) -> str:
    """`expr` as people write it: α·log(π(y_w)/π_ref(y_w)), Σ_{t∈y} KL(π_ref ‖ π; y, t)."""
    return line(write(expr))


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
            return _row(list(_items(formula)))
        case Name(_, body) | Quantity(body):
            return line(body)
        case Times():
            return "·"
        case Enclosed(body):
            return f"({line(body)})"
        case Abridged(_, short):
            return line(short)
        case Fraction(above, below) | Slash(above, below):
            return _over(above, [], below)
        case Root(body):
            return f"√{_held(body)}"
        case Script():
            base, lower, upper = whole(formula)
            return line(base) + _below(lower) + _above(upper)
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
    shown = _SIMPLER.get(sign.glyph.tex, sign.glyph.character)
    after = (
        " "
        if sign.tex.endswith(" ")
        and sign.glyph.kind is Kind.SIGN
        and (sign.tex.startswith(" ") or not sign.tex.startswith("\\"))
        else ""
    )
    return f"{' ' * sign.tex.startswith(' ')}{shown}{after}"


def _items(formula: Formula) -> Iterator[Formula]:
    """What stands side by side on a line."""
    match formula:
        case Beside(parts):
            for part in parts:
                yield from _items(part)
        case Name(_, body) | Quantity(body) | Abridged(_, body):
            yield from _items(body)
        case _:
            yield formula


def _row(items: Sequence[Formula]) -> str:
    """Items side by side, a term after the other."""
    done, start = "", 0
    for at, item in enumerate([*items, None]):
        if item is None or _ends_term(item):
            done = _joined(done, _term(items[start:at]))
            done = done if item is None else _joined(done, line(item))
            start = at + 1
    return done


def _ends_term(item: Formula) -> bool:
    """Whether what stands before is a term of its own."""
    base = _base(item)
    if isinstance(base, Sign):
        return base.glyph.tex in _BETWEEN or base.glyph.kind is Kind.LARGE
    return isinstance(item, (Infix, Text)) or (isinstance(item, Space) and "quad" in item.tex)


def _base(item: Formula | None) -> Formula | None:
    return whole(item)[0] if isinstance(item, Script) else item


def _term(items: Sequence[Formula]) -> str:
    """One term. A fraction that it begins with has the factors behind it over its line, but not a
    gradient: that would reach to what is below."""
    if items and isinstance(items[0], Space):  # after the sign of a sum
        return line(items[0]) + _term(items[1:])
    match items:
        case [Fraction(above, below) | Slash(above, below), Times(), *behind] if behind:
            if not any(_kind(item) == r"\nabla" for item in behind):
                return _over(above, behind, below)
    done = ""
    for item, following in zip(items, [*items, None][1:], strict=True):
        done = _joined(done, line(item))
        base = _base(item)
        named = isinstance(base, Sign) and base.glyph.kind is Kind.FUNCTION
        if named and not isinstance(_base(following), (Fence, Bracket, Space, Enclosed, type(None))):
            done += " "
    return done


def _joined(done: str, more: str) -> str:
    """No space twice: a word that ends with one stands before another."""
    return done + (more.lstrip(" ") if done.endswith(" ") else more)


def _over(above: Formula, behind: Sequence[Formula], below: Formula) -> str:
    """above·behind/below, each in brackets where it would not hold together."""
    factors = [] if behind and above == Number("1") else [_bracketed(above, factor=True)]
    factors += [_term(behind)] if behind else []
    return f"{'·'.join(factors)}/{_bracketed(below, factor=False)}"


def _bracketed(part: Formula, *, factor: bool) -> str:
    """A part of a fraction; as a `factor`, what is multiplied needs no brackets."""
    loose = _SUMS if factor else _LOOSE
    shown = line(part)
    return f"({shown})" if any(_kind(item) in loose for item in _items(part)) else shown


def _kind(item: Formula) -> type | str:
    return item.glyph.tex if isinstance(item, Sign) else type(item)


def _held(part: Formula) -> str:
    """A part that holds together: in brackets where it is more than one sign."""
    shown = line(part)
    single = isinstance(part, (Fence, Number, Upright, Name)) or len(shown) == 1
    return shown if single else f"({shown})"


def _below(part: Formula | None) -> str:
    if part is None:
        return ""
    shown = line(part)
    if isinstance(part, Number):
        return shown.translate(_LOWERED)
    plain = shown.lstrip("<≤").rstrip("′" + "".join(_ACCENTS.values()))  # y_<t, E_ζ̄, y_w′
    return f"_{shown}" if len(shown) == 1 or plain.isalnum() else f"_{{{shown}}}"


def _above(part: Formula | None) -> str:
    if part is None:
        return ""
    shown = line(part)
    if isinstance(part, Sign) and shown in _RAISED:
        return _RAISED[shown]
    return f"^({shown})" if any(_kind(item) in _LOOSE for item in _items(part)) else f"^{shown}"
