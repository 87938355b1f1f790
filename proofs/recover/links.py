"""Is a link an affine log-sigmoid one, -c*log sigmoid(a*m + b) + d with c > 0?

Proved by a derivation that the checker replays, or excluded by the slopes of the link: for a link
of that form -1/link' is a positive constant plus a positive multiple of exp(a*m).
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, S

from midpo.proofs.checking.check import CheckFailed, check
from midpo.symbolic.algebra.logistic import disguised
from midpo.symbolic.algebra.normal import form, normalise
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.algebra.splitting import CELL_FORM, meet
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.nodes import MARGIN, Exp, LogSigmoid
from midpo.symbolic.loss import is_constant
from midpo.symbolic.rewriting.derivation import Derivation
from midpo.symbolic.work import allowance


@dataclass(frozen=True)
class Affine:
    """link(m) = -factor*log sigmoid(slope*m + offset) + constant, factor > 0 and slope not 0."""

    factor: Expr
    slope: Expr
    offset: Expr
    constant: Expr

    @property
    def expression(self) -> Expr:
        return -self.factor * LogSigmoid(self.slope * MARGIN + self.offset) + self.constant


def affine_logistic(link: Expr) -> Affine | None:
    """The affine log-sigmoid form of `link`, an expression in m; None where none is proved."""
    for found in disguised(link):
        parts = linear(found.margin, MARGIN)
        if parts is None or parts[0] == 0:
            continue
        affine = Affine(found.factor, *parts, found.constant)
        if equal(link, affine.expression):
            return affine
    return None


def linear(expr: Expr, atom: Expr) -> tuple[Expr, Expr] | None:
    """The constants (c, d) with expr = c*atom + d; None where it is not so."""
    first, second = (form(expr.xreplace({atom: value})) for value in (S.One, S.Zero))
    slope = first - second
    seen = is_zero(expr - (slope * atom + second)) and is_constant(slope) and is_constant(second)
    return (form(slope), second) if seen else None


def equal(one: Expr, other: Expr) -> bool:
    """Whether a derivation that the checker replays shows the two equal, or their exponentials."""
    return _shown(one, other) or _shown(Exp(one), Exp(other))


def _shown(one: Expr, other: Expr) -> bool:
    try:
        with allowance(one, other):
            left, right = Derivation(one), Derivation(other)
            for chain in (left, right):
                normalise(chain, **CELL_FORM)
            if not meet(left, right):
                return False
            check(left.joined(right).without_detours(), one, other)
    except (TooLarge, NoValue, RecursionError, CheckFailed):
        return False
    return True
