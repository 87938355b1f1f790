# mypy: allow-untyped-calls, disable-error-code=override
"""The gradient with the loss, a few pairs at a time: their logits are there only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from midpo.codegen.runtime.heads import _empty_gradients
from midpo.codegen.runtime.passes import _finished, _once
from midpo.codegen.runtime.sums import _reduced
from midpo.codegen.runtime.tables import _accumulation

KEEP = 1 << 26  # bytes of logits that are kept for the gradient; the others are made again


class _Batch:
    """The trained and the frozen policies' heads and hidden states, the labels, and by name what
    else is given: of tokens, responses or pairs, as `kinds` says, or a number."""

    def __init__(
        self,
        of: int,
        trained: list[Tensor],
        frozen: dict[str, list[Tensor]],
        labels: Tensor,
        cu_seqlens: Tensor | None,
        given: dict[str, Any],
        kinds: dict[str, str],
    ) -> None:
        self.of, self.trained, self.frozen, self.labels = of, trained, frozen, labels
        self.cu_seqlens, self.given, self.kinds = cu_seqlens, given, kinds
        self.pairs = (labels.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1) // of

    def sizes(self) -> list[int]:
        """The tokens of each pair."""
        if self.cu_seqlens is None:
            return [self.of * self.labels.shape[1]] * self.pairs
        return list(self.cu_seqlens.diff().view(self.of, self.pairs).sum(0).tolist())

    def part(self, first: int, last: int) -> tuple[Tensor, _Batch]:
        """The batch of some of the pairs, and where its tokens are in this one."""
        device, bounds = self.labels.device, None
        here = torch.arange(first, last, device=device)
        sequences = torch.cat([here + n * self.pairs for n in range(self.of)])
        at = sequences
        if self.cu_seqlens is not None:
            ends = self.cu_seqlens.tolist()
            tokens = [range(*ends[n : n + 2]) for n in sequences.tolist()]
            at = torch.tensor([token for each in tokens for token in each], device=device)
            bounds = F.pad(self.cu_seqlens.diff()[sequences].cumsum(0), (1, 0))
        places = {"token": at, "response": sequences, "pair": here}
        given = {
            name: x[places[self.kinds[name]]] if isinstance(x, Tensor) and name in self.kinds else x
            for name, x in self.given.items()
        }
        trained, *frozen = (
            [hidden[at], *head] for hidden, *head in (self.trained, *self.frozen.values())
        )
        heads = dict(zip(self.frozen, frozen, strict=True))
        return at, _Batch(self.of, trained, heads, self.labels[at], bounds, given, self.kinds)


def _budget(batch: _Batch) -> int:
    """Bytes of logits to keep where gradients are wanted: never those of all positions."""
    hidden, weight, _ = batch.trained
    every = batch.labels.numel() * weight.shape[0] * _accumulation(hidden).itemsize
    return min(KEEP, every * 7 // 8) if torch.is_grad_enabled() else 0


def _has_gradient(batch: _Batch) -> bool:
    """Whether the heads and hidden states get a gradient, and nothing else does."""
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    others = [x for x in batch.given.values() if isinstance(x, Tensor) and x.requires_grad]
    return not others and any(x.requires_grad for x in batch.trained)


def _groups(batch: _Batch) -> list[tuple[int, int]]:
    """Neighbouring pairs whose logits may be kept together: at most half of several."""
    hidden, weight, _ = batch.trained
    token = weight.shape[0] * _accumulation(hidden).itemsize
    groups, first, held = [], 0, 0
    for pair, size in enumerate(batch.sizes()):
        most = held + size * token <= KEEP and 2 * (pair + 1 - first) <= batch.pairs + 1
        if pair > first and not most:
            groups.append((first, pair))
            first, held = pair, 0
        held += size * token
    return [*groups, (first, batch.pairs)]


class _ByGroups(torch.autograd.Function):
    """The loss, whose gradient is made with it."""

    @staticmethod
    def forward(
        ctx: Any,
        function: str,
        losses_of: Any,
        passes: tuple[Any, ...],
        batch: _Batch,
        total: Callable[[Tensor], Tensor],
        fixed: tuple[Any, ...],
        logged: dict[str, Tensor],
        *_: Tensor,
    ) -> Tensor:
        # Of what needs no gradient nothing is made: its products are saved.
        asked = [x if x.requires_grad else x.new_empty((0,) * x.dim()) for x in batch.trained]
        groups, gradients = _groups(batch), _empty_gradients(asked)
        keep = KEEP if len(groups) > 1 else _budget(batch)
        losses: list[Tensor] = []
        found: dict[str, list[Tensor]] = {}
        for first, last in groups:
            at, part = batch.part(first, last)
            hidden = part.trained[0]
            wanted = gradients[0].numel() > 0
            inner = [torch.zeros_like(hidden) if wanted else gradients[0], *gradients[1:]]
            leaf = torch.zeros((), device=at.device, requires_grad=True)
            with torch.enable_grad():
                each, more = losses_of(_Into(passes, leaf, inner), part, keep, *fixed)
                if each.requires_grad:
                    torch.autograd.grad(total(each), leaf, allow_unused=True)
            if wanted:
                gradients[0][at] = inner[0]
            losses.append(each.detach())
            for name, value in more.items():
                found.setdefault(name, []).append(value.detach())
        logged |= {name: torch.cat(values) for name, values in found.items()}
        ctx.function = function
        ctx.save_for_backward(*_finished(gradients, batch.trained), *batch.trained)
        return total(torch.cat(losses))

    @staticmethod
    def backward(ctx: Any, seed: Tensor) -> tuple[Any, ...]:
        *found, hidden, weight, bias = ctx.saved_tensors
        if bool(seed != 1):
            found = [g * seed.item() for g in found]  # a number keeps its digits
        found = _once(ctx.function, found, hidden, weight, bias, seed)
        wanted = zip(found, ctx.needs_input_grad[7:], strict=True)
        return *(None,) * 7, *(g if needed else None for g, needed in wanted)


class _Into:
    """The statistics of a pass, whose backward adds to gradients that are there."""

    def __init__(self, passes: tuple[Any, ...], leaf: Tensor, gradients: list[Tensor]) -> None:
        self.passes, self.leaf, self.gradients = passes, leaf, gradients

    def __call__(
        self,
        number: int,
        trained: list[Tensor],
        frozen: list[Tensor],
        labels: Tensor,
        contexts: list[Tensor],
        *settings: Any,
    ) -> Tensor:
        fixed = (self.passes[number], trained, frozen, labels, *settings)
        found: Tensor = _Adding.apply(self.leaf, self.gradients, fixed, *contexts)
        return found


class _Adding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, leaf: Tensor, gradients: list[Tensor], fixed: tuple[Any, ...], *contexts: Tensor
    ) -> Tensor:
        one, trained, frozen, labels, numbers, rows, group, keep = fixed
        given = (trained, frozen, labels, list(contexts), numbers, rows, group)
        statistics, *ctx.made = one.forward(*given, keep)
        ctx.fixed = (one, gradients, *given)
        ctx.save_for_backward(statistics)
        found: Tensor = statistics
        return found

    @staticmethod
    def backward(ctx: Any, seeds: Tensor) -> tuple[Any, ...]:
        one, *given = ctx.fixed
        made = (*ctx.saved_tensors, *ctx.made, seeds.contiguous())
        outside = one.backward_into(*given, *made, spent=True)
        ctx.made = ctx.fixed = None  # the memory of the logits is for the next pairs'
        return None, None, None, *outside


def _in_groups(
    function: str,
    losses_of: Any,
    passes: tuple[Any, ...],
    operators: tuple[Any, ...],
    batch: _Batch,
    fixed: tuple[Any, ...],
    reduction: str,
    num_pairs: float | None,
    whole: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and what is logged of each pair, a few pairs at a time where a gradient is wanted
    of the heads and hidden states alone, and the batch need not be seen as a `whole`."""
    pairs = batch.pairs if num_pairs is None else num_pairs

    def total(losses: Tensor) -> Tensor:
        return _reduced(losses, reduction, pairs)

    def walk(number: int, *given: Any) -> Tensor:
        found: Tensor = operators[number](*given)[0]
        return found

    if whole or reduction == "none" or not _has_gradient(batch):
        losses, logged = losses_of(walk, batch, _budget(batch), *fixed)
        return total(losses), logged
    logged = {}
    given = (function, losses_of, passes, batch, total, fixed, logged)
    found = _ByGroups.apply(*given, *batch.trained)
    return found, logged
