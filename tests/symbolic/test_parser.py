"""Reading expressions: every construct, every message, and whatever else a file may hold."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies import NAMES, texts
from sympy import Rational

from midpo.symbolic.errors import SpecError
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    POLICY,
    REFERENCE,
    REJECTED,
    RESPONSE,
    ByLabel,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    Max,
    Min,
    Parameter,
    Prob,
    Sqrt,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.parser import MAX_DEPTH, parse, parse_with_conditions
from midpo.symbolic.language.places import LINK, PRIOR, TARGET, Names, Place
from midpo.symbolic.language.text import text

T, V = Index("t", position=True), Index("v", position=False)
A, B = NAMES.parameters["a"], NAMES.parameters["b"]
PLAIN = Names(
    parameters={"a": A, "b": B, "g": Parameter("g", "unit")},
    features={"score": "response", "w": "token", "gap": "pair"},
)
Y, P, Q = RESPONSE, POLICY, REFERENCE
PT = TokenProb(P, Y, T)


@pytest.mark.parametrize(
    ("source", "expr"),
    [
        ("pi(y)", Prob(P, Y)),
        ("pi_ref(y)", Prob(Q, Y)),
        ("len(y)", Length(Y)),
        ("a - 2*b/3", A - Rational(2, 3) * B),
        ("a**2", A**2),
        ("-a + +b", B - A),
        ("0.1 + 1/2 + 1e-2", Rational(61, 100)),
        ("0x10 + 1_000", Rational(1016)),
        ("score(y)", Feature(P.func("score"), Y)),
        ("gap", Feature(P.func("gap"))),
        ("sum(pi(y, t) for t in y)", TokenSum(PT, T, Y)),
        ("sum(pi(y, q) for q in y)", TokenSum(PT, T, Y)),
        ("prod(pi(y, t)/pi_ref(y, t) for t in y)", TokenProd(PT / TokenProb(Q, Y, T), T, Y)),
        ("sum(b**t for t in y)", TokenSum(B**T, T, Y)),
        ("sum(w(y, t) for t in y)", TokenSum(Feature(P.func("w"), Y, T), T, Y)),
        (
            "sum(sum(pi(y, t, v) for v in vocab) for t in y)",
            TokenSum(VocabSum(VocabProb(P, Y, T, V), V), T, Y),
        ),
        ("sum(kl(pi, pi_ref, y, t) for t in y)", TokenSum(Divergence(P, Q, Y, T), T, Y)),
        ("sum(entropy(pi, y, t) for t in y)", TokenSum(Entropy(P, Y, T), T, Y)),
        ("by_label(a, -a)", ByLabel(A, -A)),
        ("log(pi(y)) + exp(a) + sqrt(b)", Log(Prob(P, Y)) + Exp(A) + Sqrt(B)),
        ("max(a, b, 1) + min(a, b)", Max(A, B, 1) + Min(A, B)),
        ("  a\n + b\t", A + B),
    ],
)
def test_constructs(source: str, expr: Any) -> None:
    assert parse(source, PLAIN, PRIOR) == expr


def test_indices_are_named_by_nesting() -> None:
    """What the user calls an index does not matter, and no two sums share one by accident."""
    nested = "sum(sum(pi(y, {0})*w(y, {1}) for {1} in y)*w(y, {0}) for {0} in y)"
    assert len({parse(nested.format(*names), PLAIN, PRIOR) for names in ("ts", "st", "uv")}) == 1
    outer = parse(nested.format("s", "t"), PLAIN, PRIOR)
    assert outer.args[1] == Index("t2", position=True)


def test_link_is_written_in_m() -> None:
    assert parse("max(0, 1 - m)", PLAIN, LINK) == Max(0, 1 - MARGIN)
    assert parse("(m**2)**(1/2)", PLAIN, LINK).atoms() == {MARGIN}


@pytest.mark.parametrize(
    ("source", "conditions"),
    [
        ("1/a", ["a != 0"]),
        ("1/b + log(b) + b**a + 1/(1 - g)", []),
        ("a**(-2)", ["a != 0"]),
        ("log(a) + sqrt(a) + a**g", ["a > 0", "a >= 0", "a > 0"]),
        ("sum(1/(1 - w(y, s)) for s in y)", ["1 - w(y, t) != 0"]),
        ("a/a", ["a != 0"]),
    ],
)
def test_conditions(source: str, conditions: list[str]) -> None:
    signs = {"nonzero": "!= 0", "positive": "> 0", "nonnegative": ">= 0"}
    found = parse_with_conditions(source, PLAIN, PRIOR)[1]
    wanted = list(dict.fromkeys(conditions))
    assert [f"{text(c.expr)} {signs[c.kind]}" for c in found] == wanted


# Each line: the text, the place, a mark under the character the caret must stand under, and parts
# of the message.
MESSAGES = [
    ("alpa*2", PRIOR, "^     ", 'unknown name "alpa"', 'did you mean "alpha"?'),
    ("2*lg(pi(y))", PRIOR, "  ^", 'unknown function "lg"', 'did you mean "log"?'),
    ("pi(y_w)", PRIOR, "   ^", "`y_w` is not a response here", "y"),
    ("pi(y)", TARGET, "   ^", "`y` is not a response here", "y_w or y_l"),
    ("len(y)", LINK, "    ^", "`y` is not a response here", "a link is written in m"),
    ("pi + 1", PRIOR, "^", "`pi` is a policy and needs a response", "pi(y)"),
    ("1 + y", PRIOR, "    ^", "`y` is a response, not a number", "len(y)"),
    ("log + 1", PRIOR, "^", "`log` is a function and needs its arguments", "log(...)"),
    ("score*2", PRIOR, "^", "`score` is a response feature", "score(y)"),
    ("w*2", PRIOR, "^", "`w` is a token feature", "w(y, t)"),
    ("gap(y)", PRIOR, "^", "`gap` is a pair feature and takes no arguments", "gap"),
    ("alpha(y)", PRIOR, "^", "`alpha` is a parameter, not a function", "alpha"),
    ("log(1, 2)", PRIOR, "^", "`log` with 2 arguments", "log(a)"),
    ("max(1)", PRIOR, "^", "`max` with 1 arguments", "max(a, b, ...)"),
    ("pi(y, 1)", PRIOR, "      ^", "`1` is not a token index", "for t in y"),
    ("sum(pi(y, v) for v in vocab)", PRIOR, "          ^", "`v` is not a token index", ""),
    ("sum(pi(y_l, t) for t in y_w)", TARGET, "            ^", "runs over the tokens of y_w", "y_l"),
    ("sum(pi(y, t, t) for t in y)", PRIOR, "             ^", "not a vocabulary index", "vocab"),
    ("sum(v for v in vocab)", PRIOR, "    ^", "`v` is a vocabulary entry, not a number", ""),
    ("sum(1 for t in z)", PRIOR, "               ^", "`z` is not a response", "y or vocab"),
    ("prod(2 for v in vocab)", PRIOR, "                ^", "product over the vocabulary", ""),
    ("sum(1, 2)", PRIOR, "^", "`sum` with 2 arguments", "for t in y"),
    ("sum(2)", PRIOR, "    ^", "`sum` needs one index", "sum(... for t in y)"),
    ("sum(1 for a in y for b in y)", PRIOR, "    ", "needs one index", ""),
    ("sum(1 for t in y if t)", PRIOR, "          ^", "no condition", ""),
    ("sum(1 for alpha in y)", PRIOR, "          ^", "`alpha` has another meaning", "a new name"),
    ("sum(1 for y in y)", PRIOR, "          ^", "`y` has another meaning", "a new name"),
    ("sum(sum(1 for t in y) for t in y)", PRIOR, "              ^", "`t` has another meaning", ""),
    ("kl(pi, pi_reff, y, t)", PRIOR, "       ^", "`pi_reff` is not a policy", '"pi_ref"?'),
    ("by_label(1, 2)", TARGET, "^", "`by_label` speaks of the prior's", "`prior` only"),
    ("pi(y=1)", PRIOR, "   ^", "arguments are not named", "pi(...)"),
    ("log(*x)", PRIOR, "    ^", "`*` is not part of the language", ""),
    ("1/(2 - 2)", PRIOR, "   ^", "division by zero", "not 0"),
    ("0**(-1)", PRIOR, "^", "division by zero", "not 0"),
    ("log(0 - 1)", PRIOR, "^", "logarithm of a number that is not positive", "x > 0"),
    ("1 + log(-len(y))", PRIOR, "    ^", "logarithm of a number that is not positive", ""),
    ("sqrt(-2)", PRIOR, "^", "root of a negative number", "x >= 0"),
    ("(-8)**(1/3)", PRIOR, " ^", "a root or power of a number that is not positive", ""),
    ("(-1)**len(y)", PRIOR, " ^", "a root or power of a number that is not positive", ""),
    ("2**1001", PRIOR, "   ^", "an exponent is too large", "at most 1000"),
    ("True", PRIOR, "^", "`True` is not a number", "an integer or a decimal"),
    ("1j", PRIOR, "^", "`1j` is not a number", "an integer or a decimal"),
    ("'a'", PRIOR, "^", "is not a number", ""),
    ("1" * 51, PRIOR, "^", "a number is too long", "50 digits"),
    ("1e401", PRIOR, "^", "too large or too small", "400"),
    ("a.b", PRIOR, "^", "`a.b` is not part of the language", "numbers, names"),
    ("a[0]", PRIOR, "^", "`a[0]` is not part of the language", ""),
    ("pi.__class__(y)", PRIOR, "^", "`pi.__class__` cannot be called", "by its name"),
    ("a if a else a", PRIOR, "^", "is not part of the language", ""),
    ("1 +", PRIOR, "", "this is not an expression", "Python's syntax"),
    ("(1", PRIOR, "^", "this is not an expression", ""),
    ("1 # one", PRIOR, "  ^", "a comment inside an expression", "outside the quotes"),
    ("", PRIOR, "", "the expression is empty", "an expression"),
    ("1 + é*2", PRIOR, "    ^", 'unknown name "é"', ""),
    ("é + x.y", PRIOR, "^", "unknown name", ""),
    ("log(pi(y)) + log(λλ(y))", PRIOR, "                 ^", 'unknown function "λλ"', ""),
    ("1 + (\n  2 + zz)", PRIOR, "      ^", 'unknown name "zz"', ""),
    ("alpha − 1", PRIOR, "      ^", "this is not an expression", ""),
]
MESSAGE_NAMES = Names(
    parameters={"alpha": Parameter("alpha", "positive")},
    features={"score": "response", "w": "token", "gap": "pair"},
)


@pytest.mark.parametrize(("source", "place", "mark", "problem", "expected"), MESSAGES)
def test_messages(source: str, place: Place, mark: str, problem: str, expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(source, MESSAGE_NAMES, place)
    error = caught.value.located(file="my.toml", key="prior")
    message = str(error)
    place_text = "line 2, column 7" if "\n" in source else "column "
    assert message.startswith(f"my.toml: prior, {place_text}")
    assert problem in message and expected in error.expected
    if "^" in mark:
        lines = message.split("\n")
        caret = next(i for i, line in enumerate(lines) if line.strip(" |") == "^")
        assert lines[caret].index("^") - 4 == mark.index("^")


def test_caret_stands_under_wide_characters_and_in_long_lines() -> None:
    with pytest.raises(SpecError) as caught:
        parse("中 + 1", PLAIN, PRIOR)
    assert str(caught.value).split("\n")[2] == "  | ^"
    with pytest.raises(SpecError) as caught:
        parse("1 + " * 60 + "zz + " + "1 + " * 60 + "1", PLAIN, PRIOR)
    _, shown, caret = str(caught.value).split("\n")[:3]
    assert len(shown) < 100 and shown[caret.index("^") :].startswith("zz")


@pytest.mark.parametrize(
    "source",
    [
        "__class__",
        "__import__('os')",
        "os",
        "os.system('ls')",
        "lambda: 1",
        "eval('1')",
        "().__class__.__bases__[0]",
        "f'{1}'",
        "f'{__import__(\"os\")}'",
        "(a := 1)",
        "log((a := 1))",
        "[x for x in y]",
        "{1: 2}",
        "sum(t*s for t in y for s in y)",
        "log(x for x in y)",
        "a < b",
        "a and b",
        "not a",
        "~a",
        "a @ b",
        "a // b",
        "a % b",
        "a | b",
        "...",
        "None",
        "b'1'",
        "*a",
        "yield",
        "await a",
        "print(1)",
        "exec('1')",
        "open('x')",
        "a; b",
        "a = 1",
        "import os",
        "def f(): pass",
        "\x00",
        "1\x001",
        "\x1b[31m",
        "pi(\x1b)",
        "\ud800",
        "a\u202eb",
        "globals()",
        "pi(y)(y)",
        "pi(pi(y))",
        "sum(1 async for t in y)",
        "\\",
        "a\\\nb",
        "a\x0cb",
    ],
)
def test_nothing_else_of_python(source: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(source, PLAIN, PRIOR)
    assert all(c.isprintable() or c == "\n" for c in str(caught.value))


HOSTILE = {
    "tower": "9**9**9",
    "tower of nines": "**".join("9" * 50),
    "negative tower": "9**-9**9",
    "towers added": "+".join(["9**999"] * 500),
    "nested powers": "(" * 40 + "a" + ")**1000" * 40,
    "nested powers of products": "(" * 40 + "2*a*b" + ")**1000" * 40,
    "nested powers of numbers": "(" * 40 + "3" + ")**9" * 40,
    "powers multiplied": "*".join(["a**1000"] * 500),
    "parentheses": "(" * 65_000,
    "minus signs": "-" * 65_000 + "1",
    "minus": "-" * 65_000,
    "powers": "a**" * 20_000 + "a",
    "power signs": "**" * 30_000,
    "exponent": "a**" + "9" * 40,
    "fraction exponent": "a**(1/" + "9" * 40 + ")",
    "huge decimal": "0." + "1" * 60_000,
    "huge integer": "1" * 60_000,
    "huge float exponent": "1e999999999",
    "tiny float": "1e-999999999",
    "sum": "+".join(["a"] * 30_000),
    "numbers": "+".join(["1"] * 30_000),
    "fractions": "+".join(f"1/{n}" for n in range(2, 9000)),
    "many calls": "+".join(["log(b)"] * 9_000),
    "too much text": "a" * 70_000,
    "nested calls": "log(" * 60 + "b" + ")" * 60,
    "deep calls": "exp(" * 5000 + "a" + ")" * 5000,
    "exponentials": "exp(exp(exp(1000)))",
    "exponentials compared": "max(exp(exp(1000)), 1)",
    "nested sums": "sum(" * 60 + "1" + "".join(f" for t{i} in y)" for i in range(60)),
    "roots": "+".join(f"{n}**(1/{n})" for n in range(2, 300)),
    "root of a sum of roots": "(2**(1/2) + 3**(1/2) - (5 + 2*6**(1/2))**(1/2))**(1/2)",
    "division by a hidden zero": "1/(2**(1/2) + 3**(1/2) - (5 + 2*6**(1/2))**(1/2))",
    "nested roots": "(1 + " * 30 + "2" + ")**(1/2)" * 30,
    "long name": "z" * 60_000,
    "long function": "z" * 60_000 + "(1)",
    "long index": f"sum({'t' * 30_000} for {'t' * 30_000} in y)",
    "brackets": "[" * 65_000,
    "braces in strings": "f'" + "{" * 65_000,
    "generators": "sum(" * 3000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_end_soon(name: str) -> None:
    """An expression or a message, within a second or two, whatever the text."""
    start = time.process_time()
    try:
        parse(HOSTILE[name], PLAIN, PRIOR)
    except SpecError as error:
        assert len(str(error)) < 2000
    assert time.process_time() - start < 8


def test_depth_is_bounded() -> None:
    def nested(depth: int) -> str:
        return "exp(" * depth + "a" + ")" * depth

    parse(nested(MAX_DEPTH), PLAIN, PRIOR)
    with pytest.raises(SpecError, match="nested too deeply"):
        parse(nested(MAX_DEPTH + 1), PLAIN, PRIOR)


PLACES = st.sampled_from([PRIOR, TARGET, LINK])


@given(st.data(), PLACES)
@settings(max_examples=300)
def test_round_trip(data: st.DataObject, place: Place) -> None:
    """Reading what `text` writes gives the expression back."""
    source = data.draw(texts(place))
    try:
        expr = parse(source, NAMES, place)
    except SpecError:
        assume(False)
    written = text(expr, NAMES.taken())
    assert parse(written, NAMES, place) == expr
    assert text(parse(written, NAMES, place), NAMES.taken()) == written


@given(st.text(max_size=60), PLACES)
@settings(max_examples=400)
@example("(" * 300, PRIOR)
def test_any_text_is_read_or_refused(source: str, place: Place) -> None:
    start = time.process_time()
    try:
        parse(source, NAMES, place)
    except SpecError as error:
        assert all(c.isprintable() or c == "\n" for c in str(error))
    assert time.process_time() - start < 4


WORDS = [
    "pi",
    "pi_ref",
    "(",
    ")",
    "y",
    ",",
    "t",
    "v",
    "for",
    "in",
    "vocab",
    "sum",
    "+",
    "-",
    "*",
    "/",
    "**",
    "log",
    "exp",
    "max",
    "1",
    "0",
    "2.5",
    "a",
    "b",
    "kl",
    "sg",
    "len",
    "[",
    "]",
    ".",
    ":=",
    "lambda",
    "=",
    "if",
    "1e9",
    "m",
    "y_w",
    "\n",
    "'",
    "#",
    "é",
    "by_label",
    "not",
    "~",
    "sqrt",
]


@given(st.lists(st.sampled_from(WORDS), max_size=25), PLACES)
@settings(max_examples=600)
def test_any_words_are_read_or_refused(words: list[str], place: Place) -> None:
    try:
        parse(" ".join(words), NAMES, place)
    except SpecError as error:
        assert str(error)


def test_text_renames_an_index_that_means_something_else() -> None:
    """An index is called t or v unless a parameter or a feature is."""
    names = Names(parameters={"t": Parameter("t"), "t2": Parameter("t2")}, features={"v": "pair"})
    source = "sum(t*pi(y, s)*sum(v*pi(y, s, e)*t2 for e in vocab) for s in y)"
    expr = parse(source, names, PRIOR)
    assert "for t3 in y" in text(expr) and "for v2 in vocab" in text(expr)
    assert parse(text(expr), names, PRIOR) == expr
    plain = parse("sum(pi(y, s) for s in y)", names, PRIOR)
    assert parse(text(plain, names.taken()), names, PRIOR) == plain
    twice = TokenSum(TokenSum(PT, T, Y) * PT, T, Y)  # the same index, once inside the other
    assert text(twice) == "sum(pi(y, t)*sum(pi(y, t2) for t2 in y) for t in y)"


@pytest.mark.parametrize(
    ("expr", "written"),
    [
        (A - B, "a - b"),
        (-A - B, "-a - b"),
        (1 / A, "1/a"),
        (-1 / (2 * A), "-1/(2*a)"),
        (1 / (A - 2), "1/(a - 2)"),
        (1 / (3 * (A - 2) ** 2), "1/(3*(a - 2)**2)"),
        ((A + B) ** 2 / B, "(a + b)**2/b"),
        (A * (-(B**2)), "-a*b**2"),
        ((-A) ** B, "(-a)**b"),
        (Rational(-1, 2) * A, "-a/2"),
        (Log(Prob(P, CHOSEN)) - Log(Prob(P, REJECTED)), "log(pi(y_w)) - log(pi(y_l))"),
    ],
)
def test_text(expr: Any, written: str) -> None:
    assert text(expr) == written
