"""The catalogue and a row of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from midpo.proofs.account.claim import Topic
from midpo.proofs.account.recovery import prior_claim
from midpo.proofs.account.source import source_topic
from midpo.symbolic.formula.characters import line as characters
from midpo.symbolic.formula.characters import mathematics
from midpo.symbolic.formula.write import name as symbol
from midpo.symbolic.language.spec import Spec

from .pieces import claims, equation, line, mark, out, plain, table

if TYPE_CHECKING:
    from midpo.rows import Row
    from midpo.symbolic.representable import PriorFacts


def catalogue(rows: Sequence[tuple[str | None, dict[str, str]]]) -> None:
    """The catalogue as a table: of each row the class that was found, and its cells."""
    if not rows:
        out.print("no row of the catalogue is such")
        return
    # Titles have room only beside a wide table; `midpo show` has them all.
    left_out = {"title", "libraries", *({"prior"} if rows[0][0] else ())}
    if out.width >= 120:
        left_out = {"libraries"} if out.width < 160 else set()
    cells_of = [{k: v for k, v in cells.items() if k not in left_out} for _, cells in rows]
    shown = table(*cells_of[0])
    for column in shown.columns:
        column.no_wrap = column.header != "title"
    for cells in cells_of:
        shown.add_row(*(plain(cell) for cell in cells.values()))
    out.print(shown)


def prior(found: PriorFacts) -> None:
    """What a prior depends on."""
    claims(Topic("prior", "", (prior_claim(found),)))


def facts(row_: Row) -> None:
    """What the program found out about a spec, and what libraries make of it."""
    from midpo.codegen.plan.needs import NEEDS
    from midpo.symbolic.language.peers import CHECKED_BY, statements_of

    if row_.prior is not None:
        prior(row_.prior)
    if row_.kind is not None and not row_.spec.reason:
        line(f"  class, found by solving the loss: {row_.kind}")
    if row_.token_level is not None:
        told = " and ".join(row_.averages) or "none"
        line(
            f"  token-level loss: {mark(row_.token_level)}; needs a reference: "
            f"{mark(bool(row_.needs_reference))}; log-probabilities enter as: {told}; "
            f"detached parts: {mark(bool(row_.detached))}"
        )
    if row_.takes is not None:
        policies = " and ".join(map(plain, row_.takes.policies))
        line(f"  its kernel needs {NEEDS[row_.takes.needs]}, under {policies}")
    if row_.unread:
        line(f"  not decided what else holds of it: {plain(row_.unread)}")
    if row_.spec.conventions:
        line(f"  conventions: {plain(row_.spec.conventions)}")
    listed = statements_of(row_.spec.name)
    for statement in listed:
        style = "green" if statement.verdict == "computes" else "yellow"
        line(f"  [{style}]{plain(statement.sentence)}[/]")
    if listed:
        line(f"  (each checked by {CHECKED_BY}: value and gradient on the same random logits)")


def spec(spec_: Spec) -> None:
    out.print(f"[bold]{spec_.name}[/]  {plain(spec_.title)}")
    reference = ". ".join(spec_.bibtex.get(k, "") for k in ("author", "title", "journal", "year"))
    line(f"  {plain(reference if spec_.bibtex else spec_.reference or 'no reference')}\n")
    claims(source_topic(spec_))
    batch = "loss of place i of the batch =" if spec_.orders_batch else "loss of the list ="
    parts = {
        "ζ(y) ∝": spec_.prior,
        "m =": spec_.margin,
        "loss =": spec_.loss,
        batch: spec_.batch,
        "constraint =": spec_.constraint,
        "loss(m) =": spec_.link,
    }
    for left, right in parts.items():
        if right is not None:
            equation(left, right, write=mathematics)
    if spec_.names.parameters:
        listed = table("  parameter", "", "domain", "default")
        for name, parameter in spec_.names.parameters.items():
            default = spec_.defaults.get(name)
            shown = "required" if default is None else str(float(default))
            listed.add_row(f"  {name}", characters(symbol(name)), str(parameter.domain), shown)
        out.print(listed)
    for name, meaning in spec_.responses.items():
        line(f"  response {name}: {plain(meaning)}")
    for name, kind in spec_.names.features.items():
        held = spec_.names.ranges.get(name)
        what = "a number" if held is None else held.described
        line(
            f"  feature {name}: {what}, for each {kind}"
            if held
            else f"  feature {name}: {what} for each {kind}"
        )
