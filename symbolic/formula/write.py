"""Expression -> Formula, in the order of `text`.

Covers every node of the vocabulary. The prompt x is written where the spec language leaves it out;
s_t stands for (x, y_<t), what precedes token t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction as Ratio
from functools import lru_cache
from itertools import pairwise

from sympy import Add, Expr, Integer, Mul, Number, Pow, Rational, Symbol

from midpo.symbolic.domains.intervals import REAL, Interval
from midpo.symbolic.language.nodes import (
    BINDERS,
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
    Prior,
    Prob,
    Sorted,
    Sqrt,
    TokenProb,
    TokenSum,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.text import ordered_terms, split_fraction
from midpo.symbolic.language.words import BY_NODE, Notation

from .signs import GREEK
from .tree import (
    EMPTY,
    Abridged,
    Cases,
    Enclosed,
    Fence,
    Formula,
    Fraction,
    Name,
    Part,
    Placeholder,
    Quantity,
    Root,
    Sign,
    Slash,
    Spoken,
    Text,
    Times,
    Upright,
    between,
    call,
    first,
    leaf,
    listed,
    number,
    row,
    script,
)
from .tree import Number as Numeral

# How tightly a written part holds together: a sum, a product, a prefix that reaches to the right
# (log, a sum sign), something that may not be a base without brackets, something that may.
SUM, PRODUCT, PREFIX, POWER, ATOM = range(5)

_LETTERS = GREEK - {"pi", "sigma", "Pi"}  # pi and sigma have other meanings here
_NARROW = (Number, Symbol, Length, Feature, Prob, TokenProb, VocabProb, Prior)

ZETA = Name("zeta", Sign(r"\zeta"))
PROMPT = Name("x", Sign("x"))
POLICY_SIGN = Name("pi", Sign(r"\pi"))
GIVEN = Sign(r"\mid ")


@dataclass(frozen=True)
class Call:
    """How a function of the vocabulary is written: `head`, a bracket, `lead`, arguments, `tail`,
    a bracket."""

    head: Formula
    left: str = "("
    right: str = ")"
    lead: Formula = EMPTY
    tail: Formula = EMPTY

    def __call__(self, arguments: Formula) -> Formula:
        return row(self.head, between(self.left, row(self.lead, arguments, self.tail), self.right))


_SORT = Notation(("sort",), "[", "]")


def call_of(expr: Expr) -> Call | None:
    """How a function is written, by its row; None for what is no function."""
    if isinstance(expr, Sorted):
        return _call(_SORT)
    word = BY_NODE.get(type(expr))
    return None if word is None else _call(word.notation or Notation((word.name,)))


@lru_cache
def _call(said: Notation) -> Call:
    head, lead, tail = (row(*map(_part, parts)) for parts in (said.head, said.lead, said.tail))
    return Call(head, said.left, said.right, lead, tail)


def _part(text: str) -> Part:
    if text.isalpha():
        return Upright(text)
    return int(text) if text.isdigit() else text


def write(expr: Expr) -> Formula:
    """`expr` as mathematics, terms of y_w before terms of y_l."""
    return _written(expr)[0]


def inline(expr: Expr) -> Formula:
    """`expr` with fractions on one line, as exponents and numerators have them."""
    return _written(expr, flat=True)[0]


# --- Names ---------------------------------------------------------------------------------------


def name(word: str) -> Formula:
    """A parameter or feature: Greek where it is, a letter in italics, a word upright."""
    # t and v are indices wherever a sum is in normal form.
    is_index = word[:1] in ("t", "v") and (len(word) == 1 or _decimal(word[1:]))
    return Name(word, Upright(word) if is_index else _letter(word))


def _decimal(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _letter(word: str) -> Formula:
    letters = word.rstrip("0123456789")
    digits = word[len(letters) :]
    letters = "lambda" if letters == "lam" else letters
    if letters in _LETTERS or (len(letters) == 1 and letters.isascii() and letters.isalpha()):
        stem = Sign(f"\\{letters}" if letters in _LETTERS else letters)
        return script(stem, int(digits)) if digits else stem
    return Upright(word)


def policy(word: str) -> Formula:
    """A policy: pi with the rest of its name as an index."""
    rest = word.removeprefix("pi").removeprefix("_")
    return Name(word, script(r"\pi", Upright(rest)) if rest else Sign(r"\pi"))


def response(symbol: Expr | str) -> Formula:
    """A response: y, y_w, y_l, or y with the rest of its name as an index."""
    index = role(symbol)
    body = leaf(str(symbol)) if index is None else script("y", index, bare=not _is_word(index))
    return Name(str(symbol), body)


def role(symbol: Expr | str) -> Formula | None:
    """The index by which a response is told from y; none for y."""
    _, _, index = str(symbol).partition("y_")
    return (leaf(index) if len(index) == 1 else Upright(index)) if index else None


def _is_word(index: Formula) -> bool:
    return isinstance(index, Upright)


def prompted(of: Formula) -> Formula:
    """What is said given the prompt, which the spec language leaves out."""
    return Abridged(row(of, GIVEN, PROMPT), of)


def indexed(letter: str, response: Expr, *index: Part) -> Formula:
    """A part of a response, by its index: y_{w,t}."""
    own = role(response)
    inside = row(*index) if own is None else row(own, ",", *index)
    return Spoken(str(response), script(letter, inside), letter, row(*index))


def state(response: Expr, position: Expr) -> Formula:
    """What precedes a position: s_{w,t}."""
    return indexed("s", response, _index(position))


def _index(index: Expr) -> Formula:
    return _letter(str(index))


def responses(roles: Sequence[Expr]) -> Formula:
    """What a loss is a function of: the pair, and the responses declared beside it."""
    return Fence("(", listed(map(response, roles)), ")")


def within(held: Interval, symbol: Formula) -> Formula:
    """That `symbol` lies in a domain: 0 < c < 1."""
    if held == REAL:
        return row(symbol, r" \in ", r"\mathbb{R}")
    low = write(Rational(held.lower)) if isinstance(held.lower, Ratio) else None
    high = write(Rational(held.upper)) if isinstance(held.upper, Ratio) else None
    over, under = (r" \le " if closed else " < " for closed in (held.lower_closed, held.upper_closed))
    if low is None:
        return row(symbol, under, high or EMPTY)
    if high is None:
        return row(symbol, {r" \le ": r" \ge ", " < ": " > "}[over], low)
    return row(low, over, symbol, under, high)


# --- Expressions ---------------------------------------------------------------------------------


@lru_cache(maxsize=50_000)
def _written(expr: Expr, flat: bool = False) -> tuple[Formula, int]:
    if isinstance(expr, Add):
        return _sum(expr, flat), SUM
    if isinstance(expr, Mul):
        return _product(expr, flat)
    if isinstance(expr, Pow):
        if expr.exp.is_Number and expr.exp < 0:
            return _product(expr, flat)
        return script(_wrap(expr.base, ATOM, flat), above=inline(expr.exp)), POWER
    if isinstance(expr, Rational) and expr.q != 1:
        return _product(expr, flat)
    if isinstance(expr, Number):
        return number(expr), ATOM if expr >= 0 else SUM
    return _node(expr, flat)


def _node(expr: Expr, flat: bool) -> tuple[Formula, int]:
    own = getattr(expr, "laid_out", None)
    if own is not None:  # a node of the framework writes itself
        summed = isinstance(expr, VocabSum)
        least = PRODUCT if summed else SUM
        return own(lambda part: _wrap(part, least, flat)), PREFIX if summed else ATOM
    if isinstance(expr, BINDERS):
        return row(operator(expr), " ", _wrap(expr.args[0], PRODUCT, flat)), PREFIX
    if isinstance(expr, Log):
        written, level = _written(expr.args[0], flat)
        whole = isinstance(first(written), Fraction) and _is_whole_fraction(expr.args[0])
        bare = level == ATOM or whole
        return row(r"\log ", Enclosed(written) if bare else between("(", written, ")")), PREFIX
    if isinstance(expr, Sqrt):
        return Root(_written(expr.args[0], flat)[0]), ATOM
    called = call_of(expr)
    if called is not None:
        return called(listed(_written(arg, flat)[0] for arg in expr.args)), ATOM
    if isinstance(expr, ByLabel):
        return _by_label(expr), SUM
    return _atom(expr), ATOM


def _atom(expr: Expr) -> Formula:
    if isinstance(expr, Symbol):
        if isinstance(expr, Index):
            return _index(expr)
        if expr in (RESPONSE, CHOSEN, REJECTED) or isinstance(expr, Further):
            return response(expr)
        return Name("m", Sign("m")) if expr == MARGIN else name(str(expr))
    if isinstance(expr, (Prob, Prior)):
        law = ZETA if isinstance(expr, Prior) else policy(str(expr.args[0]))
        return call(law, prompted(response(expr.args[-1])))
    if isinstance(expr, (TokenProb, VocabProb)):
        law, spoken = policy(str(expr.args[0])), expr.args[1]
        position, *entry = map(_index, expr.args[2:])
        at = entry[0] if entry else indexed("y", spoken, position)
        whole = call(law, row(at, GIVEN, PROMPT), indexed("y", spoken, "<", position))
        return Abridged(whole, call(law, response(spoken), position, *entry))
    if isinstance(expr, Feature):
        word, *args = expr.args
        own = getattr(word, "laid_out", None)
        if own is not None:  # a quantity that the language has no word for
            made: Formula = own()
            return made
        numbered = (_index(a) if isinstance(a, (Index, Integer)) else _atom(a) for a in args)
        return call(name(str(word)), *numbered) if args else name(str(word))
    if isinstance(expr, Length):
        return Fence("|", response(expr.args[0]), "|")
    if isinstance(expr, Divergence):
        first_law, second_law = (policy(str(law)) for law in expr.args[:2])
        given, at = _at_state(*expr.args[2:])
        laws = row(first_law, given, r"\,", r"\|", r"\,", second_law, given)
        whole = row(script("D", Upright("KL")), between("(", laws, ")", "big"))
        laws = row(first_law, r"\,", r"\|", r"\,", second_law)
        return Abridged(whole, call(Upright("KL"), row(laws, at)))
    if isinstance(expr, Entropy):
        law = policy(str(expr.args[0]))
        given, at = _at_state(*expr.args[1:])
        return Abridged(row("H", between("(", row(law, given), ")", "big")), call("H", row(law, at)))
    raise TypeError(f"no notation for {type(expr).__name__}")


def _at_state(spoken: Expr, position: Expr) -> tuple[Formula, Formula]:
    """That a law is the next token's at a state: on a page, and on a line."""
    given = Fence("(", row(Placeholder(), GIVEN, state(spoken, position)), ")")
    return given, row("; ", response(spoken), ", ", _index(position))


