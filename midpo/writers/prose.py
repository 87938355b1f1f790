"""Mathematics within sentences: of `solve` and `verify` (spec language), of the audit (Unicode).

What is read as mathematics is written by this module from known pieces; all else is escaped, so
that no text can hold a command of its own.
"""

from __future__ import annotations

import re

from sympy import Expr

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.tree import (
    Accent,
    Bracket,
    Fence,
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
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, policy, write
from midpo.symbolic.formula.write import name as written
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import LINK, TARGET
from midpo.symbolic.language.spec import Spec
from midpo.writers.latex.pieces import escape, math, typewriter

_MOST_WORDS = 24
_SHOWN = 60  # characters of an expression that was cut short
# What is neither the spec language nor a sentence.
_L = row(r"\partial ", "L", "/", r"\partial ")
_PHRASES: dict[str, Formula] = {
    "-log(exp(L) - 1)": row("-", r"\log", Fence("(", row(script("e", above="L"), " - ", 1), ")")),
    "log|dL/da / dL/db|": row(
        r"\log", Fence("|", row(_L, "a", " ", r"\,", "/", r"\, ", _L, "b"), "|")),
    "(1 - exp(-A))*exp(f)": row(Fence("(", row(1, " - ", script("e", above=row("-", "A"))), ")"),
                                r"\,", script("e", above="f")),
    "alpha*log(pi)": row(written("alpha"), r"\log", POLICY_SIGN),
    "-log sigmoid": row("-", r"\log", r"\sigma"),
}
_CODE = re.compile(r"[*(]|\*\*|^[a-z]+_[wl]$|^-?[a-z_]+\d*\*")
_CUT = re.compile(r"\S*\([^.]*(?:\.(?!\.\.)[^.]*)*\.\.\.")


def code(text: str, spec: Spec) -> str:
    """A sentence of `solve` or `verify` in LaTeX, its expressions as mathematics."""
    pieces: list[str | Formula] = [text]
    for phrase, shown in _PHRASES.items():
        pieces = [part for piece in pieces for part in _split(piece, phrase, shown)]
    return "".join(
        _sentence(piece, spec) if isinstance(piece, str) else math(piece) for piece in pieces)


def _split(piece: str | Formula, phrase: str, shown: Formula) -> list[str | Formula]:
    if not isinstance(piece, str):
        return [piece]
    first, *others = piece.split(phrase)
    return [first, *(part for after in others for part in (shown, after))]


def _sentence(text: str, spec: Spec) -> str:
    cut = _CUT.search(text)
    if cut:
        head = cut[0][:_SHOWN].rsplit(" ", 1)[0]
        shown = rf"{typewriter(head)}~\dots{{}}"
        return _words(text[: cut.start()], spec) + shown + _words(text[cut.end() :], spec)
    return _words(text, spec)


def _words(text: str, spec: Spec) -> str:
    words = re.split(r"( +)", text)
    out, at = [], 0
    while at < len(words):
        found = _longest(words, at, spec)
        if found is None:
            out.append(words[at] if words[at].isspace() else _word(words[at], spec))
            at += 1
            continue
        shown, at = found
        out.append(shown)
    return "".join(out)


def _word(word: str, spec: Spec) -> str:
    bare = word.strip(",.;:()")
    if len(bare) > 1 and bare in spec.names.parameters:
        return escape(word).replace(escape(bare), math(written(bare)), 1)
    if re.search(r"\*|[a-z]\(", bare):
        return typewriter(word)
    return escape(word)


def _longest(words: list[str], at: int, spec: Spec) -> tuple[str, int] | None:
    """The longest run of words from `at` on that is an expression, with what surrounds it."""
    if not _CODE.search(words[at]):
        return None
    for end in range(min(len(words), at + 2 * _MOST_WORDS), at, -1):
        run = "".join(words[at:end])
        for opening in ("", "("):
            for closing in ("", ",", ".", ";", ":", ")", "),", ").", ");"):
                if not (run.startswith(opening) and run.endswith(closing)):
                    continue
                inside = run[len(opening) : len(run) - len(closing)]
                expr = _expression(inside, spec)
                if expr is not None:
                    return f"{opening}{math(write(expr))}{closing}", end
    return None


def _expression(text: str, spec: Spec) -> Expr | None:
    if not _CODE.search(text) or text != text.strip() or text.count("(") != text.count(")"):
        return None
    for place in (TARGET, LINK):
        try:
            return parse(text, spec.names, place)
        except (MidpoError, RecursionError):
            continue
    return None


# --- The audit's Unicode -------------------------------------------------------------------------

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
