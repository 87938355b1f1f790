"""Losses of hidden states and a head: at small sizes, with every value symbolic."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import midpo

torch: Any = pytest.importorskip("torch")

SET = {"beta": "alpha"}
CODE = """
import torch
import torch.nn.functional as F

def logps(hidden, weight, bias, labels):
    logits = hidden @ weight.T if bias is None else hidden @ weight.T + bias
    return logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]

def loss(policy_hidden, policy_weight, policy_bias, reference_hidden, reference_weight, labels, beta):
    policy = logps(policy_hidden, POLICY_WEIGHT, policy_bias, labels)
    reference = logps(reference_hidden, reference_weight, None, labels)
    chosen, rejected = ((policy - reference) * (labels != -100)).sum(-1).chunk(2)
    return -F.logsigmoid(beta * (chosen - rejected)).mean()
"""


def made(weight: str = "policy_weight", **changes: str) -> Callable[..., Any]:
    text = CODE.replace("POLICY_WEIGHT", weight)
    for old, new in changes.items():
        text = text.replace(old, new)
    scope: dict[str, Any] = {}
    exec(compile(text, "<heads>", "exec"), scope)  # our own text
    found: Callable[..., Any] = scope["loss"]
    return found


def test_a_head_is_lifted_at_small_sizes() -> None:
    found = midpo.prove("dpo", made(), arguments=SET)
    assert found.verdict == "proved", found
    assert "a vocabulary of 2; hidden states of 2" in found.scope
    unshifted = made()

    def shifted(
        policy_hidden: Any,
        policy_weight: Any,
        reference_hidden: Any,
        reference_weight: Any,
        labels: Any,
        beta: float,
    ) -> Any:
        return unshifted(
            policy_hidden[:, :-1],
            policy_weight,
            None,
            reference_hidden[:, :-1],
            reference_weight,
            labels[:, 1:],
            beta,
        )

    given: dict[str, Any] = {"arguments": SET, "layout": "unshifted", "pairs": (1,)}
    assert midpo.prove("dpo", shifted, **given).verdict == "proved"


@pytest.mark.parametrize(
    "weight, value, gradient",
    [
        ("policy_weight.detach()", "proved", "refuted"),
        ("(policy_weight * 2 - policy_weight.detach())", "proved", "refuted"),
        ("policy_weight * 2", "refuted", "refuted"),
        ("reference_weight", "refuted", "refuted"),
    ],
)
def test_another_head_is_refuted(weight: str, value: str, gradient: str, tmp_path: Path) -> None:
    found = midpo.prove("dpo", made(weight), arguments=SET, pairs=(1,))
    assert (found.value, found.gradient) == (value, gradient), found
    if value == "proved":
        file, case = tmp_path / "loss.py", tmp_path / "case.py"
        file.write_text(CODE.replace("POLICY_WEIGHT", weight))
        case.write_text(midpo.prove("dpo", f"{file}:loss", arguments=SET, pairs=(1,)).program)
        ran = subprocess.run([sys.executable, str(case)], capture_output=True, text=True, check=False)
        assert ran.returncode == 1 and "the spec gives" in ran.stdout, ran.stderr


def test_our_own_kernel_of_hidden_states() -> None:
    found = midpo.prove("simpo", backend="linear", pairs=(1,))
    assert found.verdict == "proved", found


def test_a_loss_that_differentiates_itself() -> None:
    """What a backward reads while the code differentiates is read as the rest of the code."""

    class Logsigmoid(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.nn.functional.logsigmoid(x)

        @staticmethod
        def backward(ctx: Any, up: Any) -> Any:
            (x,) = ctx.saved_tensors
            return torch.stack([torch.sigmoid(-v) * u for v, u in zip(x, up.tolist(), strict=True)])

    class Ahead(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            with torch.enable_grad():
                own = x.detach().requires_grad_()
                loss = -Logsigmoid.apply(own).mean()
            (slope,) = torch.autograd.grad(loss, own)
            ctx.save_for_backward(slope)
            return loss.detach()

        @staticmethod
        def backward(ctx: Any, up: Any) -> Any:
            return up * ctx.saved_tensors[0]

    def loss(
        pi_chosen_logps: Any,
        pi_rejected_logps: Any,
        ref_chosen_logps: Any,
        ref_rejected_logps: Any,
        beta: float,
    ) -> Any:
        apart = pi_chosen_logps - pi_rejected_logps - ref_chosen_logps + ref_rejected_logps
        return Ahead.apply(beta * apart)

    found = midpo.prove("dpo", loss, arguments=SET)
    assert found.verdict == "proved", found
