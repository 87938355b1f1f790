"""Rows that reduce an axis: sums, means, maxima, and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sympy import Add, Expr, Mul, S

from midpo.symbolic.language.nodes import Exp

from .axes import UNIT, Padding, T, V, at_label, count, fresh, is_label, obj, token_sum, vocab_sum
from .indexing import gather
from .movement import same, squeeze, to_dtype, unsqueeze
from .numbers import expr_of
from .pointwise import finite, log, maximum, minimum, minus, plus, pointwise, times
from .tensor import Sym, aligned, axis_of, like, mapped, spread, sym, wrap
from .trace import refuse, suppose
from .truths import both, either, ge, inverse, nonzero

Together = Callable[[list[Any]], Any]


def axes_of(x: Sym, dims: Any) -> list[int]:
    if dims is None or dims == [] or dims == ():
        return list(range(x.ptr.ndim))
    return sorted(axis_of(d, x.ptr.ndim) for d in ([dims] if isinstance(dims, int) else dims))


def reduced(
    x: Sym,
    dims: Any,
    keepdim: bool,
    together: Together,
    tokens: Callable[[Any, Any], Any] | None = None,
    entries: Callable[[Any], Any] | None = None,
) -> Sym:
    """`together` of the stored entries along `dims`; before, `tokens(entry, domain)` over the
    positions of a segment and `entries(entry)` over the vocabulary, where these are reduced."""
    asked = axes_of(x, dims)
    data, n = x.entries, x.ptr.ndim
    if x.vax in asked:
        if entries is None:
            refuse("this reduction over a vocabulary of any size")
        data = obj(map(entries, data.reshape(-1)), data.shape)
    if x.tax in asked:
        if tokens is None:
            refuse("this reduction over positions of any number")
        flat = zip(data.reshape(-1), x.domains().reshape(-1), strict=True)
        data = obj((tokens(e, d) for e, d in flat), data.shape)
    rest = [d for d in range(n) if d not in asked]
    order = rest + asked

    def lined(array: Any) -> Any:
        kept = [data.shape[d] for d in rest]
        width = int(np.prod([data.shape[d] for d in asked]))
        return array.transpose(order).reshape([*kept, width])

    rows = lined(data)
    each = rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])  # there may be nothing to add
    out = obj((together(list(r)) for r in each), rows.shape[:-1])
    tax = rest.index(x.tax) if x.tax in rest else None
    vax = rest.index(x.vax) if x.vax in rest else None
    dom = lined(x.domains())[..., 0] if tax is not None and x.dom is not None else None
    found = sym(out, [x.sizes[d] for d in rest], x.dtype, tax, vax, dom)
    for d in asked if keepdim else ():
        found = unsqueeze(found, d)
    return found


def total(entries: list[Any]) -> Expr:
    return Add(*map(finite, entries))


def sum_of(x: Sym, dims: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Sym:
    found = reduced(x, dims, keepdim, total, token_sum, vocab_sum)
    whole = dtype or (x.dtype if x.dtype.is_floating_point else torch.int64)
    return like(found, found.entries.reshape(-1), whole)


def nansum(x: Sym, dims: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Sym:
    suppose("values are finite")
    return sum_of(x, dims, keepdim, dtype)


def number_of(x: Sym, dims: Any, keepdim: bool) -> Sym:
    """Over how many entries a reduction goes."""

    def positions(e: Any, domain: Any) -> Expr:
        if domain is None:
            refuse("a mean over positions of what belongs to no response")
        return count(domain)

    ones = mapped(x, lambda e: S.One, torch.float32)
    return reduced(ones, dims, keepdim, total, positions, vocab_sum)


def mean(x: Sym, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Sym:
    found = pointwise("div", sum_of(x, dims, keepdim, dtype), number_of(x, dims, keepdim))
    return like(found, found.entries.reshape(-1), dtype or x.dtype)


def prod(x: Sym, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Sym:
    return reduced(x, dims, keepdim, lambda es: Mul(*map(finite, es)))


def _anywhere(e: Any) -> Expr:
    """The extremum over an axis of any length: nothing is known of it."""
    found = fresh("an extremum over an axis of any length", e)
    return found.func(found.args[0])


def extremum(pick: Callable[[Any, Any], Any]) -> Callable[..., Sym]:
    def together(entries: list[Any]) -> Any:
        found = entries[0]
        for e in entries[1:]:
            found = pick(found, e)
        return found

    def of(x: Sym, dims: Any = None, keepdim: bool = False) -> Sym:
        def known(e: Any, domain: Any = None) -> Any:
            if e is S.NegativeInfinity or (isinstance(e, Expr) and e.free_symbols & {T, V}):
                return _anywhere(e)
            return e

        return reduced(x, dims, keepdim, together, known, known)

    return of


amax, amin = extremum(maximum), extremum(minimum)


def with_places(of: Callable[..., Sym]) -> Callable[..., Any]:
    """max and min along an axis come with places, which only numbers can tell."""

    def both_of(x: Sym, d: Any = None, keepdim: bool = False) -> Any:
        if d is None:
            return of(x)
        values = of(x, d, keepdim)
        return values, mapped(values, lambda e: _place(x, d), torch.int64)

    return both_of


def _place(x: Sym, d: int) -> Any:
    return 0 if x.sizes[axis_of(d, x.ptr.ndim)] == 1 else fresh("the place of an extremum", 0)


def argmax(x: Sym, d: Any = None, keepdim: bool = False) -> Sym:
    def kept(e: Any, domain: Any = None) -> Any:
        return e

    found = reduced(x, d, keepdim, lambda es: fresh("the place of an extremum", 0), kept, kept)
    return like(found, found.entries.reshape(-1), torch.int64)


def quantified(join: Callable[[Any, Any], Any], neutral: bool) -> Callable[..., Sym]:
    """any and all: over a segment what each position says, where padding may be empty."""

    def positions(e: Any, domain: Any) -> Any:
        e = nonzero(e)
        if isinstance(e, Expr) and T in e.free_symbols:
            refuse("any or all of a condition over positions")
        if domain is None or (isinstance(domain, Padding)):
            return e if e is neutral else refuse("any or all over padding, which may be empty")
        return e

    def entries_of(e: Any) -> Any:
        e = nonzero(e)
        if isinstance(e, Expr) and V in e.free_symbols:
            refuse("any or all of a condition over the vocabulary")
        return e

    def together(entries: list[Any]) -> Any:
        found: Any = neutral
        for e in entries:
            found = join(found, e)
        return found

    def of(x: Sym, dims: Any = None, keepdim: bool = False) -> Sym:
        decided = _decided_by_others(x, dims, neutral)
        found = reduced(decided, dims, keepdim, together, positions, entries_of)
        return like(found, found.entries.reshape(-1), torch.bool)

    return of


def _decided_by_others(x: Sym, dims: Any, neutral: bool) -> Sym:
    """Padding says nothing where a response in its row decides already."""
    if x.tax is None or x.tax not in axes_of(x, dims):
        return x
    rows = np.moveaxis(x.entries, x.tax, -1)
    doms = np.moveaxis(x.domains(), x.tax, -1)
    for at in np.ndindex(rows.shape[:-1]):
        says = [
            nonzero(e)
            for e, d in zip(rows[at], doms[at], strict=True)
            if d is not None and not isinstance(d, Padding)
        ]
        if any(s is (not neutral) for s in says):
            for n in range(rows.shape[-1]):
                rows[at][n] = not neutral
                if isinstance(doms[at][n], Padding):
                    rows[at][n] = neutral
    return like(x, np.moveaxis(rows, -1, x.tax).reshape(-1))


# --- What is made of sums -------------------------------------------------------------------------


def exponentials(entries: list[Any]) -> Expr:
    return Add(*(S.Zero if e == S.NegativeInfinity else S.One if e == 0 else Exp(finite(e)) for e in entries))


def logsumexp(x: Sym, dims: Any, keepdim: bool = False) -> Sym:
    hole = x.hole
    asked = axes_of(x, dims)
    if hole is not None and asked == [x.vax]:
        left = pointwise("exp", same(x))
        whole = sum_of(left, dims, True)
        gone = mapped_pairs(left, hole, at_label)
        found = pointwise("log", minus(whole, gone))
        return found if keepdim else reduced(found, dims, False, lambda es: es[0])
    if x.vax in asked or x.tax in asked:
        found = sum_of(pointwise("exp", x), dims, keepdim)
        return pointwise("log", found)
    return reduced(x, dims, keepdim, lambda es: log(exponentials(es)))


def mapped_pairs(x: Sym, index: Sym, f: Callable[[Any, Any], Any]) -> Sym:
    """f of entries and an index along the vocabulary, where one entry is left."""
    n = x.ptr.ndim
    tax, _, dom = aligned([x, index], n)
    a, b = spread([x, index], n)
    data = obj((f(e, i) for e, i in zip(a.reshape(-1), b.reshape(-1), strict=True)), a.shape)
    shape = [1 if d == x.vax else s for d, s in enumerate(x.sizes)]
    return sym(data, shape, x.dtype, tax, None, dom)


def log_softmax(x: Sym, d: int, half: Any = False, dtype: Any = None) -> Sym:
    kind = half if isinstance(half, torch.dtype) else dtype
    x = x if kind is None else to_dtype(x, kind)
    return minus(x, logsumexp(x, d, True))


def softmax(x: Sym, d: int, half: Any = False, dtype: Any = None) -> Sym:
    return pointwise("exp", log_softmax(x, d, half, dtype))


def cumsum(x: Sym, d: int, dtype: torch.dtype | None = None) -> Sym:
    d = axis_of(d, x.ptr.ndim)
    data = obj(map(finite, x.entries.reshape(-1)), x.ptr.shape)
    whole = dtype or (x.dtype if x.dtype.is_floating_point else torch.int64)
    if d == x.vax:
        refuse("a running sum over the vocabulary")
    if d == x.tax:
        return like(x, _running(x, data, d).reshape(-1), whole)
    return sym(np.cumsum(data, d), x.sizes, whole, x.tax, x.vax, x.dom)


def _running(x: Sym, data: Any, d: int) -> Any:
    """Running sums along positions: of what is the same at each position of a segment."""
    rows, doms = np.moveaxis(data, d, -1).copy(), np.moveaxis(x.domains(), d, -1)
    for at in np.ndindex(rows.shape[:-1]):
        before: Expr = S.Zero
        for n in range(rows.shape[-1]):
            e, domain = rows[at][n], doms[at][n]
            if domain is None or T in e.free_symbols:
                refuse("a running sum of what differs from position to position")
            rows[at][n] = before + e * (S.One if domain == UNIT else T)
            before = before + token_sum(e, domain)
    return np.moveaxis(rows, -1, d)


def sort(x: Sym, d: int = -1, descending: bool = False, **_: Any) -> tuple[Sym, Sym]:
    d = axis_of(d, x.ptr.ndim)
    if d in (x.tax, x.vax):
        refuse("an axis of any length is sorted")
    rows = np.moveaxis(x.entries, d, -1).copy()
    if rows.shape[-1] > 2:
        refuse("more than two values are sorted")
    if rows.shape[-1] == 2:
        for at in np.ndindex(rows.shape[:-1]):
            a, b = rows[at]
            ends = [minimum(a, b), maximum(a, b)]
            rows[at] = ends[::-1] if descending else ends
    found = sym(np.moveaxis(rows, -1, d), x.sizes, x.dtype, x.tax, x.vax, x.dom)
    return found, sym(np.moveaxis(_order(x, d, descending), -1, d), x.sizes, torch.int64)


def _order(x: Sym, d: int, descending: bool) -> Any:
    """Where the sorted values stood: of two, 0 and 1 as steps."""
    rows = np.moveaxis(x.entries, d, -1)
    found = obj([S.Zero] * rows.size, rows.shape)
    for at in np.ndindex(rows.shape[:-1] if rows.shape[-1] == 2 else (0,)):
        first, second = rows[at] if descending else rows[at][::-1]
        swapped = inverse(ge(first, second))
        found[at][0], found[at][1] = expr_of(swapped), 1 - expr_of(swapped)
    return found


def matrix_product(a: Any, b: Any) -> Sym:
    a, b = wrap(a), wrap(b)
    if b.ptr.ndim == 1:
        return sum_of(times(a, b), [-1])
    if a.ptr.ndim == 1:
        return sum_of(times(unsqueeze(a, 1), b), [0])
    return sum_of(times(unsqueeze(a, -1), unsqueeze(b, -3)), [-2])


def addmm(c: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Sym:
    return plus(times(c, beta), times(matrix_product(a, b), alpha))


def combined(x: Sym, reduction: int) -> Sym:
    """Reductions of torch's losses: 0 none, 1 mean, 2 sum."""
    return x if reduction == 0 else mean(x) if reduction == 1 else sum_of(x)