def _by_label(expr: ByLabel) -> Formula:
    rows = zip(map(inline, expr.args), responded(), strict=True)
    return Cases(tuple((case, row(Text("if "), " ", held)) for case, held in rows))


def responded() -> tuple[Formula, Formula]:
    """Which response y is: y = y_w, y = y_l."""
    preferred, other = (row(response(RESPONSE), " = ", response(y)) for y in (CHOSEN, REJECTED))
    return preferred, other


def operator(expr: Expr) -> Formula:
    """The sign of a sum or product, with its limits."""
    own = getattr(expr, "operator", None)
    if own is not None:
        made: Formula = own()
        return made
    index = _index(expr.args[1])
    if isinstance(expr, VocabSum):
        return script(r"\sum", row(index, r"\in", r"\mathcal{V}"))
    sign = r"\sum" if isinstance(expr, TokenSum) else r"\prod"
    spoken = response(expr.args[2])
    whole = script(sign, row(index, "=", 1), Fence("|", spoken, "|"))
    return Abridged(whole, script(sign, row(index, r"\in", spoken)))


def _is_whole_fraction(expr: Expr) -> bool:
    above, below = split_fraction(expr)
    return bool(below) and not _behind(above)


def _wrap(expr: Expr, least: int, flat: bool) -> Formula:
    written, level = _written(expr, flat)
    return written if level >= least else between("(", written, ")")


