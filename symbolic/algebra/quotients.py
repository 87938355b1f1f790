"""One form for quotients under exponentials and sums: remainders over a common denominator.

Atoms such as exp(a/(a + b)) and exp(b/(a + b)) are not independent: their product is e. With all
arguments over one denominator and numerators reduced by it, their terms are linearly independent,
so that every relation between the atoms shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Any

import sympy
from sympy import Add, Dummy, Expr, Mul, Pow

from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import power
from midpo.symbolic.language.nodes import Exp, TokenSum, VocabSum, structural
from midpo.symbolic.rewriting.derivation import Derivation, Instance
from midpo.symbolic.rewriting.rule import CELLS
from midpo.symbolic.rewriting.rules import RULES
from midpo.symbolic.work import spend

from .cells import Leaf
from .polynomial import Exponent, Polynomial, denominators, expand, expression, multiply, polynomial, rational

_HEADS = (Exp, TokenSum, VocabSum)
MAX_TERMS = 60  # of a numerator or a common denominator

Terms = tuple[tuple[Expr, Expr], ...]


def quotient_form(left: Derivation, right: Derivation) -> bool:
    """Write the arguments of exponentials, and the bodies of sums, that are quotients in one form
    on both sides; whether anything changed. Raises: TooLarge."""
    groups: dict[Any, set[Expr]] = defaultdict(set)
    for node in left.end.atoms(*_HEADS) | right.end.atoms(*_HEADS):
        groups[type(node), node.args[1:]].add(node)
    table: dict[str, list[Instance]] = {"exp_split": [], CELLS: []}
    for nodes in groups.values():
        listed = sorted(nodes, key=structural)
        if not any(denominators(polynomial(node.args[0])) for node in listed):
            continue
        for node, terms in zip(listed, _terms([n.args[0] for n in listed]), strict=True):
            rule, instance = _instance(node, terms)
            if instance.old != instance.new:
                table[rule].append(instance)
    changed = [chain.replace(rule, found) for chain in (left, right) for rule, found in table.items()]
    return any(changed)


def _instance(node: Expr, terms: Terms) -> tuple[str, Instance]:
    body = node.args[0]
    if isinstance(node, Exp):
        return "exp_split", Instance(node, RULES["exp_split"].right(body, terms), (body, terms))
    new = Add(*(c * m for c, m in terms))
    inner = Derivation(body)
    inner.arithmetic(new)
    return CELLS, Instance(node, node.func(new, *node.args[1:]), (Leaf(inner),))


def _terms(exprs: Sequence[Expr]) -> list[Terms]:
    """Each of `exprs` as a rational combination of terms that are independent over all of them."""
    polys = [polynomial(expr) for expr in exprs]
    below: dict[Expr, Exponent] = {}
    while found := _denominators(polys):
        clear: Polynomial = {frozenset(found.items()): Fraction(1)}
        polys = [polynomial(expression(multiply(poly, clear))) for poly in polys]
        for atom, exponent in found.items():
            below[atom] = below.get(atom, 0) + exponent
        if max(map(len, polys)) > MAX_TERMS:
            raise TooLarge(f"a quotient of more than {MAX_TERMS} terms")
    divisor = Mul(*(power(atom, rational(e)) for atom, e in below.items()))
    cleared = polynomial(divisor)
    if len(cleared) > MAX_TERMS:
        raise TooLarge(f"a denominator of more than {MAX_TERMS} terms")
    # The denominator as a monomial times a polynomial whose exponents are not negative.
    low = _lowest([cleared])
    monomial = Mul(*(power(a, rational(e)) for a, e in low.items() if e))
    inverse: Polynomial = {frozenset((a, -e) for a, e in low.items() if e): Fraction(1)}
    cleared, *polys = (multiply(poly, inverse) for poly in (cleared, *polys))
    spend(20 * sum(map(len, polys)) * len(cleared))
    # Atoms under roots or below the line count by their root and from their lowest power.
    everything = [*polys, cleared]
    atoms = sorted({a for poly in everything for m in poly for a, _ in m}, key=structural)
    roots = {a: lcm(*(e.denominator for p in everything for m in p for b, e in m if b == a)) for a in atoms}
    lows = {a: min(_lowest(polys).get(a, Fraction(0)), Fraction(0)) for a in atoms}
    dummies = {a: Dummy() for a in atoms}
    back = {dummies[a]: power(a, rational(Fraction(1, roots[a]))) for a in atoms}
    shift = Mul(*(power(a, rational(low)) for a, low in lows.items() if low))

    def ring(poly: Polynomial, low: dict[Any, Exponent]) -> Expr:
        return Add(
            *(
                rational(c)
                * Mul(
                    *(Pow(dummies[a], int((dict(m).get(a, Fraction(0)) - low[a]) * roots[a])) for a in atoms)
                )
                for m, c in poly.items()
            )
        )

    denominator = ring(cleared, dict.fromkeys(atoms, Fraction(0)))
    generators = list(dummies.values())
    result = []
    for poly in polys:
        (quotient,), rest = sympy.reduced(ring(poly, lows), [denominator], *generators)
        result.append(
            (
                *_listed(quotient, generators, back, shift),
                *_listed(rest, generators, back, shift * monomial / divisor),
            )
        )
    return result


def _lowest(polys: Sequence[Polynomial]) -> dict[Any, Exponent]:
    """The lowest exponent of each atom over all terms."""
    tables = [dict(m) for poly in polys for m in poly]
    atoms = {a for table in tables for a in table}
    return {a: min(table.get(a, 0) for table in tables) for a in atoms}


def _denominators(polys: Sequence[Polynomial]) -> dict[Any, Exponent]:
    found: dict[Any, Exponent] = {}
    for poly in polys:
        for atom, exponent in denominators(poly).items():
            found[atom] = max(found.get(atom, exponent), exponent)
    return found


def _listed(expr: Expr, generators: Sequence[Expr], back: dict[Expr, Expr], factor: Expr) -> Terms:
    """The terms of a polynomial in the generators, with the atoms back and times `factor`."""
    if expr == 0:
        return ()
    return tuple(
        (c, expand(Mul(*(Pow(back[g], e) for g, e in zip(generators, m, strict=True))) * factor))
        for m, c in sympy.Poly(expr, *generators).terms()
    )
