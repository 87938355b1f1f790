# mypy: disable-error-code="attr-defined, arg-type"
"""A vocabulary in shards, one a process of a group."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from midpo.codegen.runtime.tables import _rate


def _group(name: str) -> Any:
    return dist.distributed_c10d._resolve_process_group(name)


def _shard_start(size: int, device: torch.device, group: str) -> int:
    """The first vocabulary entry of this process's shard, of `size` entries."""
    members = _group(group)
    own = torch.tensor([size], device=device)
    sizes = [torch.empty_like(own) for _ in range(dist.get_world_size(members))]
    dist.all_gather(sizes, own, group=members)
    return int(sum(int(s) for s in sizes[: dist.get_rank(members)]))


def _reduce_normalisers(shifts: Tensor, totals: Tensor, group: str) -> None:
    """What normalises over all shards, from that of each."""
    common = shifts.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(common, dist.ReduceOp.MIN, group=_group(group))
    difference = (common - shifts).nan_to_num(nan=0.0)
    scale = difference.exp() if _rate(totals.dtype) == 1.0 else difference.exp2()
    # A shard without a finite logit has an infinite shift and adds nothing.
    total = torch.where(shifts == torch.inf, 0.0, totals * scale)
    dist.all_reduce(total, group=_group(group))
    totals.copy_(total)
    shifts.copy_(common)


def _reduce_sums(found: Tensor, places: list[int], group: str) -> None:
    """Sums over all shards, and at `places` the logarithms of sums."""
    if places:
        tops = found[places]
        dist.all_reduce(tops, dist.ReduceOp.MAX, group=_group(group))
        found[places] = (found[places] - tops).exp()
    dist.all_reduce(found, group=_group(group))
    if places:
        found[places] = found[places].log() + tops


def _reduce_values(values: Tensor, labels: Tensor, group: str) -> None:
    """Sums over the shards, at counted positions."""
    total = values.clone()
    dist.all_reduce(total, group=_group(group))
    values.copy_(torch.where(labels >= 0, total, values))


def _reduce_tops(normalisers: Tensor, group: str) -> None:
    """The largest logit of all shards, and the log of the sum counted from it."""
    tops, logs = normalisers[0::2], normalisers[1::2]
    largest = tops.clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX, group=_group(group))
    sums = (logs + (tops - largest)).exp_()
    dist.all_reduce(sums, group=_group(group))
    tops.copy_(largest)
    logs.copy_(sums.log_())


def _vocabulary_group(logits: Any, group: Any) -> Any:
    """The group over which a DTensor's last dimension is sharded, else that which is given."""
    if group is not None and not hasattr(group, "group_name"):
        raise ValueError(f"vocab_group: got {group!r:.40}, needs a process group or None")
    if not hasattr(logits, "device_mesh"):
        return group
    for dimension, placement in enumerate(logits.placements):
        if placement.is_shard(logits.dim() - 1) or placement.is_shard(-1):
            return logits.device_mesh.get_group(dimension)
    raise ValueError("policy_logits: got a DTensor, needs one sharded over its last dimension")


def _local(logits: Any) -> Any:
    return logits.to_local() if hasattr(logits, "to_local") else logits
