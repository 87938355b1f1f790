"""`midpo check --code`: any function held against a spec, its arguments bound by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import midpo
from midpo.cli import main

torch = pytest.importorskip("torch", reason="kernels run on torch")

OWN = """
import torch
import torch.nn.functional as F

print("this is not the answer")


def dpo(policy_chosen_logps, policy_rejected_logps, reference_chosen_logps,
        reference_rejected_logps, beta, label_smoothing=0.0):
    ratios = policy_chosen_logps - policy_rejected_logps
    ratios = ratios - (reference_chosen_logps - reference_rejected_logps)
    losses = -F.logsigmoid(beta * ratios) * (1 - label_smoothing)
    losses = losses - F.logsigmoid(-beta * ratios) * label_smoothing
    return losses, beta * ratios.detach(), None


def summed(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha):
    ratios = chosen_logps - rejected_logps - ref_chosen_logps + ref_rejected_logps
    return {"loss": -F.logsigmoid(alpha * ratios).sum()}


def exchanged(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha):
    ratios = rejected_logps - chosen_logps - ref_chosen_logps + ref_rejected_logps
    return -F.logsigmoid(alpha * ratios)


def from_logits(policy_logits, reference_logits, labels, mask, alpha, reduction="mean"):
    def logps(logits):
        shown = labels.masked_fill(~mask, 0)[..., None]
        return (logits.log_softmax(-1).gather(-1, shown)[..., 0] * mask).sum(-1)

    chosen, rejected = (alpha * (logps(policy_logits) - logps(reference_logits))).chunk(2)
    losses = -F.logsigmoid(chosen - rejected)
    return losses.mean() if reduction == "mean" else losses


def simpo(policy_token_logps, mask, beta, gamma_beta_ratio):
    chosen, rejected = ((policy_token_logps * mask).sum(-1) / mask.sum(-1)).chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected - gamma_beta_ratio)).mean()


def tdpo(chosen_logits, rejected_logits, reference_chosen_logits, reference_rejected_logits,
         chosen_labels, rejected_labels, chosen_mask, rejected_mask, alpha):
    def side(own, other, labels, mask):
        own, other = own.log_softmax(-1), other.log_softmax(-1)
        shown = labels.clamp(min=0)[..., None]
        ratio = (own - other).gather(-1, shown)[..., 0]
        kl = (other.exp() * (other - own)).sum(-1)
        return ((ratio + kl) * mask).sum(-1)

    chosen = side(chosen_logits, reference_chosen_logits, chosen_labels, chosen_mask)
    rejected = side(rejected_logits, reference_rejected_logits, rejected_labels, rejected_mask)
    return -F.logsigmoid(alpha * (chosen - rejected))


def other(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha, /):
    print("nor is this")
    margin = alpha * (chosen_logps - rejected_logps - ref_chosen_logps + ref_rejected_logps)
    return F.binary_cross_entropy_with_logits(margin, torch.ones_like(margin), reduction="none")


def naive(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, *, alpha):
    margin = alpha * (chosen_logps - rejected_logps - ref_chosen_logps + ref_rejected_logps)
    few = torch.log(1 + torch.exp(-margin.clamp(min=-30)))
    return list(torch.where(margin < -30, -margin, few))


def by_lengths(policy_token_logps, ref_token_logps, lengths, alpha, num_pairs=None):
    counted = torch.arange(policy_token_logps.shape[1]) < lengths[:, None]
    ratios = torch.where(counted, policy_token_logps - ref_token_logps, 0).sum(-1)
    chosen, rejected = ratios.chunk(2)
    return -F.logsigmoid(alpha * (chosen - rejected)).sum() / (num_pairs or len(chosen))


def any_mean(policy_token_logps, ref_token_logps, lengths, alpha, num_pairs=None):
    return by_lengths(policy_token_logps, ref_token_logps, lengths, alpha)


def any_mark(policy_logits, reference_logits, labels, alpha, ignore_index=-100):
    return from_logits(policy_logits, reference_logits, labels.clamp(min=0), labels != -100, alpha)


