"""Logarithms of products and of whole numbers: how RULES finds their parts."""

from __future__ import annotations

from sympy import Add, Expr, Mul, Pow, Rational, S
from sympy.ntheory import primerange

from midpo.symbolic.language.nodes import Log
from midpo.symbolic.language.signs import is_positive

from .rule import Parts


def factors(node: Expr) -> list[tuple[Expr, Expr]]:
    return [f.args if isinstance(f, Pow) else (f, S.One) for f in Mul.make_args(node)]


def find_log_product(node: Log) -> Parts | None:
    (arg,) = node.args
    if not isinstance(arg, (Mul, Pow)):
        return None
    known = [(b, e) for b, e in factors(arg) if is_positive(b)]
    other = Mul(*(Pow(b, e) for b, e in factors(arg) if not is_positive(b)))
    if not known or (len(known) == 1 and known[0][1] == 1 and other == 1):
        return None
    return (tuple(known), other)


def log_product_left(known: tuple[tuple[Expr, Expr], ...], other: Expr) -> Expr:
    return Log(Mul(other, *(Pow(b, e) for b, e in known)))


def log_product_right(known: tuple[tuple[Expr, Expr], ...], other: Expr) -> Expr:
    rest = S.Zero if other == 1 else Log(other)
    return Add(rest, *(e * Log(b) for b, e in known))


def factorised(number: int) -> dict[int, int]:
    """The prime factors of `number` below a bound, and what is left as one more."""
    found: dict[int, int] = {}
    for prime in primerange(2, 4096):
        while number % prime == 0:
            found[prime] = found.get(prime, 0) + 1
            number //= prime
    return found if number == 1 else {**found, number: 1}


def find_log_number(node: Log) -> Parts | None:
    (arg,) = node.args
    if not isinstance(arg, Rational) or arg <= 0:
        return None
    primes = {**factorised(int(arg.p)), **{p: -k for p, k in factorised(int(arg.q)).items()}}
    if list(primes.values()) == [1]:
        return None
    return (tuple(sorted(primes.items())),)
