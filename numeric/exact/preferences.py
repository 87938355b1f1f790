"""Preference counts N(x, w, l) and the strongly connected components of their graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from midpo.symbolic.errors import SpecError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

MOST = 1e12  # of a count


@dataclass(frozen=True)
class Comparisons:
    """N(x, w, l): how often w was preferred to l at prompt x, as a sparse list of k rows.

    Shapes: all (k,). Indices count from 0; counts are positive and need not be whole.
    Raises: SpecError.
    """

    prompt: Integers
    chosen: Integers
    rejected: Integers
    count: Floats

    def __post_init__(self) -> None:
        if not self.count.size:
            raise SpecError("there are none", key="comparisons", expected="at least one")
        for name in ("prompt", "chosen", "rejected"):
            self._refuse(getattr(self, name) < 0, f"{name} is negative", "indices from 0")
        self._refuse(self.chosen == self.rejected, "a response is compared with itself", "w != l")
        good = np.isfinite(self.count) & (self.count > 0)
        self._refuse(~good, "the count is not a positive number", "a positive count")
        self._refuse(self.count > MOST, "the count is too large", f"at most {MOST:.0e}")

    def _refuse(self, wrong: Booleans, problem: str, expected: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise SpecError(problem, key=f"comparisons[{row}]", expected=expected)

    def within(self, prompts: int, responses: int) -> None:
        """Raises: SpecError where an index is not below the number of prompts or responses."""
        self._refuse(self.prompt >= prompts, "no such prompt", f"0 to {prompts - 1}")
        for index in (self.chosen, self.rejected):
            self._refuse(index >= responses, "no such response", f"0 to {responses - 1}")

    @property
    def weights(self) -> Floats:
        """The empirical distribution of the comparisons. Shape (k,)."""
        return np.asarray(self.count / self.count.sum())


def strong_components(source: Integers, target: Integers, nodes: int) -> Integers:
    """A label for each node of a directed graph, equal iff each reaches the other. Shape (nodes,).

    Trimming and colouring (Orzan 2004), all edges at once: what has no way in or no way out is a
    component of its own; of the rest each node takes the largest number that reaches it, and
    those that get back to the node of that number are its component.
    """
    labels = np.arange(nodes, dtype=np.int64)
    live = np.ones(nodes, dtype=np.bool_)
    while True:
        kept = live[source] & live[target]
        source, target = source[kept], target[kept]
        into, out_of = np.zeros(nodes, np.bool_), np.zeros(nodes, np.bool_)
        into[target], out_of[source] = True, True
        if np.any(live & ~(into & out_of)):
            live &= into & out_of
            continue
        if not live.any():
            return labels
        colour = _spread(np.arange(nodes, dtype=np.int64), source, target)
        same = colour[source] == colour[target]
        own = colour == np.arange(nodes)
        back = _spread(own.astype(np.int64), target[same], source[same]) == 1
        labels = np.where(live & back, colour, labels)
        live &= ~back


def _spread(values: Integers, source: Integers, target: Integers) -> Integers:
    """The largest value that reaches each node along the edges."""
    while True:
        after = values.copy()
        np.maximum.at(after, target, values[source])
        if np.array_equal(after, values):
            return values
        values = after


def levels(source: Integers, target: Integers, labels: Integers) -> Integers:
    """The longest path of components that starts at each node's: sources above their targets.

    Shapes (k,), (k,), (nodes,). Constant on components; along an edge between two it falls by at
    least 1.
    """
    crossing = labels[source] != labels[target]
    above, below = labels[source[crossing]], labels[target[crossing]]
    found = np.zeros(labels.size, dtype=np.int64)
    while True:
        after = found.copy()
        np.maximum.at(after, above, found[below] + 1)
        if np.array_equal(after, found):
            return found[labels]
        found = after
