"""MathML: all that `notation` writes is read, well formed, and says what it should."""

from __future__ import annotations

import re
from xml.dom import minidom

import pytest
from hypothesis import given
from strategies import NAMES, texts
from sympy import Expr

import midpo
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import layout
from midpo.symbolic.formula.latex import inline, latex, name, tex
from midpo.symbolic.formula.mathml import NotNotation, mathml
from midpo.symbolic.language.nodes import Parameter
from midpo.symbolic.language.parser import PRIOR, TARGET, parse
from midpo.symbolic.language.words import FUNCTIONS, Word


def seen(tex: str) -> str:
    """The characters of a formula, in reading order."""
    return "".join(re.sub(r"<[^>]*>", "", mathml(tex)).replace("&#8289;", "").split())


def broken(expr: Expr, limit: float) -> list[str]:
    return [tex(line) for line in layout.lines(expr, limit)]


def well_formed(tex: str) -> None:
    minidom.parseString(mathml(tex))
    minidom.parseString(mathml(tex, display=True))


@pytest.mark.parametrize("spec", midpo.catalogue())
def test_every_formula_of_the_catalogue_is_read(spec: str) -> None:
    for expr in midpo.load(spec).expressions:
        for shown in (latex(expr), inline(expr), *broken(expr, 46)):
            well_formed(shown)


@given(texts(PRIOR))
def test_any_prior_is_read(text: str) -> None:
    try:
        expr = parse(text, NAMES, PRIOR)
    except MidpoError:
        return
    for shown in (latex(expr), *broken(expr, 30)):
        well_formed(shown)


@given(texts(TARGET))
def test_any_target_is_read(text: str) -> None:
    try:
        expr = parse(text, NAMES, TARGET)
    except MidpoError:
        return
    for shown in (latex(expr), *broken(expr, 30)):
        well_formed(shown)


@pytest.mark.parametrize("word", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_every_row_of_the_vocabulary_is_read(word: Word) -> None:
    well_formed(latex(word.node(*map(Parameter, "ab"[: word.arity[0]]))))


def test_what_is_seen() -> None:
    assert seen(r"\log\frac{\pi(y_w\mid x)}{\pi_{\mathrm{ref}}(y_w\mid x)}") == (
        "logπ(yw∣x)πref(yw∣x)"
    )
    assert seen(r"\left|x\right| - |y_w| \le 2.5") == "|x|−|yw|≤2.5"
    assert seen(r"\mathrm{a\_b}(y)") == "a_b(y)"
    assert seen(r"x < 1") == "x&lt;1"


def test_a_word_is_one_identifier() -> None:
    assert "<mi>ref</mi>" in mathml(r"\pi_{\mathrm{ref}}")
    assert "<mi>my_word</mi>" in mathml(name("my_word"))


def test_signs_between_terms_and_before_them() -> None:
    assert '<mo form="prefix">−</mo>' in mathml("-a")
    assert "<mo>−</mo>" in mathml("a - b")
    assert '<mo form="infix">−</mo>' in mathml("{}- b")
    assert '<mo form="prefix">−</mo>' in mathml("a = -b")
    assert '<mo lspace="0" rspace="0">&lt;</mo>' in mathml("y_{<t}")
    assert '<mo lspace="0"' not in mathml("x_1 < t")


def test_limits_and_scripts() -> None:
    assert mathml(r"\sum_{t=1}^{|y|} a", display=True).startswith(
        '<math displaystyle="true"><munderover><mo>∑</mo>'
    )
    assert "<msubsup><mi>y</mi><mn>1</mn><mn>2</mn></msubsup>" in mathml("y_{1}^{2}")


@pytest.mark.parametrize(
    "tex",
    [r"\input{x}", r"\frac{a}", "a}", r"\left(a", r"\begin{matrix}a\end{matrix}", "$", "a_1_2",
     r"\mathrm{a$b}", "(a", r"\text{<b>", "<script>é"],
)
def test_what_is_not_notation_is_refused(tex: str) -> None:
    with pytest.raises(NotNotation):
        mathml(tex)


def test_text_is_inert() -> None:
    assert mathml(r"\text{a<b&c}") == "<math><mtext>a&lt;b&amp;c</mtext></math>"
