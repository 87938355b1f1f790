"""The framework's theorems: rules, derivations, evidence, slips, command and documentation."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sympy import Expr, Integer, S

from midpo.commands.derive import command
from midpo.numeric.framework import Values, draw
from midpo.proofs.checking.check import CheckFailed, check
from midpo.proofs.framework import slip_checks
from midpo.proofs.framework import theorems as framework_theorems
from midpo.proofs.framework.optimum import ALPHA, BETA, LAGRANGIAN, OPTIMAL_POLICY, L, W, Y, pi, r
from midpo.proofs.framework.representability import separable
from midpo.proofs.framework.slips import SLIPS, checked
from midpo.proofs.framework.theorem import Fact, confirm, derive, evidence, prove
from midpo.proofs.framework.theorems import theorem, theorems
from midpo.symbolic.errors import SpecError
from midpo.symbolic.formula.characters import mathematics
from midpo.symbolic.formula.latex import latex
from midpo.symbolic.formula.latex import tex as in_latex
from midpo.symbolic.framework.hypothesis import HYPOTHESIS, Hypothesis
from midpo.symbolic.framework.rules import FRAMEWORK
from midpo.symbolic.framework.words import (
    PROMPTS,
    Element,
    Gap,
    Mean,
    Partial,
    Relative,
    Same,
    SumOver,
    applied,
    mass,
    nonnegative,
    positive,
    score,
)
from midpo.symbolic.language.nodes import Exp, Log, LogSigmoid, Parameter, Sigmoid
from midpo.symbolic.language.signs import is_below_one, is_positive
from midpo.symbolic.rewriting.derivation import Derivation, Instance, Step
from midpo.symbolic.rewriting.rule import ARITHMETIC, Rule
from midpo.writers.latex import framework as framework_report

ROOT = Path(__file__).parents[2]
ALL = {t.name: t for t in theorems()}
X, Z, Y1 = Element("x", PROMPTS), Element("z"), Element("y'")
LAM, T = Parameter("lam"), Parameter("t", "positive")
P, Q = mass("pi", Y), mass("zeta", Y)

# What the rules look at: several nodes for each row.
NODES: dict[str, list[Expr]] = {
    "relative_entropy": [Relative(P, Y, Q), Relative(mass("p", Y, X), Y, Q)],
    "mean": [Mean(P, Y, r(Y)), Mean(mass("p", Y, X), Y, score("r", X, Y) + Log(Q))],
    "gap": [Gap(P), Gap(1 + Exp(r(Y)))],
    "sum_linear": [SumOver(LAM * P + r(W) * r(Y) - 3, Y), SumOver(S.Zero, Y),
                   SumOver(2 * P * r(Y) + LAM * Q, Y)],
    "element_name": [SumOver(mass("pi", Z) * r(Y), Z), SumOver(SumOver(r(Y) * r(Z), Y), Z)],
    "sum_exchange": [SumOver(mass("p", X) * SumOver(score("r", X, Y), Y), X),
                     SumOver(SumOver(score("r", X, Y) * P, Y), X)],
    "sum_same": [SumOver(Same(Y, W) * r(Y) * pi(Y), Y), SumOver(Same(L, Y1), Y1),
                 SumOver(Same(Y, W) * SumOver(score("m", Y, Z), Z), Y)],
    "same_self": [Same(W, W)],
    "partial_free": [Partial(r(Y) * Q, P), Partial(P, LAM), Partial(S.Zero, P)],
    "partial_self": [Partial(LAM, LAM)],
    "partial_law": [Partial(P, mass("pi", W)), Partial(P, P),
                    Partial(mass("p", Y, X), mass("p", W, X))],
    "partial_sum": [Partial(P + LAM * P**2, P), Partial(LAM + T**2, T)],
    "partial_product": [Partial(P * Log(P) * r(Y), P), Partial(LAM * Exp(LAM * T), LAM)],
    "partial_power": [Partial(P**3, P), Partial(1 / P, P), Partial((LAM + T) ** 2, T)],
    "partial_log": [Partial(Log(P), P), Partial(Log(1 + T**2), T)],
    "partial_exp": [Partial(Exp(LAM * P), P), Partial(Exp(T**2), T)],
    "partial_logsigmoid": [Partial(LogSigmoid(LAM * T), LAM), Partial(LogSigmoid(P), P)],
    "partial_sigmoid": [Partial(Sigmoid(LAM * T), LAM)],
    "partial_applied": [Partial(applied("F", LAM * T), LAM), Partial(applied("F", P, 2), P)],
    "partial_sum_over": [Partial(SumOver(P * r(Y), Y), P), Partial(SumOver(P**2, Y), pi(W)),
                         Partial(SumOver(r(Y) * LAM**2, Y), LAM),
                         Partial(SumOver(P * SumOver(mass("pi", Y1), Y1), Y), P)],
}  # fmt: skip


def difference(left: Expr, right: Expr, seed: int) -> float:
    """The relative difference of the two at a random instance."""
    instance = draw((left, right), (), seed)
    values = Values(instance)
    a, b = (values.value(side, dict(instance.scope)) for side in (left, right))
    return float(abs(a - b) / max(1, abs(a), abs(b)))


def disagreement(rule: Rule, nodes: list[Expr]) -> float:
    """The largest difference between the rule's sides; at least one node must be its own."""
    worst = []
    for node in nodes:
        parts = rule.find(node)
        assert parts is not None and rule.holds(*parts) and rule.left(*parts) == node, node
        worst += [difference(node, rule.right(*parts), seed) for seed in range(4)]
    return max(worst)


