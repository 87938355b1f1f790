"""Operators that are not lifted: what a contract declares stands for what they return.

Of which responses an operator's rows are is read off its arguments. What it returns moves with the
policy as the declared expression does: autograd stops there, and the gradient that arrives is
paired with the expression's own derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sympy import Add, Expr, Integer, S, Symbol

from midpo.numeric.code.contracts import ANYTHING, POLICY, Contract, Use, at_response, entries, stacked
from midpo.numeric.code.layout import Cell, Given, Layout, instantiate
from midpo.numeric.code.places import LOGIT, SHIFT, UNKNOWN
from midpo.numeric.code.tangent import tangent
from midpo.symbolic.errors import NotYet

from .axes import UNIT, Padding, T, fresh, obj, token_sum, unknowns
from .numbers import expr_of
from .pointwise import finite
from .tensor import Sym, hints, sym
from .trace import refuse

Place = tuple[Any, Any]  # a response (or padding) and a position; None where nothing is known


@dataclass
class Contracts:
    """The contracts of one run, the calls that were made, and what they gave that moves."""

    layout: Layout
    leaf: str  # what is given of the policy
    uses: list[Use] = field(default_factory=list)
    moving: list[tuple[Sym, Any]] = field(default_factory=list)  # with how each entry moves

    def stand(self, contract: Contract, original: Callable[..., Any]) -> Callable[..., Any]:
        def returned(*args: Any, **named: Any) -> Any:
            return self.returned(contract, list(_tensors((args, named))))

        return returned

    def returned(self, contract: Contract, given: Sequence[Sym]) -> Any:
        if not entries(contract.result):
            self.uses.append(Use(contract, ()))
            return stacked(_Stacking, contract.result, iter(()), _Unlooked(contract.target))
        found = _rows(given, contract.by_token, self.layout)
        if found is None:
            refuse(f"nothing tells of which responses the rows of {contract.target} are")
        rows, total = found
        policy = None
        if any(POLICY in e.free_symbols for e in entries(contract.result)):
            spoken = _policies(given, self.layout.spec.names.policies)
            if len(spoken) != 1:
                refuse(f"{contract.target} is called for {len(spoken)} policies, and its contract is of one")
            policy = Symbol(spoken.pop())
        moves = torch.is_grad_enabled() and any(x.requires_grad for x in given)
        dtype = next((x.dtype for x in given if x.dtype.is_floating_point), torch.float32)
        cells = [
            tuple(tuple(self.cell(contract, e, policy, *at) for at in row) for row in rows)
            for e in entries(contract.result)
        ]
        self.uses.append(Use(contract, tuple(Given(r, tokens=contract.by_token) for r in cells)))
        made = (self.tensor(r, contract, total, dtype, moves) for r in cells)
        return stacked(_Stacking, contract.result, made, _Unlooked(contract.target))

    def cell(self, contract: Contract, entry: Expr, policy: Symbol | None, y: Any, t: Any) -> Cell:
        domain = y if isinstance(t, type(T)) and y is not None and y != UNIT else UNIT
        if entry == ANYTHING or y is None or y == UNIT or isinstance(y, Padding):
            return Cell(
                domain,
                fresh(
                    f"what {contract.target} returns beside the responses", T if domain != UNIT else S.Zero
                ),
            )
        found = at_response(entry, policy, y, t)
        return Cell(domain, instantiate(found, self.layout) if self.layout.bounded else found)

    def tensor(self, rows: Any, contract: Contract, total: int, dtype: torch.dtype, moves: bool) -> Sym:
        shape = (len(rows), len(rows[0]))
        data = obj((c.entry for row in rows for c in row), shape)
        if not contract.by_token:
            found = sym(data[:, 0], (len(rows),), dtype, requires_grad=moves)
        elif self.layout.bounded:
            found = sym(data, shape, dtype, requires_grad=moves)
        else:
            dom = obj((c.domain for row in rows for c in row), shape)
            found = sym(data, (len(rows), total), dtype, 1, None, dom, requires_grad=moves)
        if not moves:
            return found
        try:
            slopes = [
                S.NaN if unknowns(e) else tangent(e, self.leaf, self.layout.vocabulary)
                for e in map(expr_of, found.entries.reshape(-1))
            ]
        except NotYet as error:
            refuse(str(error))
        self.moving.append((found, obj(slopes, found.ptr.shape)))
        free: Any = found.clone()  # which may be written to
        return free  # type: ignore[no-any-return]

    def paired(self, x: Sym, slopes: Any, g: Any) -> Expr:
        """The gradient that arrived, times how what was declared moves."""
        if not isinstance(g, Sym) or g.sizes != x.sizes:
            refuse("a gradient of another shape than what an operator returned")
        grads, parts = np.broadcast_to(g.entries, x.ptr.shape), []
        for at in np.ndindex(x.ptr.shape):
            e, domain = finite(grads[at]), x.domains()[at]
            if e == 0:
                continue
            if slopes[at] is S.NaN:
                refuse("a gradient by what an operator returns beside the responses")
            body = e * slopes[at]
            parts.append(body if x.tax is None else token_sum(body, domain))
        return Add(*parts)


class _Stacking:
    """What `stacked` needs of torch."""

    @staticmethod
    def stack(parts: Sequence[Any]) -> Any:
        return torch.stack(list(parts))


class _Unlooked:
    """What an operator returns besides: nothing is declared of it."""

    def __init__(self, target: str) -> None:
        self.__dict__["target"] = target

    def __getattr__(self, name: str) -> Any:
        refuse(f"the code looks at what is `{ANYTHING}` in the contract of {self.target}")


def _tensors(value: Any) -> Iterator[Sym]:
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, Sym):
        yield value


def _rows(given: Sequence[Sym], by_token: bool, layout: Layout) -> tuple[list[list[Place]], int] | None:
    """Of which response each stored row is and at which positions, as the first argument tells
    that has them; and how long rows are."""
    for x in given:
        if x.ptr.ndim == 0 or x.tax == 0 or (by_token and x.ptr.ndim < 2):
            continue
        if by_token and not layout.bounded and (x.tax != 1 or x.dom is None):
            continue
        rows = _of_tokens(x) if by_token else _of_rows(x)
        if rows is not None:
            return rows, x.sizes[1] if by_token else 1
    return None


def _policies(given: Sequence[Sym], known: frozenset[str]) -> set[str]:
    """The policies of which tensors speak."""
    names = {
        str(s) for x in given for e in x.entries.reshape(-1) if isinstance(e, Expr) for s in e.free_symbols
    }
    return {p for p in known if {p, f"{SHIFT}{p}", f"{LOGIT}{p}"} & names}


def _of_tokens(x: Sym) -> list[list[Place]] | None:
    data = x.entries.reshape(*x.ptr.shape[:2], -1)
    doms = x.domains().reshape(*x.ptr.shape[:2], -1)
    rows: list[list[Place]] = []
    for n in range(data.shape[0]):
        row: list[Place] = []
        for k in range(data.shape[1]):
            domain = doms[n, k, 0]
            if x.tax is not None:
                row.append((domain, T))
                continue
            at = {p for e in data[n, k] for p in _places(e)}
            row.append(next(iter(at)) if len(at) == 1 else (None, None))
        rows.append(row)
    spoken = [
        {y for y, _ in row if y is not None and y != UNIT and not isinstance(y, Padding)} for row in rows
    ]
    return rows if all(len(s) == 1 for s in spoken) else None


def _of_rows(x: Sym) -> list[list[Place]] | None:
    found: list[list[Place]] = []
    for row in x.entries.reshape(x.ptr.shape[0], -1):
        spoken = {
            y
            for e in row
            if isinstance(e, Expr)
            for y in e.free_symbols
            if y in set(hints().lengths) and not isinstance(y, Padding)
        }
        if len(spoken) != 1:
            return None
        found.append([(spoken.pop(), None)])
    return found


def _places(e: Any) -> set[Place]:
    """The responses and concrete positions of which an entry speaks."""
    found: set[Place] = set()
    for node in e.atoms(Expr) if isinstance(e, Expr) else ():
        if not node.args or str(node.args[0]).startswith(UNKNOWN):
            continue
        for y, t in zip(node.args, node.args[1:], strict=False):
            if y in set(hints().lengths) and isinstance(t, Integer):
                found.add((y, t))
    return found
