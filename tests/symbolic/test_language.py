"""The vocabulary: atoms keep their identity, and what is seen to be positive is."""

from __future__ import annotations

import copy
import itertools
import pickle
from fractions import Fraction
from typing import Any

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import NAMES, point, texts
from sympy import Add, Integer, Mul, Pow, Rational, Symbol

from midpo.numeric.arithmetic import Digits, Undefined
from midpo.numeric.evaluate import Evaluator, Point
from midpo.symbolic.domains.intervals import DOMAINS
from midpo.symbolic.errors import NoValue, SpecError
from midpo.symbolic.language.building import power, rebuild, standard, substitute, with_label
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    POLICY,
    REJECTED,
    RESPONSE,
    Abs,
    ByLabel,
    Index,
    Length,
    Log,
    Max,
    Node,
    Parameter,
    Prob,
    Relu,
    TokenProb,
    TokenSum,
    standard_index,
)
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import TARGET
from midpo.symbolic.language.signs import enclosure, is_nonnegative, is_positive
from midpo.symbolic.language.words import BY_NODE, FUNCTIONS, Word

A, B, G = Parameter("a"), Parameter("b", "positive"), Parameter("g", "unit")
T, S = Index("t", position=True), Index("s", position=True)


@pytest.mark.parametrize(
    "atom",
    [
        *(Parameter("p", domain) for domain in DOMAINS),
        T,
        Index("v", position=False),
        TokenSum(TokenProb(POLICY, RESPONSE, T) ** A, T, RESPONSE) + Max(A, B),
    ],
)
def test_atoms_survive_copying(atom: Any) -> None:
    for made in (pickle.loads(pickle.dumps(atom)), copy.copy(atom), copy.deepcopy(atom)):
        assert made == atom and hash(made) == hash(atom) and type(made) is type(atom)
        assert getattr(made, "domain", None) == getattr(atom, "domain", None)


def test_names_alone_make_nothing_equal() -> None:
    """A parameter, an index of either kind and a plain symbol called t are four things."""
    things = [
        Parameter("t"),
        Parameter("t", "positive"),
        Parameter("t", "unit"),
        Index("t", position=True),
        Index("t", position=False),
        Symbol("t"),
    ]
    assert len(set(things)) == len(things)
    assert len(Add(*things).args) == len(things)
    assert len({Log(thing) for thing in things}) == len(things)
    assert Index("t", position=True) == T and Parameter("t", "unit") == things[2]


NEEDED = ("says", "slopes", "torch", "triton", "c", "coq", "script")  # others may be empty


def test_every_function_has_one_row() -> None:
    assert {word.name for word in FUNCTIONS.values()} == set(FUNCTIONS)
    assert len(BY_NODE) == len(FUNCTIONS)
    for word in FUNCTIONS.values():
        assert issubclass(word.node, Node) and word.corners and 1 <= word.arity[0] <= word.arity[1]
        assert not any(getattr(word, column) is None for column in NEEDED), word.name


