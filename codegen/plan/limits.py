"""Limits that no form keeps: what is divided by a number that goes to 0 with a parameter, and goes to
0 with it, loses its digits there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sympy import Add, Expr, Mul, Pow, S

from midpo.symbolic.language.nodes import (
    CHOSEN,
    Log,
    LogSigmoid,
    Node,
    Parameter,
    TokenSum,
    VocabSum,
    structural,
)

from .averages import is_first_order
from .cancellation import cancelling, completed, means
from .excess import parts_of
from .poles import Pole, poles_of


def limits_left(margin: Expr | None, loss: Expr, settled: Callable[[Expr], Expr]) -> list[Pole]:
    """The poles, inside the closure of their parameters' domains, at which a numerator is 0 that no
    form divides; `settled` brings an expression to where it can be told to be 0."""
    found: dict[Pole, None] = {}
    sums = list(_sums(loss)) if _divides(loss) else []
    if margin is not None and _divides(margin):
        terms = Add.make_args(margin)
        own = Add(*(term for term in terms if CHOSEN in term.free_symbols))
        whole = completed(own)
        sums += [margin] if whole is None else [whole]
        sums += [one for one in _sums(margin) if one != margin]
    for total in sums:
        rest = means(cancelling(total)[1])[1] if isinstance(total, Add) else total
        for pole in poles_of(rest):
            if pole not in found and _is_met(pole) and _vanishes(rest, pole, settled):
                found[pole] = None
    return list(found)


def _divides(expr: Expr) -> bool:
    """Whether a parameter is divided by."""
    return any(p.exp.is_negative and p.base.atoms(Parameter) for p in expr.atoms(Pow))


def _sums(expr: Expr) -> Iterator[Expr]:
    """The expression, and what its functions are taken of, less those of the vocabulary."""
    yield expr
    for node in sorted(expr.atoms(Node), key=structural) if not isinstance(expr, VocabSum) else ():
        if not isinstance(node, VocabSum):
            yield from (arg for arg in node.args if isinstance(arg, (Add, Mul)) and arg.has(Node))


def _is_met(pole: Pole) -> bool:
    domain = pole.parameter.domain
    return bool(domain.lower <= pole.at <= domain.upper)


def _vanishes(total: Expr, pole: Pole, settled: Callable[[Expr], Expr]) -> bool:
    inverse = 1 / pole.factor
    terms = [t for t in Add.make_args(total) if inverse in Mul.make_args(t)]
    terms = [t for t in terms if not any(parts_of(one.args[0]) for one in t.atoms(VocabSum))]
    numerator = Add(*(t / inverse for t in terms))
    depends = any(pole.parameter in node.free_symbols for node in numerator.atoms(Node))
    if not depends and not any(_divides_by_data(power, pole) for power in numerator.atoms(Pow)):
        return False
    if _is_kept(numerator):
        return False
    limit = numerator.xreplace({pole.parameter: pole.at})
    if limit.has(S.ComplexInfinity, S.NaN, S.Infinity, S.NegativeInfinity):
        return False
    return bool(settled(limit) == 0)


def _divides_by_data(power: Pow, pole: Pole) -> bool:
    """Whether a sum of data and of the pole's parameter is divided by, or its root taken."""
    return (
        not (power.exp.is_Integer and power.exp.is_positive)
        and power.base.has(Node)
        and pole.parameter in power.free_symbols
    )


def _is_kept(expr: Expr) -> bool:
    """Whether what makes `expr` 0 is printed as what is 0 there: exp(x) - 1, log(1 + x) and such."""
    if isinstance(expr, Mul):
        return any(map(_is_kept, expr.args))
    if isinstance(expr, TokenSum):
        return _is_kept(expr.args[0])
    if isinstance(expr, Log):
        return S.One in Add.make_args(expr.args[0]) or is_first_order(expr.args[0])
    if not isinstance(expr, Add):
        return False
    scales = [term / f for term in expr.args for f in Mul.make_args(term) if isinstance(f, LogSigmoid)]
    if len(expr.args) == len(scales) == 2 and scales[0] == -scales[1]:
        return True
    pieces, rest = cancelling(expr)
    sums = (log for one in pieces for log in one.exponent.atoms(Log) if log.has(VocabSum))
    return bool(means(rest)[1] == 0) and not any(sums)
