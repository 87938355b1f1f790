"""Sums over a vocabulary that is there as a whole: log-probabilities are (sequences, T, V)."""

from __future__ import annotations

import torch
from torch import Tensor

from midpo.codegen.runtime.exponentials import _log_softplus


def _at_labels(logps: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities of the labels, (sequences, T)."""
    chosen = logps.gather(-1, torch.where(mask, labels, 0).unsqueeze(-1)).squeeze(-1)
    return torch.where(mask, chosen, -1.0)  # outside finite, and no probability of 1


def _label_odds(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Log-odds log(p/(1 - p)) of the labels, (sequences, T), by the other entries: where p is
    nearly 1 they have the digits of 1 - p."""
    at = torch.where(mask, labels, 0).unsqueeze(-1)
    others = logits.scatter(-1, at, -torch.inf)
    alone = (others == -torch.inf).all(-1)
    others = torch.where(alone.unsqueeze(-1), 0.0, others).logsumexp(-1)
    odds = torch.where(alone, torch.inf, logits.gather(-1, at).squeeze(-1) - others)
    return torch.where(mask, odds, -1.0)


def _counted(mask: Tensor, values: Tensor) -> Tensor:
    """`values` in the response and 1/2 outside, where nothing is summed: a plain number keeps the
    infinities of a logarithm or a root there out of the gradient."""
    return torch.where(mask, values, 0.5)


def _kl(logp: Tensor, logq: Tensor, mask: Tensor) -> Tensor:
    """KL(p || q) at each position in nats, (sequences, T); 0 log 0 = 0."""
    counted = (logp > -torch.inf) & mask.unsqueeze(-1)
    return _counted(mask, (logp.exp() * torch.where(counted, logp - logq, 0.0)).sum(-1))


def _entropy(logp: Tensor, mask: Tensor) -> Tensor:
    """The entropy of p at each position in nats, (sequences, T); 0 log 0 = 0."""
    counted = (logp > -torch.inf) & mask.unsqueeze(-1)
    return _counted(mask, -(logp.exp() * torch.where(counted, logp, 0.0)).sum(-1))


def _mean(weight: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """The sum over the vocabulary of weight * value, (sequences, T), where the weight is not 0."""
    counted = (weight > 0) & mask.unsqueeze(-1)
    inside = weight * torch.where(counted, value.to(weight.dtype), 0.0)
    return _counted(mask, inside.sum(-1))


def _surprises(logps: Tensor) -> Tensor:
    """log(-p*log p) of each entry, (..., V), that of the most probable one by the other entries:
    where p rounds to 1 its logarithm has no digits. What lies in other shards is told by a sum of
    probabilities below 1."""
    top = logps.argmax(-1, keepdim=True)
    others = logps.scatter(-1, top, -torch.inf)
    counted = others > -torch.inf
    alone = ~counted.any(-1, keepdim=True)
    rest = torch.where(alone, 0.0, others).logsumexp(-1, keepdim=True)
    own = logps.gather(-1, top)
    whole = torch.where(alone, own, torch.logaddexp(own, rest)).detach()
    elsewhere = whole < -32 * torch.finfo(logps.dtype).eps
    rest = torch.where(alone, -torch.inf, _log_softplus(rest - own))
    beyond = torch.log(torch.where(elsewhere, -whole, 1.0))
    first = own + torch.where(elsewhere, torch.logaddexp(rest, beyond), rest)
    inside = torch.where(counted, others, -1.0)
    return torch.where(counted, inside + torch.log(-inside), -torch.inf).scatter(-1, top, first)
