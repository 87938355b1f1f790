# mypy: allow-untyped-calls
"""A pass over logits that are there: no tensor of their size is made but the gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from midpo.codegen.runtime.passes import _Pass, _Walk
from midpo.codegen.runtime.pieces import (
    _around,
    _large_pages,
    _rows_at_once,
    _runs,
    _scratch,
    _vocabulary,
    _with_memory,
)

CHUNK = 1 << 22  # bytes of tables on a CPU: few enough for its caches, and enough rows to be quick
SHARE = 0.039  # of the bytes of the logits, at most
# Where the gradient is to be made: in memory of backward, in memory of which forward may already
# make use (on a CPU, where that is quicker), or in place of the logits.
NEW, AHEAD, IN_PLACE = range(3)


def _settings(
    logits: Tensor, in_place: bool, vocab_group: Any, rows: int | None, buffers: int
) -> tuple[int, str, int]:
    """Rows at once, the group's name, and where the gradient is to be made."""
    most = min(CHUNK, int(SHARE * logits.numel() * logits.element_size()))
    chosen = _rows_at_once(rows, logits.shape[-1], logits.device, most // buffers)
    group = vocab_group.group_name if vocab_group else ""
    wanted = logits.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling()
    fit = logits.device.type == "cpu" and logits.dtype != torch.float16  # too short of range
    ahead = wanted and fit and vocab_group is None and rows is None
    return chosen, group, IN_PLACE if in_place else AHEAD if ahead else NEW


def _pieces(w: _Walk, rows: int, count: int, free: Tensor | None) -> list[tuple[Any, Any]]:
    """Where the counted positions are, as pieces of at most `rows` neighbours, and `count` tables
    for each. They are made in the last part of `free`, a gradient that is written piece by piece,
    as long as nothing is written there: then pieces may be as large as caches allow."""
    policy, labels = w.policies[0], w.labels
    size = _vocabulary(policy)
    if free is not None and free.is_contiguous() and labels.dim() == 1 and free.is_cpu:
        more = _rows_at_once(None, size, free.device, CHUNK // count)
        need = count * more * size * w.dtype.itemsize // free.element_size()
        edge = labels.shape[0] - -(-need // size) if more > rows else 0
        if edge > labels.shape[0] // 2:
            start = (free.numel() - need) // 2 * 2
            tables = free.view(-1)[start : start + need].view(w.dtype).view(count, more, size)
            runs = _around(labels, edge, more, rows)
            first = [at for at in runs if at[0].stop <= edge]
            last = runs[len(first) :]
            scratch = _scratch(count, last, policy, w.dtype)
            return _with_memory(first, tables) + _with_memory(last, scratch)
    runs = _runs(labels, rows)
    return _with_memory(runs, _scratch(count, runs, policy, w.dtype))


def _scale(
    gradient: Tensor, totals: Tensor, labels: Tensor, logps: Tensor, seeds: Tensor, near_one: bool
) -> None:
    """From the exponentials of the logits, whose sums are `totals`, or in a shorter dtype from the
    probabilities unless one is `near_one`, to the gradient, of which `seeds` is that with respect
    to the labels' log-probabilities `logps`, or where `near_one` to their log-odds, of which the
    exponentials are the other entries'."""
    rows, labels, logps = gradient.flatten(0, -2), labels.flatten(), logps.flatten()
    seeds = seeds.flatten()
    factors = -seeds / totals.flatten() if near_one or rows.dtype == seeds.dtype else -seeds
    if rows.dtype == factors.dtype:
        rows.mul_(factors[:, None])
    else:  # by a number for all rows of one factor: in a column it would lose digits
        numbers, times = factors.unique_consecutive(return_counts=True)
        for some, number in zip(rows.split(times.tolist()), numbers.tolist(), strict=True):
            some.mul_(number)
    at_label = seeds if near_one else seeds * -torch.expm1(logps)  # 1 - p has no digits left
    rows[torch.arange(len(rows)), labels.clamp(min=0)] = at_label.to(rows.dtype)
    rows[(labels < 0).nonzero(as_tuple=True)] = 0.0


class _LogitsPass(_Pass):
    """A pass over logits. Where the trained policy matters only by its label's log-probability,
    and no sum is asked for, its gradient is a column times its probabilities, but for the label's
    entry: forward may keep the exponentials."""

    def scaled(self) -> bool:
        return 0 in self.labels and self.statistics is None

    def keeping(self, trained: list[Tensor], *given: Any) -> Tensor:
        """Memory for the exponentials, or none."""
        _, _, keep, _ = given
        if self.scaled() and keep == AHEAD:
            return torch.empty_like(trained[0], memory_format=torch.contiguous_format)
        return trained[0].new_empty(0)

    def empty(self, trained: list[Tensor]) -> list[Tensor]:
        gradient = torch.empty_like(trained[0], memory_format=torch.contiguous_format)
        _large_pages(gradient)
        return [gradient]

    def read(self, w: _Walk, keep: int) -> tuple[list[Any], None, Tensor | None]:
        """The pieces, and where the exponentials are kept."""
        logits, rows, free, ahead = w.policies[0][0], w.rows, None, None
        if w.kept.numel():
            _large_pages(w.kept)
            free, ahead = w.kept, w.kept.view(*w.labels.shape, -1)
        elif keep == AHEAD:  # a gradient that is to come does not take its memory yet
            most = min(CHUNK, logits.numel() * logits.element_size() // 2) // self.held
            rows = max(rows, _rows_at_once(None, logits.shape[-1], logits.device, most))
        return _pieces(w, rows, self.buffers[0], free), None, ahead

    def scores(self, w: _Walk, n: int, at: tuple[Any, ...], out: Tensor) -> Tensor:
        """Some rows of logits, (n, V), in the dtype of `out`, and there if need be."""
        scores = w.policies[n][0][at]
        return scores if scores.dtype == out.dtype else out.copy_(scores)

    def raw(self, w: _Walk, scores: Tensor) -> None:
        """What the gradient needs of the scores before they are overwritten: nothing."""

    def reread(self, w: _Walk) -> list[Any]:
        free = w.gradients[0] if self.in_place and not w.spent else None
        return _pieces(w, w.rows, self.buffers[1], free)

    def into(self, w: _Walk, at: tuple[Any, ...]) -> Tensor | None:
        """Where the gradient of some rows can be made in place, or None."""
        (gradient,) = w.gradients
        return gradient[at] if self.in_place and gradient.dtype == w.dtype else None

    def add(self, w: _Walk, at: tuple[Any, ...], gradient: Tensor, raw: None) -> None:
        if self.into(w, at) is None:
            w.gradients[0][at] = gradient

    def finish(self, w: _Walk) -> None:
        w.gradients[0][(w.labels < 0).nonzero(as_tuple=True)] = 0.0

    @torch.no_grad()
    def instead(self, ctx: Any, *given: Any) -> list[Tensor] | None:
        """The gradients where they are made in place, or ahead."""
        ours, theirs, labels, inner, *settings, values, normalisers, kept, seeds = given
        if ctx.keep == IN_PLACE:
            ours = [x.detach() for x in ours]
            return [*ours, *self.backward_into(ours, ours, *given[1:])]
        if not kept.numel():
            return None
        if ctx.spent:  # by a backward before
            *_, kept = self.forward(ours, theirs, labels, inner, *settings, ctx.keep)
        ctx.spent = True
        gradient = kept.data  # so that autograd, which keeps it, does not see it change
        at = self.labels.index(0)
        _scale(gradient, normalisers[1], labels, values[at], seeds[at], self.near_one)
        return [gradient]
