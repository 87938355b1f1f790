"""Where the boxes and lines of a layered drawing stand: columns from general to special.

A box is as far left as its longest chain of edges; a line across several columns passes through
free places of its own in each; neighbours are drawn together by their mean heights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

ROUNDS = 12
ROW, GAP = 18.0, 12.0  # the height of a line of text, and between boxes


@dataclass
class Spot:
    """A box (with `name`) or a line's place in a column; `y` is its middle."""

    column: int
    rows: int
    name: str = ""
    y: float = 0.0
    left: list[Spot] = field(default_factory=list)
    right: list[Spot] = field(default_factory=list)

    @property
    def height(self) -> float:
        return self.rows * ROW + (GAP if self.name else 0.0)


@dataclass(frozen=True)
class Drawing:
    """`boxes[name]`, and for each edge the places from its general to its special box."""

    boxes: Mapping[str, Spot]
    lines: Mapping[tuple[str, str], tuple[Spot, ...]]
    columns: int
    height: float


def layered(edges: Sequence[tuple[str, str]], rows: Mapping[str, int]) -> Drawing:
    """The layout of (general, special) edges without cycles; `rows[name]` lines a box."""
    depth = _depths(edges)
    last = max(depth.values(), default=0)
    boxes = {n: Spot(last - depth[n], rows[n], n) for n in depth}
    columns: list[list[Spot]] = [[] for _ in range(last + 1)]
    for box in boxes.values():
        columns[box.column].append(box)
    lines = {}
    for general, special in edges:
        start, end = boxes[general], boxes[special]
        through = [Spot(c, 1) for c in range(start.column + 1, end.column)]
        whole = (start, *through, end)
        for place in through:
            columns[place.column].append(place)
        for one, other in pairwise(whole):
            one.right.append(other)
            other.left.append(one)
        lines[general, special] = whole
    for column in columns:
        _stack(column)
    for turn in range(ROUNDS):
        towards_left = turn % 2 == 0
        for column in columns if towards_left else reversed(columns):
            for place in column:
                beside = place.left if towards_left else place.right
                if beside:
                    place.y = sum(p.y for p in beside) / len(beside)
            column.sort(key=lambda place: place.y)
            _stack(column, centred=True)
    top = min((p.y - p.height / 2 for c in columns for p in c), default=0.0)
    for column in columns:
        for place in column:
            place.y -= top
    height = max((p.y + p.height / 2 for c in columns for p in c), default=0.0)
    return Drawing(boxes, lines, last + 1, height)


def _depths(edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """How many edges the longest chain from each box has. Raises: ValueError for a cycle."""
    below: dict[str, list[str]] = {}
    for general, special in edges:
        below.setdefault(general, []).append(special)
        below.setdefault(special, [])
    depth: dict[str, int] = {}
    for _ in below:
        for name, others in below.items():
            if name not in depth and all(other in depth for other in others):
                depth[name] = 1 + max((depth[other] for other in others), default=-1)
    if len(depth) < len(below):
        raise ValueError("a cycle of edges has no layers")
    return depth


def _stack(column: Sequence[Spot], *, centred: bool = False) -> None:
    """Places one below the other in order; `centred`, about the mean of where they were."""
    if not column:
        return
    middle = sum(place.y for place in column) / len(column)
    y = 0.0
    for place in column:
        place.y = y + place.height / 2
        y += place.height + GAP
    if centred:
        shift = middle - sum(place.y for place in column) / len(column)
        for place in column:
            place.y += shift
