"""Layouts: sequences padded, (sequences, T), or packed one after the other, (N,)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _longest(cu_seqlens: Tensor, max_seqlen: int | None, validate: bool) -> int:
    """The tokens of the longest packed sequence: as given, or found, which waits for the device."""
    if max_seqlen is not None and not validate:
        return max_seqlen
    found = int(cu_seqlens.diff().max())
    if max_seqlen is not None and max_seqlen < found:
        raise ValueError(f"max_seqlen: got {max_seqlen}, needs at least {found}")
    return found


def _places(cu_seqlens: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """For packed sequences: the token at each place of (sequences, T), and whether there is one."""
    starts, lengths = cu_seqlens[:-1].long(), cu_seqlens.diff().long()
    offsets = torch.arange(longest, device=cu_seqlens.device)
    inside = offsets < lengths[:, None]
    return torch.where(inside, starts[:, None] + offsets, 0), inside


def _layout(cu_seqlens: Tensor, longest: int, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same, and the place of each token."""
    starts, lengths = cu_seqlens[:-1].long(), cu_seqlens.diff().long()
    sequence = torch.repeat_interleave(lengths, output_size=labels.shape[0])
    place = torch.arange(labels.shape[0], device=labels.device) - starts[sequence]
    return *_places(cu_seqlens, longest), sequence * longest + place


def _at_first(sums: Tensor, labels: Tensor, ignore_index: int, cu_seqlens: Tensor | None) -> Tensor:
    """Log-probabilities of whole responses, one each, at its first label: as if its other tokens
    were sure."""
    counted = labels != ignore_index
    if cu_seqlens is None:
        return torch.where(counted & (counted.cumsum(1) == 1), sums[:, None], 0.0)
    sequence = torch.repeat_interleave(cu_seqlens.diff().long(), output_size=labels.shape[0])
    up_to = counted.cumsum(0)
    before = F.pad(up_to, (1, 0))[cu_seqlens[:-1].long()]
    return torch.where(counted & (up_to - before[sequence] == 1), sums[sequence], 0.0)


def _padded(values: Tensor, layout: Any, outside: float) -> Tensor:
    """(N, ...) values as (sequences, T, ...); others, whose layout is None, as they are."""
    if layout is None:
        return values
    tokens, inside, *_ = layout
    shape = inside.shape + (1,) * (values.dim() - 1)
    return torch.where(inside.reshape(shape), values[tokens], outside)


def _packed(values: Tensor, layout: Any) -> Tensor:
    """(sequences, T) values as (N,) where the layout is packed."""
    return values if layout is None else values.reshape(-1)[layout[2]]
