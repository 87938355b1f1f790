"""What verify and solve answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from midpo.proofs.account.claim import Topic
from midpo.proofs.account.recovery import kernel_claim, recovery_topic
from midpo.proofs.account.solution import solution_topic
from midpo.symbolic.representable import fold

from .pieces import STYLE, claims, equation, headed, line

if TYPE_CHECKING:
    from midpo.numeric.witness import Witness
    from midpo.proofs.certify.certificate import Certificate
    from midpo.proofs.recover.levels import Levels
    from midpo.proofs.recover.recovery import Recovery
    from midpo.proofs.recover.solved import Solution


def recovery(found: Recovery, *, steps: bool = False) -> None:
    from midpo.symbolic.rewriting.rules import reason

    headed(found.spec.name, found.verdict, STYLE[found.verdict], found.standing)
    claims(recovery_topic(found), first=True)
    if found.difference != 0:
        equation("target - recovered =", fold(found.difference))
    if found.witness is not None:
        _witness(found.witness)
    if steps:
        for number, step in enumerate(found.steps, 1):
            line(f"  {number}. [italic]{reason(step.rule)}[/] ({step.rule})")
            equation("=", step.after, 5)


def kernel(found: Certificate) -> None:
    """What Coq says of a recovery."""
    claims(Topic("kernel", "", (kernel_claim(found.kernel),)))


def solution(found: Solution, levels: Levels | None) -> None:
    style = {True: "bold green", False: "bold red", None: "bold yellow"}[found.representable]
    headed(found.spec.name, found.kind, style, found.standing)
    claims(solution_topic(found, levels), first=True)
    if found.witness is not None:
        values = ", ".join(f"m({w}, {r}) = {v:.6g}" for (w, r), v in found.witness.values.items())
        line(f"  witness: {values}; cross difference {found.witness.difference:.6g}")


def _witness(witness: Witness) -> None:
    case = witness.case
    lengths = ", ".join(f"|{k}| = {len(v)}" for k, v in case.tokens.items())
    parameters = "".join(f", {k} = {v}" for k, v in case.parameters.items())
    line(f"  witness: {lengths}{parameters} (the whole case: --json)")
    if witness.target_margin is not None and witness.recovered_margin is not None:
        sides = f"target {witness.target_margin:.6g}, recovered {witness.recovered_margin:.6g}"
        line(f"    margins: {sides}, difference {escape(witness.difference)}")
    sides = f"target {witness.target_loss:.6g}, recovered {witness.recovered_loss:.6g}"
    line(f"    losses:  {sides}")
