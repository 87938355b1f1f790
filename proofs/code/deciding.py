"""A derivation from one expression to another, replayed by the checker."""

from __future__ import annotations

import time
from collections.abc import Callable

from sympy import Expr

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.code.places import opaque
from midpo.proofs.checking.check import CheckFailed, check
from midpo.proofs.recover.conditions import LeavesOutTooMuch, judge
from midpo.proofs.recover.problem import FORMS, Form
from midpo.symbolic.algebra.cells import ties_of
from midpo.symbolic.algebra.normal import normalise, sums_kept
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.algebra.splitting import CELL_FORM, meet
from midpo.symbolic.ending import OutOfTime, ends_after
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.nodes import Divergence, Entropy, TokenSum
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.words import piecewise
from midpo.symbolic.rewriting.derivation import Derivation
from midpo.symbolic.work import allowance, bounds

Nonzero = Callable[[Expr], bool]
TOO_MUCH = (TooLarge, NoValue, RecursionError)
SECONDS = 15.0  # that all forms may take: what SymPy does in them is not counted as work


def derivation(
    spec: Spec, one: Expr, other: Expr, nonzero: Nonzero = lambda cut: False, seconds: float = SECONDS
) -> Derivation | None:
    """A checked chain from `one` to `other`; None where none is found. What it leaves out (the
    zeros of cuts) is a null set of the data of nearly every pair. Padding may be empty: nothing is
    known of it. `nonzero` says of what is smooth whether it is not 0 at some case: then its zeros
    are a null set. All forms together may take so many `seconds` of work."""
    if one == other:
        return Derivation(one)
    one, other = opaque(one), opaque(other)
    end = time.process_time() + seconds
    plain, written_out, field = FORMS
    forms = [plain, written_out, field, CELL_FORM]
    if not (one.has(Divergence, Entropy) or other.has(Divergence, Entropy)):
        forms.remove(written_out)  # which writes out nothing
    while forms:
        form = forms.pop(0)
        try:
            # Each form has what a question of this size may take: cells, three times that.
            units = bounds(one, other).units
            if form is field and (one.has(*piecewise()) or other.has(*piecewise())):
                units //= 30  # of maxima and steps, cells decide sooner than rules
            units *= 2 if form is CELL_FORM else 1
            with ends_after(max(0.05, end - time.process_time()), working=True):
                whole = _checked(one, other, form, units)
            if whole is None:
                continue
            if not _leaves_out_little(spec, whole, nonzero):
                continue
            return whole
        except (CheckFailed, OutOfTime, *TOO_MUCH):
            if form is plain:  # what has many terms is sooner taken apart than expanded
                forms.sort(key=lambda later: later is not CELL_FORM)
    return None


def _checked(one: Expr, other: Expr, form: Form, units: int) -> Derivation | None:
    """A chain by way of one form, replayed. Raises: CheckFailed, TooLarge, NoValue."""
    with allowance(one, other, units=units, anew=True):
        found = _joined(one, other, form)
        if found is None and form is CELL_FORM and one.has(TokenSum):
            with sums_kept():
                found = _joined(one, other, form)
    if found is None:
        return None
    whole = found.without_detours()
    with allowance(one, other, anew=True):
        check(whole, one, other, {})
    return whole


def _leaves_out_little(spec: Spec, found: Derivation, nonzero: Nonzero) -> bool:
    """Whether the zeros of each cut that is left out are a null set."""
    try:
        judge(spec, found)
        return True
    except LeavesOutTooMuch:
        return False
    except (KeyError, Undefined):  # cuts that speak of single positions
        return all(not cut.has(*piecewise()) and nonzero(cut) for cut in ties_of(found))


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
