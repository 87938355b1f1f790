"""Answers for notebooks: a heading and lines of a table, in HTML that needs no style.

Text is escaped, whoever wrote it; an expression is MathML.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from sympy import Expr

from .mathml import mathml
from .write import write

Line = tuple[str, "Expr | str | None"]


def card(heading: str, verdict: str, lines: Iterable[Line]) -> str:
    """`heading`: `verdict`, and a line for each part that is there."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{_shown(part)}</td></tr>"
        for name, part in lines
        if part is not None and part != ""
    )
    return f"<p><b>{escape(heading)}</b>: {escape(verdict)}</p><table>{rows}</table>"


def source(heading: str, text: str) -> str:
    """A text as it is, below a heading."""
    return f"<p><b>{escape(heading)}</b></p><pre>{escape(text)}</pre>"


def _shown(part: Expr | str | None) -> str:
    return mathml(write(part)) if isinstance(part, Expr) else escape(str(part))
