"""What two expressions share, as unknowns: an identity in these holds for what they stand for.

The gradient of a loss is a function of the margin times much that is plain; a margin that is
written out hides it. The arguments of such functions, which are often equal, become numbers of
which nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable

from sympy import Expr, Symbol

from midpo.numeric.code.places import UNKNOWN
from midpo.symbolic.algebra.cells import ties_of
from midpo.symbolic.language.nodes import BINDERS, Feature, LogSigmoid, Relu, Sigmoid, Step, Tanh, structural
from midpo.symbolic.rewriting.derivation import Derivation

Derive = Callable[[Expr, Expr], Derivation | None]
Nonzero = Callable[[Expr], bool]
Known = dict[frozenset[frozenset[Expr]], bool]  # whether two are equal, and then their negatives
FUNCTIONS = (Sigmoid, LogSigmoid, Tanh, Step, Relu)
LARGE = 12  # operations of an argument that is worth hiding
MOST = 12  # arguments of two expressions


class Sharing:
    """Arguments that are equal, or each other's negative, found once for many pairs of
    expressions: `known` is what is known of such, a value's for its gradient too."""

    def __init__(self, derive: Derive, nonzero: Nonzero, known: Known | None = None) -> None:
        self.derive, self.nonzero = derive, nonzero
        self.known: Known = {} if known is None else known

    def __call__(self, one: Expr, other: Expr) -> tuple[Expr, Expr] | None:
        """Both with large arguments of functions as unknowns; None where there are none."""
        nodes = sorted(_outer(one) | _outer(other), key=structural)
        if not nodes or len(nodes) > MOST:
            return None
        known: list[tuple[Expr, Expr]] = []
        table: dict[Expr, Expr] = {}
        for node in nodes:
            argument = node.args[0]
            for first, unknown in known:
                if self.equal(argument, first) or self.equal(argument, -first):
                    sign = 1 if self.equal(argument, first) else -1
                    table[node] = node.func(sign * unknown)
                    break
            else:
                known.append((argument, Feature(Symbol(f"{UNKNOWN}shared {len(known) + 1}"))))
                table[node] = node.func(known[-1][1])
        return one.xreplace(table), other.xreplace(table)

    def equal(self, a: Expr, b: Expr) -> bool:
        """Whether a derivation without exceptions shows it."""
        if a == b:
            return True
        key = frozenset({frozenset({a, b}), frozenset({-a, -b})})
        if key not in self.known:
            found = None if self.nonzero(a - b) else self.derive(a, b)
            self.known[key] = found is not None and not ties_of(found)
        return self.known[key]


def _outer(e: Expr) -> set[Expr]:
    """The outermost functions of large arguments that depend on no index which a sum around them
    binds."""
    found: set[Expr] = set()
    seen: set[tuple[Expr, frozenset[Expr]]] = set()

    def walk(node: Expr, bound: frozenset[Expr]) -> None:
        if (node, bound) in seen:
            return
        seen.add((node, bound))
        free = bound.isdisjoint(node.free_symbols)
        if isinstance(node, FUNCTIONS) and free and node.args[0].count_ops() >= LARGE:
            found.add(node)
            return
        under = bound | {node.args[1]} if isinstance(node, BINDERS) else bound
        for part in node.args:
            walk(part, under)

    walk(e, frozenset())
    return found
