"""What is met while code runs on expressions: operations, readings, hypotheses, paths, refusals."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from sympy import Expr, S

MAX_OPERATIONS = 20_000
MAX_SECONDS = 30.0  # of one run
MAX_PATHS = 16

_TORCH = os.path.dirname(torch.__file__)
_HERE = os.path.dirname(__file__)
_LIBRARY = os.path.dirname(os.__file__)
_ROOT = os.path.dirname(os.path.dirname(_HERE))
_OURS = (
    os.path.dirname(sys.modules[__name__.partition(".")[0]].__file__ or "") + os.sep,
    *(
        os.path.join(_ROOT, floor) + os.sep
        for floor in ("symbolic", "numeric", "codegen", "proofs", "commands")
    ),
)


class CannotLift(BaseException):
    """Why code cannot be lifted. No Exception: code that catches those must not go another way
    because its operation was refused; and the trace remembers the first refusal."""


@dataclass
class Trace:
    """One run of the code along one path.

    `path` are the questions about data that Python asked, each with the answer it was given;
    `asked` how many of them this run has come to.
    """

    path: list[tuple[Expr, bool]] = field(default_factory=list)
    asked: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    casts: Counter[str] = field(default_factory=Counter)
    constants: dict[str, str] = field(default_factory=dict)
    hypotheses: dict[str, None] = field(default_factory=dict)
    failed: str = ""
    unknowns: int = 0
    deadline: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    def count(self, operation: str) -> None:
        """One more operation. Raises: CannotLift where there are too many, or time is up."""
        self.operations[operation] += 1
        if self.operations.total() > MAX_OPERATIONS:
            refuse(f"more than {MAX_OPERATIONS} operations")
        if time.monotonic() > self.deadline:
            refuse(f"it takes more than {MAX_SECONDS:.0f} seconds")

    @property
    def weight(self) -> Expr:
        """1 where the data lead down this path, else 0."""
        found = S.One
        for condition, taken in self.path[: self.asked]:
            found = found * (condition if taken else 1 - condition)
        return found


_current: list[Trace] = []


def current() -> Trace:
    return _current[-1] if _current else Trace()


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    _current.append(trace)
    try:
        yield trace
    finally:
        _current.pop()


def refuse(why: str) -> NoReturn:
    """Raises: CannotLift, with the line of the code."""
    line = place()
    told = f"{line}: {why}" if line else why
    trace = current()
    trace.failed = trace.failed or told
    raise CannotLift(trace.failed)


def place() -> str:
    """The innermost line that is neither torch's, Python's nor ours."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        library = file.startswith(_LIBRARY) and "site-packages" not in file
        if not library and not file.startswith((_TORCH, _HERE, "<frozen")):
            return "" if file.startswith(_OURS) else f"{os.path.basename(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def suppose(hypothesis: str) -> None:
    """Note what the answer rests on."""
    current().hypotheses[hypothesis] = None


def decide(condition: Expr) -> bool:
    """The answer to a question about data on this run's path: 0 or 1 is `condition`'s value.

    A question that was asked before has the answer it had. Raises: CannotLift past so many.
    """
    trace = current()
    for known, taken in trace.path[: trace.asked]:
        if known == condition:
            return taken
        if known == 1 - condition:
            return not taken
    if trace.asked == len(trace.path):
        if len(trace.path) >= MAX_PATHS:
            refuse(f"more than {MAX_PATHS} questions about data")
        trace.path.append((condition, True))
    taken = trace.path[trace.asked][1]
    trace.path[trace.asked] = (condition, taken)
    trace.asked += 1
    return taken


def next_path(trace: Trace) -> list[tuple[Expr, bool]] | None:
    """The path after this one: the last answer that was yes becomes no; None after the last."""
    path = trace.path[: trace.asked]
    while path and not path[-1][1]:
        path.pop()
    return [*path[:-1], (path[-1][0], False)] if path else None
