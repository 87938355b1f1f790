"""The table of all rows, and the modes under which code runs on tensors of expressions."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from sympy import S
from torch.utils._python_dispatch import TorchDispatchMode

from .axes import BIG, obj
from .backward import BACKWARD
from .calls import Calls, number
from .indexing import INDEXING
from .movement import MOVEMENT, clone
from .numbers import expr_of
from .pointwise import POINTWISE, pointwise
from .reductions import REDUCTIONS
from .tensor import Sym, hints, mapped, plain, sym, wrap
from .trace import current, refuse

# Options of torch's that say nothing of values.
_SILENT = {
    "memory_format",
    "layout",
    "device",
    "pin_memory",
    "non_blocking",
    "out",
    "generator",
    "implicit",
    "copy",
}


def _alike(value: int) -> Callable[..., Sym]:
    def made(x: Sym, dtype: torch.dtype | None = None, **_: Any) -> Sym:
        return mapped(x, lambda e: expr_of(value), dtype or x.dtype)

    return made


def _full_like(x: Sym, value: Any, dtype: torch.dtype | None = None, **_: Any) -> Sym:
    return mapped(x, lambda e: wrap(value).single(), dtype or x.dtype)


def _of_size(value: int) -> Callable[..., Sym]:
    def made(size: Any, dtype: torch.dtype | None = None, **_: Any) -> Sym:
        return plain(size, expr_of(value), dtype or torch.get_default_dtype())

    return made


def _new(value: int) -> Callable[..., Sym]:
    def made(x: Sym, size: Any, dtype: torch.dtype | None = None, **_: Any) -> Sym:
        return plain(size, expr_of(value), dtype or x.dtype)

    return made


def _full(size: Any, value: Any, dtype: torch.dtype | None = None, **_: Any) -> Sym:
    kind = torch.get_default_dtype() if isinstance(value, float) else torch.int64
    kind = torch.bool if isinstance(value, bool) else kind
    return plain(size, wrap(value).single(), dtype or kind)


def _new_full(x: Sym, size: Any, value: Any, dtype: Any = None, **_: Any) -> Sym:
    return plain(size, wrap(value).single(), dtype or x.dtype)


def _scalar(value: Any, dtype: torch.dtype | None = None, **_: Any) -> Sym:
    return plain((), wrap(value).single(), dtype or torch.get_default_dtype())


def _eye(n: int, m: int | None = None, dtype: Any = None, **_: Any) -> Sym:
    shape = (n, n if m is None else m)
    if n >= BIG:
        if shape != (hints().vocabulary,) * 2:
            refuse("an identity matrix of any size")
        return _identity(n, dtype or torch.get_default_dtype())
    return sym(
        obj((S.One if i == j else S.Zero for i, j in np.ndindex(shape)), shape),
        shape,
        dtype or torch.get_default_dtype(),
    )


def _identity(n: int, dtype: torch.dtype) -> Sym:
    """The identity over a vocabulary of any size: no entries, and only products are known."""
    found = sym(obj([S.NaN], (1, 1)), (n, n), dtype)
    found.identity = True
    return found


def _with_identity(base: str, args: Any) -> Sym:
    """What an identity matrix may do: be turned, copied, or multiply."""
    first = args[0]
    if base in ("t", "transpose", "detach", "alias", "clone"):
        return _identity(first.sizes[0], first.dtype)
    if base == "mm":
        return clone(args[1] if getattr(first, "identity", False) else first)
    return refuse("the identity over a vocabulary of any size is used other than in a product")


def _copy(x: Sym, source: Any, *_: Any) -> Sym:
    return wrap(source)


def _fill(x: Sym, value: Any) -> Sym:
    return wrap(value)


def _zero(x: Sym) -> Sym:
    return wrap(0)


CREATION: dict[str, Callable[..., Any]] = {
    "zeros_like": _alike(0),
    "ones_like": _alike(1),
    "empty_like": _alike(0),
    "full_like": _full_like,
    "zeros": _of_size(0),
    "ones": _of_size(1),
    "empty": _of_size(0),
    "full": _full,
    "new_zeros": _new(0),
    "new_ones": _new(1),
    "new_empty": _new(0),
    "new_full": _new_full,
    "scalar_tensor": _scalar,
    "eye": _eye,
    "copy": _copy,
    "fill": _fill,
    "zero": _zero,
    "_local_scalar_dense": number,
    "is_same_size": lambda a, b: wrap(a).sizes == wrap(b).sizes,
}
ROWS: dict[str, Callable[..., Any]] = {
    **{name: (lambda *a, _n=name, **k: pointwise(_n, *a, **k)) for name in POINTWISE},
    **CREATION,
    **MOVEMENT,
    **INDEXING,
    **REDUCTIONS,
    **BACKWARD,
}
# Functions of sizes alone, or of lists of tensors: no first tensor to wrap.
_UNWRAPPED = {"cat", "stack", "zeros", "ones", "empty", "full", "scalar_tensor", "eye", "arange"}


_within: ContextVar[frozenset[str]] = ContextVar("within", default=frozenset())


class Lifting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Interprets every operation, those on plain tensors too, so that constants stay exact."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: wrapping for the compiler would import it, which takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return interpret(func, args, kwargs or {})


def lifting() -> Lifting:
    return Lifting()  # type: ignore[no-untyped-call]


def interpret(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation on tensors of expressions. Raises: CannotLift where it has no row."""
    if func.namespace not in ("aten", "prims", "prim"):
        return _custom(func, args, kwargs)
    name = func._overloadpacket.__name__
    current().count(name)
    inplace = name.endswith("_") and not name.endswith("__")
    base = name[:-1] if inplace else name
    row = ROWS.get(name) or ROWS.get(base)
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    if row is None and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key):
        with lifting():
            return func.decompose(*args, **kwargs)
    row = row or _own_meaning(func, base)
    if row is None:
        refuse(f"no row for torch's operation {name}")
    if any(getattr(a, "identity", False) for a in args):
        return _with_identity(base, args)
    if base != "logsumexp" and any(getattr(a, "hole", None) is not None for a in args):
        refuse("a vocabulary without its label is used other than in logsumexp")
    target = kwargs.get("out")
    given = {k: v for k, v in kwargs.items() if k not in _SILENT}
    first = args[:1]
    if first and isinstance(first[0], torch.Tensor) and base not in _UNWRAPPED:
        args = (wrap(first[0]), *args[1:])
    if given.pop("rounding_mode", None) is not None:
        refuse("a division that is rounded")
    try:
        found = row(*args, **given)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError, AssertionError) as error:
        refuse(f"torch's operation {name} in a form that has no row ({error})")
    if inplace or target is not None:
        return _written(name, args[0] if inplace else target, found)
    return found


