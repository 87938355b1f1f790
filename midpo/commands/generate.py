"""`midpo generate`: the kernel of a spec's loss, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from midpo.answering import OK, each
from midpo.streams import echo, print_file

from . import options


@click.command("generate")
@click.argument("spec", metavar="SPEC")
@options.output_file("The file to write", required=True)
@options.force
@options.parents
@options.backend_or_usual
@options.where
@click.option("--thin", is_flag=True, help="Import what kernels share from midpo: a short file.")
@click.option(
    "--token-metrics", is_flag=True, help="Log entropy, mean logits and top-1 accuracy too, as TRL does."
)
@options.as_json
def command(
    spec: str,
    output: str,
    force: bool,
    parents: bool,
    backend: str | None,
    where: str | None,
    thin: bool,
    token_metrics: bool,
    as_json: bool,
) -> None:
    """Write the kernel of the spec's loss: one Python file that imports only torch.

    A kernel that is there already is replaced, unless somebody edited it: its header holds a digest
    of its text. That, and any other file, is replaced with --force only.

    \b
    Example:
      midpo generate tdpo --backend fused -o tdpo_loss.py
      midpo generate tdpo --for loop -o tdpo_step.py
    """
    from midpo import api
    from midpo.files import may_replace
    from midpo.targets import write

    def answer(name: str) -> tuple[dict[str, Any], int]:
        if output != "-":
            may_replace(Path(output), force=force, parents=parents)
        kernel = api.generate(
            name, backend=backend, thin=thin, where=where or "", token_metrics=token_metrics
        )
        if output == "-" and not as_json:
            print_file(kernel.source)
        elif output != "-":
            write(Path(output), kernel.source)
            echo(f"wrote {output}: {kernel.function}", err=True)
        described = {
            "name": kernel.name,
            "function": kernel.function,
            "backend": kernel.backend,
            "for": kernel.where or None,
            "digest": kernel.digest,
            "file": None if output == "-" else output,
            **kernel.takes.as_json(),
        }
        return described | ({"source": kernel.source} if output == "-" else {}), OK

    each((spec,), as_json, answer)
