"""`midpo compare`: how two losses differ."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from midpo.streams import echo, print_json

from . import options

if TYPE_CHECKING:
    from midpo.proofs.compare.comparison import Comparison

OK, NEGATIVE, UNDECIDED, SPECIAL = 0, 1, 3, 4
STATUS = {"different": NEGATIVE, "undecided": UNDECIDED, "special case": SPECIAL,
          "limiting case": SPECIAL}
LONGEST = 400  # characters of a formula or a sentence that a line may have


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.as_json
def compare(first: str, second: str, as_json: bool) -> None:
    """Whether two losses are equal, one is the other's special case, or they are different.

    A and B are catalogue names or paths of .toml files; what has one name in both is one thing, and
    a name that only one of them has may stand for one of its kind that only the other has. Special
    values that are tried: parameters at 0, 1 and 1/2 or equal to each other, features at 1, 0 or a
    parameter, and frozen policies at the reference, where the policy still moves both losses. In
    --json, "verdict" is "equal", "equal up to factor and constant", "special case", "limiting
    case", "different" or "undecided"; "special" says which of the two is the special one, and
    "settings" at which values (where they are different: where they meet).

    \b
    Exit status:
      0  equal, or equal up to a positive factor and a constant
      1  different (equal in value with another gradient is different too)
      2  bad input
      3  undecided
      4  one is a special case of the other, or a limiting case

    \b
    Example:
      midpo compare sparsepo tdpo
    """
    from midpo.proofs.compare import comparison as comparing
    from midpo.symbolic.language.spec import load

    found = comparing.compare(load(first), load(second))
    if as_json:
        print_json(found.as_json())
    else:
        _print(found)
    sys.exit(STATUS.get(found.verdict, OK))


def _print(found: Comparison) -> None:
    from midpo.symbolic.errors import printable
    from midpo.symbolic.language.text import text
    from midpo.symbolic.representable import fold

    def line(words: str) -> None:
        echo(printable(words))

    line(found.sentence)
    line(f"  {found.standing}")
    if (found.factor, found.constant) != (1, 0):
        line(f"  loss of {found.first.name} = ({text(found.factor)}) * loss of {found.second.name}"
             f" + ({text(found.constant)})")
    for condition in found.side_conditions:
        line(f"  where {condition}")
    if found.defined_where:
        line(f"  the losses have a value where {' and '.join(found.defined_where)}")
    if found.settings and found.verdict in ("different", "undecided"):
        at = ", ".join(map(str, found.settings))
        line(f"  they meet at {at}, where both are a third loss")
    if found.difference is not None:
        long = "(long: --json has it)"
        difference = text(fold(found.difference), found.names)
        if len(found.explanation) <= LONGEST:
            line(f"  {found.explanation}")
        line(f"  {found.first.name} - {found.second.name} = "
             f"{difference if len(difference) <= LONGEST else long}"
             f"{'' if found.compared == 'loss' else ', of the margins'}")
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