@pytest.mark.parametrize("name", FRAMEWORK)
def test_both_sides_of_every_rule_are_equal(name: str) -> None:
    assert disagreement(FRAMEWORK[name], NODES[name]) < 1e-40


def _planted() -> dict[str, Rule]:
    def wrong(name: str, right: Any) -> Rule:
        return dataclasses.replace(FRAMEWORK[name], right=right)

    return {
        "the other law": wrong("relative_entropy", lambda p, y, q: SumOver(q * Log(p / q), y)),
        "no weights": wrong("mean", lambda p, y, f: SumOver(f, y)),
        "no one": wrong("gap", lambda u: u - Log(u)),
        "a factor lost": wrong("sum_linear", lambda terms, y: sum((SumOver(e, y) for _, e in terms), S.Zero)),
        "not all": wrong("sum_same", lambda same, rest, y, other: SumOver(rest, y)),
        "both at once": wrong("partial_law", lambda body, v: S.One),
        "no product rule": wrong("partial_product", lambda factors, v: Partial(factors[0], v)),
        "power kept": wrong("partial_power", lambda parts, v: parts[0] ** parts[1] * Partial(parts[0], v)),
        "no inner": wrong("partial_log", lambda parts, v: 1 / parts[0]),
        "exp of slope": wrong("partial_exp", lambda parts, v: Exp(Partial(parts[0], v))),
        "sigmoid unturned": wrong(
            "partial_logsigmoid", lambda parts, v: Sigmoid(parts[0]) * Partial(parts[0], v)
        ),
        "captured": wrong("partial_sum_over", lambda body, y, new, v: SumOver(Partial(body, v), y)),
        "slope of slope": wrong(
            "partial_applied",
            lambda parts, v: applied(str(parts[0]), parts[1], int(parts[2]) + 2) * Partial(parts[1], v),
        ),
        "free of nothing": wrong("partial_self", lambda v: S.Zero),
    }


@pytest.mark.parametrize("what", _planted())
def test_a_false_rule_is_caught(what: str) -> None:
    rule = _planted()[what]
    assert disagreement(rule, NODES[rule.name]) > 1e-6


