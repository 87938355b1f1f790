"""How two losses differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midpo.proofs.account.comparison import comparison_topic
from midpo.streams import echo
from midpo.symbolic.errors import printable
from midpo.symbolic.language.text import text
from midpo.symbolic.representable import fold

if TYPE_CHECKING:
    from midpo.proofs.compare.found import Comparison

LONGEST = 400  # characters of a formula or a sentence that a line may have


def comparison(found: Comparison) -> None:
    def line(words: str) -> None:
        echo(printable(words))

    first, *others = comparison_topic(found).claims
    line(first.sentence)
    line(f"  {first.standing}")
    for formula in first.formulas:
        line(f"  {formula}")
    for condition in first.where:
        line(f"  where {condition}")
    for claim in others:
        line(f"  {claim.sentence} [{claim.standing}]")
    if found.difference is not None:
        long = "(long: --json has it)"
        difference = text(fold(found.difference), found.names)
        if len(first.why) <= LONGEST:
            line(f"  {first.why}")
        line(
            f"  {found.first.name} - {found.second.name} = "
            f"{difference if len(difference) <= LONGEST else long}"
            f"{'' if found.compared == 'loss' else ', of the margins'}"
        )
    witness = found.witness
    if witness is None:
        return
    told = [f"|{name}| = {len(tokens)}" for name, tokens in witness.case.tokens.items()]
    told += [f"{name} = {value}" for name, value in witness.case.parameters.items()]
    where = ", ".join(told)
    line(f"  as they stand they differ at {where} (the whole case: --json)")
    if witness.target_margin is not None and witness.recovered_margin is not None:
        line(
            f"    margins: {witness.target_margin:.6g} and {witness.recovered_margin:.6g}, "
            f"difference {witness.difference}"
        )
    line(f"    losses:  {witness.target_loss:.6g} and {witness.recovered_loss:.6g}")
