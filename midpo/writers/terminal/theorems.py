"""The framework's theorems, and the paper's slips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from midpo.symbolic.errors import printable
from midpo.symbolic.formula.characters import mathematics

from .pieces import out

if TYPE_CHECKING:
    from midpo.proofs.framework.slip_checks import Finding, Slip
    from midpo.proofs.framework.theorem import Proof, Theorem

_SEVERITY = {"E": "error", "G": "gap", "N": "notation", "none": "no slip"}


def _line(text: str, indent: int = 2, style: str = "") -> None:
    """Text in lines that keep their indent."""
    out.print(Padding(Text(printable(text), style=style), (0, 0, 0, indent)))


def _word(holds: bool) -> str:
    return "[bold green]holds[/]" if holds else "[bold red]fails[/]"


def listed(theorems: Sequence[Theorem]) -> None:
    """Each theorem: a line of a table, and its statement below, over the whole width."""
    wide = max(len(theorem.name) for theorem in theorems)
    for theorem in theorems:
        steps = sum(len(proof.steps) for proof in theorem.proofs)
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
        for width in (wide, 8, 9, 14, 13):
            table.add_column(min_width=width, no_wrap=True)
        table.add_row(
            Text(theorem.name, style="bold"),
            f"{len(theorem.parts):2} parts",
            f"{steps:3} steps",
            _known(theorem),
            f"error {theorem.error:.0e}",
        )
        out.print(table)
        _line(theorem.stated() if theorem.holds else f"{theorem.stated()} {theorem.standing}")
    parts = sum(len(t.parts) for t in theorems)
    steps = sum(len(proof.steps) for t in theorems for proof in t.proofs)
    out.print()
    _line(
        f"{len(theorems)} theorems, {parts} parts, {steps} steps. Proved: chains of equalities, "
        "replayed by the checker, for sets of any size; cites: and classical facts, which the "
        "theorem names. Error: the largest, relative, on random instances in 50 digits. "
        "midpo derive THEOREM prints the steps, midpo derive --slips the paper's slips.",
        0,
    )


def _known(theorem: Theorem) -> Text:
    if not theorem.holds:
        return Text("fails", style="bold red")
    return Text("proved", style="bold green") + Text(", cites" if theorem.cites else "")


def derived(theorem: Theorem) -> None:
    out.print(f"[bold]{theorem.name}[/]  {_word(theorem.holds)}  {theorem.title}", soft_wrap=True)
    _line(theorem.stated())
    if theorem.assumptions or theorem.hypotheses:
        out.print("  [bold]assumptions[/]")
    for sentence in theorem.assumptions:
        _line(sentence, 4)
    for hypothesis in theorem.hypotheses:
        _line(f"{hypothesis.name}: {hypothesis.rule.statement}  ({hypothesis.words})", 4)
    for fact in theorem.cites:
        _line(f"cited: {fact}", 4)
    if theorem.in_coq:
        _line(f"in Coq, whole or in part: {', '.join(theorem.in_coq)} (docs/certificates.md)")
    for number, proof in enumerate(theorem.proofs, 1):
        _print_proof(number, proof)
    out.print()


def _print_proof(number: int, proof: Proof) -> None:
    part, seen = proof.part, proof.evidence
    out.print(f"  [bold]{number}. {part.name}[/]  {_word(proof.holds)}", soft_wrap=True)
    _line(f"{part.words}:", 5)
    _line(part.formula(), 7, style="bold")
    if part.given:
        _line(f"given: {', '.join(h.name for h in part.given)}", 5)
    start = mathematics(part.start)
    _line(start if part.relation == "=" else f"{start}   (right less left)", 7)
    for step in proof.steps:
        _line(f"{part.reason(step)}:", 5, style="italic")
        _line(f"= {mathematics(step.after)}", 7)
    if part.relation != "=":
        _line("which is " + ("at least 0" if part.relation == "≤" else "greater than 0"), 5)
    _line(
        f"{proof.standing}; {seen.instances} instances, largest error {seen.error:.0e}"
        + "".join(
            f'; without "{name}" it fails at {fails} of {tried}'
            for name, (fails, tried) in seen.broken.items()
        ),
        5,
        style="dim",
    )


def slips(checked: list[tuple[Slip, tuple[Finding, ...]]]) -> None:
    for slip, found in checked:
        out.print(f"[bold]{slip.name}[/]  {_SEVERITY[slip.severity]}, {slip.where}", soft_wrap=True)
        _line(f"printed: {slip.printed}")
        _line(f"right:   {slip.right}")
        for finding in found:
            mark = "" if finding.holds else "FAILS: "
            shown = f": {finding.formula}" if finding.formula else ""
            _line(
                f"{mark}{finding.how}: {finding.words}{shown} [{finding.standing}]",
                4,
                style="dim" if finding.holds else "bold red",
            )
    out.print(f"\n{len(checked)} slips of arXiv:2501.01544, each with its check.", soft_wrap=True)
