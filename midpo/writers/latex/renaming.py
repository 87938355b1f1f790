r"""Symbols under a reader's names: \pi as \pi_\theta, y_w as y^+, \alpha as \beta.

Keys are the spec language's names, values a reader's own mathematics, which is the only LaTeX that
is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from midpo.symbolic.errors import SpecError, nearest
from midpo.symbolic.formula.latex import tex as in_latex
from midpo.symbolic.formula.signs import GLYPHS
from midpo.symbolic.formula.terms import MARGIN
from midpo.symbolic.formula.tree import Foreign, Formula
from midpo.symbolic.formula.width import width as measure
from midpo.symbolic.formula.write import PROMPT, ZETA, policy, response
from midpo.symbolic.formula.write import name as written

from .pieces import tex

FIXED: dict[str, Formula] = {
    **{key: response(key) for key in ("y", "y_w", "y_l")},
    "x": PROMPT,
    "zeta": ZETA,
    "m": MARGIN,
}
LONGEST = 200
# What mathematics does not need, and what reads, writes, defines or ends something.
_FORBIDDEN = re.compile(
    r"\\(input|include|includegraphics|write|openin|openout|closein|closeout|read|readline|new[a-z]+"
    r"|immediate|special|catcode|csname|endcsname|expandafter|def|edef|gdef|xdef|let|futurelet"
    r"|renewcommand|providecommand|usepackage|documentclass|begin|end|makeatletter|makeatother"
    r"|directlua|pdf[a-z]+|verb|lstinputlisting|verbatiminput|loop|repeat|label|tag|jobname|par"
    r"|everypar|output|shipout|scantokens|uppercase|lowercase|aftergroup|the|string|meaning|number"
    r"|romannumeral|toks)(?![A-Za-z])"
)
_PLAIN = re.compile(r"[A-Za-z0-9 {}()\[\]_^+\-*/'|,.;:<>=!?\\]*")
_OPEN = re.compile(r"\\[A-Za-z]+$")  # a letter that followed would be a part of the command
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|.", re.DOTALL)


def checked(macros: Mapping[str, str], names: Iterable[str], *, file: str = "") -> dict[str, str]:
    """Every symbol with its sign, where each of `macros` renames one of `names` (or of y, y_w, y_l,
    x, m, zeta, pi, pi_ref) to balanced mathematics, and no two symbols become one.

    Raises: SpecError that names the key.
    """
    known = {*FIXED, "pi", "pi_ref", *names}
    for key, value in macros.items():
        if key not in known:
            raise SpecError("no such symbol", file=file, key=key[:40], expected=nearest(key, sorted(known)))
        if problem := _problem(value):
            raise SpecError(problem, file=file, key=key, expected=r"mathematics such as \pi_\theta or y^+")
    shown: dict[str, str] = {}
    for key in sorted(known):
        value = macros.get(key, default(key)).replace(" ", "")
        if value in shown and {key, shown[value]} & set(macros):
            raise SpecError(
                f"{key} and {shown[value]} are both written {value}",
                file=file,
                key=key if key in macros else shown[value],
                expected="a sign of its own for each symbol",
            )
        shown[value] = key
    return {key: macros.get(key, default(key)).strip() for key in sorted(known)}


def _problem(value: object) -> str:
    """What is wrong with a macro's value; empty where nothing is."""
    if not isinstance(value, str) or not value.strip():
        return "not a text with mathematics"
    if len(value) > LONGEST:
        return f"longer than {LONGEST} characters"
    if not _PLAIN.fullmatch(value) or "^^" in value or "\\\\" in value or value.endswith("\\"):
        return "a character that mathematics here does not need"
    if found := _FORBIDDEN.search(value):
        return f"the command {found[0]}"
    depth = 0
    for token in _TOKEN.findall(value):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            break
    return "braces that do not balance" if depth else ""


def usual(key: str) -> Formula:
    """How a symbol is laid out where nothing renames it."""
    if key == "pi" or key.startswith("pi_"):
        return policy(key)
    return FIXED.get(key) or (response(key) if key.startswith("y_") else written(key))


def default(key: str) -> str:
    """The same in LaTeX."""
    return in_latex(usual(key))


def estimated(value: str) -> float:
    """The width of a reader's own LaTeX, sign by sign, in widths of a digit."""
    return _estimated(iter(_TOKEN.findall(value)))


def _estimated(tokens: Iterator[str], inside: bool = False) -> float:
    """Up to the end of a group, perhaps one `inside` a script."""
    total = 0.0
    for token in tokens:
        if token == "}":
            break
        if token == "{":
            total += _estimated(tokens, inside)
        elif token in ("_", "^"):
            script = next(tokens, "")
            sign = script != "{"
            total += 0.8 * (_sign(script, True) if sign else _estimated(tokens, True)) + 0.15
        else:
            total += _sign(token, inside)
    return total


def _sign(token: str, inside: bool) -> float:
    known = GLYPHS.get(token)
    if known is None:
        return 1.25 if token[:1] == "\\" else float(token.isdigit())
    return known.inside if inside else known.width


def wider(signs: Mapping[str, str]) -> float:
    """By how much renamed symbols widen a formula of a common kind."""
    terms = ("alpha", "pi", "y_w", "pi_ref", "y_w", "x")
    before = sum(measure(usual(key)) for key in terms)
    after = sum(
        measure(usual(key)) if signs.get(key, default(key)) == default(key) else estimated(signs[key])
        for key in terms
    )
    # Brackets and signs stand between them.
    return max((after + 8) / (before + 8), 1.0)


def table(signs: Mapping[str, str]) -> dict[str, Foreign]:
    """The symbols that are written otherwise than usual, as leaves of formulas."""
    return {
        key: Foreign(value, estimated(value), open=_OPEN.search(value) is not None)
        for key, value in signs.items()
        if value != default(key)
    }


class Symbols:
    """The symbols of a template's own mathematics, by their names in the spec."""

    def __getattr__(self, key: str) -> str:
        return tex(usual(key))