def _sum(expr: Add, flat: bool) -> Formula:
    parts: list[Part] = []
    for sign, term in signed_terms(expr):
        if parts or sign == "-":
            parts.append(f" {sign} " if parts else sign)
        parts.append(_wrap(term, PRODUCT, flat))
    return row(*parts)


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


def _product(expr: Expr, flat: bool) -> tuple[Formula, int]:
    if expr.as_coeff_Mul()[0] < 0:
        return row("-", _wrap(-expr, PRODUCT, flat)), SUM
    above, below = split_fraction(expr)
    if not below:
        return _factors(above, flat), PRODUCT
    behind = _behind(above)
    over = [factor for factor in above if factor not in behind]
    if flat:
        top = _factors(over, True) if len(over) != 1 else _wrap(over[0], PREFIX, True)
        one = len(below) == 1
        bottom = _wrap(below[0], POWER, True) if one else Fence("(", _factors(below, True), ")")
        fraction: Formula = Slash(top, bottom, multiplies=bool(behind))
    else:
        # Fractions inside a fraction lie flat, or the third one down could not be read.
        fraction = Fraction(_fraction_part(over), _fraction_part(below))
    if not behind:
        return fraction, PRODUCT if flat else POWER
    after = _factors(behind, flat) if len(behind) > 1 else _factor(behind[0], PRODUCT, flat)
    return row(fraction, Times(leaf(" ")), after), PRODUCT


