"""Expression -> LaTeX, in the order of `text`, and long formulas broken into lines.

`latex` covers every node of the vocabulary. The prompt x is written where the spec language leaves
it out; s_t stands for (x, y_<t), what precedes token t.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from sympy import Add, Expr, Mul, Number, Pow, Rational, Symbol

from midpo.symbolic.domains.intervals import REAL, Interval
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    REJECTED,
    RESPONSE,
    ByLabel,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Further,
    Index,
    Length,
    Log,
    Node,
    Prior,
    Prob,
    Sorted,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.text import ordered_terms, split_fraction
from midpo.symbolic.language.words import BY_NODE

# How tightly a written part holds together: a sum, a product, a prefix that reaches to the right
# (log, a sum sign), something that may not be a base without brackets, something that may.
SUM, PRODUCT, PREFIX, POWER, ATOM = range(5)

# sigma and pi have other meanings here; omicron is not a letter of TeX's.
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
    "mu", "nu", "xi", "rho", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta",
    "Theta", "Lambda", "Xi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
}  # fmt: skip
_NARROW = (Number, Symbol, Length, Feature, Prob, TokenProb, VocabProb, Prior)


def latex(expr: Expr) -> str:
    """`expr` in LaTeX's mathematics mode, terms of y_w before terms of y_l."""
    return _latex(expr)[0]


def inline(expr: Expr) -> str:
    """`expr` with fractions on one line, as exponents and numerators have them."""
    return _latex(expr, flat=True)[0]


def name(word: str) -> str:
    """A parameter or feature: Greek where it is, a letter in italics, a word upright."""
    # t and v are indices wherever a sum is in normal form.
    return rf"\mathrm{{{word}}}" if re.fullmatch(r"[tv]\d*", word) else _letter(word)


def domain(held: Interval, symbol: str) -> str:
    """That `symbol` (LaTeX) lies in a domain: 0 < c < 1."""
    if held == REAL:
        return rf"{symbol} \in \mathbb{{R}}"
    low = latex(Rational(held.lower)) if isinstance(held.lower, Fraction) else ""
    high = latex(Rational(held.upper)) if isinstance(held.upper, Fraction) else ""
    over, under = (r"\le" if closed else "<"
                   for closed in (held.lower_closed, held.upper_closed))
    if not low:
        return f"{symbol} {under} {high}"
    if not high:
        return f"{symbol} {over.replace('le', 'ge').replace('<', '>')} {low}"
    return f"{low} {over} {symbol} {under} {high}"


