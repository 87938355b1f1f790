"""How long certificates take: `python benchmarks/certify.py` writes certify.md here (needs coqc).

CPU seconds are those of coqc alone, its start included where that is said; wall-clock seconds are
of two workers on an otherwise idle machine.
"""

from __future__ import annotations

import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from midpo.proofs.certify.certificate import Certificate, check, export_catalogue
from midpo.proofs.certify.library import FILES, for_release, library_texts
from midpo.proofs.certify.runner import Tools, compile_file, find_tools
from midpo.symbolic.language.spec import PAPER

HERE = Path(__file__).parent
RUNS = 3
START = "From Coq Require Import Reals Lra List.\nFrom Midpo Require Import Midpo.\n"
# A bound of the issue, in seconds, beside each figure it speaks of.
BOUNDS = {"spec": 0.5, "eight": 3.0, "catalogue": 120.0}


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock seconds of `work`, and CPU seconds of it and of the programs it runs."""

    def used() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))

    wall, cpu = time.perf_counter(), used()
    work()
    return time.perf_counter() - wall, used() - cpu


def in_one_file(certificates: list[Certificate]) -> str:
    """The certificates as modules of one file."""
    parts = [START]
    for one in certificates:
        body = one.text.split("Open Scope R_scope.\n", 1)[1]
        parts.append(f"Module {one.module}.\nOpen Scope R_scope.\n{body}End {one.module}.\n")
    return "\n".join(parts)


def compile_text(tools: Tools, folder: Path, name: str, text: str) -> float:
    """Median CPU seconds of compiling `text`."""
    file = folder / f"{name}.v"
    file.write_text(for_release(text, tools.library), encoding="utf-8")
    return statistics.median(compile_file(tools, file)[1] for _ in range(RUNS))


def main() -> None:
    tools = find_tools()
    found: list[Certificate] = []

    def whole() -> None:
        found.extend(check(export_catalogue()))

    wall, cpu = timed(whole)
    checked = [one for one in found if one.state == "checked"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library: dict[str, float] = {}
        for file, text in library_texts(tools.library).items():
            (folder / file).write_text(text, encoding="utf-8")
            library[file] = compile_file(tools, folder / file)[1]
        assert set(library) == set(FILES)
        start = compile_text(tools, folder, "start", START)
        eight = [one for one in checked if one.spec.name in PAPER]
        together = compile_text(tools, folder, "eight", in_one_file(eight))
        # Each alone, as the start was: what two at once cost each other is in the first figures.
        over = {one.spec.name: compile_text(tools, folder, one.module, one.text) - start for one in checked}
    slowest = sorted(over.items(), key=lambda item: -item[1])
    within = sum(seconds <= BOUNDS["spec"] for seconds in over.values())
    others = [one for one in found if one.text and one.state != "checked"]
    lines = [
        "# How long certificates take",
        "",
        "Written by `python benchmarks/certify.py`. CPU seconds are those of coqc.",
        "",
        f"{date.today()}, Coq {tools.version}, {platform.machine()}, two workers.",
        "",
        "| what | s | bound |",
        "| :--- | ---: | ---: |",
        f"| the catalogue: {len(checked)} recoveries compiled, axioms listed, read back; elapsed "
        f"| {wall:.0f} | {BOUNDS['catalogue']:.0f} |",
        f"| the same, CPU seconds of all programs | {cpu:.0f} | |",
        f"| the paper's {len(eight)} in one file | {together:.2f} | {BOUNDS['eight']:.0f} |",
        f"| start: the library and Coq's real numbers are loaded | {start:.2f} | |",
        f"| one recovery beyond the start: median | {statistics.median(over.values()):.2f} "
        f"| {BOUNDS['spec']} |",
        f"| one recovery beyond the start: largest | {slowest[0][1]:.2f} | {BOUNDS['spec']} |",
        "",
        f"{within} of {len(over)} recoveries stay within {BOUNDS['spec']} s. The slowest:",
        "",
        "| entry | s beyond the start |",
        "| :--- | ---: |",
        *(f"| {entry} | {seconds:.2f} |" for entry, seconds in slowest[:8]),
        "",
        "The library itself: " + ", ".join(f"{file} {s:.1f} s" for file, s in library.items()) + ".",
    ]
    lines += [f"\nNot checked: {one.spec.name}, {one.reason}" for one in others]
    (HERE / "certify.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
