"""What optimise computed, a part at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from midpo.numeric.figures import figure
from midpo.symbolic.errors import printable

from .pieces import out

if TYPE_CHECKING:
    from midpo.numeric.exact.solved import Part


def parts_of(name: str, parts: Sequence[Part]) -> None:
    def line(text: str, indent: str = "  ") -> None:
        out.print(indent + escape(printable(text)), soft_wrap=True)

    for number, part in enumerate(parts):
        if number:
            out.print()
        out.print(f"[bold]{escape(name)}[/]  {escape(part.title)}", soft_wrap=True)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in part.columns:
            table.add_column(escape(column), overflow="fold")
        for row in part.rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        out.print(table)
        for note in part.notes:
            line(note)
        for check in part.checks:
            word = "[bold green]holds[/]" if check.holds else "[bold red]fails[/]"
            limit = "exactly" if check.limit == 0 else f"at most {check.limit:.1e}"
            held = check.holds and check.limit != 0
            measured = limit if held else f"{figure(check.measured, 2)}, {limit}"
            out.print(f"  {word}  {escape(check.statement)} ({measured})", soft_wrap=True)
