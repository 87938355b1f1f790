"""What two expressions share, as one unknown: an identity in it holds for the function too.

The gradients of a loss are a function of the margin times much that is plain; written out, the
margin hides it.
"""

from __future__ import annotations

from collections.abc import Callable

from sympy import Expr, Symbol

from midpo.numeric.code.places import UNKNOWN
from midpo.symbolic.algebra.cells import ties_of
from midpo.symbolic.language.nodes import BINDERS, Feature, Sigmoid, structural
from midpo.symbolic.rewriting.derivation import Derivation

Derive = Callable[[Expr, Expr], Derivation | None]
Nonzero = Callable[[Expr], bool]
LARGE = 12  # operations of an argument that is worth hiding
MOST = 4  # functions of one expression


class Sharing:
    """Sigmoids of equal arguments, found once for many pairs of expressions. `chains` show the
    arguments equal."""

    def __init__(self, derive: Derive, nonzero: Nonzero) -> None:
        self.derive, self.nonzero = derive, nonzero
        self.chains: dict[tuple[Expr, Expr], Derivation | None] = {}

    def __call__(self, one: Expr, other: Expr) -> tuple[Expr, Expr] | None:
        """Both with each sigmoid that they share as an unknown; None where they share none."""
        mine, theirs = _outer(one), _outer(other)
        if not mine or not theirs or max(len(mine), len(theirs)) > MOST:
            return None
        here: dict[Expr, Expr] = {}
        there: dict[Expr, Expr] = {}
        for number, node in enumerate(mine):
            unknown = Feature(Symbol(f"{UNKNOWN}shared {number + 1}"))
            for match in theirs:
                if match in there:
                    continue
                a, b = node.args[0], match.args[0]
                if self.equal(a, b):
                    here[node], there[match] = unknown, unknown
                elif self.equal(a, -b):
                    here[node], there[match] = unknown, 1 - unknown
        if len(here) < len(mine) or len(there) < len(theirs):
            return None
        return one.xreplace(here), other.xreplace(there)

    def equal(self, a: Expr, b: Expr) -> bool:
        """Whether a derivation without exceptions shows it."""
        if a == b:
            return True
        if (a, b) not in self.chains:
            found = None if self.nonzero(a - b) else self.derive(a, b)
            self.chains[a, b] = None if found is None or ties_of(found) else found
        return self.chains[a, b] is not None


def _outer(e: Expr) -> list[Expr]:
    """The outermost sigmoids with much in them, outside of sums that bind an index."""
    found: dict[Expr, None] = {}

    def walk(node: Expr) -> None:
        if isinstance(node, Sigmoid) and node.args[0].count_ops() >= LARGE:
            found[node] = None
        elif not isinstance(node, BINDERS):
            for part in node.args:
                walk(part)

    walk(e)
    inside = any(n.has(Sigmoid) for b in e.atoms(*BINDERS) for n in (b,) if n not in found)
    return [] if inside else sorted(found, key=structural)
