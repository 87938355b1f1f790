"""LaTeX -> PDF, by a pdflatex on the path, away from the user's files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

TIMEOUT = 180.0  # seconds, each run
RUNS = (2, 4)  # at least, for the second knows the labels of the first; at most
LOG_LINES = 12

# No shell, no file outside the working directory and TeX's own trees, no clock in the output.
_OPTIONS = ("-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error")
_ENVIRONMENT = {
    "openin_any": "p",
    "openout_any": "p",
    "SOURCE_DATE_EPOCH": "0",
    "FORCE_SOURCE_DATE": "1",
    "max_print_line": "200",
}


# What a report cannot do without, by Debian's packages; the templates make up for the rest.
_MISSING = re.compile(r"^! LaTeX Error: File `([^'\n]{1,80})' not found", re.MULTILINE)
_DEBIAN = {
    **dict.fromkeys(("amssymb.sty", "amsfonts.sty"), "texlive-base"),
    **dict.fromkeys(
        (
            "amsmath.sty",
            "amsthm.sty",
            "array.sty",
            "longtable.sty",
            "verbatim.sty",
            "geometry.sty",
            "graphicx.sty",
            "color.sty",
            "hyperref.sty",
            "article.cls",
            "size10.clo",
        ),
        "texlive-latex-base",
    ),
}


class TypesetFailed(Exception):
    """No PDF came of it; the message says why."""


def typeset(tex: str, log: list[str] | None = None, files: Mapping[str, bytes] | None = None) -> bytes:
    """The PDF of a LaTeX source; the last run's log is appended to `log`. `files` are those that
    the source reads, by their path beside it.

    Raises: TypesetFailed where pdflatex is absent, fails or takes too long.
    """
    program = shutil.which("pdflatex")
    if program is None:
        raise TypesetFailed("pdflatex was not found (Debian: texlive-latex-base)")
    with tempfile.TemporaryDirectory(prefix="midpo-") as folder:
        source = Path(folder, "report.tex")
        source.write_text(tex, encoding="ascii")
        for name, data in (files or {}).items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        for run in range(1, RUNS[1] + 1):
            _run(program, source, draft=run == 1)
            if run >= RUNS[0] and "Rerun to get" not in _log(source):
                break
        if log is not None:
            log.append(_log(source))
        return source.with_suffix(".pdf").read_bytes()


def _run(program: str, source: Path, *, draft: bool = False) -> None:
    try:
        done = subprocess.run(
            [program, *_OPTIONS, *(["-draftmode"] if draft else []), source.name],
            cwd=source.parent,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TypesetFailed(f"pdflatex took more than {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise TypesetFailed(f"pdflatex could not be run: {error.strerror or error}") from None
    written = source.with_suffix(".log" if draft else ".pdf")
    log = _log(source)
    missing = _MISSING.search(log)
    if missing:
        package = _DEBIAN.get(missing[1], "texlive-latex-extra")
        raise TypesetFailed(f"this TeX has no {missing[1]} (Debian: {package})")
    if done.returncode != 0 and not log:
        raise TypesetFailed("pdflatex does not start (Debian: texlive-latex-base)")
    if done.returncode != 0 or not written.is_file():
        raise TypesetFailed(f"pdflatex failed:\n{_complaint(log)}")


def _log(source: Path) -> str:
    try:
        return source.with_suffix(".log").read_text(encoding="latin-1")
    except OSError:
        return ""


def _complaint(log: str) -> str:
    """The lines of a log from its error on, without TeX's statistics."""
    lines = [line[:200] for line in log.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if line.startswith("!")), -LOG_LINES)
    return "\n".join(lines[start:][:LOG_LINES]) or "(no log)"
