"""Side conditions on lengths, counts and positions: exported, met by a model, accepted by Coq."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import midpo
from midpo.proofs.certify import certificate
from midpo.proofs.certify.certificate import Certificate, check, named_apart
from midpo.proofs.certify.readback import forms
from midpo.proofs.certify.runner import NotChecked, find_tools
from midpo.proofs.certify.statement import Statement
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text

try:
    find_tools()
    reason = ""
except NotChecked as error:
    reason = str(error)
needs_coq = pytest.mark.skipif(bool(reason), reason=reason)

# In the prior as exponents of pi_ref(y), and as exponents of e.
LENGTHS = (
    "len(y)/(len(y) - 2)",
    "1/(len(y) - 1)",
    "1/(2*len(y) - 5)",
    "1/(len(y)**2 - 4)",
    "log(len(y) - 1)",
    "log(2*len(y) - 5)",
    "sqrt(len(y) - 1)",
    "1/(len(y) - beta)",
    "log(len(y) - beta)",
    "(len(y) - 1)**(1/2)",
    "1/(len(y)**2 - 3*len(y) + 2)",
    "1/(3 - len(y))",
    "log(4 - len(y))",
    "1/log(len(y))",
    "1/(len(y) - 1)/(len(y) - 3)",
    "log(len(y) - 10)",
    "1/(len(y)*(len(y) - 2))",
    "sum(1/(2*t - 3) for t in y)",
    "sum(log(t - 1/2) for t in y)",
    "log(log(len(y) + 2))",
)
PAIRS = (
    "len(y_w) - len(y_l)",
    "len(y_w) - 2*len(y_l)",
    "len(y_w)**2 - len(y_l)**2",
    "len(y_w) - 2",
    "len(y_w) + len(y_l) - 3",
    "log(len(y_w)/len(y_l))",
)
QUICK = {"len(y)/(len(y) - 2)", "log(len(y) - 1)", "sum(1/(2*t - 3) for t in y)", "len(y_w) - len(y_l)"}


def spec(prior: str, margin: str) -> Spec:
    return midpo.loads(f'''name = "x"
prior = "{prior}"
[parameters]
alpha = "positive"
beta = "positive"
[target]
margin = "{margin}"''')


def roles(written: str) -> tuple[str, str]:
    return re.sub(r"\by\b", "y_w", written), re.sub(r"\by\b", "y_l", written)


def power(written: str, sign: str = "-") -> Spec:
    """pi_ref(y) to that power; with another sign the target is wrong."""
    chosen, rejected = roles(written)
    other = {"-": "+", "+": "-"}[sign]
    return spec(
        f"pi_ref(y)**({written})",
        f"alpha*log(pi(y_w)) {sign} alpha*({chosen})*log(pi_ref(y_w))"
        f" - alpha*log(pi(y_l)) {other} alpha*({rejected})*log(pi_ref(y_l))",
    )


def bonus(written: str, sign: str = "-") -> Spec:
    chosen, rejected = roles(written)
    other = {"-": "+", "+": "-"}[sign]
    return spec(
        f"pi_ref(y)*exp(beta*({written}))",
        f"alpha*log(pi(y_w)/pi_ref(y_w)) {sign} alpha*beta*({chosen})"
        f" - alpha*log(pi(y_l)/pi_ref(y_l)) {other} alpha*beta*({rejected})",
    )


def cancelled(written: str) -> Spec:
    """A factor that cancels, and leaves its condition on the pair."""
    return spec(
        "pi_ref(y)",
        f"(alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l)))*({written})/({written})",
    )


def proved() -> dict[str, Spec]:
    """Those that verify proves; which condition it admits is its own question."""
    specs = {each: power(each) for each in LENGTHS}
    specs |= {f"beta times {each}": bonus(each) for each in LENGTHS}
    return specs | {each: cancelled(each) for each in PAIRS}


@pytest.mark.parametrize("written", [*LENGTHS, *PAIRS])
def test_side_conditions_on_lengths_are_exported(written: str) -> None:
    found = cancelled(written) if written in PAIRS else power(written)
    recovery = midpo.verify(found)
    if recovery.verdict != "proved":
        pytest.skip(f"verify: {recovery.verdict}, {recovery.standing}")
    exported = certificate.export(found, recovery)
    assert exported.state == "exported", exported.reason
    premises = Statement(found, False).premises()
    assert bool(premises) == any("len" in text(c.expr) for c in found.conditions)
    assert all(premise in exported.text for premise in premises)
    # What is asked of the pair at hand is not asked of every response.
    assert not re.search(r"Hypothesis \w+ : forall [^,]*, [^.]*INR \(n \w\)[^.]*<> 0", exported.text)


def judged(specs: dict[str, Spec], verdict: str) -> dict[str, Certificate]:
    recoveries = {name: midpo.verify(one) for name, one in specs.items()}
    kept = {n: r for n, r in recoveries.items() if r.verdict == verdict}
    found = named_apart([certificate.export(specs[n], r) for n, r in kept.items()])
    return dict(zip(kept, check(found), strict=True))


@needs_coq
@pytest.mark.coq
def test_coq_accepts_them() -> None:
    found = judged({n: s for n, s in proved().items() if n in QUICK}, "proved")
    assert found
    assert {n: (c.state, c.reason) for n, c in found.items()} == dict.fromkeys(found, ("checked", ""))


@needs_coq
@pytest.mark.coq
@pytest.mark.slow
def test_coq_accepts_all_of_them() -> None:
    found = judged(proved(), "proved")
    assert len(found) > 10
    assert {n: (c.state, c.reason) for n, c in found.items()} == dict.fromkeys(found, ("checked", ""))


@needs_coq
@pytest.mark.coq
@pytest.mark.slow
def test_false_ones_are_refuted() -> None:
    found = judged({each: bonus(each, "+") for each in LENGTHS}, "refuted")
    states = {n: c.state for n, c in found.items()}
    assert set(states.values()) <= {"checked", "not exportable"}
    assert sum(state == "checked" for state in states.values()) >= len(states) // 2
    for one in found.values():  # only for want of an exact number
        assert one.state == "checked" or "is not exact" in one.reason


@needs_coq
@pytest.mark.coq
@pytest.mark.parametrize(
    "change",
    [
        ("(INR (n w) - 2) <> 0", "(INR (n w) - 3) <> 0"),  # another condition
        ("(INR (n w) - 2) <> 0 ->", "INR (n w) = INR (n l) -> (INR (n w) - 2) <> 0 ->"),
    ],
)
def test_a_wrong_premise_is_seen(change: tuple[str, str]) -> None:
    found = certificate.export(power("len(y)/(len(y) - 2)"))
    old, new = change
    assert old in found.text
    (answer,) = check([replace(found, text=found.text.replace(old, new))])
    assert answer.state in ("refused", "mismatch")


@needs_coq
@pytest.mark.coq
def test_a_model_that_does_not_meet_the_conditions_is_seen() -> None:
    found = certificate.export(power("len(y)/(len(y) - 2)"))
    text = found.text.replace("if y then 1%nat else 1%nat", "if y then 2%nat else 1%nat")
    assert text != found.text
    (answer,) = check([replace(found, text=text)])
    assert answer.state == "not checked"


def test_forms_of_a_condition() -> None:
    condition = power("1/(len(y) - 1)").conditions[0]
    assert [text(expr) for _, expr in forms(condition)] == ["len(y) - 1", "-1 + len(y_w)", "-1 + len(y_l)"]
