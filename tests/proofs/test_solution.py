"""solve: classes of published losses, priors as a round trip, witnesses where there is none."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import midpo
from midpo.cli import main
from midpo.proofs.recover.levels import Preference, one_function, violating_cycle
from midpo.proofs.recover.needless import without_needless
from midpo.proofs.recover.solution import solve
from midpo.proofs.recover.solved import REPRESENTABLE
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.spec import PAPER
from midpo.symbolic.language.text import text

HEAD = """name = "target"
[parameters]
alpha = "positive"
eps = "unit"
lam = "positive"
gamma = "nonnegative"
[features]
score = "response"
w = "token"
gap = "pair"
[policies]
pi_old = "frozen"
[target]
"""


def ratio(y: str) -> str:
    return f"log(pi({y})/pi_ref({y}))"


UW, UL = ratio("y_w"), ratio("y_l")
DPO = f"alpha*({UW} - {UL})"
ODDS = "log(pi({0})**(1/len({0}))/(1 - pi({0})**(1/len({0}))))"

# Losses that are no rows of the catalogue, or are written otherwise there, with the class of each.
# tests/test_catalogue.py has the classes of the rows.
TARGETS: dict[str, tuple[str, str, str]] = {
    "dpo": ("loss", f"-log(sigmoid({DPO}))", "fixed"),
    "bradley-terry": (
        "loss",
        "-log((pi(y_w)/pi_ref(y_w))**alpha/((pi(y_w)/pi_ref(y_w))**alpha + (pi(y_l)/pi_ref(y_l))**alpha))",
        "fixed",
    ),
    "twice dpo": ("loss", f"-2*logsigmoid({DPO})", "fixed"),
    "scaled dpo": ("margin", f"lam*{DPO}", "self-referential"),
    "simpo": (
        "margin",
        "alpha*log(pi(y_w))/len(y_w) - alpha*log(pi(y_l))/len(y_l) - gamma",
        "label-dependent",
    ),
    "theorem 7's exception": (
        "loss",
        "-log(sigmoid(-log(1 - pi(y_w)**lam) - log(pi(y_l)))) - lam*log(pi(y_w))",
        "label-dependent",
    ),
    "cdpo": ("loss", f"-(1 - eps)*log(sigmoid({DPO})) - eps*log(sigmoid(-({DPO})))", "other-link"),
    "robust dpo": ("loss", f"-log(sigmoid({DPO})) - eps/(1 - eps)*({DPO})", "other-link"),
    "hinge": ("loss", f"max(0, 1 - {DPO})", "other-link"),
    "ipo": ("loss", f"({UW} - {UL} - 1/(2*lam))**2", "other-link"),
    "exo": (
        "loss",
        f"sigmoid({DPO})*(log(sigmoid({DPO})) - log(1 - eps))"
        f" + sigmoid(-({DPO}))*(log(sigmoid(-({DPO}))) - log(eps))",
        "other-link",
    ),
    "exponential": ("loss", f"exp(-({DPO}))", "other-link"),
    "truncated quadratic": ("loss", f"max(0, 1 - {DPO})**2", "other-link"),
    "savage": ("loss", f"sigmoid(-({DPO}))**2", "other-link"),
    "focal": ("loss", f"-sigmoid({DPO})**lam*log(sigmoid({DPO}))", "other-link"),
    "discopop": (
        "loss",
        f"(1 - sigmoid(({DPO})/lam))*(-log(sigmoid({DPO}))) + sigmoid(({DPO})/lam)*exp(-({DPO}))",
        "other-link",
    ),
    "rebel": (
        "loss",
        "(log(pi(y_w)/pi_old(y_w))/lam - log(pi(y_l)/pi_old(y_l))/lam - (score(y_w) - score(y_l)))**2",
        "other-link",
    ),
    "cpo": (
        "loss",
        "-log(sigmoid(alpha*log(pi(y_w)) - alpha*log(pi(y_l)))) - lam*log(pi(y_w))",
        "constraint",
    ),
    "rrhf": ("loss", "max(0, log(pi(y_l))/len(y_l) - log(pi(y_w))/len(y_w)) - log(pi(y_w))", "constraint"),
    "bco": ("loss", f"-log(sigmoid(alpha*{UW})) - log(sigmoid(-alpha*{UL}))", "none"),
    "apo-down": ("loss", f"sigmoid(alpha*{UW}) + 1 - sigmoid({DPO})", "none"),
    "cal-dpo": ("loss", f"-log(sigmoid({UW} - {UL})) + ({UW} - 1/2)**2 + ({UL} + 1/2)**2", "none"),
    "ld-dpo": ("margin", f"({DPO})*min(len(y_w), len(y_l))", "none"),
    "root": ("loss", f"sqrt(1 + ({DPO})**2) - ({DPO})", "other-link"),
    "sinh": ("margin", f"exp({DPO}) - exp(-({DPO}))", "other-link"),
}


def solved(name: str) -> Any:
    kind, expression, _ = TARGETS[name]
    return solve(midpo.loads(f"{HEAD}{kind} = '''{expression}'''", file=name))


@pytest.mark.parametrize("name", TARGETS)
def test_classes_of_published_losses(name: str) -> None:
    found = solved(name)
    assert found.kind == TARGETS[name][2], found.reason
    assert found.representable == (found.kind in REPRESENTABLE)
    assert found.reason.endswith(".") and "heorem" in found.reason
    answer = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert {"name", "representable", "class", "prior", "link", "constraint", "reason", "witness"} <= set(
        answer
    )
    if found.kind == "none":
        assert answer["prior"] is None and answer["witness"] is not None
    else:
        assert answer["prior"] and found.proof is not None and found.proof.verdict == "proved"
    assert (answer["link"] is not None) == (found.kind == "other-link" or name == "rrhf")
    assert (answer["constraint"] is not None) == (found.kind == "constraint")
    assert (answer["weight"] is not None) == (found.kind == "weighted")


@pytest.mark.parametrize("name", PAPER)
def test_catalogue_round_trip(name: str) -> None:
    """The prior of a target, read back as text, is proved; its class is that of the spec's own."""
    spec = midpo.load(name)
    found = solve(replace(spec, prior=None))
    assert found.representable and found.prior is not None
    back = parse(text(found.prior, spec.names.taken()), spec.names, PRIOR)
    assert midpo.verify(replace(spec, prior=back)).verdict == "proved"
    facts = midpo.verify(spec).facts
    assert facts is not None
    expected = facts.policy if facts.label_free else "label-dependent"
    assert found.kind == expected


