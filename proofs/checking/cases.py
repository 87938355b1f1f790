"""Replays a proof by cells: on every cell the signs contradict each other or a chain is sound."""

from __future__ import annotations

from collections.abc import Callable

from sympy import Expr

from midpo.symbolic.algebra.cells import Empty, Fork, Leaf, Signs, Tree, assumed, contradicts, inside, on_cell
from midpo.symbolic.rewriting.derivation import Derivation

Check = Callable[[Derivation, Expr, Expr], object]


def holds_by_cells(old: Expr, new: Expr, tree: Tree, check: Check) -> bool:
    """Whether the tree shows old = new, apart from the zeros of its `ties`.

    `check` replays the chain of a leaf, and raises where it does not lead from one side to the
    other.
    """
    return _holds(*inside(old, new), tree, assumed(old, new), check)


def _holds(old: Expr, new: Expr, tree: Tree, signs: Signs, check: Check) -> bool:
    if isinstance(tree, Fork):
        above, below = (*signs, (tree.cut, True)), (*signs, (tree.cut, False))
        return _holds(old, new, tree.above, above, check) and _holds(old, new, tree.below, below, check)
    if isinstance(tree, Empty):
        return contradicts(signs, tree.terms)
    if isinstance(tree, Leaf):
        check(tree.chain, on_cell(old, signs)[0], on_cell(new, signs)[0])
        return True
    return False
