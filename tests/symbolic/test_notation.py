"""Notation: what the eight look like, that everything compiles, that lines keep to their width."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from strategies import NAMES, texts
from sympy import Add, Expr
from typesetting import needs_tex

from midpo.proofs.recover.recovery import verify
from midpo.symbolic.formula import layout
from midpo.symbolic.formula.latex import latex, name, policy, tex
from midpo.symbolic.formula.tree import Formula
from midpo.symbolic.formula.width import width
from midpo.symbolic.formula.write import write
from midpo.symbolic.language.nodes import Index, Parameter, TokenSum
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import LINK, PRIOR, TARGET, Place
from midpo.symbolic.language.spec import PAPER, load, loads
from midpo.symbolic.language.words import FUNCTIONS

# The strategies' names, less the two that are called like indices.
OWN = replace(NAMES, parameters={n: p for n, p in NAMES.parameters.items() if n not in ("t", "v2")})


WRITTEN = {
    "a + b": "a + b",
    "1 - g": "1 - g",
    "a/b": r"\frac{a}{b}",
    "1/2": r"\frac{1}{2}",
    "-a/2": r"-\frac{a}{2}",
    "(a + b)/(2*g)": r"\frac{a + b}{2 g}",
    "a*log(b)/2": r"\frac{a}{2} \log b",
    "b**(1 - 1/len(y))": "b^{1 - 1/|y|}",
    "b**(a/(2*g))": "b^{a/(2 g)}",
    "1/(a + b)**2": r"\frac{1}{\left(a + b\right)^{2}}",
    "2*3**a": r"2 \cdot 3^{a}",
    "a/(1/b + g)": r"\frac{a}{g + 1/b}",
    "log(pi(y))": r"\log \pi(y\mid x)",
    "log(pi(y)/pi_ref(y))": r"\log \frac{\pi(y\mid x)}{\pi_{\mathrm{ref}}(y\mid x)}",
    "log(b)*log(g)": r"\left(\log b\right) \log g",
    "log(b)**2": r"\left(\log b\right)^{2}",
    "log(b**a)": r"\log \left(b^{a}\right)",
    "exp(-a)": r"\exp\left(-a\right)",
    "relu(a)": r"\max\left(0, a\right)",
    "max(a, b, 1)": r"\max\left(a, b, 1\right)",
    "step(a)": r"\mathbf{1}\left[a \ge 0\right]",
    "sg(a)": r"\mathrm{sg}\left[a\right]",
    "sqrt(b)": r"\sqrt{b}",
    "gap*(a + b)": r"\mathrm{gap} \cdot \left(a + b\right)",
    "gap*score(y)": r"\mathrm{gap}\,\mathrm{score}(y)",
    "sum(log(pi(y, i)) for i in y)": r"\sum_{t=1}^{|y|} \log \pi(y_{t}\mid x, y_{<t})",
    "prod(pi(y, t) for t in y)": r"\prod_{t=1}^{|y|} \pi(y_{t}\mid x, y_{<t})",
    "sum(a + w(y, t) for t in y)": r"\sum_{t=1}^{|y|} \left(a + w(y, t)\right)",
    "by_label(a, b)": r"\begin{cases} a & \text{if } y = y_w\\ b & \text{if } y = y_l \end{cases}",
    "sum(entropy(pi_old, y, t) for t in y)":
        r"\sum_{t=1}^{|y|} H\bigl(\pi_{\mathrm{old}}(\cdot\mid s_{t})\bigr)",
    "sum(sum(pi(y, t, u)**2 for u in vocab) for t in y)":
        r"\sum_{t=1}^{|y|} \sum_{v\in\mathcal{V}} \pi(v\mid x, y_{<t})^{2}",
}  # fmt: skip
ROLES = {
    "sum(kl(pi_ref, pi, y_w, t) for t in y_w)": r"\sum_{t=1}^{|y_w|} D_{\mathrm{KL}}\bigl("
    r"\pi_{\mathrm{ref}}(\cdot\mid s_{w,t})\,\|\,\pi(\cdot\mid s_{w,t})\bigr)",
    "sum(w(y_l, t)*pi(y_l, t) for t in y_l)":
        r"\sum_{t=1}^{|y_l|} w(y_l, t) \pi(y_{l,t}\mid x, y_{l,<t})",
    "len(y_l) - len(y_w)": "-|y_w| + |y_l|",
}  # fmt: skip


@pytest.mark.parametrize("algorithm", PAPER)
def test_the_eight(algorithm: str, golden: Callable[[str, str], None]) -> None:
    spec = load(algorithm)
    shown = f"% what the specification states\n{spec._repr_latex_()}\n"
    golden(f"latex/{algorithm}.tex", f"{shown}% the recovery\n{verify(spec)._repr_latex_()}\n")


@pytest.mark.parametrize(("text", "expected"), WRITTEN.items())
def test_written(text: str, expected: str) -> None:
    assert latex(parse(text, OWN, PRIOR)) == expected


@pytest.mark.parametrize(("text", "expected"), ROLES.items())
def test_written_of_a_pair(text: str, expected: str) -> None:
    assert latex(parse(text, OWN, TARGET)) == expected


def test_names() -> None:
    assert [name(word) for word in ("alpha", "mu1", "lam", "k", "k2", "Gamma")] == [
        r"\alpha", r"\mu_{1}", r"\lambda", "k", "k_{2}", r"\Gamma",
    ]  # fmt: skip
    assert name("a_long_name") == r"\mathrm{a\_long\_name}"
    # sigma is the logistic function, pi a policy, alpha_1 is not alpha1: these stay words.
    assert [name(w) for w in ("sigma", "pi1", "alpha_1")] == [
        r"\mathrm{sigma}", r"\mathrm{pi1}", r"\mathrm{alpha\_1}",
    ]  # fmt: skip
    assert policy("pi_my_own") == r"\pi_{\mathrm{my\_own}}"


def test_a_parameter_is_not_an_index() -> None:
    index = Index("t", position=True)
    assert latex(index) == "t"
    assert latex(Parameter("t")) == r"\mathrm{t}"


def test_every_function_has_a_template() -> None:
    for word in FUNCTIONS.values():
        count = word.arity[0]
        written = latex(parse(f"{word.name}({', '.join('ab'[:count])})", OWN, PRIOR))
        assert "a" in written
        assert balanced(written)


# --- Lines ---------------------------------------------------------------------------------------


def balanced(tex: str) -> bool:
    """Whether braces, environments and sized brackets of each kind pair up."""
    pairs = [("left", "right"), ("Bigl", "Bigr"), ("biggl", "biggr"), ("begin", "end")]
    words = re.findall(r"\\([A-Za-z]+)", tex)
    counted = all(words.count(a) == words.count(b) for a, b in pairs)
    bare = re.sub(r"\\[{}]", "", tex)
    return counted and bare.count("{") == bare.count("}")


def broken(expr: Expr, limit: float) -> list[str]:
    return [tex(line) for line in layout.lines(write(expr), limit)]


def long_sum(count: int = 60) -> Expr:
    terms = (f"{n}*a*log(pi(y)/pi_ref(y))**{n}" for n in range(1, count + 1))
    return parse(" + ".join(terms), OWN, PRIOR)


@pytest.mark.parametrize("limit", [56, 64, 76, 120])
def test_lines_keep_to_their_width(limit: float) -> None:
    expressions = [part for algorithm in PAPER for part in load(algorithm).expressions]
    for expr in (*expressions, long_sum()):
        assert balanced("".join(broken(expr, limit)))
        for line in layout.lines(write(expr), limit):
            # A bracket over, since brackets grow with what they hold.
            assert width(line) <= limit + 5, tex(line)


def test_a_sum_breaks_between_terms() -> None:
    found = broken(long_sum(), 76)
    assert len(found) > 5
    assert all(line.startswith(("{}+ ", "{}- ")) for line in found[1:])
    assert all(balanced(line) for line in found)


def test_a_short_formula_stays_on_its_line() -> None:
    expr = parse("a*log(pi(y)/pi_ref(y))", OWN, PRIOR)
    assert broken(expr, 76) == [latex(expr)]


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("exp({0})", r"\exp\biggl("),
        ("log(1 + ({0})**2)", r"\log\biggl("),
        ("1/(1 + ({0})**2)", r"^{-1}"),
        ("({0})/len(y)", r"\frac{1}{|y|}\biggl("),
        ("b**({0})", r"b \uparrow \biggl("),
        ("sqrt(1 + ({0})**2)", r"^{1/2}"),
        ("max(1, {0})", r"\max\biggl(1,"),
        ("sum({0} for t in y)", r"\sum_{t=1}^{|y|}"),
        ("by_label({0}, 0)", r"\quad\text{if } y = y_w,"),
    ],
)
def test_long_brackets_open(text: str, sign: str) -> None:
    inner = " + ".join(f"a**{n}*pi(y)/pi_ref(y)" for n in range(2, 14))
    shown = layout.lines(write(parse(text.format(inner), OWN, PRIOR)), 60)
    found = list(map(tex, shown))
    assert len(found) > 1
    assert sign in " ".join(found)
    assert balanced(" ".join(found))
    assert max(map(width, shown)) <= 66


@given(texts(PRIOR))
def test_any_expression_can_be_written_and_broken(text: str) -> None:
    expr = read(text, PRIOR)
    if expr is not None:
        assert balanced(latex(expr))
        assert balanced("".join(broken(expr, 40)))


def read(text: str, place: Place) -> Expr | None:
    """The expression, or None where the language refuses it (a division by zero, say)."""
    try:
        return parse(text, NAMES, place)
    except Exception:
        return None


def test_nesting_takes_linear_time() -> None:
    deep = "b"
    for _ in range(14):
        deep = f"(1 + pi(y))/(2 + {deep})"
    assert balanced(latex(parse(deep, OWN, PRIOR)))


# --- TeX -----------------------------------------------------------------------------------------

DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern,amsmath,amssymb}
\begin{document}
%s
\end{document}
"""


