"""What arguments are made of: `--bind ARG=EXPR`, to prove and to check."""

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
IN_TURNS = {
    "logps": "turns(policy_chosen_logps, policy_rejected_logps)",
    "ref": "turns(reference_chosen_logps, reference_rejected_logps)",
}
ONE_AFTER_THE_OTHER = {
    "logps": "cat(policy_chosen_logps, policy_rejected_logps)",
    "ref": "cat(reference_chosen_logps, reference_rejected_logps)",
}
BATCH = '{"logps": policy_logps, "others": [reference_logps, not mask], "scale": -2.0}'


def in_turns(logps: Any, ref: Any, beta: float) -> Any:
    apart = logps - ref
    return -F.logsigmoid(beta * (apart[0::2] - apart[1::2])).mean()


def of_batch(model: Any, batch: Any, beta: float) -> Any:
    ref, dropped = batch["others"]
    apart = ((batch["logps"] - ref) * ~dropped).sum(-1) * batch["scale"] / -2
    chosen, rejected = apart.chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected)).mean()


@pytest.mark.parametrize(
    "function, bind", [(in_turns, IN_TURNS), (of_batch, {"model": "None", "batch": BATCH})]
)
def test_arguments_made_of_several(function: Any, bind: dict[str, str]) -> None:
    found = midpo.prove("dpo", function, arguments=SET, bind=bind)
    assert found.verdict == "proved", found
    assert {f"{name} is {text}" for name, text in bind.items()} <= set(found.assumptions)
    assert midpo.check("dpo", code=function, arguments=SET, bind=bind, trials=4, dtypes=["float64"]).passed


@pytest.mark.parametrize(
    "bind",
    [
        ONE_AFTER_THE_OTHER,
        {**IN_TURNS, "ref": "turns(reference_rejected_logps, reference_chosen_logps)"},
        {**IN_TURNS, "logps": "2 * turns(policy_chosen_logps, policy_rejected_logps)"},
    ],
)
def test_arguments_made_otherwise_are_refuted(bind: dict[str, str]) -> None:
    found = midpo.prove("dpo", in_turns, arguments=SET, bind=bind)
    assert found.verdict == "refuted"
    assert not midpo.check(
        "dpo", code=in_turns, arguments=SET, bind=bind, trials=4, dtypes=["float64"]
    ).passed


def test_the_policy_in_two_ways_has_no_proof_of_its_gradient() -> None:
    def loss(policy_logps: Any, whole: Any, mask: Any, ref: Any, beta: float) -> Any:
        half = (policy_logps * mask).sum(-1).chunk(2)[0]
        return -F.logsigmoid(beta * (half - ref[0] - whole + ref[1])).mean()

    found = midpo.prove(
        "dpo",
        loss,
        arguments=SET,
        bind={"whole": "policy_rejected_logps", "ref": "[reference_chosen_logps, reference_rejected_logps]"},
    )
    assert found.value == "proved" and found.gradient == "undecided", found


@pytest.mark.parametrize(
    "text, words",
    [
        ("policy_chosen_logpz", "there is no policy_chosen_logpz"),
        ("cta(mask, mask)", "there is no function cta"),
        ("turns(mask)", "turns of 1 things"),
        ("mask[0]", "is not part of it"),
        ("mask.sum()", "is not part of it"),
        ("cat(", "no expression"),
        ("lambda: mask", "is not part of it"),
        ("__import__('os')", "no function __import__"),
        ("{1: mask}", "a key that is no text"),
        ("mask ** 2", "is not part of it"),
        ("-" * 40 + "mask", "nested too deeply"),
        ("f(x=mask)", "is not part of it"),
    ],
)
def test_what_is_no_such_expression_is_refused(text: str, words: str) -> None:
    with pytest.raises(midpo.MidpoError) as told:
        midpo.prove("dpo", in_turns, arguments=SET, bind={**IN_TURNS, "ref": text})
    assert words in str(told.value) and "expected:" in str(told.value)


CODE = """
import torch.nn.functional as F

def dpo_loss(batch, beta=0.1):
    apart = batch["pi"][0].DETACH - batch["ref"]
    return -F.logsigmoid(beta * (apart[0::2] - apart[1::2])).mean()
"""
COMMAND = (
    "--set",
    "beta=alpha",
    "--bind",
    f'batch={{"pi": [{IN_TURNS["logps"]}], "ref": {IN_TURNS["ref"]}}}',
)


def test_the_command_and_the_witness_of_a_gradient(tmp_path: Path) -> None:
    file, case = tmp_path / "loss.py", tmp_path / "case.py"
    file.write_text(CODE.replace("DETACH", "clone()"))
    asked = ["dpo", "--code", f"{file}:dpo_loss", *COMMAND]
    (found,) = json.loads(CliRunner().invoke(main, ["prove", *asked, "--json"]).stdout)
    assert found["verdict"] == "proved"
    assert CliRunner().invoke(main, ["check", *asked, "--trials", "3"]).exit_code == 0
    half = CODE.replace('batch["pi"][0].DETACH', '(batch["pi"][0] * 2 - batch["pi"][0].detach())')
    file.write_text(half)
    done = CliRunner().invoke(main, ["prove", *asked, "--witness", str(case)])
    assert done.exit_code == 1, done.output
    ran = subprocess.run([sys.executable, str(case)], capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "the spec gives" in ran.stdout, ran.stderr
    file.write_text(CODE.replace("DETACH", "clone()"))  # mended
    assert subprocess.run([sys.executable, str(case)], capture_output=True).returncode == 0


def test_bad_input_of_the_command() -> None:
    for arguments, words in (
        (["prove", "dpo", "--bind", "x=mask"], "--bind without --code"),
        (["check", "dpo", "--bind", "x=mask"], "--bind without --code"),
        (["prove", "dpo", "--code", "math:sqrt", "--bind", "x"], "ARG=EXPR"),
        (["prove", "dpo", "--code", "math:sqrt", "--bind", "x=mask", "--set", "x=1"], "twice"),
    ):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 2 and words in done.stderr, (done.output, done.stderr)
