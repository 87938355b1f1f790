"""Formulas as trees, and what is read off them: every node, MathML that is well formed."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from xml.dom import minidom

import pytest
from hypothesis import given
from strategies import NAMES, texts
from sympy import Expr

import midpo
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import layout, tree
from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.mathml import mathml
from midpo.symbolic.formula.signs import GLYPHS
from midpo.symbolic.formula.tree import (
    Fence,
    Formula,
    Fraction,
    Infix,
    Number,
    Script,
    Sign,
    Text,
    Upright,
    between,
    call,
    leaf,
    nodes,
    rebuilt,
    row,
    script,
)
from midpo.symbolic.formula.width import width
from midpo.symbolic.formula.write import inline, name, policy, write
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR, TARGET, Place
from midpo.symbolic.language.words import FUNCTIONS

KINDS = [
    kind
    for kind in vars(tree).values()
    if isinstance(kind, type) and issubclass(kind, Formula) and is_dataclass(kind)
]
X = leaf("x")
# What a field of a node may hold, by its name, where it is no formula.
GIVEN = {
    "tex": "+", "digits": "2.5", "letters": "a_b", "words": "a<b&c", "key": "k", "letter": "y",
    "left": "(", "right": ")", "size": "big", "sign": Sign("+"), "opening": True, "mark": "bar",
    "wide": 1.0, "open": True, "parts": (X, leaf("+"), X), "rows": ((X, X), (X, X)), "small": True,
    "bare": False,
}  # fmt: skip


def seen(formula: Formula) -> str:
    """The characters of a formula, in reading order."""
    return "".join(re.sub(r"<[^>]*>", "", mathml(formula)).replace("&#8289;", "").split())


def well_formed(formula: Formula) -> None:
    minidom.parseString(mathml(formula))
    minidom.parseString(mathml(formula, display=True))


def held(expr: Expr, limit: float) -> None:
    for shown in (write(expr), inline(expr), *layout.lines(write(expr), limit)):
        well_formed(shown)


@pytest.mark.parametrize("kind", KINDS)
def test_every_node_is_read_by_every_fold(kind: type[Formula]) -> None:
    given = {f.name: GIVEN.get(f.name, X) for f in fields(kind)}  # type: ignore[arg-type]
    given |= {"sign": "("} if kind is tree.Bracket else {}
    given |= {"tex": r"\,"} if kind is tree.Space else {}
    node = kind(**given)
    assert tex(node) and width(node) > 0
    assert {type(part) for part in nodes(node)} >= {kind}
    if kind is not tree.Foreign:  # a page has no renamed symbols
        well_formed(node)
    inside = [part for part in nodes(node) if part == X]
    changed = rebuilt(node, lambda part: leaf("z") if part == X else part)
    assert not inside or leaf("z") in nodes(changed), "rebuilt leaves a part out"


def test_a_node_without_an_answer_is_named() -> None:
    class Strange(Formula):
        pass

    for fold in (tex, width, mathml):
        with pytest.raises(TypeError, match="Strange"):
            fold(Strange())


@pytest.mark.parametrize("spec", midpo.catalogue())
def test_every_formula_of_the_catalogue_is_read(spec: str) -> None:
    for expr in midpo.load(spec).expressions:
        held(expr, 46)


@given(texts(PRIOR))
def test_any_prior_is_read(text: str) -> None:
    read(text, PRIOR)


@given(texts(TARGET))
def test_any_target_is_read(text: str) -> None:
    read(text, TARGET)


def read(text: str, place: Place) -> None:
    try:
        expr = parse(text, NAMES, place)
    except MidpoError:
        return
    held(expr, 30)


@pytest.mark.parametrize("word", FUNCTIONS)
def test_every_word_of_the_language_is_read(word: str) -> None:
    arguments = ", ".join("ab"[: FUNCTIONS[word].arity[0]])
    held(parse(f"{word}({arguments})", NAMES, PRIOR), 46)


def test_what_is_no_sign_is_refused() -> None:
    for spelt in (r"\input", "$", "é", "ab"):
        with pytest.raises(ValueError, match="no sign"):
            leaf(spelt)


def test_what_is_seen() -> None:
    ratio = parse("log(pi(y_w)/pi_ref(y_w))", NAMES, TARGET)
    assert seen(write(ratio)) == "logπ(yw∣x)πref(yw∣x)"
    length = Fence("|", script("y", "w", bare=True), "|")
    assert seen(row(between("|", X, "|"), " - ", length, r" \le ", Number("2.5"))) == "|x|−|yw|≤2.5"
    assert seen(call(Upright("a_b"), "y")) == "a_b(y)"
    assert seen(row("x", " < ", 1)) == "x&lt;1"


def test_a_word_is_one_identifier() -> None:
    assert "<mi>ref</mi>" in mathml(policy("pi_ref"))
    assert "<mi>my_word</mi>" in mathml(name("my_word"))


def test_signs_between_terms_and_before_them() -> None:
    assert '<mo form="prefix">−</mo>' in mathml(row("-", "a"))
    assert "<mo>−</mo>" in mathml(row("a", " - ", "b"))
    assert '<mo form="infix">−</mo>' in mathml(row(Infix(Sign("- ")), "b"))
    assert '<mo form="prefix">−</mo>' in mathml(row("a", " = ", "-", "b"))
    assert '<mo lspace="0" rspace="0">&lt;</mo>' in mathml(script("y", row("<", "t")))
    assert '<mo lspace="0"' not in mathml(row(script("x", 1), " < ", "t"))


def test_limits_and_scripts() -> None:
    total = row(script(r"\sum", row("t", "=", 1), Fence("|", leaf("y"), "|")), " ", "a")
    assert mathml(total, display=True).startswith('<math displaystyle="true"><munderover><mo>∑</mo>')
    assert "<msubsup><mi>y</mi><mn>1</mn><mn>2</mn></msubsup>" in mathml(script("y", 1, 2))
    # The scripts of a name and those that it gets stand at one place.
    both = script(name("mu1"), above=2)
    assert "<msubsup><mi>μ</mi><mn>1</mn><mn>2</mn></msubsup>" in mathml(both)
    assert width(both) == width(Script(leaf(r"\mu"), leaf(1), leaf(2)))


def test_text_is_inert() -> None:
    assert mathml(Text("a<b&c")) == "<math><mtext>a&lt;b&amp;c</mtext></math>"


def test_every_sign_has_a_character_and_a_width() -> None:
    for glyph in GLYPHS.values():
        assert len(glyph.character) == 1 or glyph.character.isalpha()
        assert glyph.width > 0 and 0 < glyph.inside <= glyph.width


def test_a_small_fraction_is_not_tall() -> None:
    assert tex(Fraction(X, X, small=True)) == r"\tfrac{x}{x}"
