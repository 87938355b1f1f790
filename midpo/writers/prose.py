"""Mathematics within the audit's sentences, which are written in Unicode.

What is read as mathematics is written by this module from known pieces; all else is escaped, so
that no text can hold a command of its own.
"""

from __future__ import annotations

import re

from midpo.symbolic.formula.tree import (
    Accent,
    Bracket,
    Formula,
    Name,
    Number,
    Script,
    Sign,
    Space,
    Word,
    leaf,
    number,
    row,
    script,
)
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, policy
from midpo.writers.latex.pieces import escape, math

_LETTERS = ("alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho "
            "sigma tau upsilon varphi chi psi omega")
_BLANK = Space(" ")
_GREEK = {
    letter: Name({"lambda": "lam"}.get(spelt, spelt), Sign(f"\\{spelt}"))
    for letter, spelt in zip("αβγδεζηθικλμνξπρστυφχψω", _LETTERS.split(), strict=True)
}
# Signs with the blanks that LaTeX's source has around them.
_SIGNS: dict[str, tuple[Formula, ...]] = {
    **{sign: (leaf(spelt),) for sign, spelt in {
        "−": "-", "-": "-", "+": "+", "=": "=", "<": "<", ">": ">", "Σ": r"\sum", "‖": r"\|",
        "/": "/"}.items()},
    **{sign: (_BLANK, leaf(spelt), _BLANK) for sign, spelt in {
        "·": r"\cdot", "≡": r"\equiv", "≤": r"\le", "≥": r"\ge", "∝": r"\propto", "∈": r"\in",
        "≠": r"\ne"}.items()},
    **{sign: (Bracket(sign, "", sign in "(["),) for sign in "()[]|"},
    "∇": (leaf(r"\nabla"), _BLANK), "∞": (leaf(r"\infty"), _BLANK), ",": (leaf(","), _BLANK),
    " ": (_BLANK,),
}  # fmt: skip
_POWERS = {"⁺": "+", "⁻": "-", "²": "2", "ᵀ": "T"}
_FUNCTIONS: dict[str, tuple[Formula, ...]] = {
    **{name: (leaf(f"\\{name}"), _BLANK) for name in ("log", "exp", "max", "min")},
    "E": (leaf(r"\mathbb{E}"),),
}
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_PIECE = re.compile(
    "(?P<bar>ζ̄)|_(?P<index>π_ref|<t|[a-z]+|[α-ω])|\\^\\((?P<power>[^()]*)\\)|\\^(?P<digit>\\w)"
    "|(?P<greek>[α-ω])|(?P<number>\\d+(?:\\.\\d+)?(?:e[-−+]?\\d+)?)|(?P<word>[A-Za-z]+)"
    "|(?P<low>[₀-₉])|(?P<sign>.)", re.DOTALL)
_STRONG = re.compile(r"[α-ωΣ∇≡∝∞‖·^|ᵀ]|_[wl<π]|\b(?:log|exp|max|min|KL|TV|[A-Z])\(|\b[a-z]\(y\b|ζ̄")
_OPERATOR = re.compile(r"[=+−≡≤≥<>∝∈/·]")
_WEAK = re.compile(r"\d+(\.\d+)?|[B-HJ-Zb-z]|[1a-z]/\S+")
_INSIDE = re.compile(r"[A-Za-z0-9]{1,3}")  # between brackets of a formula


def unicode(text: str) -> str:
    """A sentence of the audit in LaTeX, its mathematics in mathematics mode."""
    words = text.split(" ")
    out, at = [], 0
    while at < len(words):
        end = _run(words, at)
        if end == at:
            out.append(escape(words[at]))
            at += 1
            continue
        out.append(_formula(" ".join(words[at:end])))
        at = end
    return " ".join(out)


