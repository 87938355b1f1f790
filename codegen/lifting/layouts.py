"""The inputs of a loss as tensors of expressions."""

from __future__ import annotations

import random
from typing import Any

import torch
from sympy import Integer

from midpo.numeric.checking.binding import Source
from midpo.numeric.code.layout import Given, Layout

from .axes import UNIT, VOCABULARY, Hints, at_label, count, obj
from .tensor import Sym, sym

DTYPES = {"float": torch.float32, "int": torch.int64, "bool": torch.bool}


def hints_for(layout: Layout, seed: int) -> Hints:
    """Sizes that nothing else has: other ones for each seed."""
    rng = random.Random(seed)
    total, vocabulary = 1009 + 14 * rng.randint(1, 20) + seed, 3001 + 16 * rng.randint(1, 20) + seed
    lengths: dict[Any, int] = {}
    for y, p in zip(layout.responses, layout.paddings, strict=True):
        lengths[y] = rng.randint(310, total - 310)
        lengths[p] = total - lengths[y]
    row = count(layout.responses[0]) + count(layout.paddings[0])
    extra = int(layout.unshifted)
    sizes = {total: row, total + 1: row + 1, vocabulary: VOCABULARY}
    segments = [d for row in zip(layout.responses, layout.paddings, strict=True) for d in row]
    every = sum(map(count, segments))
    rows = len(layout.responses)
    sizes[rows * total] = every
    if extra:
        sizes[rows * (total + 1)] = every + rows
    return Hints(total, vocabulary, lengths, sizes, {rows * total: segments})


class Inputs:
    """The sources of a layout, each made once, with those that gradients are taken by."""

    def __init__(self, layout: Layout, hints: Hints) -> None:
        self.layout, self.hints = layout, hints
        self.made: dict[tuple[str, str], tuple[Given, Sym]] = {}

    def __call__(self, source: Source) -> Sym:
        key = source.kind, source.name
        if key not in self.made:
            given = self.layout.given(*key)
            self.made[key] = given, self.tensor(given)
        return self.made[key][1]

    @property
    def leaves(self) -> list[tuple[Given, Sym]]:
        return [(given, x) for given, x in self.made.values() if given.leaf]

    def tensor(self, given: Given) -> Sym:
        if self.layout.bounded:
            return self.concrete(given)
        rows = len(given.rows)
        cells = [cell for row in given.rows for cell in row]
        width = len(given.rows[0])
        dtype, grad = DTYPES[given.dtype], bool(given.leaf)
        data = obj((c.entry for c in cells), (rows, width))
        if not given.tokens:
            return sym(data[:, 0], (rows,), dtype, requires_grad=grad)
        dom = obj((c.domain for c in cells), (rows, width))
        units = sum(c.domain == UNIT for c in given.rows[0])
        total = self.hints.total + units
        if not given.vocabulary:
            return sym(data, (rows, total), dtype, 1, None, dom, requires_grad=grad)
        return sym(
            data[..., None],
            (rows, total, self.hints.vocabulary),
            dtype,
            1,
            2,
            dom[..., None],
            requires_grad=grad,
        )

    def concrete(self, given: Given) -> Sym:
        """At concrete positions, and at concrete vocabulary entries where these are."""
        rows, width = len(given.rows), len(given.rows[0])
        entries = [cell.entry for row in given.rows for cell in row]
        dtype, grad = DTYPES[given.dtype], bool(given.leaf)
        data = obj(entries, (rows, width))
        if given.width:
            shape = (rows, *((width,) if given.tokens else ()), given.width)
            return sym(obj((e for entry in entries for e in entry), shape), shape, dtype, requires_grad=grad)
        if not given.tokens:
            return sym(data[:, 0], (rows,), dtype, requires_grad=grad)
        if not given.vocabulary:
            return sym(data, (rows, width), dtype, requires_grad=grad)
        if not self.layout.vocabulary:
            return sym(
                data[..., None], (rows, width, self.hints.vocabulary), dtype, None, 2, requires_grad=grad
            )
        size = self.layout.vocabulary
        wide = obj((at_label(e, Integer(v)) for e in entries for v in range(size)), (rows, width, size))
        return sym(wide, (rows, width, size), dtype, requires_grad=grad)
