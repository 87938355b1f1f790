"""What the pieces of an answer look like in a terminal, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from midpo.symbolic.errors import printable
from midpo.symbolic.language.text import ordered_terms, text
from midpo.symbolic.representable import PriorFacts


class _Output(Console):
    """Standard output. rich would end the process with status 1 where a reader goes away."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Output(highlight=False, soft_wrap=False)
STYLE = {"proved": "bold green", "refuted": "bold red", "undecided": "bold yellow"}


def plain(value: str) -> str:
    """Text from a spec, harmless in a terminal and in rich's markup."""
    return escape(" ".join(printable(value).split()))


def table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def mark(value: bool) -> str:
    return "yes" if value else "no"


def depends(facts: PriorFacts) -> tuple[str, str, str]:
    policy = {
        "fixed": "reference only (fixed)",
        "iterative": "an earlier policy (iterative)",
        "self-referential": "the policy itself (self-referential)",
    }[facts.policy]
    return policy, mark(facts.label_free), mark(facts.token_level)


def equation(left: str, right: Any, indent: int = 2, write: Callable[[Any], str] = text) -> None:
    """left = right, a term a line where it is too long for one."""
    whole = write(right)
    pad = " " * indent
    if len(pad) + len(left) + 1 + len(whole) <= out.width:
        out.print(f"{pad}{left} {escape(whole)}", soft_wrap=True)
        return
    for at, term in enumerate(ordered_terms(right)):
        written = write(term)
        minus = written[0] if written[0] in "-−" else ""
        sign = "" if at == 0 else f"{minus or '+'} "
        body = written.removeprefix(minus) if at else written
        head = f"{left} " if at == 0 else " " * (len(left) + 1)
        out.print(f"{pad}{head}{sign}{escape(body)}", soft_wrap=True)


def line(markup: str) -> None:
    """One logical line; the terminal wraps it where it must."""
    out.print(markup, soft_wrap=True)


def defined(lengths: tuple[str, ...]) -> None:
    """Where the spec's own formulas have a value."""
    if lengths:
        line(f"  the spec's formulas have a value where {escape(' and '.join(lengths))}")


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; the function it gives advances it by one."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def advance(now: str | None = None, *, total: int | None = None) -> None:
            if total is not None:
                bar.update(task, total=total)
            bar.update(task, description=now or label, advance=1)

        yield advance
