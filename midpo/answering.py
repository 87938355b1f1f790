"""How every command answers: exit statuses, one answer a spec, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from midpo.streams import echo, print_json
from midpo.symbolic.errors import MidpoError

OK, NEGATIVE, BAD_INPUT, UNDECIDED, SPECIAL = 0, 1, 2, 3, 4
WORST = (BAD_INPUT, NEGATIVE, UNDECIDED, OK)  # bad input outranks a refutation, and so on
Described = dict[str, Any]


def each(specs: Sequence[str], as_json: bool, answer: Callable[[str], tuple[Described, int]]) -> NoReturn:
    """Answer for each spec in order; one that cannot be read does not keep the others waiting."""
    answers: list[Described] = []
    statuses: set[int] = set()
    for name in specs:
        try:
            found, status = answer(name)
        except MidpoError as error:
            found, status = {"name": name, "error": str(error)}, BAD_INPUT
            echo(f"midpo: {error}", err=True)
        answers.append(found)
        statuses.add(status)
    if as_json:
        print_json(answers)
    sys.exit(next(s for s in WORST if s in statuses))


@contextmanager
def bar(as_json: bool, label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error where that is a terminal; nothing anywhere else."""
    if as_json or not sys.stderr.isatty():
        yield lambda *args, **kwargs: None
        return
    from midpo.writers.terminal.pieces import progress

    with progress(label, total) as advance:
        yield advance


@contextmanager
def spinner(as_json: bool, label: str) -> Iterator[Callable[[str], None]]:
    """What is being done now, on standard error where that is a terminal."""
    if as_json or not sys.stderr.isatty():
        yield lambda now: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(label)) as status:
        yield lambda now: status.update(escape(f"{label}: {now}"))