class Module(torch.nn.Module):
    def forward(self, chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha):
        return other(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha)


class Callable:
    def __call__(self, policy_logits, reference_logits, labels, alpha):
        counted = labels != -100
        labels[~counted] = 0  # the check's own inputs are not written to
        policy_logits.sub_(policy_logits.detach().amax(-1, keepdim=True))

        def logps(own):
            return (own.log_softmax(-1).gather(-1, labels[..., None])[..., 0] * counted).sum(-1)

        chosen, rejected = (alpha * (logps(policy_logits) - logps(reference_logits))).chunk(2)
        return F.softplus(rejected - chosen, threshold=80)


module, instance = Module(), Callable()


def detached(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha):
    return other(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps,
                 alpha).detach()


def endless(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha):
    return other(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps,
                 alpha) + float("inf")


def no_number(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps, alpha):
    return other(chosen_logps, rejected_logps, ref_chosen_logps, ref_rejected_logps,
                 alpha) * float("nan")


def array(chosen_logps, rejected_logps):
    return (rejected_logps - chosen_logps).detach().numpy()


def exits(chosen_logps, rejected_logps):
    raise SystemExit(0)


def one(chosen_logps, rejected_logps):
    return torch.cat([chosen_logps, rejected_logps])


async def later(chosen_logps, rejected_logps):
    return rejected_logps - chosen_logps


def raises(policy_logits, labels):
    raise RuntimeError("a word\\nof its own")


def returns_text(policy_logits, labels):
    return "nothing"