@pytest.mark.parametrize(
    "name", [n for n, (_, _, k) in TARGETS.items() if k in REPRESENTABLE and k != "other-link"]
)
def test_priors_of_published_losses_round_trip(name: str) -> None:
    found = solved(name)
    back = parse(text(found.prior, found.spec.names.taken()), found.spec.names, PRIOR)
    assert midpo.verify(replace(found.spec, prior=back)).verdict == "proved"


def test_a_loss_is_not_called_none_for_want_of_a_link() -> None:
    """The numerical side of "none": zero where a smooth link exists, not where none does."""
    from midpo.numeric.linkage import mixed_derivative
    from midpo.symbolic.algebra.normal import form
    from midpo.symbolic.loss import target_loss

    def mixed(name: str) -> float | None:
        kind, expression, _ = TARGETS[name]
        spec = midpo.loads(f"{HEAD}{kind} = '''{expression}'''")
        return mixed_derivative(spec, form(target_loss(spec)))

    assert mixed("cdpo") == mixed("discopop") == mixed("exponential") == mixed("root") == 0.0
    assert abs(mixed("apo-down") or 0) > 1e-3 and abs(mixed("cal-dpo") or 0) > 1e-3


def test_temperature_is_not_identified() -> None:
    (other,) = solved("scaled dpo").alternatives
    assert (text(other.alpha), text(other.prior)) == ("alpha*lam", "pi_ref(y)")
    assert text(solved("scaled dpo").prior) == "pi(y)**(1 - lam)*pi_ref(y)**lam"
    assert solved("dpo").alternatives == ()


