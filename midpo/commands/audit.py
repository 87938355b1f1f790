"""`midpo audit`: what a recovery does and does not mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from midpo.answering import OK, UNDECIDED, each, spinner
from midpo.streams import echo

from . import options

TRIALS = 80  # as in proofs.audit.audit, which imports numpy; a test compares


@click.command("audit")
@options.specs
@options.as_json
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of random policies.")
@click.option(
    "--trials",
    default=TRIALS,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Random pairs on which the two gradients are compared.",
)
@options.pairs
def command(specs: tuple[str, ...], as_json: bool, seed: int, trials: int, pairs: str | None) -> None:
    """What a recovery does and does not mean: gradient, optimum, labels, mass, domain.

    A prior that depends on the policy recovers a loss only if it is differentiated, while the
    optimal policy is derived for a fixed one. The audit says for each prior what that costs, and
    what each answer rests on (docs/audit.md).

    Exit status: 0 every question is answered, 3 some answer is "not decided", 2 bad input.

    \b
    Example:
      midpo audit simpo tdpo
    """
    from midpo import api
    from midpo.extras import needed

    needed("audit", "numpy")
    from midpo.proofs.recover.levels import read_pairs

    data = None if pairs is None else read_pairs(Path(pairs))
    parted = iter(["", *["\n"] * len(specs)])  # an empty line between two audits

    def answer(name: str) -> tuple[dict[str, Any], int]:
        with spinner(as_json, name) as advance:
            found = api.audit(name, seed=seed, trials=trials, pairs=data, progress=advance)
        if not as_json:
            from midpo.writers.terminal.audit import written

            echo(next(parted) + written(found), nl=False)
        return found.as_json(), UNDECIDED if found.undecided else OK

    each(specs, as_json, answer)
