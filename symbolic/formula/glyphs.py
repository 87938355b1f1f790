r"""The width of a formula, estimated by counting the glyphs of its LaTeX.

Reads the LaTeX that `notation` writes (a small part of TeX) and errs on the wide side. One unit is
the width of a digit.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_SCRIPT = 0.8  # a sub- or superscript, relative to the line it hangs on
_WORDS = {r"\log": 2.95, r"\exp": 3.6, r"\max": 4.4, r"\min": 4.2, r"\tanh": 4.4}

_GLYPHS = {
    "(": 0.8, ")": 0.8, "[": 0.6, "]": 0.6, "|": 0.6, ",": 0.95, "/": 1.0, ".": 0.6, ";": 0.9,
    "+": 2.4, "-": 2.4, "=": 2.8, "<": 2.8, ">": 2.8, "w": 1.45, "m": 1.75, "M": 2.0, "W": 2.0,
    "i": 0.75, "j": 0.85, "l": 0.7, "t": 0.8, "r": 0.85, "f": 0.85,
    " ": 0.0, "&": 2.0,
    r"\mid": 1.7, r"\|": 1.1, r"\cdot": 0.7, r"\times": 2.4, r"\,": 0.4, r"\;": 0.6, r"\!": -0.4,
    r"\quad": 2.0, r"\qquad": 4.0, r"\ ": 0.7, r"\uparrow": 2.2, r"\ge": 2.8, r"\ne": 2.8,
    r"\in": 2.6, r"\propto": 2.8, r"\le": 2.8, r"\left": 0.35, r"\right": 0.35, r"\bigl": 0.15,
    r"\bigr": 0.15, r"\Bigl": 0.4, r"\Bigr": 0.4, r"\biggl": 0.7, r"\biggr": 0.7,
    r"\sum": 3.2, r"\prod": 2.9, r"\_": 1.0, r"\{": 1.0, r"\}": 1.0,
    r"\zeta": 1.1, r"\pi": 1.18, r"\iota": 0.8,
}  # fmt: skip
_IN_SCRIPT = {  # where TeX leaves out the space around signs
    "+": 1.6, "-": 1.6, "=": 1.6, "<": 1.6, ">": 1.6, ",": 0.6, r"\mid": 0.6, r"\in": 1.4,
    r"\times": 1.6, r"\cdot": 0.6,
}  # fmt: skip
_SILENT = {r"\mathrm", r"\mathcal", r"\mathbf", r"\text", r"\displaystyle"}


@lru_cache(maxsize=20_000)
def width(tex: str) -> float:
    """The estimated width of `tex` in display style, in widths of a digit."""
    return _row(_TOKEN.findall(tex))


def _row(tokens: list[str], script: bool = False) -> float:
    total = 0.0
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.isspace():
            at += 1
            continue
        if token == r"\begin":
            end = _environment_end(tokens, at)
            total += _environment(tokens[at:end])
            at = end
            continue
        if token in (r"\frac", r"\tfrac"):
            above, at = _argument(tokens, at + 1)
            below, at = _argument(tokens, at)
            total += max(_row(above, script), _row(below, script)) + 0.5
            continue
        body, at = _argument(tokens, at)
        size = _row(body, script) if len(body) != 1 else _glyph(body[0], script)
        total += _with_limits(size, tokens, at, stacked=token in (r"\sum", r"\prod"))
        at = _after_limits(tokens, at)
        if token == r"\sqrt":
            total += 1.0
    return total


def _argument(tokens: list[str], at: int) -> tuple[list[str], int]:
    """The token or braced group at `at`, without its braces, and where it ends."""
    while at < len(tokens) and tokens[at].isspace():
        at += 1
    if at >= len(tokens) or tokens[at] != "{":
        return tokens[at : at + 1], at + 1
    depth = 0
    for end in range(at, len(tokens)):
        depth += (tokens[end] == "{") - (tokens[end] == "}")
        if depth == 0:
            return tokens[at + 1 : end], end + 1
    return tokens[at + 1 :], len(tokens)


def _limits(tokens: list[str], at: int) -> tuple[list[float], int]:
    sizes = []
    while at < len(tokens) and tokens[at] in "_^":
        script, at = _argument(tokens, at + 1)
        sizes.append(_SCRIPT * _row(script, True))
    return sizes, at


def _with_limits(size: float, tokens: list[str], at: int, *, stacked: bool) -> float:
    scripts, _ = _limits(tokens, at)
    if not scripts:
        return size
    return max(size, *scripts) + 0.3 if stacked else size + max(scripts) + 0.15


def _after_limits(tokens: list[str], at: int) -> int:
    return _limits(tokens, at)[1]


def _environment_end(tokens: list[str], at: int) -> int:
    depth = 0
    for end in range(at, len(tokens)):
        depth += (tokens[end] == r"\begin") - (tokens[end] == r"\end")
        if depth == 0:
            return _argument(tokens, end + 1)[1]
    return len(tokens)


def _environment(tokens: list[str]) -> float:
    """The widest row of an environment, with its brace."""
    _, start = _argument(tokens, 1)
    rows: list[list[str]] = [[]]
    depth = 0
    for token in tokens[start:]:
        depth += (token == r"\begin") - (token == r"\end")
        if depth < 0:
            break
        if token == r"\\" and depth == 0:
            rows.append([])
        else:
            rows[-1].append(token)
    return max(map(_row, rows)) + 2.5


def _glyph(token: str, script: bool) -> float:
    if script and token in _IN_SCRIPT:
        return _IN_SCRIPT[token]
    if token in _GLYPHS:
        return _GLYPHS[token]
    if token in _SILENT or token.isspace() or token in "{}":
        return 0.0
    if token in _WORDS:
        return _WORDS[token]
    if token.startswith("\\"):
        return 1.25  # a Greek letter or another sign
    return 1.5 if token.isupper() else 1.05 if token.isalpha() else 1.0
