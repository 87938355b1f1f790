"""`midpo compare`: how two losses differ."""

from __future__ import annotations

import sys

import click

from midpo.answering import NEGATIVE, OK, SPECIAL, UNDECIDED
from midpo.streams import print_json

from . import options

STATUS = {"different": NEGATIVE, "undecided": UNDECIDED, "special case": SPECIAL, "limiting case": SPECIAL}


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.as_json
def command(first: str, second: str, as_json: bool) -> None:
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
      4  one is a special case of the other, or a limiting case, or both have one in common

    \b
    Example:
      midpo compare sparsepo tdpo
    """
    from midpo import api

    found = api.compare(first, second)
    if as_json:
        print_json(found.as_json())
    else:
        from midpo.writers.terminal.comparison import comparison

        comparison(found)
    sys.exit(STATUS.get(found.verdict, OK))
