"""The evaluator against values worked out by hand, by Python, and in other arithmetics."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import NAMES, point, python_value, texts

import midpo
from midpo.numeric.arithmetic import Digits, Dyadic, Floats, Intervals, Log2, NotExact, Undefined
from midpo.numeric.evaluate import Evaluator, Point
from midpo.symbolic.errors import SpecError, TooLarge
from midpo.symbolic.language.building import with_label
from midpo.symbolic.language.nodes import REJECTED, RESPONSE, Parameter
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import LINK, PRIOR, TARGET, Names, Place

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
BY_HAND = Names(
    parameters={"a": Parameter("a", "real"), "b": Parameter("b", "positive")},
    features={"w": "token", "score": "response", "gap": "pair"},
)


def by_hand(ops: Any) -> Point:
    """One response of two tokens, 1 then 0, over three entries."""
    laws = {"pi": [[HALF, QUARTER, QUARTER]] * 2, "pi_ref": [[QUARTER, HALF, QUARTER]] * 2}
    return Point(
        {"y": [1, 0]},
        {(p, "y"): [[ops.number(x) for x in row] for row in rows] for p, rows in laws.items()},
        {"a": ops.number(Fraction(-2)), "b": ops.number(Fraction(3))},
        {
            "w": {"y": [ops.number(Fraction(5)), ops.number(Fraction(7))]},
            "score": {"y": ops.number(Fraction(4))},
            "gap": ops.number(Fraction(9)),
        },
    )


LOG2 = math.log(2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pi(y)", 1 / 8),
        ("pi_ref(y)", 1 / 8),
        ("len(y)", 2),
        ("score(y) + gap", 13),
        ("sum(pi(y, t) for t in y)", 3 / 4),
        ("sum(t for t in y)", 3),
        ("sum(b**t for t in y)", 12),
        ("prod(w(y, t) for t in y)", 35),
        ("sum(sum(pi(y, t, v) for v in vocab) for t in y)", 2),
        ("sum(sum(pi(y, t)*w(y, s) for s in y) for t in y)", 9),
        ("sum(kl(pi, pi_ref, y, t) for t in y)", 2 * (1 / 2 - 1 / 4) * LOG2),
        ("sum(entropy(pi, y, t) for t in y)", 2 * (1 / 2 + 1 / 2 + 1 / 2) * LOG2),
        ("relu(a) + abs(a) + max(a, b, 1) + min(a, b, 1) + step(a) + step(0)", 0 + 2 + 3 - 2 + 1),
        ("sigmoid(0) + tanh(0) + logsigmoid(0)", 0.5 - LOG2),
        ("logsigmoid(-1000)", -1000),
        ("tanh(-1) + tanh(1)", 0),
        ("sqrt(4) + b**2 + b**(-1)*3 + 4**(1/2)", 14),
        ("a**3 + sg(a)", -10),
    ],
)
@pytest.mark.parametrize("ops", [Floats(), Digits(), Intervals()], ids=lambda ops: str(ops.name))
def test_by_hand(text: str, value: float, ops: Any) -> None:
    found = Evaluator(ops, by_hand(ops))(parse(text, BY_HAND, PRIOR))
    middle = ops.context.convert(found).mid if isinstance(ops, Intervals) else found
    assert float(middle) == pytest.approx(value, rel=1e-14, abs=1e-14)


def test_zero_probabilities() -> None:
    """0*log(0) is 0 inside sums over the vocabulary; outside, the logarithm of 0 has no value."""
    ops = Floats()
    at = Point({"y": [0]}, {("pi", "y"): [[0.5, 0.0, 0.5]], ("pi_ref", "y"): [[0.25, 0.5, 0.25]]})
    evaluate = Evaluator(ops, at)

    def value(text: str) -> float:
        return float(evaluate(parse(text, Names(), PRIOR)))

    assert value("sum(kl(pi, pi_ref, y, t) for t in y)") == pytest.approx(LOG2)
    assert value("sum(entropy(pi, y, t) for t in y)") == pytest.approx(LOG2)
    for factor, expected in (("pi(y,t,v)", -LOG2), ("pi(y,t,v)**2", -LOG2 / 2)):
        text = f"sum(sum({factor}*log(pi(y,t,v)) for v in vocab) for t in y)"
        assert value(text) == pytest.approx(expected)
    for text in (
        "sum(kl(pi_ref, pi, y, t) for t in y)",
        "sum(sum(log(pi(y,t,v)) for v in vocab) for t in y)",
    ):
        with pytest.raises(Undefined):
            value(text)


@pytest.mark.parametrize("text", ["log(a)", "1/(a + 2)", "sqrt(a)", "a**b", "exp(exp(1000))"])
@pytest.mark.parametrize("ops", [Floats(), Digits(), Intervals()], ids=lambda ops: str(ops.name))
def test_no_value(text: str, ops: Any) -> None:
    expr = parse(text, BY_HAND, PRIOR)
    try:
        value = Evaluator(ops, by_hand(ops))(expr)
    except Undefined:
        return
    # An interval around 0 divides into everything.
    assert isinstance(ops, Intervals) and text.startswith("1/")
    assert value.a == -ops.context.inf


def test_work_is_bounded() -> None:
    nested = "*".join(f"t{level}" for level in range(12))
    for level in range(12):
        nested = f"sum({nested} for t{level} in y)"
    expr = parse(nested, BY_HAND, PRIOR)
    ops = Floats()
    with pytest.raises(TooLarge):
        Evaluator(ops, by_hand(ops), limit=1000)(expr)


def test_stopped_gradients_are_read_at_the_base_point() -> None:
    ops = Floats()
    moved = by_hand(ops)
    moved.parameters = {**moved.parameters, "a": 10.0}
    expr = parse("a*sg(a)", BY_HAND, PRIOR)
    assert Evaluator(ops, moved)(expr) == 100
    assert Evaluator(ops, moved, by_hand(ops))(expr) == -20


@given(st.data(), st.sampled_from([PRIOR, TARGET, LINK]), st.integers(0, 50))
@settings(max_examples=250)
def test_parsed_text_means_what_python_makes_of_it(data: st.DataObject, place: Place, seed: int) -> None:
    """The spec's syntax is Python's: reading and evaluating a text here gives what Python gives."""
    text = data.draw(texts(place))
    try:
        expr = with_label(parse(text, NAMES, place), REJECTED)
        if place == PRIOR:
            expr = expr.xreplace({REJECTED: RESPONSE})
        wanted = python_value(text, seed)
        found, exact = (float(Evaluator(ops, point(ops, seed))(expr)) for ops in (Floats(), Digits()))
    except (SpecError, Undefined, ArithmeticError, ValueError, TypeError):
        assume(False)
    size = max(1.0, abs(exact))
    assume(abs(found - exact) < 1e-9 * size)  # float64 can say what it is
    assert abs(wanted - exact) < 1e-7 * size


@given(st.data(), st.integers(0, 50))
@settings(max_examples=150)
def test_intervals_contain_the_value(data: st.DataObject, seed: int) -> None:
    expr = parse_or_skip(data, TARGET)
    intervals, digits = Intervals(), Digits(80)
    try:
        enclosed = Evaluator(intervals, point(intervals, seed))(expr)
        value = Evaluator(digits, point(digits, seed))(expr)
    except Undefined:
        assume(False)
    enclosed = intervals.context.convert(enclosed)
    low, high = (digits.context.mpf(end._mpi_[0]) for end in (enclosed.a, enclosed.b))
    assert low <= value <= high


def parse_or_skip(data: st.DataObject, place: Place) -> Any:
    try:
        return parse(data.draw(texts(place)), NAMES, place)
    except SpecError:
        assume(False)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.fractions(-9, 9, max_denominator=8)), max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.fractions(-9, 9, max_denominator=8)), max_size=4),
    st.fractions(Fraction(1, 8), 9, max_denominator=8),
)
def test_dyadic_numbers_are_a_field(left: list[Any], right: list[Any], divisor: Fraction) -> None:
    a, b = Log2(dict(left)), Log2(dict(right))
    digits = Digits()
    log2 = digits.context.log(2)

    def value(x: Log2) -> Any:
        above, below = (
            sum((digits.number(c) * log2**k for k, c in terms.items()), digits.context.mpf(0))
            for terms in (x.terms, x.below)
        )
        return above / below

    for exact, expected in (
        (a + b, value(a) + value(b)),
        (a - b, value(a) - value(b)),
        (a * b, value(a) * value(b)),
        (a**2, value(a) ** 2),
        (a / divisor, value(a) / digits.number(divisor)),
        (a / (b * b + divisor), value(a) / (value(b) ** 2 + digits.number(divisor))),
    ):
        assert abs(value(exact) - expected) < digits.context.mpf(10) ** -40


def test_dyadic_knows_what_it_does_not_know() -> None:
    ops = Dyadic()
    log2 = ops.log(ops.number(Fraction(2)))
    assert ops.log(ops.number(Fraction(1, 8))).terms == {1: Fraction(-3)}
    assert ops.exp(log2 * 3).terms == {0: Fraction(8)}
    assert ops.negative(log2 - 1) and not ops.negative(log2)
    for call in (
        lambda: ops.log(ops.number(Fraction(3))),
        lambda: ops.exp(ops.number(Fraction(1))),
        lambda: ops.sqrt(log2),
        lambda: ops.log(1 / log2),
        lambda: ops.exp(1 / log2),
        lambda: ops.negative(log2 - Fraction(math.log(2))),
    ):
        with pytest.raises(NotExact):
            call()
    with pytest.raises(Undefined):
        ops.log(ops.number(Fraction(-1)))
    with pytest.raises(Undefined):
        log2 / 0
    shown = (log2 - log2, log2, -log2 * log2 + Fraction(1, 2), (log2**2 - 1) / (2 * log2 + 2), 1 / log2 + 1)
    assert [str(x) for x in shown] == [
        "0",
        "log(2)",
        "1/2 - log(2)**2",
        "-1/2 + 1/2*log(2)",
        "(1 + log(2))/log(2)",
    ]


def test_dyadic_equals_digits_on_witness_cases() -> None:
    """On dyadic laws the exact value of a normal form is the 50-digit one."""
    from midpo.numeric.witness import cases
    from midpo.symbolic.algebra.normal import normal_form
    from midpo.symbolic.language.spec import load

    checked = 0
    for name in ("dpo", "rdpo", "tdpo", "centropy", "tis-dpo", "sparsepo", "simpo"):
        spec = load(name)
        margin = spec.margin
        if margin is None:
            continue
        exact, digits = Dyadic(), Digits()
        dyadic = [
            case
            for case in cases(spec)
            if all(p.numerator == 1 for laws in case.laws.values() for law in laws.values() for p in law)
        ]
        for case in dyadic[::10]:
            shown = Evaluator(exact, case.point(exact))(normal_form(margin))
            value = Evaluator(digits, case.point(digits))(margin)
            assert exact.float(shown) == pytest.approx(float(value), rel=1e-12, abs=1e-12)
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("link", ["max(0, 1 - m)", "m*step(m - 1)", "abs(m)", "min(m**2, m)"])
def test_a_margin_has_no_value_where_none_is_stated(link: str) -> None:
    """A cut of a link speaks of the margin, also where cases are drawn around all cuts."""
    cut = parse(link, Names(), LINK)
    with pytest.raises(Undefined):
        Evaluator(Floats(), by_hand(Floats()))(cut)
    wrong = midpo.loads(
        f'name = "x"\nprior = "pi_ref(y)*exp(len(y))"\nlink = "{link}"\n[parameters]\n'
        'c = "positive"\n[target]\nmargin = "c*log(pi(y_w)/pi_ref(y_w))'
        ' - c*log(pi(y_l)/pi_ref(y_l))"\n'
    )
    assert midpo.verify(wrong).verdict == "refuted"
