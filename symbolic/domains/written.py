"""Domains as a spec writes them: a word, or an interval with open and closed ends."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from midpo.symbolic.errors import SpecError, nearest

from .intervals import DOMAINS, Bound, Interval, shown

MAX_DIGITS = 50  # of an end, as of a number in a formula


MAX_EXPONENT = 300  # of an end: a kernel compares with it as a float


_NUMBER = r"[+-]?\s*(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?(?:\s*/\s*[0-9]+)?"


_END = re.compile(rf"\s*(?P<end>[+-]?\s*inf|{_NUMBER})\s*")


_EXAMPLE = '"[0, 1)", "(0, 1]", "[1/2, inf)"'


KNOWN_DOMAINS = f"{', '.join(DOMAINS)}; or an interval such as {_EXAMPLE}"


def read_domain(text: str) -> Interval:
    """The domain that `text` names by a word, or writes as an interval.

    Raises: SpecError with the column of what cannot be read.
    """
    word = text.strip()
    if word in DOMAINS:
        return DOMAINS[word]
    if not word.startswith(("[", "(", "]")):
        close = nearest(word, DOMAINS)
        hint = close.split("?")[0] + "? " if close.startswith("did you mean") else ""
        shown = word if len(word) <= 40 else word[:40] + "..."
        raise SpecError(f'"{shown}" is not a domain', expected=hint + KNOWN_DOMAINS)
    return _Reader(text).interval()


class _Reader:
    """Reads one interval, from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, len(text) - len(text.lstrip())

    def error(self, problem: str, expected: str, at: int | None = None) -> SpecError:
        return SpecError(problem, text=self.text, column=self.at if at is None else at, expected=expected)

    def interval(self) -> Interval:
        start = self.at
        opened = self.sign("[(", "[ where the end belongs to the domain, ( where it does not")
        low_at, lower = self.end("-inf")
        self.sign(",", f"a comma between the ends: {_EXAMPLE}")
        high_at, upper = self.end("inf")
        closed = self.sign("])", "] where the end belongs to the domain, ) where it does not")
        rest = self.text[self.at :].strip()
        if rest:
            raise self.error(
                "text after the interval", f"one interval: {_EXAMPLE}", self.text.index(rest[0], self.at)
            )
        for at, end, shut, sign in (
            (low_at, lower, opened == "[", "("),
            (high_at, upper, closed == "]", ")"),
        ):
            if math.isinf(end) and shut:
                raise self.error("an infinite end belongs to no domain", f"{sign} beside inf", at)
        if lower == math.inf or upper == -math.inf:
            raise self.error("the interval is empty", "the smaller end first", start)
        if lower > upper:
            raise self.error(
                "the interval is empty: its ends are in the wrong order",
                f"the smaller end first: {opened}{shown(upper)}, {shown(lower)}{closed}",
                start,
            )
        if lower == upper:
            what = "holds one number" if (opened, closed) == ("[", "]") else "is empty"
            raise self.error(
                f"the interval {what}", "two different ends; a constant is written into the formula", start
            )
        return Interval(lower, upper, opened == "[", closed == "]")

    def sign(self, allowed: str, expected: str) -> str:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        found = self.text[self.at : self.at + 1]
        if not found or found not in allowed:
            problem = f'"{found}" has no place here' if found else "the interval is not complete"
            raise self.error(problem, expected)
        self.at += 1
        return found

    def end(self, infinite: str) -> tuple[int, Bound]:
        found = _END.match(self.text, self.at)
        if found is None:
            while self.text[self.at : self.at + 1].isspace():
                self.at += 1
            missing = self.text[self.at : self.at + 1] in ("", ",", ")", "]")
            raise self.error(
                "an end is missing" if missing else "this is not a number",
                f"a number such as 0, 1/2 or 0.5, or {infinite}",
            )
        at, written = found.start("end"), "".join(found["end"].split())
        if sum(c.isdigit() for c in written) > MAX_DIGITS:
            raise self.error("a number is too long", f"at most {MAX_DIGITS} digits", at)
        self.at = found.end()
        if written.endswith("inf"):
            return at, -math.inf if written.startswith("-") else math.inf
        above, _, below = written.partition("/")
        if below and int(below) == 0:
            raise self.error("division by zero", "a divisor that is not 0", at)
        value = Fraction(above) / int(below or 1)
        if value and not Fraction(1, 10**MAX_EXPONENT) <= abs(value) <= 10**MAX_EXPONENT:
            raise self.error(
                "a number is too large or too small", f"an exponent of at most {MAX_EXPONENT}", at
            )
        return at, value
