"""A prior is positive: seen to be, on a condition, or it is none.

zeta(y) > 0 is read off the signs of its factors. A factor whose sign is open becomes a side
condition, unless some pair or some value of its parameters makes it 0 or negative in a way that no
condition on parameters or data could exclude: then the spec is refused, with the case.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.algebra.factor import factors
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.errors import MidpoError, SpecError
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import (
    BINDERS,
    CHOSEN,
    REJECTED,
    RESPONSE,
    Abs,
    ByLabel,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    Max,
    Parameter,
    Prob,
    Relu,
    Step,
    TokenProb,
    VocabProb,
)
from midpo.symbolic.language.places import Condition, Names
from midpo.symbolic.language.signs import enclosure
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import BY_NODE
from midpo.symbolic.work import allowance

from .cases import MAX_WORK, counterexample

_MAX_SAID = 200  # characters of a formula in a message


def positivity(prior: Expr, names: Names) -> tuple[Condition, ...]:
    """What must hold for `prior` to be positive beyond the declared domains.

    Raises: SpecError where it cannot be, with what is 0 or negative and where.
    """
    found: list[Condition] = []
    with allowance(prior, units=MAX_WORK):
        for branch, named in _branches(prior):
            if not enclosure(branch).positive:
                found += _conditions(branch, named, names)
    for one, other in itertools.combinations([c.expr for c in found if c.kind == "positive"], 2):
        if enclosure(one + other).nonpositive:
            raise _refusal(
                prior,
                f"the prior is nowhere positive: {text(one)} > 0 and {text(other)} > 0 exclude each other",
            )
    return tuple(dict.fromkeys(found))


def _branches(prior: Expr) -> Iterator[tuple[Expr, str]]:
    """The prior of either role, as a function of y, and what to call it."""
    if not prior.has(ByLabel):
        yield prior, "the prior"
        return
    for role, place in ((CHOSEN, "preferred"), (REJECTED, "dispreferred")):
        branch = substitute(with_label(prior, role), {role: RESPONSE})
        yield branch, f"the prior of the {place} response, {_short(branch)},"


def _short(expr: Expr) -> str:
    said = text(expr)
    return said if len(said) <= _MAX_SAID else said[:_MAX_SAID] + "..."


def _conditions(prior: Expr, named: str, names: Names) -> Iterator[Condition]:
    whole = enclosure(prior)
    if whole.nonpositive:
        how = "0" if prior == 0 or whole.lower == 0 else "negative" if whole.negative else "0 or negative"
        raise _refusal(prior, f"{named} is {how} everywhere")
    scalar: list[Expr] = []
    for base, exponent in _open_factors(prior):
        if base == -1:  # and the factors beside it are even powers
            raise _refusal(prior, f"{named} is 0 or negative everywhere")
        if isinstance(exponent, Rational) and exponent.q == 1 and exponent.p % 2 == 0:
            open_sign, kind = base, "nonzero"
        elif isinstance(exponent, Rational) and exponent.q == 1:
            open_sign, kind = base, "positive"
        else:  # a power with such a base is itself a condition of the language
            continue
        if _is_scalar(open_sign) and kind == "positive" and not enclosure(open_sign).nonnegative:
            scalar.append(open_sign)
            continue
        if not _is_given(open_sign):
            found = counterexample(open_sign, kind, names)
            if found is not None:
                how, where = found
                what = "" if open_sign == prior else f", as {_short(open_sign)} is"
                if how == "0" and _is_below(exponent):
                    raise _refusal(
                        prior, f"{named} has no value at {where}: {_short(open_sign)} is 0 there", open_sign
                    )
                raise _refusal(prior, f"{named} is {how} at {where}{what}", open_sign)
        yield _plainest(open_sign, kind)
    sign = Mul(*scalar)
    if sign != 1:
        if enclosure(sign).nonpositive:
            raise _refusal(prior, f"{named} is nowhere positive: {_short(sign)} is not")
        yield from _of_product(prior, named, sign)


def _of_product(prior: Expr, named: str, sign: Expr) -> Iterator[Condition]:
    """That a product of parameters is positive: its factors of even powers are not 0, the product
    of the others is positive."""
    try:
        parts = factors(expand(sign), plain=True)
    except MidpoError:
        parts = ()
    if not parts or not all(e.is_Integer for _, e in parts) or not any(e % 2 == 0 for _, e in parts[1:]):
        yield _plainest(sign, "positive")
        return
    odd = Mul(*(base for base, e in parts if e % 2))
    if enclosure(odd).nonpositive:
        raise _refusal(prior, f"{named} is nowhere positive: {_short(sign)} is not")
    if not enclosure(odd).positive:
        yield _plainest(odd, "positive")
    yield from (
        _plainest(base, "nonzero") for base, e in parts if e % 2 == 0 and not enclosure(base).positive
    )


def _plainest(expr: Expr, kind: str) -> Condition:
    """That `expr` is positive, or not 0, said of what stands inside functions that keep signs."""
    while True:
        word = BY_NODE.get(type(expr))
        if (word is not None and word.keeps_sign) or (isinstance(expr, Relu) and kind == "positive"):
            expr = expr.args[0]
        elif isinstance(expr, Abs):
            expr, kind = expr.args[0], "nonzero"
        elif isinstance(expr, Log) and enclosure(expr.args[0]).positive:
            expr = expr.args[0] - 1
        elif isinstance(expr, Step):
            return Condition(expr.args[0], "nonnegative")
        elif isinstance(expr, Max) and kind == "positive":
            able = [arg for arg in expr.args if not enclosure(arg).nonpositive]
            if len(able) != 1:
                return Condition(expr, kind)
            (expr,) = able
        else:
            return Condition(expr, kind)


def _open_factors(prior: Expr) -> Iterator[tuple[Expr, Expr]]:
    """The factors of a prior, as powers, whose signs are not seen; a number's sign goes with the
    first of them that counts."""
    parts: list[tuple[Expr, Expr]] = []
    for factor in Mul.make_args(prior):
        base, exponent = factor.as_base_exp() if isinstance(factor, Pow) else (factor, S.One)
        if isinstance(base, Add) and isinstance(exponent, Rational) and exponent.q == 1:
            try:
                split = factors(base, plain=True)
            except MidpoError:
                split = ()
            parts += [(b, e * exponent) for b, e in split] or [(base, exponent)]
        else:
            parts.append((base, exponent))
    sign = S.One
    kept: list[tuple[Expr, Expr]] = []
    for base, exponent in parts:
        held = enclosure(base)
        odd = isinstance(exponent, Rational) and exponent.q == 1 and exponent.p % 2
        if held.negative and odd:
            sign = -sign
        elif not (held.positive or (held.negative and not odd)):
            kept.append((base, exponent))
    turned = False
    for base, exponent in kept:
        odd = isinstance(exponent, Rational) and exponent.q == 1 and exponent.p % 2
        if odd and sign < 0 and not turned:
            base, turned = -base, True
        yield base, exponent
    if sign < 0 and not turned:
        yield S.NegativeOne, S.One


def _is_below(exponent: Expr) -> bool:
    """Whether a factor stands in the denominator."""
    return isinstance(exponent, Rational) and exponent < 0


def _is_scalar(expr: Expr) -> bool:
    return all(isinstance(s, Parameter) for s in expr.free_symbols)


def _is_given(expr: Expr) -> bool:
    """Whether `expr` is made of parameters and data alone, also of data summed over the tokens: a
    condition on what the user gives."""
    if expr.has(Prob, TokenProb, VocabProb, Length, Divergence, Entropy):
        return False
    return all(node.has(Feature) and not _counts(node) for node in expr.atoms(*BINDERS))


def _counts(binder: Expr) -> bool:
    """Whether the index of a sum or product stands in it as a number."""
    bare = binder.args[0].xreplace(dict.fromkeys(binder.args[0].atoms(Feature), S.One))
    return bool(bare.has(Index))


def _refusal(prior: Expr, problem: str, factor: Expr = S.One) -> SpecError:
    hint = "a prior that is positive for every response"
    given = sorted(
        {str(s.name if isinstance(s, Parameter) else s.args[0]) for s in factor.atoms(Parameter, Feature)}
    )
    if _looks_like_a_logarithm(prior):
        hint = "is this log zeta? Then write exp(...) around it"
    elif given:
        hint += f", or a narrower domain of {' or '.join(given)}"
    return SpecError(problem, expected=hint)


def _looks_like_a_logarithm(prior: Expr) -> bool:
    """Whether a logarithm stands outside exponentials."""

    def bare(expr: Expr) -> bool:
        if isinstance(expr, Log):
            return True
        return not isinstance(expr, Exp) and any(map(bare, expr.args))

    return bare(prior)


# --- Looking for a case --------------------------------------------------------------------------