def cross_entropy_with_logits(
    x: Sym, y: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1
) -> Sym:
    if weight is not None or pos_weight is not None:
        refuse("weights of a binary cross-entropy")
    losses = minus(times(pointwise("rsub", y, 1), x), pointwise("log_sigmoid", x))
    return combined(losses, reduction)


def mse(x: Sym, y: Any, reduction: int = 1) -> Sym:
    return combined(pointwise("square", minus(x, y)), reduction)


def nll(x: Sym, target: Any, weight: Any, reduction: int, ignored: int) -> tuple[Sym, Sym]:
    """Minus the entry at the target, 0 where that is ignored, and how many are not."""
    if weight is not None:
        refuse("weights of a cross-entropy")
    at = unsqueeze(wrap(target), -1) if x.ptr.ndim == 2 else unsqueeze(wrap(target), 0)
    kept = mapped(at, lambda i: is_label(i) or expr_of(i) != ignored, torch.bool)
    safe = pointwise("where", kept, at, 0)
    picked = pointwise("where", kept, pointwise("neg", gather(x, -1, safe)), 0.0)
    losses, some = (squeeze(p, -1) for p in (picked, to_dtype(kept, x.dtype)))
    number = sum_of(some)
    if reduction == 0:
        return losses, number
    whole = sum_of(losses)
    return (pointwise("div", whole, number) if reduction == 1 else whole), number


