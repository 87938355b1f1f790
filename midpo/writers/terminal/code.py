"""What prove says of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .pieces import STYLE, line, plain

if TYPE_CHECKING:
    from midpo.proofs.code.answer import CodeProof

MOST = 1200  # characters of a formula that somebody may read
_STYLES = {**STYLE, "not lifted": "bold yellow"}


def proof(found: CodeProof) -> None:
    parts = f"value {found.value}, gradient {found.gradient}"
    style = _STYLES[found.verdict]
    line(f"[bold]{plain(found.name)}[/]  [{style}]{found.verdict}[/]  {plain(found.function)}")
    line(f"  {parts}")
    line(f"  for {plain(found.scope)}")
    if found.reason:
        line(f"  {plain(found.reason)}")
    if found.witness is not None:
        line(f"  [red]{plain(str(found.witness['said']))}[/]")
    if found.up_to is not None:
        line(f"  it is {plain(str(found.up_to))}")
    if found.formula:
        formula = found.formula
        if len(formula) > MOST:
            formula = f"{formula[:MOST]} ... ({len(formula)} characters; all of them: --json)"
        line(f"  the code computes {plain(formula)}")
    if found.certificate is not None:
        line(f"  as a theorem for Coq, the value: {plain(str(found.certificate.kernel))}")
    for assumption in found.assumptions:
        line(f"  {plain(assumption)}")
