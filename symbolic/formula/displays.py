"""What a spec states, and what a loss is a function of, as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr

from .latex import response
from .layout import lines


def responses(roles: Sequence[Expr]) -> str:
    """What a loss is a function of: the pair, and the responses declared beside it."""
    return f"({', '.join(map(response, roles))})"


def display(stated: Sequence[tuple[str, Expr]]) -> str:
    """Expressions, each after the left-hand side that it defines, as one display for notebooks."""
    rows: list[str] = []
    for head, part in stated:
        first, *rest = lines(part, 100)
        rows += [f"{head} {first}", *(rf"&\quad {line}" for line in rest)]
    body = " \\\\\n".join(rows)
    return f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$"
