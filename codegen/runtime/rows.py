"""A pass whose kernels walk a row of logits each; where they cannot run, the loop over chunks."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from midpo.codegen.runtime.logits import _LogitsPass
from midpo.codegen.runtime.pieces import _policies
from midpo.codegen.runtime.shards import _group, _shard_start


@functools.cache
def _say(function: str, engine: str, reason: str) -> None:
    warnings.warn(
        f"{function}: no {engine} runs: {reason}; the loop over chunks computes the loss",
        stacklevel=2,
    )


def _strides(values: Tensor) -> tuple[int, int]:
    return (values.stride(0), values.stride(1)) if values.dim() == 3 else (0, values.stride(0))


def _rows(policies: list[list[Tensor]]) -> list[Any]:
    """Each policy's logits and the strides of their rows; entries of a row lie side by side."""
    aligned = [x if x.stride(-1) == 1 else x.contiguous() for [x] in policies]
    return [argument for x in aligned for argument in (x, *_strides(x))]


def _sizes(logits: Tensor, labels: Tensor, group: str) -> tuple[int, int, int, int]:
    start = _shard_start(logits.shape[-1], logits.device, group) if group else 0
    return labels.numel(), labels.shape[-1], logits.shape[-1], start


def _stacked(contexts: list[Tensor], otherwise: Tensor) -> Tensor:
    return torch.stack([c.float() for c in contexts]) if contexts else otherwise


class _RowsPass(_LogitsPass):
    """A pass by kernels, which are told the first `parameters` of its numbers. Where the sums come
    `later`, they need normalisers that are known: a second kernel. `unfit` says why a loss is none
    for kernels."""

    parameters: int = 0
    later: bool = False
    unfit: str = ""
    engine: Any
    launch: Any
    launch_back: Any

    def by_rows(self, logits: Tensor, frozen: list[Tensor]) -> bool:
        """Whether the kernels take these logits; where not, a warning says once why."""
        engine, reason = self.engine(logits, frozen)
        if reason:
            _say(self.function, engine, reason)
        return not reason

    def forward(self, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        trained, frozen, labels, contexts, numbers, _, group, _ = given
        if not self.by_rows(trained[0], frozen):
            return super().forward(*given)
        labels = labels.contiguous()
        values = labels.new_empty((self.count, *labels.shape), dtype=torch.float32)
        for n, value in enumerate(values):
            value.fill_(-1.0 if n < len(self.labels) else 0.5)
        normalisers = values.new_zeros((2 * len(self.reads), *labels.shape))
        policies = _rows(_policies(trained, frozen))
        tensors = (*policies, labels, _stacked(contexts, values), values, normalisers)
        more = (*_sizes(trained[0], labels, group), *numbers[: self.parameters])
        self.launch(tensors, more, group)
        return values, normalisers, trained[0].new_empty(0)

    def backward_into(
        self, gradients: list[Tensor], *given: Any, spent: bool = False
    ) -> list[Tensor]:
        """As before, positions that are ignored included."""
        trained, frozen, labels, contexts, numbers, _, group, *saved = given
        if not self.by_rows(gradients[0], frozen):
            return super().backward_into(gradients, *given, spent=spent)
        statistics, normalisers, _, seeds = saved
        outside = statistics.new_zeros((len(contexts), *labels.shape))
        (wanted,) = gradients
        gradient = wanted if wanted.stride(-1) == 1 else torch.empty_like(wanted).contiguous()
        labels = labels.contiguous()
        policies = _rows(_policies(trained, frozen))
        tensors = (*policies, labels, _stacked(contexts, statistics), statistics, normalisers)
        made = (seeds.contiguous(), gradient, *_strides(gradient), outside)
        more = (*_sizes(gradient, labels, group), *numbers[: self.parameters])
        overwrites = gradient.data_ptr() == trained[0].data_ptr()
        self.launch_back((*tensors, *made, *more), labels, gradient, overwrites, len(contexts))
        if gradient is not wanted:
            wanted.copy_(gradient)
        if group and contexts:
            dist.all_reduce(outside, group=_group(group))
        return [each.clone() for each in outside]  # what an operator returns may share no memory