def _letter(word: str) -> str:
    letters, digits = re.fullmatch(r"(.*?)(\d*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
    if letters == "lam":
        letters = "lambda"
    if letters in _GREEK or (len(letters) == 1 and letters.isascii() and letters.isalpha()):
        stem = f"\\{letters}" if letters in _GREEK else letters
        return f"{stem}_{{{digits}}}" if digits else stem
    return rf"\mathrm{{{word}}}".replace("_", r"\_")


def policy(word: str) -> str:
    """A policy: pi with the rest of its name as an index."""
    rest = word.removeprefix("pi").removeprefix("_").replace("_", r"\_")
    return rf"\pi_{{\mathrm{{{rest}}}}}" if rest else r"\pi"


def response(symbol: Expr | str) -> str:
    """A response: y, y_w, y_l, or y with the rest of its name as an index."""
    index = role(symbol)
    return f"y_{index}" if len(index) == 1 else f"y_{{{index}}}" if index else str(symbol)


def role(symbol: Expr | str) -> str:
    """The index by which a response is told from y; empty for y."""
    _, _, index = str(symbol).partition("y_")
    return index if len(index) < 2 else rf"\mathrm{{{index}}}"


def _token(spoken: Expr, position: Expr) -> str:
    index = role(spoken)
    return f"y_{{{index},{_index(position)}}}" if index else f"y_{{{_index(position)}}}"


def _prefix(spoken: Expr, position: Expr) -> str:
    """The tokens before a position."""
    index = role(spoken)
    return f"y_{{{index},<{_index(position)}}}" if index else f"y_{{<{_index(position)}}}"


def _state(spoken: Expr, position: Expr) -> str:
    index = role(spoken)
    return f"s_{{{index},{_index(position)}}}" if index else f"s_{{{_index(position)}}}"


def _index(index: Expr) -> str:
    return _letter(str(index))


@lru_cache(maxsize=50_000)
def _latex(expr: Expr, flat: bool = False) -> tuple[str, int]:
    if isinstance(expr, Add):
        return _sum(expr, flat), SUM
    if isinstance(expr, Mul):
        return _product(expr, flat)
    if isinstance(expr, Pow):
        if expr.exp.is_Number and expr.exp < 0:
            return _product(expr, flat)
        return f"{_wrap(expr.base, ATOM, flat)}^{{{inline(expr.exp)}}}", POWER
    if isinstance(expr, Rational) and expr.q != 1:
        return _product(expr, flat)
    if isinstance(expr, Number):
        return str(expr), ATOM if expr >= 0 else SUM
    return _node(expr, flat)


def _node(expr: Expr, flat: bool) -> tuple[str, int]:
    own = getattr(expr, "written", None)
    if own is not None:  # a node of the framework writes itself
        summed = isinstance(expr, VocabSum)
        least = PRODUCT if summed else SUM
        return own(lambda part: _wrap(part, least, flat), tex=True), PREFIX if summed else ATOM
    if isinstance(expr, Symbol):
        if isinstance(expr, Index):
            return _index(expr), ATOM
        if expr in (RESPONSE, CHOSEN, REJECTED) or isinstance(expr, Further):
            return response(expr), ATOM
        return (str(expr) if expr == MARGIN else name(str(expr))), ATOM
    if isinstance(expr, (Prob, Prior)):
        law = r"\zeta" if isinstance(expr, Prior) else policy(str(expr.args[0]))
        return rf"{law}({response(expr.args[-1])}\mid x)", ATOM
    if isinstance(expr, (TokenProb, VocabProb)):
        law, spoken, position = policy(str(expr.args[0])), expr.args[1], expr.args[2]
        token = _token(spoken, position)
        if isinstance(expr, VocabProb):
            token = _index(expr.args[3])
        return rf"{law}({token}\mid x, {_prefix(spoken, position)})", ATOM
    if isinstance(expr, Feature):
        word, *args = expr.args
        given = ", ".join(_node(arg, flat)[0] for arg in args)
        return name(str(word)) + (f"({given})" if given else ""), ATOM
    if isinstance(expr, Length):
        return f"|{response(expr.args[0])}|", ATOM
    if isinstance(expr, Divergence):
        p, q, spoken, position = expr.args
        given = rf"(\cdot\mid {_state(spoken, position)})"
        laws = rf"{policy(str(p))}{given}\,\|\,{policy(str(q))}{given}"
        return rf"D_{{\mathrm{{KL}}}}\bigl({laws}\bigr)", ATOM
    if isinstance(expr, Entropy):
        p, spoken, position = expr.args
        return rf"H\bigl({policy(str(p))}(\cdot\mid {_state(spoken, position)})\bigr)", ATOM
    if isinstance(expr, ByLabel):
        chosen, rejected = map(inline, expr.args)
        rows = rf"{chosen} & \text{{if }} y = y_w\\ {rejected} & \text{{if }} y = y_l"
        return rf"\begin{{cases}} {rows} \end{{cases}}", SUM
    if isinstance(expr, Sorted):
        return rf"\mathrm{{sort}}\left[{_latex(expr.args[0], flat)[0]}\right]", ATOM
    if isinstance(expr, (TokenSum, TokenProd, VocabSum)):
        return f"{operator(expr)} {_wrap(expr.args[0], PRODUCT, flat)}", PREFIX
    return _function(expr, flat)


def operator(expr: Expr) -> str:
    """The sign of a sum or product, with its limits."""
    own = getattr(expr, "operator", None)
    if own is not None:
        return str(own(tex=True))
    index = _index(expr.args[1])
    if isinstance(expr, VocabSum):
        return rf"\sum_{{{index}\in\mathcal{{V}}}}"
    sign = r"\sum" if isinstance(expr, TokenSum) else r"\prod"
    return rf"{sign}_{{{index}=1}}^{{|{response(expr.args[2])}|}}"


def _function(expr: Expr, flat: bool) -> tuple[str, int]:
    template = BY_NODE[type(expr)].latex
    if not isinstance(expr, Log):
        return template.format(", ".join(_latex(arg, flat)[0] for arg in expr.args)), ATOM
    written, level = _latex(expr.args[0], flat)
    bare = level == ATOM or (written.startswith(r"\frac") and _is_whole_fraction(expr.args[0]))
    return template.format(written if bare else rf"\left({written}\right)"), PREFIX


def _is_whole_fraction(expr: Expr) -> bool:
    above, below = split_fraction(expr)
    return bool(below) and not _behind(above)


def _wrap(expr: Expr, least: int, flat: bool) -> str:
    written, level = _latex(expr, flat)
    return written if level >= least else rf"\left({written}\right)"


def _sum(expr: Add, flat: bool) -> str:
    parts: list[str] = []
    for sign, term in signed_terms(expr):
        written = _wrap(term, PRODUCT, flat)
        parts.append((f" {sign} " if parts else "-" if sign == "-" else "") + written)
    return "".join(parts)


def signed_terms(expr: Expr) -> list[tuple[str, Expr]]:
    """The terms in reading order, each as its sign and the rest."""
    terms = []
    for term in ordered_terms(expr):
        negative = term.as_coeff_Mul()[0] < 0
        terms.append(("-" if negative else "+", -term if negative else term))
    return terms


def _behind(above: list[Expr]) -> list[Expr]:
    """The factors that stand behind the line rather than over it: \\frac{a}{b} \\log c."""
    if len(above) == 1 and isinstance(above[0], Add):
        return []
    narrow = (*_NARROW, Exp)
    return [f for f in above if not isinstance(f.base if isinstance(f, Pow) else f, narrow)]


def _product(expr: Expr, flat: bool) -> tuple[str, int]:
    if expr.as_coeff_Mul()[0] < 0:
        return "-" + _wrap(-expr, PRODUCT, flat), SUM
    above, below = split_fraction(expr)
    if not below:
        return _factors(above, flat), PRODUCT
    behind = _behind(above)
    over = [factor for factor in above if factor not in behind]
    if flat:
        top = _factors(over, True) if len(over) != 1 else _wrap(over[0], PREFIX, True)
        bottom = _wrap(below[0], POWER, True) if len(below) == 1 else rf"({_factors(below, True)})"
        fraction = f"{top}/{bottom}"
    else:
        # Fractions inside a fraction lie flat, or the third one down could not be read.
        top, bottom = (_fraction_part(part) for part in (over, below))
        fraction = rf"\frac{{{top}}}{{{bottom}}}"
    if not behind:
        return fraction, PRODUCT if flat else POWER
    fraction = rf"({fraction})" if flat else fraction
    return f"{fraction} {_factors(behind, flat)}", PRODUCT


def _fraction_part(factors: list[Expr]) -> str:
    return inline(factors[0]) if len(factors) == 1 else _factors(factors, True)


def _factors(factors: list[Expr], flat: bool) -> str:
    """A product without a fraction; what reaches to the right is bracketed unless it is last."""
    if len(factors) < 2:
        return _wrap(factors[0], PRODUCT, flat) if factors else "1"
    written = _wrap(factors[0], POWER, flat)
    for place, factor in enumerate(factors[1:], 2):
        part = _wrap(factor, PREFIX if place == len(factors) else POWER, flat)
        written += separator(factors[place - 2], part) + part
    return written


def separator(before: Expr, after: str) -> str:
    """What stands between two factors: a dot where they would read as one number or as a call."""
    word = is_word(before)
    if after[:1].isdigit() or (word and after.startswith((r"\left(", "("))):
        return r" \cdot "
    return r"\," if word or after.startswith(r"\mathrm") else " "


def is_word(factor: Expr) -> bool:
    """Whether a factor is written as an upright word."""
    plain = isinstance(factor, Symbol) or (isinstance(factor, Feature) and len(factor.args) == 1)
    return plain and name(str(factor.args[0] if factor.args else factor)).startswith(r"\mathrm")


Node.in_latex = staticmethod(latex)  # so that notebooks show a bare expression as a spec's
