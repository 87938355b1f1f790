"""What tests need of a TeX installation, by name."""

from __future__ import annotations

import shutil
import subprocess

import pytest

DEBIAN = {
    "lmodern.sty": "lmodern",
    "xcolor.sty": "texlive-latex-recommended",
    "booktabs.sty": "texlive-latex-recommended",
    "listings.sty": "texlive-latex-recommended",
}


def needs_tex(*files: str) -> pytest.MarkDecorator:
    """Skip a test where pdflatex or one of these files of TeX's trees is missing, which is said."""
    if shutil.which("pdflatex") is None:
        return pytest.mark.skipif(True, reason="no pdflatex (Debian: texlive-latex-base)")
    lacking = [file for file in files if not _found(file)]
    words = ", ".join(f"{file} (Debian: {DEBIAN[file]})" for file in lacking)
    return pytest.mark.skipif(bool(lacking), reason=f"this TeX has no {words}")


def _found(file: str) -> bool:
    program = shutil.which("kpsewhich")
    return (
        program is not None
        and subprocess.run([program, file], capture_output=True, check=False).returncode == 0
    )
