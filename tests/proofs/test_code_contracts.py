"""Operators that are not lifted: what they are declared to compute is given, and tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import midpo
from midpo.cli import main

torch: Any = pytest.importorskip("torch")
F = torch.nn.functional

SET = {"beta": "alpha"}
KL, OURS = "divergence = kl(pi_ref, pi, y, t)", "Label = log(policy(y, t))"


def outside(x: Any) -> Any:
    """What torch's operations do not show."""
    return torch.from_numpy(x.detach().numpy())


class Label(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, logits: Any, labels: Any) -> Any:
        logps, index = outside(logits).log_softmax(-1), labels.clamp(min=0)[..., None]
        ctx.save_for_backward(logps, index)
        return logps.gather(-1, index)[..., 0]

    @staticmethod
    def backward(ctx: Any, up: Any) -> Any:
        logps, index = ctx.saved_tensors
        return (-logps.exp() * up[..., None]).scatter_add(-1, index, up[..., None]), None


class Doubled(Label):
    @staticmethod
    def backward(ctx: Any, up: Any) -> Any:
        return Label.backward(ctx, 2 * up)


def divergence(policy: Any, reference: Any) -> Any:
    p, q = policy.log_softmax(-1), reference.log_softmax(-1)
    torch.linalg.svd(torch.eye(2))  # which has no row
    return (q.exp() * (q - p)).sum(-1)


def both(policy: Any, reference: Any, labels: Any) -> Any:
    """Stacked, and something besides."""
    torch.linalg.svd(torch.eye(2))
    index = labels.clamp(min=0)[..., None]
    logps = [x.log_softmax(-1).gather(-1, index)[..., 0] for x in (policy, reference)]
    return torch.stack(logps), None


def whole_rows(policy: Any, labels: Any) -> Any:
    torch.linalg.svd(torch.eye(2))
    index = labels.clamp(min=0)[..., None]
    return (policy.log_softmax(-1).gather(-1, index)[..., 0] * (labels != -100)).sum(-1)


def ratios_of(sums: Any, beta: Any) -> Any:
    chosen, rejected = sums.chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected)).mean()