def test_links_are_given_in_m() -> None:
    assert text(solved("hinge").link) == "max(0, 1 - m)"
    assert text(solved("exponential").link) == "exp(-m)"
    # A free link leaves the scale open: it is chosen so that the prior is fixed where it can be.
    assert text(solved("ipo").prior) == text(solved("root").prior) == "pi_ref(y)"
    assert text(solved("rrhf").prior) == "pi(y)**(1 - 1/len(y))"


def test_an_affine_log_sigmoid_link_is_no_other_link() -> None:
    stated = midpo.loads(f"link = '-3*log(sigmoid(2*m + 1)) + 5'\n{HEAD}margin = '''{DPO}'''", file="link")
    found = solve(stated)
    assert found.kind == "fixed" and found.link is None


def test_a_cross_difference_holds_by_hand() -> None:
    """LD-DPO-like margin: the printed responses, laws and parameters, evaluated with fractions."""
    found = solved("ld-dpo")
    answer = found.as_json()["witness"]
    tokens, laws = answer["tokens"], answer["distributions"]
    alpha = Fraction(answer["parameters"]["alpha"])

    def log_probability(policy: str, y: list[int]) -> float:
        prefixes = (" ".join(map(str, y[:t])) for t in range(len(y)))
        rows = (laws[policy][prefix] for prefix in prefixes)
        return sum(math.log(Fraction(row[v])) for row, v in zip(rows, y, strict=True))

    def margin(w: list[int], r: list[int]) -> float:
        u = [log_probability("pi", y) - log_probability("pi_ref", y) for y in (w, r)]
        return float(alpha) * (u[0] - u[1]) * min(len(w), len(r))

    w, w2, r, r2 = (tokens[k] for k in ("w", "w'", "l", "l'"))
    crossed = margin(w, r) - margin(w, r2) - margin(w2, r) + margin(w2, r2)
    assert crossed == pytest.approx(answer["cross_difference"], rel=1e-9)
    assert abs(crossed) > 1e-3


def test_three_responses_have_a_hexagon() -> None:
    found = solved("ld-dpo")
    assert found.hexagon is not None and abs(found.hexagon.difference) > 1e-3
    v = found.hexagon.values
    around = v["a", "b"] - v["c", "b"] + v["c", "a"] - v["b", "a"] + v["b", "c"] - v["a", "c"]
    assert around == pytest.approx(found.hexagon.difference, rel=1e-9)
    assert solved("simpo").hexagon is None


@pytest.mark.parametrize(
    ("edges", "constant", "levelled"),
    [
        ("ab bc", True, True),  # a chain has ranks
        ("ab bc ac", True, False),  # a transitive triangle has not
        ("ab ba", True, False),  # nor a contradiction
        ("ab cb cd ad", True, True),  # as many forward as backward edges
        ("ab bc cd ad", True, False),
        ("ab bc", False, True),
        ("ab cb cd ad", False, True),  # every loser once forward, once backward
        ("ab cd ac bd", False, False),
    ],
)
def test_levelled_graphs(edges: str, constant: bool, levelled: bool) -> None:
    pairs = [Preference("p", *edge) for edge in edges.split()]
    cycle = violating_cycle(pairs, constant=constant)
    assert (not cycle) == levelled
    if cycle:
        undirected = {frozenset(edge) for edge in edges.split()}
        closed = [*cycle, cycle[0]]
        assert all(frozenset(step) in undirected for step in pairwise(closed))


