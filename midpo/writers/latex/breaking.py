r"""A formula that is given as LaTeX, broken into lines before its relations and its + and -.

Breaks stand outside braces, and in as few brackets as can be. Where one falls within brackets, all
of the formula's brackets become \bigl and \bigr: \left and \right cannot be parted.
"""

from __future__ import annotations

import re

from midpo.symbolic.formula.glyphs import width as measure

_TOKEN = re.compile(r"\\(?:left|right)(?:\\[A-Za-z|]+|.)|\\[A-Za-z]+|\\.|.", re.DOTALL)
_BEFORE = frozenset({"+", "-", "=", r"\equiv", r"\le", r"\ge"})
_OPENING = re.compile(r"[(\[]|\\(?:left|[bB]igg?l)")
_CLOSING = re.compile(r"[)\]]|\\(?:right|[bB]igg?r)")
_SIZED = re.compile(r"\\[bB]igg?[lr]")  # its bracket is the next token


def lines(tex: str, width: float) -> list[str]:
    """`tex` as lines of at most about `width` digits' width; longer where there is no break."""
    if measure(tex) <= width:
        return [tex]
    tokens = _TOKEN.findall(tex)
    places = _places(tokens)
    cuts, start = [0], 0
    while measure("".join(tokens[start:])) > width:
        cut = _cut(tokens, places, start, width)
        if cut is None:
            break
        cuts.append(cut)
        start = cut
        width = width if len(cuts) > 2 else width - 4  # later lines are set in
    parts = ["".join(tokens[a:b]) for a, b in zip(cuts, [*cuts[1:], len(tokens)], strict=True)]
    if any(places[cut] for cut in cuts[1:]):
        parts = [_unpaired(part) for part in parts]
    # {} makes a sign at the beginning of a line a binary one.
    return [parts[0].strip(), *("{}" + part.strip() for part in parts[1:])]


def _places(tokens: list[str]) -> dict[int, int]:
    """Where a line may begin: index of the token -> how many brackets are open there."""
    found: dict[int, int] = {}
    braces = brackets = 0
    before = ""
    sized = False
    for at, token in enumerate(tokens):
        if token in _BEFORE and not braces and before and not _unary(before):
            found[at] = brackets
        braces += {"{": 1, "}": -1}.get(token, 0)
        if not sized:
            brackets += bool(_OPENING.match(token)) - bool(_CLOSING.match(token))
        sized = bool(_SIZED.fullmatch(token))
        before = before if token.isspace() else token
    return found


def _unary(before: str) -> bool:
    """Whether a sign after this token belongs to what follows."""
    return before in ("(", "[", "{", "^", "_", ",", *_BEFORE) or bool(_OPENING.match(before))


def _cut(
    tokens: list[str], places: dict[int, int], start: int, width: float
) -> int | None:
    """Where the next line begins: the last of the best places that fit, or the first one."""
    later = [at for at in places if at > start]
    fitting = [at for at in later if measure("".join(tokens[start:at])) <= width]
    if not fitting:
        return later[0] if later else None
    full = [at for at in fitting if measure("".join(tokens[start:at])) > 0.3 * width] or fitting
    least = min(places[at] for at in full)
    return max(at for at in full if places[at] == least)


def _unpaired(part: str) -> str:
    return re.sub(r"\\(left|right)(?=[(\[{)\]}|.\\])",
                  lambda m: r"\bigl" if m[1] == "left" else r"\bigr", part)
