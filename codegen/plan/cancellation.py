"""Sums whose terms cancel where a number is near a limit, as terms that do not.

exp(x) - 1 is expm1(x), and exp(x) - 1 - x a series, where x is near 0. A quotient such as
(1 - exp(-c*x))/c or (x**(1 - a) - x)/(a*(a - 1)) has a limit as its parameter goes to where the
denominator is 0: near there, exp(u) = exp(u0)*(1 + expm1(u - u0)) with u0 the exponent at the
limit, and what is left of the numerator, a polynomial in the parameter, is divided by the
denominator. 1 + tanh(x) is 2*sigmoid(2*x).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import sympy
from sympy import Add, Dummy, Expr, Mul, Rational, S

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import (
    Exp,
    Length,
    Log,
    LogSigmoid,
    Max,
    Node,
    Parameter,
    Sigmoid,
    Sqrt,
    Tanh,
    TokenSum,
    structural,
)
from midpo.symbolic.loss import is_constant
from midpo.symbolic.rewriting.derivation import Instance
from midpo.symbolic.rewriting.rules import RULES

from .exponentials import is_positive_total
from .poles import Pole, apart, divides, poles_of
from .stable import collected, is_discount

MAX_TERMS = 40  # of a sum that is looked at


@dataclass(frozen=True)
class Piece:
    """scale*(exp(x) - 1), or where `whole`, scale*(exp(x) - 1 - x), or where
    `even`, scale*(exp(x) + exp(-x) - 2); with a `least`, scale*(exp(least + x) - exp(least)). Where
    `odd`, scale*tanh(x/2), where `logistic`, scale*(logsigmoid(x) + log(2)), and with a `power` p,
    scale*((1 + x)**p - 1)."""

    scale: Expr
    exponent: Expr
    whole: bool = False
    even: bool = False
    least: Expr | None = None
    odd: bool = False
    logistic: bool = False
    power: Rational | None = None


def cancelling(expr: Expr) -> tuple[list[Piece], Expr]:
    """The pieces of the sum `expr` that would cancel as they stand, and the rest."""
    if not isinstance(expr, Add) or len(expr.args) > MAX_TERMS:
        return [], expr
    terms = list(expr.args)
    pieces = [*_odds(terms), *_powers(terms), *_logistic(terms)]
    if not expr.has(Exp):
        return pieces, Add(*terms)
    pieces += [*_evens(terms), *_remainders(terms)]
    at_poles, rest = _at_poles(Add(*terms))
    terms = list(Add.make_args(rest))
    pieces += [*at_poles, *_complements(terms), *_discounts(terms), *_mirrored(terms)]
    return pieces, Add(*terms)


def means(expr: Expr) -> tuple[list[tuple[Expr, TokenSum]], Expr]:
    """The (k, S) of k*log(S) - k*log(len(y)) in a sum, S a sum over the tokens of y of exponentials,
    and the rest: where the exponents are near 0, so is the logarithm of their mean."""
    terms, found = list(Add.make_args(expr)), []
    for term in list(terms):
        logs = [f for f in Mul.make_args(term) if isinstance(f, Log) and isinstance(f.args[0], TokenSum)]
        if len(logs) != 1 or not is_positive_total(logs[0].args[0]):
            continue
        (total,) = logs[0].args
        others = [t for t in terms if t != term]
        if _take([-term / logs[0] * Log(Length(total.args[2]))], others):
            found.append((term / logs[0], total))
            terms = others
    return found, Add(*terms)


def completed(expr: Expr) -> Expr | None:
    """`expr` and constants with which its terms have limits at their poles; None where no pole has
    two or more terms. A constant makes no difference between two responses."""
    if not isinstance(expr, Add) or not expr.has(Exp):
        return None
    flat = apart(expr)
    poles = poles_of(flat)
    if not any(sum(divides(pole, t) for t in Add.make_args(flat)) > 1 for pole in poles):
        return None
    for pole in poles:
        found = _resolved(flat, pole)
        if isinstance(found, Missing):
            if not is_constant(found.at_limit):
                return None
            flat -= found.at_limit / pole.factor
    return flat


# -- exp(x) - 1 and exp(x) - 1 - x


def _exponential(term: Expr) -> tuple[Expr, Expr] | None:
    """(k, x) of k*exp(x)."""
    grown = [f for f in Mul.make_args(term) if isinstance(f, Exp)]
    return (term / grown[0], grown[0].args[0]) if len(grown) == 1 else None


def _remainders(terms: list[Expr]) -> Iterator[Piece]:
    for term in list(terms):
        parts = _exponential(term)
        if parts is None or term not in terms:
            continue
        scale, exponent = parts
        wanted = [t for t in Add.make_args(expand(-scale * (1 + exponent))) if t != 0]
        others = [t for t in terms if t != term]
        if len(wanted) < 2 or not _take(wanted, others):
            continue
        terms[:] = others
        yield Piece(scale, exponent, whole=True)


def _odds(terms: list[Expr]) -> Iterator[Piece]:
    """k*sigmoid(x) - k/2, which is k/2*tanh(x/2)."""
    for term, node in [(t, f) for t in terms for f in Mul.make_args(t)]:
        shape = Exp(LogSigmoid(*node.args)) if isinstance(node, Sigmoid) else node
        others = [t for t in terms if t != term]
        if (
            isinstance(shape, Exp)
            and isinstance(shape.args[0], LogSigmoid)
            and term in terms
            and (_take([-term / node / 2], others))
        ):
            terms[:] = others
            yield Piece(term / node / 2, shape.args[0].args[0], odd=True)


def _powers(terms: list[Expr]) -> Iterator[Piece]:
    """k*(1 + x)**p - k, where p is -1 or no whole number."""
    for term, node in [(t, f) for t in terms for f in Mul.make_args(t)]:
        base, power = _powered(node)
        known = (power == -1 and base.has(Node)) or not power.is_Integer
        if not known or not isinstance(base, Add) or S.One not in base.args:
            continue
        if base.has(Exp) and power != S.Half:  # may overflow, and other forms are known
            continue
        others = [t for t in terms if t != term]
        if term in terms and _take([-term / node], others):
            terms[:] = others
            yield Piece(term / node, base - 1, power=power)


def _powered(node: Expr) -> tuple[Expr, Rational]:
    """(b, p) of b**p with a number p; a root is the power 1/2."""
    base, power = node.as_base_exp()
    if isinstance(base, Sqrt):
        base, power = base.args[0], power / 2
    return (base, power) if isinstance(power, Rational) else (node, S.One)


def _logistic(terms: list[Expr]) -> Iterator[Piece]:
    """k*logsigmoid(x) + k*log(2), which is 0 with x."""
    for term, node in [(t, f) for t in terms for f in Mul.make_args(t)]:
        others = [t for t in terms if t != term]
        if isinstance(node, LogSigmoid) and term in terms and _take([term / node * Log(2)], others):
            terms[:] = others
            yield Piece(term / node, node.args[0], logistic=True)


def _evens(terms: list[Expr]) -> Iterator[Piece]:
    for term in list(terms):
        parts = _exponential(term)
        others = [t for t in terms if t != term]
        if parts is None or term not in terms:
            continue
        scale, exponent = parts
        if _take([scale * Exp(-exponent), *Add.make_args(-2 * scale)], others):
            terms[:] = others
            yield Piece(scale, exponent, even=True)


def _mirrored(terms: list[Expr]) -> Iterator[Piece]:
    """k*exp(a) - k*exp(b) where a and b differ by an x that they speak of apart: in logsigmoid(x)
    and logsigmoid(-x), where it is k*exp(c)*tanh(x/2), or in max(x, 0) and max(-x, 0)."""
    for one, other in itertools.combinations(list(terms), 2):
        first, second = map(_exponential, (one, other))
        if first is None or second is None or first[0] != -second[0]:
            continue
        if one not in terms or other not in terms:
            continue
        if first[0].as_coeff_Mul()[0] < 0:
            first, second = second, first
        (scale, a), (_, b) = first, second
        gap = expand(a - b)
        found = next(filter(None, (_halves(gap, node) for node in _leading(gap))), None)
        if found is None:
            continue
        terms.remove(one)
        terms.remove(other)
        if isinstance(found.node, LogSigmoid) and found.sign == 1:
            rest = expand(a - found.node)
            yield Piece(scale * (S.One if rest == 0 else Exp(rest)), found.x, odd=True)
        else:
            yield Piece(scale * Exp(b), found.sign * found.x)


@dataclass(frozen=True)
class Halves:
    """sign*(f(x) - f(-x)), which is sign*x, of which `node` is f(x)."""

    node: Expr
    x: Expr
    sign: Expr


def _leading(gap: Expr) -> list[Expr]:
    nodes = (f for t in Add.make_args(gap) for f in Mul.make_args(t))
    return sorted({f for f in nodes if isinstance(f, (LogSigmoid, Max))}, key=structural)


def _halves(gap: Expr, node: Expr) -> Halves | None:
    others = [arg for arg in node.args if arg != 0]
    if len(others) != 1 or len(node.args) != (1 if isinstance(node, LogSigmoid) else 2):
        return None
    (x,) = others
    opposite = node.func(*(-arg for arg in node.args))
    for sign in (S.One, S.NegativeOne):
        if {sign * node, -sign * opposite} == set(Add.make_args(gap)):
            return Halves(node, x, sign)
    return None


def _complements(terms: list[Expr]) -> Iterator[Piece]:
    for term in list(terms):
        parts = _exponential(term)
        others = [t for t in terms if t != term]
        if parts is None or term not in terms:
            continue
        scale, exponent = parts
        if _take([-scale], others):
            terms[:] = others
            yield Piece(scale, exponent)
            continue
        for constant in filter(is_constant, _powers_of_e(-scale, others)):
            x = expand(exponent - constant)
            if len(Add.make_args(x)) < len(Add.make_args(exponent)):
                terms[:] = [t for t in others if t != -scale * Exp(constant)]
                yield Piece(scale * Exp(constant), x)
                break


def _powers_of_e(scale: Expr, terms: list[Expr]) -> list[Expr]:
    """The x of the terms scale*exp(x)."""
    parts = filter(None, map(_exponential, terms))
    return [exponent for own, exponent in parts if own == scale]


def _discounts(terms: list[Expr]) -> Iterator[Piece]:
    """c*g**a - c*g**b of parameters g, places and lengths a and b."""
    for one, other in itertools.combinations(list(terms), 2):
        first, second = map(_discounted, (one, other))
        if first is None or second is None or one not in terms or other not in terms:
            continue
        (scale, a), (less, b) = first, second
        if scale == -less:
            if scale.as_coeff_Mul()[0] < 0:
                scale, a, b = less, b, a
            terms.remove(one)
            terms.remove(other)
            yield Piece(scale, by_logarithm(a - b), least=by_logarithm(b))


def _discounted(term: Expr) -> tuple[Expr, Expr] | None:
    """(k, x) of k*exp(x), with the powers of parameters in k that stand in x too taken into x."""
    parts = _exponential(term)
    if parts is None or not is_discount(parts[1]):
        return None
    scale, exponent = parts
    for log in sorted(exponent.atoms(Log), key=structural):
        base = log.args[0]
        if isinstance(base, Parameter):
            for factor in Mul.make_args(scale):
                under, power = factor.as_base_exp()
                if under == base and power.is_Integer:
                    scale, exponent = scale / factor, exponent + power * log
    return scale, exponent


def by_logarithm(exponent: Expr) -> Expr:
    """n*log(g) for t*log(g) - log(g) and such: places and lengths subtract exactly."""
    return sympy.collect(expand(exponent), sorted(exponent.atoms(Log), key=structural))


def _take(wanted: list[Expr], terms: list[Expr]) -> bool:
    """Take what is wanted from `terms`, of a larger number its part; whether all is there."""
    for one in wanted:
        if one in terms:
            terms.remove(one)
            continue
        number = next((t for t in terms if t.is_Number), S.Zero)
        if not (one.is_Number and one * number > 0 and abs(one) <= abs(number)):
            return False
        terms[terms.index(number)] = number - one
    return True


# -- poles


@dataclass(frozen=True)
class Missing:
    """What the terms at a pole lack for a limit: the numerator there."""

    at_limit: Expr


def _at_poles(expr: Expr) -> tuple[list[Piece], Expr]:
    flat = apart(expr)
    pieces: list[Piece] = []
    rest = flat
    for pole in poles_of(flat):
        found = _resolved(rest, pole)
        if found is not None and not isinstance(found, Missing):
            pieces += found[0]
            rest = found[1]
    return (pieces, rest) if pieces else ([], expr)


def _resolved(expr: Expr, pole: Pole) -> tuple[list[Piece], Expr] | Missing | None:
    """The terms at a pole as pieces, and all else; Missing where the pole stays; None where no
    exponential depends on its parameter."""
    c, at = pole.parameter, pole.at
    pieces: list[Piece] = []
    left: list[Expr] = []
    rest: list[Expr] = []
    for term in Add.make_args(expr):
        if not divides(pole, term):
            rest.append(term)
            continue
        numerator = term * pole.factor
        parts = _exponential(numerator)
        if parts is None:
            side = rest if _inside_functions(numerator, c) else left
            side.append(numerator if side is left else term)
            continue
        scale, exponent = parts
        limit = _limit(exponent, c, at)
        if limit is None or _inside_functions(scale, c):
            rest.append(term)
            continue
        kept = scale * (S.One if limit == 0 else Exp(limit))
        left.append(kept)
        if exponent != limit:
            pieces.append(Piece(kept / pole.factor, collected(expand(exponent - limit))))
    if not pieces:
        return None
    numerator = expand(Add(*left))
    table = {node: Dummy() for node in _outermost(numerator)}
    plain = numerator.xreplace(table)
    missing = expand(plain.xreplace({c: at}))
    back = {d: node for node, d in table.items()}
    if missing != 0:
        return Missing(missing.xreplace(back))
    quotient = expand(sympy.cancel(plain / pole.factor)).xreplace(back)
    return pieces, Add(*rest, quotient)


def _limit(exponent: Expr, parameter: Parameter, at: Rational) -> Expr | None:
    """The exponent where the parameter is `at`; None where it is no polynomial in it and in
    logarithms that are 0 there."""
    logs = [g for g in exponent.atoms(Log) if parameter in g.free_symbols]
    if any(g.args[0].has(Node) for g in logs):
        return None
    if any(expand(g.args[0].xreplace({parameter: at})) != 1 for g in logs):
        return None
    exponent = exponent.xreplace(dict.fromkeys(logs, S.Zero))
    if _inside_functions(exponent, parameter):
        return None
    limit = expand(exponent.xreplace({parameter: at}))
    return None if limit.has(S.ComplexInfinity, S.NaN) else limit


def _inside_functions(expr: Expr, parameter: Parameter) -> bool:
    return any(parameter in node.free_symbols for node in expr.atoms(Node))


def _outermost(expr: Expr) -> list[Expr]:
    """The functions in `expr` that stand in no other."""
    if isinstance(expr, Node):
        return [expr]
    return list(dict.fromkeys(node for arg in expr.args for node in _outermost(arg)))


def tanhs_beside_one(expr: Expr) -> list[Instance]:
    """tanh(x) as 2*sigmoid(2*x) - 1 where a sum in `expr` holds it and as much of 1: 1 + tanh(x) has
    no digits left where it is near 0."""
    row = RULES["tanh_sigmoid"]
    found: set[Expr] = set()
    for total in (expr, *expr.atoms(Add)):
        terms = set(Add.make_args(total))
        for term in terms:
            for tanh in (f for f in Mul.make_args(term) if isinstance(f, Tanh)):
                if {term / tanh, -term / tanh} & terms:
                    found.add(tanh)
    return [Instance(tanh, row.right(*tanh.args), tanh.args) for tanh in sorted(found, key=structural)]
