"""`midpo verify`: does the prior recover the target?"""

from __future__ import annotations

from typing import Any

import click

from midpo.answering import NEGATIVE, OK, UNDECIDED, each

from . import options


@click.command("verify")
@options.specs
@options.as_json
@click.option("--steps", is_flag=True, help="Print the derivation step by step.")
@click.option("--certify", "certified", is_flag=True, help="Have Coq's kernel check it too (coqc).")
def command(specs: tuple[str, ...], as_json: bool, steps: bool, certified: bool) -> None:
    """Prove or refute that the prior recovers the target.

    Exit status: 0 all proved, 1 one refuted, 3 one undecided (and none refuted), 2 bad input.
    With --certify also 1 where Coq refuses an answer, 3 where it did not check one.

    \b
    Example:
      midpo verify dpo simpo my-algorithm.toml
    """
    from midpo import api

    status = {"proved": OK, "refuted": NEGATIVE, "undecided": UNDECIDED}

    def answer(name: str) -> tuple[dict[str, Any], int]:
        recovery = api.verify(name)
        if not as_json:
            from midpo.writers.terminal import answers

            answers.recovery(recovery, steps=steps)
        described, code = recovery.as_json() | {"kernel": "not checked"}, status[recovery.verdict]
        if not certified:
            return described, code
        from midpo.proofs.certify import certificate

        (found,) = certificate.check([certificate.export(recovery.spec, recovery)])
        if not as_json:
            answers.kernel(found)
        return described | {"kernel": found.kernel, "certificate": found.as_json()}, max(
            (code, found.status), key=(OK, UNDECIDED, NEGATIVE).index
        )

    each(specs, as_json, answer)
