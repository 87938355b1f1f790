"""`midpo solve`: the prior of a target, or why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from midpo.answering import NEGATIVE, OK, UNDECIDED, each

from . import options


@click.command("solve")
@options.specs
@options.as_json
@options.pairs
def command(specs: tuple[str, ...], as_json: bool, pairs: str | None) -> None:
    """Find the prior of a target, or the theorem by which there is none (docs/theorems.md).

    Exit status: 0 all representable, 1 one is not, 3 one undecided, 2 bad input.

    \b
    Example:
      midpo solve my-loss.toml --pairs comparisons.csv
    """
    from midpo import api
    from midpo.proofs.recover.levels import one_function, read_pairs

    data = None if pairs is None else read_pairs(Path(pairs))
    status = {True: OK, False: NEGATIVE, None: UNDECIDED}

    def answer(name: str) -> tuple[dict[str, Any], int]:
        solution = api.solve(name)
        levels = None if data is None else one_function(solution, data)
        if not as_json:
            from midpo.writers.terminal import answers

            answers.solution(solution, levels)
        described = solution.as_json() | ({} if levels is None else {"pairs": levels.as_json()})
        return described, status[solution.representable]

    each(specs, as_json, answer)
