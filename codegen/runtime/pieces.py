"""Rows of logits a piece at a time, and memory for their tables.

A policy is its logits, or its hidden states with the weight and the bias of the output head.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from midpo.codegen.runtime.shards import _shard_start


def _large_pages(tensor: Tensor) -> None:
    """Ask Linux for large pages: fresh memory of the logits' size is otherwise taken page by page,
    which costs more than all the arithmetic."""
    page, size = 4096, tensor.numel() * tensor.element_size()
    if tensor.device.type == "cpu" and sys.platform == "linux" and size > 1 << 22:
        start = -(-tensor.data_ptr() // page) * page
        length = (tensor.data_ptr() + size) // page * page - start
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), 14)


def _policies(trained: list[Tensor], frozen: list[Tensor]) -> list[list[Tensor]]:
    each = len(trained)
    return [trained, *(frozen[at : at + each] for at in range(0, len(frozen), each))]


def _vocabulary(policy: list[Tensor]) -> int:
    return int(policy[0].shape[-1] if len(policy) == 1 else policy[1].shape[0])


def _flat(policies: list[list[Tensor]], labels: Tensor) -> tuple[list[list[Tensor]], Tensor]:
    """Positions of all sequences one after the other, where that takes no copy."""
    if labels.dim() == 1 or not all(policy[0].is_contiguous() for policy in policies):
        return policies, labels
    return [[policy[0].flatten(0, 1), *policy[1:]] for policy in policies], labels.flatten()


def _runs(labels: Tensor, rows: int) -> list[tuple[Any, ...]]:
    """Where the counted positions are, as pieces of at most `rows` neighbours."""
    counted = (labels >= 0).reshape(-1, labels.shape[-1]).to(torch.int8)
    edges = F.pad(counted, (1, 1)).diff()
    starts, stops = (edges == 1).nonzero().tolist(), (edges == -1).nonzero().tolist()
    return [
        (slice(at, min(at + rows, stop)),)
        if labels.dim() == 1
        else (sequence, slice(at, min(at + rows, stop)))
        for (sequence, start), (_, stop) in zip(starts, stops, strict=True)
        for at in range(start, stop, rows)
    ]


def _around(labels: Tensor, edge: int, before: int, after: int) -> list[tuple[Any, ...]]:
    """As _runs, of at most `before` neighbours up to a position, and `after` from there on."""
    if not edge:
        return _runs(labels, after)
    apart = _runs(labels[edge:], after) if edge < labels.shape[0] else []
    moved = [(slice(at.start + edge, at.stop + edge),) for (at,) in apart]
    return _runs(labels[:edge], before) + moved


def _size(at: tuple[Any, ...]) -> int:
    return int(at[-1].stop - at[-1].start)


def _with_memory(runs: list[Any], scratch: Tensor) -> list[tuple[Any, Any]]:
    """Each piece, and its tables."""
    return [(at, scratch[:, : _size(at)].unbind()) for at in runs]


def _scratch(count: int, runs: list[Any], policy: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Memory for `count` tables of the longest piece."""
    longest = max(map(_size, runs), default=0)
    return policy[0].new_empty((count, longest, _vocabulary(policy)), dtype=dtype)


def _rows_at_once(rows: int | None, size: int, device: torch.device, most: int) -> int:
    """How many rows of `size` logits take `most` bytes."""
    if rows is not None:
        return rows
    return max(1, most * (1 if device.type == "cpu" else 32) // (4 * size))


def _label_index(policy: list[Tensor], labels: Tensor, group: str) -> tuple[Tensor, Tensor]:
    """Each label's place in this process's vocabulary, (..., 1), and whether it is there."""
    size = _vocabulary(policy)
    start = _shard_start(size, policy[0].device, group) if group else 0
    ours = (labels >= start) & (labels < start + size)
    return (labels - start).clamp(0, size - 1).unsqueeze(-1), ours
