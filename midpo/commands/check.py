"""`midpo check`: a kernel or a given function held against the spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.core import ParameterSource

from midpo.answering import NEGATIVE, OK, bar, each
from midpo.symbolic.errors import MidpoError

from . import options


@click.command("check")
@options.specs
@options.as_json
@options.seed
@options.trials
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(options.DTYPES),
    help="May be repeated; all four by default, the first two for code that was not generated.",
)
@click.option("--device", default="cpu", show_default=True, help="Where the kernel runs.")
@options.backend
@click.option(
    "--code",
    metavar="FILE.py[:FUNCTION]",
    help="Hold this function, not a fresh kernel, against the spec. The file is run.",
)
@options.settings
@options.bindings
@options.contracts
@click.pass_context
def command(
    context: click.Context,
    specs: tuple[str, ...],
    as_json: bool,
    seed: int,
    trials: int,
    dtypes: tuple[str, ...],
    device: str,
    backend: str,
    code: str | None,
    settings: tuple[str, ...],
    bindings: tuple[str, ...],
    contracts: tuple[str, ...],
) -> None:
    """Hold the loss that each spec generates, or a given function, against the spec. Needs torch.

    Inputs are random; values, gradients and metrics are compared with 50 digits. With --code the
    file is run, so check only code that you would run; its arguments are bound by name
    (docs/kernels.md).

    Exit status: 0 all agree, 1 one differs, 2 bad input.

    \b
    Example:
      midpo check tdpo --trials 100 --dtype float32
      midpo check dpo --code my_trainer.py:dpo_loss --set beta=alpha
    """
    from midpo import api

    given = given_of(code, settings, bindings, contracts)
    chosen = context.get_parameter_source("backend") is not ParameterSource.DEFAULT
    if code is not None and chosen:
        raise MidpoError("--code and --backend\n  expected: one of them; a generated file names its backend")

    def answer(name: str) -> tuple[dict[str, Any], int]:
        with bar(as_json, name, trials) as advance:
            found = api.check(
                name,
                backend=backend,
                seed=seed,
                trials=trials,
                dtypes=dtypes or None,
                device=device,
                code=code,
                **given,
                progress=advance,
            )
        if not as_json:
            from midpo.writers.terminal.checks import crosscheck

            crosscheck(found)
        return found.as_json(), OK if found.passed else NEGATIVE

    each(specs, as_json, answer)


def given_of(
    code: str | None, settings: Sequence[str], bindings: Sequence[str], contracts: Sequence[str]
) -> dict[str, Any]:
    """What --set, --bind and --contract say of the code. Raises: MidpoError."""
    said = {"set": settings, "bind": bindings, "contract": contracts}
    for option in (o for o, values in said.items() if code is None and values):
        raise MidpoError(f"--{option} without --code\n  expected: --code FILE.py:FUNCTION beside it")
    return {
        "arguments": arguments_of("set", settings, "beta=alpha"),
        "bind": arguments_of("bind", bindings, "keep=not mask"),
        "contracts": contracts,
    }


def arguments_of(option: str, settings: Sequence[str], example: str) -> dict[str, str]:
    """ARG=EXPR, ... Raises: MidpoError."""
    found = {}
    for setting in settings:
        name, equals, written = setting.partition("=")
        if not equals or not name.strip().isidentifier() or not written.strip():
            raise MidpoError(f"--{option} {setting}\n  expected: ARG=EXPR, as --{option} {example}")
        found[name.strip()] = written.strip()
    return found
