"""Rows that look up places: labels in a vocabulary, masks over positions, whole-number indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sympy import Expr, S

from .axes import BIG, POSITION, at_label, is_entry, obj, unknowns
from .movement import select, stack, unbind
from .numbers import expr_of
from .pointwise import finite, pointwise
from .tensor import Sym, aligned, axis_of, hints, moved, plain, spread, sym, wrap
from .trace import refuse
from .truths import is_truth, nonzero


def whole(i: Any) -> int:
    """An index that is a known whole number. Raises: CannotLift."""
    if isinstance(i, (int, np.integer)):
        return int(i)
    if isinstance(i, Expr) and i.is_Integer:
        return int(i)
    why = unknowns(i) if isinstance(i, Expr) else []
    return refuse(f"an index depends on {why[0]}" if why else "an index that is no known number")


def places(index: Sym) -> Any:
    return obj(map(whole, index.entries.reshape(-1)), index.ptr.shape).astype(np.int64)


def gather(x: Sym, d: int, index: Any, **_: Any) -> Sym:
    index = wrap(index)
    d = axis_of(d, x.ptr.ndim)
    if d == x.tax:
        refuse("positions are gathered of an axis of any length")
    if d != x.vax:
        if x.tax is None and index.tax is None:
            at = places(index)
            kept = tuple(slice(0, n) if a != d else slice(None) for a, n in enumerate(at.shape))
            return sym(np.take_along_axis(x.entries[kept], at, d), index.sizes, x.dtype)
        if len({whole(i) for i in index.entries.reshape(-1)}) == 1:
            one = whole(index.entries.reshape(-1)[0])
            return moved(
                x,
                lambda a: np.take(a, [one], d),
                [1 if a == d else n for a, n in enumerate(x.sizes)],
                lambda i: i,
            )
        at = np.broadcast_to(
            places(index), [n if a != d else index.ptr.shape[d] for a, n in enumerate(x.ptr.shape)]
        )
        tax, _v, dom = aligned(
            [
                index,
                moved(
                    x,
                    lambda a: np.take(a, [0], d),
                    [1 if a == d else n for a, n in enumerate(x.sizes)],
                    lambda i: i,
                ),
            ],
            x.ptr.ndim,
        )
        data = np.take_along_axis(x.entries, at, d)
        return sym(data, index.sizes, x.dtype, tax, None, dom)
    if index.ptr.shape[d] != 1:
        refuse("more than one vocabulary entry is gathered at a position")
    tax, _v, dom = aligned([x, index], x.ptr.ndim)
    a, b = spread([x, index], x.ptr.ndim)
    data = obj((at_label(e, i) for e, i in zip(a.reshape(-1), b.reshape(-1), strict=True)), a.shape)
    if dom is not None:
        dom = np.broadcast_to(dom, data.shape)
    return sym(data, index.sizes, x.dtype, tax, None, dom)


def scatter(x: Sym, d: int, index: Any, source: Any, add: bool = False, **_: Any) -> Sym:
    index, values = wrap(index), wrap(source)
    d = axis_of(d, x.ptr.ndim)
    if d == x.tax:
        refuse("values are scattered over positions of any number")
    if d != x.vax:
        if x.tax is not None or index.tax is not None or x.vax is not None:
            refuse("values are scattered into a tensor with an axis of any length")
        if _between_two(x, d, index):
            return _scattered_by_step(x, d, index, values, add)
        data = x.entries.copy()
        given = np.broadcast_to(values.entries, index.ptr.shape) if values.ptr.ndim == 0 else (values.entries)
        for at in np.ndindex(index.ptr.shape):
            to = (*at[:d], whole(index.entries[at]), *at[d + 1 :])
            data[to] = finite(data[to]) + finite(given[at]) if add else given[at]
        return sym(data, x.sizes, x.dtype)
    if index.ptr.shape[d] != 1:
        refuse("more than one vocabulary entry is scattered at a position")
    if values.ptr.size == 1 and values.entries.reshape(-1)[0] == S.NegativeInfinity and not add:
        found = sym(x.entries, x.sizes, x.dtype, x.tax, x.vax, x.dom)
        found.hole = index
        return found
    parts = [x, index] + ([values] if values.ptr.ndim else [])
    tax, vax, dom = aligned(parts, x.ptr.ndim)
    a, b, *c = spread(parts, x.ptr.ndim)
    given = c[0] if c else np.broadcast_to(values.entries, a.shape)

    def put(e: Any, i: Any, v: Any) -> Expr:
        before = expr_of(0) if add else at_label(finite(e), i)
        return finite(e) + (finite(v) - before) * is_entry(i)

    flat = zip(a.reshape(-1), b.reshape(-1), given.reshape(-1), strict=True)
    return sym(obj((put(*q) for q in flat), a.shape), x.sizes, x.dtype, tax, vax, dom)


def _between_two(x: Sym, d: int, index: Sym) -> bool:
    """Whether places on an axis of two depend on data: each is 0 or 1, as a step says."""
    depend = [i for i in index.entries.reshape(-1) if isinstance(i, Expr) and not i.is_Integer]
    return bool(depend) and x.ptr.shape[d] == 2 and all(is_truth(expr_of(i)) for i in depend)


def _scattered_by_step(x: Sym, d: int, index: Sym, values: Sym, add: bool) -> Sym:
    data = np.moveaxis(x.entries.copy(), d, -1)
    rows = np.moveaxis(index.entries, d, -1)
    given = np.moveaxis(np.broadcast_to(values.entries, index.ptr.shape), d, -1)
    for at in np.ndindex(rows.shape):
        row, place, v = data[at[:-1]], expr_of(rows[at]), finite(given[at])
        for n, here in ((0, 1 - place), (1, place)):
            row[n] = finite(row[n]) + here * (v if add else v - finite(row[n]))
    return sym(np.moveaxis(data, -1, d), x.sizes, x.dtype)


def scatter_add(x: Sym, d: int, index: Any, source: Any) -> Sym:
    return scatter(x, d, index, source, add=True)


def index_add(x: Sym, d: int, index: Any, source: Any, alpha: Any = 1) -> Sym:
    """x with rows of `source` added at the places of `index` along an axis."""
    d = axis_of(d, x.ptr.ndim)
    source = wrap(source)
    if d in (x.tax, x.vax):
        refuse("rows are added along an axis of any length")
    rows = unbind(x, d)
    for row, at in enumerate(places(wrap(index)).reshape(-1)):
        more = pointwise("mul", select(source, d, row), alpha)
        rows[at] = pointwise("add", rows[at], more)
    return stack(rows, d)


def masked_fill(x: Sym, mask: Any, value: Any) -> Sym:
    found = pointwise("where", mask, value, x)
    return sym(found.entries, found.sizes, x.dtype, found.tax, found.vax, found.dom)


def _known(mask: Sym, shape: Sequence[int]) -> Any:
    """A mask as booleans. Raises: CannotLift where it depends on data."""
    said = [nonzero(e) for e in mask.entries.reshape(-1)]
    if not all(isinstance(s, bool) for s in said):
        refuse("a mask that depends on data picks positions")
    return np.broadcast_to(np.array(said, dtype=bool).reshape(mask.ptr.shape), shape)


def _masked(x: Sym, mask: Sym) -> Sym:
    """x[mask]: the picked entries, one after the other."""
    n = mask.ptr.ndim
    lead = np.broadcast_shapes(mask.ptr.shape, x.ptr.shape[:n])
    pick = _known(mask, lead)
    full = np.broadcast_to(x.ptr, lead + x.ptr.shape[n:])
    if x.tax is None and mask.tax is None and not (x.vax is not None and x.vax < n):
        pointers = full[pick]
        found: Sym = Sym(
            x.buf,
            pointers,
            (len(pointers), *x.sizes[n:]),
            x.dtype,
            None,
            None if x.vax is None else x.vax - n + 1,
            None,
        )
        return found
    if (x.tax is not None and x.tax >= n) or (x.vax is not None and x.vax < n):
        refuse("a mask over part of the axes")
    source = x if x.dom is not None else mask
    if source.dom is None:
        refuse("a mask over positions of no response")
    own = source.domains()
    own = own.reshape((*own.shape[:n], -1))[..., 0]
    dom = np.broadcast_to(own, lead)[pick]
    pointers = full[pick]
    size = hints().of(dom)
    kept: Sym = Sym(
        x.buf,
        pointers,
        (size, *x.sizes[n:]),
        x.dtype,
        0,
        None if x.vax is None else x.vax - n + 1,
        np.broadcast_to(dom.reshape((-1,) + (1,) * (pointers.ndim - 1)), pointers.shape),
    )
    return kept


def _key(indices: Sequence[Any]) -> tuple[Any, ...]:
    """Indices of numpy's kind. Raises: CannotLift where one is not known."""
    found: list[Any] = []
    for i in indices:
        if i is None:
            found.append(slice(None))
            continue
        i = wrap(i)
        if i.tax is not None or i.vax is not None:
            refuse("an index along an axis of any length")
        found.append(_known(i, i.ptr.shape) if i.dtype == torch.bool else places(i))
    return tuple(found)


