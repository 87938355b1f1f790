"""A function of the language is one row: an imaginary one, and every stage is asked for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sympy import Rational

import midpo
from midpo.codegen.plan.derivatives import by_symbol
from midpo.numeric.arithmetic import Digits, Floats, Intervals
from midpo.numeric.checking.tape import Tape
from midpo.numeric.duals import Dual, Duals
from midpo.numeric.evaluate import Evaluator, Point
from midpo.proofs.audit.calculus import log_prior, rows
from midpo.proofs.certify.printer import NotExportable, Printer
from midpo.symbolic.algebra.derivative import derivative
from midpo.symbolic.algebra.shapes import cancelled
from midpo.symbolic.algebra.signs import same_sign
from midpo.symbolic.domains.intervals import rising
from midpo.symbolic.errors import NotYet
from midpo.symbolic.formula.characters import mathematics
from midpo.symbolic.formula.latex import latex
from midpo.symbolic.language.nodes import CHOSEN, Node, Parameter
from midpo.symbolic.language.signs import enclosure
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import BY_NODE, FUNCTIONS, Word, word_of
from midpo.writers.html.page import functions
from midpo.writers.html.plots import NotDrawn, tree

X = Parameter("x")
ROW = Word(
    "rise",
    Node,
    (1, 1),
    lambda ops, x: x / ops.sqrt(1 + x * x),
    says="x/sqrt(1 + x**2)",
    image=rising(Fraction(-1), Fraction(1), {0: 0}),
    slopes=lambda x: ((1 + x**2) ** Rational(-3, 2),),
    keeps_sign=True,
    torch="({0} / torch.sqrt(1 + {0} * {0}))",
    triton="({0} / tl.sqrt(1.0 + {0} * {0}))",
    c="({0} / _sqrt(1.0 + {0} * {0}))",
    coq="rise",
    script="chain((a) => a / Math.hypot(1, a), (a) => (1 + a * a) ** -1.5)",
)
PRIOR = """
name = "imaginary"
prior = "pi_ref(y)*exp(c*sum(rise(pi(y, t)) for t in y))"
[parameters]
alpha = "positive"
c = "real"
[target]
margin = '''alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))
  - alpha*c*sum(rise(pi(y_w, t)) for t in y_w) + alpha*c*sum(rise(pi(y_l, t)) for t in y_l)'''
"""
ENTRIES = """
name = "entries"
[target]
margin = '''sum(sum(pi(y_w, t, v)*rise(pi(y_w, t, v)) for v in vocab) for t in y_w)
  - sum(log(pi(y_l, t)) for t in y_l)'''
