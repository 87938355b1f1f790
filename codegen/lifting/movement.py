"""Rows that move data: views and copies, done to the pointers of a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sympy import S

from .axes import BIG, UNIT, T, V, fresh, is_label, obj
from .numbers import expr_of
from .tensor import Sym, axis_of, hints, mapped, moved, plain, sym, wrap
from .trace import current, refuse
from .truths import OPEN, nonzero

Operation = Callable[..., Any]


def same(x: Sym, *_: Any) -> Sym:
    return moved(x, lambda a: a, x.sizes, lambda i: i)


def clone(x: Sym) -> Sym:
    return sym(x.entries, x.sizes, x.dtype, x.tax, x.vax, x.dom)


def to_dtype(x: Sym, dtype: torch.dtype | None = None) -> Sym:
    """The same numbers in another dtype: rounding is no part of what is lifted, and is noted."""
    dtype = dtype or x.dtype
    if dtype == x.dtype:
        return clone(x)
    if x.dtype.is_floating_point:
        current().casts[f"{x.dtype} to {dtype}".replace("torch.", "")] += 1
        if dtype == torch.bool:
            return mapped(x, nonzero, dtype)
        if not dtype.is_floating_point:
            return mapped(x, _whole, dtype)
    elif dtype == torch.bool:
        return mapped(x, nonzero, dtype)
    return mapped(x, lambda e: e if is_label(e) else expr_of(e), dtype)


def _whole(e: Any) -> Any:
    e = expr_of(e)
    if not e.is_integer:
        refuse("a float becomes a whole number")
    return e


def unsqueeze(x: Sym, d: int) -> Sym:
    d = axis_of(d, x.ptr.ndim + 1)
    shape = [*x.sizes[:d], 1, *x.sizes[d:]]
    return moved(x, lambda a: np.expand_dims(a, d), shape, lambda i: i + (i >= d))


def squeeze(x: Sym, dims: Any = None) -> Sym:
    asked = (
        range(x.ptr.ndim)
        if dims is None
        else [axis_of(d, x.ptr.ndim) for d in ([dims] if isinstance(dims, int) else dims)]
    )
    gone = [d for d in asked if x.sizes[d] == 1]
    kept = [d for d in range(x.ptr.ndim) if d not in gone]
    return moved(x, lambda a: a.reshape([a.shape[d] for d in kept]), [x.sizes[d] for d in kept], kept.index)


def permute(x: Sym, dims: Sequence[int]) -> Sym:
    order = [axis_of(d, x.ptr.ndim) for d in dims]
    return moved(x, lambda a: a.transpose(order), [x.sizes[d] for d in order], order.index)


def transpose(x: Sym, a: int, b: int) -> Sym:
    order = list(range(x.ptr.ndim))
    a, b = axis_of(a, x.ptr.ndim), axis_of(b, x.ptr.ndim)
    order[a], order[b] = order[b], order[a]
    return permute(x, order)


def transposed(x: Sym) -> Sym:
    return transpose(x, 0, 1) if x.ptr.ndim == 2 else same(x)


def expand(x: Sym, size: Sequence[int], **_: Any) -> Sym:
    off = len(size) - x.ptr.ndim
    tax = None if x.tax is None else x.tax + off
    vax = None if x.vax is None else x.vax + off
    store, shape = [], []
    known = (1,) * off + x.sizes
    held = (1,) * off + x.ptr.shape
    for d, asked in enumerate(map(int.__int__, size)):
        n = known[d] if asked == -1 else asked
        shape.append(n)
        if n == known[d] or n < BIG:
            store.append(held[d] if n == known[d] else n)
            continue
        store.append(1)
        if n == hints().vocabulary:
            vax = d
        else:
            tax = d
    pointers = np.broadcast_to(x.ptr.reshape((1,) * off + x.ptr.shape), store)
    dom = None if x.dom is None else np.broadcast_to(x.domains().reshape((1,) * off + x.ptr.shape), store)
    found: Sym = Sym(x.buf, pointers, shape, x.dtype, tax, vax, dom)
    return found


def view(x: Sym, size: Any, *rest: Any) -> Sym:
    """Another shape: groups of axes whose sizes multiply to the same are merged and split."""
    asked = list(map(int.__int__, (size, *rest) if isinstance(size, int) else size))
    total = math.prod(x.sizes)
    if -1 in asked:
        asked[asked.index(-1)] = total // max(1, -math.prod(asked))
    old, store = list(x.sizes), []
    tax = vax = None
    for mine, theirs in _groups(old, asked):
        held = math.prod(x.ptr.shape[d] for d in mine)
        special = [d for d in mine if d in (x.tax, x.vax)]
        if not special:
            store += [asked[d] for d in theirs]
            continue
        long = [d for d in theirs if asked[d] >= BIG]
        alone = [d for d in mine if old[d] != 1] == special and len(special) == 1
        if len(special) > 1 or len(long) != 1 or (x.vax in special and not alone):
            refuse("a view that mixes or splits symbolic axes")
        (at,) = long
        others = math.prod(asked[d] for d in theirs if d != at)
        before = math.prod(asked[d] for d in theirs if d < at)
        if held % others or (others > 1 and not _splits(x, asked[at], before, others)):
            refuse("a view that splits the token axis")
        store += [held // others if d == at else asked[d] for d in theirs]
        if special[0] == x.tax:
            tax = at
        else:
            vax = at
    dom = None if x.dom is None else x.domains().reshape(store)
    found: Sym = Sym(x.buf, x.ptr.reshape(store), asked, x.dtype, tax, vax, dom)
    return found


def _splits(x: Sym, positions: int, before: int, others: int) -> bool:
    """Whether merged rows come apart again where they were merged: each has so many positions."""
    domains = x.domains().reshape(others, -1)
    if before != others or any(d is None for d in domains.reshape(-1)):
        return False
    return all(hints().of(row) == positions for row in domains)


def _groups(old: list[int], new: list[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest groups of axes, old and new, that have as many entries."""
    found, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        mine, theirs = ([i] if i < len(old) else []), ([j] if j < len(new) else [])
        p, q = (old[i] if mine else 1), (new[j] if theirs else 1)
        i, j = i + bool(mine), j + bool(theirs)
        while p != q:
            if p < q:
                p, i = p * old[i], i + 1
                mine.append(i - 1)
            else:
                q, j = q * new[j], j + 1
                theirs.append(j - 1)
        found.append((mine, theirs))
    return found


