"""A lifted function beside the spec: losses, and slopes, as pairs of expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from sympy import Add, Expr, Integer, Rational, S

from midpo.numeric.code.heads import is_direction
from midpo.numeric.code.layout import Layout, instantiate
from midpo.numeric.code.places import UPSTREAM
from midpo.numeric.code.tangent import tangent
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import Feature, Max, Min, Parameter, Sorted, structural
from midpo.symbolic.loss import kernel_loss
from midpo.symbolic.work import allowance

Reduction = Literal["mean", "sum", "each"]


@dataclass(frozen=True)
class CodeClaim:
    """That the code's `losses` are the `targets`, one by one."""

    layout: Layout
    losses: tuple[Expr, ...]
    targets: tuple[Expr, ...]
    reduction: Reduction

    def slope(self, leaf: str, seeds: Sequence[Expr]) -> Expr:
        """The derivative of the targets' sum weighted by seeds. Raises: NotYet."""
        size = self.layout.vocabulary
        return Add(*(s * tangent(t, leaf, size) for s, t in zip(seeds, self.targets, strict=True)))


def claim(
    layout: Layout, losses: tuple[Expr, ...], reduction: Reduction, fixed: Mapping[str, Fraction]
) -> CodeClaim:
    """The claim for a batch of the layout: of each pair's loss, or of their mean or sum.

    Raises: SpecError where the spec has no loss of a pair; TooLarge where it orders more pairs than
    two.
    """
    loss = held(layout, kernel_loss(layout.spec), fixed)
    found = [
        instantiate(of_pair(layout, loss, k), layout) if layout.bounded else of_pair(layout, loss, k)
        for k in range(layout.pairs)
    ]
    if reduction != "each":
        whole = Add(*found)
        found = [whole / layout.pairs if reduction == "mean" else whole]
    return CodeClaim(layout, losses, tuple(found), reduction)


def by_direction(one: Expr, other: Expr) -> list[tuple[Expr, Expr]]:
    """Two slopes at concrete positions as their coefficients of each component of the direction, in
    which both are linear: they are equal when all these are."""
    parts = sorted(
        {d for e in (one, other) for d in e.atoms(Feature) if is_direction(d.args[0])}, key=structural
    )
    found = []
    for part in parts:
        table = {d: S.One if d == part else S.Zero for d in parts}
        found.append((one.xreplace(table), other.xreplace(table)))
    return found or [(one, other)]


def by_renaming(layout: Layout, one: Expr, whole: Expr, reduction: Reduction) -> bool:
    """Whether `whole`, of a batch, is the mean (or sum) over its pairs of `one`, that of one pair:
    what was proved of `one` then holds of it."""
    if reduction == "each" or layout.bounded:
        return False
    scale = Integer(1) / layout.pairs if reduction == "mean" else Integer(1)
    up = Parameter(UPSTREAM, "real")  # of a derivative, the scale is the seed's
    if up in one.free_symbols:
        one, scale = one.xreplace({up: scale * up}), Integer(1)
    parts = Add(*(layout.row_of(one, k) for k in range(layout.pairs)))
    try:
        with allowance(one, whole):
            return bool(whole == scale * parts) or is_zero(whole - scale * parts)
    except (TooLarge, NoValue):
        return False


def held(layout: Layout, expr: Expr, fixed: Mapping[str, Fraction]) -> Expr:
    """An expression at the parameters that no argument takes."""
    names = layout.spec.names.parameters
    table: dict[Expr, Expr] = {names[n]: Rational(v.numerator, v.denominator) for n, v in fixed.items()}
    return substitute(expr, table) if table else expr


def of_pair(layout: Layout, loss: Expr, pair: int) -> Expr:
    """The loss of one pair, or at one place of a batch that is ordered."""
    if not loss.has(Sorted):
        return layout.of(loss, pair)
    if layout.pairs > 2:
        raise TooLarge("an order of more than two pairs")

    placed: dict[Expr, Expr] = {}
    for node in loss.atoms(Sorted):
        values = [layout.of(node.args[0], k) for k in range(layout.pairs)]
        at = Min(*values) if pair == 0 else Max(*values)
        placed[layout.of(node, pair)] = at if len(values) > 1 else values[0]
    return substitute(layout.of(loss, pair), placed)
