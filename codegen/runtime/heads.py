# mypy: allow-untyped-calls
"""A pass over logits that are made from hidden states and the output head, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from midpo.codegen.runtime.passes import _operator, _Pass, _Walk
from midpo.codegen.runtime.pieces import (
    _around,
    _flat,
    _label_index,
    _large_pages,
    _runs,
    _scratch,
    _size,
    _vocabulary,
    _with_memory,
)
from midpo.codegen.runtime.tables import _accumulation, _rate, _read

TABLE = 1 << 24  # bytes of a table on a CPU: enough rows for the matrix products to be quick
HEAD = 1 << 22  # bytes of the head in float32, where it is shorter


def _head(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype | None = None
) -> list[Tensor]:
    """Hidden states, weight and bias, which is empty where there is none. Where sums are in the
    `dtype` float64, so are they: beside a trained policy in float64."""
    hidden = hidden.double() if dtype == torch.float64 else hidden
    bias = weight.new_empty(0) if bias is None else bias
    return [hidden, weight.to(hidden.dtype), bias]


def _sums_in_float(hidden: Tensor, dtype: torch.dtype) -> bool:
    """Whether torch's product of bfloat16 or float16 gives its sums in this `dtype`, float32."""
    short = hidden.dtype in (torch.bfloat16, torch.float16) and dtype == torch.float32
    return short and hidden.is_cuda and "dtype_out" in torch.ops.aten.mm.overloads()


