"""Our own kernels, every backend: lifted whole, or given what their passes compute."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

import midpo
from midpo.cli import main
from midpo.proving.kernels import kernel_code
from midpo.proving.proof import prove
from midpo.symbolic.language.spec import load

pytest.importorskip("torch")


@pytest.mark.parametrize("row, backend", [("tdpo", "native"), ("sparsepo", "triton"), ("simpo", "native")])
def test_kernels_by_row_are_proved_given_their_passes(row: str, backend: str) -> None:
    found = midpo.prove(row, backend=backend)
    assert found.verdict == "proved" and "every value, length and padding" in found.scope, found
    given = [a for a in found.assumptions if a.startswith("given: _forward computes")]
    assert len(given) == 1 and ("not tested: Triton" in given[0]) == (backend == "triton"), given
    assert backend == "triton" or "tested at 24 calls" in given[0]


@pytest.mark.parametrize("row", ["alphapo", "chi-po", "dmpo"])
def test_what_keeps_kernels_from_overflow_is_no_part_of_their_formula(row: str) -> None:
    """A scale that is cut where it is infinite, a tangent beyond a clip, and a logarithm by two
    formulas that meet at a number."""
    found = midpo.prove(row, backend="eager")
    assert (found.value, found.gradient) == ("proved", "proved"), found
    assert "every value, length and padding" in found.scope


def test_what_a_pass_does_not_compute_proves_nothing() -> None:
    """Statistics in another order, and another row's kernel."""
    spec = load("tdpo")
    code = kernel_code(spec, "native")
    settings, forward = code.contracts
    labels = forward.result[0]
    swapped = replace(forward, result=([labels[1], labels[0], *labels[2:]], *forward.result[1:]))
    found = prove(spec, replace(code, contracts=(settings, swapped)), value_only=True)
    assert found.verdict == "undecided" and "does not hold" in found.reason
    other = prove(load("dpo"), replace(code, arguments={}))
    assert other.verdict == "refuted"


def test_a_pass_near_one_gives_log_odds() -> None:
    found = midpo.prove("orpo", backend="native", value_only=True)
    assert found.verdict != "refuted"
    assert any("tested at" in a and "log(1 - pi(y, t))" in a for a in found.assumptions), found


def test_what_is_declared_and_not_tested_refutes_nothing() -> None:
    """A wrong declaration, of a kernel that does not run here."""
    code = kernel_code(load("dpo"), "triton")
    settings, forward = code.contracts
    wrong = replace(forward, result=([2 * e for e in forward.result[0]], *forward.result[1:]))
    found = prove(load("dpo"), replace(code, contracts=(settings, wrong)))
    assert found.verdict == "undecided" and "declared and not tested" in found.reason


def test_the_command_lists_every_backend() -> None:
    asked = ["prove", "tdpo", "--backend", "eager", "--backend", "logps", "--backend", "native", "--json"]
    done = CliRunner().invoke(main, asked)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert [f["verdict"] for f in found] == ["proved", "no kernel", "proved"] and done.exit_code == 0
    assert "log-probabilities" in found[1]["reason"] and found[1]["backend"] == "logps"
    wrong = CliRunner().invoke(main, ["prove", "no-such-row"])
    assert wrong.exit_code == 2 and wrong.stderr.count("midpo:") == 1
    both = CliRunner().invoke(main, ["prove", "dpo", "--code", "math:sqrt", "--backend", "eager"])
    assert both.exit_code == 2 and "--code and --backend" in both.stderr
