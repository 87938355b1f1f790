"""What is divided by, and is 0 at a value of a parameter."""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from sympy import Add, Expr, Mul, Pow, Rational, S

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import Node, Parameter, structural


@dataclass(frozen=True)
class Pole:
    """A factor of denominators, linear in `parameter`, that is 0 where it is `at`."""

    factor: Expr
    parameter: Parameter
    at: Rational


def poles_of(expr: Expr) -> list[Pole]:
    """The poles that terms of a sum divide by, once each."""
    found = set()
    for term in Add.make_args(expr):
        for factor in Mul.make_args(term):
            if isinstance(factor, Pow) and factor.exp == -1:
                pole = _pole(factor.base)
                if pole is not None:
                    found.add(pole)
    return sorted(found, key=lambda pole: structural(pole.factor))


def _pole(factor: Expr) -> Pole | None:
    parameters = factor.free_symbols
    if len(parameters) != 1 or factor.has(Node):
        return None
    (parameter,) = parameters
    if not isinstance(parameter, Parameter):
        return None
    slope = factor.diff(parameter) if isinstance(factor, Add) else S.One
    if not isinstance(slope, Rational) or (factor != parameter and not isinstance(factor, Add)):
        return None
    return Pole(factor, parameter, -factor.xreplace({parameter: S.Zero}) / slope)


def divides(pole: Pole, term: Expr) -> bool:
    return any(f == 1 / pole.factor for f in Mul.make_args(term))


def apart(expr: Expr) -> Expr:
    """The sum expanded, a product of poles of one parameter as a sum of them."""
    terms = []
    for term in Add.make_args(expand(expr)):
        found = poles_of(term)
        for parameter in sorted({p.parameter for p in found}, key=structural):
            own = [p for p in found if p.parameter == parameter]
            if len(own) > 1:
                below = Mul(*(1 / p.factor for p in own))
                term = expand(term / below * sympy.apart(sympy.together(below), parameter))
                break
        terms.append(term)
    return Add(*terms)
