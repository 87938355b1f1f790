"""A layout at a case, as tensors: what the code itself is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sympy import Expr

from midpo.numeric.checking.binding import Binding, Source, number
from midpo.numeric.checking.calling import outcome

from .arrays import program
from .cases import CodeCase
from .heads import PARTS, moving
from .layout import Cell, Given, Layout, direction, sources
from .places import UNIT, T, is_label, unknowns

OUTSIDE = 0.375  # what the code must not look at
_NARROW = Given(())


@dataclass
class Answer:
    """What the code returned: its losses, the derivative along the case's direction (None where it
    was not asked for), the step between numbers at 1 in the coarsest dtype on the way, and whether
    its inputs were in float32."""

    losses: list[float]
    slope: float | None
    step: float = 2.0**-52
    single: bool = False

    def bound(self, least: float) -> float:
        """What rounding explains, relative to 1 + the value; `least` where all is in float64."""
        return max(least, (20 if self.step > 1e-4 else 100) * self.step)


def tensor(torch: Any, given: Given, case: CodeCase, single: bool = False) -> Any:
    """The tensor of a source at a case, in float64 or in float32."""
    rows = [[value for cell in row for value in _values(cell, given, case)] for row in given.rows]
    kind = {"float": torch.float32 if single else torch.float64, "int": torch.int64, "bool": torch.bool}[
        given.dtype
    ]
    found = torch.tensor(rows, dtype=kind)
    return found if given.tokens else found[:, 0]


def _values(cell: Cell, given: Given, case: CodeCase) -> list[Any]:
    """The numbers of a cell: one for each position, and for each vocabulary entry there."""
    if isinstance(cell.entry, tuple):
        columns = (_values(Cell(cell.domain, entry), _NARROW, case) for entry in cell.entry)
        return [list(entries) for entries in zip(*columns, strict=True)]
    size = 1 if cell.domain == UNIT else case.counts[str(cell.domain)]
    entry, wide = cell.entry, case.vocabulary
    if isinstance(entry, Expr) and not unknowns(entry):
        if is_label(entry) and entry.args[2] == T:
            return case.ids(str(entry.args[1])).tolist()  # type: ignore[no-any-return]
        found = program(entry, cell.domain)(case) if size else np.zeros((0, 1))
    else:
        found = np.full((size, 1), OUTSIDE if isinstance(entry, Expr) else entry)
    if given.vocabulary:
        return np.broadcast_to(found, (size, wide)).tolist()  # type: ignore[no-any-return]
    return np.broadcast_to(found[:, 0], (size,)).tolist()  # type: ignore[no-any-return]


def call(torch: Any, binding: Binding, layout: Layout, case: CodeCase, *, slope: bool) -> Answer:
    """The code's own answer at a case: in float64, or in float32 where the code names that dtype and
    takes no other. Its own errors are raised."""
    try:
        return _called(torch, binding, layout, case, slope=slope, single=False)
    except RuntimeError:  # as of dtypes that differ in a product
        try:
            return _called(torch, binding, layout, case, slope=slope, single=True)
        except Exception:
            pass
        raise


def _called(
    torch: Any, binding: Binding, layout: Layout, case: CodeCase, *, slope: bool, single: bool
) -> Answer:
    leaves: dict[tuple[str, str], tuple[Given, Any]] = {}

    def of(source: Source) -> Any:
        key = source.kind, source.name
        if key not in leaves:
            given = layout.given(*key)
            made = tensor(torch, given, case, single)
            leaves[key] = given, made.requires_grad_(bool(given.leaf) and slope)
        return leaves[key][1]

    values = arguments(torch, binding, layout, of, lambda e: number(e, case.parameters))
    loss, _ = outcome(torch, binding.call(values))
    found = None
    if slope:
        asked = [(given, x) for given, x in leaves.values() if given.leaf]
        found = 0.0
        if loss.requires_grad:
            seeds = [float(u) for u in case.upstream[: loss.numel()]]
            up = torch.tensor(seeds, dtype=loss.dtype).reshape(loss.shape)
            grads = torch.autograd.grad(loss, [x for _, x in asked], up, allow_unused=True)
            for (given, _), g in zip(asked, grads, strict=True):
                if g is not None:
                    found += float((g * along(torch, given, layout, case)).sum())
    losses = loss.detach().reshape(-1).double().tolist()
    kind = loss.dtype if loss.dtype.is_floating_point else torch.float64
    return Answer(losses, found, torch.finfo(kind).eps, single)


def along(torch: Any, given: Given, layout: Layout, case: CodeCase) -> Any:
    """The case's direction for a leaf, as a tensor of its shape."""
    if given.leaf in PARTS:
        return tensor(
            torch,
            replace(
                given, rows=tuple(tuple(Cell(c.domain, _moving(c.entry)) for c in row) for row in given.rows)
            ),
            case,
        )
    rows = []
    names = [*zip(layout.responses, layout.paddings, strict=True)]
    for (y, p), row in zip(names, given.rows, strict=True):
        cells = tuple(
            Cell(c.domain, direction(given.leaf, c.domain))
            if c.domain != UNIT
            else Cell(UNIT, direction("whole", y) if given.leaf == "whole" else 0.0)
            for c in row
        )
        if layout.bounded and given.leaf != "whole":
            cells = (Cell(y, direction(given.leaf, y)), Cell(p, direction(given.leaf, p)))
            if layout.unshifted:
                cells = (*cells, Cell(UNIT, 0.0))
        rows.append(cells)
    moved = Given(tuple(rows), "float", given.tokens, given.vocabulary)
    return tensor(torch, moved, case)


def _moving(entry: Any) -> Any:
    if isinstance(entry, tuple):
        return tuple(map(_moving, entry))
    return 0.0 if unknowns(entry) else moving(entry)


def arguments(
    torch: Any,
    binding: Binding,
    layout: Layout,
    of: Callable[[Source], Any],
    parameter: Callable[[Expr], Any],
) -> dict[str, Any]:
    """The value of each argument: `of` gives the whole batch's tensor of a source, `parameter` the
    value of an expression in the spec's parameters."""

    def value(source: Source) -> Any:
        if source.kind == "constant":
            return source.value
        if source.kind == "expression":
            return parameter(source.value)
        if source.kind == "parameter":
            return parameter(layout.spec.names.parameters[source.name])
        if source.kind == "made":
            return source.value.value(torch, value)
        whole = of(Source(source.kind, source.name))
        if not source.side:
            return whole
        return whole.chunk(len(layout.spec.roles))[0 if source.side == "chosen" else 1]

    found = {name: value(source) for name, source in sources(binding).items()}
    if "validate" in binding.options:
        found["validate"] = False
    return found
