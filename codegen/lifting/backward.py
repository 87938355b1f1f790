"""Rows that autograd's own formulas ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import S

from .axes import is_entry, is_label, obj
from .indexing import scatter, whole
from .movement import unsqueeze
from .numbers import expr_of
from .pointwise import finite, minus, pointwise, times
from .reductions import number_of, sum_of
from .tensor import Sym, aligned, plain, spread, sym, wrap


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
    "mse_loss_backward": mse_backward,
}
