"""Sums over the tokens of each response and, at the end, over pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def _of_tokens(values: Tensor, mask: Tensor, reduction: str | None, of: int) -> Tensor:
    """What is logged of a number at each position: all of them, (N, 1), or for reduction "none"
    their mean over the tokens of each pair, (B,), of `of` responses."""
    if reduction != "none":
        return values[mask][:, None]  # so that no number of tokens is taken for one of pairs
    sums, counts = torch.where(mask, values, 0.0).sum(-1), mask.sum(-1)
    return sums.view(of, -1).sum(0) / counts.view(of, -1).sum(0)


def _token_sum(mask: Tensor, values: Tensor) -> Tensor:
    """The sum over the tokens of each response."""
    return torch.where(mask, values, 0.0).sum(-1)


def _token_product(mask: Tensor, values: Tensor) -> Tensor:
    """The product over the tokens of each response."""
    return torch.where(mask, values, 1.0).prod(-1)


def _token_log_sum(mask: Tensor, values: Tensor) -> Tensor:
    """The logarithm of the sum of exp(values) over the tokens of each response."""
    return torch.where(mask, values, -torch.inf).logsumexp(-1)


def _token_log_mean(mask: Tensor, values: Tensor) -> Tensor:
    """The logarithm of the mean of exp(values) over the tokens of each response, counted from the
    largest: where all are near 0, so is it."""
    top = torch.where(mask, values, -torch.inf).amax(-1, keepdim=True).detach()
    below = torch.where(mask, values - top, 0.0)
    return top.squeeze(-1) + torch.log1p(torch.expm1(below).sum(-1) / mask.sum(-1))


def _present(mask: Tensor, of: int) -> tuple[Tensor, Tensor]:
    """`mask`, where each response of a pair that lacks labels has one position, so that no sum is
    over none; and which pairs have labels in each of their `of` responses."""
    present = mask.any(-1).view(of, -1).all(0)
    first = torch.arange(mask.shape[-1], device=mask.device) == 0
    return torch.where(present.repeat(of)[:, None], mask, first), present


def _reduced(losses: Tensor, reduction: str, num_pairs: float | None) -> Tensor:
    """The sum of the losses, their mean over `num_pairs` if it is given, or they themselves."""
    if reduction == "none":
        return losses
    pairs = losses.shape[0] if num_pairs is None else num_pairs
    return losses.sum() / pairs if reduction == "mean" else losses.sum()


def _logged(values: dict[str, Tensor], reduction: str, present: Tensor | None) -> dict[str, Tensor]:
    """What trainers log: means, or for reduction "none" one number a pair. Of pairs that are not
    `present` nothing is logged but their share."""
    if present is None:
        apart = reduction == "none"
        return {key: (x if apart else x.mean()).detach() for key, x in values.items()}
    each = {key: x for key, x in values.items() if x.shape == present.shape}
    each = {key: torch.where(present, x, torch.nan) for key, x in each.items()}
    share = (~present).to(torch.float32 if present.device.type == "mps" else torch.float64)
    lacking = share.to(next(iter(values.values()), share).dtype)  # a loss may log nothing else
    found = {**values, **each, "pairs/empty": lacking}
    return {key: (x if reduction == "none" else x.nanmean()).detach() for key, x in found.items()}
