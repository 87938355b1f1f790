"""What a person sees in a terminal: tables and mathematics, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from midpo.symbolic.errors import printable
from midpo.symbolic.formula.unicode import letter, mathematics
from midpo.symbolic.language.spec import CONFIRMED, Spec
from midpo.symbolic.language.text import ordered_terms, text
from midpo.symbolic.representable import PriorFacts, fold

if TYPE_CHECKING:
    from midpo.numeric.checking.crosscheck import CrossCheck
    from midpo.numeric.witness import Witness
    from midpo.paper import Reproduction
    from midpo.proofs.certify.certificate import Certificate
    from midpo.proofs.recover.levels import Levels
    from midpo.proofs.recover.recovery import Recovery
    from midpo.proofs.recover.solution import Solution
    from midpo.rows import Row



class _Output(Console):
    """Standard output. rich would end the process with status 1 where a reader goes away."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Output(highlight=False, soft_wrap=False)
_STYLE = {"proved": "bold green", "refuted": "bold red", "undecided": "bold yellow"}


def _plain(value: str) -> str:
    """Text from a spec, harmless in a terminal and in rich's markup."""
    return escape(" ".join(printable(value).split()))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _mark(value: bool) -> str:
    return "yes" if value else "no"


def catalogue(rows: Sequence[tuple[str | None, dict[str, str]]]) -> None:
    """The catalogue as a table: of each row the class that was found, and its cells."""
    if not rows:
        out.print("no row of the catalogue is such")
        return
    # Titles have room only beside a wide table; `midpo show` has them all.
    left_out = {"title", "libraries", *({"prior"} if rows[0][0] else ())}
    if out.width >= 120:
        left_out = {"libraries"} if out.width < 160 else set()
    table = [{k: v for k, v in cells.items() if k not in left_out} for _, cells in rows]
    shown = _table(*table[0])
    for column in shown.columns:
        column.no_wrap = column.header != "title"
    for line in table:
        shown.add_row(*(_plain(cell) for cell in line.values()))
    out.print(shown)


def facts(row_: Row) -> None:
    """What the program found out about a spec, and what libraries make of it."""
    from midpo.symbolic.language.peers import CHECKED_BY, statements_of

    if row_.prior is not None:
        policy, free, tokens = _facts(row_.prior)
        _line(f"  prior depends on {policy}; label-free: {free}; token-level: {tokens}")
    if row_.kind is not None and not row_.spec.reason:
        _line(f"  class, found by solving the loss: {row_.kind}")
    if row_.token_level is not None:
        told = " and ".join(row_.averages) or "none"
        _line(f"  token-level loss: {_mark(row_.token_level)}; needs a reference: "
              f"{_mark(bool(row_.needs_reference))}; log-probabilities enter as: {told}; "
              f"detached parts: {_mark(bool(row_.detached))}")
    if row_.unread:
        _line(f"  not decided what else holds of it: {_plain(row_.unread)}")
    if row_.spec.conventions:
        _line(f"  conventions: {_plain(row_.spec.conventions)}")
    listed = statements_of(row_.spec.name)
    for statement in listed:
        style = "green" if statement.verdict == "computes" else "yellow"
        _line(f"  [{style}]{_plain(statement.sentence)}[/]")
    if listed:
        _line(f"  (each checked by {CHECKED_BY}: value and gradient on the same random logits)")


def _facts(facts: PriorFacts) -> tuple[str, str, str]:
    policy = {
        "fixed": "reference only (fixed)",
        "iterative": "an earlier policy (iterative)",
        "self-referential": "the policy itself (self-referential)",
    }[facts.policy]
    return policy, _mark(facts.label_free), _mark(facts.token_level)


def spec(spec_: Spec) -> None:
    out.print(f"[bold]{spec_.name}[/]  {_plain(spec_.title)}")
    reference = ". ".join(spec_.bibtex.get(k, "") for k in ("author", "title", "journal", "year"))
    _line(f"  {_plain(reference if spec_.bibtex else spec_.reference or 'no reference')}\n")
    if spec_.bibtex or spec_.reference:  # else there is no paper that it could be confirmed from
        style = "green" if spec_.status == CONFIRMED else "bold yellow"
        _line(f"  equation [{style}]{_plain(spec_.status)}[/]")
    if spec_.reason:
        _line(f"  no loss of one pair: {_plain(spec_.reason)}")
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
            _equation(left, right, write=mathematics)
    if spec_.names.parameters:
        table = _table("  parameter", "", "domain", "default")
        for name, parameter in spec_.names.parameters.items():
            default = spec_.defaults.get(name)
            shown = "required" if default is None else str(float(default))
            table.add_row(f"  {name}", letter(name), str(parameter.domain), shown)
        out.print(table)
    for name, meaning in spec_.responses.items():
        _line(f"  response {name}: {_plain(meaning)}")
    for name, kind in spec_.names.features.items():
        held = spec_.names.ranges.get(name)
        what = "a number" if held is None else held.described
        _line(f"  feature {name}: {what}, for each {kind}" if held else
              f"  feature {name}: {what} for each {kind}")


