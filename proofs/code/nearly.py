"""Equal but for a factor, a constant, or guards: small constants that keep code from infinities."""

from __future__ import annotations

from fractions import Fraction

from sympy import Expr, Rational, S

from midpo.symbolic.errors import NoValue
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import Max, Min, Node
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text

from .answer import UpTo
from .claim import CodeClaim
from .deciding import derivation

GUARD = Rational(1, 20_000)  # constants below this keep a logarithm or a quotient finite
CEILING = 60  # constants beyond this in a maximum keep an exponential from overflow
TOP = 720  # denominators of factors that code may have


def up_to(spec: Spec, claim: CodeClaim, ratio: tuple[float, float] | None) -> UpTo | None:
    """How the code's losses are the targets' but for what an optimiser may not see; proved."""
    plain, guards = unguarded(claim)
    if guards and all(derivation(spec, a, b) is not None for a, b in zip(plain, claim.targets, strict=True)):
        return UpTo(guards=guards)
    if ratio is None:
        return None
    factor, constant = (_simple(x) for x in ratio)
    if factor is None or constant is None or (factor, constant) == (1, 0) or factor == 0:
        return None
    for sides, kept in ((claim.losses, ()), (plain, guards)):
        if kept or sides is claim.losses:
            pairs = zip(sides, claim.targets, strict=True)
            if all(derivation(spec, a, factor * b + constant) is not None for a, b in pairs):
                return UpTo(text(factor), text(constant), kept)
    return None


def unguarded(claim: CodeClaim) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
    """The losses with small constants read as 0, and these."""
    small = {n for e in claim.losses for n in e.atoms(Rational) if n != 0 and abs(n) < GUARD}
    small |= {
        a
        for e in claim.losses
        for m in e.atoms(Max, Min)
        for a in m.args
        if a.is_Rational and abs(a) > CEILING
    }
    if not small:
        return claim.losses, ()
    try:
        plain = tuple(_without(e, small) for e in claim.losses)
    except NoValue:
        return claim.losses, ()
    return plain, tuple(sorted(text(n) for n in small))


def _without(e: Expr, small: set[Rational]) -> Expr:
    """`e` with guards gone: of a maximum with one the other argument."""
    table: dict[Expr, Expr] = {}
    for node in e.atoms(Max, Min):
        left = [a for a in node.args if a not in small and -a not in small]
        if len(left) == 1 and len(node.args) == 2 and isinstance(left[0], (Node, Expr)):
            table[node] = left[0]
    tiny = {n: S.Zero for n in small if abs(n) < GUARD}
    return substitute(substitute(e, table), tiny)


def _simple(x: float) -> Rational | None:
    near = Fraction(x).limit_denominator(TOP)
    return Rational(near.numerator, near.denominator) if abs(float(near) - x) < 1e-9 * (1 + abs(x)) else None
