"""Definitions as one display for notebooks, in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr

from .latex import tex
from .layout import lines
from .tree import Formula
from .write import write

WIDTH = 100.0  # of a line, in digits


def display(stated: Sequence[tuple[Formula, str, Expr]]) -> str:
    """Expressions, each after the left-hand side that it defines and the sign between them."""
    rows: list[str] = []
    for head, sign, part in stated:
        first, *rest = map(tex, lines(write(part), WIDTH))
        rows += [f"{tex(head)} &{sign} {first}", *(rf"&\quad {line}" for line in rest)]
    return aligned(rows)


def aligned(rows: Sequence[str]) -> str:
    """Rows of LaTeX as one display."""
    body = " \\\\\n".join(rows)
    return f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"
