"""Where is an expression positive: everywhere, nowhere, or under which conditions?"""

from __future__ import annotations

from sympy import Expr, Mul

from midpo.proofs.recover.words import stated
from midpo.symbolic.domains.definite import definite
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.formula.told import told
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import Max, StopGradient
from midpo.symbolic.language.signs import is_nonnegative, is_positive


def _unsigned(one: Expr, other: Expr) -> Expr:
    """Of x and -x, the one that is written without a sign."""
    return other if one.could_extract_minus_sign() else one


def _is_definite(expr: Expr) -> bool:
    try:
        return definite(expr).positive
    except TooLarge:
        return False


def positive_where(expr: Expr) -> tuple[str, ...] | None:
    """The conditions under which `expr` is positive, as a reader would write them; none where it is
    so everywhere, None where it is nowhere."""
    expr = substitute(expr, {node: node.args[0] for node in expr.atoms(StopGradient)})
    if is_positive(expr) or _is_definite(expr):
        return ()
    if is_nonnegative(-expr):
        return None
    signed, conditions = [], []
    for factor in Mul.make_args(expr):
        base, exponent = factor.as_base_exp()
        if is_positive(factor):
            continue
        if exponent.is_Integer and exponent % 2 == 0:
            conditions.append(told("{} != 0", stated(base)))
        elif isinstance(base, Max) and len(base.args) == 2 and sum(base.args) == 0:
            conditions.append(told("{} != 0", stated(_unsigned(*base.args))))  # |x|
        elif is_nonnegative(factor) and is_nonnegative(base):
            conditions.append(told("{} > 0", stated(base)))
        else:
            signed.append(base if exponent.is_Integer and not factor.is_Number else factor)
    if signed:
        conditions.insert(0, told("{} > 0", stated(Mul(*signed))))
    return tuple(dict.fromkeys(conditions))
