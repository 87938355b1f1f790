"""What the pieces of an answer look like in a terminal, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from midpo.proofs.account.claim import Topic
from midpo.symbolic.errors import printable
from midpo.symbolic.formula.told import Told
from midpo.symbolic.language.text import ordered_terms, text


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


def headed(name: str, verdict: str, style: str, standing: Told) -> None:
    """The line that an answer begins with."""
    how = standing.rest if standing.standing.value == verdict else standing
    line(f"[bold]{escape(name)}[/]  [{style}]{verdict}[/]  {escape(how)}")


def claims(topic: Topic, *, first: bool = False) -> None:
    """Each claim of a topic: its sentence, why it is so, formulas, conditions, and its standing;
    without that of the `first` where a line above has it."""
    for place, claim in enumerate(topic.claims):
        known = "" if first and place == 0 else f" [{claim.standing}]"
        line(f"  {plain(claim.sentence + known)}")
        if claim.why:
            line(f"  {plain(claim.why)}")
        for formula in claim.formulas:
            line(f"  {escape(formula.words)}")
            line(f"    {escape(formula.unicode)}")
        for condition in claim.where:
            line(f"  where {escape(condition)}")


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
