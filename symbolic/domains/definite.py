"""The sign of a polynomial in one number over all that the number may be.

n**2 - n + 1 is positive at every length n, beta**2 - beta + 1 at every real beta, and
p**2 - p*q + q**2 at all positive p and q: what an enclosure by terms does not see. Roots are
counted (Sturm), so that the answer is exact. log(exp(a) + b) - a is positive where b is.
"""

from __future__ import annotations

from fractions import Fraction

from sympy import Add, Dummy, Expr, Integer, Mul, Poly, Rational

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import Exp, Index, Length, Log, TokenSum
from midpo.symbolic.language.signs import enclosure
from midpo.symbolic.language.words import BY_NODE

from .intervals import NONNEGATIVE, POSITIVE, REAL, Interval, point, repeated_sum

MAX_DEGREE, MAX_TERMS = 12, 40
MAX_WHOLE = 400  # whole numbers that are tried one by one
_MAX_BRANCHES = 4
_TOKEN = Index("each token", position=True)


def definite(expr: Expr, depth: int = 3) -> Interval:
    """The enclosure of `expr`, narrowed to a sign where `expr` is a polynomial of one sign, a sum
    over the tokens, or has such a sign on each of so many branches, one in another."""
    held = enclosure(expr)
    if held.positive or held.negative or held == point(Fraction(0)):
        return held
    held = _over_tokens(expr) or _by_branches(expr, depth) or _by_shares(expr) or held
    if held.positive or held.negative:
        return held
    found = one_number(expr)
    if found is None:
        return held
    poly, domain, whole = found
    sign = _sign(poly, domain, whole)
    if sign == 0:
        return held
    signed = POSITIVE if sign > 0 else -POSITIVE
    return signed if poly.degree() > 0 else held


def _over_tokens(expr: Expr) -> Interval | None:
    """The enclosure of a + b*len(y) + sums over the tokens of y, taken as one sum: of what each
    token brings."""
    rest, each, responses = [], [], set()
    for term in Add.make_args(expr):
        number, factor = term.as_coeff_Mul()
        if isinstance(factor, Length):
            each.append(number)
            responses.add(factor.args[0])
        elif isinstance(factor, TokenSum):
            body, index, response = factor.args
            each.append(number * body.xreplace({index: _TOKEN}))
            responses.add(response)
        else:
            rest.append(term)
    if len(responses) != 1 or len(each) < 2:
        return None
    return enclosure(Add(*rest)) + repeated_sum(enclosure(Add(*each)))


def _by_branches(expr: Expr, depth: int) -> Interval | None:
    """POSITIVE where `expr` with a maximum, minimum or absolute value as a term is so by the signs
    of its branches: max(a, b) + c is where a + c or b + c is, min(a, b) + c where both are."""
    for term in Add.make_args(expr) if isinstance(expr, Add) and depth else ():
        number, node = term.as_coeff_Mul()
        word = BY_NODE.get(type(node))
        if word is None or word.pieces is None or not word.picks:
            continue
        branches = word.pieces(*node.args)
        if len(branches) > _MAX_BRANCHES:
            return None
        largest = (word.picks < 0) != bool(number > 0)
        rest = expr - term
        found = (definite(rest + number * b, depth - 1).positive for b in branches)
        return POSITIVE if (any(found) if largest else all(found)) else None
    return None


def _by_shares(expr: Expr) -> Interval | None:
    """POSITIVE where `expr` is k*(log(c*exp(a) + more) - b) with c >= 1, a >= b and more > 0."""
    for term in Add.make_args(expr) if isinstance(expr, Add) else ():
        scale, node = term.as_coeff_Mul()
        if not isinstance(node, Log) or scale < 0:
            continue
        parts = Add.make_args(node.args[0])
        if len(parts) < 2 or not all(enclosure(part).positive for part in parts):
            continue
        rest = (expr - term) / scale
        for part in parts:
            number, power = part.as_coeff_Mul()
            if number >= 1 and isinstance(power, Exp) and enclosure(expand(power.args[0] + rest)).nonnegative:
                return POSITIVE
    return None


def one_number(expr: Expr) -> tuple[Poly, Interval, bool] | None:
    """A polynomial with the sign of `expr`, what its number may be, and whether that is whole; None
    where `expr` is no polynomial in one number with rational coefficients, nor one in two
    numbers, one of them positive, with all terms of one degree: it is one in their quotient."""
    terms: list[tuple[Rational, dict[Expr, int]]] = []
    bases: dict[Expr, None] = {}
    if len(Add.make_args(expr)) > MAX_TERMS:
        return None
    for term in Add.make_args(expr):
        number, powers = Integer(1), {}
        for factor in Mul.make_args(term):
            if isinstance(factor, Rational):
                number = factor
                continue
            base, exponent = factor.as_base_exp()
            if not isinstance(exponent, Integer) or not 0 < exponent <= MAX_DEGREE:
                return None
            powers[base] = int(exponent)
            bases[base] = None
        terms.append((number, powers))
    if not 1 <= len(bases) <= 2:
        return None
    first, *others = sorted(bases, key=lambda b: enclosure(b).positive)
    if others:
        degrees = {sum(powers.values()) for _, powers in terms}
        if len(degrees) > 1 or not enclosure(others[0]).positive:
            return None
        held = enclosure(first)
        domain = next((d for d in (POSITIVE, NONNEGATIVE) if held.within(d)), REAL)
        whole = False
    else:
        domain, whole = enclosure(first), isinstance(first, Length)
    x = Dummy("x")
    coefficients = {(powers.get(first, 0),): number for number, powers in terms}
    if len(coefficients) < len(terms):
        return None
    return Poly.from_dict(coefficients, x, domain="QQ"), domain, whole


def _sign(poly: Poly, domain: Interval, whole: bool) -> int:
    """1 or -1 where the polynomial is of that sign all over the domain, else 0."""
    if whole:
        return _sign_at_lengths(poly)
    for end, closed in domain.end_values:
        while not closed and poly.eval(Rational(end.numerator, end.denominator)) == 0:
            # x - end keeps its sign inside.
            poly = poly.quo(Poly([1, -Rational(end.numerator, end.denominator)], poly.gen))
            if end == domain.upper:
                poly = -poly
            if poly.degree() <= 0:
                break
    low, high = (
        Rational(b.numerator, b.denominator) if isinstance(b, Fraction) else None
        for b in (domain.lower, domain.upper)
    )
    if poly.degree() > 0 and poly.count_roots(low, high):
        return 0
    inside = domain.spread((Fraction(0),), (Fraction(1),), (Fraction(1, 2),), ends=False)[0]
    return 1 if poly.eval(Rational(inside.numerator, inside.denominator)) > 0 else -1


def _sign_at_lengths(poly: Poly) -> int:
    """Of a polynomial in a whole number from 1: tried up to a bound on its roots."""
    leading = poly.LC()
    bound = 1 + max(abs(c / leading) for c in poly.all_coeffs())
    if bound > MAX_WHOLE:
        return 0
    signs = {poly.eval(n) > 0 for n in range(1, int(bound) + 2)}
    zero = any(poly.eval(n) == 0 for n in range(1, int(bound) + 2))
    return 0 if zero or len(signs) > 1 else 1 if signs.pop() else -1


__all__ = ["NONNEGATIVE", "REAL", "definite", "one_number"]
