"""Words and formulas of a page: sentences with mathematics in them, displays that flow.

A display is a row of pieces, each as wide as a phone, which the browser sets side by side where
there is room: a long formula needs no line breaks of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup, escape
from sympy import Expr

from midpo.symbolic.formula.glyphs import width as measure
from midpo.symbolic.formula.latex import tex as in_latex
from midpo.symbolic.formula.layout import INDENT
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.mathml import NotNotation, mathml
from midpo.symbolic.formula.tree import EMPTY, Formula, leaf, parts, row
from midpo.symbolic.formula.width import width
from midpo.symbolic.formula.write import write

WIDTH = 42.0  # of a piece, in digits: what a phone shows in one line


@dataclass(frozen=True)
class Display:
    """A formula: its pieces as MathML, and the whole in LaTeX for copying."""

    pieces: tuple[Markup, ...]
    tex: str


def _math(tex: str, *, display: bool = False) -> Markup:
    """A formula as MathML; one that is no notation, as its LaTeX."""
    try:
        return Markup(mathml(tex, display=display))
    except NotNotation:
        return Markup("<code>{}</code>").format(tex)


def words(sentence: str) -> Markup:
    """A sentence of `narrative` ($...$ is mathematics, the rest plain text) as HTML."""
    parts = re.split(r"\$", sentence)
    shown = [
        _math(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    ]
    return Markup("").join(shown)


def inline(tex: str) -> Markup:
    """A formula of the notation within a sentence."""
    return _math(tex)


def display(head: Formula, expr: Expr, tail: Formula = EMPTY) -> Display:
    """`head` (such as `m = `), then `expr`, broken where a narrow page needs it."""
    first, *rest = map(_flush, broken(expr, WIDTH))
    together = width(head) + width(first) <= WIDTH
    lines = [row(head, first), *rest] if together else [head, first, *rest]
    lines[-1] = row(lines[-1], tail)
    pieces = tuple(_math(in_latex(line), display=True) for line in lines)
    return Display(pieces, in_latex(row(head, write(expr), tail)))


def _flush(line: Formula) -> Formula:
    """A line without its indent."""
    inside = parts(line)
    while inside[:1] == (leaf(INDENT),):
        inside = inside[1:]
    return row(*inside)


def formula(tex: str) -> Display:
    """A formula that is there as LaTeX only, broken at its outermost signs."""
    return Display(tuple(_math(p, display=True) for p in _pieces(tex)), tex)


_OPENING = re.compile(r"[({\[]|\\left|\\[bB]ig+l|\\begin")
_CLOSING = re.compile(r"[)}\]]|\\right|\\[bB]ig+r|\\end")
_BREAK = re.compile(r"\\quad|\\equiv|[=+-]")


def _pieces(tex: str) -> list[str]:
    """`tex` cut before its outermost relations and signs, as few pieces as fit the width."""
    depth, parts, start = 0, [], 0
    for token in re.finditer(r"\\[A-Za-z]+|\\.|.", tex):
        sign = token.group()
        depth += bool(_OPENING.fullmatch(sign)) - bool(_CLOSING.fullmatch(sign))
        before = tex[start : token.start()].rstrip()
        if depth == 0 and _BREAK.fullmatch(sign) and before and before[-1] not in "^_=,":
            parts.append(tex[start : token.start()])
            start = token.start()
    parts.append(tex[start:])
    lines: list[str] = []
    for part in (p for p in parts if p.strip()):
        if lines and measure(lines[-1] + part) <= WIDTH:
            lines[-1] += part
        else:
            lines.append("{}" + part if lines and part[0] in "+-" else part)
    return lines