def test_conditions_of_rules() -> None:
    assert not FRAMEWORK["partial_free"].holds(P * Q, P)
    assert not FRAMEWORK["partial_free"].holds(SumOver(P, Y), pi(W))
    assert not FRAMEWORK["partial_free"].holds(r(Y), r(Y))  # only masses and numbers vary
    assert not FRAMEWORK["partial_law"].holds(P, Q)
    assert not FRAMEWORK["sum_linear"].holds(((r(Y), P),), Y)
    assert not FRAMEWORK["element_name"].holds(r(Y) * r(W), Y, W)
    assert not FRAMEWORK["element_name"].holds(r(Y), Y, X)
    assert not FRAMEWORK["element_name"].holds(SumOver(r(Y) * r(Z), Y), Z, Y)
    assert not FRAMEWORK["sum_exchange"].holds(r(Y), r(Y), Y, X)
    assert not FRAMEWORK["sum_same"].holds(Same(Y, W), SumOver(score("m", Y, W), W), Y, W)
    assert not FRAMEWORK["partial_sum_over"].holds(P, Y, Y, P)
    assert not FRAMEWORK["partial_power"].holds((P, LAM), P)


def test_hypotheses_are_for_all_values_and_catch_nothing() -> None:
    inner = SumOver(score("m", W, Z), Z)
    rule = Hypothesis("h", "", mass("p", W), inner, (W,)).rule
    assert rule.holds(Y) and not rule.holds(Z)  # Z is bound inside
    assert not rule.holds(X) and not rule.holds(P) and not rule.holds(Y, Y)
    distinct = Hypothesis("d", "", score("m", W, L), S.Zero, (W, L), distinct=True).rule
    assert distinct.holds(Y, Z) and not distinct.holds(Y, Y)
    with pytest.raises(AssertionError, match="not for all"):
        Hypothesis("free", "", P, S.One)
    real = Hypothesis("real", "", applied("psi", LAM - T), S.Zero, (LAM, T)).rule
    assert real.find(applied("psi", ALPHA - BETA)) == (ALPHA, BETA)
    assert real.find(applied("psi", ALPHA)) is None


# --- Signs ---------------------------------------------------------------------------------------


def test_signs_are_read_off_only_where_they_hold() -> None:
    some = [
        P,
        Gap(P),
        Exp(LAM) * P,
        -LogSigmoid(LAM),
        Log(1 + Exp(LAM)),
        LAM**2,
        T * Gap(P),
        SumOver(P * Gap(Q), Y),
        SumOver(-P * LogSigmoid(LAM), Y),
        Same(Y, W),
        2 + LAM**2,
    ]
    assert all(map(nonnegative, some))
    never = [
        LAM,
        -P,
        Log(P),
        P - Q,
        LogSigmoid(LAM),
        LAM**3,
        SumOver(r(Y), Y),
        Log(1 - P),
        LAM * T,
        -LogSigmoid(LAM) * LogSigmoid(LAM) * LogSigmoid(LAM) * -1,
    ]
    assert not any(map(nonnegative, never))
    assert not positive(Gap(P)) and not positive(LAM**2) and positive(LAM**2 + 1)
    for expr in some:
        for seed in range(4):
            instance = draw((expr,), (), seed)
            value = Values(instance).value(expr, dict(instance.scope))
            assert value > 0 if positive(expr) else value >= 0


def test_the_gap_is_least_at_one() -> None:
    rng = random.Random(0)
    at = [1 + Fraction(rng.randint(-99, 900), 100) for _ in range(50)]
    instance = draw((Gap(T),), (), 0)
    for u in at:
        instance.parameters["t"] = instance.ops.number(u)
        value = Values(instance).value(Gap(T), {})
        assert value > 0 if u != 1 else value == 0


# --- Theorems ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_theorem_holds(name: str) -> None:
    found = ALL[name]
    for proof in found.proofs:
        assert proof.holds, f"{proof.part.name}: {proof.standing}"
        assert confirm(proof.part, proof.derivation) == len(proof.steps)
        assert proof.evidence.error < 1e-40 and proof.evidence.instances >= 6
    assert found.holds and found.standing.startswith("proved")


