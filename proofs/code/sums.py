"""Sums of exponentials as unknowns: an identity in these holds for what they stand for.

Where a vocabulary is written out, what makes probabilities of exponentials is such a sum at each
position. It hides logarithms of probabilities; the exponential of a number of which nothing is
known, which every positive number is, leaves them as plain as at every size.
"""

from __future__ import annotations

from sympy import Add, Expr, Symbol

from midpo.numeric.code.places import UNKNOWN
from midpo.symbolic.language.nodes import Exp, Feature, Index, Log, structural


class ExponentialSums:
    """The sums met so far, each with an unknown of its own: one sum has one unknown everywhere."""

    def __init__(self) -> None:
        self.known: dict[Expr, Expr] = {}

    def hidden(self, *exprs: Expr) -> tuple[Expr, ...]:
        """`exprs` with each sum of exponentials as the exponential of its unknown."""
        found = {node for e in exprs for node in e.atoms(Add) if _is_of_exponentials(node)}
        for node in sorted(found - {*self.known}, key=structural):
            self.known[node] = Feature(Symbol(f"{UNKNOWN}log sum {len(self.known) + 1}"))
        table = {node: Exp(self.known[node]) for node in found}
        return tuple(e.xreplace(table) for e in exprs)

    def shown(self, expr: Expr) -> Expr:
        """`expr` with the logarithm of each sum in place of its unknown."""
        return expr.xreplace({unknown: Log(whole) for whole, unknown in self.known.items()})


def _is_of_exponentials(node: Expr) -> bool:
    """Whether it is such a sum, and one number: none at each value of an index."""
    one = not any(isinstance(s, Index) for s in node.free_symbols)
    return one and all(isinstance(term, Exp) for term in node.args)