@needs_tex("lmodern.sty")
@pytest.mark.tex
def test_any_expression_compiles_and_is_as_wide_as_estimated(tmp_path: Path) -> None:
    found: list[Formula] = []

    for place in (PRIOR, TARGET, LINK):
        collect(place, found)
    for algorithm in PAPER:
        for step in verify(load(algorithm)).steps:
            found.extend(write(term) for term in Add.make_args(step.after))
    widths_of = {tex(line): width(line) for line in found if balanced(tex(line))}
    formulas = sorted(widths_of)
    assert len(formulas) > 150
    boxes = (
        rf"\setbox0\hbox{{$\displaystyle {formula}$}}\typeout{{W {number} \the\wd0}}"
        for number, formula in enumerate(formulas)
    )
    source = tmp_path / "many.tex"
    source.write_text(DOCUMENT % "\n".join(boxes))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", source.name],
        cwd=tmp_path, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    widths = {int(a): float(b) / 5 for a, b in re.findall(r"W (\d+) ([\d.]+)pt", done.stdout)}
    assert len(widths) == len(formulas)
    for number, formula in enumerate(formulas):
        assert widths[number] <= 1.15 * widths_of[formula] + 3, formula


def collect(place: Place, found: list[Formula]) -> None:
    """The notation of many expressions that the language can write."""

    @given(texts(place))
    def one(text: str) -> None:
        expr = read(text, place)
        if expr is not None:
            found.extend([write(expr), *layout.lines(write(expr), 50)])

    one()


def test_one_sum_of_tokens_is_one_operator() -> None:
    assert isinstance(parse("sum(w(y, t) for t in y)", OWN, PRIOR), TokenSum)
    spec = loads('name = "one"\nprior = "pi(y)*exp(sum(pi(y, t) for t in y))"')
    assert spec._repr_latex_().count(r"\sum") == 1
