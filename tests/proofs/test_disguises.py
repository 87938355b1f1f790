"""solve decides what verify decides: random priors, their margins and losses rewritten at random by
identities, and back. No answer "none" for what has a prior, no prior for what has none."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

import midpo
from midpo.proofs.recover.solution import solve
from midpo.symbolic.language.spec import Spec

HEAD = """name = "target"
[parameters]
alpha = "positive"
c = "positive"
gamma = "nonnegative"
be = "real"
g = "unit"
[features]
score = "response"
w = "token"
[policies]
pi_old = "frozen"
[target]
"""
# What the logarithm of a response's share of the margin is made of.
SCORES = (
    "log(pi({y})/pi_ref({y}))",
    "log(pi({y})/pi_old({y}))",
    "log(pi({y}))/len({y})",
    "log(pi({y})/pi_ref({y})) - be*len({y})",
    "log(pi({y})/pi_ref({y})) + score({y})/c",
    "sum(w({y}, t)*log(pi({y}, t)/pi_ref({y}, t)) for t in {y})",
    "log(pi({y})/pi_ref({y})) + sum(kl(pi_ref, pi, {y}, t) for t in {y})",
    "g*log(pi({y})) - log(pi_ref({y}))",
    "log(pi({y})/pi_ref({y}))/2",
    "sum(g**t*log(pi({y}, t)/pi_ref({y}, t)) for t in {y})",
)
# Margins a - b = d in disguise; each holds where it has a value.
MARGINS = (
    "{d}",
    "relu({d}) - relu(-({d}))",
    "max({a}, {b}) + min({a}, {b}) - 2*({b})",
    "2*({a}) - max({a}, {b}) - min({a}, {b})",
    "max({d}, {d} - 1)",
    "min({d} + abs({a}), {d})",
    "max({d}, ({d})/2) + min({d}, ({d})/2) - ({d})/2",
    "max({d}, 0) + min({d}, 0)",
    "logsigmoid({d}) - logsigmoid(-({d}))",
    "log((1 + tanh(({d})/2))/(1 - tanh(({d})/2)))",
    "log(exp({a})/(exp({a}) + exp({b}))) - log(exp({b})/(exp({a}) + exp({b})))",
    "log(sigmoid({d})/(1 - sigmoid({d})))",
    "log(sigmoid({d})) - log(sigmoid(-({d})))",
    "(({a})**2 - ({b})**2)/({a} + ({b}))",
    "(({a})**3 - ({b})**3)/(({a})**2 + ({a})*({b}) + ({b})**2)",
    "sqrt(({d})**2)*(2*step({d}) - 1)",
    "2*log(exp(({d})/2))",
    "log(sqrt(exp(2*({d}))))",
    "log(exp({a}) + exp({a} + ({b}))) - log(exp({b}) + exp(2*({b})))",
    "sg({d})",
    "abs({d})*({d})/max({d}, -({d}))",
    "log(exp({d}) + exp(-({b}))*exp({a})) - log(1 + exp(0))",
    "({a})*(len(y_w)**2 - len(y_l)**2)/((len(y_w) - len(y_l))*(len(y_w) + len(y_l))) - ({b})",
)
# Log-sigmoid losses of d, up to a factor and a constant.
LOSSES = (
    "-logsigmoid({d})",
    "-log(sigmoid({d}))",
    "log(1 + exp(-({d})))",
    "-logsigmoid({d})/log(2)",
    "-log(1 - sigmoid(-({d})))",
    "-({d}) - logsigmoid(-({d}))",
    "relu(-({d})) + log(1 + exp(-abs({d})))",
    "log(exp(({d})/2) + exp(-({d})/2)) - ({d})/2",
    "log(exp({a}) + exp({b})) - ({a})",
    "max({a}, {b}) + log(1 + exp(-abs({d}))) - ({a})",
    "-log(1/2 + tanh(({d})/2)/2)",
    "-log(exp({a})/(exp({a}) + exp({b})))",
    "log(1/sigmoid({d}))",
    "-log(sigmoid({d})**2)/2",
    "2*log(exp(({a})/2)*(1 + exp({b})/exp({a}))**(1/2)) - ({a})",
)
FACTORS = (
    "{l}", "3*({l})", "c*({l})", "({l})/2 + 7", "({l}) + be", "({l})/c - log(2)", "(1 - g)*({l})",
)  # fmt: skip
MIXED = (  # terms that no prior holds
    "({a})*({b})", "max({a}, {b})", "len(y_w)*len(y_l)", "abs({d})", "sigmoid({d})", "({d})**2",
    "step(len(y_w) - len(y_l))", "min(len(y_w), len(y_l))",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    plain: Spec  # the margin as it is
    target: Spec  # the same in disguise
    text: str


def case(seed: int) -> Case:
    rng = random.Random(seed)
    score = rng.choice(SCORES)
    scale = rng.choice(("alpha*({})", "{}", "c*({})"))
    a, b = (scale.format(score.format(y=y)) for y in ("y_w", "y_l"))
    offset = rng.choice(("", "", "", " - gamma"))
    plain = f"{a} - ({b}){offset}"
    b += " + gamma" * bool(offset)
    kind = rng.choice(("margin", "loss"))
    shape = rng.choice(MARGINS) if kind == "margin" else rng.choice(LOSSES)
    d = f"{a} - ({b})"
    if rng.random() < 0.3:  # a disguise inside a disguise
        d = rng.choice(MARGINS[:9]).format(a=a, b=b, d=d)
    text = shape.format(a=a, b=b, d=d)
    if kind == "loss":
        text = rng.choice(FACTORS).format(l=text)
    return Case(loaded("margin", plain), loaded(kind, text), text)


def loaded(kind: str, text: str) -> Spec:
    return midpo.loads(f"{HEAD}{kind} = '''{text}'''")


def confirm(seed: int) -> None:
    given = case(seed)
    found = solve(given.target)
    assert found.prior is not None, (given.text, found.reason)
    assert found.link is None and found.proof is not None, given.text
    assert found.proof.verdict == "proved", (given.text, found.standing)
    # The prior gives the plain margin, and verify says of the target what solve says.
    assert midpo.verify(replace(given.plain, prior=found.prior)).verdict == "proved", given.text
    assert midpo.verify(replace(given.target, prior=found.prior)).verdict == "proved", given.text


@pytest.mark.parametrize("seed", range(20))
def test_a_prior_is_found_through_a_disguise(seed: int) -> None:
    confirm(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(40))
def test_a_prior_is_found_through_more_disguises(block: int) -> None:
    for seed in range(100 + 10 * block, 110 + 10 * block):
        confirm(seed)


def mixed(seed: int) -> Spec:
    rng = random.Random(seed)
    score = rng.choice(SCORES[:5])
    a, b = (score.format(y=y) for y in ("y_w", "y_l"))
    term = rng.choice(MIXED).format(a=a, b=b, d=f"({a} - ({b}))")
    return loaded("margin", f"alpha*({a}) - alpha*({b}) + {rng.choice(('', 'c*', '2*'))}{term}")


@pytest.mark.parametrize("seed", range(8))
def test_what_has_no_prior_gets_none(seed: int) -> None:
    found = solve(mixed(seed))
    assert found.representable is not True or found.link is not None
    if found.kind == "none":
        assert found.witness is not None and found.witness.difference != 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 120))
def test_what_has_no_prior_gets_none_more_often(seed: int) -> None:
    test_what_has_no_prior_gets_none(seed)
