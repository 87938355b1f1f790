"""Rows with one meaning an entry: arithmetic, functions, comparisons, logic, and their backwards.

A row says what an operation of torch is on entries, in plain nodes of the language: what may be
simplified is a rule's business. Infinities stand for what masks leave out; they go only where their
meaning is clear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from sympy import Add, Expr, Integer, Rational, S

from midpo.numeric.code.places import UNKNOWN, opaque
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import (
    Abs,
    Exp,
    Feature,
    Log,
    LogSigmoid,
    Max,
    Min,
    Relu,
    Sigmoid,
    Sqrt,
    Tanh,
)
from midpo.symbolic.language.signs import is_nonnegative, is_positive

from .axes import BIG, POSITION, fresh, is_label, obj, positions, within
from .numbers import expr_of
from .tensor import Sym, aligned, hints, spread, sym, wrap
from .trace import refuse, suppose
from .truths import INFINITIES, both, differ, either, eq, ge, gt, infinite, inverse, nonzero

Kind = Literal["same", "float", "bool", "first"]

_SOFTPLUS = Integer(20)  # torch's own threshold
THRESHOLD = 15  # softplus is the identity above a threshold; below this one that would be seen


@dataclass(frozen=True)
class Row:
    """`meaning` of an entry; `kind` is the result's dtype: the operands' common one ("same"), that
    at least of a float ("float"), "bool", or that of the first operand ("first")."""

    meaning: Callable[..., Any]
    kind: Kind = "same"


def real(f: Callable[..., Expr]) -> Callable[..., Expr]:
    """A meaning on real numbers: no labels, no infinities, no division by 0."""

    def meaning(*args: Any) -> Expr:
        xs = [finite(a) for a in args]
        return finite(f(*xs))

    return meaning


def finite(a: Any) -> Expr:
    if is_label(a):
        refuse("arithmetic with token ids")
    x = expr_of(a)
    if x in INFINITIES or x is S.NaN or x is S.ComplexInfinity:
        refuse("an infinity, or a division by 0, in arithmetic")
    return x


# --- Arithmetic ----------------------------------------------------------------------------------


def _add(a: Any, b: Any, alpha: Any = 1) -> Expr:
    if infinite(a) and not infinite(b):
        return a
    if infinite(b) and not infinite(a):
        return _mul(b, alpha)
    return real(lambda x, y, k: x + y * k)(a, b, alpha)


def _sub(a: Any, b: Any, alpha: Any = 1) -> Expr:
    return _add(a, b, -expr_of(alpha))


def _mul(a: Any, b: Any) -> Expr:
    for x, y in ((a, b), (b, a)):
        if infinite(x):
            scale = opaque(finite(y))
            if is_positive(scale):
                return x
            if is_positive(-scale):
                return -x
            refuse("an infinity times a number that may be 0 or of either sign")
    return real(lambda x, y: x * y)(a, b)


def _div(a: Any, b: Any) -> Expr:
    if not infinite(a):
        below = finite(b)
        if below == 0:
            refuse("a division by 0")
        shift, rest = shifted(below)
        return finite(a) / below if shift == 0 else finite(a) * Exp(-shift) / rest
    return _mul(a, 1 / finite(b))


def _pow(a: Expr, b: Expr) -> Expr:
    if b == 0:
        return S.One
    if a == 0 and not is_positive(opaque(b)):
        refuse("a power of 0")
    if not (b.is_Integer or is_nonnegative(opaque(a))):
        suppose("what powers are taken of is not negative")
        if not b.is_Rational:
            refuse("a power of a number that may be negative")
    return a**b


def _exp(a: Any) -> Expr:
    if a == S.NegativeInfinity:
        return S.Zero
    return real(lambda x: S.One if x == 0 else Exp(x))(a)


def log(x: Expr) -> Expr:
    if x == 0:
        refuse("log(0)")
    shift, rest = shifted(x)
    return S.Zero if x == 1 else shift + Log(rest)


def shifted(x: Expr) -> tuple[Expr, Expr]:
    """(s, r) with x = exp(s)*r, where x is a sum of exponentials whose exponents all have the same
    part of which nothing is known: that which keeps them in range, and cancels."""
    unknown = [f for f in x.atoms(Feature) if str(f.args[0]).startswith(UNKNOWN)]
    if not unknown or not x.is_Add:
        return S.Zero, x
    parts: list[tuple[Expr, Expr, Expr]] = []
    for term in x.args:
        factor, exponential = term.as_independent(Exp)
        if not isinstance(exponential, Exp):
            return S.Zero, x
        exponent = expand(exponential.args[0])
        shift, _ = exponent.as_independent(*unknown)[::-1] if exponent.is_Add else (S.Zero, exponent)
        parts.append((factor, exponent, shift))
    shift = parts[0][2]
    if shift == 0 or any(other != shift for *_, other in parts):
        return S.Zero, x
    return shift, Add(*(factor * Exp(expand(e - shift)) for factor, e, _ in parts))


def _softplus(x: Expr, beta: Expr = S.One, threshold: Expr = _SOFTPLUS) -> Expr:
    if not threshold.is_Number or threshold < THRESHOLD:
        refuse(f"a softplus that is cut above {threshold}")
    suppose(f"softplus is log(1 + exp(x)) above its threshold of {threshold} too")
    return Log(1 + Exp(beta * x)) / beta


def _softplus_backward(g: Expr, x: Expr, beta: Expr = S.One, threshold: Expr = S.One) -> Expr:
    return g * Sigmoid(beta * x)


# --- Choices --------------------------------------------------------------------------------------


def where(c: Any, a: Any, b: Any) -> Any:
    c = nonzero(c)
    if isinstance(c, bool):
        return a if c else b
    if is_label(a) or is_label(b):
        return a if a == b else refuse("a choice between token ids by data")
    x, y = finite(a), finite(b)
    return x if x == y else c * x + (1 - c) * y


def maximum(a: Any, b: Any) -> Any:
    if is_label(a) and not is_label(b) and expr_of(b).is_Number and expr_of(b) <= 0:
        return a
    for x, y in ((a, b), (b, a)):
        if infinite(x):
            return y if x == S.NegativeInfinity else x
    x, y = finite(a), finite(b)
    if x.is_Number and y.is_Number:
        return x if x >= y else y
    return x if x == y else Max(x, y)


def minimum(a: Any, b: Any) -> Any:
    if infinite(a) or infinite(b):
        return -maximum(-expr_of(a), -expr_of(b))
    x, y = finite(a), finite(b)
    if x.is_Number and y.is_Number:
        return x if x <= y else y
    return x if x == y else Min(x, y)


def _sign(x: Expr) -> Any:
    up, down = ge(x, S.Zero), ge(-x, S.Zero)
    return expr_of(up) - expr_of(down)


def _rounded(how: Callable[[Any], Any], name: str) -> Callable[..., Any]:
    def meaning(x: Any, *_: Any) -> Any:
        e = finite(x)
        return (
            Integer(how(e))
            if e.is_Rational
            else e
            if e.is_integer
            else fresh(f"a value is rounded ({name})", e)
        )

    return meaning


def _remainder(a: Any, b: Any) -> Any:
    """Of numbers; a token id is less than the vocabulary."""
    a, b = finite(a), finite(b)
    if is_label(a) and b == hints().vocabulary:
        return a
    if a.is_Rational and b.is_Rational and b != 0 and b < BIG:
        return a % b
    return a if a.is_Rational and 0 <= a < BIG <= b else fresh("a remainder", a)


def _half_even(x: Any) -> int:
    whole: int = round(Rational(x))
    return whole


def _cleaned(x: Any, *args: Any) -> Any:
    suppose("values are finite")
    return x if not infinite(x) else refuse("an infinity that is made a number")


def _known(answer: bool) -> Callable[[Any], bool]:
    def meaning(x: Any) -> bool:
        suppose("values are finite")
        return infinite(x) != answer

    return meaning


def _threshold_backward(g: Expr, x: Expr, at: Expr) -> Any:
    return where(gt(x, at), g, S.Zero)


def _smooth_entropy(x: Expr, y: Expr) -> Expr:
    return S.Zero if x == 0 else x * log(y)


POINTWISE: dict[str, Row] = {
    "add": Row(_add),
    "sub": Row(_sub),
    "rsub": Row(lambda a, b, k=1: _sub(b, a, k)),
    "mul": Row(_mul),
    "div": Row(_div, "float"),
    "neg": Row(lambda a: -a if infinite(a) else real(lambda x: -x)(a)),
    "reciprocal": Row(lambda a: _div(1, a), "float"),
    "pow": Row(real(_pow)),
    "square": Row(real(lambda x: x**2)),
    "sqrt": Row(real(Sqrt), "float"),
    "rsqrt": Row(real(lambda x: 1 / Sqrt(x)), "float"),
    "exp": Row(_exp, "float"),
    "expm1": Row(lambda a: _exp(a) - 1, "float"),
    "exp2": Row(real(lambda x: Exp(x * Log(Integer(2)))), "float"),
    "log": Row(real(log), "float"),
    "log1p": Row(real(lambda x: log(1 + x)), "float"),
    "log2": Row(real(lambda x: log(x) / Log(Integer(2))), "float"),
    "log10": Row(real(lambda x: log(x) / Log(Integer(10))), "float"),
    "sigmoid": Row(real(Sigmoid), "float"),
    "tanh": Row(real(Tanh), "float"),
    "sinh": Row(real(lambda x: (Exp(x) - Exp(-x)) / 2), "float"),
    "cosh": Row(real(lambda x: (Exp(x) + Exp(-x)) / 2), "float"),
    "log_sigmoid": Row(real(LogSigmoid), "float"),
    "softplus": Row(real(_softplus)),
    "relu": Row(real(Relu)),
    "abs": Row(real(Abs)),
    "sign": Row(real(_sign)),
    "sgn": Row(real(_sign)),
    "logaddexp": Row(real(lambda a, b: Log(Exp(a) + Exp(b)))),
    "xlogy": Row(real(_smooth_entropy), "float"),
    "maximum": Row(maximum),
    "minimum": Row(minimum),
    "fmax": Row(maximum),
    "fmin": Row(minimum),
    "clamp_min": Row(maximum, "first"),
    "clamp_max": Row(minimum, "first"),
    "where": Row(where),
    "ge": Row(ge, "bool"),
    "gt": Row(gt, "bool"),
    "le": Row(lambda a, b: ge(b, a), "bool"),
    "lt": Row(lambda a, b: gt(b, a), "bool"),
    "eq": Row(eq, "bool"),
    "ne": Row(lambda a, b: inverse(eq(a, b)), "bool"),
    "logical_and": Row(both, "bool"),
    "logical_or": Row(either, "bool"),
    "logical_not": Row(lambda a: inverse(nonzero(a)), "bool"),
    "logical_xor": Row(differ, "bool"),
    "bitwise_and": Row(both, "bool"),
    "bitwise_or": Row(either, "bool"),
    "bitwise_not": Row(lambda a: inverse(nonzero(a)), "bool"),
    "bitwise_xor": Row(differ, "bool"),
    "isnan": Row(lambda a: _known(True)(a) and False, "bool"),
    "isinf": Row(_known(False), "bool"),
    "isfinite": Row(_known(True), "bool"),
    "nan_to_num": Row(_cleaned),
    "round": Row(_rounded(_half_even, "round")),
    "floor": Row(_rounded(lambda x: x.floor(), "floor")),
    "ceil": Row(_rounded(lambda x: x.ceiling(), "ceil")),
    "trunc": Row(_rounded(int, "trunc")),
    "remainder": Row(_remainder, "first"),
    # what autograd's formulas ask for
    "log_sigmoid_backward": Row(real(lambda g, x, *_: g * Sigmoid(-x))),
    "sigmoid_backward": Row(real(lambda g, s: g * s * (1 - s))),
    "tanh_backward": Row(real(lambda g, t: g * (1 - t**2))),
    "softplus_backward": Row(real(_softplus_backward)),
    "threshold_backward": Row(real(_threshold_backward)),
}


def pointwise(name: str, *args: Any, alpha: Any = 1) -> Sym:
    """A row's meaning on each entry of operands that are broadcast."""
    row = POINTWISE[name]
    tensors = [wrap(a) for a in args]
    shape = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
        *(t.sizes for t in tensors)
    )
    tax, vax, dom = aligned(tensors, len(shape))
    arrays = spread(tensors, len(shape))
    numbered = (
        tax is not None
        and dom is not None
        and any(
            isinstance(e, Expr) and e.has(POSITION)
            for t in tensors
            if t.tax is not None and t.dom is None
            for e in t.entries.reshape(-1)
        )
    )
    if numbered:
        assert tax is not None
        arrays = [placed(a, dom, tax) for a in arrays]
    extra = {} if alpha == 1 else {"alpha": alpha}
    meaning = row.meaning
    if extra:
        given = expr_of(alpha)
        data = obj((meaning(*es, given) for es in zip(*map(_flat, arrays), strict=True)), arrays[0].shape)
    else:
        data = obj((meaning(*es) for es in zip(*map(_flat, arrays), strict=True)), arrays[0].shape)
    if numbered:
        flat = zip(data.reshape(-1), np.broadcast_to(dom, data.shape).reshape(-1), strict=True)
        data = obj((_known_truth(within(e, d), row) for e, d in flat), data.shape)
    whole = tensors[1:] if name == "where" else tensors

    return sym(
        data, shape, result_type(row.kind, whole, args[1:] if name == "where" else args), tax, vax, dom
    )


