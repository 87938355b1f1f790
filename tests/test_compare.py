"""compare: what is equal, what becomes equal at special values, and what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from midpo.cli import main
from midpo.numeric.arithmetic import Floats
from midpo.numeric.evaluate import Evaluator
from midpo.proofs.compare import Comparison, compare
from midpo.symbolic.errors import SpecError
from midpo.symbolic.loss import pair_loss
from midpo.symbolic.spec import Spec, load, loads

DPO = "alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))"
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
}
LIMITS = {"cpo-simpo", "cdpo", "dpop", "dpo-shift", "d2po", "ld-dpo"}


@pytest.mark.parametrize(("first", "second"), SETTINGS)
def test_settings_are_found(first: str, second: str) -> None:
    found = compare(load(first), load(second))
    assert found.verdict == "equal at a setting", found.standing
    answer = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert answer["settings"] == SETTINGS[first, second]
    assert answer["limit"] == (first in LIMITS) == ("a limit" in found.sentence)
    assert found.standing.startswith("proved") and answer["witness"]["lengths"]
    assert found.gradient is ((first, second) != ("tdpo2", "tdpo"))
    # and the other way round
    back = compare(load(second), load(first))
    assert {s.name: s.value for s in back.settings} == SETTINGS[first, second]


@pytest.mark.parametrize(
    ("first", "second"),
    [("dpo", "infonca"), ("dice", "spin"), ("tr-dpo", "sdpo"), ("step-dpo", "dpo"), ("ipo", "ipo")],
)
def test_equal(first: str, second: str) -> None:
    found = compare(load(first), load(second))
    assert (found.verdict, found.witness, found.settings) == ("equal", None, ())
    assert found.gradient is True


@pytest.mark.parametrize(
    ("first", "second"),
    [("dpo", "simpo"), ("tis-dpo", "tdpo"), ("ipo", "ipo-average"), ("orpo", "sft"),
     ("rebel", "ipo"), ("sppo", "dpo"), ("dpop", "dpop-outside")],
)
def test_different(first: str, second: str) -> None:
    """The witness differs when evaluated once more, from the two specs alone."""
    one, other = load(first), load(second)
    found = compare(one, other)
    if found.verdict == "equal at a setting":  # a penalty of weight 0 is none, wherever it stands
        assert (first, second) == ("dpop", "dpop-outside") and found.settings[0].limit
    else:
        assert found.verdict == "different"
    assert found.witness is not None
    values = Evaluator(Floats(), found.witness.case.point(Floats()))
    sides = [float(values(pair_loss(spec))) for spec in (one, other)]
    assert abs(sides[0] - sides[1]) > 1e-6
    assert sides == pytest.approx([found.witness.target_loss, found.witness.recovered_loss])


def test_near_misses_are_not_equal() -> None:
    """What the settings rest on, perturbed: a sign, an exponent, a divergence turned round."""
    tdpo = (DPO + " - alpha*gamma*(sum(kl({0}, y_l, t) for t in y_l)"
            " - sum(kl({0}, y_w, t) for t in y_w))")
    assert at(compare(margin(tdpo.format("pi_ref, pi")), load("tdpo"))) == {"gamma": "1"}
    assert compare(margin(tdpo.format("pi, pi_ref")), load("tdpo")).verdict == "different"
    masked = "sum(mask({0},t)*alpha*log(pi({0},t)/pi_ref({0},t)) for t in {0})"
    assert at(compare(margin(f"{masked.format('y_w')} - {masked.format('y_l')}"), load("dpo"))) == {
        "mask": "1"}
    assert compare(margin(f"{masked.format('y_w')} + {masked.format('y_l')}"),
                   load("dpo")).verdict == "different"


def at(found: Comparison) -> dict[str, str]:
    return {s.name: s.value for s in found.settings}


def test_factor_constant_and_equal_parameters() -> None:
    twice = compare(loss(f"3 - 2*logsigmoid({DPO})"), load("dpo"))
    assert (twice.verdict, twice.factor, twice.constant) == ("equal", 2, 3)
    hinge = compare(loss(f"lam*max(0, 1 - ({DPO})) + gamma"), load("rso"))
    assert hinge.verdict == "equal" and str(hinge.factor) == "lam"
    named = compare(margin(f"lam*({DPO})"), margin(DPO))
    assert at(named) == {"lam": "1"}
    odpo = loads(f"{HEAD}margin = '''{DPO} - mix*len(y_w)'''")
    other = loads(f"{HEAD.replace('mix', 'k')}margin = '''{DPO} - k*len(y_w)'''")
    assert at(compare(odpo, other)) == {"mix": "k"}


def test_a_feature_of_two_kinds_is_refused() -> None:
    other = loads(f'name = "o"\n[features]\nmask = "pair"\n[parameters]\nalpha = "positive"\n'
                  f"[target]\nmargin = '''mask*({DPO})'''")
    mine = margin("sum(mask(y_w,t) for t in y_w) - " + DPO)
    with pytest.raises(SpecError, match="mask belongs to a token"):
        compare(mine, other)


@given(st.lists(st.sampled_from(["len({0})", "log(pi({0}))", "log(pi_old({0}))",
                                 "sum(kl(pi_ref, pi, {0}, t) for t in {0})"]), max_size=3))
@settings(max_examples=25)
def test_an_added_score_is_found_at_weight_zero(scores: list[str]) -> None:
    extra = "".join(f" + gamma*({s.format('y_w')} - {s.format('y_l')})" for s in scores)
    found = compare(margin(DPO + extra), load("dpo"))
    assert found.verdict in ("equal", "equal at a setting")
    assert at(found) == ({"gamma": "0"} if scores else {})


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *(str(a) for a in arguments)])


def test_command(tmp_path: Path) -> None:
    answer: Any = json.loads(run("sparsepo", "tdpo", "--json").stdout)
    assert answer["settings"] == {"mu1": "1", "mu2": "1"}
    assert "equal at mu1 = 1, mu2 = 1" in run("sparsepo", "tdpo").stdout
    assert [run(a, b).exit_code for a, b in (("dpo", "infonca"), ("dpo", "simpo"))] == [0, 1]
    missing = run("dpo", "aot")
    assert missing.exit_code == 2 and "sorted over the batch" in missing.stderr
    assert run("dpo", "no-such-thing").exit_code == 2
