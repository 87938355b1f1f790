"""Tables of some rows of a vocabulary, (n, V), and sums over their entries."""

from __future__ import annotations

import torch
from torch import Tensor

RATE = 1.4426950216293335  # log2(e), as float32 has it


def _accumulation(inputs: Tensor) -> torch.dtype:
    return torch.float64 if inputs.dtype == torch.float64 else torch.float32


def _rate(dtype: torch.dtype) -> float:
    """Exponentials are to the base 2 in float32, where they are quicker, else to the base e."""
    return 1.0 if dtype == torch.float64 else RATE


def _read(
    scores: Tensor,
    shift: Tensor,
    total: Tensor,
    known: bool,
    kinds: tuple[str, ...],
    buffers: list[Tensor],
    spare: Tensor,
    labels: tuple[Tensor, Tensor] | None = None,
) -> list[Tensor]:
    """Tables of some rows of a policy, a buffer each: "log" its log-probabilities, "prob" its
    probabilities.

    With t = rate*scores + shift, probabilities are 2**t (or e**t) over their total. `shift` is a
    whole number that keeps the exponentials in range, so that adding it costs no digits. Unless
    both are `known`, they are found and written first, in `spare`, which may have fewer rows, where
    no buffer gets the exponentials. The first buffer may hold the scores.
    With `labels`, their places and whether they are here, the sum is of the other entries, counted
    from the largest of these: beside a label that is nearly sure they would round to 0.
    """
    rate = _rate(scores.dtype)
    power = torch.exp if rate == 1.0 else torch.exp2
    if not known and labels is None:
        torch.amax(scores, -1, out=shift)
        shift.mul_(-rate).round_()
    if kinds:
        scores = torch.add(shift[:, None], scores, alpha=rate, out=buffers[0])
    tables = []
    if "prob" in kinds:
        tables.append(power(scores, out=buffers[-1]))
        if not known:
            torch.sum(tables[0], -1, out=total)
        tables[0].mul_(total.reciprocal()[:, None])
    elif not known:
        every, size = (scores, shift, total, *(labels or ())), spare.shape[0]
        whole = scores.shape[0] <= size
        parts = [every] if whole else zip(*(x.split(size) for x in every), strict=True)
        for powers, low, found, *at_label in parts:
            place = spare if powers.shape[0] == size else spare[: powers.shape[0]]
            if at_label:
                index, ours = at_label
                powers = place.copy_(powers)
                powers.scatter_(-1, index, powers.gather(-1, index).masked_fill_(ours, -torch.inf))
                torch.amax(powers, -1, out=low)
                low.mul_(-rate).round_()
                low = low.masked_fill(low == torch.inf, 0.0)  # there is no other entry
            if not kinds:
                powers = torch.add(low[:, None], powers, alpha=rate, out=place)
            torch.sum(power(powers, out=place), -1, out=found)
    if "log" in kinds:
        tables.insert(0, torch.add(total.log().neg_()[:, None], scores, alpha=1 / rate, out=scores))
    return tables


def _expectation(weight: Tensor, value: Tensor, spent: bool = False) -> Tensor:
    """The sum over the vocabulary of weight * value, in the memory of a value that is `spent`."""
    return (value.mul_(weight) if spent else weight * value).sum(-1)


def _guarded_expectation(weight: Tensor, value: Tensor, spent: bool = False) -> Tensor:
    """The same where the weight is not 0: 0 log 0 = 0."""
    return torch.where(weight == 0, 0.0, weight * value).sum(-1)


def _weighted(weight: Tensor, value: Tensor) -> Tensor:
    """weight * value, in the memory of the value."""
    return value.mul_(weight)


def _guarded(weight: Tensor, value: Tensor) -> Tensor:
    """weight * value, and 0 where the weight is 0."""
    return torch.where(weight == 0, 0.0, weight * value)


# How products over the vocabulary are made: at once, and again where 0 log 0 was among them.
WAYS = ((_expectation, _weighted), (_guarded_expectation, _guarded))
