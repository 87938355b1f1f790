"""The test files near what changed, a line each: those that were changed, and those that import a
changed module themselves.

    python tests/near.py          # against the last commit
    python tests/near.py main     # against the point where this branch left main
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from importing import ROOT, imported, modules


def changed(since: str) -> list[Path]:
    """Files that differ from the commit `since`, and those that git does not know yet."""
    asked = (["diff", "--name-only", "--merge-base", since], ["ls-files", "--others", "--exclude-standard"])
    found = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        for words in asked
    ]
    return [ROOT / line for done in found for line in done.stdout.splitlines()]


def near(files: Iterable[Path]) -> list[Path]:
    """Test files among `files`, and those that import a module or a helper among them."""
    known = modules()
    helpers = {file.stem: file for file in (ROOT / "tests").glob("*.py")}
    touched = {*files}
    names = {name for name, file in (known | helpers).items() if file in touched}
    found = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        if test in touched or imported("tests", test, {*known, *helpers}) & names:
            found.append(test)
    return found


if __name__ == "__main__":
    for file in near(changed(sys.argv[1] if sys.argv[1:] else "HEAD")):
        print(file.relative_to(ROOT))