def index(x: Sym, indices: Sequence[Any]) -> Sym:
    """x[...] with tensors as indices, None where an axis is taken whole."""
    first = next((wrap(i) for i in indices if i is not None), None)
    if first is not None and first.dtype == torch.bool and indices[0] is not None and (len(indices) == 1):
        return _masked(x, first)
    touched = [d for d, i in enumerate(indices) if i is not None]
    if x.vax is not None and touched == [x.vax]:
        refuse("chosen entries of a vocabulary of any size")
    if any(d in (x.tax, x.vax) for d in touched):
        refuse("chosen positions of an axis of any length")
    key = _key(indices)
    pointers = x.ptr[key]
    if x.tax is None and x.vax is None:
        found: Sym = Sym(x.buf, pointers, pointers.shape, x.dtype, None, None, None)
        return found
    if len(touched) != 1 or wrap(indices[touched[0]]).ptr.ndim != 1:
        refuse("several indices into a tensor with an axis of any length")
    d = touched[0]
    shape = [pointers.shape[d] if a == d else n for a, n in enumerate(x.sizes)]
    return moved(x, lambda a: a[key], shape, lambda i: i)


def index_select(x: Sym, d: int, chosen: Any) -> Sym:
    return index(x, [*[None] * axis_of(d, x.ptr.ndim), chosen])