def test_prompts_do_not_mix() -> None:
    pairs = [Preference("p", "a", "b"), Preference("q", "b", "c"), Preference("r", "a", "c")]
    assert one_function(solve(midpo.load("simpo")), pairs).exists
    assert not one_function(solved("bco"), pairs).exists
    assert one_function(solve(midpo.load("dpo")), pairs).exists


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_command(tmp_path: Path) -> None:
    for name in ("hinge", "cpo", "bco"):
        kind, expression, _ = TARGETS[name]
        (tmp_path / f"{name}.toml").write_text(f"{HEAD}{kind} = '''{expression}'''")
    assert run("solve", "simpo").exit_code == 0
    assert run("solve", tmp_path / "hinge.toml", "--json").exit_code == 0
    assert run("solve", "dpo", tmp_path / "cpo.toml").exit_code == 1
    mixed = run("solve", tmp_path / "bco.toml", "no-such-thing", "--json")
    assert mixed.exit_code == 2
    assert ["error" in a for a in json.loads(mixed.stdout)] == [False, True]
    (tmp_path / "prior-only.toml").write_text('name = "p"\nprior = "pi_ref(y)"')
    assert "target" in run("solve", tmp_path / "prior-only.toml").stderr


def test_command_with_pairs(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    with file.open("w", newline="") as stream:
        rows = [("prompt", "chosen", "rejected"), ("p", "a, b", "c"), ("p", "c", "d"), ("p", "a, b", "d")]
        csv.writer(stream).writerows(rows)
    (answer,) = json.loads(run("solve", "simpo", "--pairs", file, "--json").stdout)
    assert answer["pairs"]["one_function"] is False
    assert set(answer["pairs"]["cycle"]["responses"]) == {"a, b", "c", "d"}
    for wrong in ("prompt,chosen\np,a\n", "prompt,chosen,rejected\n", "prompt,chosen,rejected\np,a\n"):
        file.write_text(wrong)
        result = run("solve", "simpo", "--pairs", file)
        assert result.exit_code == 2 and str(file) in result.stderr
    assert run("solve", "simpo", "--pairs", tmp_path / "none.csv").exit_code == 2


# --- Random margins of the fragment ---------------------------------------------------------------

SCORES = {
    # a function of one response, and what makes a prior of it when it stands beside alpha*log(pi)
    "log(pi_ref({y}))": "fixed",
    "len({y})": "fixed",
    "score({y})": "fixed",
    "len({y})**(1/2)*score({y})": "fixed",
    "log(pi_old({y}))": "iterative",
    "log(pi_old({y}))*len({y})": "iterative",
    "log(pi({y}))/len({y})": "self-referential",
    "sum(w({y},t)*log(pi({y},t)/pi_ref({y},t)) for t in {y})": "self-referential",
    "sum(eps**t*kl(pi_ref, pi, {y}, t) for t in {y})": "self-referential",
    "sum(entropy(pi, {y}, t)*log(pi({y},t)) for t in {y})": "self-referential",
    "pi({y})": "self-referential",
    "max(0, log(pi({y})/pi_ref({y})))": "self-referential",
}
ORDER = ("fixed", "iterative", "self-referential")
COUPLINGS = [
    "gap",
    "log(pi(y_w))*len(y_l)",
    "max(len(y_w), len(y_l))",
    "sg(pi(y_l))*len(y_w)",
    "log(pi(y_w))*log(pi(y_l))",
    "1/(len(y_w) + len(y_l))",
]
COEFFICIENTS = ["lam", "-2", "1/3", "alpha*eps", "-gamma"]


@st.composite
def margins(draw: st.DrawFn) -> tuple[str, str]:
    """A margin alpha*(log pi(y_w) - log pi(y_l)) + terms, and the class of its prior."""
    chosen = draw(st.lists(st.sampled_from(sorted(SCORES)), min_size=1, max_size=3, unique=True))
    terms = [f"({draw(st.sampled_from(COEFFICIENTS))})*{score}" for score in chosen]
    shape = draw(st.sampled_from(["label-free", "offset", "two functions", "coupled"]))
    margin = "alpha*log(pi(y_w)) - alpha*log(pi(y_l))"
    margin += "".join(f" + {t.format(y='y_w')} - {t.format(y='y_l')}" for t in terms)
    kind = max((SCORES[score] for score in chosen), key=ORDER.index)
    if shape == "offset":
        return margin + " - 3*lam", "label-dependent"
    if shape == "two functions":
        extra = draw(st.sampled_from(sorted(SCORES))).format(y="y_l")
        return f"{margin} + lam**2*{extra}", "label-dependent"
    if shape == "coupled":
        return f"{margin} + {draw(st.sampled_from(COUPLINGS))}", "none"
    return margin, kind


@given(margins())
@settings(max_examples=60)
def test_random_margins(case: tuple[str, str]) -> None:
    margin, kind = case
    spec = midpo.loads(f"{HEAD}margin = '''{margin}'''")
    found = solve(spec)
    assert found.kind == kind, (margin, found.reason)
    if found.prior is not None:
        back = parse(text(found.prior, spec.names.taken()), spec.names, PRIOR)
        assert midpo.verify(replace(spec, prior=back)).verdict == "proved"
    else:
        assert found.witness is not None and found.witness.difference != 0


# --- Disguises -----------------------------------------------------------------------------------

D = f"({UW} - {UL})"
# Margins and losses of one pair of responses that are equal to the plain ones, written otherwise.
DISGUISED_MARGINS = {
    "relu": f"relu({D}) - relu(-{D})",
    "maximum and minimum": f"max({UW}, {UL}) + min({UW}, {UL}) - 2*{UL}",
    "a clip without effect": f"max({D} - abs({UW}), {D})",
    "log-sum-exp": f"log(exp({UW}) + exp({UL}) + exp({UW} + {UL})) - log(1 + exp({UL} - {UW}) + exp({UL}))",
    "logit": f"logsigmoid({D}) - logsigmoid(-{D})",
    "atanh": f"log((1 + tanh({D}/2))/(1 - tanh({D}/2)))",
    "shares": "log((pi(y_w)/pi_ref(y_w))/(pi(y_w)/pi_ref(y_w) + pi(y_l)/pi_ref(y_l)))"
    " - log((pi(y_l)/pi_ref(y_l))/(pi(y_w)/pi_ref(y_w) + pi(y_l)/pi_ref(y_l)))",
    "root of a square": f"sqrt({D}**2)*(2*step({D}) - 1)",
    "cubes": f"({UW}**3 - {UL}**3)/({UW}**2 + {UW}*{UL} + {UL}**2)",
    "quotient of lengths": f"{UW}*(len(y_w)**2 - len(y_l)**2)/((len(y_w) - len(y_l))"
    f"*(len(y_w) + len(y_l))) - {UL}",
    "stopped gradient": f"sg({D})",
}
DISGUISED_LOSSES = {
    "base two": f"-logsigmoid({D})/log(2)",
    "hyperbolic cosine": f"lam*(log(exp({D}/2) + exp(-{D}/2)) - {D}/2) + eps",
    "one less sigmoid": f"-log(1 - sigmoid(-{D}))",
    "reflected": f"-{D} - logsigmoid(-{D})",
    "softplus": f"max(0, -{D}) + log(1 + exp(-abs({D})))",
    "maximum and log-sum-exp": f"max({UW}, {UL}) + log(1 + exp(-abs({D}))) - {UW}",
    "tanh": f"-log(1/2 + tanh({D}/2)/2)",
    "square": f"-log(sigmoid({D})**2) + gamma",
    "softmax": f"2*log(exp({UW}) + exp({UL})) - 2*{UW}",
}


@pytest.mark.parametrize("name", [*DISGUISED_MARGINS, *DISGUISED_LOSSES])
def test_a_disguise_is_seen_through(name: str) -> None:
    kind = "margin" if name in DISGUISED_MARGINS else "loss"
    expression = (DISGUISED_MARGINS | DISGUISED_LOSSES)[name]
    spec = midpo.loads(f"{HEAD.replace('alpha = ', 'kappa = ')}{kind} = '''{expression}'''")
    found = solve(spec)
    assert found.prior is not None and found.proof is not None, found.reason
    assert found.proof.verdict == "proved" and found.link is None
    wanted = "by_label(pi_ref(y), pi(y))" if name == "log-sum-exp" else "pi_ref(y)"
    assert text(found.prior) == wanted
    # verify gives the same answer to the same question.
    assert midpo.verify(replace(spec, prior=found.prior)).verdict == "proved"


# Each is 0, and written with the policy, with labels or with both responses.
NEEDLESS = (
    "max({a}, {a} - abs(score(y_l))) - ({a})",
    "relu(score(y_w))*step(-score(y_w))*log(pi(y_w))",
    "(sum(t for t in y_w) - len(y_w)*(len(y_w) + 1)/2)*log(pi(y_w))",
    "(tanh(2*score(y_w))*(1 + tanh(score(y_w))**2) - 2*tanh(score(y_w)))*log(pi(y_w))",
    "(relu(tanh(score(y_w))) - tanh(relu(score(y_w))))*log(pi(y_w))",
    "relu(gap) - max(gap, min(0, gap))*step(gap)",
    "(step(score(y_w)**3) - step(score(y_w)))*log(pi(y_w))*len(y_l)",
)


@pytest.mark.parametrize("nothing", NEEDLESS)
def test_a_prior_depends_on_nothing_that_cancels(nothing: str) -> None:
    """No answer says of what is 0 that it is not."""
    spec = midpo.loads(
        f"name = 'x'\n[parameters]\nalpha = 'positive'\n[features]\n"
        f"score = 'response'\ngap = 'pair'\n[target]\n"
        f"margin = '{DPO} + {nothing.format(a=DPO)}'"
    )
    found = solve(spec)
    assert found.kind == "fixed" and text(found.prior) == "pi_ref(y)", found.reason
    assert found.swap_sum == 0 and found.proof is not None and found.proof.verdict == "proved"


def test_what_one_policy_lost_is_not_said_of_another() -> None:
    nothing = "(relu(tanh(score(y))) - tanh(relu(score(y))))"
    spec = midpo.loads(
        f"name = 'x'\nprior = 'pi_ref(y)*pi(y)**{nothing}*pi_old(y)**{nothing}'\n"
        "[parameters]\nalpha = 'positive'\n[features]\nscore = 'response'\n"
        f"[policies]\npi_old = 'frozen'\n[target]\nmargin = '{DPO}'"
    )
    assert spec.prior is not None
    prior, unseen = without_needless(spec, spec.prior, lambda p: "pi_old" not in text(p))
    assert "pi_old" not in text(prior) and "pi(y)" in text(prior) and unseen == {"policies"}


@pytest.mark.parametrize(
    ("score", "prior"),
    [
        ("g**len(y)", "exp(-g**len(y))"),
        ("sum(g**t for t in y)", "exp(-sum(g**t for t in y))"),
        ("sum(sum(step(t - k) + step(k - t) for k in y) for t in y)", "exp(-len(y)**2 - len(y))"),
        ("sum(step(t - 3)*step(2 - t) for t in y) + len(y)", "exp(-len(y))"),
        ("sum(step(len(y) - t) for t in y)", "exp(-len(y))"),
        ("max(score(y), 0)", "exp(-max(0, score(y)))"),
        ("gamma*log(score(y)**2 + 1)", "(1 + score(y)**2)**-gamma"),
    ],
)
def test_the_plain_form_is_chosen(score: str, prior: str) -> None:
    head = HEAD.replace("eps =", "g =")
    chosen, rejected = (re.sub(r"(?<=[( ])y(?=\))", y, score) for y in ("y_w", "y_l"))
    spec = midpo.loads(f"{head}margin = '{DPO} + alpha*({chosen}) - alpha*({rejected})'")
    found = solve(spec)
    wanted = parse(f"pi_ref(y)*{prior}", spec.names, PRIOR)
    assert found.prior == wanted and found.proof is not None
    assert found.proof.verdict == "proved"


# --- Links, weights, stopped gradients -----------------------------------------------------------

LOG_SIGMOID_LINKS = (
    "-logsigmoid(m)", "-lam*logsigmoid(alpha*m + gamma)", "-logsigmoid(m)/log(2)",
    "log(1 + exp(-m))", "-log(1 - sigmoid(-m))", "log(exp(m/2) + exp(-m/2)) - m/2",
    "-m - logsigmoid(-m)", "max(0, -m) + log(1 + exp(-abs(m)))", "-log(1/2 + tanh(m/2)/2)",
    "log(3 + 2*exp(-m))", "log(exp(lam) + exp(-alpha*m))", "log((1 + exp(-m))**lam)",
    "-logsigmoid(logsigmoid(m))", "log(1 + eps*exp(-m))", "-log(exp(m)/(1 + exp(m)))",
    "-log(sigmoid(log(sigmoid(m)/(1 - sigmoid(m)))))",
    "-logsigmoid(log(sigmoid(2*m)) - log(sigmoid(-2*m)))",
)  # fmt: skip
OTHER_LINKS = (
    "-logsigmoid(-m)", "max(0, 1 - m)", "max(0, 1 - m)**2", "m**2", "exp(-m)", "-m*sigmoid(m)",
    "sigmoid(-m)", "-eps*logsigmoid(m) - (1 - eps)*logsigmoid(-m)", "-logsigmoid(m) + m/4",
    "max(0, -m)", "-logsigmoid(m) - logsigmoid(2*m)", "step(-m)", "sqrt(1 + m**2) - m",
    "log(2 + exp(-m) + exp(-2*m))", "-logsigmoid(m**3)", "log(1 + exp(-m))**2",
    "-logsigmoid(max(m, -5))", "-logsigmoid(max(m, -60))", "-logsigmoid(2*max(m/2, -lam*9))",
)  # fmt: skip


@pytest.mark.parametrize("link", [*LOG_SIGMOID_LINKS, *OTHER_LINKS])
def test_theorem_6_is_cited_where_its_hypothesis_was_checked(link: str) -> None:
    """A link is proved to be affine log-sigmoid or excluded by its slopes, and never both."""
    from midpo.numeric.linkage import no_log_sigmoid
    from midpo.proofs.recover.links import affine_logistic
    from midpo.symbolic.language.signs import is_positive

    spec = midpo.loads(f"link = '{link}'\n{HEAD}margin = '{DPO}'")
    affine = affine_logistic(spec.link)
    falls = affine is not None and is_positive(affine.slope)
    assert falls == (link in LOG_SIGMOID_LINKS)
    assert no_log_sigmoid(spec.link, spec.names) == (link in OTHER_LINKS)
    found = solve(spec)
    assert ("heorem 6" in found.reason) == (link in OTHER_LINKS) == (found.link is not None)


@pytest.mark.parametrize(
    ("kind", "target", "weight", "temperature", "conditions"),
    [
        ("loss", f"-gap*logsigmoid({DPO})", "gap", None, ("gap > 0",)),
        ("loss", f"-gap**2*logsigmoid({DPO})", "gap**2", None, ("gap != 0",)),
        ("loss", f"-sg(gap)*log(sigmoid({DPO}))", "sg(gap)", None, ("gap > 0",)),
        ("loss", f"-exp(gap)*logsigmoid({DPO})", "exp(gap)", None, ()),
        ("loss", f"gap*log(1 + exp(-{DPO}))", "gap", None, ("gap > 0",)),
        ("loss", f"-abs(gap)*logsigmoid({DPO})", "max(-gap, gap)", None, None),
        ("loss", f"-logsigmoid(gap*{DPO})", None, "gap", ("gap > 0",)),
        ("margin", f"gap**2*{DPO}", None, "gap**2", ("gap != 0",)),
        ("margin", f"exp(gap)*{DPO}", None, "exp(gap)", ()),
        ("loss", f"-exp(gap)*logsigmoid(gap*{DPO})", "exp(gap)", "gap", ("gap > 0",)),
        ("margin", f"(2 + exp(gap))*({DPO})", None, "2 + exp(gap)", ()),
        ("loss", f"-logsigmoid((1 + gap)*({DPO}))", None, "1 + gap", ("1 + gap > 0",)),
        ("loss", f"-step(gap)*logsigmoid({DPO})", "step(gap)", None, ("step(gap) > 0",)),
        ("loss", f"-gamma*logsigmoid({DPO})", None, None, ("gamma > 0",)),
    ],
)
def test_inside_the_link_a_temperature_outside_a_weight(
    kind: str, target: str, weight: str | None, temperature: str | None, conditions: tuple[str, ...] | None
) -> None:
    spec = midpo.loads(f"prior = 'pi_ref(y)'\n{HEAD}{kind} = '''{target}'''")
    answer = solve(spec).as_json()
    assert answer["prior"] == "pi_ref(y)" and answer["link"] is None
    assert (answer["weight"], answer["temperature"]) == (weight, temperature)
    if conditions is not None:
        assert tuple(answer["conditions"]) == conditions
    assert answer["class"] == ("weighted" if weight else "temperature" if temperature else "fixed")
    verdict = midpo.verify(spec)
    if weight or temperature:  # the losses differ, and verify says why
        assert verdict.verdict == "refuted"
        assert ("weight of the data" in verdict.explanation) == (weight is not None)
        assert ("temperature of the pair" in verdict.explanation) == (temperature is not None)
    else:
        assert verdict.verdict == "proved" and verdict.side_conditions == conditions


RATIO = "log(pi(y)/pi_ref(y))"


@pytest.mark.parametrize(
    ("prior", "target", "gradient"),
    [
        ("pi_ref(y)", DPO, None),
        ("pi_ref(y)", f"alpha*({UW} - {UL}) + sg(2*score(y_w)) - 2*score(y_w)", None),
        ("pi_ref(y)", f"sg({DPO})", "zero"),
        ("pi_ref(y)", f"2*{DPO} - sg({DPO})", "different"),
        ("pi_ref(y)", f"{DPO} - sg(2*{UW}) + 2*sg({UW})", "equal"),
        (f"pi_ref(y)*exp(sg({RATIO}))", f"alpha*({UW} - sg({UW}) - {UL} + sg({UL}))", "equal"),
        (f"pi_ref(y)*exp({RATIO}*2)", f"alpha*({UW} - sg(2*{UW}) - {UL} + sg(2*{UL}))", "different"),
        (f"pi(y)*exp(-sg({RATIO}))", f"sg({DPO})", "equal"),
    ],
)
def test_a_stopped_gradient_is_said(prior: str, target: str, gradient: str | None, tmp_path: Path) -> None:
    file = tmp_path / "target.toml"
    file.write_text(f"prior = '''{prior}'''\n{HEAD}margin = '''{target}'''")
    spec = midpo.load(file)
    found, solution = midpo.verify(spec), solve(spec)
    assert found.verdict == "proved" and solution.prior is not None
    assert (found.gradient.verdict if found.gradient else None) == gradient
    assert (found.as_json()["gradient"] is None) == (gradient is None)
    words = {"zero": "gradient is 0", "different": "gradients differ", "equal": "equal too"}
    for command, fact in (("verify", found.gradient), ("solve", solution.gradient)):
        shown = CliRunner().invoke(main, [command, str(file)]).output
        assert ("the gradients agree" in shown) == (command == "verify" and fact is None)
        assert fact is None or (words[fact.verdict] in shown and f"[{fact.standing}]" in shown)
