"""Errors a user sees: what is wrong, where, what was expected, what is near."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

MAX_LISTED = 30


class MidpoError(Exception):
    """Base of every error that midpo raises on purpose; its text is one complete message."""


class SpecError(MidpoError):
    """A spec that cannot be read.

    Attributes: `file`, `key` (dotted), `text` (the value, when it is an expression), `column`
    (0-based, in `text`), `problem` and `expected`.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str = "",
        key: str = "",
        text: str = "",
        column: int | None = None,
        expected: str = "",
    ) -> None:
        self.problem, self.file, self.key = problem, file, key
        self.text, self.column, self.expected = text, column, expected
        super().__init__(problem)

    def located(self, *, file: str = "", key: str = "") -> SpecError:
        """The same error, with the place filled in by whoever knows it."""
        self.file, self.key = self.file or file, self.key or key
        return self

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.file, self.key) if part)
        if self.column is not None:
            line = self.text.count("\n", 0, self.column)
            start = self.text.rfind("\n", 0, self.column) + 1
            where = f"line {line + 1}, " if "\n" in self.text else ""
            place += (", " if place else "") + f"{where}column {self.column - start + 1}"
        lines = [f"{place}: {self.problem}" if place else self.problem]
        if self.text and self.column is not None:
            lines += _excerpt(self.text, self.column)
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        return "\n".join(map(printable, lines))


class NotYet(MidpoError):
    """A valid spec that asks for something midpo does not do (the message says what)."""


class TooLarge(MidpoError):
    """An expression whose normal form would exceed the stated bound."""


class NoValue(MidpoError):
    """An expression that has no value anywhere, such as 1/(a - a)."""


def _excerpt(text: str, column: int, width: int = 88) -> list[str]:
    """The line of `text` that holds `column`, cut to `width`, and a caret under the column."""
    start = text.rfind("\n", 0, column) + 1
    end = text.find("\n", column)
    line, at = text[start : end if end >= 0 else len(text)], column - start
    left = max(0, min(at - width // 2, len(line) - width))
    shown = printable(line[left : left + width])
    return ["  | " + shown, "  | " + " " * cells(shown[: at - left]) + "^"]


def cells(text: str) -> int:
    """How many columns of a terminal `text` fills: two for a wide character, none for a mark."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def printable(text: str) -> str:
    """`text` with every control character shown as a blank: it goes to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or the list of what is known, for an error's `expected`."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name[:80], names, n=1, cutoff=0.55)
    listing = ", ".join(names[:MAX_LISTED]) if names else "nothing is declared"
    if len(names) > MAX_LISTED:
        listing += f" and {len(names) - MAX_LISTED} more"
    return f'did you mean "{close[0]}"? Known: {listing}' if close else f"one of: {listing}"
