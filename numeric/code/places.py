"""Positions, labels and directions as symbols: what lifted code speaks of beside a spec's words."""

from __future__ import annotations

from typing import Any, Final
from zlib import crc32

from sympy import Expr, Symbol

from midpo.symbolic.domains.intervals import NONNEGATIVE, REAL
from midpo.symbolic.language.nodes import Datum, Feature, Further, Index, Length, Parameter, TokenSum

T = Index("t", position=True)
V = Index("v", position=False)
VOCABULARY = Parameter("V", "positive")
LABEL = Symbol("label")  # label(y, t): the token's number in the vocabulary
IS = Symbol("is")  # is(v, label): 1 where the vocabulary entry is the label, else 0
SHIFT = "shift_"  # shift_pi(y, t): what logits have beside log-probabilities
LOGIT = "logit_"  # logit_pi(y, t, v), where the vocabulary has a concrete size
DIRECTION = Symbol("d")  # the direction in which the policy moves
UPSTREAM = "upstream"  # what a loss is multiplied by before it is differentiated
UNKNOWN = "unknown: "
POSITION = Feature(Datum("position", NONNEGATIVE))  # of an axis of any length, from 0 on
UNIT: Final = 1  # in place of a response: a single position


class Padding(Further):
    """The positions of a row that are padding; there may be none."""

    __slots__ = ()


def opaque(e: Expr) -> Expr:
    """`e` with nothing known of padding, which may be empty: its length is at least 0, a sum over
    it any number. What is proved of the one holds of the other."""
    table: dict[Expr, Expr] = {}
    for node in e.atoms(TokenSum, Length):
        response = node.args[-1]
        if isinstance(response, Padding):
            domain = NONNEGATIVE if isinstance(node, Length) else REAL
            table[node] = Feature(Datum(f"over {response}: {node}", domain))
    return e.xreplace(table) if table else e


def unknown(why: str, *at: Expr) -> Expr:
    """A number of which nothing is known, for each value of the indices: what is proved holds for
    every one."""
    return Feature(Symbol(UNKNOWN + why), *at)


def unknowns(e: Expr) -> list[str]:
    """Why parts of an entry are not known."""
    return sorted(
        {str(f.args[0])[len(UNKNOWN) :] for f in e.atoms(Feature) if str(f.args[0]).startswith(UNKNOWN)}
    )


def stand_in(name: str, *at: int) -> float:
    """What an unknown is where a number is needed: any will do, as the answer may not depend on
    it."""
    return (crc32(name.encode()) + 7 * sum(at)) % 23 / 8 - 1.25


def is_label(e: Any) -> bool:
    return isinstance(e, Feature) and e.args[0] == LABEL
