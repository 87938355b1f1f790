"""A derivation from one expression to another, replayed by the checker."""

from __future__ import annotations

from sympy import Expr

from midpo.numeric.code.places import opaque
from midpo.proofs.checking.check import CheckFailed, check
from midpo.proofs.recover.conditions import LeavesOutTooMuch, judge, tie_conditions
from midpo.proofs.recover.problem import FORMS, Form
from midpo.symbolic.algebra.normal import normalise, sums_kept
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.algebra.splitting import CELL_FORM, meet
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.nodes import TokenSum
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.rewriting.derivation import Derivation
from midpo.symbolic.work import allowance, bounds

TOO_MUCH = (TooLarge, NoValue, RecursionError)


def derivation(spec: Spec, one: Expr, other: Expr) -> Derivation | None:
    """A checked chain from `one` to `other`; None where none is found. What it leaves out (the
    zeros of cuts) is a null set of the data of nearly every pair. Padding may be empty: nothing is
    known of it."""
    if one == other:
        return Derivation(one)
    one, other = opaque(one), opaque(other)
    for form in (*FORMS, CELL_FORM):
        try:
            # Each form has what a question of this size may take: cells, three times that.
            units = bounds(one, other).units * (2 if form is CELL_FORM else 1)
            with allowance(one, other, units=units, anew=True):
                found = _joined(one, other, form)
                if found is None and form is CELL_FORM and one.has(TokenSum):
                    with sums_kept():
                        found = _joined(one, other, form)
            if found is None:
                continue
            whole = found.without_detours()
            with allowance(one, other, anew=True):
                check(whole, one, other, {})
            judge(spec, whole)
            return whole
        except (CheckFailed, LeavesOutTooMuch, KeyError, *TOO_MUCH):
            continue
    return None


def _joined(one: Expr, other: Expr, form: Form) -> Derivation | None:
    chain, last = Derivation(one), Derivation(other)
    normalise(chain, **form)
    normalise(last, **form)
    if is_zero(chain.end - last.end):
        chain.arithmetic(last.end)
        return chain.joined(last)
    if form is CELL_FORM and meet(chain, last):
        return chain.joined(last)
    return None


def ties(found: Derivation) -> tuple[str, ...]:
    """What the derivation leaves out, in words."""
    return tie_conditions(found)