def tdpo(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
    apart = Label.apply(policy_logits, labels) - Label.apply(reference_logits, labels)
    apart = apart + divergence(policy_logits, reference_logits)
    return ratios_of((apart * (labels != -100)).sum(-1), beta)


def dpo_stacked(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
    found, _ = both(policy_logits, reference_logits, labels)
    return ratios_of(((found[0] - found[1]) * (labels != -100)).sum(-1), beta)


def dpo_whole(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
    return ratios_of(whole_rows(policy_logits, labels) - whole_rows(reference_logits, labels).detach(), beta)


def dpo_halves(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
    """The operators are called for each half."""
    sums = [
        Label.apply(p, t).mul(t != -100).sum(-1) - whole_rows(r, t)
        for p, r, t in zip(policy_logits.chunk(2), reference_logits.chunk(2), labels.chunk(2), strict=True)
    ]
    return -F.logsigmoid(beta * (sums[0] - sums[1])).mean()


GOOD = {
    "tokens": ("tdpo", tdpo, (KL, OURS)),
    "stacked": ("dpo", dpo_stacked, ("both = ([log(pi(y, t)), log(pi_ref(y, t))], _)",)),
    "responses": ("dpo", dpo_whole, ("whole_rows = log(policy(y))",)),
    "halves": ("dpo", dpo_halves, (OURS, "whole_rows = log(pi_ref(y))")),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_loss_is_proved_given_its_operators(name: str) -> None:
    row, function, contracts = GOOD[name]
    assert midpo.prove(row, function, arguments=SET).verdict == "not lifted"
    found = midpo.prove(row, function, arguments=SET, contracts=contracts)
    assert found.verdict == "proved" and "at these lengths" not in found.scope, found
    for each in contracts:
        target, said = each.split(" = ")
        assert any(
            a.startswith(f"given: {target} computes {said}") and "tested at" in a for a in found.assumptions
        )


def test_at_small_sizes_and_unshifted() -> None:
    def shifted(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        return tdpo(policy_logits[:, :-1], reference_logits[:, :-1], labels[:, 1:], beta)

    small: dict[str, Any] = {"shapes": [((2, 1), 3)]}
    for function, options in ((shifted, {"layout": "unshifted"}), (tdpo, small)):
        found = midpo.prove("tdpo", function, arguments=SET, contracts=(KL, OURS), **options)
        assert found.verdict == "proved", found


@pytest.mark.parametrize(
    "wrong",
    [
        "divergence = kl(pi, pi_ref, y, t)",
        "divergence = 2*kl(pi_ref, pi, y, t)",
        "divergence = kl(pi_ref, pi, y, t) + 1/1000",
        "divergence = log(pi(y, t))",
        "divergence = sg(kl(pi_ref, pi, y, t))",
        "divergence = log(policy(y, t))",
    ],
)
def test_a_contract_that_does_not_hold_proves_nothing(wrong: str) -> None:
    found = midpo.prove("tdpo", tdpo, arguments=SET, contracts=(wrong, OURS))
    assert found.verdict in ("undecided", "not lifted"), found
    if "sg(" not in wrong and "policy" not in wrong:
        assert "does not hold" in found.reason


def test_a_wrong_gradient_of_an_operator_is_seen() -> None:
    def loss(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        apart = Doubled.apply(policy_logits, labels) - Label.apply(reference_logits, labels)
        return ratios_of((apart * (labels != -100)).sum(-1), beta)

    found = midpo.prove("dpo", loss, arguments=SET, contracts=(OURS, "Doubled = log(pi(y, t))"))
    assert found.verdict != "proved" and "autograd" in found.reason, found


def test_the_rest_of_the_code_is_refuted_as_ever() -> None:
    def leaks(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        apart = Label.apply(policy_logits, labels) - Label.apply(reference_logits, labels)
        return ratios_of(apart.sum(-1), beta)

    def stops(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        none = 0 * policy_logits.sum()
        return tdpo(policy_logits.detach(), reference_logits, labels, beta) + none

    def half(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        with torch.no_grad():
            apart = divergence(policy_logits, reference_logits)
        apart = apart + Label.apply(policy_logits, labels) - Label.apply(reference_logits, labels)
        return ratios_of((apart * (labels != -100)).sum(-1), beta)

    assert midpo.prove("dpo", leaks, arguments=SET, contracts=(OURS,)).verdict != "proved"
    for function in (stops, half):
        found = midpo.prove("tdpo", function, arguments=SET, contracts=(KL, OURS))
        assert (found.value, found.gradient) == ("proved", "refuted"), found
    swapped = midpo.prove(
        "dpo",
        lambda policy_logits, reference_logits, labels, beta: dpo_stacked(
            reference_logits, policy_logits, labels, beta
        ),
        arguments=SET,
        contracts=GOOD["stacked"][2],
    )
    assert swapped.verdict != "proved"


def test_an_operator_that_does_not_run_here_is_not_tested() -> None:
    def loss(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        return ratios_of(
            (absent(policy_logits, labels) - absent(reference_logits, labels)).mul(labels != -100).sum(-1),
            beta,
        )

    found = midpo.prove("dpo", loss, arguments=SET, contracts=("absent = log(policy(y, t))",))
    assert found.verdict == "proved"
    assert any("not tested: the operator does not run here" in a for a in found.assumptions)


def absent(logits: Any, labels: Any) -> Any:
    raise RuntimeError("there is no device")


def test_what_is_not_declared_must_not_be_looked_at() -> None:
    def looks(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        _, more = both(policy_logits, reference_logits, labels)
        return dpo_stacked(policy_logits, reference_logits, labels, beta) + more.sum()

    found = midpo.prove("dpo", looks, arguments=SET, contracts=GOOD["stacked"][2])
    assert found.verdict == "not lifted" and "_" in found.reason


def test_a_contract_that_is_not_needed() -> None:
    found = midpo.prove(
        "dpo",
        lambda pi_chosen_logps, pi_rejected_logps, ref_chosen_logps, ref_rejected_logps, beta: (
            -F.logsigmoid(
                beta * (pi_chosen_logps - pi_rejected_logps - ref_chosen_logps + ref_rejected_logps)
            )
        ),
        arguments=SET,
        contracts=(KL,),
    )
    assert found.verdict == "proved" and "the contract of divergence was not needed" in (found.assumptions)


CODE = """
import torch

def labelled(logits, labels):
    torch.linalg.svd(torch.eye(2))
    return FACTOR * logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]

def dpo_loss(policy_logits, reference_logits, labels, beta=0.1):
    apart = labelled(policy_logits, labels) - labelled(reference_logits, labels)
    chosen, rejected = (apart * (labels != -100)).sum(-1).chunk(2)
    return -torch.nn.functional.logsigmoid(beta * (chosen - rejected)).mean()
"""


def test_the_command_and_check(tmp_path: Path) -> None:
    file = tmp_path / "loss.py"
    asked = [
        "dpo",
        "--code",
        f"{file}:dpo_loss",
        "--set",
        "beta=alpha",
        "--contract",
        "labelled = log(policy(y, t))",
    ]
    file.write_text(CODE.replace("FACTOR", "1"))
    (found,) = json.loads(CliRunner().invoke(main, ["prove", *asked, "--json"]).stdout)
    assert found["verdict"] == "proved" and found["assumptions"][0].startswith("given: labelled")
    (held,) = json.loads(CliRunner().invoke(main, ["check", *asked, "--json", "--trials", "3"]).stdout)
    assert held["passed"] and any("contracts: tested at" in n for n in held["notes"])
    file.write_text(CODE.replace("FACTOR", "2"))
    assert CliRunner().invoke(main, ["prove", *asked]).exit_code == 3
    (held,) = json.loads(
        CliRunner()
        .invoke(main, ["check", *asked[:-1], "labelled = 3*log(policy(y, t))", "--json", "--trials", "3"])
        .stdout
    )
    assert not held["passed"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("divergence", "OP = EXPR"),
        ("no_such = kl(pi_ref, pi, y, t)", "there is no operator no_such"),
        ("torch:no_such = log(pi(y))", "there is no operator"),
        ("divergence = kl(", "no expression"),
        ("divergence = kl(pi_ref, pi, y_w, t)", "y_w"),
        ("divergence = [(log(pi(y)),), log(pi(y))]", "in a list"),
        ("divergence = (log(pi(y)), log(pi(y, t)))", "of y and t, or all of y"),
        ("divergence = _", "expressions of y"),
        ("1x = log(pi(y))", "OP = EXPR"),
        ("no_module_x:f = log(pi(y))", "there is no operator"),
    ],
)
def test_bad_contracts(text: str, words: str) -> None:
    with pytest.raises(midpo.MidpoError) as told:
        midpo.prove("tdpo", tdpo, arguments=SET, contracts=(text, OURS))
    assert words in str(told.value)


def test_check_of_a_contract_that_is_never_called() -> None:
    with pytest.raises(midpo.MidpoError, match="is not called"):
        midpo.check(
            "dpo",
            code=dpo_stacked,
            arguments=SET,
            trials=2,
            dtypes=["float64"],
            contracts=(*GOOD["stacked"][2], KL),
        )


def test_a_registered_operator_of_torch(tmp_path: Path) -> None:
    file = tmp_path / "operator_loss.py"
    file.write_text(
        CODE.replace("FACTOR", "1")
        .replace(
            "def labelled(logits, labels):",
            """
@torch.library.custom_op("midpo_test_contracts::labelled", mutates_args=())
def labelled(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:""",
        )
        .replace("labelled(policy_logits", "torch.ops.midpo_test_contracts.labelled(policy_logits")
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "midpo",
            "prove",
            "dpo",
            "--code",
            f"{file}:dpo_loss",
            "--set",
            "beta=alpha",
            "--value-only",
            "--contract",
            "torch.ops.midpo_test_contracts:labelled = log(pi(y, t))",
            "--contract",
            "labelled = log(pi_ref(y, t))",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "given: torch.ops" in done.stdout, done