@pytest.mark.parametrize("name", ALL)
def test_every_hypothesis_is_needed(name: str) -> None:
    """Without the row of a hypothesis the chain is refused; where it is broken, numbers differ."""
    for proof in ALL[name].proofs:
        part = proof.part
        for hypothesis in part.given:
            fewer = {k: v for k, v in part.rules.items() if k != hypothesis.name}
            with pytest.raises(CheckFailed, match="does not follow"):
                confirm(part, proof.derivation, fewer)
            failing, tried = proof.evidence.broken[hypothesis.name]
            assert failing > 0 and tried >= 2, (part.name, hypothesis.name)


def mutations(step: Step, rules: Any) -> Iterator[tuple[str, Step]]:
    change = dataclasses.replace
    extra = Log(mass("other", W)) * Integer(7)
    yield "another after", change(step, after=step.after + extra)
    yield "another before", change(step, before=step.before + extra)
    yield "unknown rule", change(step, rule="wishful_thinking")
    if step.after != 0:
        yield "the after negated", change(step, after=-step.after)
    if step.rule == ARITHMETIC:
        return
    yield "claimed to be arithmetic", change(step, rule=ARITHMETIC)
    yield "without instances", change(step, instances=())
    other = next(n for n in FRAMEWORK if FRAMEWORK[n].head != rules[step.rule].head)
    yield "another rule's name", change(step, rule=other)
    for place, instance in enumerate(step.instances):
        wrong = change(instance, new=instance.new + 1)
        table = (*step.instances[:place], wrong, *step.instances[place + 1 :])
        yield f"instance {place}", change(step, instances=table)


@pytest.mark.parametrize("name", ALL)
def test_every_changed_step_is_refused(name: str) -> None:
    for proof in ALL[name].proofs:
        rules = proof.part.rules
        for number, step in enumerate(proof.steps):
            assert check(Derivation(step.before, [step]), step.before, step.after, rules=rules) == 1
            for what, changed in mutations(step, rules):
                chain = Derivation(changed.before, [changed])
                with pytest.raises(CheckFailed):
                    check(chain, changed.before, changed.after, rules=rules)
                    pytest.fail(f"{proof.part.name}, step {number}: {what}")
        if proof.steps:
            shorter = Derivation(proof.part.start, list(proof.steps[:-1]))
            with pytest.raises(CheckFailed, match="does not end"):
                confirm(proof.part, shorter)


@pytest.mark.parametrize("name", ALL)
def test_a_wrong_statement_is_neither_proved_nor_confirmed_by_numbers(name: str) -> None:
    for part in ALL[name].parts:
        wrong = (
            dataclasses.replace(part, right=part.right + Integer(1) / 1000)
            if part.relation == "="
            else dataclasses.replace(part, remainder=part.remainder + Integer(1) / 1000)
        )
        with pytest.raises(CheckFailed):
            confirm(wrong, derive(wrong))
        assert not evidence(wrong, 2).agrees
    found = prove(wrong)
    assert not found.holds and found.standing.startswith("not proved")


def test_an_inequality_needs_a_remainder_whose_sign_is_seen() -> None:
    unseen = Fact("unseen", "", S.Zero, "≤", r(Y) * r(Y) * r(W), (), r(Y) ** 2 * r(W))
    with pytest.raises(CheckFailed, match="sign"):
        confirm(unseen, derive(unseen))
    weak = Fact("weak", "", S.Zero, "<", Gap(P), (), Gap(P))
    with pytest.raises(CheckFailed, match="sign"):
        confirm(weak, derive(weak))


def test_no_hypothesis_is_used_under_a_derivative() -> None:
    """Where probabilities sum to one, the derivative of their sum is still one, not zero."""
    total = Hypothesis("total", "", SumOver(P, Y), S.One)
    start = Partial(SumOver(P, Y), pi(W))
    false = Fact("false", "", start, "=", S.Zero, (total,))
    steps = [
        Step("total", start, Partial(S.One, pi(W)), (Instance(SumOver(P, Y), S.One),)),
        Step(
            "partial_free",
            Partial(S.One, pi(W)),
            S.Zero,
            (Instance(Partial(S.One, pi(W)), S.Zero, (S.One, pi(W))),),
        ),
    ]
    check(Derivation(start, steps), start, S.Zero, rules=false.rules)  # each row by itself is right
    with pytest.raises(CheckFailed, match="under a derivative"):
        confirm(false, Derivation(start, steps))
    assert not prove(false).holds


