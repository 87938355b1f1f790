"""Arithmetic in the field of atoms, against SymPy's own."""

from __future__ import annotations

from typing import Any

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy import Add, Integer, Mul, Pow, Rational, S

from midpo.symbolic.algebra.factor import factors
from midpo.symbolic.algebra.polynomial import denominators, expand, is_zero, multiply, numerator, polynomial
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.language.nodes import CHOSEN, POLICY, Length, Log, Parameter, Prob
from midpo.symbolic.work import allowance

A, B, C = Parameter("a"), Parameter("b", "positive"), Parameter("c")
N, L = Length(CHOSEN), Log(Prob(POLICY, CHOSEN))
ATOMS = [A, B, C, N, L]


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda xs: Add(*xs)),
        st.lists(inner, min_size=2, max_size=3).map(lambda xs: Mul(*xs)),
        st.tuples(inner, st.sampled_from([2, 3, -1, -2])).map(lambda be: Pow(*be)),
    )


NUMBERS = st.sampled_from([Integer(n) for n in (-2, -1, 1, 2)] + [Rational(1, 2), Rational(-2, 3)])
EXPRESSIONS = st.recursive(st.one_of(st.sampled_from(ATOMS), NUMBERS), _larger, max_leaves=7)


def _real(expr: Any) -> bool:
    return not expr.has(S.ComplexInfinity, S.NaN)


@given(EXPRESSIONS)
@settings(max_examples=200)
def test_expanding_changes_nothing(expr: Any) -> None:
    assume(_real(expr))
    try:
        expanded = expand(expr)
    except NoValue:
        return
    assert sympy.cancel(expanded - expr) == 0
    assert expand(expanded) == expanded


@given(EXPRESSIONS, EXPRESSIONS)
@settings(max_examples=200)
def test_is_zero_agrees_with_cancel(left: Any, right: Any) -> None:
    assume(_real(left) and _real(right))
    try:
        assert is_zero(left - right) == (sympy.cancel(left - right) == 0)
        assert is_zero((left + right) ** 2 - left**2 - right**2 - 2 * left * right)
        assert not is_zero(left - right + N * L + sympy.Rational(1, 7)) or left != right
    except NoValue:
        return


@given(EXPRESSIONS)
@settings(max_examples=100)
def test_without_denominators_it_is_sympys_expansion(expr: Any) -> None:
    assume(_real(expr))
    try:
        poly = polynomial(expr)
    except NoValue:
        return
    assume(not denominators(poly))
    assert sympy.expand(expand(expr) - expr) == 0


@pytest.mark.parametrize(
    ("zero", "expr"),
    [
        (True, 1 / (1 - A) + 1 / (1 + A) - 2 / (1 - A**2)),
        (True, 1 / (A + 1 / B) - B / (A * B + 1)),
        (True, (A**2 - C**2) / (A - C) - A - C),
        (True, 1 / (2 * A + 2 * C) - Rational(1, 2) / (A + C)),
        (True, 1 / (A - C) + 1 / (C - A)),
        (True, Pow(B + 1, S.Half) ** 2 - B - 1),
        (True, (1 + Pow(B + 1, S.Half)) * (1 - Pow(B + 1, S.Half)) + B),
        (True, (1 + sympy.sqrt(2)) * (1 - sympy.sqrt(2)) + 1),
        (True, (N + L) ** 3 / (N + L) - (N + L) ** 2),
        (False, 1 / (1 - A) - 1 / (1 + A)),
        (False, A / B - B / A),
        (False, (A + C) ** 2 - A**2 - C**2),
        (False, Log(Prob(POLICY, CHOSEN)) - N),
    ],
)
def test_known_identities(zero: bool, expr: Any) -> None:
    assert is_zero(expr) == zero


MANY = [Parameter(f"x{n}", "positive") for n in range(8)]


@pytest.mark.parametrize(
    "expr",
    [
        MANY[0] * MANY[1] * MANY[2] * MANY[3] + MANY[4] * MANY[5] * MANY[6] * MANY[7],
        MANY[0] ** 2 * MANY[1] * MANY[2]
        + MANY[3] * MANY[4] * MANY[5] * MANY[6]
        + MANY[0] ** 2 * MANY[4] ** 2,
        (A - B**2) * (A + B**2),
        A**2 * B**2 - C**2 * B**2,
        (A + B) * (C + MANY[0]),  # each atom to the power 1, none in one monomial only
    ],
)
def test_factors_are_those_that_sympy_finds(expr: Any) -> None:
    """Also of many atoms, where one stands in one monomial only, to the power 1."""
    found = factors(expr)
    ours = {sympy.expand(base) for base, _ in found[1:]}
    _, theirs = sympy.factor_list(expr)
    assert sympy.expand(Mul(*(Pow(b, e) for b, e in found)) - expr) == 0
    assert {x for b, _ in theirs for x in (b, -b)} >= ours and len(theirs) == len(ours)


def test_denominators() -> None:
    poly = polynomial(A / (B + 1) ** 2 + C / (2 * B + 2))
    assert {atom: int(e) for atom, e in denominators(poly).items()} == {B + 1: 2}
    assert not denominators(numerator(A / (B + 1) ** 2 + C / (2 * B + 2)))
    assert numerator(A / B - A * B**-1) == {}


def test_division_by_what_is_always_zero() -> None:
    zero = Add(Mul(A, A + 1), -(A**2), -A)
    with pytest.raises(NoValue, match="always 0"):
        polynomial(Pow(zero, -1, evaluate=False))


def test_too_large() -> None:
    with pytest.raises(TooLarge, match="power 300 of a sum of 3 terms"):
        expand((A + B + C) ** 300)
    with pytest.raises(TooLarge, match="normal form of more than"):
        expand(Mul(*(Add(*(Parameter(f"p{i}{j}") for j in range(5))) for i in range(6))))
    many = polynomial(Add(*(Parameter(f"p{i}") for i in range(1500))))
    with allowance(units=10_000), pytest.raises(TooLarge, match="more work"):
        multiply(many, many)
    assert len(polynomial((A + B) ** 200)) == 201
