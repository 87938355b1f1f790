"""DPO from logits in the styles that people write, proved; and each with a slip, refuted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import midpo

torch: Any = pytest.importorskip("torch")
F = torch.nn.functional


def _kept(labels: Any) -> Any:
    return labels != -100


def _mixed(logits: Any, labels: Any) -> Any:
    """A mask in float32 beside whatever dtype the logits have: only in float32 does it run."""
    index = labels.clamp(min=0).unsqueeze(-1)
    logps = logits.log_softmax(-1).gather(-1, index)
    return torch.bmm(logps.transpose(1, 2), _kept(labels).float().unsqueeze(-1)).flatten()


def _cast(logits: Any, labels: Any) -> Any:
    logps = torch.distributions.Categorical(logits=logits).log_prob(labels.clamp(min=0))
    return (logps * _kept(labels)).sum(-1).bfloat16().float()


STYLES: dict[str, Callable[[Any, Any], Any]] = {
    "cross-entropy, the vocabulary in the middle": lambda z, y: (
        -F.cross_entropy(z.transpose(1, 2), y, reduction="none", ignore_index=-100).sum(-1)
    ),
    "cross-entropy as a module": lambda z, y: (
        -torch.nn.CrossEntropyLoss(reduction="none")(z.permute(0, 2, 1), y).sum(-1)
    ),
    "along an axis": lambda z, y: torch.einsum(
        "bt,bt->b",
        torch.take_along_dim(z.log_softmax(-1), y.clamp(min=0)[..., None], -1).squeeze(-1),
        _kept(y).to(z.dtype),
    ),
    "a product of two dtypes": _mixed,
    "a distribution, rounded": _cast,
}


def loss(style: Callable[[Any, Any], Any], sign: float) -> Callable[..., Any]:
    def written(policy_logits: Any, reference_logits: Any, labels: Any, beta: Any) -> Any:
        ratios = style(policy_logits, labels) - sign * style(reference_logits, labels)
        chosen, rejected = ratios.chunk(2)
        return F.softplus(beta * (rejected - chosen)).mean()

    return written


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_proved_and_its_slip_refuted(style: str) -> None:
    right, wrong = (
        midpo.prove("dpo", loss(STYLES[style], sign), arguments={"beta": "alpha"}) for sign in (1.0, -1.0)
    )
    assert right.verdict == "proved", right.reason
    assert wrong.verdict == "refuted"


@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_remainder_of_labels_is_no_label(size: int) -> None:
    """But for the vocabulary's, as `take_along_dim` asks for; at a vocabulary of two it is one."""

    def folded(logits: Any, labels: Any) -> Any:
        index = (labels.clamp(min=0) % size).unsqueeze(-1)
        return (logits.log_softmax(-1).gather(-1, index).squeeze(-1) * _kept(labels)).sum(-1)

    assert midpo.prove("dpo", loss(folded, 1.0), arguments={"beta": "alpha"}).verdict == "refuted"


@pytest.mark.parametrize("name", ["erf", "sin"])
def test_a_function_that_the_language_lacks_is_named(name: str) -> None:
    """torch makes it of itself."""

    def styled(logits: Any, labels: Any) -> Any:
        return getattr(torch, name)(STYLES["cross-entropy as a module"](logits, labels))

    found = midpo.prove("dpo", loss(styled, 1.0), arguments={"beta": "alpha"})
    assert found.verdict == "not lifted" and found.reason.endswith(f"no row for torch's operation {name}")
