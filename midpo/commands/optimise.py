"""`midpo optimise`: exact problems on finite sets, solved, checked and plotted."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from midpo.answering import NEGATIVE, OK, spinner
from midpo.extras import needed
from midpo.streams import echo, print_json
from midpo.symbolic.errors import MidpoError

from . import options

if TYPE_CHECKING:
    from midpo.numeric.exact.solved import Part

WHAT = ("optimum", "rate-distortion", "fixed-point", "joint")


@click.command("optimise")
@click.argument("problem", metavar="PROBLEM")
@options.as_json
@options.output_folder("plots (SVG; needs matplotlib)")
@options.parents
@click.option(
    "--what",
    multiple=True,
    type=click.Choice(WHAT),
    help="May be repeated; all that the problem has data for by default.",
)
@click.option("--seed", default=0, show_default=True, help="Of the random policies and priors.")
def command(
    problem: str, as_json: bool, output: str | None, parents: bool, what: tuple[str, ...], seed: int
) -> None:
    """Solve a small problem exactly: the optimum for a prior, the rate-distortion curve
    (Blahut-Arimoto), frozen-prior fixed points, and the loss over policy and prior.

    PROBLEM is a .toml file or one of bss-hamming, three-prompts, acyclic, cyclic,
    strongly-connected. A file states alpha, rewards (a row for each prompt) and, where it has
    them, prompts (probabilities), reference, prior, lengths, eta, alphas, responses (names) and
    comparisons (rows of prompt, chosen, rejected, count; indices from 0).

    Exit status: 0 all checks hold, 1 one fails, 2 bad input.

    \b
    Example:
      midpo optimise three-prompts -o plots
      midpo optimise my-problem.toml --what rate-distortion
    """
    needed("optimise", "numpy")
    from midpo import api
    from midpo.numeric.exact import problems
    from midpo.targets import folder

    if seed < 0:
        raise MidpoError(f"--seed {seed}: expected 0 or more")
    case = problems.load(problem)
    asked = api.asked_of(case, what, problem)  # what is wrong is said before any work
    into = None if output is None else folder(Path(output), parents=parents)
    with spinner(as_json, case.name) as advance:
        parts = api.optimise(case, what=asked, seed=seed, progress=advance)
    from midpo.writers.pictures.problems import draw

    written, message = ([], "") if into is None else draw(parts, into, case.responses)
    if as_json:
        document = {
            "name": case.name,
            "passed": all(part.passed for part in parts),
            "parts": [_described(part) for part in parts],
            "files": [str(path) for path in written],
            "message": message,
        }
        print_json(document)
    else:
        from midpo.writers.terminal.problems import parts_of

        parts_of(case.name, parts)
        for path in written:
            echo(f"wrote {path}")
        if message:
            echo(message, err=True)
    sys.exit(OK if all(part.passed for part in parts) else NEGATIVE)


def _plain(value: Any) -> Any:
    """`value` as what JSON has; an infinity or nan as its name."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _described(part: Part) -> dict[str, Any]:
    checks = [
        {
            "statement": check.statement,
            "holds": check.holds,
            "measured": _plain(check.measured),
            "limit": check.limit,
        }
        for check in part.checks
    ]
    rows = [dict(zip(part.columns, row, strict=True)) for row in part.rows]
    return {
        "what": part.what,
        "passed": part.passed,
        "table": rows,
        "notes": list(part.notes),
        "checks": checks,
        "series": _plain(part.series),
    }
