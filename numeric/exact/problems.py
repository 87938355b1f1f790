"""Small exact problems: the built-in ones, and those that a TOML file states."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midpo.symbolic.errors import SpecError, nearest
from midpo.symbolic.language.table import NAME
from midpo.symbolic.language.toml import read_text, read_toml

from .preferences import Comparisons
from .tabular import MOST_NATS, Floats, Tabular, matrix

KEYS = (
    "name",
    "alpha",
    "prompts",
    "rewards",
    "responses",
    "reference",
    "prior",
    "lengths",
    "eta",
    "alphas",
    "comparisons",
)
GRID = np.geomspace(8, 1 / 8, 13)  # of alpha, about the problem's own
MOST = 1_000_000  # prompts * responses
ALPHA, ETA = 1.0, 0.5
MOST_ETA = 100.0


@dataclass(frozen=True)
class ProblemFile:
    """A problem with what its file says beside it.

    `rewarded`: the file states rewards (they are 0 otherwise). `log_prior`: (n, m), the prior whose
    optimum is asked for. `lengths` (m,) or None. `eta`: cEntropy's. `alphas`: of the curve.
    """

    name: str
    problem: Tabular
    rewarded: bool
    responses: tuple[str, ...]
    log_prior: Floats
    lengths: Floats | None
    eta: float
    alphas: tuple[float, ...]


def _three_prompts() -> dict[str, Any]:
    random = np.random.default_rng(7)
    return {
        "alpha": 0.5,
        "prompts": [0.2, 0.3, 0.5],
        "rewards": random.normal(size=(3, 4)).round(3).tolist(),
        "reference": random.dirichlet(np.full(4, 2.0), size=3).tolist(),
        "lengths": [1, 2, 3, 5],
        "eta": 0.6,
    }


BUILT_IN: Mapping[str, Callable[[], dict[str, Any]]] = {
    "bss-hamming": lambda: {"alpha": 0.5, "rewards": [[0, -1], [-1, 0]]},
    "three-prompts": _three_prompts,
    "acyclic": lambda: {
        "alpha": 0.5,
        "comparisons": [[0, 0, 1, 3], [0, 1, 2, 2], [0, 0, 3, 1], [1, 2, 1, 4], [1, 1, 0, 2]],
    },
    "cyclic": lambda: {
        "alpha": 0.5,
        "comparisons": [[0, 0, 1, 3], [0, 1, 2, 2], [0, 2, 0, 1], [0, 0, 3, 4], [1, 1, 0, 2]],
    },
    "strongly-connected": lambda: {
        "alpha": 0.5,
        "comparisons": [
            *([0, 0, 1, 3], [0, 1, 0, 1], [0, 1, 2, 2], [0, 2, 3, 1], [0, 3, 0, 2]),
            *([1, 0, 1, 1], [1, 1, 0, 2]),
        ],
    },
}


def load(source: str) -> ProblemFile:
    """The built-in problem of that name, or the one that a TOML file states. Raises: SpecError."""
    if source in BUILT_IN:
        return _Table({"name": source, **BUILT_IN[source]()}).located(source)
    path = Path(source)
    if not source.endswith(".toml") and "/" not in source and "\\" not in source:
        raise SpecError(
            f'no problem called "{source[:80]}"',
            expected=nearest(source, BUILT_IN) + "; or a path to a .toml file",
        )
    table = read_toml(read_text(path), source)
    return _Table({"name": path.stem, **table}).located(source)


class _Table:
    """Turns a parsed TOML table into a Case, one key at a time."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table

    def located(self, file: str) -> ProblemFile:
        try:
            return self.case()
        except SpecError as error:
            # The key of a Problem's field is the file's, but for these two.
            key = {"probabilities": "prompts", "log_reference": "reference"}
            error.key = key.get(error.key, error.key)
            raise error.located(file=file) from None

    def case(self) -> ProblemFile:
        for key in self.table:
            if key not in KEYS:
                raise SpecError("unknown key", key=key[:40], expected=nearest(key, KEYS))
        name = self.table["name"]
        if not isinstance(name, str) or not NAME.fullmatch(name.lower()):
            raise SpecError("not a name", key="name", expected='name = "my-problem"')
        comparisons = self.comparisons()
        rewards = self.rewards(comparisons)
        alpha = self.number("alpha", ALPHA)
        n, m = rewards.shape
        uniform = np.full(n, 1 / n)
        prompts = self.numbers("prompts", n) if "prompts" in self.table else uniform
        reference = self.logs("reference", (n, m)) if "reference" in self.table else None
        problem = Tabular(prompts, rewards, alpha, reference, comparisons)
        default = np.full((n, m), -math.log(m))
        if problem.log_reference is not None:
            default = problem.log_reference
        prior = self.logs("prior", (n, m)) if "prior" in self.table else default
        return ProblemFile(
            name,
            problem,
            "rewards" in self.table,
            self.responses(m),
            prior,
            self.lengths(m),
            self.eta(),
            self.alphas(alpha, float(np.abs(rewards).max()) / MOST_NATS),
        )

    def number(self, key: str, default: float, *, positive: bool = True) -> float:
        value = self.table.get(key, default)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not (good and abs(value) < 1e300 and (value > 0 or not positive)):
            kind = "a positive number" if positive else "a number"
            raise SpecError("not " + kind, key=key, expected=f"{key} = {default}")
        return float(value)

    def eta(self) -> float:
        found = self.number("eta", ETA, positive=False)
        if abs(found) > MOST_ETA:
            raise SpecError(f"{found:g}", key="eta", expected=f"at most {MOST_ETA:g} in size")
        return found

    def numbers(self, key: str, size: int | None) -> Floats:
        value = self.table[key]
        if not isinstance(value, list) or not value or (size and len(value) != size):
            raise SpecError(
                "not a list of that length", key=key, expected=f"a list of {size or 'some'} numbers"
            )
        return np.asarray(matrix([value], key)[0])

    def rewards(self, comparisons: Comparisons | None) -> Floats:
        if "rewards" in self.table:
            found = matrix(self.table["rewards"], "rewards")
        elif comparisons is None:
            raise SpecError(
                "neither rewards nor comparisons",
                expected="rewards = [[0.0, 1.0], [1.0, 0.0]], comparisons = [[0, 1, 0, 3]], both",
            )
        else:
            m = int(max(comparisons.chosen.max(), comparisons.rejected.max())) + 1
            n = int(comparisons.prompt.max()) + 1
            if n * m > MOST:
                raise SpecError(
                    "an index is too large",
                    key="comparisons",
                    expected=f"at most {MOST:,} pairs of a prompt and a response",
                )
            found = np.zeros((n, m))
        return found

    def comparisons(self) -> Comparisons | None:
        if "comparisons" not in self.table:
            return None
        rows = matrix(self.table["comparisons"], "comparisons")
        if rows.shape[1] != 4:
            raise SpecError(
                f"rows of {rows.shape[1]} numbers",
                key="comparisons",
                expected="[prompt, chosen, rejected, count], indices from 0",
            )
        indices = np.clip(rows[:, :3], -1, MOST).astype(np.int64)
        if np.any(rows[:, :3] % 1 != 0):
            raise SpecError("an index is not whole", key="comparisons", expected="indices from 0")
        return Comparisons(indices[:, 0], indices[:, 1], indices[:, 2], rows[:, 3])

    def logs(self, key: str, shape: tuple[int, int]) -> Floats:
        """The logs of a row of positive numbers, or of a row for each prompt. Shape (n, m)."""
        value = self.table[key]
        rows = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
        found = matrix(rows, key)
        if found.shape not in (shape, (1, shape[1])):
            raise SpecError(
                f"its shape is {found.shape}",
                key=key,
                expected=f"{shape[1]} numbers, or {shape[0]} rows of {shape[1]}",
            )
        if np.any(found < 0):
            raise SpecError("a number is negative", key=key, expected="0 or more")
        with np.errstate(divide="ignore"):
            return np.broadcast_to(np.log(found), shape).copy()

    def lengths(self, m: int) -> Floats | None:
        if "lengths" not in self.table:
            return None
        found = self.numbers("lengths", m)
        if np.any(found < 1):
            raise SpecError("a length is below 1", key="lengths", expected="lengths of at least 1")
        return found

    def alphas(self, alpha: float, smallest: float) -> tuple[float, ...]:
        if "alphas" not in self.table:
            grid = alpha * GRID
            return tuple(float(a) for a in grid[grid >= smallest])
        found = self.numbers("alphas", None)
        if np.any(found <= 0):
            raise SpecError("one is not positive", key="alphas", expected="positive numbers")
        if np.any(found < smallest):
            expected = f"at least {smallest:.3g}"
            raise SpecError("one is too small for these rewards", key="alphas", expected=expected)
        return tuple(float(a) for a in np.sort(found)[::-1])

    def responses(self, m: int) -> tuple[str, ...]:
        value = self.table.get("responses", [f"y{i}" for i in range(m)])
        if not isinstance(value, list) or len(value) != m:
            raise SpecError("not a name for each", key="responses", expected=f"{m} strings")
        return tuple(str(name)[:40] for name in value)
