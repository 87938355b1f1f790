"""Is a loss a log-sigmoid one in disguise, -factor*log sigmoid(m) + constant?

Then exp(loss/factor) is k*(1 + exp(-m)) with a constant k: a constant and one more term. The
factor is the coefficient of the logarithms that are no constants. What is found here are
candidates: a derivation proves them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Add, Expr, Mul, S

from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.nodes import Exp, Log
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.loss import LogisticForm, is_constant
from midpo.symbolic.work import allowance, bounds

from .normal import form
from .polynomial import expand
from .shapes import cancelled, one_formula


def disguised(loss: Expr) -> Iterator[LogisticForm]:
    """The log-sigmoid losses that `loss` may be, in value."""
    try:
        with allowance(loss, units=bounds(loss).units // 4):
            coefficients = _coefficients(one_formula(loss))
            logs = [c for data, c in coefficients.items() if isinstance(data, Log)]
            found = [_with_factor(coefficients, c) for c in dict.fromkeys(logs) if not is_nonnegative(-c)]
    except (TooLarge, NoValue, RecursionError):
        return
    yield from (form_ for form_ in found if form_ is not None)


def _coefficients(loss: Expr) -> dict[Expr, Expr]:
    """The constant by which each product of what is no constant is multiplied."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(loss):
        factors = Mul.make_args(term)
        data = Mul(*(f for f in factors if not is_constant(f)))
        scale = Mul(*(f for f in factors if is_constant(f)))
        found[data] = found.get(data, S.Zero) + scale
    return found


def _with_factor(coefficients: dict[Expr, Expr], factor: Expr) -> LogisticForm | None:
    divided = Add(*(data * cancelled(c / factor) for data, c in coefficients.items()))
    whole = cancelled(form(Exp(expand(divided)), keep_stopped=False, field=True))
    terms = Add.make_args(whole)
    share = Add(*(term for term in terms if is_constant(term)))
    rest = Add(*(term for term in terms if not is_constant(term)))
    if share == 0 or rest == 0 or not is_positive(share):
        return None
    margin = form(-Log(cancelled(expand(rest / share))), keep_stopped=False)
    return LogisticForm(factor, margin, form(factor * Log(share), keep_stopped=False))
