"""Expression -> text of the spec language; reading it back gives the expression."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import count

from sympy import Add, Expr, Integer, Mul, Number, Pow, Rational, S, Symbol, preorder_traversal

from .nodes import (
    BINDERS,
    CHOSEN,
    REJECTED,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    LogSigmoid,
    Prior,
    Prob,
    TokenProb,
    VocabProb,
)
from .words import SPECIAL, word_of

SUM, PRODUCT, POWER, ATOM = range(4)
_WORDS: dict[type, str] = {**{node: name for name, nodes in SPECIAL.items() for node in nodes}, Prior: "zeta"}


def text(expr: Expr, taken: Iterable[str] = ()) -> str:
    """`expr` as one line of the spec language, terms of y_w before terms of y_l.

    An index is called something else where its name is `taken` or means something in `expr`.
    """
    return _writer(expr, taken).write(expr)[0]


def text_of_terms(expr: Expr) -> list[str]:
    """The same, cut before each sign of the outermost sum."""
    writer = _writer(expr, ())
    return writer.signed(expr) if isinstance(expr, Add) else [writer.write(expr)[0]]


def _writer(expr: Expr, taken: Iterable[str]) -> Writer:
    used = {s.name for s in preorder_traversal(expr) if isinstance(s, Symbol) and not isinstance(s, Index)}
    return Writer(frozenset(used.union(taken)))


class Writer:
    """Writes expressions; `scope` holds what the indices of the enclosing sums are called."""

    TIMES, POWER, MINUS = "*", "**", "-"

    def __init__(self, taken: frozenset[str]) -> None:
        self.taken = taken
        self.scope: dict[Index, str] = {}

    def write(self, expr: Expr) -> tuple[str, int]:
        """The text of `expr`, and how tightly it holds together."""
        if isinstance(expr, Add):
            return self.sum(expr), SUM
        if isinstance(expr, Mul):
            return self.product(expr)
        if isinstance(expr, Pow):
            if expr.exp.is_Number and expr.exp < 0:
                return self.product(expr)
            return f"{self.wrap(expr.base, ATOM)}{self.POWER}{self.wrap(expr.exp, ATOM)}", POWER
        if isinstance(expr, Rational) and not isinstance(expr, Integer):
            return f"{expr.p}/{expr.q}", PRODUCT if expr.p >= 0 else SUM
        if isinstance(expr, Number):
            return str(expr), ATOM if expr >= 0 else SUM
        return self.atom(expr), ATOM

    def atom(self, expr: Expr) -> str:
        if isinstance(expr, Index):
            return self.scope[expr] if expr in self.scope else str(expr.name)
        if isinstance(expr, Symbol):
            return str(expr.name)
        if isinstance(expr, Integer):  # one position, or one entry of the vocabulary
            return str(expr)
        if isinstance(expr, (Prob, TokenProb, VocabProb, Feature)):
            name, *args = map(self.atom, expr.args)
            return f"{name}({', '.join(args)})" if args else name
        if isinstance(expr, BINDERS):
            return self.binder(expr)
        kind = type(expr)
        word = _WORDS[kind] if kind in _WORDS else word_of(expr).name
        return f"{word}({', '.join(self.write(arg)[0] for arg in expr.args)})"

    def binder(self, expr: Expr) -> str:
        body, index, *response = expr.args
        taken = self.taken.union(self.scope.values())
        names = (index.name + (str(n) if n > 1 else "") for n in count(1))
        name = next(name for name in names if name not in taken)
        outer = self.scope
        self.scope = {**outer, index: name}
        written = self.write(body)[0]
        self.scope = outer
        word = next(_WORDS[kind] for kind in type(expr).__mro__ if kind in _WORDS)
        over = response[0].name if response else "vocab"
        return f"{word}({written} for {name} in {over})"

    def wrap(self, expr: Expr, least: int) -> str:
        written, level = self.write(expr)
        return written if level >= least else f"({written})"

    def terms(self, expr: Add) -> list[Expr]:
        """The terms of a sum in the order in which they are written."""
        return ordered_terms(expr)

    def signed(self, expr: Add) -> list[str]:
        """The terms of a sum, each after its sign."""
        parts: list[str] = []
        for term in self.terms(expr):
            negative = _coefficient(term) < 0
            written = self.wrap(-term if negative else term, PRODUCT)
            sign = self.MINUS if negative else "+" if parts else ""
            parts.append((f"{sign} " if parts else sign) + written)
        return parts

    def sum(self, expr: Add) -> str:
        return " ".join(self.signed(expr))

    def product(self, expr: Expr) -> tuple[str, int]:
        coefficient = _coefficient(expr)
        sign = self.MINUS if coefficient < 0 else ""
        above, below = split_fraction(-expr if sign else expr)
        top = self.TIMES.join(self.wrap(factor, POWER) for factor in above) or "1"
        level = POWER if not sign and not below and len(above) == 1 else PRODUCT
        if len(below) == 2 and isinstance(below[0], Integer) and isinstance(below[1], Add):
            # Written 1/(2*(a + b)), it would be read as 1/(2*a + 2*b).
            top += f"/{below[0]}/{self.wrap(below[1], POWER)}"
        elif below:
            bottom = self.TIMES.join(self.wrap(factor, POWER) for factor in below)
            top += "/" + (bottom if len(below) == 1 else f"({bottom})")
        return sign + top, (SUM if sign else level)


def _coefficient(term: Expr) -> Number:
    return term.as_coeff_Mul()[0] if isinstance(term, (Mul, Number)) else S.One


def split_fraction(expr: Expr) -> tuple[list[Expr], list[Expr]]:
    """The factors above and below the line, each in reading order."""
    above: list[Expr] = []
    below: list[Expr] = []
    for factor in Mul.make_args(expr):
        if isinstance(factor, Pow) and factor.exp.is_Number and factor.exp < 0:
            below.append(Pow(factor.base, -factor.exp))
        elif isinstance(factor, Rational):
            above += [Integer(factor.p)] if factor.p != 1 else []
            below += [Integer(factor.q)] if factor.q != 1 else []
        else:
            above.append(factor)
    return sorted(above, key=factor_key), sorted(below, key=factor_key)


def factor_key(factor: Expr) -> tuple[int, int, str]:
    """Numbers, parameters, lengths, probabilities, functions, sums: the order people write."""
    base = factor.base if isinstance(factor, Pow) else factor
    kinds: tuple[type | tuple[type, ...], ...] = (
        Number,
        Symbol,
        Length,
        Feature,
        (Prob, TokenProb, VocabProb, Prior),
        Add,
        (Log, LogSigmoid),
        Exp,
    )
    rank = next((i for i, kind in enumerate(kinds) if isinstance(base, kind)), len(kinds))
    return rank, _policy_rank(base), _plain(base)


@lru_cache(maxsize=20_000)
def _plain(expr: Expr) -> str:
    """SymPy's own text: slow, and asked for again and again while terms are put in order."""
    return str(expr)


