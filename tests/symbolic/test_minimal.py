"""What a statement leaves out is said once, and lengths are never left out of one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

import midpo
from midpo.cli import main
from midpo.numeric.witness import is_affine
from midpo.proofs.recover.conditions import defined_where, side_conditions
from midpo.symbolic.errors import SpecError
from midpo.symbolic.language.nodes import LogSigmoid
from midpo.symbolic.loss import recovered_margin

HEAD = """name = "x"
prior = "PRIOR"
[parameters]
beta = "real"
k = "real"
a = "positive"
[features]
s = "response"
[target]
margin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))MORE"
"""


def spec(prior: str = "pi_ref(y)", more: str = "") -> midpo.Spec:
    return midpo.loads(HEAD.replace("PRIOR", prior).replace("MORE", more))


@pytest.mark.parametrize(
    ("prior", "where"),
    [
        ("pi_ref(y)/beta", ["beta > 0"]),
        ("pi_ref(y)/beta**2", ["beta != 0"]),
        ("pi_ref(y)*sqrt(beta)", ["beta > 0"]),
        ("pi_ref(y)*beta/k", ["beta*k > 0"]),
        ("beta*k*pi_ref(y)/(k*k)", ["beta*k > 0"]),
        ("pi_ref(y)*log(a)", ["a - 1 > 0"]),
        ("pi_ref(y)/(exp(beta) - 1)", ["beta > 0"]),
        ("pi_ref(y)*beta*(beta + 2)/beta", None),
        ("pi_ref(y)*(beta - k)*(beta - k)", ["beta - k != 0"]),
        ("(pi_ref(y)*beta)**(1/2)*pi_ref(y)**(1/2)", ["beta > 0"]),
        ("a*beta*pi_ref(y)", ["beta > 0"]),
    ],
)
def test_conditions_are_minimal(prior: str, where: list[str] | None) -> None:
    found = side_conditions(spec(prior))
    assert where is None or list(found) == where
    for one in found:  # none is another's weaker form
        assert not any(other != one and other.split()[0] == one.split()[0] for other in found)


def test_a_product_that_is_never_positive_is_refused() -> None:
    with pytest.raises(SpecError, match="nowhere positive"):
        spec("pi_ref(y)*(beta - k)*(k - beta)")


def test_conditions_that_exclude_each_other_leave_nothing_to_decide() -> None:
    asked = spec("pi_ref(y)*(beta - k)", " + sqrt(k - beta)/(k - beta)")
    assert midpo.verify(asked).verdict == "undecided"
    assert "exclude each other" in midpo.verify(asked).explanation


LENGTHS = {
    "len(y_w) - len(y_l) != 0": " + (len(y_w)**2 - len(y_l)**2)/(len(y_w) - len(y_l)) - len(y_w) - len(y_l)",
    "-3 + len(y_w) != 0": " + (len(y_w)**2 - 9)/(len(y_w) - 3) - len(y_w) - 3",
    "-1 + len(y_w) > 0": " + log(len(y_w) - 1) - log(len(y_w) - 1)",
    "t - 2 != 0 for every t": " + sum((t**2 - 4)/(t - 2) - t - 2 for t in y_w)",
}


@pytest.mark.parametrize("where", LENGTHS)
def test_lengths_without_a_value_are_said_of_the_formulas(where: str, tmp_path: Any) -> None:
    """Every command says where the target has a value; none makes an exception of it."""
    asked = spec(more=LENGTHS[where])
    found = midpo.verify(asked)
    assert found.verdict == "proved", found.explanation
    assert found.side_conditions == () and found.defined_where == (where,) == defined_where(asked)
    path = tmp_path / "a.toml"
    path.write_text(HEAD.replace("PRIOR", "pi_ref(y)").replace("MORE", LENGTHS[where]))
    for command in (["verify"], ["solve"], ["compare", "dpo"]):
        args = [command[0], str(path), *command[1:], "--json"]
        told = json.loads(CliRunner().invoke(main, args).stdout)
        told = told[0] if isinstance(told, list) else told
        assert told["defined_where"] == [where], command
        assert where not in told.get("conditions", told.get("side_conditions")), command
        shown = CliRunner().invoke(main, args[:-1], env={"COLUMNS": "200"}).stdout
        assert f"have a value where {where}" in shown, command


@pytest.mark.parametrize(
    "factor", ["(len(y_w) - len(y_l))", "(3 - len(y_w))", "(len(y_w) - 2*len(y_l) + 1/2)"]
)
def test_no_weight_turns_at_lengths(factor: str) -> None:
    text = (
        HEAD.replace("PRIOR", "pi_ref(y)")
        .replace('margin = "', f'loss = "-{factor}*logsigmoid(')
        .replace("MORE", ")")
    )
    found = midpo.solve(midpo.loads(text))
    assert found.kind in ("undecided", "none") and "> 0" not in " ".join(found.conditions)


def test_squares_of_lengths_are_weights() -> None:
    text = (
        HEAD.replace("PRIOR", "pi_ref(y)")
        .replace('margin = "', 'loss = "-(len(y_w) - len(y_l))**2*logsigmoid(')
        .replace("MORE", ")")
    )
    found = midpo.solve(midpo.loads(text))
    assert found.kind == "weighted" and found.conditions == ()


def test_no_prior_is_written_with_the_logarithm_in_an_exponential() -> None:
    text = HEAD.replace("PRIOR", "pi_ref(y)").replace(
        "MORE", " - log((pi(y_w) + 3*pi_ref(y_w))/2) + log(pi(y_l) + pi_ref(y_l)**2)"
    )
    found = midpo.solve(midpo.loads(text))
    assert found.prior is not None and "exp(log" not in found.as_json()["prior"]


def test_factors_of_parameters_refute_nothing() -> None:
    """Losses are held together at one value of each parameter, whatever cuts they have."""
    asked = midpo.loads(
        HEAD.replace("PRIOR", "pi_ref(y)*exp(step(s(y) - 4*g)*step(2*s(y) - g))")
        .replace("MORE", "")
        .replace('a = "positive"', 'g = "unit"')
    )
    loss = -LogSigmoid(recovered_margin(asked))
    g = asked.names.parameters["g"]
    assert is_affine(asked, g * loss, loss) and is_affine(asked, loss + g, loss)
    assert not is_affine(asked, loss**2, loss)
