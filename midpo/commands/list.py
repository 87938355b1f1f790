"""`midpo list`: the catalogue as a table, filtered and sorted; every fact is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from midpo.rows import CLASSES, OUTSIDE, SORTS, Row
from midpo.streams import echo, print_json


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown table.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    type=click.Choice(CLASSES),
    help="Only these classes, found by solving each row; may be repeated.",
)
@click.option("--solve", "with_class", is_flag=True, help="Solve each row and show its class.")
@click.option("--token-level/--no-token-level", default=None, help="Only losses that are (not).")
@click.option(
    "--needs-reference/--no-needs-reference",
    default=None,
    help="Only losses that do (not) speak of a policy that is not trained.",
)
@click.option(
    "--label-free/--no-label-free",
    default=None,
    help="Only stated priors that are (not) one function for both roles.",
)
@click.option("--year", "years", multiple=True, type=int, help="Only this year; may be repeated.")
@click.option("--sort", "order", type=click.Choice(SORTS), help="Instead of catalogue order.")
def command(
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
    classes: tuple[str, ...],
    with_class: bool,
    token_level: bool | None,
    needs_reference: bool | None,
    label_free: bool | None,
    years: tuple[int, ...],
    order: str | None,
) -> None:
    """The catalogue: every algorithm, and what its loss and its prior depend on.

    All of it is computed from the specs. A year followed by ? marks an equation that was not
    confirmed from its paper (midpo show says why). The class takes solving: some seconds for all.

    \b
    Example:
      midpo list --token-level --year 2024
      midpo list --class none --markdown
    """
    if as_json + as_csv + as_markdown > 1:
        raise click.UsageError("--json, --csv and --markdown: expected one of them")
    from midpo.rows import class_of, csv_table, markdown_table, row
    from midpo.symbolic.language.spec import catalogue, load

    wanted = {"token_level": token_level, "needs_reference": needs_reference, "label_free": label_free}
    asked = with_class or bool(classes) or order == "class"
    found = []
    for name in catalogue():
        spec = load(name)
        if years and spec.year not in years:
            continue
        one = row(spec)
        if any(want is not None and getattr(one, key) is not want for key, want in wanted.items()):
            continue
        if asked:
            one = replace(one, kind=class_of(spec))
        if not classes or one.kind in classes:
            found.append(one)
    if order:
        found.sort(key=_SORT[order])
    if as_json:
        print_json([one.as_json() for one in found])
    elif as_csv:
        echo(csv_table(found), nl=False)
    elif as_markdown:
        echo(markdown_table(found), nl=False)
    else:
        from midpo.rows import cells
        from midpo.writers.terminal import specs

        specs.catalogue([(one.kind, cells(one)) for one in found])


_SORT: dict[str, Callable[[Row], Any]] = {
    "name": lambda one: one.spec.name,
    "title": lambda one: one.spec.title.casefold(),
    "year": lambda one: (one.spec.year or 0, one.spec.name),
    "class": lambda one: (CLASSES.index(one.kind or OUTSIDE), one.spec.name),
}
