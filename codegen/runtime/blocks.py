# mypy: allow-untyped-calls, disable-error-code="no-untyped-def, untyped-decorator, misc"
"""Kernels in Triton: one program, one row of the logits (or a part of one, where rows are few)."""

from __future__ import annotations

import functools
import os
from typing import Any

import torch
from torch import Tensor

from midpo.codegen.runtime.rows import _RowsPass
from midpo.codegen.runtime.shards import _reduce_tops, _reduce_values

try:
    import triton
    import triton.language as tl
except ImportError:  # the loop over chunks needs torch only
    triton = tl = None

# (entries, warps, stages) of a program: a block of the vocabulary, and how many are on their way
# from memory at once; the first where none is measured.
BLOCKS = (
    (4096, 8, 3),
    (1024, 4, 3),
    (2048, 4, 3),
    (2048, 8, 1),
    (2048, 8, 3),
    (4096, 8, 1),
    (4096, 16, 2),
    (8192, 16, 2),
)
PART = 8192  # entries of a row that are worth a program of their own
# Under TRITON_INTERPRET=1: the block, and how many programs there are to divide the rows among.
INTERPRETING = os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes")
INTERPRETED_BLOCK, INTERPRETED_PROGRAMS = 8192, 1
LOWEST = -3.4028234663852886e38  # the smallest float32: below every logit but -inf


def _kernel(function: Any) -> Any:
    return triton.jit(function) if triton else function


@_kernel
def _exp(x):
    """e to the x, by the instruction for powers of 2."""
    return tl.exp2(1.4426950408889634 * x)


@_kernel
def _probability(u, log):
    return tl.exp2(1.4426950408889634 * u - 1.4426950408889634 * log)


@_kernel
def _place(row, columns, outer, inner):
    """Where a row of logits starts: 64 bits, as `row` has."""
    return (row // columns) * outer + (row % columns) * inner


@_kernel
def _block(base, at, size, REST: tl.constexpr):
    """A block of logits in float32; entries past the end have no mass."""
    if REST:
        z = tl.load(base + at, mask=at < size, other=-float("inf"), eviction_policy="evict_first")
    else:
        z = tl.load(base + at, eviction_policy="evict_first")
    return z.to(tl.float32)


@_kernel
def _moved(moment, weight, shift, scale):
    """A moment whose logits are counted from another maximum; 0 where nothing of it is left."""
    return tl.where(scale == 0.0, 0.0, scale * (moment + shift * weight))


@_kernel
def _tanh(x):
    """tanh to the last digits: a series near 0, where 1 - exp(-2x) would lose them."""
    square = x * x
    series = 62.0 / 2835 * square - 17.0 / 315
    series = (series * square + 2.0 / 15) * square - 1.0 / 3
    small = _exp(-2.0 * tl.abs(x))
    large = (1.0 - small) / (1.0 + small)
    return tl.where(square < 0.0625, x + x * square * series, tl.where(x < 0, -large, large))


@_kernel
def _log_sigmoid(x):
    """log of the sigmoid, by log(1 + e) = log(w)*e/(w - 1) with w = 1 + e as it is rounded."""
    e = _exp(-tl.abs(x))
    w = 1.0 + e
    near = w == 1.0
    tail = tl.where(near, e, tl.log(w) * (e / tl.where(near, 1.0, w - 1.0)))
    return tl.where(x < 0, x, 0.0) - tail


@functools.cache
def _measured(kernel: Any) -> Any:
    """The kernel with its block size measured, once a vocabulary and dtype."""
    configs = [triton.Config({"BLOCK": b, "STAGES": s}, num_warps=w) for b, w, s in BLOCKS]
    return triton.autotune(configs, key=["size"])(kernel)


def _launch(
    kernel: Any, grid: tuple[int, ...], *given: Any, measured: bool = True, **more: Any
) -> None:
    """Run a kernel. No block sizes are measured where it overwrites its input, nor under
    torch.use_deterministic_algorithms: other sizes add up in another order."""
    if INTERPRETING:
        kernel[grid](*given, **more, BLOCK=INTERPRETED_BLOCK, STAGES=1)
        return
    options = {**more, "enable_fp_fusion": True}
    if measured and not torch.are_deterministic_algorithms_enabled():
        _measured(kernel)[grid](*given, **options)
        return
    block, warps, stages = BLOCKS[0]
    kernel[grid](*given, **options, BLOCK=block, STAGES=stages, num_warps=warps)


def _splits(logits: Tensor, labels: Tensor) -> int:
    """Into how many programs a row is divided, a power of 2: enough to fill the GPU."""
    programs, part = INTERPRETED_PROGRAMS, INTERPRETED_BLOCK
    if logits.is_cuda:
        processors = torch.cuda.get_device_properties(logits.device).multi_processor_count
        programs, part = 4 * processors, PART
    useful = min(programs // labels.numel(), logits.shape[-1] // part, 64)
    return 1 << max(useful, 1).bit_length() - 1


class _TritonPass(_RowsPass):
    """A pass by these kernels; `moments` are what the first carries for each part of a row."""

    online: Any = None
    combine: Any = None
    sums: Any = None
    slopes: Any = None
    moments: int = 0

    def engine(self, logits: Tensor, _: list[Tensor]) -> tuple[str, str]:
        """What runs, and why it does not take these logits."""
        if reason := self.unfit:
            pass
        elif triton is None:
            reason = "triton is not installed"
        elif logits.dtype == torch.float64:
            reason = "the kernels compute in float32, the logits are float64"
        elif not (logits.is_cuda or INTERPRETING):
            reason = f"the logits are on {logits.device.type}, not on a GPU"
        return "Triton kernel", reason

    def launch(self, given: tuple[Any, ...], more: tuple[Any, ...], group: str) -> None:
        *_, labels, _, values, normalisers = given
        tokens = labels.numel()
        splits = _splits(given[0], labels)
        states = values.new_empty((self.moments, tokens, splits)) if splits > 1 else values
        with torch.cuda.device_of(labels):
            whole: dict[str, Any] = {"LOWEST": LOWEST, "SPLITS": splits}
            _launch(self.online, (tokens, splits), *given, states, *more, **whole)
            if splits > 1:
                self.combine[(tokens,)](*given, states, *more, SPLITS=splits)
            if group:
                _reduce_tops(normalisers, group)
            if group or self.later:
                _launch(self.sums, (tokens,), *given, *more)
        if group:
            _reduce_values(values, labels, group)

    def launch_back(
        self,
        given: tuple[Any, ...],
        labels: Tensor,
        gradient: Tensor,
        overwrites: bool,
        contexts: int,
    ) -> None:
        splits = 1 if contexts else _splits(gradient, labels)
        with torch.cuda.device_of(labels):
            _launch(
                self.slopes,
                (labels.numel(), splits),
                *given,
                SPLITS=splits,
                measured=not overwrites,
            )
