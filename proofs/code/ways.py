"""The ways in which two expressions are shown to be equal, each by derivations that are replayed."""

from __future__ import annotations

from dataclasses import dataclass, field

from sympy import Expr

from midpo.numeric.code.layout import Layout
from midpo.proofs.recover.conditions import everywhere
from midpo.symbolic.algebra.cells import ties_of
from midpo.symbolic.language.nodes import structural
from midpo.symbolic.language.words import piecewise
from midpo.symbolic.rewriting.derivation import Derivation

from .deciding import SECONDS, derivation
from .sharing import Known, Nonzero, Sharing
from .sums import ExponentialSums

SMALL_SECONDS = 6.0  # at concrete sizes there are many pairs of expressions to prove


@dataclass(frozen=True)
class Equated:
    """That two expressions are equal: in so many steps, but at what is `left_out`, in words."""

    steps: int
    left_out: tuple[str, ...]


@dataclass
class Met:
    """What was found on the way, over all layouts of one function."""

    known: Known = field(default_factory=dict)  # what arguments of functions are equal
    sums: ExponentialSums = field(default_factory=ExponentialSums)
    last: str = ""  # the way that led to the last proof: the next is likely to go it too


class Ways:
    """Proofs at one layout; `nonzero` says of what is smooth whether it is not 0 at some case."""

    def __init__(self, layout: Layout, nonzero: Nonzero, met: Met) -> None:
        self.layout, self.met = layout, met
        self.nonzero: Nonzero = lambda e: nonzero(met.sums.shown(e))
        self.sharing = Sharing(self.derive, self.nonzero, met.known)

    def __call__(self, one: Expr, other: Expr) -> Equated | None:
        """None where none of the ways leads there."""
        # Where positions are written out, so are margins: what is shared is hidden first.
        names = ("by_sums", "by_sharing", "plainly") if self.layout.bounded else ("plainly", "by_sharing")
        for name in sorted(names, key=lambda name: name != self.met.last):
            found: Equated | None = getattr(self, name)(one, other)
            if found is not None:
                self.met.last = name
                return found
        return None

    def plainly(self, one: Expr, other: Expr) -> Equated | None:
        return self._judged(self.derive(one, other))

    def by_sharing(self, one: Expr, other: Expr) -> Equated | None:
        """Large arguments of functions are unknowns."""
        shared = self.sharing(one, other)
        return None if shared is None else self._without_ties(self.derive(*shared))

    def by_sums(self, one: Expr, other: Expr) -> Equated | None:
        """Sums of exponentials are unknowns; then large arguments of functions too."""
        first, second = self.met.sums.hidden(one, other)
        if (first, second) == (one, other):
            return None
        return self.plainly(first, second) or self.by_sharing(first, second)

    def derive(self, one: Expr, other: Expr) -> Derivation | None:
        seconds = SMALL_SECONDS if self.layout.bounded else SECONDS
        return derivation(self.layout.whole, one, other, self.nonzero, seconds)

    def _judged(self, found: Derivation | None) -> Equated | None:
        """What is left out is told as it is of the data: what sums stand for, which are smooth."""
        if found is None:
            return None
        cuts = {cut: self.met.sums.shown(cut) for cut in ties_of(found)}
        for cut, real in cuts.items():
            if real != cut and (real.has(*piecewise()) or not self.nonzero(cut)):
                return None
        told = (everywhere(cut, "!= 0") for cut in sorted(cuts.values(), key=structural))
        return Equated(len(found.steps), tuple(told))

    def _without_ties(self, found: Derivation | None) -> Equated | None:
        """Ties of unknowns are none of data."""
        return None if found is None or ties_of(found) else Equated(len(found.steps), ())
