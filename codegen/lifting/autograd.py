"""The gradient that torch's own autograd computes, paired with a direction, as an expression.

Autograd differentiates above these tensors, with whatever the code detaches or writes by hand. What
comes back is, for each input, the derivative of the loss; paired with how the input moves, it is
the derivative along an arbitrary direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sympy import Add, Expr, Integer, S
from torch.autograd.graph import _engine_run_backward

from midpo.numeric.code.heads import PARTS, moving
from midpo.numeric.code.layout import Given, Layout, direction, instantiate
from midpo.numeric.code.places import UPSTREAM
from midpo.symbolic.language.building import rename_index
from midpo.symbolic.language.nodes import Parameter, nodes_of

from .axes import UNIT, T, V, at_label, obj, token_sum, unknowns, vocab_sum
from .calls import Calls
from .contracts import Contracts
from .numbers import expr_of
from .pointwise import finite, placed
from .tensor import Sym, sym
from .trace import refuse


def seeds(number: int) -> list[Expr]:
    """What a trainer may multiply each loss by before it differentiates."""
    return [Parameter(f"{UPSTREAM}{n or ''}", "real") for n in range(number)]


def gradient(loss: Sym, leaves: Sequence[tuple[Given, Sym]], layout: Layout, contracts: Contracts) -> Expr:
    """The derivative of the sum of the losses, each times its seed, along the direction d."""
    asked = [(given, x) for given, x in leaves if x.requires_grad]
    if not loss.requires_grad or not asked:
        return S.Zero
    declared = contracts.moving
    up = sym(obj(seeds(loss.ptr.size), loss.ptr.shape), loss.sizes, loss.dtype)
    with Calls():  # for what a hand-written backward reads; torch.autograd.grad would switch it off
        found = _engine_run_backward(
            (loss,),
            (up,),
            False,
            False,
            (*(x for _, x in asked), *(x for x, _ in declared)),
            True,
            accumulate_grad=False,
        )
    parts = [
        paired(g, given, x, layout) for (given, x), g in zip(asked, found, strict=False) if g is not None
    ]
    parts += [
        contracts.paired(x, slopes, g)
        for (x, slopes), g in zip(declared, found[len(asked) :], strict=True)
        if g is not None
    ]
    return Add(*parts)


def paired(g: Any, given: Given, x: Sym, layout: Layout) -> Expr:
    """The sum over the entries of an input of its gradient times its direction."""
    if not isinstance(g, Sym):
        refuse("a gradient that is no tensor of expressions")
    if g.sizes != x.sizes:
        refuse("a gradient of another shape than its input")
    if given.leaf in PARTS:
        return _of_head(g, given)
    if layout.bounded:
        return _concrete(g, given, layout)
    if given.tokens and g.dom is not None and not _same_positions(g, x):
        refuse("a gradient whose positions are not its input's")
    entries = np.broadcast_to(g.entries, x.ptr.shape)
    if given.tokens:
        entries = placed(entries, x.domains(), 1)
    parts = []
    for at in np.ndindex(x.ptr.shape):
        e, domain = expr_of(entries[at]), x.domains()[at]
        if not given.tokens:
            parts.append(finite(e) * direction(given.leaf, layout.responses[at[0]]))
            continue
        if domain == UNIT:
            if e != 0:
                refuse("a gradient by the logits after the last label")
            continue
        body = finite(e) * direction(given.leaf, domain)
        if given.vocabulary:
            body = vocab_sum(body) if body != 0 else body
        parts.append(token_sum(body, domain))
    return Add(*parts)


def _same_positions(g: Sym, x: Sym) -> bool:
    own, other = np.broadcast_to(g.domains(), x.ptr.shape), x.domains()
    return all(a is None or a == b for a, b in zip(own.flat, other.flat, strict=True))


def _of_head(g: Sym, given: Given) -> Expr:
    """A gradient by hidden states, a weight or a bias."""
    entries = [
        e
        for row in given.rows
        for cell in row
        for e in (cell.entry if isinstance(cell.entry, tuple) else (cell.entry,))
    ]
    parts = []
    for e, slope in zip(entries, map(finite, g.entries.reshape(-1)), strict=True):
        if unknowns(e) and slope != 0:
            refuse("a gradient by the hidden state after the last label")
        parts.append(slope * moving(e))
    return Add(*parts)


def _concrete(g: Sym, given: Given, layout: Layout) -> Expr:
    parts = []
    for row, (y, p) in enumerate(zip(layout.responses, layout.paddings, strict=True)):
        if not given.tokens:
            moved = instantiate(direction(given.leaf, y), layout)
            parts.append(finite(g.entries[row]) * moved)
            continue
        places = [(r, n + 1) for r in (y, p) for n in range(layout.counts[r])]
        for at, (r, n) in enumerate(places):
            moved = rename_index(direction(given.leaf, r), T, Integer(n))
            if not given.vocabulary:
                parts.append(finite(g.entries[row, at]) * moved)
            elif layout.vocabulary:
                parts += [
                    finite(g.entries[row, at, v]) * at_label(moved, Integer(v))
                    for v in range(layout.vocabulary)
                ]
            else:
                body = finite(g.entries[row, at, 0]) * moved
                parts.append(vocab_sum(body) if body != 0 else S.Zero)
    return Add(*parts)


def checked(e: Expr) -> Expr:
    """Raises: CannotLift where an answer is no number."""
    if nodes_of(e, Expr) & {S.NaN, S.Infinity, S.NegativeInfinity, S.ComplexInfinity}:
        refuse("the answer is not finite")
    if e.free_symbols & {T, V}:
        refuse("the answer speaks of one position or vocabulary entry")
    return e