"""
NUMBER = itertools.count()
Add = Callable[..., Word]


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Add:
    """Adds the row, less some columns, for a node that no cache has seen."""

    def added(**less: Any) -> Word:
        node = type(f"Rise{next(NUMBER)}", (Node,), {})
        word = replace(ROW, node=node, **less)
        monkeypatch.setitem(FUNCTIONS, word.name, word)
        monkeypatch.setitem(BY_NODE, node, word)
        return word

    return added


def kernel(backend: str) -> Callable[[Word], str]:
    return lambda word: str(midpo.generate(midpo.loads(ENTRIES), backend=backend))


def audited(word: Word) -> str:
    prior = midpo.loads(PRIOR).prior
    (row,) = rows(log_prior(prior, CHOSEN))
    return text(row.weight)


# Stage -> what it says of the word, and the columns of the row that it cannot do without.
STAGES: dict[str, tuple[Callable[[Word], str], str, tuple[str, ...]]] = {
    "text": (lambda word: text(word.node(X)), "rise(x)", ()),
    "terminal": (lambda word: mathematics(word.node(X)), "rise(x)", ()),
    "page": (lambda word: latex(word.node(X)), r"\mathrm{rise}\left(x\right)", ()),
    "reference": (lambda word: f"`{word.call}` | {word.says}", "`rise(x)` | x/sqrt(1 + x**2)", ()),
    "sign": (lambda word: str(enclosure(word.node(X))), "(-1, 1)", ()),
    "sign alone": (lambda word: text(same_sign(word.node(X))), "x", ()),
    "quotient": (lambda word: text(cancelled(word.node((X**2 - 1) / (X - 1)))), "rise(1 + x)", ()),
    "proof": (lambda word: midpo.verify(midpo.loads(PRIOR)).verdict, "proved", ()),
    "derivative": (lambda word: text(derivative(word.node(2 * X), by_symbol(X))), "4*x**2", ("slopes",)),
    "audit": (audited, "pi(y, t)", ("slopes",)),
    "Coq": (lambda word: Printer(frozenset()).term(word.node(X)), "rise p_x", ("coq",)),
    "plot": (lambda word: f"{tree(word.node(X))} {functions()}", "rise: chain((a) =>", ("script",)),
    "eager": (kernel("eager"), "/ torch.sqrt(1 + policy_probs * policy_probs)", ("torch",)),
    "fused": (kernel("fused"), "/ torch.sqrt(1 + policy_probs * policy_probs)", ("torch", "slopes")),
    "triton": (
        kernel("triton"),
        "/ tl.sqrt(1.0 + policy_probs * policy_probs)",
        ("torch", "slopes", "triton"),
    ),
    "native": (kernel("native"), "policy_probs / _sqrt(1.0f +", ("torch", "slopes", "c")),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_row_is_enough(stage: str, add: Add) -> None:
    said, expected, _ = STAGES[stage]
    assert expected in said(add())


@pytest.mark.parametrize(("stage", "column"), [(s, c) for s in STAGES for c in STAGES[s][2]])
def test_a_stage_says_whose_row_lacks_what(stage: str, column: str, add: Add) -> None:
    said, _, _ = STAGES[stage]
    with pytest.raises(
        (NotYet, NotExportable, NotDrawn), match=f"rise: its row in the table of words has no {column}"
    ):
        said(add(**{column: None}))


def test_a_stage_asks_for_no_more_than_it_needs(add: Add) -> None:
    """Each answers where the row leaves out every text but those that the stage needs."""
    texts = ("slopes", "torch", "triton", "c", "coq", "script")
    for stage, (said, expected, needs) in STAGES.items():
        word = add(**{column: None for column in texts if column not in needs})
        assert expected in said(word), stage


def test_its_value_in_every_kind_of_numbers(add: Add) -> None:
    """3/4 over sqrt(1 + 9/16) is 3/5, and the derivative there (4/5)**3."""
    node = add().node(X)
    for ops in (Floats(), Digits(), Intervals()):
        value = Evaluator(ops, Point({}, {}, {"x": ops.number(Fraction(3, 4))}))(node)
        assert abs(float(getattr(value, "mid", value)) - 0.6) < 1e-15
    value = Evaluator(Duals(), Point({}, {}, {"x": Dual(0.75, np.ones(1))}))(node)
    assert (value.value, value.gradient[0]) == pytest.approx((0.6, 0.512))
    tape = Tape(Floats())
    leaf = tape.leaf(0.75)
    end = Evaluator(tape, Point({}, {}, {"x": leaf}))(node)
    assert (end.value, tape.adjoints([(end, 1)])[leaf.at]) == pytest.approx((0.6, 0.512))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "fused"])
def test_its_kernels_are_held_against_its_value(backend: str, add: Add) -> None:
    add()
    spec = midpo.loads(ENTRIES)
    found = midpo.check(spec, backend=backend, trials=4, dtypes=["float64"])
    assert found.passed, found.failure


def test_a_node_without_a_row_is_refused_by_name() -> None:
    class Orphan(Node):
        pass

    def slope(node: Any) -> Any:
        return derivative(node, by_symbol(X))

    for asked in (word_of, text, slope):
        with pytest.raises(NotYet, match="Orphan has no row in the table of words"):
            asked(Orphan(X))