def slice_of(x: Sym, d: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Sym:
    d = axis_of(d, x.ptr.ndim)
    n = x.sizes[d]
    start, end, step = slice(start, end, step).indices(n)
    shape = [*x.sizes[:d], len(range(start, end, step)), *x.sizes[d + 1 :]]
    before = (slice(None),) * d
    if shape[d] == n:
        return same(x)
    if d == x.vax:
        refuse("a part of the vocabulary")
    if d != x.tax or x.dom is None:
        if d == x.tax:
            if shape[d] < BIG:
                refuse("single positions of an axis of any length")
            return moved(x, lambda a: a, shape, lambda i: i)
        return moved(x, lambda a: a[(*before, slice(start, end, step))], shape, lambda i: i)
    if step != 1:
        refuse("every so many positions of an axis of any length")
    if shape[d] < BIG:
        ends = _end(x, d, shape[d], start == 0, end == n)
        if ends is not None:
            kept: Sym = Sym(x.buf, x.ptr[(*before, ends)], shape, x.dtype, None, x.vax, None)
            return kept
        if x.dtype.is_floating_point:
            return _any_numbers(x, d, shape)
    low, high = _unit_cut(x, d, start, n - end)
    return moved(x, lambda a: a[(*before, slice(low, high))], shape, lambda i: i)


def _end(x: Sym, d: int, number: int, first: bool, last: bool) -> slice | None:
    """Where so many single positions are stored at the first or last end of all rows."""
    rows = np.moveaxis(x.domains(), d, -1).reshape(-1, x.ptr.shape[d])
    width = rows.shape[1]
    if number > width or not (first or last):
        return None
    ends = slice(0, number) if first else slice(width - number, width)
    return ends if all(q == UNIT for q in rows[:, ends].reshape(-1)) else None


def _any_numbers(x: Sym, d: int, shape: Sequence[int]) -> Sym:
    """Some single positions of a row: any numbers, as nothing says which they are."""
    store = [shape[d] if a == d else n for a, n in enumerate(x.ptr.shape)]
    wide = V if x.vax is not None else S.Zero
    entries = obj((fresh("a single position of a response", wide) for _ in range(math.prod(store))), store)
    return sym(entries, shape, x.dtype, None, x.vax)


def _unit_cut(x: Sym, d: int, first: int, last: int) -> tuple[int, int]:
    """The stored entries that are left when so many positions go, which must be single ones."""
    rows = np.moveaxis(x.domains(), d, -1).reshape(-1, x.ptr.shape[d])
    low, high = 0, rows.shape[1]
    for _ in range(first):
        if not all(row[low] == UNIT for row in rows):
            refuse("a slice cuts positions off a response of any length")
        low += 1
    for _ in range(last):
        if not all(row[high - 1] == UNIT for row in rows):
            refuse("a slice cuts positions off a response of any length")
        high -= 1
    return low, high


def select(x: Sym, d: int, i: Any) -> Sym:
    d = axis_of(d, x.ptr.ndim)
    at = axis_of(int.__int__(i), x.sizes[d])
    shape = [n for a, n in enumerate(x.sizes) if a != d]
    stored = at
    if d == x.vax:
        refuse("one entry of a vocabulary of any size")
    if d == x.tax:
        if at not in (0, x.sizes[d] - 1) or x.dom is None:
            refuse("one position of an axis of any length")
        stored = 0 if at == 0 else x.ptr.shape[d] - 1
        if not all(q == UNIT for q in np.take(x.domains(), stored, d).reshape(-1)):
            refuse("one position of a response of any length")
        found: Sym = Sym(
            x.buf,
            np.take(x.ptr, stored, d),
            shape,
            x.dtype,
            None,
            None if x.vax is None else x.vax - (x.vax > d),
            None,
        )
        return found
    return moved(x, lambda a: np.take(a, stored, d), shape, lambda a: a - (a > d))


def split(x: Sym, size: Any, d: int = 0) -> list[Sym]:
    d = axis_of(d, x.ptr.ndim)
    n, at, found = x.sizes[d], 0, []
    sizes = size
    if isinstance(size, int):
        sizes = [size] * (n // size) + ([n % size] if n % size else [])
    for each in sizes:
        found.append(slice_of(x, d, at, at + each))
        at += each
    return found


def unbind(x: Sym, d: int = 0) -> list[Sym]:
    return [select(x, d, i) for i in range(x.sizes[axis_of(d, x.ptr.ndim)])]


def cat(xs: Sequence[Any], d: int = 0) -> Sym:
    parts = [p for p in map(wrap, xs) if not (p.ptr.ndim == 1 and p.sizes == (0,))] or [wrap(xs[0])]
    n = parts[0].ptr.ndim
    d = axis_of(d, n)
    tax = next((p.tax for p in parts if p.tax is not None), None)
    vax = next((p.vax for p in parts if p.vax is not None), None)
    if d == vax:
        refuse("vocabularies are put together")
    store = [max(p.ptr.shape[a] for p in parts) for a in range(n)]
    datas, doms = [], []
    for p in parts:
        full = [p.ptr.shape[a] if a == d else store[a] for a in range(n)]
        datas.append(np.broadcast_to(p.entries, full))
        own = p.domains()
        if d == tax and p.tax is None:
            own = np.full(p.ptr.shape, UNIT, dtype=object)
        doms.append(np.broadcast_to(own, full))
    data, dom = np.concatenate(datas, d), None
    if tax is not None:
        dom = np.concatenate(doms, d)
        if all(q is None for q in dom.reshape(-1)):
            dom = None if d != tax else refuse("positions of no response are put together")
        elif d != tax:
            dom = _filled(dom, d, data)
    shape = [sum(p.sizes[d] for p in parts) if a == d else max(p.sizes[a] for p in parts) for a in range(n)]
    dtype = parts[0].dtype
    for p in parts[1:]:
        dtype = torch.promote_types(dtype, p.dtype)
    segments = hints().rows.get(shape[d]) if tax is None else None
    if segments is not None:
        return _joined_again(data, shape, d, vax, dtype, segments)
    return sym(data, shape, dtype, tax, vax, dom)


def _joined_again(
    data: Any, shape: Sequence[int], d: int, vax: int | None, dtype: torch.dtype, segments: Sequence[Any]
) -> Sym:
    """Parts of all positions of a batch, put together again: any number at each position."""
    store = [len(segments) if a == d else m for a, m in enumerate(data.shape)]
    at = T + V if vax is not None else T
    why = f"{OPEN if dtype == torch.bool else ''}a position of parts put together"
    entries = obj((fresh(why, at) for _ in range(math.prod(store))), store)
    line = [len(segments) if a == d else 1 for a in range(len(shape))]
    return sym(entries, shape, dtype, d, vax, np.broadcast_to(obj(segments, line), store))


def _filled(dom: Any, d: int, data: Any) -> Any:
    """Zeros that belong to no response may stand beside rows that do: their sum is 0."""
    for q, e in zip(dom.reshape(-1), data.reshape(-1), strict=True):
        if q is None and (is_label(e) or expr_of(e) != 0):
            refuse("rows with positions beside rows without")
    return dom


def stack(xs: Sequence[Any], d: int = 0) -> Sym:
    return cat([unsqueeze(wrap(x), d) for x in xs], d)


def flip(x: Sym, dims: Sequence[int]) -> Sym:
    none_symbolic(x, dims, "is flipped")
    at = tuple(axis_of(d, x.ptr.ndim) for d in dims)
    return moved(x, lambda a: np.flip(a, at), x.sizes, lambda i: i)


def roll(x: Sym, shifts: Any, dims: Any = ()) -> Sym:
    none_symbolic(x, dims or range(x.ptr.ndim), "is rolled")
    return clone(moved(x, lambda a: np.roll(a, shifts, tuple(dims) or None), x.sizes, lambda i: i))


def repeat(x: Sym, times: Sequence[int]) -> Sym:
    off = len(times) - x.ptr.ndim
    wide = moved(x, lambda a: a.reshape((1,) * off + a.shape), (1,) * off + x.sizes, lambda i: i + off)
    none_symbolic(wide, [d for d, n in enumerate(times) if n != 1], "is repeated")
    shape = [int.__int__(n) * m for n, m in zip(times, wide.sizes, strict=True)]
    if any(int.__int__(n) >= BIG for n in times):
        refuse("a tensor is repeated along an axis of any length")
    return clone(moved(wide, lambda a: np.tile(a, times), shape, lambda i: i))


def pad(x: Sym, widths: Sequence[int], value: Any = 0) -> Sym:
    """Constants beside an axis; at the token axis single positions, or cut off where negative."""
    out = x
    for n in range(len(widths) // 2):
        d = x.ptr.ndim - 1 - n
        first, last = widths[2 * n], widths[2 * n + 1]
        if first < 0 or last < 0:
            out = slice_of(out, d, max(0, -first), out.sizes[d] - max(0, -last))
        parts = [out]
        for width, front in ((max(0, first), True), (max(0, last), False)):
            if width:
                if d == out.vax:
                    refuse("a vocabulary is padded")
                shape = [width if a == d else n for a, n in enumerate(out.sizes)]
                side = plain(shape, expr_of(value), out.dtype)
                parts.insert(0 if front else len(parts), side)
        out = cat(parts, d) if len(parts) > 1 else out
    return clone(out)


def none_symbolic(x: Sym, dims: Any, what: str) -> None:
    if any(axis_of(d, x.ptr.ndim) in (x.tax, x.vax) for d in dims):
        refuse(f"an axis of any length {what}")


def diagonal(x: Sym, offset: int = 0, a: int = 0, b: int = 1) -> Sym:
    a, b = axis_of(a, x.ptr.ndim), axis_of(b, x.ptr.ndim)
    none_symbolic(x, (a, b), "is a diagonal's")
    rest = [d for d in range(x.ptr.ndim) if d not in (a, b)]
    n = len(np.diagonal(x.ptr, offset, a, b).reshape(-1, 1)) if not rest else None
    shape = [x.sizes[d] for d in rest]
    pointers = np.diagonal(x.ptr, offset, a, b)
    return moved(
        x,
        lambda q: np.diagonal(q, offset, a, b),
        [*shape, pointers.shape[-1] if n is None else n],
        rest.index,
    )


VIEWS: dict[str, Operation] = {
    "detach": same,
    "alias": same,
    "lift_fresh": same,
    "lift_fresh_copy": clone,
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "permute": permute,
    "transpose": transpose,
    "t": transposed,
    "expand": expand,
    "view": view,
    "_unsafe_view": view,
    "slice": slice_of,
    "select": select,
    "split": split,
    "split_with_sizes": split,
    "unbind": unbind,
    "diagonal": diagonal,
}
MOVEMENT: dict[str, Operation] = {
    **VIEWS,
    "clone": clone,
    "_to_copy": to_dtype,
    "cat": cat,
    "stack": stack,
    "flip": flip,
    "roll": roll,
    "repeat": repeat,
    "constant_pad_nd": pad,
}