@pytest.mark.parametrize("word", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_what_sympy_is_told_of_a_function_is_so(word: Word) -> None:
    node = word.node(*(Parameter(name) for name in "ab"[: word.arity[0]]))
    image = enclosure(node)
    assert image.positive or not node.is_positive
    assert image.nonnegative or not node.is_nonnegative


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_inert(name: str) -> None:
    """SymPy neither evaluates nor simplifies a word, whatever it is given."""
    word = FUNCTIONS[name]
    for arg in (Integer(0), Integer(1), -A, A**2, Log(A), Rational(1, 2), B):
        args = [arg] * word.arity[0]
        node = word.node(*args)
        assert type(node) is word.node and node.args == tuple(args)
        assert sympy.expand(node) == node and node.evalf() == node


@pytest.mark.parametrize(
    ("expr", "positive", "nonnegative"),
    [
        (Integer(2), True, True),
        (Integer(0), False, True),
        (A, False, False),
        (B, True, True),
        (Parameter("n", "nonnegative"), False, True),
        (1 - G, True, True),
        (2 - G - Parameter("h", "unit"), True, True),
        (1 - G - Parameter("h", "unit"), False, False),
        (1 - 2 * G, False, False),
        (Rational(1, 2) - G, False, False),
        (G - 1, False, False),
        (1 + A**2, True, True),
        (A**2, False, True),
        (A**3, False, False),
        (-B, False, False),
        (B - 1, False, False),
        (B**A, True, True),
        (A * B, False, False),
        (Relu(A) + B, True, True),
        (Relu(A), False, True),
        (Log(B), False, False),
        (Prob(POLICY, CHOSEN) / Length(CHOSEN), True, True),
        (ByLabel(B, 1), True, True),
        (ByLabel(B, A), False, False),
    ],
)
def test_signs(expr: Any, positive: bool, nonnegative: bool) -> None:
    assert (is_positive(expr), is_nonnegative(expr)) == (positive, nonnegative)


@given(st.data(), st.integers(0, 30))
@settings(max_examples=200)
def test_what_is_seen_to_be_positive_is(data: st.DataObject, seed: int) -> None:
    try:
        expr = parse(data.draw(texts(TARGET)), NAMES, TARGET)
    except SpecError:
        assume(False)
    ops = Digits()
    for part in (expr, -expr):
        if not is_nonnegative(part):
            continue
        try:
            value = Evaluator(ops, point(ops, seed))(part)
        except Undefined:
            continue
        assert value > 0 if is_positive(part) else value >= 0


def test_roots_of_squares_stay_in_the_language() -> None:
    """SymPy writes (a**2)**(1/2) with an absolute value of its own."""
    x = Log(Prob(POLICY, RESPONSE))
    half = Rational(1, 2)
    assert Pow(A**2, half).has(sympy.Abs)
    assert power(A**2, half) == Abs(A)
    assert power((1 - G) ** 2, half) == 1 - G
    assert power(x**6, half) == -(x**3)  # a logarithm of a probability is negative
    assert power(MARGIN**6, half) == MARGIN**2 * Abs(MARGIN)
    assert substitute(Pow(MARGIN, 2) ** half, {MARGIN: x}) == -x
    assert rebuild(Pow(Prob(POLICY, RESPONSE), half), [x**2, half]) == -x
    label = ByLabel(x**2, x**4) ** half
    assert with_label(label, CHOSEN) == -Log(Prob(POLICY, CHOSEN))
    assert with_label(label, REJECTED) == Log(Prob(POLICY, REJECTED)) ** 2


@pytest.mark.parametrize(
    "expr",
    [
        Pow(Integer(-1), Rational(1, 2)),
        Pow(Integer(-8), Rational(1, 3)),
        Pow(Integer(0), -1),
        Mul(B, Pow(-B, Rational(1, 2))),
        Pow(-8 * B, Rational(1, 3)),
        Pow(-2, A),
        sympy.nan,
    ],
)
def test_what_has_no_value_is_refused(expr: Any) -> None:
    with pytest.raises(NoValue):
        standard(expr)


def test_labels_are_resolved_inside_out() -> None:
    expr = Log(ByLabel(ByLabel(A, B), ByLabel(B, G)) * Prob(POLICY, RESPONSE))
    assert with_label(expr, CHOSEN) == Log(A * Prob(POLICY, CHOSEN))
    assert with_label(expr, REJECTED) == Log(G * Prob(POLICY, REJECTED))


def test_standard_index() -> None:
    assert standard_index(TokenProb(POLICY, RESPONSE, S), S) == T
    inner = TokenSum(TokenProb(POLICY, RESPONSE, T) * S, T, RESPONSE)
    assert standard_index(inner, S) == Index("t2", position=True)
    assert inner.free_symbols == {POLICY, RESPONSE, S}


@pytest.mark.parametrize("word", [w for w in FUNCTIONS.values() if w.pieces], ids=lambda w: w.name)
def test_a_function_is_one_of_its_pieces_everywhere(word: Word) -> None:
    """And where it is said to pick the largest or the smallest, it does."""
    assert word.pieces is not None
    ops, args = Digits(), [Parameter(name) for name in "ab"[: word.arity[0]]]
    for numbers in itertools.product((-2, 0, 1, 3), repeat=len(args)):
        named = zip("ab", numbers, strict=False)
        given = Point({}, {}, {name: ops.number(Fraction(n)) for name, n in named})
        value, *pieces = (Evaluator(ops, given)(e) for e in (word.node(*args), *word.pieces(*args)))
        assert value in pieces
        assert not word.picks or value == (max(pieces) if word.picks > 0 else min(pieces))
