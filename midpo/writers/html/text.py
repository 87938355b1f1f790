"""Words and formulas of a page: sentences with mathematics in them, displays that flow.

A display is a row of pieces, each as wide as a phone, which the browser sets side by side where
there is room: a long formula needs no line breaks of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape
from sympy import Expr

from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.layout import INDENT, lines, pieces
from midpo.symbolic.formula.mathml import mathml
from midpo.symbolic.formula.told import Displayed, Told, parts_of
from midpo.symbolic.formula.tree import EMPTY, Formula, beside, row
from midpo.symbolic.formula.width import width
from midpo.symbolic.formula.write import write

WIDTH = 42.0  # of a piece, in digits: what a phone shows in one line


@dataclass(frozen=True)
class Display:
    """A formula: its pieces as MathML, and the whole."""

    pieces: tuple[Markup, ...]
    whole: Formula

    @property
    def tex(self) -> str:
        """The whole in LaTeX, for copying."""
        return tex(self.whole)


def words(said: Told | Formula | str) -> Markup:
    """A sentence, its words escaped."""
    return Markup("").join(
        inline(part.formula) if isinstance(part, Displayed) else escape(str(part)) for part in parts_of(said)
    )


def inline(formula: Formula) -> Markup:
    """A formula within a sentence."""
    return Markup(mathml(formula))


def display(head: Formula, expr: Expr, tail: Formula = EMPTY) -> Display:
    """`head` (such as `m = `), then `expr`, broken where a narrow page needs it."""
    first, *rest = map(_flush, lines(write(expr), WIDTH))
    together = width(head) + width(first) <= WIDTH
    flowing = [row(head, first), *rest] if together else [head, first, *rest]
    flowing[-1] = row(flowing[-1], tail)
    return _shown(flowing, row(head, write(expr), tail))


def formula(whole: Formula) -> Display:
    """A formula that is there whole, cut at its outermost signs."""
    return _shown(pieces(whole, WIDTH), whole)


def _shown(parts: Sequence[Formula], whole: Formula) -> Display:
    return Display(tuple(Markup(mathml(part, display=True)) for part in parts), whole)


def _flush(line: Formula) -> Formula:
    """A line without its indent."""
    inside = beside(line)
    while inside[:1] == (INDENT,):
        inside = inside[1:]
    return row(*inside)