def _equation(left: str, right: Any, indent: int = 2, write: Callable[[Any], str] = text) -> None:
    """left = right, a term a line where it is too long for one."""
    whole = write(right)
    pad = " " * indent
    if len(pad) + len(left) + 1 + len(whole) <= out.width:
        out.print(f"{pad}{left} {escape(whole)}", soft_wrap=True)
        return
    for at, term in enumerate(ordered_terms(right)):
        written = write(term)
        minus = written[0] if written[0] in "-−" else ""
        sign = "" if at == 0 else f"{minus or '+'} "
        body = written.removeprefix(minus) if at else written
        head = f"{left} " if at == 0 else " " * (len(left) + 1)
        out.print(f"{pad}{head}{sign}{escape(body)}", soft_wrap=True)


def _line(markup: str) -> None:
    """One logical line; the terminal wraps it where it must."""
    out.print(markup, soft_wrap=True)


def recovery(found: Recovery, *, steps: bool = False) -> None:
    from midpo.symbolic.rewriting.rules import reason

    style, how = _STYLE[found.verdict], found.standing.removeprefix(f"{found.verdict}: ")
    _line(f"[bold]{found.spec.name}[/]  [{style}]{found.verdict}[/]  {escape(how)}")
    if found.verdict == "proved":
        scale = "" if found.factor == 1 else f"{text(found.factor)} * "
        shift = "" if found.constant == 0 else f" + {text(found.constant)}"
        _line(f"  target loss = {escape(scale)}loss of the prior{escape(shift)}")
    if found.facts is not None:
        policy, free, tokens = _facts(found.facts)
        _line(f"  prior depends on {policy}; label-free: {free}; token-level: {tokens}")
    for condition in found.side_conditions:
        _line(f"  where {escape(condition)}")
    _defined(found.defined_where)
    if found.gradient is not None:
        _line(f"  {escape(str(found.gradient))}")
    if found.explanation:
        _line(f"  {escape(found.explanation)}")
    if found.difference != 0:
        _equation("target - recovered =", fold(found.difference))
    if found.working_prior is not None:
        _line(f"  a prior that works: {escape(found.working_prior)}")
    if found.witness is not None:
        _witness(found.witness)
    if steps:
        for number, step in enumerate(found.steps, 1):
            _line(f"  {number}. [italic]{reason(step.rule)}[/] ({step.rule})")
            _equation("=", step.after, 5)


def kernel(found: Certificate) -> None:
    """What Coq says of a recovery, in one line."""
    accepted = found.state == "checked"
    _line(f"  {_plain(found.kernel)}" if accepted else
          f"  independent kernel: {_plain(found.kernel)}")


def solution(found: Solution, levels: Levels | None) -> None:
    taken = found.spec.names.taken()
    style = {True: "bold green", False: "bold red", None: "bold yellow"}[found.representable]
    _line(f"[bold]{found.spec.name}[/]  [{style}]{found.kind}[/]  {escape(found.standing)}")
    _line(f"  {escape(found.reason)}")
    if found.prior is not None:
        alpha = escape(text(found.spec.alpha))
        _line(f"  alpha = {alpha}, prior (up to one factor free of y):")
        _line(f"    {escape(text(found.prior, taken))}")
    for other in found.alternatives:
        prior = escape(text(other.prior, taken))
        _line(f"  or, with alpha = {escape(text(other.alpha))}: {prior}")
    for name in ("link", "constraint", "temperature", "weight"):
        expr = getattr(found, name)
        if expr is not None:
            _line(f"  {name}: {escape(text(expr, taken))}")
    for condition in found.conditions:
        _line(f"  where {escape(condition)}")
    _defined(found.defined_where)
    if found.gradient is not None:
        _line(f"  {escape(str(found.gradient))}")
    if found.witness is not None:
        values = ", ".join(f"m({w}, {r}) = {v:.6g}" for (w, r), v in found.witness.values.items())
        _line(f"  witness: {values}; cross difference {found.witness.difference:.6g}")
    if levels is not None:
        _line(f"  on the data: {escape(levels.sentence())}")


