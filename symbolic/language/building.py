"""Expressions made of other expressions, kept within the vocabulary: powers, parts replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy
from sympy import Expr, Pow, Rational, S, Symbol

from midpo.symbolic.errors import NoValue

from .nodes import CHOSEN, RESPONSE, Abs, ByLabel, Index
from .signs import is_nonnegative

_NO_VALUE = (S.ImaginaryUnit, S.ComplexInfinity, S.Infinity, S.NegativeInfinity, S.NaN)


def standard(expr: Expr) -> Expr:
    """`expr` in the words of this vocabulary.

    SymPy's powers know roots of squares, which they write with SymPy's own absolute value, and
    roots of negative numbers and divisions by 0, which have no value here.

    Raises: NoValue.
    """
    foreign = expr.atoms(sympy.Abs, *map(type, _NO_VALUE), Pow)
    for node in foreign:
        if isinstance(node, Pow):
            base, exponent = node.args
            no_value = isinstance(base, Rational) and base < 0 and not exponent.is_integer
        else:
            no_value = node in _NO_VALUE
        if no_value:
            raise NoValue(
                "a part of the expression has no value: it divides by 0 or takes a root of a negative number"
            )
    if any(isinstance(node, sympy.Abs) for node in foreign):
        return expr.replace(sympy.Abs, _magnitude)
    return expr


def _magnitude(x: Expr) -> Expr:
    return x if is_nonnegative(x) else -x if is_nonnegative(-x) else Abs(x)


def power(base: Expr, exponent: Expr) -> Expr:
    """base**exponent. Raises: NoValue."""
    return standard(Pow(base, exponent))


def rebuild(node: Expr, args: Iterable[Expr]) -> Expr:
    """`node` with other arguments. Raises: NoValue."""
    result = node.func(*args)
    return standard(result) if isinstance(node, Pow) else result


def substitute(expr: Expr, table: Mapping[Expr, Expr]) -> Expr:
    """`expr` with each expression of `table` replaced. Raises: NoValue."""
    return standard(expr.xreplace(dict(table)))


def with_label(expr: Expr, response: Symbol) -> Expr:
    """A prior at the chosen or the rejected response: y replaced, by_label resolved."""
    branch = 0 if response == CHOSEN else 1

    def resolve(node: Expr) -> Expr:
        if isinstance(node, ByLabel):
            return resolve(node.args[branch])
        if not node.has(ByLabel):
            return node
        return rebuild(node, [resolve(arg) for arg in node.args])

    return substitute(resolve(expr), {RESPONSE: response})


def rename_index(body: Expr, old: Index, new: Index) -> Expr:
    """`body` with the free index `old` called `new`."""
    done: dict[Expr, Expr] = {old: new}

    def renamed(node: Expr) -> Expr:
        if old not in node.free_symbols:
            return node
        if node not in done:
            done[node] = rebuild(node, map(renamed, node.args))
        return done[node]

    return renamed(body)
