"""Signs that are known, sums in closed form, even powers: proved, and refuted a step beside."""

from __future__ import annotations

import pytest

import midpo

HEAD = """[parameters]
alpha = "positive"
c = "positive"
be = "real"
g = "unit"
[features]
score = "response"
w = "token"
size = { kind = "response", domain = "positive" }
[target]
"""
KL, BACK = "kl(pi_ref, pi, {0}, t)", "kl(pi, pi_ref, {0}, t)"

# What a response adds to the margin (less alpha), and another way to write it.
EQUAL = {
    "a divergence": (f"sum({KL} for t in {{0}})", f"sum(max({KL}, 0) for t in {{0}})"),
    "relu": (f"sum({KL} for t in {{0}})", f"relu(sum({KL} for t in {{0}}))"),
    "abs of entropies": (
        "sum(entropy(pi, {0}, t) for t in {0})",
        "sum(abs(entropy(pi, {0}, t)) for t in {0})",
    ),
    "a minimum": ("0", f"sum(min(c*{KL}, 0) for t in {{0}})"),
    "below the bound": (
        "be*sum(entropy(pi, {0}, t) for t in {0})",
        "be*max(sum(entropy(pi, {0}, t) for t in {0}), -1)",
    ),
    "a step": ("len({0})", f"sum(step({KL}) for t in {{0}})"),
    "two divergences": (
        f"sum({KL} + c*{BACK} for t in {{0}})/len({{0}})",
        f"max(sum({KL} + c*{BACK} for t in {{0}})/len({{0}}), 0)",
    ),
    "log-probabilities": ("0", "max(log(pi({0})), 0)"),
    "of tokens": ("0", "sum(max(log(pi({0}, t)), 0) for t in {0})"),
    "smaller than 1": ("pi({0})", "min(pi({0}), 1)"),
    "absolute value": ("-log(pi({0}))", "abs(log(pi({0})))"),
    "geometric": ("sum(g**t for t in {0})", "g*(1 - g**len({0}))/(1 - g)"),
    "squares": ("c*sum(g**(2*t) for t in {0})", "c*g**2*(1 - g**(2*len({0})))/(1 - g**2)"),
    "from 0": ("sum(g**(t - 1) for t in {0})", "(1 - g**len({0}))/(1 - g)"),
    "halves": ("sum((1/2)**t for t in {0})", "1 - (1/2)**len({0})"),
    "exponentials": ("sum(exp(-c*t) for t in {0})", "(exp(-c) - exp(-c*(len({0}) + 1)))/(1 - exp(-c))"),
    "positions": ("sum(t for t in {0})", "len({0})*(len({0}) + 1)/2"),
    "their squares": ("sum(t**2 for t in {0})", "len({0})*(len({0}) + 1)*(2*len({0}) + 1)/6"),
    "their cubes": ("be*sum(t**3 for t in {0})", "be*sum(t for t in {0})**2"),
    "even power": ("len({0})*log(be**2)", "2*len({0})*log(abs(be))"),
    "of data": ("log(score({0})**4)", "4*log(abs(-score({0})))"),
    "of a sum": ("len({0})*log((be - 1)**2)", "2*len({0})*log(abs(1 - be))"),
    "signs of exponentials": (
        "sum(step((exp(t) - exp(-t))/(exp(t) + exp(-t))) for t in {0})",
        "sum(1 - step(-tanh(t)) for t in {0})",
    ),
    "a point 0": (
        "max(log(1 + c**2), logsigmoid(2))",
        "logsigmoid(2) + (log(1 + (relu(c) - relu(-c))**2) - logsigmoid(2))"
        "*step(log(1 + (relu(c) - relu(-c))**2) - logsigmoid(2))",
    ),
    "exponentials on a cell": (
        "max(tanh(be), score({0}))",
        "score({0}) + (tanh(max(be, 0) + min(be, 0)) - score({0}))"
        "*step(tanh(max(be, 0) + min(be, 0)) - score({0}))",
    ),
    "quotients in maxima": (
        "max(abs(be), sigmoid(g)) - max(1/(1 + score({0})**2), 1/(1 + g**2))",
        "max(abs(be), sigmoid(-(-g))) + min(-2/(2 + 2*score({0})**2), g**2/(1 + g**2) - 1)",
    ),
    "less than its own mean": ("0", "max(score({0}), score({0}) - abs(be*g)) - score({0})"),
}
DIFFERENT = {
    "clamped at 1": (f"sum({KL} for t in {{0}})", f"sum(max({KL}, 1) for t in {{0}})"),
    "from 0 or from 1": ("sum(g**t for t in {0})", "(1 - g**len({0}))/(1 - g)"),
    "one position less": ("sum(t for t in {0})", "len({0})*(len({0}) - 1)/2"),
    "odd power": ("len({0})*log(abs(be)**3)", "2*len({0})*log(abs(be))"),
    "a log-ratio": ("0", "max(log(pi({0})/pi_ref({0})), 0)"),
    "a difference of divergences": (
        f"sum({KL} - {BACK} for t in {{0}})",
        f"sum(max({KL} - {BACK}, 0) for t in {{0}})",
    ),
    # Each differs at some values alone: beside a turn near the end of a domain, at one response of
    # two, where a policy is nearly sure, where two of these meet.
    "below a bound": ("sqrt(c**2)*log(pi({0}))", "max(c, 1/5)*log(pi({0}))"),
    "of one response": ("size({0})", "max(size({0}), 1/5)"),
    "of one response, inside": ("min(len({0}), size({0}))", "min(len({0}), max(size({0}), 1/5))"),
    "nearly sure": ("max(-log(pi({0})), sigmoid(-abs(be)))", "max(-log(pi({0})), sigmoid(-abs(be) - 1/7))"),
    "nearly sure, and small": ("max(c, log(pi_ref({0})))", "max(c, log(pi_ref({0})) + 1/7)"),
    "of either sign": (
        "min(g, sum(w({0}, t)*(log(pi({0}, t)) - 1) for t in {0}))",
        "min(max(g, 1/5), sum(w({0}, t)*(log(pi({0}, t)) - 1) for t in {0}))",
    ),
}


