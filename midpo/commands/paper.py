"""`midpo paper`: the paper, reproduced."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from midpo.answering import NEGATIVE, OK, bar
from midpo.streams import print_json

from . import options


@click.command("paper")
@options.as_json
@options.output_folder("the report and the kernels", default="midpo-paper", show_default=True)
@options.parents
@options.force
@options.seed
@options.trials
def command(as_json: bool, output: str, parents: bool, force: bool, seed: int, trials: int) -> None:
    """Reproduce the paper: prove its eight recoveries, generate and cross-check the eight kernels,
    and write the report.

    Exit status: 0 all of it holds, 1 something does not.

    \b
    Example:
      midpo paper -o midpo-paper
    """
    from midpo.reproduction import paper as reproduce
    from midpo.targets import folder

    into = folder(Path(output), parents=parents)
    with bar(as_json, "paper", None) as advance:
        result = reproduce(into, seed=seed, trials=trials, force=force, progress=advance)
    if as_json:
        print_json(result.as_json())
    else:
        from midpo.writers.terminal import checks

        checks.paper(result)
    sys.exit(OK if result.passed else NEGATIVE)
