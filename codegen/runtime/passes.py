# mypy: allow-untyped-calls, disable-error-code=override
"""One pass over the logits: the statistics of each position, and the gradient from theirs."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from midpo.codegen.runtime.pieces import _flat, _label_index, _policies
from midpo.codegen.runtime.shards import _group, _reduce_normalisers, _reduce_sums
from midpo.codegen.runtime.tables import _accumulation, _rate, _read


def _operator(name: str) -> str:
    """A name that no operator has yet: this file may be loaded twice in one process, and of two
    operators of one name the first would be gone."""
    names = (f"{name}_{n}" if n else name for n in itertools.count())
    return "midpo::" + next(free for free in names if not hasattr(torch.ops.midpo, free))


class _Once(torch.autograd.Function):
    """A gradient as it is, which cannot be differentiated again by what it was made from."""

    @staticmethod
    def forward(ctx: Any, function: str, gradient: Tensor, *_: Tensor) -> Tensor:
        ctx.function = function
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, seed: Tensor) -> tuple[Any, ...]:
        raise RuntimeError(
            f"{ctx.function}: its gradient cannot be differentiated: use backend eager"
        )


def _once(function: str, gradients: list[Tensor], *made_from: Tensor) -> list[Tensor]:
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return gradients
    return [_Once.apply(function, gradient.detach(), *made_from) for gradient in gradients]


def _finished(gradients: list[Tensor], trained: list[Tensor]) -> list[Tensor]:
    return [g.to(x.dtype) for g, x in zip(gradients, trained, strict=True)]


# What an operator is given; `keep` says what forward is to keep.
BATCH = """Tensor[] trained, Tensor[] frozen, Tensor labels, Tensor[] contexts, float[] numbers,
    int rows, str group"""
FORWARD = f"({BATCH}, int keep) -> (Tensor, Tensor, Tensor)"
SAVED = "Tensor statistics, Tensor normalisers, Tensor kept, Tensor seeds"
BACKWARD = f"({BATCH}, {SAVED}) -> Tensor[]"


class _Walk(NamedTuple):
    """The positions of a batch, as a pass walks over them: what was `kept`, what is to be written,
    and whether in the memory of what was there, which is then `spent`."""

    policies: list[list[Tensor]]
    labels: Tensor
    numbers: list[float]
    rows: int
    dtype: torch.dtype
    kept: Tensor
    gradients: list[Tensor]
    spent: bool = False


class _Pass:
    """A pass of a kernel's `function`, which gives `count` statistics a position.

    First are log-probabilities of the labels under the policies `labels`, then the sums of
    `statistics`; `gradient` is that of the logits, from theirs. The policies are read as `reads`
    say, and again for the gradient as `rereads` say: (policy, its tables, their buffers), of so
    many `buffers` in all; `held` tables of a piece are there at once. Both make products in the
    first of two `ways`, and where they are `guarded` and give NaN again in the other, against
    0 log 0. Where `in_place`, the gradient is made where the probabilities are; where `near_one`,
    the other entries than the labels' are summed apart, and what is given of a label is its
    log-odds log(p/(1 - p)), in which neither p nor 1 - p has lost its digits. At the
    places `log_sums` are logarithms of sums.
    """

    function: str
    count: int
    labels: tuple[int, ...]
    reads: list[tuple[int, tuple[str, ...], tuple[int, ...]]]
    rereads: list[tuple[int, tuple[str, ...], tuple[int, ...]]]
    buffers: tuple[int, int]
    gradient: Any
    statistics: Any = None
    ways: tuple[tuple[Any, ...], tuple[Any, ...]] = ((), ())
    guarded: tuple[bool, bool] = (False, False)
    in_place: bool = False
    near_one: bool = False
    log_sums: tuple[int, ...] = ()
    held: int = 1

    def __init__(self, **plan: Any) -> None:
        self.__dict__ |= plan

    def forward(self: Any, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The statistics (count, *labels.shape), what normalises the logits of each policy, and
        what backward then need not make again."""
        trained, frozen, labels, contexts, numbers, rows, group, keep = given
        policies, flat = _flat(_policies(trained, frozen), labels)
        contexts = [c.view(flat.shape) for c in contexts]
        dtype = _accumulation(trained[0])
        found = labels.new_empty((self.count, *labels.shape), dtype=dtype)
        normalisers = labels.new_zeros((2 * len(policies), *labels.shape), dtype=dtype)
        values, each = (x.view(-1, *flat.shape) for x in (found, normalisers))
        shifts, totals = each[0::2], each[1::2]
        totals.fill_(1.0)
        kept = self.keeping(trained, policies[0], flat, keep, dtype)
        w = _Walk(policies, flat, numbers, rows, dtype, kept, [])
        pieces, spare, ahead = self.read(w, keep)
        index, ours = _label_index(policies[0], flat, group)

        def walk(pieces: list[Any], known: bool, way: tuple[Any, ...]) -> None:
            for at, chunk in pieces:
                normal = each[(slice(None), *at)].unbind()
                tables: list[Tensor] = []
                for n, kinds, places in self.reads:
                    buffers = [chunk[place] for place in places]
                    scores = self.scores(w, n, at, buffers[0])
                    if n in self.labels and not known:
                        label = values[self.labels.index(n)][at]
                        torch.gather(scores, -1, index[at], out=label[:, None])
                    place, copy = chunk[-1] if spare is None else spare, None
                    if n == 0 and ahead is not None:
                        copy = ahead[at]
                        place = copy if copy.dtype == dtype else place
                    at_label = (index[at], ours[at][:, None]) if self.near_one else None
                    shift, total = normal[2 * n : 2 * n + 2]
                    tables += _read(scores, shift, total, known, kinds, buffers, place, at_label)
                    if copy is not None and copy is not place:
                        by = 1 if self.near_one else total.reciprocal()[:, None]
                        copy.copy_(place.mul_(by))
                if self.statistics is not None and (known or not group):
                    inner = [c[at] for c in contexts]
                    sums = self.statistics(*tables, inner, numbers, chunk[0], *way[:1])
                    for value, total in zip(values[len(self.labels) :], sums, strict=True):
                        value[at] = total

        walk(pieces, False, self.ways[0])
        if group:
            _reduce_normalisers(shifts, totals, group)
            if self.statistics is not None:
                walk(pieces, True, self.ways[0])
        if self.guarded[0]:
            broken = values[len(self.labels) :].isnan().any(0) & (flat >= 0)
            if bool(broken.any()):
                wanted = [piece for piece in pieces if bool(broken[piece[0]].any())]
                walk(wanted, True, self.ways[1])
        self.labelled(values, shifts, totals, ours)
        if group:
            _reduce_sums(found, list(self.log_sums), group)
        for n, value in enumerate(values):
            value.masked_fill_(flat < 0, -1.0 if n < len(self.labels) else 0.5)
        return found, normalisers, kept

    def labelled(self, values: Tensor, shifts: Tensor, totals: Tensor, ours: Tensor) -> None:
        """From the scores of labels to their log-probabilities, 0 where they are not `ours`, or
        where `near_one` to their log-odds."""
        rate = _rate(values.dtype)
        if self.near_one:  # where there is no other entry
            shifts.masked_fill_(shifts == torch.inf, 0.0)
        for value, n in zip(values, self.labels, strict=False):
            exponent = torch.add(shifts[n], value, alpha=rate)
            value.copy_(exponent / rate - totals[n].log())
            value.masked_fill_(~ours, 0.0)
        if self.near_one:
            totals.masked_fill_(totals == 0, 1.0)

    def forward_shapes(self: Any, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
        trained, frozen, labels, *_, keep = given
        policies, flat = _flat(_policies(trained, frozen), labels)
        dtype = _accumulation(trained[0])
        found = labels.new_empty((self.count, *labels.shape), dtype=dtype)
        normalisers = labels.new_empty((2 * len(self.reads), *labels.shape), dtype=dtype)
        return found, normalisers, self.keeping(trained, policies[0], flat, keep, dtype)

    def backward(self: Any, trained: list[Tensor], *given: Any) -> list[Tensor]:
        gradients = self.empty(trained)
        outside = self.backward_into(gradients, trained, *given)
        return [*_finished(gradients, trained), *outside]

    def backward_shapes(self, *given: Any) -> list[Tensor]:
        trained, _, _, contexts, *_, statistics, _, _, _ = given
        made = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in trained]
        return [*made, *(torch.empty_like(c, dtype=statistics.dtype) for c in contexts)]

    def backward_into(
        self: Any, gradients: list[Tensor], *given: Any, spent: bool = False
    ) -> list[Tensor]:
        """Write the gradients of `trained`, where `spent` also in the memory of what was kept;
        return those of the contexts."""
        trained, frozen, labels, contexts, numbers, rows, group, *saved = given
        statistics, normalisers, kept, seeds = saved
        dtype, spent = statistics.dtype, spent or gradients is trained
        (*policies, gradients), flat = _flat([*_policies(trained, frozen), gradients], labels)
        w = _Walk(policies, flat, numbers, rows, dtype, kept, gradients, spent)
        contexts = [c.view(flat.shape) for c in contexts]
        saved = [x.view(-1, *flat.shape) for x in (statistics, seeds, normalisers)]
        outside = [torch.zeros_like(c, dtype=dtype) for c in contexts]
        index, ours = _label_index(policies[0], flat, group)
        for at, chunk in self.reread(w):
            values, slopes, each = (x[(slice(None), *at)] for x in saved)
            normal = each.unbind()
            into = self.into(w, at)
            tables, raw = [], None
            for n, kinds, places in self.rereads:
                buffers = [chunk[place] for place in places]
                scores = self.scores(w, n, at, buffers[0])
                if n == 0:
                    raw = self.raw(w, scores)
                    buffers = buffers if into is None else [into]
                shift, total = normal[2 * n : 2 * n + 2]
                tables += _read(scores, shift, total, True, kinds, buffers, chunk[0])
            inner = [c[at] for c in contexts]
            like = chunk[0] if into is None else into
            reads = (*tables, index[at], ours[at][:, None], inner, numbers, values, slopes, like)
            gradient, found = self.gradient(*reads, *self.ways[0])
            if self.guarded[1] and bool(gradient.sum().isnan()):
                gradient, found = self.gradient(*reads, *self.ways[1])
            self.add(w, at, gradient, raw)
            del gradient, reads, tables  # their memory is for the next piece's
            for context, slope in zip(outside, found, strict=True):
                context[at] = slope
        self.finish(w)
        outside = [c.view(labels.shape) for c in outside]
        if group:
            for context in outside:
                dist.all_reduce(context, group=_group(group))
        return outside

    def setup(self, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        trained, frozen, labels, contexts, *ctx.settings, ctx.keep = inputs
        ctx.sizes, ctx.spent = (len(trained), len(frozen)), False
        ctx.save_for_backward(*trained, *frozen, labels, *contexts, *output)

    def derivative(self: Any, backward: Any, ctx: Any, seeds: Tensor | None) -> tuple[Any, ...]:
        trained, frozen = ctx.sizes
        saved = list(ctx.saved_tensors)
        ours, theirs = saved[:trained], saved[trained : trained + frozen]
        labels, *inner = saved[trained + frozen : -3]
        values, normalisers, kept = saved[-3:]
        seeds = torch.zeros_like(values) if seeds is None else seeds
        made_from, seeds = (*ours, *inner, seeds), seeds.detach()
        given = (ours, theirs, labels, inner, *ctx.settings, values, normalisers, kept, seeds)
        every = self.instead(ctx, *given) or backward(*given)
        every = _once(self.function, every, *made_from)
        # torch.library sees an empty list of numbers as a list.
        nothing: Any = None if ctx.settings[0] else []
        return every[:trained], [None] * frozen, None, every[trained:], nothing, None, None, None


def _operators(name: str, one: Any) -> Any:
    """A pass as an operator of torch: its statistics, and what `forward` makes beside them."""

    def operator(name: str, function: Any, shapes: Any, schema: str) -> Any:
        made = torch.library.custom_op(_operator(name), function, mutates_args=(), schema=schema)
        made.register_fake(shapes)
        return made

    forward = operator(name, one.forward, one.forward_shapes, FORWARD)
    backward = operator(f"{name}_backward", one.backward, one.backward_shapes, BACKWARD)

    def derivative(ctx: Any, seeds: Tensor | None, *_: Tensor | None) -> tuple[Any, ...]:
        found: tuple[Any, ...] = one.derivative(backward, ctx, seeds)
        return found

    forward.register_autograd(derivative, setup_context=one.setup)
    return forward
