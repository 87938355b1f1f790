"""Rows that autograd's own formulas ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sympy import S

from .axes import BIG, is_entry, is_label, obj
from .indexing import scatter, whole
from .movement import cat, clone, none_symbolic, unsqueeze
from .numbers import expr_of
from .pointwise import finite, minus, pointwise, times
from .reductions import number_of, sum_of
from .tensor import Sym, aligned, axis_of, plain, spread, sym, wrap
from .trace import refuse


def log_softmax_backward(g: Sym, out: Any, d: int, dtype: Any) -> Sym:
    return minus(g, times(pointwise("exp", out), sum_of(wrap(g), [d], True)))


def softmax_backward(g: Sym, out: Any, d: int, dtype: Any) -> Sym:
    return times(out, minus(g, sum_of(times(g, out), [d], True)))


def nll_backward(g: Sym, x: Any, target: Any, weight: Any, reduction: int, ignored: int, number: Any) -> Sym:
    """Minus the upstream gradient at each target that is not ignored, 0 elsewhere."""
    x, target = wrap(x), wrap(target)
    scale = pointwise("div", g, number) if reduction == 1 else g
    at = unsqueeze(target, -1)
    up = unsqueeze(scale, -1) if reduction == 0 and scale.ptr.ndim else scale
    if x.vax is not None:
        tax, _, dom = aligned([x, at], x.ptr.ndim)
        a, i, s = spread([x, at, up], x.ptr.ndim)
        data = obj((_entry(*q, ignored) for q in zip(a.flat, i.flat, s.flat, strict=True)), a.shape)
        return sym(data, x.sizes, x.dtype, tax, x.vax, dom)
    data = obj([S.Zero] * x.ptr.size, x.ptr.shape)
    scales = spread([x, up], x.ptr.ndim)[1]
    for row, label in enumerate(target.entries.reshape(-1)):
        if not _ignored(label, ignored):
            place = (row, whole(label)) if x.ptr.ndim == 2 else (whole(label),)
            data[place] = -finite(scales[place])
    return sym(data, x.sizes, x.dtype)


def _ignored(label: Any, ignored: int) -> bool:
    return not is_label(label) and bool(expr_of(label) == ignored)


def _entry(_: Any, label: Any, scale: Any, ignored: int) -> Any:
    return S.Zero if _ignored(label, ignored) else -finite(scale) * is_entry(label)


def gather_backward(g: Sym, x: Any, d: int, index: Any, sparse: bool) -> Sym:
    x = wrap(x)
    return scatter(plain(x.sizes, S.Zero, g.dtype), d, index, g, add=True)


def zeros_beside(g: Sym, sizes: Sequence[int], d: int, start: int, end: int) -> Sym:
    """What a slice's gradient is for the whole: zeros where the slice was not."""
    d = axis_of(d, len(sizes))
    start, end, _ = slice(start, end).indices(int.__int__(sizes[d]))
    parts = []
    for n in (start, int.__int__(sizes[d]) - end):
        shape = [n if a == d else m for a, m in enumerate(g.sizes)]
        if n >= BIG:
            refuse("a gradient of a part of an axis of any length")
        count = n if d == g.tax and g.dom is not None else 1
        one = [1 if a == d and count > 1 else m for a, m in enumerate(shape)]
        parts.append(
            [plain(one, S.Zero, g.dtype)] * count
            if count > 1
            else [plain(shape, S.Zero, g.dtype)]
            if n
            else []
        )
    pieces = [*parts[0], g, *parts[1]]
    return cat(pieces, d) if len(pieces) > 1 else clone(g)


def slice_backward(g: Sym, sizes: Any, d: int, start: int, end: int, step: int) -> Sym:
    if step == 1:
        return zeros_beside(g, sizes, d, start, end)
    d = axis_of(d, len(sizes))
    none_symbolic(g, [d], "is cut in steps")
    data = np.full([*g.ptr.shape[:d], sizes[d], *g.ptr.shape[d + 1 :]], S.Zero, dtype=object)
    data[(slice(None),) * d + (slice(*slice(start, end, step).indices(sizes[d])),)] = g.entries
    return sym(data, tuple(sizes), g.dtype, g.tax, g.vax)


def select_backward(g: Sym, sizes: Any, d: int, i: int) -> Sym:
    d = axis_of(d, len(sizes))
    at = axis_of(i, int.__int__(sizes[d]))
    if int.__int__(sizes[d]) >= BIG:
        refuse("a gradient of one position of an axis of any length")
    return zeros_beside(unsqueeze(g, d), sizes, d, at, at + 1)


def mse_backward(g: Sym, x: Any, y: Any, reduction: int) -> Sym:
    apart = times(minus(x, y), 2)
    if reduction == 1:
        apart = pointwise("div", apart, number_of(apart, None, False))
    return times(g, apart)


BACKWARD: dict[str, Callable[..., Any]] = {
    "_log_softmax_backward_data": log_softmax_backward,
    "_softmax_backward_data": softmax_backward,
    "nll_loss_backward": nll_backward,
    "gather_backward": gather_backward,
    "slice_backward": slice_backward,
    "select_backward": select_backward,
    "mse_loss_backward": mse_backward,
}
