"""`midpo derive`: the framework's own theorems, derived, replayed and held against instances."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from midpo.answering import NEGATIVE, OK, spinner
from midpo.streams import print_json

from . import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from midpo.proofs.framework.slip_checks import Finding, Slip


@click.command("derive")
@click.argument("names", nargs=-1, metavar="[THEOREM]...")
@options.as_json
@click.option("--slips", is_flag=True, help="The paper's slips, each with its own check.")
def command(names: tuple[str, ...], as_json: bool, slips: bool) -> None:
    """Derive the framework itself: the optimal policy, the loss, mutual information, constraints,
    learned priors, and the theorems that solve cites.

    Without arguments all theorems are listed and checked; a THEOREM is printed with its
    assumptions, every step and its reason. A chain of equalities is replayed by the checker for
    finite sets of any size; random instances are evaluated in 50 digits, and instances that break
    one hypothesis must break the equation.

    Exit status: 0 all hold, 1 one does not, 2 bad input.

    \b
    Example:
      midpo derive
      midpo derive optimal-policy theorem-7
      midpo derive --slips
    """
    from midpo import api

    whole = () if slips and not names else api.derive(*names)
    with spinner(as_json, "deriving") as advance:
        for theorem in whole:
            advance(theorem.name)
            theorem.proofs  # noqa: B018 - found once, and kept
        checked = _check_slips(advance) if slips else []
    good = all(t.holds for t in whole) and all(f.holds for _, found in checked for f in found)
    if as_json:
        document = {
            "holds": good,
            "theorems": [theorem.as_json() for theorem in whole],
            "slips": [slip.as_json(found) for slip, found in checked],
        }
        print_json(document)
    else:
        from midpo.writers.terminal import theorems as terminal

        if names:
            for theorem in whole:
                terminal.derived(theorem)
        elif whole:
            terminal.listed(whole)
        if slips:
            terminal.slips(checked)
    sys.exit(OK if good else NEGATIVE)


def _check_slips(advance: Callable[[str], None]) -> list[tuple[Slip, tuple[Finding, ...]]]:
    from midpo.proofs.framework.slips import SLIPS

    checked = []
    for slip in SLIPS:
        advance(f"slip {slip.name}")
        checked.append((slip, slip.findings()))
    return checked
