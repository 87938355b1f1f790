"""Results that classes and audits cite by number, and what each says, for a reader of a report.

Numbers are those of `solve` and `audit` (docs/theorems.md, docs/audit.md). A report has theorems of
its own, so that there these are called results.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sympy import Expr

from midpo.symbolic.formula import terms
from midpo.symbolic.formula.told import Citation, Told, theorem, told
from midpo.symbolic.formula.tree import Fence, Formula, between, call, leaf, row, script
from midpo.symbolic.formula.write import POLICY_SIGN, ZETA, name, response, write
from midpo.symbolic.language.nodes import CHOSEN, POLICY, REJECTED, RESPONSE, Prob


@dataclass(frozen=True)
class Known:
    """How a result is known: `proved` is how the document writes that word where it means a chain
    that was replayed."""

    derived: bool
    words: str

    def text(self, proved: str) -> str:
        return f"{proved if self.derived else 'proved'}{self.words}"


_DERIVED = Known(True, r": derived and replayed by the checker (\texttt{midpo derive})")
_PAPER = Known(False, r" on paper (\texttt{docs/audit.md}); each use is checked by computation")
_Y, _CHOSEN, _REJECTED = map(response, (RESPONSE, CHOSEN, REJECTED))
_ALPHA = name("alpha")
_REWARD = row(_ALPHA, r"\log", Fence("(", row(POLICY_SIGN, "/", ZETA), ")"))


_TERM = row("T", between("[", POLICY_SIGN, "]", ""))


def _at(chosen: str, rejected: str) -> Formula:
    return call(terms.MARGIN, row(*chosen), row(*rejected))


def _slope(variable: str) -> Formula:
    return row(r"\partial ", "L", "/", r"\partial ", variable)


def _share(role: Expr) -> Formula:
    return row(_ALPHA, r"\log", write(Prob(POLICY, role)))


def _table() -> dict[str, tuple[Told, Known]]:
    """Number -> what the result says, and how it is known."""
    with_facts = replace(_DERIVED, words=f"{_DERIVED.words}; with cited facts")
    exp_f = script("e", above="f")
    exp_a = Fence("(", row(1, " - ", script("e", above=row("-", "A"))), ")")
    cross = row(_at("w", "l"), " - ", _at("w", "l'"), " - ", _at("w'", "l"), " + ", _at("w'", "l'"))
    affine = row("-", r"\log", r"\sigma", Fence("(", row("a", terms.MARGIN, " + ", "b"), ")"))
    slopes = row(r"\log", Fence("|", row(_slope("a"), " ", r"\,", "/", r"\, ", _slope("b")), "|"))
    curl = row("P", Fence("(", row("M", " - ", script("M", above=r"\mathsf{T}")), ")"), "P")
    psi = row("-", r"\log", Fence("(", row(script("e", above="L"), " - ", 1), ")"))
    return {
        "1": (told("A positive loss {} is {} of the margin of some prior if and only if {} is a "
                   "function of {} less a function of {}.",
                   leaf("L"), row("-", r"\log", r"\sigma"), psi, _CHOSEN, _REJECTED), _DERIVED),
        "2": (told("A margin is a function of {} less a function of {} if and only if {} vanishes "
                   "for all responses.", _CHOSEN, _REJECTED, cross), _DERIVED),
        "3": (told("One function serves both roles if and only if the margin changes sign when the "
                   "pair is swapped."), _DERIVED),
        "4": (told("Every margin of the form of {} has a prior, unique up to one factor free of "
                   "{}; the scale {} is not determined by the margin.", theorem("2"), _Y, _ALPHA),
              _DERIVED),
        "5": (told("The prior is free of the policy if and only if the margin less {} is.",
                   row(_share(CHOSEN), " - ", _share(REJECTED))), _DERIVED),
        "6": (told("A link is that of the generalised loss only if it is {}, {}.", affine,
                   row("a", " > ", 0)), with_facts),
        "7": (told("A term {} beside the link leaves the prior form unless {} is constant, {} "
                   "being the part of {} in the margin.",
                   call("A", _CHOSEN), row(exp_a, exp_f), leaf("f"), _CHOSEN), _DERIVED),
        "8": (told("A loss is a smooth function of one margin of the form of {} only if {} is a "
                   "sum of a function of {} and one of {}.", theorem("2"), slopes, _CHOSEN,
                   _REJECTED),
              _DERIVED),
        "2.1": (told("Where a prior depends on the policy, the stationary points of the "
                     "regularised problem have {}, {} being the derivative of the prior's "
                     "logarithm by the policy, averaged over it. The usual {} holds there if and "
                     "only if {} is constant in {}.",
                     row("r", " = ", _REWARD, " - ", _ALPHA, r"\,", _TERM, " + ", "c"), _TERM,
                     row("r", " = ", _REWARD, " + ", "c"), _TERM, _Y), _PAPER),
        "2.4": (told("Fixed points of solving the regularised problem with the prior frozen, then "
                     "refreshing the prior, are the policies with {}.",
                     row("r", " = ", _REWARD, " + ", "c")), _PAPER),
        "2.5": (told("Where each token's share of {} has mean 0 under a law {}, some fixed points "
                     "are greedy for a value: their next-token law is proportional to {}.",
                     row(r"\log", Fence("(", row(POLICY_SIGN, "/", ZETA), ")")), leaf("q"),
                     row("q", r"\,", script("e", above=row("V", "/", _ALPHA)))), _PAPER),
        "2.6": (told("The implicit reward {} belongs to some regulariser if and only if it is a "
                     "gradient: its Jacobian {} in {} has {}, where {} takes off constants.",
                     _REWARD, leaf("M"), POLICY_SIGN, row(curl, " = ", 0), leaf("P")), _PAPER),
        "2.7": (told("With a constant offset in the margin, one function serves both roles if and "
                     "only if the comparisons of each prompt are levelled: a rank rises by one "
                     "along each."), _PAPER),
    }


RESULTS = _table()


def results(cited: Iterable[str]) -> list[tuple[str, Told, Known]]:
    """The results of these numbers: number, statement, standing; those that they cite too."""
    found, new = set[str](), set(cited)
    while new - found:
        found |= new
        new = {n for number in found for part in RESULTS[number][0].parts
               if isinstance(part, Citation) for n in part.numbers}
    return [(number, *RESULTS[number]) for number in RESULTS if number in found]
