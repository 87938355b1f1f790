r"""Building blocks of a report: free text made safe, formulas as rows of a display.

`escape` turns any text into ASCII that LaTeX prints and never executes. Rows put each line of a
formula into `\fit`, which the report's preamble defines: it shrinks what is still too wide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from sympy import Expr

from midpo.symbolic.formula.latex import tex as in_latex
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.renamed import renamed
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Citation, CutShort, Displayed, Hole, Referred, Told, parts_of
from midpo.symbolic.formula.tree import Foreign, Formula
from midpo.symbolic.formula.width import width as measure
from midpo.symbolic.formula.write import write

WIDTH = 77.0  # of a line of a display, in digits; the text is 89 wide, less indent and number
_LESS = 12.8  # what a line of text has beyond that, in digits
_DIGIT = 5.0  # of a digit at ten points, in points
_MARGIN = 5.6  # what indent and number take, in em (two digits)
_TOGETHER = 8  # so many lines of one formula are not parted by a page break

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
    "\u0328": "k", "\u0323": "d", "\u0331": "b",
}  # fmt: skip
_LETTERS = {
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}",
    "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "đ": r"\dj{}", "Đ": r"\DJ{}", "ð": r"\dh{}",
    "Ð": r"\DH{}", "þ": r"\th{}", "Þ": r"\TH{}", "ı": r"\i{}", "–": r"\textendash{}",
    "—": r"\textemdash{}", "‘": r"\textquoteleft{}", "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}", "…": r"\dots{}",
    "•": r"\textbullet{}",
    "§": r"\S{}", "©": r"\textcopyright{}", "°": r"\textdegree{}", "£": r"\pounds{}",
    "‐": "-", "‑": "-", "\u00a0": "~", "\u00ad": "", "¿": r"\textquestiondown{}",
    "¡": r"\textexclamdown{}", "«": r"\guillemotleft{}", "»": r"\guillemotright{}",
}  # fmt: skip
_SIGNS = {
    "≥": "ge", "≤": "le", "≠": "ne", "≈": "approx", "∞": "infty", "×": "times", "·": "cdot",
    "±": "pm", "−": "-", "→": "to", "←": "leftarrow", "⇒": "Rightarrow", "∈": "in", "∑": "sum",
    "∏": "prod", "∂": "partial", "∇": "nabla", "√": "surd", "∝": "propto", "∥": "|", "∼": "sim",
    "∀": "forall", "∃": "exists", "ℝ": "mathbb{R}", "¬": "neg", "²": "^2", "³": "^3", "¹": "^1",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "mu",
    "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "ς": "varsigma", "τ": "tau",
    "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "ο": "mathrm{o}",
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip

# Signs that TeX's fonts would join with the next one: -- '' ,, !` ?`
_JOINED = frozenset({"--", "''", ",,", "!`", "?`"})
_LONG_WORD = 24
_CHUNK = 5


def escape(text: str) -> str:
    """`text` as inert LaTeX in plain ASCII; a character that TeX lacks becomes its code, U+6F22.

    Line ends and control characters become spaces; very long words may be broken anywhere.
    """
    words = unicodedata.normalize("NFC", "".join(map(_printable, text))).split()
    return " ".join(_word(word) for word in words)


def _printable(char: str) -> str:
    return " " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char


def _word(word: str) -> str:
    if len(word) <= _LONG_WORD:
        return _characters(word)
    chunks = (word[at : at + _CHUNK] for at in range(0, len(word), _CHUNK))
    return r"\allowbreak{}".join(map(_characters, chunks))


def _characters(text: str) -> str:
    pairs = zip(text, f"{text[1:]} ", strict=True)
    return "".join(_character(a) + ("{}" if a + b in _JOINED else "") for a, b in pairs)


def _character(char: str) -> str:
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char.isascii():
        return char
    if char in _LETTERS:
        return _LETTERS[char]
    if char in _SIGNS:
        sign = _SIGNS[char]
        return rf"\ensuremath{{{sign if sign[0] in '-|^' else chr(92) + sign}}}"
    base, *marks = list(unicodedata.normalize("NFD", char))
    if len(marks) == 1 and marks[0] in _ACCENTS and base.isascii() and base.isalpha():
        return rf"\{_ACCENTS[marks[0]]}{{{base}}}"
    return rf"\texttt{{U+{ord(char):04X}}}"


def plain(text: str) -> str:
    """`text` for a PDF outline: letters, digits and harmless punctuation only."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^A-Za-z0-9 .,:;()+=/-]", " ", ascii_text).split())


def typewriter(text: str) -> str:
    return rf"\texttt{{{escape(text)}}}"


_width: ContextVar[float] = ContextVar("width", default=WIDTH)


def width() -> float:
    """How wide a line of a display may be, in digits."""
    return _width.get()