def _own_meaning(func: Any, base: str) -> Callable[..., Any] | None:
    """What torch itself says that an operation without a row is made of, in others: the Python that
    its compiler puts in its place."""
    from torch._decomp import decomposition_table  # imported where needed: it takes a second

    plain = getattr(getattr(torch.ops.aten, base, None), func._overloadname, func)
    made = decomposition_table.get(func) or decomposition_table.get(plain)
    if made is None or base in _within.get():  # which is made of itself on another device
        return None

    def meaning(*args: Any, **kwargs: Any) -> Any:
        token = _within.set(_within.get() | {base})
        try:
            with lifting():
                return made(*args, **kwargs)
        finally:
            _within.reset(token)

    return meaning


def _written(name: str, target: Any, found: Any) -> Any:
    if not isinstance(target, Sym):
        refuse(f"{name} writes to a tensor made outside")
    value = wrap(found[0] if isinstance(found, tuple) else found)
    shape = target.ptr.shape
    if target.tax is None and value.tax is not None and value.ptr.shape != shape:
        refuse("positions of any number are written into a tensor without")
    if target.tax is not None and target.dom is None and value.dom is not None:
        _take_positions(target, value)
    given = np.broadcast_to(value.entries, target.ptr.shape)
    target.buf[target.ptr.reshape(-1)] = given.reshape(-1)
    return target


def _take_positions(target: Sym, value: Sym) -> None:
    """A tensor that was the same at every position is written to position by position: its storage
    gets an entry for each segment, where nothing else looks at it."""
    if target.ptr.size != target.buf.size:
        refuse("positions of any number are written through a view")
    wide = np.broadcast_shapes(target.ptr.shape, value.ptr.shape)
    entries = np.broadcast_to(target.entries, wide)
    target.buf = entries.reshape(-1).copy()
    target.ptr = np.arange(target.buf.size).reshape(wide)
    target.dom = np.broadcast_to(value.domains(), wide)


def _custom(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operator that Python code defines is what its Python body does on these tensors."""
    from torch._library.custom_ops import OPDEFS

    made = OPDEFS.get(func._schema.name)
    if made is None:
        refuse(f"an operator outside torch: {func._schema.name}")
    current().count(func._schema.name)
    with lifting(), Calls():
        return made._init_fn(*args, **kwargs)
