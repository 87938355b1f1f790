"""What code reads of tensors in Python: sizes, numbers, truth values, and `float`.

A mode above torch's functions sees Python's own arguments: numbers that remember an expression
become tensors there, before C would make NaN of them.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .axes import obj
from .movement import stack
from .numbers import Dim, Number, expr_of, size, truth
from .tensor import Sym, hints, plain, sym, wrap
from .trace import refuse
from .truths import nonzero

_SHAPE: Any = torch.Tensor.shape.__get__  # type: ignore[attr-defined]
# Functions whose plain numbers are operands; elsewhere a size is a size.
_OPERANDS = {
    "add",
    "sub",
    "mul",
    "div",
    "true_divide",
    "rsub",
    "pow",
    "float_power",
    "maximum",
    "minimum",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "where",
    "eq",
    "ne",
    "ge",
    "gt",
    "le",
    "lt",
    "masked_fill",
    "tensor",
    "as_tensor",
    "full",
    "full_like",
    "scalar_tensor",
    "fill_",
    "__add__",
    "__radd__",
    "__sub__",
    "__rsub__",
    "__mul__",
    "__rmul__",
    "__div__",
    "__rdiv__",
    "__truediv__",
    "__rtruediv__",
    "__pow__",
    "__rpow__",
    "__ge__",
    "__gt__",
    "__le__",
    "__lt__",
    "__eq__",
    "__ne__",
    "__iadd__",
    "__isub__",
    "__imul__",
    "__itruediv__",
    "add_",
    "sub_",
    "mul_",
    "div_",
    "multiply",
    "divide",
    "subtract",
    "addcmul",
    "addcdiv",
    "lerp",
    "softplus",
    "logaddexp",
    "new_tensor",
    "new_full",
}


class Shape(tuple):  # type: ignore[type-arg]
    """Sizes, of which some have an expression."""

    __slots__ = ()

    def numel(self) -> Any:
        found: Any = 1
        for n in self:
            found = n * found
        return found


def shape_of(x: Sym) -> Shape:
    known = hints().sizes
    return Shape(size(n, known[n]) if n in known else n for n in x.sizes)


def number(x: Sym) -> Any:
    """`x.item()`: a Python number that remembers its expression."""
    e = x.single()
    if isinstance(e, bool) or (isinstance(e, int) and not isinstance(e, bool)):
        return e
    value = expr_of(e)
    if x.dtype == torch.bool:
        return truth(nonzero(e))
    if value.is_integer and not x.dtype.is_floating_point:
        many = hints().number(value)
        if many is not None:
            return size(many, value)
    return float(value) if value.is_Number else Number(value)


def truth_of(x: Sym) -> bool:
    e = x.single()
    return truth(nonzero(e))


def listed(x: Sym) -> Any:
    if x.tax is not None or x.vax is not None:
        refuse("a tensor with an axis of any length becomes a list")

    def one(e: Any) -> Any:
        return number(sym(obj([e], ()), (), x.dtype))

    flat = obj(map(one, x.entries.reshape(-1)), x.ptr.shape)
    return flat.tolist()


def _whole(x: Sym) -> int:
    found = number(x)
    if isinstance(found, Number):
        return found.__int__()  # type: ignore[no-any-return]
    return int(found)


def _real(x: Sym) -> float:
    found = number(x)
    return found.__float__() if isinstance(found, Number) else float(found)


def _length(x: Sym) -> Any:
    return shape_of(x)[0]


_READS: dict[str, Any] = {
    "item": number,
    "tolist": listed,
    "__bool__": truth_of,
    "__int__": _whole,
    "__index__": _whole,
    "__float__": _real,
    "is_nonzero": truth_of,
    "__len__": lambda x: int.__int__(x.sizes[0]),
    "numel": lambda x: shape_of(x).numel(),
    "nelement": lambda x: shape_of(x).numel(),
    "__format__": lambda x, how: "tensor",
    "__repr__": lambda x, **k: "tensor",
}


class Calls(TorchFunctionMode):
    """Above torch's functions: reads are answered, numbers with expressions become tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if args and isinstance(args[0], Sym):
            if func is _SHAPE or (name == "__get__" and func == _SHAPE):
                return shape_of(args[0])
            if name == "size":
                found = shape_of(args[0])
                at = args[1] if len(args) > 1 else kwargs.get("dim")
                return found if at is None else found[at]
            if name in ("numpy", "__array__", "data_ptr", "__cuda_array_interface__"):
                refuse(f"a tensor is read outside torch ({name})")
            if name in _READS:
                return _READS[name](*args, **kwargs)
        if name in ("tensor", "as_tensor") and args and _remembers(args[0]):
            return _made(args[0], kwargs.get("dtype"))
        if name == "softplus" and any(isinstance(a, Number) for a in (*args, *kwargs.values())):
            return _softplus(*args, **kwargs)
        operands = name in _OPERANDS
        return func(
            *(_tensors(a, operands) for a in args), **{k: _tensors(v, operands) for k, v in kwargs.items()}
        )


def _remembers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_remembers, value))
    return isinstance(value, (Number, Dim, Sym))


def _made(value: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(value, (list, tuple)):
        return stack([_made(v, dtype) for v in value])
    if isinstance(value, Sym):
        return value.clone() if dtype is None else value.to(dtype)
    kind = torch.float32 if isinstance(value, float) else wrap(value).dtype
    return plain((), wrap(value).single(), dtype or kind)


def _softplus(x: Any, beta: Any = 1, threshold: Any = 20) -> Any:
    """softplus at a scale that is a parameter, which C would take for NaN."""
    scale = _tensors(beta, True)
    return torch.nn.functional.softplus(x * scale, threshold=threshold) / scale


def _tensors(value: Any, operands: bool) -> Any:
    if isinstance(value, Number):
        return plain((), value.expr, torch.float64)
    if isinstance(value, Dim):
        return plain((), value.expr, torch.int64) if operands else int.__int__(value)
    if type(value) in (list, tuple, Shape) and any(isinstance(v, (Number, Dim)) for v in value):
        return [_tensors(v, False) for v in value]
    return value


class _Float(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, builtins.float)

    def __eq__(cls, other: Any) -> bool:
        return other is builtins.float or other is cls

    def __hash__(cls) -> int:
        return hash(builtins.float)


class Float(metaclass=_Float):
    """`float` for code that is lifted: a parameter stays what it is."""

    def __new__(cls, value: Any = 0.0) -> Any:
        if isinstance(value, Number):
            return value
        if isinstance(value, Dim):
            return Number(value.expr)
        if isinstance(value, Sym):
            found = number(value)
            return found if isinstance(found, Number) else builtins.float(found)
        return builtins.float(value)


@contextmanager
def floats(function: Any) -> Iterator[None]:
    """While it runs, `float` of a function's own module keeps expressions."""
    inner = getattr(function, "forward", function)
    inner = getattr(inner, "__func__", inner)
    scope = getattr(inner, "__globals__", None)
    if scope is None or "float" in scope:
        yield
        return
    scope["float"] = Float
    try:
        yield
    finally:
        del scope["float"]


@contextmanager
def differentiating() -> Iterator[None]:
    """While it runs, what code differentiates itself is read as the rest of it: torch would switch
    the mode off for the backwards that it calls."""
    scope: Any = torch.autograd
    original = scope._engine_run_backward

    def run(*args: Any, **named: Any) -> Any:
        with Calls():
            return original(*args, **named)

    scope._engine_run_backward = run
    try:
        yield
    finally:
        scope._engine_run_backward = original
