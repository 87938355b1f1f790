# mypy: allow-untyped-calls
"""What trainers log of the trained policy's logits at a position, whatever the loss."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from midpo.codegen.runtime.heads import _HeadsPass
from midpo.codegen.runtime.packing import _padded
from midpo.codegen.runtime.pieces import _flat, _rows_at_once, _runs
from midpo.codegen.runtime.shards import _group, _shard_start
from midpo.codegen.runtime.sums import _of_tokens
from midpo.codegen.runtime.tables import _accumulation, _rate

OBSERVED = 3  # entropy in nats, mean logit, whether the label's logit is the first of the largest
GLANCE = 1 << 21  # bytes of a table of logits that are looked at together on a CPU


def _observe(scores: Tensor, places: Tensor, group: str) -> Tensor:
    """What is OBSERVED of rows of logits (n, V), (3, n): of this process's shard where there is a
    `group`. The labels are at `places`, outside 0..V-1 where they are in another shard."""
    rate, low = _rate(scores.dtype), torch.finfo(scores.dtype).min
    top = scores.amax(-1)
    if group:
        dist.all_reduce(top, dist.ReduceOp.MAX, group=_group(group))
    below = (scores - top[:, None]).clamp_(min=low)  # finite: 0 log 0 = 0
    powers = below * rate
    powers = powers.exp_() if rate == 1.0 else powers.exp2_()
    total, mean = powers.sum(-1), below.mul_(powers).sum(-1)
    own = scores.gather(-1, places.clamp(0, scores.shape[1] - 1)[:, None])[:, 0]
    is_here = (places >= 0) & (places < scores.shape[1])
    before = torch.arange(scores.shape[1], device=scores.device) < places[:, None]
    largest_before = torch.where(before, scores, -torch.inf).amax(-1)
    size = torch.full_like(top, scores.shape[1])
    truths = (is_here & (own == top), (largest_before == top) & before.any(-1))
    sums = torch.stack([total, mean, scores.sum(-1), size, *(x.to(top) for x in truths)])
    if group:
        dist.all_reduce(sums, group=_group(group))
    total, mean, logits, size, right, earlier = sums
    is_first = ((right > 0) & (earlier == 0)).to(top)
    return torch.stack([total.log() - mean / total, logits / size, is_first])


def _observe_into(
    found: Tensor, scores: Tensor, labels: Tensor, start: int = 0, group: str = ""
) -> None:
    """The same, a few rows at a time, into `found`; `start` is the shard's first entry."""
    step = _rows_at_once(None, scores.shape[1], scores.device, GLANCE)
    for at in range(0, scores.shape[0], step):
        rows = scores[at : at + step].to(found.dtype)
        found[:, at : at + step] = _observe(rows, labels[at : at + step] - start, group)


@torch.no_grad()
def _observed(logits: Tensor, labels: Tensor, group: str = "") -> Tensor:
    """What is OBSERVED of positions of logits (..., V), (3, ...), 0 where labels are negative."""
    ((flat,),), places = _flat([[logits]], labels)
    found = places.new_zeros((OBSERVED, *places.shape), dtype=_accumulation(logits))
    start = _shard_start(logits.shape[-1], logits.device, group) if group else 0
    for at in _runs(places, _rows_at_once(None, logits.shape[-1], logits.device, GLANCE)):
        _observe_into(found[(slice(None), *at)], flat[at], places[at], start, group)
    return found.view(OBSERVED, *labels.shape)


class _ObservedPass(_HeadsPass):
    """A pass that besides its statistics gives what is OBSERVED of the logits that it makes."""

    found: Any = None

    def forward(self: Any, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        trained, _, labels, *_ = given
        seen = labels.new_zeros((OBSERVED, *labels.shape), dtype=_accumulation(trained[0]))
        one = copy.copy(self)  # another call may be under way
        _, flat = _flat([trained], labels)
        one.found = seen.view(OBSERVED, *flat.shape)
        statistics, normalisers, kept = _HeadsPass.forward(one, *given)
        return torch.cat([statistics, seen]), normalisers, kept

    def scores(self: Any, w: Any, n: int, at: tuple[Any, ...], out: Tensor) -> Tensor:
        scores: Tensor = super().scores(w, n, at, out)
        if n == 0 and self.found is not None:
            _observe_into(self.found[(slice(None), *at)], scores, w.labels[at])
        return scores

    def forward_shapes(self: Any, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        statistics, normalisers, kept = super().forward_shapes(*given)
        more = statistics.new_empty((self.count + OBSERVED, *given[2].shape))
        return more, normalisers, kept

    def backward_into(
        self: Any, gradients: list[Tensor], *given: Any, spent: bool = False
    ) -> list[Tensor]:
        *before, statistics, normalisers, kept, seeds = given
        saved = (statistics[: self.count], normalisers, kept, seeds[: self.count])
        outside: list[Tensor] = super().backward_into(gradients, *before, *saved, spent=spent)
        return outside


def _observing(one: _HeadsPass) -> _ObservedPass:
    """The pass that also observes."""
    return _ObservedPass(**vars(one))


def _of_observed(
    observed: Tensor, layout: Any, mask: Tensor, reduction: str | None, roles: tuple[str, ...]
) -> dict[str, Tensor]:
    """What is logged of what is OBSERVED, under the names that TRL has for it: top-1 accuracy is
    that of the chosen responses."""
    entropy, mean, is_first = (_padded(x, layout, 0.0) for x in observed)
    of = len(roles)
    sides = zip(roles, mean.chunk(of), mask.chunk(of), strict=True)
    return {
        "entropy": _of_tokens(entropy, mask, reduction, of),
        **{f"logits/{role}": _of_tokens(x, where, reduction, 1) for role, x, where in sides},
        "mean_token_accuracy": _of_tokens(is_first.chunk(of)[0], mask.chunk(of)[0], reduction, 1),
    }
