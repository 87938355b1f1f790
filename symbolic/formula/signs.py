"""The signs that a formula is written with: LaTeX, character and width, a row each.

Widths err on the wide side; one unit is the width of a digit. `inside` is the width in a sub- or
superscript, where TeX leaves out the space around signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from string import ascii_letters


class Kind(Enum):
    """What a sign is: a letter, a sign between or before terms, the name of a function, or a large
    operator whose limits stand below and above it."""

    LETTER = auto()
    SIGN = auto()
    FUNCTION = auto()
    LARGE = auto()


@dataclass(frozen=True)
class Glyph:
    """One sign. `leads`: a sign that follows it belongs to the term behind."""

    tex: str
    character: str
    width: float
    inside: float
    kind: Kind = Kind.LETTER
    leads: bool = False


def _of(kind: Kind, rows: str) -> list[Glyph]:
    """Rows of a table: LaTeX, character, width, width inside scripts where it is another one;
    `~` at the end of a row says that it leads."""
    found = []
    for row in rows.strip().splitlines():
        tex, character, *rest = row.split()
        leads = rest[-1:] == ["~"]
        widths = [float(part) for part in rest if part != "~"]
        found.append(Glyph(tex, character, widths[0], widths[-1], kind, leads))
    return found


_GREEK = r"""
\alpha α 1.25
\beta β 1.25
\gamma γ 1.25
\delta δ 1.25
\epsilon ϵ 1.25
\zeta ζ 1.1
\eta η 1.25
\theta θ 1.25
\iota ι 0.8
\kappa κ 1.25
\lambda λ 1.25
\mu μ 1.25
\nu ν 1.25
\xi ξ 1.25
\pi π 1.18
\rho ρ 1.25
\sigma σ 1.25
\tau τ 1.25
\upsilon υ 1.25
\phi ϕ 1.25
\chi χ 1.25
\psi ψ 1.25
\omega ω 1.25
\Gamma Γ 1.25
\Delta Δ 1.25
\Theta Θ 1.25
\Lambda Λ 1.25
\Xi Ξ 1.25
\Pi Π 1.25
\Sigma Σ 1.25
\Upsilon Υ 1.25
\Phi Φ 1.25
\Psi Ψ 1.25
\Omega Ω 1.25
"""
_LETTERS = r"""
\ell ℓ 1.25
\infty ∞ 1.25
\varnothing ∅ 1.25
\partial ∂ 1.25
\mathbf{1} 𝟏 1.0
\mathbb{R} ℝ 2.75
\mathbb{E} 𝔼 2.75
\mathcal{V} 𝒱 1.5
\mathsf{T} 𝖳 1.5
\varepsilon ε 1.25
\varphi φ 1.25
"""
_SIGNS = r"""
+ + 2.4 1.6
- − 2.4 1.6
= = 2.8 1.6 ~
< < 2.8 1.6 ~
> > 2.8 1.6 ~
\le ≤ 2.8 ~
\ge ≥ 2.8 ~
\ne ≠ 2.8
\equiv ≡ 1.25 ~
\propto ∝ 2.8 ~
\sim ∼ 1.25
\approx ≈ 1.25
\in ∈ 2.6 1.4
\to → 1.25
\mid ∣ 1.7 0.6
\| ‖ 1.1
\times × 2.4 1.6
\cdot ⋅ 0.7 0.6
\cdots ⋯ 1.25
\uparrow ↑ 2.2
\nabla ∇ 1.25
/ / 1.0
, , 0.95 0.6 ~
; ; 0.9
: : 1.0
. . 0.6
* ∗ 1.0
' ′ 1.0
"""
_NARROW = {"w": 1.45, "m": 1.75, "M": 2.0, "W": 2.0, "i": 0.75, "j": 0.85, "l": 0.7, "t": 0.8,
           "r": 0.85, "f": 0.85}  # fmt: skip


def letter_width(letter: str) -> float:
    """Of a letter of a word or a name."""
    return _NARROW.get(letter, 1.5 if letter.isupper() else 1.05 if letter.isalpha() else 1.0)


GREEK = {glyph.tex[1:] for glyph in _of(Kind.LETTER, _GREEK)}
GLYPHS: dict[str, Glyph] = {
    glyph.tex: glyph
    for glyph in (
        *(Glyph(c, c, letter_width(c), letter_width(c)) for c in ascii_letters),
        *_of(Kind.LETTER, _GREEK + _LETTERS.lstrip()),
        *_of(Kind.SIGN, _SIGNS),
        *_of(Kind.FUNCTION, "\\log log 2.95\n\\exp exp 3.6\n\\max max 4.4\n\\min min 4.2\n"
             "\\tanh tanh 4.4"),
        *_of(Kind.LARGE, "\\sum ∑ 3.2\n\\prod ∏ 2.9"),
    )
}  # fmt: skip
BRACKETS = {"(": 0.8, ")": 0.8, "[": 0.6, "]": 0.6, "|": 0.6}
SPACES = {" ": 0.0, r"\,": 0.4, r"\ ": 0.7, r"\;": 0.6, r"\quad": 2.0, r"\qquad": 4.0}
# What a bracket that grows is wider than its sign.
SIZES = {"": 0.0, "left": 0.35, "big": 0.15, "Big": 0.4, "bigg": 0.7}