def placed(array: Any, dom: Any, tax: int) -> Any:
    """Entries with the numbers of positions as what they are in each row."""
    found = np.moveaxis(array.copy(), tax, -1)
    rows = np.moveaxis(np.broadcast_to(dom, array.shape), tax, -1)
    for at in np.ndindex(found.shape[:-1]):
        where = positions(list(rows[at]))
        for n, e in enumerate(found[at]):
            if isinstance(e, Expr) and e.has(POSITION):
                found[at][n] = e.xreplace({POSITION: where[n]})
    return np.moveaxis(found, -1, tax)


def _known_truth(e: Any, row: Row) -> Any:
    """0 and 1 of a comparison as truth values."""
    return bool(e) if row.kind == "bool" and e in (S.Zero, S.One) else e


def _flat(array: Any) -> Any:
    return array.reshape(-1)


def _rank(dtype: torch.dtype) -> int:
    return 2 if dtype.is_floating_point else 0 if dtype == torch.bool else 1


def result_type(kind: Kind, tensors: list[Sym], args: Any) -> torch.dtype:
    """The dtype of a result, by torch's rules: tensors before single numbers before Python's."""
    if kind == "bool":
        return torch.bool
    if kind == "first" and tensors[0].dtype.is_floating_point:
        return tensors[0].dtype
    groups: tuple[list[torch.dtype], ...] = ([], [], [])
    for t, a in zip(tensors, args, strict=False):
        plain = not isinstance(a, torch.Tensor)
        groups[2 if plain else 1 if t.ptr.ndim == 0 else 0].append(t.dtype)
    found: torch.dtype | None = None
    for group, kinds in enumerate(groups):
        for dtype in kinds:
            own = {0: torch.bool, 1: torch.int64, 2: torch.float32}[_rank(dtype)]
            dtype = own if group == 2 else dtype
            if found is None or (group and _rank(dtype) > _rank(found)):
                found = dtype
            elif not group or all(not g for g in groups[:group]):
                found = torch.promote_types(found, dtype)
    assert found is not None
    return torch.float32 if kind == "float" and not found.is_floating_point else found


def plus(a: Any, b: Any) -> Sym:
    return pointwise("add", a, b)


def times(a: Any, b: Any) -> Sym:
    return pointwise("mul", a, b)


def minus(a: Any, b: Any) -> Sym:
    return pointwise("sub", a, b)