def _of_head(weight: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Rows of the output head in another dtype, as many at a time as HEAD bytes hold."""
    step = max(1, HEAD // (dtype.itemsize * weight.shape[1]))
    for at in range(0, weight.shape[0], step):
        some = slice(at, at + step)
        yield some, weight[some].to(dtype)


def _products(
    policy: list[Tensor], at: tuple[Any, ...], numbers: list[float], out: Tensor
) -> Tensor:
    """Some rows of logits, (n, V), in `out` and the dtype sums accumulate in."""
    hidden, weight, bias = policy
    softcap, temperature = numbers[-2:]
    with torch.autocast(hidden.device.type, enabled=False):
        if hidden.dtype == out.dtype:
            torch.matmul(hidden[at], weight.T, out=out)
        elif _sums_in_float(hidden, out.dtype):
            torch.mm(hidden[at], weight.T, out_dtype=out.dtype, out=out)
        else:
            rows = hidden[at].to(out.dtype)
            for some, part in _of_head(weight, out.dtype):
                torch.mm(rows, part.T, out=out[:, some])
    if bias.numel():
        out += bias
    if softcap:
        out.div_(softcap).tanh_().mul_(softcap)
    return out.div_(temperature) if temperature != 1 else out


def _of_products(gradient: Tensor, raw: Tensor | None, numbers: list[float]) -> Tensor:
    """The gradient with respect to the products of hidden states and weights, in its memory."""
    softcap, temperature = numbers[-2:]
    if temperature != 1:
        gradient.div_(temperature)
    if raw is not None:
        gradient.mul_(1 - (raw * (temperature / softcap)) ** 2)
    return gradient


def _rows_of_product(policy: list[Tensor], rows: int, dtype: torch.dtype) -> int:
    """Rows of logits to make at once where they stay in the memory that they are made in."""
    return 4 * rows if policy[0].dtype == dtype else 2 * rows


def _is_kept(at: tuple[Any, ...], kept: Tensor) -> bool:
    return len(at) == 1 and bool(at[0].stop <= kept.shape[0])


def _empty_gradients(trained: list[Tensor]) -> list[Tensor]:
    hidden, weight, bias = trained
    dtype = _accumulation(hidden)
    of_weight = torch.empty_like(weight, dtype=dtype, memory_format=torch.contiguous_format)
    _large_pages(of_weight)
    return [
        torch.zeros_like(hidden, memory_format=torch.contiguous_format),
        of_weight.zero_(),
        torch.zeros_like(bias, dtype=dtype),
    ]


def _pull_back(
    gradients: list[Tensor], policy: list[Tensor], at: tuple[Any, ...], gradient: Tensor
) -> None:
    """From the gradient with respect to some products to that of hidden states, weight and bias."""
    hidden, weight, _ = policy
    if gradients[2].numel():
        gradients[2] += gradient.sum(0)
    rows = hidden[at]
    more: dict[str, Any] = {}
    with torch.autocast(hidden.device.type, enabled=False):
        if gradient.dtype != hidden.dtype and not _sums_in_float(hidden, gradient.dtype):
            if gradients[0].numel():
                total = torch.zeros_like(rows, dtype=gradient.dtype)
                for some, part in _of_head(weight, gradient.dtype):
                    total.addmm_(gradient[:, some], part)
                gradients[0][at] += total
            rows = rows.to(gradient.dtype)
        else:
            if _sums_in_float(hidden, gradient.dtype):
                more = {"out_dtype": gradient.dtype}
            gradient = gradient.to(hidden.dtype)
            if gradients[0].numel():
                gradients[0][at] += torch.mm(gradient, weight, **more)
        if not gradients[1].numel():
            return
        if gradients[1].dtype == rows.dtype:
            gradients[1].addmm_(gradient.T, rows)
        else:
            gradients[1] += torch.mm(gradient.T, rows, **more)


class _HeadsPass(_Pass):
    """A pass over products of hidden states and weights; forward keeps the first positions' logits
    of the trained policy, whose gradient may be made in their memory."""

    def keeping(self, trained: list[Tensor], *given: Any) -> Tensor:
        """Memory for the logits of the first positions, (n, V), where positions are in one row."""
        policy, labels, keep, dtype = given
        size = _vocabulary(policy)
        rows = keep // (dtype.itemsize * size) if labels.dim() == 1 else 0
        return trained[0].new_empty((min(rows, labels.shape[0]), size), dtype=dtype)

    def empty(self, trained: list[Tensor]) -> list[Tensor]:
        return _empty_gradients(trained)

    def read(self, w: _Walk, keep: int) -> tuple[list[Any], Tensor, None]:
        """The pieces, after the first logits are made, and memory for exponentials."""
        policy, kept, sums = w.policies[0], w.kept, self.statistics is not None
        _large_pages(kept)
        if kept.shape[0]:
            for at in _runs(w.labels[: kept.shape[0]], _rows_of_product(policy, w.rows, w.dtype)):
                _products(policy, at, w.numbers, kept[at])
        more = w.rows if sums else 2 * w.rows
        runs = _around(w.labels, kept.shape[0], more, more)
        apart = runs if sums else [at for at in runs if not _is_kept(at, kept)]
        pieces = _with_memory(runs, _scratch(self.buffers[0], apart, policy, w.dtype))
        return pieces, kept.new_empty((min(w.rows, 16), kept.shape[1])), None

    def scores(self, w: _Walk, n: int, at: tuple[Any, ...], out: Tensor) -> Tensor:
        if n == 0 and _is_kept(at, w.kept):
            return w.kept[at]
        return _products(w.policies[n], at, w.numbers, out)

    def raw(self, w: _Walk, scores: Tensor) -> Tensor | None:
        """What the gradient needs of the scores before they are overwritten."""
        return scores.clone() if w.numbers[-2] else None

    def reread(self, w: _Walk) -> list[Any]:
        runs = _around(w.labels, w.kept.shape[0], w.rows, w.rows)
        alone = self.in_place and len(self.rereads) == 1 and w.spent
        apart = [at for at in runs if not _is_kept(at, w.kept)] if alone else runs
        return _with_memory(runs, _scratch(self.buffers[1], apart, w.policies[0], w.dtype))

    def into(self, w: _Walk, at: tuple[Any, ...]) -> Tensor | None:
        """Where the gradient of some rows can be made in place, or None."""
        return w.kept[at] if self.in_place and w.spent and _is_kept(at, w.kept) else None

    def add(self, w: _Walk, at: tuple[Any, ...], gradient: Tensor, raw: Tensor | None) -> None:
        gradient = _of_products(gradient, raw, w.numbers)
        if not (w.spent and _is_kept(at, w.kept)):
            _pull_back(w.gradients, w.policies[0], at, gradient)
        elif not self.in_place:
            w.kept[at] = gradient

    def finish(self, w: _Walk) -> None:
        if w.spent and w.kept.shape[0]:
            more = _rows_of_product(w.policies[0], w.rows, w.dtype)
            for at in _runs(w.labels[: w.kept.shape[0]], more):
                _pull_back(w.gradients, w.policies[0], at, w.kept[at])

    def instead(self, ctx: Any, *given: Any) -> None:
        """The operator makes the gradients."""


def _label_operator(name: str) -> Any:
    """Log-probabilities of the labels under a frozen policy, as an operator of torch."""

    @torch.library.custom_op(_operator(name), mutates_args=())
    def label_logps(
        policy: list[Tensor], labels: Tensor, numbers: list[float], rows: int
    ) -> Tensor:
        dtype = _accumulation(policy[0])
        found = labels.new_full(labels.shape, -1.0, dtype=dtype)
        (policy,), flat = _flat([policy], labels)
        values = found.view(flat.shape)
        index, _ = _label_index(policy, flat, "")
        runs, rate = _runs(flat, _rows_of_product(policy, rows, dtype)), _rate(dtype)
        (scratch,) = _scratch(1, runs, policy, dtype)
        _large_pages(scratch)
        for at in runs:
            chunk = scratch[: _size(at)]
            shift, total = chunk.new_empty((2, _size(at)))
            scores = _products(policy, at, numbers, chunk)
            picked = scores.gather(-1, index[at])[:, 0]
            spare = chunk.new_empty((min(rows, 16), chunk.shape[1]))
            _read(scores, shift, total, False, (), [], spare)
            values[at] = torch.add(shift, picked, alpha=rate) / rate - total.log()
        return found

    @label_logps.register_fake
    def _(policy: list[Tensor], labels: Tensor, numbers: list[float], rows: int) -> Tensor:
        return labels.new_empty(labels.shape, dtype=_accumulation(policy[0]))

    return label_logps
