"""Options that several commands have, each said once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

# As in numeric.checking.crosscheck, which imports numpy, codegen.backends and codegen.kernels.steps,
# which import SymPy: none is asked at start-up. A test compares.
DTYPES = ("float64", "float32", "bfloat16", "float16")
TRIALS = 24
BACKENDS = ("eager", "fused", "linear", "triton", "native", "logps")
WHERES = ("loop", "trl", "sequence", "nemo-rl")

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
specs = click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
seed = click.option("--seed", default=0, show_default=True, help="Of the random logits.")
trials = click.option(
    "--trials",
    default=TRIALS,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Random batches a spec.",
)
settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="ARG=EXPR",
    help="What an argument of --code is: a name, a number, or an expression in the spec's "
    "parameters (beta=alpha); may be repeated.",
)
bindings = click.option(
    "--bind",
    "bindings",
    multiple=True,
    metavar="ARG=EXPR",
    help="What an argument of --code is made of: logps=cat(policy_chosen_logps, "
    'policy_rejected_logps), batch={"labels": labels}; may be repeated (docs/code.md).',
)
contracts = click.option(
    "--contract",
    "contracts",
    multiple=True,
    metavar="OP=EXPR",
    help="What an operator of --code computes that is not lifted, MODULE:NAME = kl(pi_ref, pi, y, "
    "t): given to prove, tested by check; may be repeated (docs/code.md).",
)
backend = click.option(
    "--backend",
    default="eager",
    show_default=True,
    type=click.Choice(BACKENDS),
    help="From logits, readable or fast; from hidden states; from log-probabilities.",
)
backend_or_usual = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="As the kernel is to be: from logits, readable (eager, the default) or fast; from hidden states "
    "(linear, the default with --for); from log-probabilities.",
)
where = click.option(
    "--for",
    "where",
    type=click.Choice(WHERES),
    help="With what calls the kernel where you train: in your own loop, as a trainer of TRL, as a "
    "module of log-probabilities, or as a loss function of NeMo-RL.",
)
pairs = click.option(
    "--pairs",
    type=click.Path(dir_okay=False),
    help="Comparisons (CSV: prompt, chosen, rejected): can one function serve both roles there?",
)
force = click.option(
    "--force", is_flag=True, help="Replace a file that midpo did not write, or that was edited."
)
parents = click.option("--parents", is_flag=True, help="Make the folders that are missing on the way, too.")


def output_file(what: str, **more: Any) -> Decorator:
    """-o FILE, where - is standard output."""
    return click.option(
        "-o", "--output", metavar="FILE", callback=_file, help=f"{what}; - is standard output.", **more
    )


def output_folder(what: str, **more: Any) -> Decorator:
    """-o FOLDER, made where it is not there yet."""
    return click.option(
        "-o",
        "--output",
        metavar="FOLDER",
        callback=_folder,
        help=f"The folder to write {what} into, made if it is not there.",
        **more,
    )


def _file(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and Path(value).is_dir():
        raise click.BadParameter(f"{value or 'an empty name'} is a folder; expected: a file")
    return value


def _folder(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value == "-":
        raise click.BadParameter("several files are written; expected: a folder, not -")
    if value is not None and Path(value).exists() and not Path(value).is_dir():
        raise click.BadParameter(f"{value} is a file; expected: a folder")
    return value
