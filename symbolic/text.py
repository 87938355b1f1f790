"""Expression -> text of the spec language; reading it back gives the expression."""

from __future__ import annotations

from sympy import Add, Expr, Integer, Mul, Number, Pow, Rational, S, Symbol

from .language import (
    BY_NODE,
    CHOSEN,
    REJECTED,
    ByLabel,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Length,
    Log,
    LogSigmoid,
    Prior,
    Prob,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)

SUM, PRODUCT, UNARY, POWER, ATOM = range(5)


def text(expr: Expr) -> str:
    """`expr` as one line of the spec language, terms of y_w before terms of y_l."""
    return _text(expr)[0]


def _text(expr: Expr) -> tuple[str, int]:
    if isinstance(expr, Add):
        return _sum(expr), SUM
    if isinstance(expr, Mul):
        return _product(expr)
    if isinstance(expr, Pow):
        if expr.exp.is_Number and expr.exp < 0:
            return _product(expr)
        return f"{_wrap(expr.base, ATOM)}**{_wrap(expr.exp, ATOM)}", POWER
    if isinstance(expr, Rational) and not isinstance(expr, Integer):
        return f"{expr.p}/{expr.q}", PRODUCT if expr.p >= 0 else SUM
    if isinstance(expr, Number):
        return str(expr), ATOM if expr >= 0 else SUM
    return _atom(expr), ATOM


def _atom(expr: Expr) -> str:
    if isinstance(expr, Symbol):
        return str(expr.name)
    if isinstance(expr, (Prob, TokenProb, VocabProb, Feature)):
        name, *args = (str(arg) for arg in expr.args)
        return f"{name}({', '.join(args)})" if args else name
    if isinstance(expr, (TokenSum, TokenProd)):
        word = "sum" if isinstance(expr, TokenSum) else "prod"
        body, index, response = expr.args
        return f"{word}({text(body)} for {index} in {response})"
    if isinstance(expr, VocabSum):
        return f"sum({text(expr.args[0])} for {expr.args[1]} in vocab)"
    words = {Length: "len", Divergence: "kl", Entropy: "entropy", ByLabel: "by_label", Prior: "zeta"}
    word = words.get(type(expr)) or BY_NODE[type(expr)].name
    return f"{word}({', '.join(text(arg) for arg in expr.args)})"


def _wrap(expr: Expr, least: int) -> str:
    written, level = _text(expr)
    return written if level >= least else f"({written})"


def _sum(expr: Add) -> str:
    parts = []
    for term in ordered_terms(expr):
        negative = _coefficient(term) < 0
        written = _wrap(-term if negative else term, PRODUCT)
        sign = ("-" if negative else "") if not parts else (" - " if negative else " + ")
        parts.append(sign + written)
    return "".join(parts)


def _product(expr: Expr) -> tuple[str, int]:
    coefficient = _coefficient(expr)
    sign = "-" if coefficient < 0 else ""
    above, below = split_fraction(-expr if sign else expr)
    top = "*".join(_wrap(factor, UNARY) for factor in above) or "1"
    level = POWER if not sign and not below and len(above) == 1 else PRODUCT
    if below:
        bottom = "*".join(_wrap(factor, UNARY) for factor in below)
        plain = len(below) == 1 and _text(below[0])[1] >= POWER
        top += "/" + (bottom if plain else f"({bottom})")
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
        Number, Symbol, Length, Feature, (Prob, TokenProb, VocabProb, Prior), Add,
        (Log, LogSigmoid), Exp,
    )
    rank = next((i for i, kind in enumerate(kinds) if isinstance(base, kind)), len(kinds))
    return rank, _policy_rank(base), str(base)


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
        unsigned = tuple(sorted(str(f) for f in Mul.make_args(rest)))
        return role, policies, bool(coefficient < 0), len(str(rest)), unsigned

    terms = sorted(Add.make_args(expr), key=key)
    if terms and _coefficient(terms[0]) < 0 and not expr.has(CHOSEN, REJECTED):
        positive = next((t for t in terms if _coefficient(t) > 0), None)
        if positive is not None:  # a - b reads better than -b + a
            terms.remove(positive)
            terms.insert(0, positive)
    return terms
