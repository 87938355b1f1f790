"""Other ways to write an expression, in which its structure may be seen.

Each shape is equal to the expression wherever both have a value, but for the last: that is what the
expression is where the signs of its mixed cuts are those of one cell, and so equals it only if one
formula holds on all cells. Shapes are candidates: what is read off them is proved by other means.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm
from typing import Any

from sympy import QQ, Add, Dummy, Expr, Mul, Pow, Rational

from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.building import power, rebuild
from midpo.symbolic.language.nodes import Max, Step, StopGradient, roles
from midpo.symbolic.language.words import BY_NODE
from midpo.symbolic.rewriting.derivation import Derivation
from midpo.symbolic.work import allowance, bounds, spend

from .cells import on_cell
from .normal import form
from .polynomial import expand
from .splitting import first_cell, meet

MAX_ATOMS, MAX_TERMS, MAX_DEGREE = 14, 60, 24  # of a quotient that is cancelled


def shapes(expr: Expr) -> Iterator[Expr]:
    """The shapes of `expr` that differ from it, with stopped gradients kept first."""
    seen = {expr}
    for keep in (True, False) if expr.has(StopGradient) else (True,):
        listed: list[Expr] = []
        try:
            with allowance(expr, units=bounds(expr).units // 4):
                for found in _field_shapes(expr, keep=keep):
                    listed.append(form(found, keep_stopped=keep))
        except (TooLarge, NoValue, RecursionError):
            pass  # what was found before may do
        for shape in listed:
            if shape not in seen:
                seen.add(shape)
                yield shape


def _field_shapes(expr: Expr, *, keep: bool) -> Iterator[Expr]:
    found = cancelled(form(expr, keep_stopped=keep, field=True))
    yield found
    mixed = _mixed(found)
    if not mixed:
        return
    there, _ = on_cell(found, first_cell(mixed))
    single = cancelled(form(there, keep_stopped=keep, field=True))
    inner = _one_formula_inside(found, keep=keep)
    yield from dict.fromkeys((inner, single))


def _mixed(expr: Expr) -> list[Expr]:
    """The maxima and steps of `expr` that speak of several responses."""
    return [node for node in expr.atoms(Max, Step) if len(roles(node)) > 1]


def _one_formula_inside(expr: Any, *, keep: bool) -> Any:
    """`expr` with arguments of its functions that have one formula on all cells replaced by it."""
    if not expr.args or not _mixed(expr):
        return expr
    args = [_one_formula_inside(arg, keep=keep) for arg in expr.args]
    if isinstance(expr, Pow) or type(expr) in BY_NODE:
        args = [_single(arg, keep=keep) for arg in args]
    changed = any(new is not old for new, old in zip(args, expr.args, strict=True))
    return rebuild(expr, args) if changed else expr


def _single(expr: Expr, *, keep: bool) -> Expr:
    mixed = _mixed(expr)
    if not mixed:
        return expr
    there, _ = on_cell(expr, first_cell(mixed))
    there = form(there, keep_stopped=keep, field=True)
    same = not _mixed(there) and meet(Derivation(expr), Derivation(there))
    return there if same else expr


def one_formula(expr: Expr) -> Expr:
    """`expr` on one of its cells, in field form, with stopped gradients dropped and quotients
    cancelled. Raises: TooLarge, NoValue."""
    found = cancelled(form(expr, keep_stopped=False, field=True))
    pieces = list(found.atoms(Max, Step))
    if not pieces:
        return found
    there, _ = on_cell(found, first_cell(pieces))
    return cancelled(form(there, keep_stopped=False, field=True))


def cancelled(expr: Expr) -> Expr:
    """`expr`, and the arguments of its functions, with what divides cancelled. Beyond the bounds a
    quotient stays as it is."""

    def visit(node: Any) -> Any:
        if not node.args:
            return node
        is_function = type(node) in BY_NODE
        if is_function or isinstance(node, (Add, Mul, Pow)):
            args = [visit(arg) for arg in node.args]
            if any(new is not old for new, old in zip(args, node.args, strict=True)):
                node = rebuild(node, args)
        if is_function:
            args = [_quotient(arg) for arg in node.args]
            if any(new is not old for new, old in zip(args, node.args, strict=True)):
                node = rebuild(node, args)
        return node

    return _quotient(visit(expr))


def divides_by_a_sum(expr: Expr) -> bool:
    powers = (f for term in Add.make_args(expr) for f in Mul.make_args(term) if isinstance(f, Pow))
    return any(isinstance(p.base, Add) and p.exp.is_Rational and p.exp < 0 for p in powers)


def _quotient(expr: Expr) -> Expr:
    below = [term for term in Add.make_args(expr) if divides_by_a_sum(term)]
    if not below or len(below) > MAX_TERMS:
        return expr
    rest = Add(*(term for term in Add.make_args(expr) if not divides_by_a_sum(term)))
    found = _in_lowest_terms(Add(*below))
    return expr if found is None else expand(found) + rest


def _in_lowest_terms(expr: Expr) -> Expr | None:
    # Apart from `equality`, whose like the checker rests on: what finds shares nothing with it.
    roots: dict[Expr, int] = {}

    def visit(node: Expr) -> None:
        base, exponent = _power(node)
        if isinstance(base, (Add, Mul)) and exponent.is_Integer:
            for arg in base.args:
                visit(arg)
        elif not isinstance(node, Rational):
            roots[base] = lcm(roots.get(base, 1), int(exponent.q))

    def written(node: Expr) -> Expr:
        base, exponent = _power(node)
        if isinstance(base, (Add, Mul)) and exponent.is_Integer:
            return Pow(base.func(*map(written, base.args)), exponent)
        return node if isinstance(node, Rational) else Pow(dummies[base], exponent * roots[base])

    visit(expr)
    if len(roots) > MAX_ATOMS:
        return None
    dummies = {atom: Dummy() for atom in sorted(roots, key=str)}
    plain = written(expr)
    if max((abs(p.exp) for p in plain.atoms(Pow)), default=0) > MAX_DEGREE:
        return None
    spend(200 * len(Add.make_args(expr)))
    quotient = QQ.frac_field(*dummies.values()).from_sympy(plain)
    back = {d: power(atom, Rational(1, roots[atom])) for atom, d in dummies.items()}
    above, under = (p.as_expr().xreplace(back) for p in (quotient.numer, quotient.denom))
    return above / under


def _power(node: Expr) -> tuple[Expr, Rational]:
    if isinstance(node, Pow) and isinstance(node.exp, Rational):
        return node.base, node.exp
    return node, Rational(1)
