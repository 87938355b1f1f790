"""Nodes -> statements of C.

Expressions are written as in Python; what is left are declarations, the type of numbers, and the
ends of statements.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable

from . import python
from .nodes import Assign, Code, Name, Number, Statement, changed

WIDTH = 92


def statements(lines: Iterable[Statement], declared: Collection[str] = (), kind: str = "float") -> list[str]:
    """Assignments as statements; a name's first one declares it, unless it is `declared`."""
    known, found = set(declared), []
    for line in lines:
        assert isinstance(line, Assign) and isinstance(line.target, Name)
        name = line.target.id
        head = "" if name in known else f"{kind} "
        known.add(name)
        found += textwrap.wrap(
            f"{head}{name} {line.sign} {text(line.value)};",
            WIDTH,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return found


def text(code: Code) -> str:
    """An expression, its numbers as float has them: an integer would divide as one, a double is
    twice as wide."""
    return python.text(changed(code, _float))


def _float(node: Code) -> Code:
    if not isinstance(node, Number):
        return node
    return Number(node.text + ("f" if "." in node.text or "e" in node.text else ".0f"))