@contextmanager
def set_in(points: float, wider: float = 1.0) -> Iterator[None]:
    """Break formulas for lines of text of this width; `wider` is by how much renamed symbols are
    wider than those that are measured."""
    token = _width.set(max((points / _DIGIT - _LESS) / wider, 24.0))
    try:
        yield
    finally:
        _width.reset(token)


_signs: ContextVar[Mapping[str, Foreign]] = ContextVar("signs", default={})  # noqa: B039


_prefix: ContextVar[str] = ContextVar("prefix", default="")


@dataclass(frozen=True)
class SoFar:
    """What a document holds so far: its formulas, and the numbers of the results that it cites."""

    formulas: list[Formula] = field(default_factory=list)
    results: set[str] = field(default_factory=set)


_written: ContextVar[SoFar | None] = ContextVar("written", default=None)


@contextmanager
def named(signs: Mapping[str, Foreign], prefix: str = "") -> Iterator[SoFar]:
    """Write the symbols of `signs`, by their names in the spec, as their reader does; names of
    commands and labels begin with `prefix`. Gives what is written meanwhile."""
    written = SoFar()
    tokens = _signs.set(signs), _written.set(written), _prefix.set(prefix)
    try:
        yield written
    finally:
        _signs.reset(tokens[0])
        _written.reset(tokens[1])
        _prefix.reset(tokens[2])


_section: ContextVar[str] = ContextVar("section", default="")


@contextmanager
def within(section: str) -> Iterator[None]:
    """Refer to the formulas of the section whose labels have this stem."""
    token = _section.set(section)
    try:
        yield
    finally:
        _section.reset(token)


def labelled(formula: str) -> str:
    """The label of a formula of the section, by its key."""
    return at(f"eq:{_section.get()}:{formula}")


def own(command: str) -> str:
    """A command that the document defines."""
    return f"\\{_prefix.get()}{command}"


def at(label: str) -> str:
    """A label of the document."""
    return f"{_prefix.get()}:{label}" if _prefix.get() else label


def tex(formula: Formula) -> str:
    """A formula in LaTeX, its symbols under their reader's names."""
    written = _written.get()
    if written is not None:
        written.formulas.append(formula)
    return in_latex(renamed(formula, _signs.get()))


def math(formula: Formula) -> str:
    """A formula within a sentence."""
    return f"${tex(formula)}$"


_SHOWN = 60  # characters of an expression that was cut short


def answered(text: Hole | Formula) -> str:
    """A text of an answer: its words escaped, its formulas set; the theorems that it cites are
    called results."""
    return "".join(map(_answered, parts_of(text)))


def _answered(part: Hole) -> str:
    if isinstance(part, Displayed):
        return math(part.formula)
    if isinstance(part, Citation):
        return _cited(part)
    if isinstance(part, Referred):
        return rf"{escape(part.words)} \eqref{{{labelled(part.to)}}}"
    if isinstance(part, Standing):
        return escape(str(part))
    if isinstance(part, CutShort):
        return rf"{typewriter(part[:_SHOWN].rsplit(' ', 1)[0])}~\dots{{}}"
    before, after = " " * part.startswith(" "), " " * (part.endswith(" ") and part.strip() != "")
    return f"{before}{escape(part)}{after}"


_MARKED = {Standing.PROVED: "proved", Standing.REFUTED: "refuted"}


def marked(text: Told) -> str:
    """A text whose standings are marked as the document marks them."""
    return "".join(
        f"{own(_MARKED[part])}{{}}" if isinstance(part, Standing) and part in _MARKED else _answered(part)
        for part in text.parts
    )


def _cited(results: Citation) -> str:
    """Theorems and propositions as results: a report has theorems of its own."""
    written = _written.get()
    if written is not None:
        written.results.update(results.numbers)
    return results.under("Result" if results.called[:1].isupper() else "result")


def rows(head: Formula, expr: Expr, *, numbered: bool = True) -> str:
    """`expr` as rows of an align environment, after `head`; the last row bears the number."""
    return pasted(head, broken(write(expr), width() - max(measure(head), 4)), numbered=numbered)


def pasted(head: Formula, parts: Sequence[Formula], *, numbered: bool = True) -> str:
    """Lines of a formula as rows of an align environment."""
    first = _MARGIN + measure(head) / 2
    lines = [
        rf"& {tex(head)}{own('fit')}[{first:.1f}em]{{{tex(parts[0])}}}",
        *(rf"& \qquad {own('fit')}[{_MARGIN + 2}em]{{{tex(part)}}}" for part in parts[1:]),
    ]
    tail = "" if numbered else r" \notag"
    # A short formula stays on one page.
    end = r"\\*" if len(lines) <= _TOGETHER else r"\\"
    return f" \\notag {end}\n".join(lines) + tail


def scientific(value: float, digits: int = 3) -> str:
    """A number of a table: three digits, a power of ten where it helps."""
    if value != value or value in (float("inf"), float("-inf")):
        return escape(str(value))
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return rf"${mantissa}$" if not exponent else rf"${mantissa}\times 10^{{{int(exponent)}}}$"