def _run(words: list[str], at: int) -> int:
    """Where the run of mathematics ends that begins at a word; `at` where none does."""
    end, strong, depth = at, False, 0
    for place in range(at, len(words)):
        bare = words[place].strip("(),.;:")
        is_strong = bool(_STRONG.search(words[place]))
        operator = bool(_OPERATOR.fullmatch(bare))
        inner = depth > 0 and _INSIDE.fullmatch(bare)
        if not (is_strong or operator or inner or _WEAK.fullmatch(bare)) or (
            operator and place == at
        ):
            break
        strong = strong or is_strong
        counted = words[place] if place > at else words[place].lstrip("(")
        depth += counted.count("(") - counted.count(")")
        if not operator and depth <= 0:
            end = place + 1
        if depth <= 0 and words[place].endswith((",", ".", ";", ":")):
            break
    return end if strong else at


def _formula(run: str) -> str:
    """A run as a formula, with the brackets and stops around it that are the sentence's."""
    before, after = "", ""
    while run[-1:] in ",.;:":
        run, after = run[:-1], run[-1] + after
    while run[:1] == "(" and run.count("(") > run.count(")"):
        run, before = run[1:], before + "("
    while run[-1:] == ")" and run.count(")") > run.count("("):
        run, after = run[:-1], ")" + after
    made = _mathematics(run)
    return f"{before}{escape(run) if made is None else math(made)}{after}"


def _mathematics(run: str) -> Formula | None:
    """A run as a formula; None where a piece is unknown, or two indices would meet."""
    out: list[Formula] = []
    last = ""
    for match in _PIECE.finditer(run):
        kind = match.lastgroup or ""
        piece = match[kind]
        raised = kind in ("power", "digit") or piece in _POWERS
        if kind == last and kind in ("index", "power", "digit", "low"):
            return None
        last = kind
        if raised or kind in ("index", "low"):
            made = _script(kind, piece)
            if made is None:
                return None
            while out and out[-1] == _BLANK:
                out.pop()
            base = out.pop() if out else row()
            out.append(script(base, above=made) if raised else _indexed(base, made))
            continue
        parts = _piece(kind, piece)
        if parts is None:
            return None
        for part in parts:
            if part != _BLANK or (out and out[-1] != _BLANK):
                out.append(part)
    while out and out[-1] == _BLANK:
        out.pop()
    return row(*out)


def _indexed(base: Formula, index: Formula) -> Formula:
    """A letter with an index: a name of its own where a spec can have it."""
    if base == POLICY_SIGN and isinstance(index, Word):
        return policy(f"pi_{index.letters}")
    found = script(base, index)
    if isinstance(base, Name) and isinstance(index, Number):
        return Name(base.key + index.digits, found)
    return found


def _script(kind: str, piece: str) -> Formula | None:
    if kind == "power":
        return _mathematics(piece)
    if kind == "digit":
        return row(piece) if piece.isascii() else None
    if kind == "low":
        return leaf(_SUBSCRIPTS[piece])
    if piece in _POWERS:
        return leaf(_POWERS[piece])
    if piece == "π_ref":
        return policy("pi_ref")
    if piece in ("w", "l", "t"):
        return leaf(piece)
    return row("<", "t") if piece == "<t" else _GREEK.get(piece, Word(piece))


def _piece(kind: str, piece: str) -> tuple[Formula, ...] | None:
    if kind == "bar":
        return (Accent("bar", ZETA),)
    if kind == "greek":
        return (_GREEK[piece], _BLANK) if piece in _GREEK else None
    if kind == "number":
        mantissa, _, exponent = piece.replace("−", "-").partition("e")
        if not exponent:
            return (Number(mantissa),)
        power = Script(Number("10"), None, number(int(exponent)))
        return Number(mantissa), leaf(r" \times "), power
    if kind == "word":
        plain = Name(piece, leaf(piece)) if len(piece) == 1 else Word(piece)
        return _FUNCTIONS.get(piece) or (plain,)
    return _SIGNS.get(piece)