def _defined(lengths: tuple[str, ...]) -> None:
    """Where the spec's own formulas have a value."""
    if lengths:
        _line(f"  the spec's formulas have a value where {escape(' and '.join(lengths))}")


def _witness(witness: Witness) -> None:
    case = witness.case
    lengths = ", ".join(f"|{k}| = {len(v)}" for k, v in case.tokens.items())
    parameters = "".join(f", {k} = {v}" for k, v in case.parameters.items())
    _line(f"  witness: {lengths}{parameters} (the whole case: --json)")
    if witness.target_margin is not None and witness.recovered_margin is not None:
        sides = f"target {witness.target_margin:.6g}, recovered {witness.recovered_margin:.6g}"
        _line(f"    margins: {sides}, difference {escape(witness.difference)}")
    sides = f"target {witness.target_loss:.6g}, recovered {witness.recovered_loss:.6g}"
    _line(f"    losses:  {sides}")


def crosscheck(found: CrossCheck) -> None:
    style, word = ("bold green", "agrees") if found.passed else ("bold red", "differs")
    evidence = f"numerical evidence: {found.cases} pairs, seed {found.seed}, {found.device}"
    _line(f"[bold]{found.name}[/]  [{style}]{word}[/]  {escape(evidence)}")
    if found.code:
        said = "" if found.backend == "code" else f" (generated, backend {found.backend})"
        _line(f"  code: {escape(found.code)}{said}")
    table = _table("  dtype", "pairs", "value, ulp", "gradient, ulp")
    for row in found.dtypes:
        errors = (_ulp(row.value_ulp), _ulp(row.gradient_ulp))
        table.add_row(f"  {row.dtype}", str(row.cases), *errors)
    out.print(table)
    if found.prior_gap is not None:
        from midpo.numeric.figures import below

        gap = below(found.prior_gap, 1e-40)
        _line(f"  loss through the prior - loss through the target: {gap} (50 digits)")
    gradcheck = {True: "passes", False: "fails", None: "does not apply"}
    if not found.code:
        _line(f"  torch.autograd.gradcheck: {gradcheck[found.gradcheck]}")
    if found.ways:
        _line(f"  called in {len(found.ways)} ways (--json names them)")
    for note in found.notes:
        _line(f"  {escape(note)}")
    if found.failure:
        _line(f"  [red]{escape(found.failure)}[/]")
    for name, value in (found.case or {}).get("inputs", {}).items():
        if name != "parameters":
            _line(f"    {escape(f'{name}: {value}')}")


def _ulp(error: float) -> str:
    return f"{error:.2f}" if error < 1e4 else f"{error:.1e}"


def paper(found: Reproduction) -> None:
    columns = ("algorithm", "recovery", "steps", "prior", "kernel", "value, ulp", "gradient, ulp")
    table = _table(*columns)
    for answer, check in zip(found.recoveries, found.checks, strict=True):
        facts = answer.facts
        assert facts is not None
        kinds = [facts.policy, *["by label"] * (not facts.label_free)]
        kinds += ["by token"] * facts.token_level
        agrees = "[bold green]agrees[/]" if check.passed else "[bold red]differs[/]"
        table.add_row(
            answer.spec.name,
            f"[{_STYLE[answer.verdict]}]{answer.verdict}[/]",
            str(len(answer.steps)),
            ", ".join(kinds),
            agrees,
            f"{max(d.value_ulp for d in check.dtypes):.1f}",
            f"{max(d.gradient_ulp for d in check.dtypes):.1f}",
        )
    out.print(table)
    pairs = sum(c.cases for c in found.checks)
    dtypes = ", ".join(d.dtype for d in found.checks[0].dtypes)
    _line(
        "\nproved: a derivation, replayed by a separate checker.\n"
        f"agrees: numerical evidence from {pairs} random pairs against 50 digits in {dtypes};\n"
        "  the largest error, in units in the last place."
    )
    _line(f"wrote {len(found.kernels)} kernels into {escape(str(found.files[0].parent))}")
    for path in found.files[len(found.kernels) :]:
        _line(f"wrote {escape(str(path))}")
    if found.report.pdf is None:
        _line(escape(found.report.message))


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; the function it gives advances it by one."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def advance(now: str | None = None, *, total: int | None = None) -> None:
            if total is not None:
                bar.update(task, total=total)
            bar.update(task, description=now or label, advance=1)

        yield advance
