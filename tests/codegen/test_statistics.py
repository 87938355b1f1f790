"""Statistics and their gradients: SymPy's own derivative through the softmax agrees."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import sympy
from sympy import Expr, Symbol, exp, log, symbols

import midpo
from midpo.codegen.backends import passes
from midpo.codegen.plan.lower import lower
from midpo.codegen.plan.statistics import (
    ENTRY,
    EXTRA,
    POSITION,
    VALUE,
    Statistic,
    divergence_statistic,
    entropy_statistic,
    probability,
    slope,
    stages,
    statistics,
)
from midpo.symbolic.language.nodes import RESPONSE, Exp, Log, Sigmoid, Sqrt, Tanh, VocabSum
from midpo.symbolic.language.spec import catalogue, load
from midpo.symbolic.language.words import BY_NODE

SIZE = 3
Z = {p: symbols(f"{p}_z1:{SIZE + 1}", real=True) for p in ("pi", "pi_ref")}
P, Q = probability("pi"), probability("pi_ref")


def summed(body: Expr, label: str = "") -> Statistic:
    node = VocabSum(body, ENTRY)
    return Statistic(node, "sum", ("pi", "pi_ref"), body)


CASES = {
    "kl(pi, pi_ref)": (divergence_statistic("pi", "pi_ref"), False),
    "kl(pi_ref, pi)": (divergence_statistic("pi_ref", "pi"), False),
    "entropy": (entropy_statistic("pi"), False),
    "collision": (summed(P**2), False),
    "chi-square": (summed(P**2 / Q), False),
    "Renyi": (summed(sympy.sqrt(P) * sympy.sqrt(Q)), False),
    "cross-entropy": (summed(-Q * Log(P)), False),
    "squared log-ratio": (summed(P * (Log(P) - Log(Q)) ** 2), True),
    "tanh": (summed(Tanh(P) + Exp(P) * Sqrt(Q)), True),
}


def plain(expr: Expr, entry: int) -> Expr:
    """`expr` at a vocabulary entry, in SymPy's own functions of the logits."""
    expr = expr.replace(Sigmoid, lambda x: 1 / (1 + Exp(-x)))
    table = {probability(p): exp(z[entry]) / sum(map(exp, z)) for p, z in Z.items()}
    written = expr.xreplace(table)
    for node, function in ((Log, log), (Exp, exp), (Sqrt, sympy.sqrt), (Tanh, sympy.tanh)):
        written = written.replace(node, function)
    return written.doit()


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_derivative_through_the_softmax(name: str) -> None:
    one, extra = CASES[name]
    found = slope(one)
    assert one.body is not None
    assert (found.extra is not None) is extra
    value = sum(plain(one.body, v) for v in range(SIZE))
    total = sum(plain(found.inner, v) for v in range(SIZE))
    given = {VALUE: value, EXTRA: total}
    point = dict(
        zip(
            (z for zs in Z.values() for z in zs),
            map(sympy.Rational, ("1/3", "-1/2", "2", "1", "-1/5", "1/7")),
            strict=True,
        )
    )
    for v, z in enumerate(Z["pi"]):
        ours = plain(found.inner, v) - plain(P, v) * found.total.xreplace(given)
        theirs = sympy.diff(value, z)
        difference = (ours - theirs).subs(point).evalf(40)
        assert abs(difference) < 1e-35, (name, v, difference)
        wrong = plain(found.inner, v) - theirs  # without the softmax's own part
        assert abs(wrong.subs(point).evalf(40)) > 1e-6


@pytest.mark.parametrize("name", ["kl(pi, pi_ref)", "kl(pi_ref, pi)", "entropy"])
def test_gradient_is_the_formula_on_paper(name: str) -> None:
    one, _ = CASES[name]
    found = slope(one)
    ours = sympy.expand(found.inner - P * found.total)
    paper = {
        "kl(pi, pi_ref)": P * (Log(P) - Log(Q) - VALUE),
        "kl(pi_ref, pi)": P - Q,
        "entropy": -P * (Log(P) + VALUE),
    }[name]
    assert sympy.expand(ours - paper) == 0


def test_partials_are_slopes() -> None:
    """Each row of the table against a central difference in 30 digits."""
    from midpo.numeric.arithmetic import digits
    from midpo.numeric.evaluate import Evaluator, Point
    from midpo.symbolic.language.nodes import Parameter

    ops, x = digits(), Parameter("x")
    for node, word in BY_NODE.items():
        if word.arity[0] != 1 or word.name == "sg":
            continue
        for at in (0.5, 2.0) if word.domain != "real" else (-2.0, -0.5, 0.5, 2.0):
            step = ops.number(sympy.Rational(1, 10**12))
            base = ops.number(sympy.Rational(at))

            def value(expr: Expr, where: Any, x: Any = x) -> Any:
                return Evaluator(ops, Point({}, {}, {"x": where}))(expr)

            high, low = (value(node(x), base + s * step) for s in (1, -1))
            (ours,) = word.column("slopes")(x)
            assert abs(value(ours, base) - (high - low) / (2 * step)) < 1e-20, (node, at)


@pytest.mark.parametrize("name", ("dpo", "simpo", "rdpo", "tdpo", "tis-dpo", "sparsepo"))
def test_catalogue_needs_one_pass(name: str) -> None:
    lowered = lower(midpo.load(name))
    found = statistics(e for e in (lowered.margin, lowered.loss) if e is not None)
    assert len(stages(found)) == 1
    sums = [s for s in found if not s.is_label]
    assert len(sums) == (name in ("tdpo", "tis-dpo", "sparsepo"))


def test_a_sum_that_depends_on_a_statistic_comes_after_it() -> None:
    spec = midpo.loads(
        'name = "x"\n[target]\nmargin = """sum(sum(tanh(pi(y_w, s, v)*entropy(pi, y_w, s))'
        ' for v in vocab) for s in y_w) - log(pi(y_l))"""'
    )
    lowered = lower(spec)
    first, second = stages(statistics(e for e in (lowered.margin, lowered.loss) if e is not None))
    assert {s.name for s in first} == {"policy_token_logps", "entropy_policy"}
    ((_, context),) = second[0].contexts
    assert context == entropy_statistic("pi").node
    assert context.free_symbols >= {RESPONSE, POSITION, Symbol("pi")}


def test_the_benchmark_measures_each_way_of_reading_logits() -> None:
    """Of the kernels of the catalogue; so that what its table says holds for every row."""

    def way(name: str) -> tuple[object, ...]:
        found = passes(lower(load(name)), set())
        return tuple((c.reads, c.rereads, c.in_place, c.near_one) for c in found)

    source = (Path(__file__).parents[2] / "benchmarks" / "kernels.py").read_text()
    groups = re.search(r"^GROUPS = (\(.*\))$", source, re.M)
    assert groups is not None
    measured = {way(name) for name in ("dpo", "tdpo", *ast.literal_eval(groups[1]))}
    rows = [n for n in catalogue() if load(n).batch is not None or not load(n).reason]
    assert {way(name) for name in rows} == measured and len(rows) > 70
