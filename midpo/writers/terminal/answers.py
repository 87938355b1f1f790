"""What verify and solve answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from midpo.symbolic.language.text import text
from midpo.symbolic.representable import fold

from .pieces import STYLE, defined, depends, equation, line, plain

if TYPE_CHECKING:
    from midpo.numeric.witness import Witness
    from midpo.proofs.certify.certificate import Certificate
    from midpo.proofs.recover.levels import Levels
    from midpo.proofs.recover.recovery import Recovery
    from midpo.proofs.recover.solved import Solution


def recovery(found: Recovery, *, steps: bool = False) -> None:
    from midpo.symbolic.rewriting.rules import reason

    style, how = STYLE[found.verdict], found.standing.removeprefix(f"{found.verdict}: ")
    line(f"[bold]{found.spec.name}[/]  [{style}]{found.verdict}[/]  {escape(how)}")
    if found.verdict == "proved":
        scale = "" if found.factor == 1 else f"{text(found.factor)} * "
        shift = "" if found.constant == 0 else f" + {text(found.constant)}"
        line(f"  target loss = {escape(scale)}loss of the prior{escape(shift)}")
    if found.facts is not None:
        policy, free, tokens = depends(found.facts)
        line(f"  prior depends on {policy}; label-free: {free}; token-level: {tokens}")
    for condition in found.side_conditions:
        line(f"  where {escape(condition)}")
    defined(found.defined_where)
    if found.gradient is not None:
        line(f"  {escape(str(found.gradient))}")
    if found.explanation:
        line(f"  {escape(found.explanation)}")
    if found.difference != 0:
        equation("target - recovered =", fold(found.difference))
    if found.working_prior is not None:
        line(f"  a prior that works: {escape(found.working_prior)}")
    if found.witness is not None:
        _witness(found.witness)
    if steps:
        for number, step in enumerate(found.steps, 1):
            line(f"  {number}. [italic]{reason(step.rule)}[/] ({step.rule})")
            equation("=", step.after, 5)


def kernel(found: Certificate) -> None:
    """What Coq says of a recovery, in one line."""
    accepted = found.state == "checked"
    line(f"  {plain(found.kernel)}" if accepted else
          f"  independent kernel: {plain(found.kernel)}")


def solution(found: Solution, levels: Levels | None) -> None:
    taken = found.spec.names.taken()
    style = {True: "bold green", False: "bold red", None: "bold yellow"}[found.representable]
    line(f"[bold]{found.spec.name}[/]  [{style}]{found.kind}[/]  {escape(found.standing)}")
    line(f"  {escape(found.reason)}")
    if found.prior is not None:
        alpha = escape(text(found.spec.alpha))
        line(f"  alpha = {alpha}, prior (up to one factor free of y):")
        line(f"    {escape(text(found.prior, taken))}")
    for other in found.alternatives:
        prior = escape(text(other.prior, taken))
        line(f"  or, with alpha = {escape(text(other.alpha))}: {prior}")
    for name in ("link", "constraint", "temperature", "weight"):
        expr = getattr(found, name)
        if expr is not None:
            line(f"  {name}: {escape(text(expr, taken))}")
    for condition in found.conditions:
        line(f"  where {escape(condition)}")
    defined(found.defined_where)
    if found.gradient is not None:
        line(f"  {escape(str(found.gradient))}")
    if found.witness is not None:
        values = ", ".join(f"m({w}, {r}) = {v:.6g}" for (w, r), v in found.witness.values.items())
        line(f"  witness: {values}; cross difference {found.witness.difference:.6g}")
    if levels is not None:
        line(f"  on the data: {escape(levels.sentence())}")


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
