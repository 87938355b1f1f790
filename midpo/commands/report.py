"""`midpo report`: the derivations as LaTeX and PDF, or as one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from midpo.answering import bar
from midpo.extras import needed
from midpo.streams import echo, print_json
from midpo.symbolic.errors import MidpoError

from . import options


@click.command("report")
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@options.as_json
@options.output_folder("the report", default="midpo-report", show_default=True)
@options.parents
@click.option("--all", "every", is_flag=True, help="The whole catalogue, as with no SPEC.")
@click.option("--html", is_flag=True, help="One HTML page instead of LaTeX.")
@click.option(
    "--check", "with_check", is_flag=True, help="Cross-check the kernels and include the table (needs torch)."
)
@click.option("--certify", "certified", is_flag=True, help="Have Coq's kernel check each (coqc).")
@click.option("--audit/--no-audit", default=True, show_default=True, help="What a recovery does not mean.")
@click.option("--plots/--no-plots", default=None, help="Needs matplotlib.  [default: not in a fragment]")
@click.option(
    "--kernels/--no-kernels",
    default=None,
    help="List the kernels' source.  [default: not in a fragment, not for the whole catalogue]",
)
@click.option("--fragment", is_flag=True, help="Write a part to \\input into one's own paper.")
@click.option(
    "--level",
    default="section",
    show_default=True,
    type=click.Choice(("section", "subsection", "paragraph")),
    help="Of a fragment's headings.",
)
@click.option(
    "--text-width",
    default=345.0,
    show_default=True,
    type=click.FloatRange(300, 1000),
    help="Of a line of the paper, in points.",
)
@click.option(
    "--macros",
    multiple=True,
    metavar="NAME=MATHS or FILE.toml",
    help="Rename a symbol: pi, pi_ref, y_w, y_l, y, x, zeta, m, a parameter; may be repeated.",
)
@click.option("--date", default="", help="Print this date; none by default.")
@click.option(
    "--benchmark",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="A table of benchmarks/kernels.py to draw.",
)
@click.option(
    "--pdf/--no-pdf", default=True, show_default=True, help="Compile the report if a TeX is installed."
)
def command(
    specs: tuple[str, ...],
    as_json: bool,
    output: str,
    parents: bool,
    every: bool,
    html: bool,
    with_check: bool,
    certified: bool,
    audit: bool,
    plots: bool | None,
    kernels: bool | None,
    fragment: bool,
    level: str,
    text_width: float,
    macros: tuple[str, ...],
    date: str,
    benchmark: Path | None,
    pdf: bool,
) -> None:
    """Write the derivations as LaTeX, and as PDF where a TeX is installed; or as one HTML page.

    \b
    Example:
      midpo report tdpo simpo -o report
      midpo report --all --html -o report
      midpo report tdpo --fragment --macros 'pi=\\pi_\\theta' --macros 'y_w=y^+'
    """
    from midpo import api
    from midpo.gathering import Fragment, Wanted, cores, left_out, macros_of
    from midpo.symbolic.language.spec import catalogue, load
    from midpo.targets import folder

    if every and specs:
        raise MidpoError("--all and a SPEC\n  expected: one of them")
    if html and fragment:
        raise MidpoError("--html and --fragment\n  expected: one of them")
    loaded = [load(name) for name in specs or catalogue()]
    if with_check:
        needed("--check", "torch", "numpy")
    renamed = macros_of(macros)
    plots = not fragment if plots is None else plots
    lacking = left_out(audit=audit, plots=plots and not html)
    folder(Path(output), parents=parents)
    checks = []
    if with_check:
        for spec in loaded:
            with bar(as_json, spec.name, options.TRIALS) as advance:
                checks.append(api.check(spec, progress=advance))
    if html:
        from midpo.page import write

        with bar(as_json, "report", len(loaded)) as advance:
            page = write(
                loaded, output, checks=checks, certify=certified, audit=audit, jobs=cores(), progress=advance
            )
        if as_json:
            print_json({"specs": [s.name for s in loaded], "html": str(page), "left_out": lacking})
        else:
            echo("\n".join([f"wrote {page}", *lacking]))
        return
    if kernels is None:  # of the whole catalogue they would fill a hundred pages
        kernels = bool(specs) and not fragment
    wanted = Wanted(audit=audit, kernel=kernels, plots=("pdf",) if plots else ())
    with bar(as_json, "report", len(loaded) + 1) as advance:
        written = api.report(
            loaded,
            output,
            checks=checks,
            certify=certified,
            pdf=pdf,
            wanted=wanted,
            macros=renamed or None,
            fragment=Fragment(level, text_width) if fragment else None,
            date=date,
            benchmark=benchmark,
            jobs=cores(),
            progress=advance,
        )
    _wrote(written, as_json, [s.name for s in loaded], lacking)


def _wrote(written: Any, as_json: bool, names: Sequence[str], lacking: Sequence[str]) -> None:
    files = {"tex": str(written.tex), "pdf": str(written.pdf) if written.pdf else None}
    if as_json:
        others = list(map(str, written.others))
        print_json(
            {
                "specs": list(names),
                **files,
                "others": others,
                "message": written.message,
                "left_out": list(lacking),
            }
        )
        return
    for path in filter(None, files.values()):
        echo(f"wrote {path}")
    for kind in sorted({path.suffix for path in written.others}):
        some = [path for path in written.others if path.suffix == kind]
        echo(f"wrote {some[0] if len(some) == 1 else some[0].parent}")
    for line in lacking:
        echo(line)
    if written.pdf is None:
        echo(written.message, err=True)
