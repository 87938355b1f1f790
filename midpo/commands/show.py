"""`midpo show`: the whole row of a spec."""

from __future__ import annotations

from typing import Any

import click

from midpo.answering import OK, each

from . import options


@click.command("show")
@options.specs
@options.as_json
def command(specs: tuple[str, ...], as_json: bool) -> None:
    """The whole row: equations, class, facts, conventions, and what libraries compute.

    The class is found by solving the loss, the facts are read off its normal form.

    \b
    Example:
      midpo show simpo
    """
    from midpo import api, catalogued

    def answer(name: str) -> tuple[dict[str, Any], int]:
        found = catalogued.show(name)
        if not as_json:
            from midpo.writers.terminal import specs as terminal

            terminal.spec(found.spec)
            terminal.facts(found)
        described = found.as_json()
        facts = {"prior_facts": described["prior"]}
        return described | api.describe(found.spec) | facts, OK

    each(specs, as_json, answer)
