r"""Symbols renamed in finished LaTeX: \pi as \pi_\theta, y_w as y^+, \alpha as \beta.

Only mathematics is touched: letters in words, labels, citations and listings stay as they are. All
renamings are made at once, so that two symbols can change places. Keys are the spec language's
names, values a reader's own mathematics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from midpo.symbolic.errors import SpecError, nearest
from midpo.symbolic.formula.latex import tex as in_latex
from midpo.symbolic.formula.signs import GLYPHS
from midpo.symbolic.formula.terms import MARGIN
from midpo.symbolic.formula.tree import Formula
from midpo.symbolic.formula.width import width as measure
from midpo.symbolic.formula.write import PROMPT, ZETA, policy, response, role
from midpo.symbolic.formula.write import name as written

FIXED: dict[str, Formula] = {
    **{key: response(key) for key in ("y", "y_w", "y_l")}, "x": PROMPT, "zeta": ZETA, "m": MARGIN}
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
_MATHEMATICS = frozenset({"align", "align*", "equation", "equation*", "aligned", "cases"})
# Commands whose argument is not mathematics, though they stand in it.
_WORDS = frozenset({"text", "mathrm", "mathbf", "mathcal", "label", "ref", "eqref", "cite", "tag"})
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|.", re.DOTALL)
_LISTING = re.compile(r"(\\begin\{lstlisting\}.*?\\end\{lstlisting\})", re.DOTALL)


def checked(macros: Mapping[str, str], names: Iterable[str], *, file: str = "") -> dict[str, str]:
    """Every symbol with its sign, where each of `macros` renames one of `names` (or of y, y_w, y_l,
    x, m, zeta, pi, pi_ref) to balanced mathematics, and no two symbols become one.

    Raises: SpecError that names the key.
    """
    known = {*FIXED, "pi", "pi_ref", *names}
    for key, value in macros.items():
        if key not in known:
            raise SpecError("no such symbol", file=file, key=key[:40],
                            expected=nearest(key, sorted(known)))
        if problem := _problem(value):
            raise SpecError(problem, file=file, key=key,
                            expected=r"mathematics such as \pi_\theta or y^+")
    shown: dict[str, str] = {}
    for key in sorted(known):
        value = macros.get(key, default(key)).replace(" ", "")
        if value in shown and {key, shown[value]} & set(macros):
            raise SpecError(f"{key} and {shown[value]} are both written {value}", file=file,
                            key=key if key in macros else shown[value],
                            expected="a sign of its own for each symbol")
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
    after = sum(measure(usual(key)) if signs.get(key, default(key)) == default(key)
                else estimated(signs[key]) for key in terms)
    # Brackets and signs stand between them.
    return max((after + 8) / (before + 8), 1.0)


def renamed(tex: str, signs: Mapping[str, str]) -> str:
    """`tex` with its symbols renamed as `checked` says."""
    table = _table(signs)
    parts = _LISTING.split(tex)
    return "".join(part if n % 2 else "".join(_rewritten(part, table))
                   for n, part in enumerate(parts))


def commands(tex: str, prefix: str, own: Iterable[str]) -> str:
    r"""`tex` with each command \name of `own` called \prefixname."""
    pattern = re.compile(rf"\\({'|'.join(own)})(?![A-Za-z])")
    parts = _LISTING.split(tex)
    return "".join(part if n % 2 else pattern.sub(rf"\\{prefix}\1", part)
                   for n, part in enumerate(parts))


Table = list[tuple[tuple[str, ...], str]]


def _table(signs: Mapping[str, str]) -> Table:
    """What is looked for, as tokens, longest first, and what takes its place. Signs that stay are
    there too, so that no shorter one is found in them."""
    found: dict[tuple[str, ...], str] = {_tokens(r"\pi_"): r"\pi_"}
    for key, value in signs.items():
        plain = default(key)
        found[_tokens(plain)] = value
        if key == "y" or key.startswith("y_"):
            own = role(key)
            index = "" if own is None else f"{in_latex(own)},"
            # A sign with an index of its own takes a second one only in braces.
            stem = value if "_" not in value else f"{{{value}}}"
            found[_tokens(f"y_{{{index}")] = f"y_{{{index}" if value == plain else f"{stem}_{{"
            if index and value != plain and value[:1] == "y":  # what precedes its tokens, too
                found[_tokens(f"s_{{{index}")] = f"s{stem[1:]}_{{" if stem == value else (
                    f"{{s{value[1:]}}}_{{")
    return sorted(found.items(), key=lambda pair: -len(pair[0]))


def _tokens(tex: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(tex))


def _rewritten(tex: str, table: Table) -> Iterator[str]:
    tokens = _TOKEN.findall(tex)
    places = _mathematics(tokens)
    at = 0
    while at < len(tokens):
        match = next(
            (pair for pair in table if places[at] and _starts(tokens, at, pair[0])), None
        )
        if match is None:
            yield tokens[at]
            at += 1
            continue
        find, put = match
        at += len(find)
        # A control word must not grow together with a letter that follows it.
        apart = re.search(r"\\[A-Za-z]+$", put) and at < len(tokens) and tokens[at][:1].isalpha()
        yield f"{put} " if apart else put


def _starts(tokens: list[str], at: int, find: tuple[str, ...]) -> bool:
    return tuple(tokens[at : at + len(find)]) == find


def _mathematics(tokens: list[str]) -> list[bool]:
    """Whether each token stands in mathematics and is no word there."""
    places = []
    dollar, environments = False, 0
    skipping = 0  # depth of the braces of a word's argument
    waiting = False
    at = 0
    while at < len(tokens):
        token = tokens[at]
        word = token[1:].rstrip("*") if token[:1] == "\\" else ""
        if word in ("begin", "end") and not skipping:
            end = tokens.index("}", at)
            if "".join(tokens[at + 2 : end]) in _MATHEMATICS:
                environments += 1 if word == "begin" else -1
            places += [False] * (end + 1 - at)
            at = end + 1
            continue
        inside = (dollar or environments > 0) and not skipping and not waiting
        if token == "$" and not skipping:
            dollar = not dollar
            inside = False
        elif skipping:
            skipping += {"{": 1, "}": -1}.get(token, 0)
        elif waiting:
            if token == "{":
                skipping, waiting = 1, False
            elif not token.isspace():
                waiting = False
        elif word in _WORDS:
            waiting = True
        places.append(inside)
        at += 1
    return places
