"""Can one prior serve both roles on given comparisons?

A label-dependent margin f(w) - g(l) has a single prior on a data set iff there is a potential h
with h(w) - h(l) = d(l) along every pair, d = g - f: iff the signed sum of d vanishes around every
cycle of the preference graph. For a constant d that is: a rank rises by one along every pair (the
graph is levelled).
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.errors import SpecError
from midpo.symbolic.loss import is_constant

from .solved import Solution

COLUMNS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class Preference:
    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Levels:
    """Whether one function exists on the data; if not, the responses of a violating cycle, each
    followed by its neighbour in some comparison of `prompt`."""

    exists: bool
    comparisons: int
    prompts: int
    criterion: str
    prompt: str = ""
    cycle: tuple[str, ...] = ()

    def sentence(self) -> str:
        data = f"{self.comparisons} comparisons of {self.prompts} prompts"
        if self.exists:
            return f"one function serves both roles ({data}; {self.criterion})"
        shown = " - ".join(response[:24] for response in (*self.cycle, self.cycle[0]))
        return f"no single function ({self.criterion}): prompt {self.prompt[:40]!r}, cycle {shown}"

    def as_json(self) -> dict[str, Any]:
        cycle = {"prompt": self.prompt, "responses": list(self.cycle)} if self.cycle else None
        return {
            "one_function": self.exists,
            "comparisons": self.comparisons,
            "prompts": self.prompts,
            "criterion": self.criterion,
            "cycle": cycle,
        }


def read_pairs(path: Path) -> list[Preference]:
    """The comparisons of a CSV file with columns prompt, chosen, rejected.

    Raises: SpecError for a file that cannot be read or lacks a column or a value.
    """
    file = str(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise SpecError(
                    f"no column {missing[0]!r}", file=file, expected="a header with prompt, chosen, rejected"
                )
            pairs = []
            for row in reader:
                if None in (row[name] for name in COLUMNS):
                    raise SpecError(
                        "a row with too few values",
                        file=file,
                        key=f"line {reader.line_num}",
                        expected=", ".join(COLUMNS),
                    )
                pairs.append(Preference(*(row[name] for name in COLUMNS)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(
            f"the comparisons cannot be read: {error}", file=file, expected="a UTF-8 CSV file"
        ) from None
    if not pairs:
        raise SpecError("no comparisons", file=file, expected="at least one row")
    return pairs


def one_function(solution: Solution, pairs: Iterable[Preference]) -> Levels:
    """Whether a single function of the response gives the solution's margin on `pairs`."""
    listed = list(pairs)
    by_prompt: dict[str, list[Preference]] = defaultdict(list)
    for pair in listed:
        by_prompt[pair.prompt].append(pair)
    size = (len(listed), len(by_prompt))
    if solution.prior is None:
        return Levels(False, *size, "no prior of any kind exists")
    swap = normal_form(solution.swap_sum)
    if swap == 0:
        return Levels(True, *size, "the prior is label-free")
    constant = is_constant(swap)
    criterion = (
        "a rank must rise by one along every comparison"
        if constant
        else "the offsets must sum to zero around every cycle"
    )
    for prompt, group in by_prompt.items():
        cycle = violating_cycle(group, constant=constant)
        if cycle:
            return Levels(False, *size, criterion, prompt, cycle)
    return Levels(True, *size, criterion)


Potential = Counter[Hashable]


def violating_cycle(pairs: Iterable[Preference], *, constant: bool) -> tuple[str, ...]:
    """The responses of a cycle around which the offsets do not sum to zero; empty if there is
    none. The offset of a pair is one for all (`constant`) or one unknown for each rejected
    response."""
    edges: dict[str, list[tuple[str, int, Hashable]]] = defaultdict(list)
    for pair in pairs:
        offset: Hashable = 1 if constant else pair.rejected
        edges[pair.rejected].append((pair.chosen, 1, offset))
        edges[pair.chosen].append((pair.rejected, -1, offset))
    potential: dict[str, Potential] = {}
    parent: dict[str, str] = {}
    for root in edges:
        if root in potential:
            continue
        potential[root] = Counter()
        queue = deque([root])
        while queue:
            at = queue.popleft()
            for other, sign, offset in edges[at]:
                there = Counter(potential[at])
                there[offset] += sign
                if other not in potential:
                    potential[other], parent[other] = there, at
                    queue.append(other)
                elif _differ(potential[other], there):
                    return _cycle(parent, at, other)
    return ()


def _differ(left: Potential, right: Potential) -> bool:
    return any(left[key] != right[key] for key in {*left, *right})


def _cycle(parent: Mapping[str, str], left: str, right: str) -> tuple[str, ...]:
    """The cycle that the edge left-right closes in the search tree."""

    def ancestors(node: str) -> list[str]:
        path = [node]
        while path[-1] in parent:
            path.append(parent[path[-1]])
        return path

    up, down = ancestors(left), ancestors(right)
    shared = next(node for node in up if node in down)
    return (*up[: up.index(shared) + 1], *reversed(down[: down.index(shared)]))
