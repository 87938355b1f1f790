"""The tensor of expressions: a buffer, and an array of pointers into it.

`buf` is the storage, a flat array of entries that views share; `ptr` says where each entry stands.
Data movement is done to the pointers, so that writes through views are right. Entries are
expressions (of real numbers), Python's ints and bools, or labels. `tax` and `vax` are the token and
the vocabulary axis (see `axes`), None where there is none; `dom` says of each stored entry which
response its positions belong to, None where the entry is the same at every position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from .axes import BIG, UNIT, Hints, obj
from .numbers import Dim, expr_of, read
from .trace import refuse

_hints: list[Hints] = []


def hints() -> Hints:
    return _hints[-1] if _hints else Hints(0, 0, {}, {})


@contextmanager
def sized(found: Hints) -> Any:
    _hints.append(found)
    try:
        yield
    finally:
        _hints.pop()


class Sym(torch.Tensor):
    """A tensor of expressions."""

    buf: Any
    ptr: Any
    tax: int | None
    vax: int | None
    dom: Any
    sizes: tuple[int, ...]  # as torch knows them
    hole: Any = None  # labels at which the vocabulary's entries are minus infinity
    identity: bool = False  # the identity matrix over a vocabulary of any size

    @staticmethod
    def __new__(
        cls: Any,
        buf: Any,
        ptr: Any,
        shape: Sequence[int],
        dtype: torch.dtype,
        tax: int | None = None,
        vax: int | None = None,
        dom: Any = None,
        requires_grad: bool = False,
    ) -> Any:
        sizes = tuple(map(int.__int__, shape))
        self = torch.Tensor._make_wrapper_subclass(
            cls, sizes, dtype=dtype, device=torch.device("cpu"), requires_grad=requires_grad
        )
        self.buf, self.ptr, self.tax, self.vax, self.dom = buf, ptr, tax, vax, dom
        self.sizes = sizes
        assert ptr.ndim == len(tuple(shape)), (ptr.shape, shape)
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def entries(self) -> Any:
        found = np.empty(self.ptr.shape, dtype=object)
        found.reshape(-1)[:] = self.buf[self.ptr.reshape(-1)]
        return found

    def domains(self) -> Any:
        """`dom` for each stored entry."""
        if self.dom is None:
            return np.full(self.ptr.shape, None, dtype=object)
        return np.broadcast_to(self.dom, self.ptr.shape)

    def single(self) -> Any:
        """The only entry. Raises: CannotLift where there are more."""
        if self.ptr.size != 1 or self.tax is not None or self.vax is not None:
            refuse("one number is read of a tensor that has many")
        return self.buf[self.ptr.reshape(-1)[0]]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Sym({self.sizes}, {self.entries.tolist()})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        refuse(f"torch's operation {func} outside the mode that interprets it")


def sym(
    data: Any,
    shape: Sequence[int] | None = None,
    dtype: torch.dtype = torch.float32,
    tax: int | None = None,
    vax: int | None = None,
    dom: Any = None,
    requires_grad: bool = False,
) -> Sym:
    """A tensor with a storage of its own."""
    ptr = np.arange(data.size).reshape(data.shape)
    shape = data.shape if shape is None else shape
    found: Sym = Sym(data.reshape(-1).copy(), ptr, shape, dtype, tax, vax, dom, requires_grad)
    return found


def like(x: Sym, entries: Iterable[Any], dtype: torch.dtype | None = None) -> Sym:
    """A tensor with the axes of `x` and these entries."""
    return sym(obj(entries, x.ptr.shape), x.sizes, dtype or x.dtype, x.tax, x.vax, x.dom)


def mapped(x: Sym, f: Callable[[Any], Any], dtype: torch.dtype | None = None) -> Sym:
    return like(x, (f(e) for e in x.entries.reshape(-1)), dtype)


def moved(x: Sym, f: Callable[[Any], Any], shape: Sequence[int], axis: Callable[[int], int]) -> Sym:
    """A view: `f` acts on arrays of the stored shape, `axis` says where an axis goes."""
    found: Sym = Sym(
        x.buf,
        f(x.ptr),
        shape,
        x.dtype,
        None if x.tax is None else axis(x.tax),
        None if x.vax is None else axis(x.vax),
        None if x.dom is None else f(x.domains()),
    )
    return found


def wrap(x: Any) -> Sym:
    """A plain tensor, or a number, as a tensor of expressions."""
    if isinstance(x, Sym):
        return x
    if not isinstance(x, torch.Tensor):
        kind = torch.float64 if isinstance(x, float) else torch.int64
        kind = torch.bool if isinstance(x, bool) else kind
        exact = isinstance(x, (bool, int)) and not isinstance(x, Dim)
        known = hints().sizes.get(x) if exact and x >= BIG else None  # a size, which autograd wrote
        return sym(obj([known or (x if exact else expr_of(x))], ()), (), kind)
    if any(n >= BIG for n in x.shape):
        refuse("a tensor made outside has an axis as long as a symbolic one")
    if x.is_complex():
        refuse("complex numbers")
    with torch._C._DisableTorchDispatch():
        values = x.detach().reshape(-1).tolist()
    if x.is_floating_point():
        low = x.dtype != torch.float64
        values = [read(v, low) for v in values]
    return sym(obj(values, tuple(x.shape)), tuple(x.shape), x.dtype)


def plain(size: Sequence[int], value: Any, dtype: torch.dtype) -> Sym:
    """A tensor of one value, whatever its axes."""
    store, tax, vax = [], None, None
    for at, n in enumerate(size):
        hint = int.__int__(n)
        if hint == hints().vocabulary and hint >= BIG:
            vax = at
        elif hint >= BIG:
            if tax is not None:
                refuse("two token axes in one tensor")
            tax = at
        store.append(1 if hint >= BIG else hint)
    return sym(obj([value] * math.prod(store), store), tuple(map(int.__int__, size)), dtype, tax, vax)


def aligned(parts: Sequence[Sym], ndim: int) -> tuple[int | None, int | None, Any]:
    """The common axes of operands that are aligned at the right.

    Raises: CannotLift where their positions are not the same ones.
    """
    tax = vax = dom = None
    for x in parts:
        off = ndim - x.ptr.ndim
        if x.vax is not None:
            if vax not in (None, x.vax + off):
                refuse("two vocabulary axes in one tensor")
            vax = x.vax + off
        if x.tax is None:
            continue
        if tax not in (None, x.tax + off):
            refuse("two token axes in one tensor")
        tax = x.tax + off
        if x.dom is None:
            continue
        other = x.dom.reshape((1,) * off + x.dom.shape)
        dom = other if dom is None else _same(dom, other)
    if tax is not None and tax == vax:
        refuse("a token axis meets a vocabulary axis")
    return tax, vax, dom


def _same(one: Any, other: Any) -> Any:
    try:
        a, b = np.broadcast_arrays(one, other)
    except ValueError:
        refuse("the positions of two tensors are not aligned")
    pairs = list(zip(a.reshape(-1), b.reshape(-1), strict=True))
    if any(p is not None and q is not None and p != q for p, q in pairs):
        refuse("the positions of two tensors are not aligned")
    return obj((q if p is None else p for p, q in pairs), a.shape)


def spread(parts: Sequence[Sym], ndim: int) -> list[Any]:
    """The entries of aligned operands, broadcast. Raises: CannotLift where segments differ."""
    arrays = [x.entries.reshape((1,) * (ndim - x.ptr.ndim) + x.ptr.shape) for x in parts]
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError:
        refuse("the positions of two tensors are not aligned")


def axis_of(d: int, ndim: int) -> int:
    return d + ndim if d < 0 else d


def constant_positions(x: Sym) -> bool:
    """Whether every stored position is a single one or belongs to no response."""
    return all(d is None or d == UNIT for d in x.domains().reshape(-1))
