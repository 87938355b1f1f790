"""Expressions with the same sign: what growing functions leave of it.

exp(a) - exp(b) is positive where a - b is, tanh(a) where a is, log(n) - log(3) where n - 3 is.
"""

from __future__ import annotations

from math import lcm

from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.domains.whole import beside_constant, lattice
from midpo.symbolic.language.nodes import Exp, Log, Node, Step, StopGradient
from midpo.symbolic.language.signs import is_positive
from midpo.symbolic.language.words import BY_NODE
from midpo.symbolic.rewriting.rule import Parts, Rule

from .polynomial import expand


def same_sign(x: Expr) -> Expr | None:
    """A simpler expression with the sign of `x`, or None. For x = a - b with positive products a
    and b: log(a) - log(b) where one is of exponentials, and the difference of powers where one is
    of roots. For the logarithm x of a/b: a - b where that has more terms or is a whole number.
    For tanh(a), a, and so for what else keeps the sign of every number."""
    if isinstance(x, _keeping()):
        return x.args[0]
    if any(isinstance(term.as_coeff_Mul()[1], Log) for term in Add.make_args(x)):
        return _without_logs(x)
    if not isinstance(x, Add) or len(x.args) != 2:
        return None
    if beside_constant(x) is not None:
        return None  # a whole number against a number: no form is plainer
    above, below = sorted(x.args, key=is_positive, reverse=True)
    if not (is_positive(above) and is_positive(-below)):
        return None
    if x.has(Exp):
        return expand(
            Add(
                *(_log_of(f, 1) for f in Mul.make_args(above)),
                *(_log_of(f, -1) for f in Mul.make_args(-below)),
            )
        )
    root = lcm(
        *(
            int(e.q)
            for term in x.args
            for f in Mul.make_args(term)
            if isinstance(e := f.as_base_exp()[1], Rational)
        )
    )
    return expand(above**root - (-below) ** root) if root > 1 else None


def _without_logs(x: Expr) -> Expr | None:
    above: list[Expr] = []
    below: list[Expr] = []
    for term in Add.make_args(x):
        coefficient, factor = term.as_coeff_Mul()
        side = above if coefficient > 0 else below
        if isinstance(factor, Log) and isinstance(coefficient, Rational):
            if not is_positive(factor.args[0]):
                return None
            side.append(Pow(factor.args[0], abs(coefficient)))
        else:
            side.append(Exp(factor if abs(coefficient) == 1 else abs(coefficient) * factor))
    difference = expand(Mul(*above) - Mul(*below))
    whole = lattice(difference) is not None or beside_constant(difference) is not None
    more = len(Add.make_args(difference)) > 2 or whole
    return difference if more else None


def _log_of(factor: Expr, sign: int) -> Expr:
    base, exponent = factor.as_base_exp()
    if factor == 1:
        return S.Zero
    return sign * exponent * (base.args[0] if isinstance(base, Exp) else Log(base))


def _keeping() -> tuple[type[Node], ...]:
    """The functions that have the sign of their argument, whatever that is; of stopped gradients
    other rules speak."""
    return tuple(
        node
        for node, word in BY_NODE.items()
        if word.keeps_sign and word.domain == "real" and node is not StopGradient
    )


def plainer(x: Expr) -> Expr | None:
    """A simpler expression with the sign of `x` less its positive factors, or None."""
    factors = [f for f in Mul.make_args(x) if not is_positive(f)]
    if len(factors) == 2 and factors[0].is_Number:
        rest, sign = factors[1], S.NegativeOne
    elif len(factors) == 1:
        rest, sign = factors[0], S.One
    else:
        return None
    if not rest.has(Exp, Log, Pow, *_keeping()):
        return None
    found = same_sign(rest)
    return None if found is None else sign * found


def _find_sign(node: Step) -> Parts | None:
    found = plainer(node.args[0])
    return None if found is None else (node.args[0], found)


SIGNS: tuple[Rule, ...] = (
    Rule(
        "step_sign",
        "value",
        "step(exp(a) - exp(b)) = step(a - b), step(tanh(a)) = step(a)",
        "",
        "growing functions keep the order of numbers",
        (Step,),
        _find_sign,
        lambda x, same: Step(x),
        lambda x, same: Step(same),
        lambda x, same: plainer(x) == same,
    ),
)