def index_put(x: Sym, indices: Sequence[Any], value: Any, accumulate: bool = False) -> Sym:
    """x with other values at places; added to where `accumulate`."""
    value = wrap(value)
    first = wrap(indices[0]) if indices[0] is not None else None
    if len(indices) == 1 and first is not None and first.dtype == torch.bool:
        return _put_masked(x, first, value, accumulate)
    if x.tax is not None or x.vax is not None:
        refuse("values are put into a tensor with an axis of any length")
    key, data = _key(indices), x.entries
    numbers = np.arange(data.size).reshape(data.shape)[key]
    given = np.broadcast_to(value.entries, numbers.shape)
    flat = data.reshape(-1)
    for at, v in zip(numbers.reshape(-1), given.reshape(-1), strict=True):
        flat[at] = finite(flat[at]) + finite(v) if accumulate else v
    return sym(flat.reshape(data.shape), x.sizes, x.dtype)


def _put_masked(x: Sym, mask: Sym, value: Sym, accumulate: bool) -> Sym:
    if value.ptr.size == 1 and value.ptr.ndim == 0:
        given = pointwise("add", x, value) if accumulate else value
        found = pointwise("where", mask, given, x)
        return sym(found.entries, found.sizes, x.dtype, found.tax, found.vax, found.dom)
    n = mask.ptr.ndim
    lead = np.broadcast_shapes(mask.ptr.shape, x.ptr.shape[:n])
    pick = _known(mask, lead)
    data = np.broadcast_to(x.entries, lead + x.ptr.shape[n:]).copy()
    many: Any = value.entries
    if many.shape[0] != pick.sum():
        many = np.broadcast_to(many, (int(pick.sum()), *data.shape[n:]))
    for row, at in enumerate(np.argwhere(pick)):
        to = tuple(at)
        if data.ndim == n:
            data[to] = finite(data[to]) + finite(many[row]) if accumulate else many[row]
            continue
        for inner in np.ndindex(data.shape[n:]):
            v = many[row][inner]
            data[(*to, *inner)] = finite(data[(*to, *inner)]) + finite(v) if accumulate else v
    dom = x.dom if x.dom is not None else mask.dom
    if dom is not None:
        dom = np.broadcast_to(dom.reshape(dom.shape + (1,) * (data.ndim - dom.ndim)), data.shape)
    return sym(data, x.sizes, x.dtype, x.tax if x.tax is not None else mask.tax, x.vax, dom)


def nonzero_places(x: Sym) -> Sym:
    if x.tax is not None or x.vax is not None:
        refuse("the places of what is not 0 along an axis of any length")
    at = np.argwhere(_known(x, x.ptr.shape))
    return sym(obj(map(int, at.reshape(-1)), at.shape), at.shape, torch.int64)


def arange(*args: Any, dtype: torch.dtype | None = None, **_: Any) -> Sym:
    given = [expr_of(a) for a in args]
    if len(args) == 1 and isinstance(args[0], int) and int.__int__(args[0]) >= BIG:
        if int.__int__(args[0]) == hints().vocabulary:
            refuse("the entries of a vocabulary of any size are numbered")
        return plain((args[0],), POSITION, dtype or torch.int64)
    if any(int.__int__(a) >= BIG for a in args if isinstance(a, int)):
        refuse("positions are numbered along an axis of any length")
    if not all(e.is_Integer for e in given):
        refuse("a range of numbers that are not whole")
    found = range(*map(int, given))
    return sym(obj(map(expr_of, found), (len(found),)), (len(found),), dtype or torch.int64)


INDEXING: dict[str, Callable[..., Any]] = {
    "gather": gather,
    "scatter": scatter,
    "scatter_add": scatter_add,
    "masked_fill": masked_fill,
    "index": index,
    "index_select": index_select,
    "masked_select": lambda x, mask: index(x, [mask]),
    "index_put": index_put,
    "index_add": index_add,
    "nonzero": nonzero_places,
    "arange": arange,
}
