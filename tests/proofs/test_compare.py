"""compare: what is equal, what becomes equal at special values, and what differs."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import S

from midpo.cli import main
from midpo.numeric.arithmetic import Floats
from midpo.numeric.evaluate import Evaluator
from midpo.proofs.compare.comparison import compare
from midpo.proofs.compare.found import Comparison
from midpo.symbolic.errors import SpecError
from midpo.symbolic.language.spec import CATALOGUE, Spec, load, loads
from midpo.symbolic.loss import pair_loss

DPO = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"
SCALED = "equal up to factor and constant"
HEAD = """name = "other"
[parameters]
alpha = "positive"
lam = "positive"
gamma = "nonnegative"
mix = "unit"
[features]
mask = "token"
[policies]
pi_old = "frozen"
[target]
"""


def margin(expression: str) -> Spec:
    return loads(f"{HEAD}margin = '''{expression}'''")


def loss(expression: str) -> Spec:
    return loads(f"{HEAD}loss = '''{expression}'''")


SETTINGS: dict[tuple[str, str], dict[str, str]] = {
    ("simpo", "cpo-normalised"): {"gamma": "0"},
    ("tdpo2", "dpo"): {"lam": "0"},
    ("tdpo2", "tdpo"): {"lam": "1"},
    ("sparsepo", "tdpo"): {"mu1": "1", "mu2": "1"},
    ("sparsepo", "dpo"): {"mu1": "1", "mu2": "0"},
    ("centropy", "dpo"): {"eta": "1"},
    ("dice", "dpo"): {"pi_old": "pi_ref"},
    ("cpo-simpo", "simpo"): {"lam": "0"},
    ("cdpo", "dpo"): {"epsilon": "0"},
    ("dpop", "dpo"): {"lam": "0"},
    ("dpo-shift", "dpo"): {"lam": "1"},
    ("d2po", "dpo"): {"gamma": "1"},
    ("ld-dpo", "dpo"): {"ld": "1"},
    ("rdpo", "dpo"): {"beta": "0"},
    ("focalpo", "dpo"): {"c": "0"},
}


@pytest.mark.parametrize(("first", "second"), SETTINGS)
def test_special_cases_are_found(first: str, second: str) -> None:
    found = compare(load(first), load(second))
    parameters = load(first).names.parameters
    limit = any(
        n in parameters and Fraction(v) not in parameters[n].domain
        for n, v in SETTINGS[first, second].items()
    )
    assert found.verdict == ("limiting case" if limit else "special case"), found.standing
    answer = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert answer["settings"] == SETTINGS[first, second] and answer["special"] == "second"
    assert answer["limit"] == limit == ("a limit" in found.sentence)
    assert f"{second} is a {found.verdict} of {first}: equal" in found.sentence
    assert found.standing.startswith("proved") and answer["witness"]["lengths"]
    assert answer["difference"] not in (None, "0") and first in found.explanation
    assert found.gradient is ((first, second) != ("tdpo2", "tdpo"))
    # and the other way round
    back = compare(load(second), load(first))
    assert at(back) == SETTINGS[first, second]
    assert (back.special, back.verdict) == ("first", found.verdict)


@pytest.mark.parametrize(
    ("first", "second"),
    [("dpo", "infonca"), ("dice", "spin"), ("tr-dpo", "sdpo"), ("step-dpo", "dpo"), ("ipo", "ipo")],
)
def test_equal(first: str, second: str) -> None:
    found = compare(load(first), load(second))
    assert (found.verdict, found.witness, found.settings) == ("equal", None, ())
    assert found.gradient is True


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ("dpo", "simpo", {}),
        ("tis-dpo", "tdpo", {}),
        ("ipo", "ipo-average", {}),
        ("orpo", "sft", {}),
        ("rebel", "ipo", {}),
        ("sppo", "dpo", {}),
        # a penalty of weight 0 is none, wherever it stands; and each may become a third loss
        ("dpop", "dpop-outside", {"lam": "0"}),
        ("tpo", "cpo", {"lam": "0"}),
        ("dice", "odpo-linear", {"pi_old": "pi_ref", "c": "0"}),
    ],
)
def test_different(first: str, second: str, meet: dict[str, str]) -> None:
    """The witness differs when evaluated once more, from the two specs alone."""
    one, other = load(first), load(second)
    for a, b in ((one, other), (other, one)):
        found = compare(a, b)
        assert (found.verdict, at(found), found.special) == ("different", meet, None)
        assert found.witness is not None
        values = Evaluator(Floats(), found.witness.case.point(Floats()))
        sides = [float(values(pair_loss(spec))) for spec in (a, b)]
        assert abs(sides[0] - sides[1]) > 1e-6
        assert sides == pytest.approx([found.witness.target_loss, found.witness.recovered_loss])


def test_a_window_that_is_empty_at_plain_values_is_different() -> None:
    side = "sum(step(lam - t)*log(pi({0}, t)/pi_ref({0}, t)) for t in {0})"
    window = margin(f"alpha*({side.format('y_w')} - {side.format('y_l')})")
    assert compare(window, load("dpo")).verdict == "different"


def test_near_misses_are_not_equal() -> None:
    """What the settings rest on, perturbed: a sign, an exponent, a divergence turned round."""
    tdpo = DPO + " - alpha*gamma*(sum(kl({0}, y_l, t) for t in y_l) - sum(kl({0}, y_w, t) for t in y_w))"
    assert at(compare(margin(tdpo.format("pi_ref, pi")), load("tdpo"))) == {"gamma": "1"}
    assert compare(margin(tdpo.format("pi, pi_ref")), load("tdpo")).verdict == "different"
    masked = "sum(mask({0},t)*alpha*log(pi({0},t)/pi_ref({0},t)) for t in {0})"
    assert at(compare(margin(f"{masked.format('y_w')} - {masked.format('y_l')}"), load("dpo"))) == {
        "mask": "1"
    }
    assert (
        compare(margin(f"{masked.format('y_w')} + {masked.format('y_l')}"), load("dpo")).verdict
        == "different"
    )


def at(found: Comparison) -> dict[str, str]:
    return {s.name: s.value for s in found.settings}


def test_factor_constant_and_equal_parameters() -> None:
    twice = compare(loss(f"3 - 2*logsigmoid({DPO})"), load("dpo"))
    assert (twice.verdict, twice.factor, twice.constant) == (SCALED, 2, 3)
    back = compare(load("dpo"), loss(f"3 - 2*logsigmoid({DPO})"))
    assert (back.verdict, back.factor, back.constant) == (SCALED, S.Half, -S(3) / 2)
    hinge = compare(loss(f"lam*max(0, 1 - ({DPO})) + gamma"), load("rso"))
    assert hinge.verdict == SCALED and str(hinge.factor) == "lam"
    named = compare(margin(f"lam*({DPO})"), margin(DPO))
    assert at(named) == {"lam": "1"} and named.verdict == "special case"
    odpo = loads(f"{HEAD}margin = '''{DPO} - mix*len(y_w)'''")
    other = loads(f"{HEAD.replace('mix', 'k')}margin = '''{DPO} - k*len(y_w)'''")
    assert at(compare(odpo, other)) == {"mix": "k"} and compare(odpo, other).verdict == "equal"
    assert at(compare(other, odpo)) == {"k": "mix"}
    # a parameter that both have, at 1
    inverse = loss(f"-logsigmoid(({DPO})/alpha**2)")
    found = compare(inverse, load("dpo"))
    assert (found.verdict, at(found), found.special) == ("special case", {"alpha": "1"}, "both")
    # domains
    scored = f"margin = '''{DPO} - lam*len(y_w)'''"
    real = HEAD.replace('lam = "positive"', 'lam = "real"')
    narrow = compare(loads(f"{real}{scored}"), loads(f"{HEAD}{scored}".replace("other", "o")))
    assert narrow.verdict == "equal"
    assert narrow.side_conditions == ("lam is a number greater than 0",)


def test_a_feature_of_two_kinds_is_refused() -> None:
    other = loads(
        f'name = "o"\n[features]\nmask = "pair"\n[parameters]\nalpha = "positive"\n'
        f"[target]\nmargin = '''mask*({DPO})'''"
    )
    mine = margin("sum(mask(y_w,t) for t in y_w) - " + DPO)
    with pytest.raises(SpecError, match="mask belongs to a"):
        compare(mine, other)


@given(
    st.lists(
        st.sampled_from(
            ["len({0})", "log(pi({0}))", "log(pi_old({0}))", "sum(kl(pi_ref, pi, {0}, t) for t in {0})"]
        ),
        max_size=3,
    )
)
@settings(max_examples=10)
def test_an_added_score_is_found_at_weight_zero(scores: list[str]) -> None:
    extra = "".join(f" + gamma*({s.format('y_w')} - {s.format('y_l')})" for s in scores)
    found = compare(margin(DPO + extra), load("dpo"))
    assert found.verdict == ("special case" if scores else "equal")
    assert at(found) == ({"gamma": "0"} if scores else {})


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *(str(a) for a in arguments)])


def test_command(tmp_path: Path) -> None:
    answer: Any = json.loads(run("sparsepo", "tdpo", "--json").stdout)
    assert answer["settings"] == {"mu1": "1", "mu2": "1"}
    assert "equal at mu1 = 1, mu2 = 1" in run("sparsepo", "tdpo").stdout
    for pair, status in (
        (("dpo", "infonca"), 0),
        (("dpo", "simpo"), 1),
        (("rdpo", "dpo"), 4),
        (("dpo", "focalpo"), 4),
        (("tpo", "cpo"), 1),
    ):
        assert run(*pair).exit_code == status, pair
    assert "they meet at lam = 0" in run("tpo", "cpo").stdout
    written = (CATALOGUE / "rdpo.toml").read_text()
    slip = tmp_path / "slip.toml"
    slip.write_text(written.replace("len(y_w) - alpha*beta", "len(y_w) + alpha*beta"))
    wrong = run(slip, "rdpo")
    assert wrong.exit_code == 1 and "they meet at beta = 0" in wrong.stdout
    assert "len(y_l) has the wrong sign (coefficient" in wrong.stdout
    missing = run("dpo", "aot")
    assert missing.exit_code == 2 and "sorted over the batch" in missing.stderr
    assert run("dpo", "no-such-thing").exit_code == 2
