"""The shape of a prior: a product over tokens of powers of laws, and what of it depends on what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sympy import Add, Expr, Mul, S

from midpo.symbolic.language.nodes import (
    RESPONSE,
    Divergence,
    Entropy,
    Feature,
    Length,
    Log,
    Prob,
    TokenProb,
    TokenSum,
)
from midpo.symbolic.loss import is_constant

from .calculus import gathered, sequence_form
from .side import PriorSide


@dataclass
class Shape:
    """log zeta = sum over t of exponents[rho] * log rho(y, t) + laws + growth * len(y) + shift."""

    exponents: dict[Any, Expr] = field(default_factory=dict)
    laws: list[tuple[Expr, Expr]] = field(default_factory=list)  # weight, divergence or entropy
    growth: Expr = S.Zero
    bounded: list[Expr] = field(default_factory=list)  # scores of responses
    shift: Expr = S.Zero  # free of y, a logarithm

    @property
    def weights(self) -> Expr:
        return sequence_form(Add(*self.exponents.values()))


def shape_of(side: PriorSide) -> Shape | None:
    """The shape of log zeta, or None where it has another."""
    if side.log is None:
        return None
    shape = Shape()
    for term in Add.make_args(gathered(side.log)):
        if is_constant(term):
            shape.shift += term
            continue
        factor, rest = term.as_independent(TokenSum)
        if isinstance(rest, TokenSum):
            if not _token(shape, factor, rest):
                return None
            continue
        plain = term / Length(RESPONSE)
        if is_constant(plain):
            shape.growth += plain
        elif (
            not term.has(Prob, Log, Length)
            and all(len(f.args) == 2 for f in term.atoms(Feature))
            and term.atoms(Feature)
        ):
            shape.bounded.append(term)
        else:
            return None
    shape.exponents = {p: e for p, e in ((p, sequence_form(e)) for p, e in shape.exponents.items()) if e != 0}
    return shape


def _token(shape: Shape, factor: Expr, total: TokenSum) -> bool:
    for term in Add.make_args(total.args[0]):
        factors = Mul.make_args(term)
        special = [f for f in factors if f.has(TokenProb, Divergence, Entropy)]
        if len(special) != 1:
            return False
        weight = factor * term / special[0]
        (node,) = special
        if isinstance(node, Log) and isinstance(node.args[0], TokenProb):
            policy = node.args[0].args[0]
            shape.exponents[policy] = shape.exponents.get(policy, S.Zero) + weight
        elif isinstance(node, (Divergence, Entropy)):
            shape.laws.append((weight, node))
        else:
            return False
    return True