def verdict(one: str, other: str) -> str:
    """Of the prior that gives the first, for a target with the second."""
    score = f"log(pi({{0}})/pi_ref({{0}})) + {other}"
    target = f"alpha*({score.format('y_w')}) - alpha*({score.format('y_l')})"
    spec = midpo.loads(
        f"name = 'target'\nprior = '''pi_ref(y)*exp(-({one.format('y')}))'''\n{HEAD}margin = '''{target}'''"
    )
    return midpo.verify(spec).verdict


@pytest.mark.parametrize("name", EQUAL)
def test_equal(name: str) -> None:
    one, other = EQUAL[name]
    assert verdict(one, other) == verdict(other, one) == "proved"


@pytest.mark.parametrize("name", DIFFERENT)
def test_different(name: str) -> None:
    assert verdict(*DIFFERENT[name]) == "refuted"


def test_no_answer_is_that_a_step_does_not_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the checker does not confirm is not proved; no step of ours is the user's answer."""
    from midpo.proofs.checking.check import CheckFailed
    from midpo.proofs.recover import recovery

    def refuse(*arguments: object) -> int:
        raise CheckFailed("step 3 (arithmetic) does not follow")

    monkeypatch.setattr(recovery, "check", refuse)
    dpo = midpo.load("dpo")
    found = midpo.verify(dpo)
    assert found.verdict == "undecided" and "step" not in found.explanation
    assert "checker" in found.explanation
    assert midpo.compare(dpo, dpo).verdict == "undecided"
    assert midpo.solve(dpo).kind == "undecided"