def _fraction_part(factors: list[Expr]) -> Formula:
    return inline(factors[0]) if len(factors) == 1 else _factors(factors, True)


def _factors(factors: list[Expr], flat: bool) -> Formula:
    """A product without a fraction; what reaches to the right is bracketed unless it is last."""
    if len(factors) < 2:
        return _wrap(factors[0], PRODUCT, flat) if factors else number(1)
    parts: list[Part] = [_factor(factors[0], POWER, flat)]
    for before, factor in pairwise(factors):
        part = _factor(factor, PREFIX if factor is factors[-1] else POWER, flat)
        parts += [separator(before, part), part]
    return row(*parts)


def _factor(factor: Expr, least: int, flat: bool) -> Formula:
    """A factor. On a line log and cases have brackets of their own, and a last sum needs some, as
    what is below a fraction comes after it."""
    written = _wrap(factor, least, flat)
    if isinstance(written, Fence):
        return Abridged(written, written.body) if isinstance(factor, (Log, ByLabel)) else written
    return Enclosed(written) if isinstance(factor, BINDERS) else written


def separator(before: Expr, after: Formula) -> Formula:
    """What stands between two factors: a dot where they would read as one number or as a call."""
    word, start = is_word(before), first(after)
    bracket = isinstance(start, Fence) and start.left == "(" and start.size in ("", "left")
    if isinstance(start, Numeral) or (word and bracket):
        return Times(leaf(r" \cdot "))
    return Times(leaf(r"\," if word or isinstance(start, (Upright, Quantity)) else " "))


def is_word(factor: Expr) -> bool:
    """Whether a factor is written as an upright word."""
    plain = isinstance(factor, Symbol) or (isinstance(factor, Feature) and len(factor.args) == 1)
    return plain and isinstance(first(name(str(factor.args[0] if factor.args else factor))), Upright)