def test_a_theorem_that_fails_says_where() -> None:
    wrong = Fact("wrong", "", r(W), "=", r(L))
    broken = dataclasses.replace(OPTIMAL_POLICY, parts=(*OPTIMAL_POLICY.parts[:2], wrong))
    assert not broken.holds and broken.standing.startswith("wrong: not proved")


def test_numbers_know_the_size_of_a_set() -> None:
    ones = SumOver(S.One, Y)
    sizes = {int(Values(i).value(ones, {})) for i in (draw((ones,), (), s) for s in range(6))}
    assert len(sizes) >= 4


def test_derivatives_are_difference_quotients() -> None:
    slope = Partial(LAGRANGIAN, pi(Y))
    wanted = next(p for p in OPTIMAL_POLICY.parts if p.name == "derivative").right
    assert difference(slope, wanted, 1) < 1e-40
    assert difference(slope, wanted + BETA / 10**6, 1) > 1e-9


def test_statements_are_written_from_expressions() -> None:
    found = theorem("theorem-2")
    assert "m(y_w, y_l) + m(y_w′, y_l′)" in found.stated()
    assert r"m(y_w, y_l)" in found.stated(latex)
    for t in theorems():
        assert "{" not in re.sub(r"_\{[^}]*\}", "", t.stated())
        for part in t.parts:
            assert part.formula().isprintable() and in_latex(part.laid_out).isascii()


@pytest.mark.parametrize(
    ("expr", "written", "tex"),
    [
        (SumOver(P * r(Y), Y), "Σ_y π(y)·r(y)", r"\sum_{y} \pi(y) r(y)"),
        (2 * SumOver(P + 1, Y), "2·(Σ_y (π(y) + 1))", r"\sum_{y} \left("),
        (Relative(mass("p", Y, X), Y, Q), "KL(p(·|x) ‖ ζ)", r"\mathrm{KL}\bigl(p(\cdot\mid x)"),
        (Mean(P, Y, r(Y)), "E_{y~π}[r(y)]", r"\mathbb{E}_{y\sim \pi}\bigl[r(y)\bigr]"),
        (Partial(Log(P), P), "∂/∂π(y) [log(π(y))]", r"\frac{\partial}{\partial \pi(y)}"),
        (Same(Y, W), "[y = y_w]", r"\mathbf{1}[y = y_w]"),
        (Gap(P), "gap(π(y))", r"\mathrm{gap}\left(\pi(y)\right)"),
        (applied("psi", LAM, 2), "ψ′′(λ)", r"\psi''(\lambda)"),
    ],
)
def test_writing(expr: Expr, written: str, tex: str) -> None:
    assert mathematics(expr) == written or written in mathematics(expr).replace("1 + π(y)", "π(y) + 1")
    assert tex in latex(expr)


# --- Slips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.name)
def test_every_slip_is_checked(slip: slip_checks.Slip) -> None:
    found = slip.findings()
    assert found and all(f.holds for f in found), [f for f in found if not f.holds]
    if slip.name != "A22":
        assert any(f.how != "reading" for f in found)


def test_slips_are_complete() -> None:
    assert [slip.name for slip in SLIPS] == [f"A{n}" for n in range(1, 23)]
    assert {slip.severity for slip in SLIPS} == {"E", "G", "N", "none"}


def test_checks_of_slips_can_fail() -> None:
    right = slip_checks.catalogued("dpo")
    assert not slip_checks.Refuted("not so", right)().holds
    assert not slip_checks.Recovered("not so", slip_checks.without_log_sigmoid)().holds
    wrong = Fact("wrong", "", r(W), "=", r(L), (separable,))
    assert not slip_checks.Derived(wrong)().holds
    assert not slip_checks.Computed("", lambda: ("", False))().holds


