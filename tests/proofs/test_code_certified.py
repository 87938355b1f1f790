"""The value of code as a theorem for Coq."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import midpo
from midpo.cli import main

torch: Any = pytest.importorskip("torch")

CODE = """
import torch.nn.functional as F

def dpo_loss(policy_logps, reference_logps, mask, beta=0.1):
    chosen, rejected = ((policy_logps - reference_logps) * mask).sum(-1).chunk(2)
    return SCALE * F.logsigmoid(beta * (chosen - rejected)).mean()
"""


def asked(folder: Path, scale: str, *more: str) -> tuple[dict[str, Any], int]:
    file = folder / "loss.py"
    file.write_text(CODE.replace("SCALE", scale))
    arguments = ["prove", "dpo", "--code", f"{file}:dpo_loss", "--json", *more]
    done = CliRunner().invoke(main, [*arguments, "--certify", str(folder / "code.v")])
    (found,) = json.loads(done.stdout)
    return found, done.exit_code


def test_the_theorem_speaks_of_the_code(tmp_path: Path) -> None:
    found, status = asked(tmp_path, "-1", "--set", "beta=alpha")
    assert status == 0 and found["certificate"]["state"] == "exported"
    text = (tmp_path / "code.v").read_text()
    published = text.partition("Definition published")[2].partition("Definition loss_of")[0]
    assert "sumn (n w)" in published and "logsigmoid" in published
    assert (tmp_path / "Midpo.v").exists()


def test_what_has_no_theorem_says_why(tmp_path: Path) -> None:
    found, status = asked(tmp_path, "-2", "--set", "beta=alpha")
    assert status == 1 and "no loss of one pair was proved" in found["certificate"]["reason"]
    held, status = asked(tmp_path, "-1", "--set", "beta=0.1")
    assert status == 0 and "alpha is held" in held["certificate"]["reason"]
    assert not (tmp_path / "code.v").exists()
    small = midpo.prove("simpo", backend="fused", pairs=(1,), value_only=True, certify=True)
    assert small.certificate is not None and small.certificate.state == "not exportable"
    prior = midpo.prove("bco", backend="logps", value_only=True, certify=True)
    assert prior.certificate is not None and "no prior" in prior.certificate.reason
    done = CliRunner().invoke(main, ["prove", "dpo", "--check"])
    assert done.exit_code == 2 and "--certify" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("coqc") is None, reason="no coqc")
def test_coq_accepts_the_theorem(tmp_path: Path) -> None:
    found, status = asked(tmp_path, "-1", "--set", "beta=alpha", "--check")
    assert status == 0 and found["certificate"]["state"] == "checked", found["certificate"]
