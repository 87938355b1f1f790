"""`midpo certify`: recoveries as theorems for the proof kernel of Coq."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from midpo.answering import NEGATIVE, OK, UNDECIDED, bar
from midpo.streams import echo, print_json
from midpo.symbolic.errors import MidpoError

from . import options

if TYPE_CHECKING:
    from midpo.proofs.certify.certificate import Certificate


@click.command("certify")
@click.argument("specs", nargs=-1, metavar="[SPEC...]")
@click.option("--all", "whole", is_flag=True, help="Every row of the catalogue.")
@options.as_json
@options.output_folder("the .v files", required=True)
@options.parents
@click.option("--check", "with_check", is_flag=True, help="Have Coq check them (needs coqc).")
@click.option("--coqchk", is_flag=True, help="Check again with coqchk (slow); implies --check.")
def command(
    specs: tuple[str, ...],
    whole: bool,
    as_json: bool,
    output: str,
    parents: bool,
    with_check: bool,
    coqchk: bool,
) -> None:
    """Write each recovery as a theorem for Coq, beside the library it rests on.

    With --check, coqc accepts or refuses it, its axioms are listed, and what Coq says it has
    proved is read back and compared with the spec.

    Exit status: 0 all exported (with --check: all checked), 1 one refused, 2 bad input,
    3 one not checked or not exportable (and none refused). Rows of the catalogue without a prior
    are listed with the reason, and do not count.

    \b
    Example:
      midpo certify simpo tdpo -o certificates --check
    """
    if whole == bool(specs):
        raise click.UsageError("Name specs, or say --all for every row of the catalogue.")
    from midpo.proofs.certify import certificate
    from midpo.proofs.certify.library import for_release, library_texts
    from midpo.symbolic.language.spec import load
    from midpo.targets import folder, write

    with_check = with_check or coqchk
    loaded = [load(name) for name in specs]
    into = folder(Path(output), parents=parents)  # before any work
    found = certificate.export_catalogue() if whole else certificate.export_all(loaded)
    release = "Coq"
    if with_check:
        release, found = _checked(found, as_json, coqchk)
    for name, text in library_texts(release).items():
        write(into / name, text)
    for one in found:
        if one.text:
            write(into / one.file, for_release(one.text, release))
    if as_json:
        print_json([one.as_json() | {"folder": str(into)} for one in found])
    else:
        from midpo.writers.terminal import certificates

        for one in found:
            certificates.certificate(one, into)
        if len(found) > 1:
            counts = Counter(one.state for one in found)
            echo(", ".join(f"{n} {state}" for state, n in counts.most_common()))
    sys.exit(_status(found, with_check))


def _checked(found: list[Certificate], as_json: bool, coqchk: bool) -> tuple[str, list[Certificate]]:
    from midpo.proofs.certify import certificate
    from midpo.proofs.certify import runner as rocq_runner

    try:
        release = rocq_runner.find_tools().library
    except MidpoError:
        release = "Coq"
    with bar(as_json, "coqc", len(found)) as advance:
        return release, certificate.check(found, coqchk=coqchk, advance=advance)


def _status(found: list[Certificate], with_check: bool) -> int:
    if not with_check:
        return UNDECIDED if any(one.state == "not exportable" for one in found) else OK
    statuses = {one.status for one in found}
    return next(s for s in (NEGATIVE, UNDECIDED, OK) if s in statuses)
