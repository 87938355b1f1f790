"""`midpo map`: the family of losses, as a drawing or as data."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("map")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help="The SVG file to write; - is standard output.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def map_command(output: str | None, as_json: bool) -> None:
    """Which loss is which other's special or limiting case: proved cases only, as SVG.

    Each arrow rests on a derivation that the checker replayed; it is computed anew each time, in
    some ten seconds. Without -o the cases are listed.

    \b
    Example:
      midpo map -o family.svg
    """
    if as_json and output == "-":
        raise click.UsageError("--json and -o -: expected one thing on standard output")
    from midpo.files import write_text
    from midpo.proofs.family import family

    found = family()
    if output == "-":
        click.echo(found.svg(), nl=False)
    elif output is not None:
        write_text(Path(output), found.svg())
        click.echo(f"wrote {output}: {len(found.edges)} cases", err=True)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False))
    elif output is None:
        for edge in found.edges:
            value = "" if edge.gradient else "  (in value, not seen to be in gradient)"
            click.echo(f"{edge.general} at {edge.condition} is {edge.special}{value}")
        count = len(found.edges)
        click.echo(f"{count} cases; each proved by a derivation, replayed by the checker")