"""

AGREE = [
    ("dpo", "dpo", ["beta=alpha"]),
    ("dpo", "dpo", ["beta=2*alpha/2", "label_smoothing=0"]),
    ("cdpo", "dpo", ["beta=alpha", "label_smoothing=epsilon"]),
    ("dpo", "summed", []),
    ("dpo", "from_logits", []),
    ("dpo", "by_lengths", []),
    ("dpo", "other", []),
    ("dpo", "naive", []),
    ("dpo", "module", []),
    ("dpo", "instance", []),
    ("simpo", "simpo", ["beta=alpha", "gamma_beta_ratio=gamma/alpha"]),
    ("tdpo", "tdpo", []),
]
DIFFER = [
    ("dpo", "exchanged", []),
    ("dpo", "detached", []),
    ("dpo", "endless", []),
    ("dpo", "no_number", []),
    ("dpo", "dpo", ["beta=alpha/2"]),
    ("dpo", "dpo", ["beta=alpha", "label_smoothing=0.1"]),
    ("simpo", "simpo", ["beta=alpha", "gamma_beta_ratio=gamma"]),
    ("dpo", "tdpo", []),
    ("dpo", "any_mean", []),
    ("dpo", "any_mark", []),
    ("simpo", "from_logits", []),
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def run(*args: str) -> Any:
    return CliRunner().invoke(main, ["check", *args])


def asked(spec: str, code: str, settings: list[str], *more: str) -> Any:
    given = [word for setting in settings for word in ("--set", setting)]
    return run(spec, "--code", code, *given, "--trials", "4", "--json", *more)


@pytest.mark.parametrize(("spec", "function", "settings"), AGREE)
def test_own_functions_agree(own: Path, spec: str, function: str, settings: list[str]) -> None:
    result = asked(spec, f"{own}:{function}", settings)
    assert result.exit_code == 0, result.output
    (answer,) = json.loads(result.stdout)
    assert answer["verdict"] == "agrees" and answer["backend"] == "code"
    assert answer["code"].endswith(f"own.py:{function}") and answer["case"] is None
    assert [row["dtype"] for row in answer["dtypes"]] == ["float64", "float32"]


@pytest.mark.parametrize(("spec", "function", "settings"), DIFFER)
def test_mistakes_differ_with_a_case(own: Path, spec: str, function: str, settings: list[str]) -> None:
    result = asked(spec, f"{own}:{function}", settings)
    assert result.exit_code == 1, result.output
    (answer,) = json.loads(result.stdout)
    case = answer["case"]
    assert case["wanted"] != case["got"] and case["inputs"]["labels"] and answer["failure"]


@pytest.mark.parametrize("backend", ["eager", "fused", "linear", "native", "logps"])
def test_generated_files_are_known_by_their_header(tmp_path: Path, backend: str) -> None:
    file = tmp_path / "kernel.py"
    file.write_text(midpo.generate("dpo", backend=backend, thin=backend == "eager").source)
    found = midpo.check("dpo", code=file, trials=2, dtypes=["float32"])
    assert found.passed, found.failure
    assert found.backend == backend and len(found.ways) > 5
    again = midpo.check("dpo", code=file, trials=1, dtypes=["float32"])  # a second copy
    assert again.passed
    text = file.read_text()
    assert "-F.logsigmoid(margin)" in text
    file.write_text(text.replace("-F.logsigmoid(margin)", "-F.logsigmoid(margin * 1.001)"))
    edited = midpo.check("dpo", code=f"{file}:dpo_loss", trials=2, dtypes=["float32"])
    assert not edited.passed and edited.backend == backend


@pytest.mark.parametrize(
    ("text", "code", "settings", "said"),
    [
        (OWN, "own.py:dpo", [], "not bound: beta"),
        (OWN, "own.py:dpo", ["bet=alpha"], "no such argument"),
        (OWN, "own.py:dpo", ["beta=alhpa"], "alhpa"),
        (OWN, "own.py:dpo", ["beta=log(pi(y_w))"], "--set beta=log(pi(y_w))"),
        (OWN, "own.py:dpo", ["beta=__import__('os')"], "--set beta="),
        (OWN, "own.py:dpo", ["beta"], "ARG=EXPR"),
        (OWN, "own.py:dop", [], "no function dop"),
        (OWN, "own.py", [], "which function?"),
        (OWN, "own.py:raises", [], "RuntimeError: a word of its own"),
        (OWN, "own.py:returns_text", [], "returned str"),
        (OWN, "own.py:array", [], "returned float64"),
        (OWN, "own.py:exits", [], "SystemExit: 0"),
        (OWN, "own.py:one", [], "a loss of shape ("),
        (OWN, "own.py:later", [], "returned coroutine"),
        (OWN, "none.py", [], "no such file"),
        ("import nothing_of_this_name", "own.py", [], "line 1: ModuleNotFoundError"),
        ("x = 1\ndef f(:", "own.py", [], "line 2: SyntaxError"),
        ("import sys\nsys.exit(0)", "own.py", [], "line 2: SystemExit"),
        ("x = 1", "own.py", [], "its functions are: none"),
    ],
)
def test_bad_input_is_a_message(tmp_path: Path, text: str, code: str, settings: list[str], said: str) -> None:
    (tmp_path / "own.py").write_text(text)
    result = asked("dpo", str(tmp_path / code), settings)
    assert result.exit_code == 2
    assert said in result.stderr and "Traceback" not in result.stderr


def test_options_that_contradict(own: Path) -> None:
    assert run("dpo", "--set", "beta=alpha").exit_code == 2
    result = run("dpo", "--code", f"{own}:dpo", "--backend", "fused")
    assert result.exit_code == 2 and "one of them" in result.stderr
    with pytest.raises(midpo.MidpoError, match="without code"):
        midpo.check("dpo", arguments={"beta": "alpha"})


def test_a_function_of_python_and_what_no_argument_takes() -> None:
    def loss(
        policy_chosen_logps: Any, policy_rejected_logps: Any, ref_chosen_logps: Any, ref_rejected_logps: Any
    ) -> Any:
        ratios = policy_chosen_logps - policy_rejected_logps
        ratios = ratios - ref_chosen_logps + ref_rejected_logps
        return -torch.nn.functional.logsigmoid(0.1 * ratios)

    found = midpo.check("dpo", code=loss, trials=3)
    assert found.passed, found.failure
    assert any("alpha: held at its default 0.1" in note for note in found.notes)
    other = midpo.check("dpo", code=lambda policy_logits, alpha: policy_logits.sum(), trials=2)
    assert not other.passed
    assert any("no argument takes pi_ref" in note for note in other.notes)
