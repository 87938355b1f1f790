"""Is this expression f(y_w) - g(y_l) in disguise? Candidates for the two functions.

Where m(w, l) = f(w) - g(l) for all pairs, m(w, l) = m(w, c) + m(c, l) - m(c, c) for any fixed
response c. So the margin with the data of one response held at constants gives the only functions
that there can be, up to a constant. What is found here are candidates: a derivation proves them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Add, Expr, Integer, S, Symbol

from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, Feature, Further, Length, Log, TokenSum, roles
from midpo.symbolic.loss import is_constant

from .normal import form
from .shapes import one_formula, shapes

ONE_ROLE = ({CHOSEN}, {REJECTED})


def pair_data(expr: Expr) -> bool:
    """Whether `expr` speaks of a pair feature, which is no function of one response."""
    return any(len(feature.args) == 1 for feature in expr.atoms(Feature))


def is_separated(margin: Expr) -> bool:
    """Whether every term of `margin` speaks of one response, or of nothing but parameters."""
    return all(
        is_constant(term) or (roles(term) in ONE_ROLE and not pair_data(term))
        for term in Add.make_args(margin)
    )


def separations(margin: Expr) -> Iterator[Expr]:
    """Separated expressions, to one of which `margin` is equal if it is to any that is found."""
    seen = set()
    for found in (*(s for s in shapes(margin) if is_separated(s)), *_held(margin)):
        if found not in seen:
            seen.add(found)
            yield found


def _held(margin: Expr) -> Iterator[Expr]:
    """m(w, c) + m(c, l) - m(c, c), for some constants c."""
    if pair_data(margin) or margin.atoms(Further):
        return
    for unit in (S.Zero, -Log(Integer(2))):
        try:
            whole = form(margin, keep_stopped=False, field=True)
            chosen, rejected = (_constants(whole, role, unit) for role in (CHOSEN, REJECTED))
            sides = (
                substitute(whole, rejected),
                substitute(whole, chosen),
                -substitute(whole, chosen | rejected),
            )
            found = form(Add(*map(one_formula, sides)))
        except (TooLarge, NoValue, RecursionError):
            continue
        if is_separated(found):
            yield found
        found = form(Add(*sides), keep_stopped=False)
        if is_separated(found):
            yield found


def _constants(margin: Expr, role: Symbol, unit: Expr) -> dict[Expr, Expr]:
    """Constants for the data of `role`: multiples of `unit` for sums over its tokens, else 1."""
    atoms = sorted(_data(margin, role), key=str)
    sums = [atom for atom in atoms if isinstance(atom, TokenSum)]
    return {a: unit * (1 + sums.index(a)) if isinstance(a, TokenSum) else S.One for a in atoms}


def _data(expr: Expr, role: Symbol) -> set[Expr]:
    """The lengths, features and sums over tokens of `role` alone, the largest of them."""
    if role not in expr.free_symbols:
        return set()
    if isinstance(expr, (TokenSum, Length, Feature)) and roles(expr) == {role}:
        return {expr}
    return set().union(*(_data(arg, role) for arg in expr.args))
