"""Does the prior depend on the label, and what must the comparisons satisfy then?

Theorem 3: the margin plus that of the swapped pair vanishes iff one function serves both roles. A
constant sum is an offset, which a single function gives only on levelled comparisons; else the two
roles have different functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sympy import Expr, S

from midpo.numeric.figures import below
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.words import ODDS, OFFSET_ODDS, compared
from midpo.proofs.audit.words import shown as stated
from midpo.proofs.recover.levels import Preference, one_function, violating_cycle
from midpo.proofs.recover.solved import Solution
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.terms import MARGIN
from midpo.symbolic.formula.told import Displayed, known, proved, theorem, told, undecided
from midpo.symbolic.formula.tree import JOINED, THIN, Fence, Upright, call, row, script
from midpo.symbolic.formula.write import response, write
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, Exp, Parameter, Sigmoid
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import is_constant, recovered_margin
from midpo.symbolic.representable import fold


def swap_sum(spec: Spec) -> Expr:
    """The margin of a pair plus that of the swapped pair, in normal form. Raises: TooLarge."""
    margin = recovered_margin(spec)
    swapped = substitute(margin, {CHOSEN: REJECTED, REJECTED: CHOSEN})
    total = normal_form(margin + swapped, written_out=True)
    return S.Zero if is_zero(total) else total


# Comparisons of one prompt, by what they are called: chosen before rejected.
EXAMPLES = {
    "a chain a > b > c": ("ab", "bc"),
    "a triangle a > b > c, a > c": ("ab", "bc", "ac"),
    "a contradiction a > b, b > a": ("ab", "ba"),
    "two pairs a > b, a > c": ("ab", "ac"),
}


def answers(spec: Spec, total: Expr | None, pairs: Sequence[Preference] | None) -> Iterator[Claim]:
    """Every answer about labels; `total` is the swap sum, None where it is not known."""
    question = "one function or two"
    if total is None:
        yield Claim(
            question,
            "undecided",
            "the margin and its swap have no normal form within bounds",
            undecided("too large"),
        )
        return
    if total == 0:
        yield Claim(
            question,
            "label-free",
            "one function serves both roles, on any data",
            proved("the margin changes sign with the pair ({})", theorem("3")),
        )
    elif is_constant(total):
        yield from _offset(spec, total)
    else:
        shown = fold(total)
        yield Claim(
            question,
            "two functions",
            "the roles have different functions: on comparisons one "
            "serves both only if the offsets sum to zero around every cycle",
            proved("the margin plus its swap is not constant ({})", theorem("3")),
            (_swapped(shown),),
        )
    if pairs is not None:
        solution = Solution(spec, "label-dependent", "", prior=spec.prior, swap_sum=total)
        levels = one_function(solution, pairs)
        yield Claim(
            "on the data",
            "one function" if levels.exists else "no single function",
            levels.sentence(),
            known(Standing.COMPUTED, f"{levels.comparisons} comparisons"),
            data=levels.as_json(),
        )


def _offset(spec: Spec, total: Expr) -> Iterator[Claim]:
    gamma = normal_form(-total / 2)
    cycles = {
        name: not violating_cycle([Preference("x", *edge) for edge in edges], constant=True)
        for name, edges in EXAMPLES.items()
    }
    possible = [name for name, fits in cycles.items() if fits]
    not_possible = [name for name, fits in cycles.items() if not fits]
    offset = stated(gamma)
    shown = str(offset)
    yield Claim(
        "one function or two",
        "constant offset",
        told(
            "one function up to the constant offset {}: a single function exists iff each "
            "prompt's comparisons are levelled, with a rank that rises by one along every "
            "comparison. Levelled: {}; not: {}",
            offset,
            ", ".join(possible),
            ", ".join(not_possible),
        ),
        proved(
            "the margin plus its swap is the constant ({}); the examples: {}",
            theorem("3", "2.7"),
            Standing.COMPUTED,
        ),
        (_swapped(normal_form(total)),),
        {"offset": shown, "levelled": cycles},
    )
    seen, error = tie_identity()
    half = write(gamma) if gamma.is_Atom else Fence("(", write(gamma), ")")
    formula = Displayed(
        row(
            call("P", Upright("tie")),
            " = ",
            Fence("(", row(script("e", above=row(2, JOINED, half)), " - ", 1), ")"),
            THIN,
            call(r"\sigma", row("d", " - ", half)),
            THIN,
            call(r"\sigma", row("-", "d", " - ", half)),
        )
    )
    yield Claim(
        "probabilities",
        "Rao-Kupper",
        told(
            "with the labels as inputs the two probabilities sum to less than one where {}: a "
            "model with ties (Rao and Kupper), d the difference of the two responses' scores",
            compared(offset, ">", 0),
        ),
        told(
            "{}; the error is {} at 100 random points",
            proved("an identity of rational functions of {} and {}", ODDS, OFFSET_ODDS)
            if seen
            else undecided(),
            below(error, 1e-12),
        ),
        (formula,),
        {"error": error},
    )


def _swapped(total: Expr) -> Displayed:
    """The margin plus that of the swapped pair."""
    chosen, rejected = response(CHOSEN), response(REJECTED)
    both = row(call(MARGIN, chosen, rejected), " + ", call(MARGIN, rejected, chosen))
    return Displayed(row(both, " = ", write(total)))


def tie_identity() -> tuple[bool, float]:
    """Whether 1 - sigmoid(d - g) - sigmoid(-d - g) = (exp(2 g) - 1) sigmoid(d - g) sigmoid(-d - g):
    in normal form, and its largest error in float64 at random points."""
    d, g = Parameter("d"), Parameter("g")
    left = 1 - Sigmoid(d - g) - Sigmoid(-d - g)
    right = (Exp(2 * g) - 1) * Sigmoid(d - g) * Sigmoid(-d - g)
    try:
        known = is_zero(normal_form(left - right, field=True))
    except MidpoError:
        known = False
    points = np.random.default_rng(0).normal(size=(2, 100))

    def sigmoid(x: object) -> object:
        return 1 / (1 + np.exp(-np.asarray(x)))

    x, y = points[0], np.abs(points[1])
    one, two = np.asarray(sigmoid(x - y)), np.asarray(sigmoid(-x - y))
    error = float(np.abs(1 - one - two - (np.exp(2 * y) - 1) * one * two).max())
    return known, error
