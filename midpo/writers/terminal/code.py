"""What prove says of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midpo.proofs.account.code import code_topic

from .pieces import STYLE, line, plain

if TYPE_CHECKING:
    from midpo.proofs.code.answer import CodeProof

MOST = 1200  # characters of a sentence that somebody may read
_STYLES = {**STYLE, "not lifted": "bold yellow"}


def proof(found: CodeProof) -> None:
    style = _STYLES[found.verdict]
    line(f"[bold]{plain(found.name)}[/]  [{style}]{found.verdict}[/]  {plain(found.function)}")
    topic = code_topic(found)
    for claim in topic.claims:
        said = claim.sentence
        if len(said) > MOST:
            said = f"{said[:MOST]} ... ({len(said)} characters; all of them: --json)"
        line(f"  {plain(said)} {plain(f'[{claim.standing}]')}")
    for condition in dict.fromkeys(each for claim in topic.claims for each in claim.where):
        line(f"  {plain(condition)}")
