"""What a person sees in a terminal: tables and mathematics, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from midpo.symbolic.errors import printable
from midpo.symbolic.representable import PriorFacts, fold
from midpo.symbolic.spec import Spec
from midpo.symbolic.text import ordered_terms, text

if TYPE_CHECKING:
    from midpo.numeric.crosscheck import CrossCheck
    from midpo.paper import Reproduction
    from midpo.proofs.recovery import Recovery

out = Console(highlight=False, soft_wrap=False)
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


def catalogue(rows: Sequence[tuple[Spec, PriorFacts | None]]) -> None:
    table = _table("name", "title", "prior depends on", "label-free", "token-level")
    for spec_, facts in rows:
        cells = ("no prior", "", "") if facts is None else _facts(facts)
        table.add_row(spec_.name, _plain(spec_.title), *cells)
    out.print(table)


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
    out.print(f"  {_plain(reference if spec_.bibtex else spec_.reference or 'no reference')}\n")
    if spec_.prior is not None:
        _equation("zeta(y) ∝", spec_.prior)
    for name in ("margin", "loss", "constraint", "link"):
        expr = getattr(spec_, name)
        if expr is not None:
            _equation({"margin": "m =", "loss": "loss =", "constraint": "constraint =",
                       "link": "loss(m) ="}[name], expr)
    if spec_.names.parameters:
        table = _table("parameter", "domain", "default")
        for name, parameter in spec_.names.parameters.items():
            default = spec_.defaults.get(name)
            table.add_row(name, parameter.domain, "required" if default is None else str(float(default)))
        out.print(table)
    for name, kind in spec_.names.features.items():
        out.print(f"[bold]feature[/] {name}: a number for each {kind}")


def spec_json(spec_: Spec) -> dict[str, Any]:
    from midpo.symbolic.notation import latex

    shown = {n: getattr(spec_, n) for n in ("prior", "margin", "loss", "constraint", "link")}
    return {
        "name": spec_.name,
        "title": spec_.title,
        "reference": spec_.reference,
        "bibtex": dict(spec_.bibtex),
        **{name: None if e is None else text(e) for name, e in shown.items()},
        "latex": {name: latex(e) for name, e in shown.items() if e is not None},
        "parameters": {
            n: {"domain": p.domain, "default": float(d) if (d := spec_.defaults.get(n)) is not None else None}
            for n, p in spec_.names.parameters.items()
        },
        "features": dict(spec_.names.features),
        "policies": sorted(spec_.names.policies),
        "digest": spec_.digest,
    }


def _equation(left: str, right: Any, indent: int = 2) -> None:
    """left = right, a term a line where it is too long for one."""
    whole = text(right)
    pad = " " * indent
    if len(pad) + len(left) + 1 + len(whole) <= out.width:
        out.print(f"{pad}{left} {escape(whole)}", soft_wrap=True)
        return
    for at, term in enumerate(ordered_terms(right)):
        written = text(term)
        sign = "" if at == 0 else "- " if written.startswith("-") else "+ "
        body = written.removeprefix("-") if at else written
        head = f"{left} " if at == 0 else " " * (len(left) + 1)
        out.print(f"{pad}{head}{sign}{escape(body)}", soft_wrap=True)


def recovery(found: Recovery, *, steps: bool = False) -> None:
    style = _STYLE[found.verdict]
    out.print(f"[bold]{found.spec.name}[/]  [{style}]{found.verdict}[/]  {escape(found.standing.partition(': ')[2] or found.standing)}")
    if found.verdict == "proved":
        scale = "" if found.factor == 1 else f"{text(found.factor)} * "
        shift = "" if found.constant == 0 else f" + {text(found.constant)}"
        out.print(f"  target loss = {escape(scale)}loss of the prior{escape(shift)}")
    if found.facts is not None:
        policy, free, tokens = _facts(found.facts)
        out.print(f"  prior depends on {policy}; label-free: {free}; token-level: {tokens}")
    for condition in found.side_conditions:
        out.print(f"  where {escape(condition)}")
    if found.explanation:
        out.print(f"  {escape(found.explanation)}")
    if found.difference != 0:
        _equation("target - recovered =", fold(found.difference))
    if found.working_prior is not None:
        out.print(f"  a prior that works: {escape(found.working_prior)}", soft_wrap=True)
    if found.witness is not None:
        _witness(found)
    if steps:
        for number, step in enumerate(found.steps, 1):
            out.print(f"  {number}. [italic]{step.reason}[/] ({step.rule})")
            _equation("=", step.after, 5)


def _witness(found: Recovery) -> None:
    witness = found.witness
    assert witness is not None
    case = witness.case
    parameters = ", ".join(f"{k} = {v}" for k, v in case.parameters.items()) or "none"
    lengths = ", ".join(f"|{k}| = {len(v)}" for k, v in case.tokens.items())
    out.print(f"  witness: {lengths}; {parameters}")
    if witness.target_margin is not None and witness.recovered_margin is not None:
        out.print(f"    margins: target {witness.target_margin:.6g}, recovered {witness.recovered_margin:.6g}; difference {escape(witness.difference)}")
    out.print(f"    losses:  target {witness.target_loss:.6g}, recovered {witness.recovered_loss:.6g}   (the whole case: --json)")


def crosscheck(found: CrossCheck) -> None:
    style, word = ("bold green", "agrees") if found.passed else ("bold red", "differs")
    out.print(f"[bold]{found.name}[/]  [{style}]{word}[/]  numerical evidence: {found.cases} pairs, seed {found.seed}")
    table = _table("  dtype", "pairs", "value, ulp", "gradient, ulp")
    for row in found.dtypes:
        table.add_row(f"  {row.dtype}", str(row.cases), f"{row.value_ulp:.2f}", f"{row.gradient_ulp:.2f}")
    out.print(table)
    if found.prior_gap is not None:
        out.print(f"  loss through the prior = loss through the target to {found.prior_gap:.1e} (50 digits)")
    gradcheck = {True: "passes", False: "fails", None: "not applicable (stopped gradient)"}
    out.print(f"  torch.autograd.gradcheck: {gradcheck[found.gradcheck]}")
    if found.failure:
        out.print(f"  [red]{escape(found.failure)}[/]")


def paper(found: Reproduction) -> None:
    table = _table("algorithm", "recovery", "steps", "prior", "kernel", "value, ulp", "gradient, ulp")
    for answer, check in zip(found.recoveries, found.checks, strict=True):
        facts = answer.facts
        assert facts is not None
        kind = facts.policy + ("" if facts.label_free else ", by label") + (
            ", tokens" if facts.token_level else "")
        style = _STYLE[answer.verdict]
        agrees = "[bold green]agrees[/]" if check.passed else "[bold red]differs[/]"
        table.add_row(
            answer.spec.name, f"[{style}]{answer.verdict}[/]", str(len(answer.steps)), kind, agrees,
            f"{max(d.value_ulp for d in check.dtypes):.1f}",
            f"{max(d.gradient_ulp for d in check.dtypes):.1f}",
        )
    out.print(table)
    pairs = sum(c.cases for c in found.checks)
    out.print(
        "\nproved: derivations replayed by a separate checker. agrees: numerical evidence, "
        f"{pairs} random pairs in {len(found.checks[0].dtypes)} dtypes, "
        "largest error in units in the last place."
    )
    for path in found.files[-2:]:
        out.print(f"wrote {escape(str(path))}", soft_wrap=True)
    out.print(f"wrote {len(found.kernels)} kernels into {escape(str(found.files[0].parent))}", soft_wrap=True)
    if found.report.message:
        out.print(escape(found.report.message), soft_wrap=True)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; the function it gives advances it by one."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def advance(now: str | None = None, *, total: int | None = None) -> None:
            if total is not None:
                bar.update(task, total=total)
            bar.update(task, description=now or label, advance=1)

        yield advance
