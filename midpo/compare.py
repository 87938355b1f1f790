"""`midpo compare`: how two losses differ."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from midpo import options
from midpo.streams import echo, print_json

if TYPE_CHECKING:
    from midpo.proofs.compare import Comparison

OK, NEGATIVE, UNDECIDED = 0, 1, 3


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.as_json
def compare(first: str, second: str, as_json: bool) -> None:
    """Whether two losses are equal, equal at special values, or different.

    A and B are catalogue names or paths of .toml files; what has one name in both is one thing.
    Tried are parameters at 0, 1 and 1/2 or equal to each other, features at 1 and 0, and frozen
    policies at the reference.

    Exit status: 0 equal, as they stand or at special values, 1 different, 3 undecided, 2 bad input.

    \b
    Example:
      midpo compare sparsepo tdpo
    """
    from midpo.proofs import compare as comparing
    from midpo.symbolic.spec import load

    found = comparing.compare(load(first), load(second))
    if as_json:
        print_json(found.as_json())
    else:
        _print(found)
    sys.exit({"different": NEGATIVE, "undecided": UNDECIDED}.get(found.verdict, OK))


def _print(found: Comparison) -> None:
    from midpo.symbolic.errors import printable
    from midpo.symbolic.text import text

    def line(words: str) -> None:
        echo(printable(words))

    line(found.sentence)
    line(f"  {found.standing}")
    if (found.factor, found.constant) != (1, 0):
        line(f"  loss of {found.first.name} = ({text(found.factor)}) * loss of {found.second.name}"
             f" + ({text(found.constant)})")
    for condition in found.side_conditions:
        line(f"  where {condition}")
    witness = found.witness
    if witness is None:
        return
    told = [f"|{name}| = {len(tokens)}" for name, tokens in witness.case.tokens.items()]
    told += [f"{name} = {value}" for name, value in witness.case.parameters.items()]
    where = ", ".join(told)
    line(f"  as they stand they differ at {where} (the whole case: --json)")
    if witness.target_margin is not None and witness.recovered_margin is not None:
        line(f"    margins: {witness.target_margin:.6g} and {witness.recovered_margin:.6g}, "
             f"difference {witness.difference}")
    line(f"    losses:  {witness.target_loss:.6g} and {witness.recovered_loss:.6g}")
