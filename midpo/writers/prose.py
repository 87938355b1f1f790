"""Mathematics within sentences: of `solve` and `verify` (spec language), of the audit (Unicode).

What is read as mathematics is written by this module from known pieces; all else is escaped, so
that no text can hold a command of its own.
"""

from __future__ import annotations

import re

from sympy import Expr

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.latex import latex
from midpo.symbolic.formula.latex import name as written
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import LINK, TARGET
from midpo.symbolic.language.spec import Spec
from midpo.writers.latex.pieces import escape, typewriter

_MOST_WORDS = 24
_SHOWN = 60  # characters of an expression that was cut short
# What is neither the spec language nor a sentence.
_PHRASES = {
    "-log(exp(L) - 1)": r"$-\log(e^{L} - 1)$",
    "log|dL/da / dL/db|": r"$\log|\partial L/\partial a \,/\, \partial L/\partial b|$",
    "(1 - exp(-A))*exp(f)": r"$(1 - e^{-A})\,e^{f}$",
    "alpha*log(pi)": r"$\alpha\log\pi$",
    "-log sigmoid": r"$-\log\sigma$",
}
_CODE = re.compile(r"[*(]|\*\*|^[a-z]+_[wl]$|^-?[a-z_]+\d*\*")
_CUT = re.compile(r"\S*\([^.]*(?:\.(?!\.\.)[^.]*)*\.\.\.")


def code(text: str, spec: Spec) -> str:
    """A sentence of `solve` or `verify` in LaTeX, its expressions as mathematics."""
    pieces = [text]
    for phrase, shown in _PHRASES.items():
        pieces = [part for piece in pieces for part in _split(piece, phrase, shown)]
    done = set(_PHRASES.values())
    return "".join(piece if piece in done else _sentence(piece, spec) for piece in pieces)


def _split(text: str, phrase: str, shown: str) -> list[str]:
    if text in _PHRASES.values() or phrase not in text:
        return [text]
    parts = [text]
    while phrase in parts[-1]:
        before, _, after = parts.pop().partition(phrase)
        parts += [before, shown, after]
    return parts


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
        return escape(word).replace(escape(bare), f"${written(bare)}$", 1)
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
                    return f"{opening}${latex(expr)}${closing}", end
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
_GREEK = dict(zip("αβγδεζηθικλμνξπρστυφχψω", _LETTERS.split(), strict=True))
_SIGNS = {
    "·": r" \cdot ", "−": "-", "-": "-", "+": "+", "=": "=", "≡": r" \equiv ", "≤": r" \le ",
    "≥": r" \ge ", "<": "<", ">": ">", "∝": r" \propto ", "∈": r" \in ", "∇": r"\nabla ",
    "Σ": r"\sum", "|": "|", "‖": r"\|", "∞": r"\infty ", "≠": r" \ne ", "/": "/", "(": "(",
    ")": ")", "[": "[", "]": "]", ",": ", ", "⁺": "^{+}", "⁻": "^{-}", "²": "^{2}", "ᵀ": "^{T}",
}  # fmt: skip
_FUNCTIONS = {"log": r"\log ", "exp": r"\exp ", "max": r"\max ", "min": r"\min ",
              "KL": r"\mathrm{KL}", "TV": r"\mathrm{TV}", "P": "P", "E": r"\mathbb{E}"}
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
    return f"{before}{escape(run) if made is None else f'${made}$'}{after}"


def _mathematics(run: str) -> str | None:
    """TeX for a run; None where a piece is unknown, or two indices would meet."""
    out: list[str] = []
    last = ""
    for match in _PIECE.finditer(run):
        kind = match.lastgroup or ""
        piece = match[kind]
        if kind == last and kind in ("index", "power", "digit", "low"):
            return None
        made = _piece(kind, piece)
        if made is None:
            return None
        out.append(made)
        last = kind
    # No space before an index, or a symbol with one would not be known by its name.
    return re.sub(r" +(?=[_^])", "", re.sub(r"  +", " ", "".join(out))).strip()


def _piece(kind: str, piece: str) -> str | None:
    if kind == "bar":
        return r"\bar{\zeta}"
    if kind == "index":
        if piece == "π_ref":
            return r"_{\pi_{\mathrm{ref}}}"
        if piece in ("w", "l", "t"):
            return f"_{{{piece}}}"
        return "_{<t}" if piece == "<t" else f"_{{{_named(piece)}}}"
    if kind == "power":
        inside = _mathematics(piece)
        return None if inside is None else f"^{{{inside}}}"
    if kind == "digit":
        return f"^{{{piece}}}" if piece.isascii() else None
    if kind == "greek":
        return f"\\{_GREEK[piece]} " if piece in _GREEK else None
    if kind == "number":
        mantissa, _, exponent = piece.replace("−", "-").partition("e")
        return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa
    if kind == "word":
        return _FUNCTIONS.get(piece) or (piece if len(piece) == 1 else rf"\mathrm{{{piece}}}")
    if kind == "low":
        return f"_{{{_SUBSCRIPTS[piece]}}}"
    return " " if piece == " " else _SIGNS.get(piece)


def _named(piece: str) -> str:
    return f"\\{_GREEK[piece]}" if piece in _GREEK else rf"\mathrm{{{piece}}}"