def _policy_rank(expr: Expr) -> int:
    names = {symbol.name for symbol in expr.free_symbols}
    return 0 if "pi" in names else 1 if "pi_ref" in names else 2


def ordered_terms(expr: Expr) -> list[Expr]:
    """The terms of a sum: chosen before rejected before the rest, the policy before the
    reference, positive before negative."""

    def key(term: Expr) -> tuple[object, ...]:
        symbols = term.free_symbols
        chosen, rejected = CHOSEN in symbols, REJECTED in symbols
        role = 0 if chosen and not rejected else 1 if chosen else 2 if rejected else 3
        if not symbols:
            role = -1  # a plain number leads: 1 - eta
        coefficient, rest = term.as_coeff_Mul()
        policies = _policy_rank(rest)
        unsigned = tuple(sorted(map(_plain, Mul.make_args(rest))))
        return role, policies, bool(coefficient < 0), len(_plain(rest)), unsigned

    terms = sorted(Add.make_args(expr), key=key)
    if terms and _coefficient(terms[0]) < 0 and not expr.has(CHOSEN, REJECTED):
        positive = next((t for t in terms if _coefficient(t) > 0), None)
        if positive is not None:  # a - b reads better than -b + a
            terms.remove(positive)
            terms.insert(0, positive)
    return terms