# --- The command ---------------------------------------------------------------------------------


def run(*args: str) -> Any:
    return CliRunner().invoke(command, list(args))


def test_the_list_checks_everything() -> None:
    found = run()
    assert found.exit_code == 0
    for name in ALL:
        assert name in found.output
    assert "proved" in found.output and "fails" not in found.output


def test_a_theorem_is_printed_with_its_steps() -> None:
    found = run("bradley-terry")
    assert found.exit_code == 0
    for word in ("assumptions", "given: reward", "definition of the logistic function", "replayed"):
        assert word in found.output
    assert "theorem-1" not in found.output


def test_json() -> None:
    found = run("theorem-7", "theorem-1", "--slips", "--json")
    assert found.exit_code == 0
    answer = json.loads(found.output)
    assert answer["holds"] and [t["name"] for t in answer["theorems"]] == ["theorem-7", "theorem-1"]
    part = answer["theorems"][0]["parts"][2]
    assert part["name"] == "exception" and part["steps"][-1]["reason"]
    assert part["evidence"]["largest_relative_error"] < 1e-40
    assert len(answer["slips"]) == 22 and all(s["holds"] for s in answer["slips"])


def test_an_unknown_theorem_names_what_is_near() -> None:
    with pytest.raises(SpecError, match='did you mean "theorem-7"'):
        theorem("teorem-7")
    assert isinstance(run("nothing").exception, SpecError)  # the group makes a message of it


def test_exit_status_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Fact("wrong", "It is not so", r(W), "=", r(L))
    false = dataclasses.replace(OPTIMAL_POLICY, name="false", parts=(wrong,))
    monkeypatch.setattr(framework_theorems, "theorems", lambda: (false,))
    for args in ((), ("false",), ("--json",)):
        found = run(*args)
        assert found.exit_code == 1
    assert json.loads(found.output)["holds"] is False
    assert "fails" in run().output and "not proved" in run("false").output


# --- Documentation -------------------------------------------------------------------------------

MARKS = ("<!-- theorems -->\n", "<!-- end of theorems -->\n")
SLIP_MARKS = ("<!-- slips -->\n", "<!-- end of slips -->\n")


def test_documentation_is_what_the_program_says(request: pytest.FixtureRequest) -> None:
    file = ROOT / "docs" / "theorems.md"
    text = file.read_text(encoding="utf-8")
    fresh = text
    for marks, part in (
        (MARKS, framework_report.markdown(theorems())),
        (SLIP_MARKS, framework_report.slips_markdown(checked())),
    ):
        head, rest = fresh.split(marks[0])
        _, tail = rest.split(marks[1])
        fresh = f"{head}{marks[0]}\n{part}\n{marks[1]}{tail}"
    if request.config.getoption("--update"):
        file.write_text(fresh, encoding="utf-8")
        text = fresh
    assert text == fresh, "pytest --update rewrites docs/theorems.md"


def test_solve_cites_theorems_that_are_there() -> None:
    source = (ROOT / "proofs" / "recover" / "solution.py").read_text(encoding="utf-8")
    cited = {int(n) for n in re.findall(r"[Tt]heorems? (\d)", source)}
    assert cited and cited <= set(range(1, 9))
    for number in cited:
        assert f"theorem-{number}" in ALL


def test_hypotheses_are_rows_of_their_own_phase() -> None:
    for t in theorems():
        for hypothesis in t.hypotheses:
            assert hypothesis.rule.phase == HYPOTHESIS
            assert hypothesis.words and hypothesis.rule.statement


def test_signs_are_known_of_words_that_are_kinds_of_the_languages() -> None:
    """A mass is a prior, positive and possibly above one; signs are looked up for kinds too."""
    for law in (pi(Y), 2 * pi(Y) / pi(W)):
        assert is_positive(law)
        assert not is_below_one(law)
