"""What is off: a refuted recovery in one sentence."""

from __future__ import annotations

from collections import defaultdict

from sympy import Add, Expr, Mul, S

from midpo.proofs.recover.words import stated
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.formula.told import Hole, Told, joined, told
from midpo.symbolic.language.nodes import REJECTED
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import is_constant
from midpo.symbolic.representable import fold


def diagnose(target: Expr, recovered: Expr, here: str = "With this prior", there: str = "the target") -> str:
    """One sentence: which terms of the target the other side gets wrong, and how.

    Both are in normal form, and margins say most. Speaks of the chosen side (the rejected side
    mirrors it) and, where that is right, of whatever terms differ. `here` and `there` are what the
    recovered side and the target are called.
    """
    wanted, found = _coefficients(target), _coefficients(recovered)
    wrong = [
        atom
        for atom in sorted({*wanted, *found}, key=lambda a: (REJECTED in a.free_symbols, text(a)))
        if not is_zero(wanted.get(atom, S.Zero) - found.get(atom, S.Zero))
    ]
    chosen = [a for a in wrong if REJECTED not in a.free_symbols] or wrong
    clauses: list[Hole] = [_clause(a, wanted.get(a, S.Zero), found.get(a, S.Zero), there) for a in chosen[:3]]
    more = len(chosen) - len(clauses)
    if more:
        clauses.append(f"{more} more term{'s differ' if more > 1 else ' differs'}")
    return told("{}, {}.", here, joined("; ", clauses))


def _coefficients(margin: Expr) -> dict[Expr, Expr]:
    """The coefficient (numbers and parameters) of each product of data atoms."""
    terms: dict[Expr, list[Expr]] = defaultdict(list)
    for term in Add.make_args(fold(margin)):
        data = [f for f in Mul.make_args(term) if not is_constant(f)]
        terms[Mul(*data)].append(Mul(*(f for f in Mul.make_args(term) if is_constant(f))))
    return {atom: Add(*coefficients) for atom, coefficients in terms.items()}


def _clause(atom: Expr, wanted: Expr, found: Expr, there: str) -> Told:
    """How the coefficient `found` of `atom` differs from the one that is `wanted`."""
    constant = atom == 1
    name: Hole = "the constant" if constant else stated(atom)
    coefficient = "{}" if constant else "coefficient {}"
    want, have = told(coefficient, stated(wanted)), told(coefficient, stated(found))
    if found == 0:
        return told("{} is missing ({} has {}{})", name, there, "it with " if not constant else "", want)
    if wanted == 0:
        return told("{} {} {} ({} has none)", name, "is" if constant else "appears with", have, there)
    if is_zero(wanted + found):
        return told("{} has the wrong sign ({}, in {} {})", name, have, there, stated(wanted))
    factor = found / wanted
    if factor.is_Number:
        return told("{} counts {} times ({}, in {} {})", name, stated(factor), have, there, stated(wanted))
    return told("{} {} {} (in {} {})", name, "is" if constant else "has", have, there, stated(wanted))
