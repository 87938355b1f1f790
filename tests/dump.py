"""What every command says of every row of the catalogue, in one folder: for whoever rebuilds.

    python tests/dump.py /tmp/before
    (change how the program is built, not what it says)
    python tests/dump.py /tmp/after --against /tmp/before

The whole takes two processors some four minutes; `--rows dpo,tdpo` writes these rows alone.

Nothing is asserted by a test: a mended sentence changes these files, and should. The command
prints the files that differ, and exits with 1 where there are some.
"""

from __future__ import annotations

import argparse
import filecmp
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

from click.testing import CliRunner

import midpo
from midpo.cli import main
from midpo.codegen.backends import BACKENDS

WHOLE = {  # commands that speak of no single row
    "list.txt": ["list", "--solve"],
    "list.json": ["list", "--json"],
    "list.md": ["list", "--markdown"],
    "derive.txt": ["derive"],
    "slips.txt": ["derive", "--slips"],
    "optimise.txt": ["optimise", "three-prompts"],
    "map.json": ["map", "--json"],
}


def commands(name: str) -> dict[str, list[str]]:
    """File name -> arguments, for one row."""
    asked = {
        "show.txt": ["show", name],
        "show.json": ["show", name, "--json"],
        "verify.txt": ["verify", name, "--steps"],
        "verify.json": ["verify", name, "--json"],
        "solve.txt": ["solve", name],
        "solve.json": ["solve", name, "--json"],
        "audit.txt": ["audit", name],
        "audit.json": ["audit", name, "--json"],
    }
    for backend in BACKENDS:
        asked[f"{backend}.py"] = ["generate", name, "--backend", backend, "-o", "-"]
    return asked


def said(arguments: list[str]) -> str:
    done = CliRunner().invoke(main, arguments)
    return f"{done.stdout}{done.stderr}exit {done.exit_code}\n"


def write_row(folder: Path, name: str) -> None:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for file, arguments in commands(name).items():
        (place / file).write_text(said(arguments))
    files = {"report": ["report", "--no-pdf"], "page": ["report", "--html"], "certify": ["certify"]}
    for kind, arguments in files.items():
        told = said([*arguments, name, "-o", str(place)])
        (place / f"{kind}.txt").write_text(told.replace(str(place), "."))


def write_whole(folder: Path) -> None:
    for file, arguments in WHOLE.items():
        (folder / file).write_text(said(arguments))
    names = midpo.catalogue()
    text = [f"{a} {b}\n{said(['compare', a, b])}" for a, b in pairwise(names)]
    (folder / "compare.txt").write_text("".join(text))
    said(["map", "-o", str(folder / "map.svg")])


def dump(folder: Path, rows: Sequence[str] = ()) -> None:
    """What is said of `rows`, or of all of them and of the catalogue as a whole."""
    folder.mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        whole = [] if rows else [pool.submit(write_whole, folder)]
        list(pool.map(partial(write_row, folder), rows or midpo.catalogue()))
        for part in whole:
            part.result()


def differences(one: Path, other: Path) -> Iterator[Path]:
    """Files below two folders that differ, or stand in one alone."""
    files = {f.relative_to(root) for root in (one, other) for f in root.rglob("*") if f.is_file()}
    for file in sorted(files):
        here, there = one / file, other / file
        if not (here.exists() and there.exists() and filecmp.cmp(here, there, shallow=False)):
            yield file


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("folder", type=Path)
    asked.add_argument("--against", type=Path, help="an earlier folder")
    asked.add_argument("--rows", type=lambda names: names.split(","), default=[])
    given = asked.parse_args()
    dump(given.folder, given.rows)
    if given.against:
        found = list(differences(given.folder, given.against))
        print("\n".join(map(str, found)) or "nothing differs")
        sys.exit(bool(found))
