"""What trainers and fused losses do beside a loss: heads, numbers of tokens, and what they log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import midpo

torch: Any = pytest.importorskip("torch")
F = torch.nn.functional

Margin = Callable[[Any, Any, Any], Any]


def dpo(policy: Any, reference: Any, labels: Any) -> Any:
    """Direct preference optimisation at 1/2, of logits."""
    kept = labels != -100
    at = labels.clamp(min=0)[..., None]
    logps = [z.log_softmax(-1).gather(-1, at)[..., 0] * kept for z in (policy, reference)]
    chosen, rejected = (logps[0] - logps[1]).sum(-1).chunk(2)
    return -F.logsigmoid((chosen - rejected) / 2).mean()


def with_head(head: Callable[[int], Any]) -> Margin:
    """The logits are hidden states times a head."""

    def loss(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        weight = head(policy_logits.shape[-1]).to(policy_logits.dtype)
        return dpo(policy_logits @ weight.t(), reference_logits @ weight.t(), labels)

    return loss


def accuracy(z: Any, labels: Any) -> Any:
    return ((z.argmax(-1) == labels) & (labels != -100)).sum() / (labels != -100).sum()


def beside(seen: Callable[[Any, Any], Any]) -> Margin:
    """The loss, and what is seen on the way."""

    def loss(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        return dpo(policy_logits, reference_logits, labels) + seen(policy_logits, labels)

    return loss


def pieces(z: Any, labels: Any) -> Any:
    """A mean over positions that are taken 128 at a time, whatever their responses."""
    flat = z.reshape(-1, z.shape[-1])
    found = torch.cat([part.logsumexp(-1) for part in flat.split(128)]).reshape(labels.shape)
    return (found * (labels != -100)).mean()


EVERY: dict[str, Margin] = {
    "the identity as a head": with_head(torch.eye),
    "an accuracy": beside(lambda z, y: 0 * accuracy(z, y)),
    "in pieces": beside(lambda z, y: 0 * pieces(z.detach(), y)),
    "the last position": beside(lambda z, y: 0 * F.pad(z.detach(), (0, 0, 0, 1))[:, -1:].sum()),
    "a number of tokens": beside(lambda z, y: 0.0 * ((y != -100).sum().item() // 1)),
    "an empty batch": beside(lambda z, y: 1.0 if (y != -100).sum().item() == 0 else 0.0),
}
OTHER: dict[str, Margin] = {
    "twice the identity": with_head(lambda n: 2 * torch.eye(n)),
    "an accuracy": beside(accuracy),
    "an accuracy in a question": beside(lambda z, y: 1.0 if accuracy(z, y) > 0.5 else 0.0),
    "in pieces": beside(pieces),
    "a number of tokens": beside(lambda z, y: 1e-3 * (y != -100).sum().item()),
    "few tokens": beside(lambda z, y: 1.0 if (y != -100).sum().item() < 3 else 0.0),
}


HALF = midpo.loads(
    'name = "half"\n[target]\nloss = "-log(sigmoid(log(pi(y_w)/pi_ref(y_w))/2 - log(pi(y_l)/pi_ref(y_l))/2))"'
)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_beside_the_loss_does_not_keep_it_from_a_proof_at_every_length(name: str) -> None:
    found = midpo.prove(HALF, EVERY[name])
    assert found.verdict == "proved" and "at these lengths" not in found.scope, found


@pytest.mark.parametrize("name", OTHER)
def test_what_enters_the_loss_is_seen(name: str) -> None:
    found = midpo.prove(HALF, OTHER[name])
    assert found.verdict != "proved", found


def test_a_law_of_padding_that_is_empty_has_no_rows() -> None:
    """What leaks padding is told from the loss where there is none, too."""

    def leaks(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        return dpo(policy_logits, reference_logits, labels) + policy_logits.softmax(-1).square().sum() / 9

    assert midpo.prove(HALF, leaks).verdict == "refuted"


FLAT: dict[str, Callable[[Any], Any]] = {
    "a value in pieces": lambda z: torch.cat([part > 0 for part in z[..., 0].reshape(-1).split(128)]),
    "a rounded value": lambda z: (z[..., :1].amax(-1).round() != 0).reshape(-1),
    "the first position": lambda z: (torch.arange(z.shape[1]) != 0).expand(z.shape[0], -1).reshape(-1),
}


@pytest.mark.parametrize("name", FLAT)
def test_what_is_not_known_is_no_mask(name: str) -> None:
    """What may be true or false at each position is neither."""

    def loss(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        mask = FLAT[name](policy_logits.logsumexp(-1, keepdim=True)).reshape(labels.shape)
        kept = mask & (labels != -100)
        return dpo(policy_logits, reference_logits, torch.where(kept, labels, -100))

    found = midpo.prove(HALF, loss)
    assert found.verdict != "proved"
    assert not any("is not 0" in a for a in found.assumptions), found
