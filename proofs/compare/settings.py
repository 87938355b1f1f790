"""Special values: names fixed at numbers or at other names, frozen policies at the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sympy import Expr, Rational, S, Symbol, nan, zoo

from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.errors import NoValue
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import REFERENCE, Feature, Further, Parameter
from midpo.symbolic.language.places import Names

VALUES = (S.Zero, S.One, Rational(1, 2))  # that parameters are tried at
MASKS = (S.One, S.Zero)  # that features are tried at


@dataclass(frozen=True)
class Setting:
    """`name` = `value`, where `value` is a number, a parameter or a policy; `limit` says that the
    number is no value of the parameter's domain, so that the equality holds in the limit only."""

    name: str
    value: str
    limit: bool = False

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


Option = tuple[Setting, Expr]


def inside(parameter: Parameter) -> Iterator[Option]:
    """The values of its domain that a parameter is tried at."""
    for value in VALUES:
        if value in parameter.domain:
            yield Setting(parameter.name, str(value)), value


def limits(parameter: Parameter) -> Iterator[Option]:
    """The ends of its domain that are no values of it."""
    for end, closed in parameter.domain.end_values:
        if not closed:
            yield Setting(parameter.name, str(end), True), Rational(end)


def masks(feature: str, domain: Interval) -> Iterator[Option]:
    """The values of its domain that a feature is tried at."""
    for value in MASKS:
        if value not in domain:
            continue
        yield Setting(feature, str(value)), value


def frozen(policy: str) -> Option:
    """A frozen policy at the reference."""
    return Setting(policy, "pi_ref"), REFERENCE


def insert(expr: Expr | None, names: Names, fixed: Mapping[str, Expr]) -> Expr | None:
    """`expr` with these names fixed, a feature at a plain symbol being renamed; NaN where it has no
    value then, None where it is None."""
    if expr is None:
        return None
    table: dict[Expr, Expr] = {
        node: _feature(node, fixed[node.args[0].name])
        for node in expr.atoms(Feature)
        if node.args[0].name in fixed
    }
    for name, value in fixed.items():
        if name in names.parameters:
            table[names.parameters[name]] = value
        elif name in names.policies:
            table[Symbol(name)] = value
        elif name in map(str, names.responses):
            table[Further(name)] = value
    try:
        found = substitute(expr, table)
    except NoValue:
        return S.NaN
    return S.NaN if found.has(zoo, nan) else found


def _feature(node: Feature, value: Expr) -> Expr:
    if isinstance(value, Symbol) and not isinstance(value, Parameter):
        return node.func(value, *node.args[1:])
    return value
