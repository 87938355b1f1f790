"""`midpo audit`: what a recovery does and does not mean."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from midpo.extras import needed
from midpo.streams import echo, print_json
from midpo.symbolic.errors import MidpoError

from . import options

if TYPE_CHECKING:
    from midpo.proofs.audit.audit import Audit

OK, BAD_INPUT, UNDECIDED = 0, 2, 3
TRIALS = 80  # as in proofs.audit.audit, which imports numpy; a test compares


@click.command("audit")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@options.as_json
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Of random policies."
)
@click.option(
    "--trials",
    default=TRIALS,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Random pairs on which the two gradients are compared.",
)
@click.option(
    "--pairs",
    type=click.Path(dir_okay=False),
    help="Comparisons (CSV: prompt, chosen, rejected): can one function serve both roles there?",
)
def audit(
    specs: tuple[str, ...], as_json: bool, seed: int, trials: int, pairs: str | None
) -> None:
    """What a recovery does and does not mean: gradient, optimum, labels, mass, domain.

    A prior that depends on the policy recovers a loss only if it is differentiated, while the
    optimal policy is derived for a fixed one. The audit says for each prior what that costs, and
    what each answer rests on (docs/audit.md).

    Exit status: 0 every question is answered, 3 some answer is "not decided", 2 bad input.

    \b
    Example:
      midpo audit simpo tdpo
    """
    needed("audit", "numpy")
    from midpo.proofs.audit.audit import audit as audited
    from midpo.proofs.recover.levels import read_pairs
    from midpo.symbolic.language.spec import load

    data = None if pairs is None else read_pairs(Path(pairs))
    answers: list[dict[str, Any]] = []
    statuses: set[int] = set()
    for number, name in enumerate(specs):
        try:
            with _progress(as_json, name) as advance:
                found = audited(
                    load(name), seed=seed, trials=trials, pairs=data, progress=advance
                )
        except MidpoError as error:
            answers.append({"name": name, "error": str(error)})
            statuses.add(BAD_INPUT)
            echo(f"midpo: {error}", err=True)
            continue
        answers.append(found.as_json())
        statuses.add(UNDECIDED if found.undecided else OK)
        if not as_json:
            echo(("\n" if number else "") + written(found), nl=False)
    if as_json:
        print_json(answers)
    sys.exit(next(s for s in (BAD_INPUT, UNDECIDED, OK) if s in statuses))


WIDTH = 80


def written(found: Audit) -> str:
    """The audit as lines of at most WIDTH columns; formulas keep to their lines where they can."""
    from midpo.symbolic.errors import printable

    spec = found.spec
    title = " ".join(printable(spec.title).split())
    lines = textwrap.wrap(f"{spec.name}  {title}".rstrip(), WIDTH, break_on_hyphens=False)
    if found.solved:
        lines += _wrapped(f"the prior that solve finds: {found.solved}", "  ")
    for section in found.sections:
        lines.append(f"{section.name}: {section.title}")
        for answer in section.answers:
            lines += _wrapped(f"{answer.question}: {answer.sentence}", "  ", "    ")
            for formula in answer.formulas:
                lines += _wrapped(formula.unicode, "      ", "        ")
            lines += _wrapped(f"[{answer.standing}]", "    ", "     ")
    return "\n".join(printable(line) for line in lines) + "\n"


def _wrapped(text: str, first: str, rest: str = "    ") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


@contextmanager
def _progress(as_json: bool, label: str) -> Iterator[Callable[[str], None]]:
    if as_json or not sys.stderr.isatty():
        yield lambda now: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(label)) as status:
        yield lambda now: status.update(escape(f"{label}: {now}"))
