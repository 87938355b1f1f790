"""Rows of RULES for exponentials, and logarithms and roots of polynomials in them.

Exponents are taken apart into monomials, so that exponentials are generators with rational powers;
arguments of logarithms and roots are factored, so that each irreducible factor is one generator.
"""

from __future__ import annotations

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.algebra.factor import factors
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.building import power
from midpo.symbolic.language.nodes import Abs, Exp, Log, LogSigmoid, Sigmoid
from midpo.symbolic.language.signs import is_positive

from .rule import Parts, Rule


def _find_exp_split(node: Exp) -> Parts | None:
    terms = [term.as_coeff_Mul() for term in Add.make_args(node.args[0])]
    if len(terms) == 1 and terms[0][0] == 1:
        return None
    return node.args[0], tuple((c, m) for c, m in terms if c != 0)


def _split_holds(arg: Expr, terms: tuple[tuple[Expr, Expr], ...]) -> bool:
    total = Add(*(c * m for c, m in terms))
    return all(isinstance(c, Rational) for c, _ in terms) and (arg == total or equal_in_field(arg, total))


def _find_exp_power(node: Pow) -> Parts | None:
    base, exponent = node.args
    if not isinstance(base, Exp) or isinstance(exponent, Rational):
        return None
    return base.args[0], exponent


def _find_log_factor(node: Log) -> Parts | None:
    (arg,) = node.args
    found = factors(arg)
    if not found:
        return None
    known = tuple((b, e) for b, e in found if is_positive(b) and b != 1)
    unknown = tuple((b, e) for b, e in found if not is_positive(b))
    if len(unknown) == 2 and unknown[0] == (S.NegativeOne, S.One):  # the sign, and one factor
        base, exponent = unknown[1]
        if exponent % 2:
            unknown = ((expand(-base), exponent),)
    alone = len(unknown) == 1 and unknown[0][1] % 2 and unknown[0][0] != -1
    single = unknown if alone else ()
    other = S.One if alone else Mul(*(Pow(b, e) for b, e in unknown))
    if not known and (not single or single[0] == (arg, 1)):
        return None
    if len(known) == 1 and not single and other == 1 and known[0] == (arg, S.One):
        return None
    return arg, known, single, other


def _log_factor_right(arg: Expr, known: Parts, single: Parts, other: Expr) -> Expr:
    rest = S.Zero if other == 1 else Log(other)
    return Add(rest, *(e * Log(b) for b, e in (*known, *single)))


def _log_factor_holds(arg: Expr, known: Parts, single: Parts, other: Expr) -> bool:
    """All but one factor positive; the one has an odd power, hence the sign of the argument."""
    odd = len(single) <= 1 and all(e.is_Integer and e % 2 for _, e in single)
    alone = not single or other == 1
    product = Mul(other, *(Pow(b, e) for b, e in (*known, *single)))
    return odd and alone and all(is_positive(b) for b, _ in known) and equal_in_field(arg, product)


def _find_log_square(node: Log) -> Parts | None:
    (arg,) = node.args
    even = tuple((b, e) for b, e in factors(arg)[1:] if e.is_Integer and e % 2 == 0 and not is_positive(b))
    if not even:
        return None
    return arg, even, Mul(*(Pow(b, e) for b, e in factors(arg) if (b, e) not in even))


def _log_square_right(arg: Expr, even: Parts, other: Expr) -> Expr:
    rest = S.Zero if other == 1 else Log(other)
    return Add(rest, *(e * Log(Abs(b)) for b, e in even))


def _log_square_holds(arg: Expr, even: Parts, other: Expr) -> bool:
    product = Mul(other, *(Pow(b, e) for b, e in even))
    return all(e.is_Integer and e % 2 == 0 for _, e in even) and equal_in_field(arg, product)


def _find_root(node: Pow) -> Parts | None:
    base, exponent = node.args
    if not isinstance(exponent, Rational) or exponent.is_Integer or isinstance(base, Rational):
        return None
    found = factors(base)
    if not found:
        return None
    known = tuple((b, e) for b, e in found if is_positive(b) and b != 1)
    even = tuple((b, e) for b, e in found if not is_positive(b) and e % 2 == 0)
    other = Mul(*(Pow(b, e) for b, e in found if not is_positive(b) and e % 2))
    if not (known or even) or (known == ((base, S.One),)):
        return None
    return base, exponent, known, even, expand(other)


def _root_right(base: Expr, exponent: Expr, known: Parts, even: Parts, other: Expr) -> Expr:
    outside = [power(b, e * exponent) for b, e in known]
    outside += [power(Abs(b), e * exponent) for b, e in even]
    return Mul(power(other, exponent), *outside)


def _root_holds(base: Expr, exponent: Expr, known: Parts, even: Parts, other: Expr) -> bool:
    product = Mul(other, *(Pow(b, e) for b, e in (*known, *even)))
    return (
        all(is_positive(b) for b, _ in known)
        and all(e % 2 == 0 for _, e in even)
        and equal_in_field(base, product)
    )


FIELD: tuple[Rule, ...] = (
    Rule(
        "sigmoid_exp",
        "field",
        "sigmoid(x) = 1/(1 + exp(-x))",
        "",
        "definition of the logistic function",
        (Sigmoid,),
        lambda node: tuple(node.args),
        lambda x: Sigmoid(x),
        lambda x: 1 / (1 + Exp(-x)),
    ),
    Rule(
        "logsigmoid_log",
        "field",
        "logsigmoid(x) = -log(1 + exp(-x))",
        "",
        "definition of log-sigmoid",
        (LogSigmoid,),
        lambda node: tuple(node.args),
        lambda x: LogSigmoid(x),
        lambda x: -Log(1 + Exp(-x)),
    ),
    Rule(
        "exp_power",
        "field",
        "exp(a)**b = exp(a*b)",
        "",
        "power of an exponential",
        (Pow,),
        _find_exp_power,
        lambda a, b: Pow(Exp(a), b),
        lambda a, b: Exp(a * b),
    ),
    Rule(
        "exp_split",
        "field",
        "exp(j*a + k*b) = exp(a)**j*exp(b)**k",
        "j, k rational",
        "exponential of a sum",
        (Exp,),
        _find_exp_split,
        lambda arg, terms: Exp(arg),
        lambda arg, terms: Mul(*(Pow(Exp(m), c) for c, m in terms)),
        _split_holds,
    ),
    Rule(
        "log_factor",
        "field",
        "log(a) = j*log(f) + k*log(g) + log(h)",
        "a = f**j*g**k*h; all factors but one positive",
        "factor the argument; the logarithm of a product is the sum of logarithms",
        (Log,),
        _find_log_factor,
        lambda arg, *rest: Log(arg),
        _log_factor_right,
        _log_factor_holds,
    ),
    Rule(
        "log_square",
        "field",
        "log(f**(2*k)*h) = 2*k*log(abs(f)) + log(h)",
        "k whole",
        "an even power does not see the sign",
        (Log,),
        _find_log_square,
        lambda arg, *rest: Log(arg),
        _log_square_right,
        _log_square_holds,
    ),
    Rule(
        "root_factor",
        "field",
        "a**r = f**(j*r)*abs(g)**(2*k*r)*h**r",
        "a = f**j*g**(2*k)*h; f > 0",
        "take factors of known sign out of the root",
        (Pow,),
        _find_root,
        lambda base, exponent, *rest: Pow(base, exponent),
        _root_right,
        _root_holds,
    ),
)