def log_sigmoid_forward(x: Sym) -> tuple[Sym, Sym]:
    return pointwise("log_sigmoid", x), sym(obj([S.Zero], (1,)), (1,), x.dtype)


def clamp(x: Sym, low: Any = None, high: Any = None, min: Any = None, max: Any = None) -> Sym:
    low, high = low if low is not None else min, high if high is not None else max
    found = x if low is None else pointwise("clamp_min", x, low)
    return found if high is None else pointwise("clamp_max", found, high)


def addcmul(x: Any, a: Any, b: Any, value: Any = 1) -> Sym:
    return plus(x, times(times(a, b), value))


def addcdiv(x: Any, a: Any, b: Any, value: Any = 1) -> Sym:
    return plus(x, times(pointwise("div", a, b), value))


def norm(x: Sym, p: Any = 2, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Sym:
    if p == 1:
        return sum_of(pointwise("abs", x), dims, keepdim)
    if p != 2:
        refuse(f"a norm of order {p}")
    return pointwise("sqrt", sum_of(pointwise("square", x), dims, keepdim))


def variance(x: Sym, dims: Any = None, correction: Any = 1, keepdim: bool = False, **_: Any) -> Sym:
    apart = pointwise("square", minus(x, mean(x, dims, True)))
    number = pointwise("sub", number_of(x, dims, keepdim), 1 if correction is None else correction)
    return pointwise("div", sum_of(apart, dims, keepdim), number)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": sum_of,
    "mean": mean,
    "prod": prod,
    "amax": amax,
    "amin": amin,
    "max": with_places(amax),
    "min": with_places(amin),
    "argmax": argmax,
    "argmin": argmax,
    "any": quantified(either, False),
    "all": quantified(both, True),
    "_is_all_true": quantified(both, True),
    "logsumexp": logsumexp,
    "_log_softmax": log_softmax,
    "_softmax": softmax,
    "cumsum": cumsum,
    "sort": sort,
    "mm": matrix_product,
    "bmm": matrix_product,
    "mv": matrix_product,
    "dot": matrix_product,
    "addmm": addmm,
    "binary_cross_entropy_with_logits": cross_entropy_with_logits,
    "mse_loss": mse,
    "nll_loss_forward": nll,
    "log_sigmoid_forward": log_sigmoid_forward,
    "clamp": clamp,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "linalg_vector_norm": norm,
    "var": variance,
    "nansum": nansum,
}
