"""A report's files: written into a folder, and typeset where a TeX is installed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from midpo.targets import folder, write
from midpo.writers.latex import fragment, report
from midpo.writers.latex.framework import Framework
from midpo.writers.latex.report import Report
from midpo.writers.latex.typeset import TypesetFailed, typeset
from midpo.writers.section import Section

if TYPE_CHECKING:
    from midpo.writers.pictures.plots import Plot


def write_report(
    parts: Sequence[Section],
    directory: Path,
    *,
    framework: bool = False,
    pdf: bool = True,
    macros: Mapping[str, str] | None = None,
    date: str = "",
    opening: Sequence[Plot] = (),
) -> Report:
    """Write report.tex, report.bib and figures, and report.pdf where pdflatex is at hand.

    The options are those of writers.latex.report.documents. Raises: MidpoError where there is no
    folder to make `directory` in; OSError.
    """
    files = report.documents(
        parts, framework=derived() if framework else None, macros=macros, date=date, opening=opening
    )
    tex, *others = _write_all(directory, files)
    by_hand = f"cd {shlex.quote(str(directory))} && pdflatex report.tex && pdflatex report.tex"
    if not pdf:
        return Report(tex, None, f"wrote {tex}; to compile it: {by_hand}", tuple(others))
    try:
        data = typeset(files.pop("report.tex").decode("ascii"), files=files)
    except TypesetFailed as error:
        message = f"wrote {tex}, no PDF: {error}\nto compile it: {by_hand}"
        return Report(tex, None, message, tuple(others))
    (target,) = _write_all(directory, {"report.pdf": data})
    return Report(tex, target, f"wrote {tex} and {target}", tuple(others))


def derived() -> Framework:
    """The framework's theorems and the paper's slips, proved and checked."""
    from midpo.proofs.framework.slips import checked
    from midpo.proofs.framework.theorems import theorems

    return Framework(theorems(), checked())


def write_fragment(
    parts: Sequence[Section],
    directory: Path,
    *,
    macros: Mapping[str, str] | None = None,
    level: str = "section",
    text_width: float = fragment.TEXT_WIDTH,
) -> Report:
    """Write fragment.tex and fragment.bib, and the figures, into `directory`.

    Raises: see `write_report`.
    """
    files = fragment.documents(parts, macros=macros, level=level, text_width=text_width)
    tex, *others = _write_all(directory, files)
    message = rf"wrote {tex}; its first lines name the packages that \input{{{tex}}} needs"
    return Report(tex, None, message, tuple(others))


def _write_all(directory: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write each file into `directory`, in a folder of its own where its name says so."""
    paths = []
    for name, data in files.items():
        folder(directory)
        path = directory / name
        folder(path.parent)
        write(path, data)
        paths.append(path)
    return paths
