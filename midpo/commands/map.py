"""`midpo map`: the family of losses, as a drawing or as data."""

from __future__ import annotations

from pathlib import Path

import click

from midpo.streams import echo, print_file, print_json

from . import options


@click.command("map")
@options.output_file("The SVG file to write")
@options.parents
@options.as_json
def command(output: str | None, parents: bool, as_json: bool) -> None:
    """Which loss is which other's special or limiting case: proved cases only, as SVG.

    Each arrow rests on a derivation that the checker replayed; it is computed anew each time, in
    some ten seconds. Without -o the cases are listed.

    \b
    Example:
      midpo map -o family.svg
    """
    if as_json and output == "-":
        raise click.UsageError("--json and -o -: expected one thing on standard output")
    from midpo import catalogued
    from midpo.targets import target, write
    from midpo.writers.pictures.family import draw

    if output not in (None, "-"):
        target(Path(output), parents=parents)
    found = catalogued.map()
    if output == "-":
        print_file(draw(found))
    elif output is not None:
        write(Path(output), draw(found))
        echo(f"wrote {output}: {len(found.edges)} cases", err=True)
    if as_json:
        print_json(found.as_json())
    elif output is None:
        for edge in found.edges:
            value = "" if edge.gradient else "  (in value, not seen to be in gradient)"
            echo(f"{edge.general} at {edge.condition} is {edge.special}{value}")
        count = len(found.edges)
        echo(f"{count} cases; each proved by a derivation, replayed by the checker")
