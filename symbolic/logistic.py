"""Is a loss a log-sigmoid one in disguise, -factor*log sigmoid(m) + constant?

Then exp(loss/factor) is k*(1 + exp(-m)) with a constant k: a constant and one more term. The
factor is the coefficient of the logarithms that are no constants. What is found here are
candidates: a derivation proves them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Add, Expr, Mul

from .errors import NoValue, TooLarge
from .language import Exp, Log, is_nonnegative, is_positive
from .loss import LogisticForm, is_constant
from .normal import form
from .polynomial import expand
from .shapes import cancelled, one_formula


def disguised(loss: Expr) -> Iterator[LogisticForm]:
    """The log-sigmoid losses that `loss` may be, in value."""
    try:
        shape = one_formula(loss)
        for factor in _coefficients(shape):
            found = _with_factor(shape, factor)
            if found is not None:
                yield found
    except (TooLarge, NoValue, RecursionError):
        return


def _coefficients(loss: Expr) -> list[Expr]:
    """The constants that multiply logarithms of what is no constant, less those at most 0."""
    found: dict[Expr, None] = {}
    for term in Add.make_args(loss):
        factors = Mul.make_args(term)
        data = [f for f in factors if not is_constant(f)]
        scale = Mul(*(f for f in factors if is_constant(f)))
        if len(data) == 1 and isinstance(data[0], Log):
            found[scale] = None
    return [c for c in found if not is_nonnegative(-c)]


def _with_factor(loss: Expr, factor: Expr) -> LogisticForm | None:
    whole = cancelled(form(Exp(expand(loss / factor)), keep_stopped=False, field=True))
    terms = Add.make_args(whole)
    share = Add(*(term for term in terms if is_constant(term)))
    rest = Add(*(term for term in terms if not is_constant(term)))
    if share == 0 or rest == 0 or not is_positive(share):
        return None
    margin = form(-Log(cancelled(expand(rest / share))), keep_stopped=False)
    return LogisticForm(factor, margin, form(factor * Log(share), keep_stopped=False))
