"""Who decides and who says: writers decide nothing, a standing's words stand in one table, and
regular expressions read what others wrote."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from importing import FLOORS, ROOT

from midpo.symbolic.formula.standing import Standing

WRITERS = ROOT / "midpo" / "writers"
# Functions of the floors above which writers stand that only say what a result holds.
TELLING = ("midpo.proofs.account.", "midpo.numeric.figures")
# Modules that read text of others: specs, TOML, code, BibTeX, macros, TeX's and Coq's output, SVG
# of matplotlib. The list only shrinks.
READERS = {
    "symbolic/domains/written.py",
    "symbolic/language/spec.py",
    "symbolic/language/table.py",
    "symbolic/language/toml.py",
    "numeric/checking/binding.py",
    "midpo/code.py",
    "midpo/targets.py",
    "midpo/writers/html/references.py",
    "midpo/writers/latex/bibliography.py",
    "midpo/writers/latex/pieces.py",
    "midpo/writers/latex/renaming.py",
    "midpo/writers/latex/typeset.py",
    "midpo/writers/pictures/plots.py",
    "proofs/certify/certificate.py",
    "proofs/certify/printer.py",
    "proofs/certify/runner.py",
    "proofs/certify/terms.py",
}


def deciding(source: str) -> set[str]:
    """What a writer's module imports from the floors that decide and is no type or constant."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        floor = node.module.split(".")[:2]
        if floor[0] != "midpo" or floor[1:] not in (["proofs"], ["numeric"], ["codegen"]):
            continue
        found |= {f"{node.module}.{name.name}" for name in node.names if name.name[0].islower()}
    return {name for name in found if not name.startswith(TELLING)}


def test_writers_decide_nothing() -> None:
    for file in WRITERS.rglob("*.py"):
        assert not deciding(file.read_text()), file.name
    for planted in (
        "from midpo.proofs.recover.recovery import Recovery, verify",
        "def f():\n    from midpo.numeric.checking import crosscheck",
        "from midpo.proofs.audit.audit import audit as ask",
    ):
        assert len(deciding(planted)) == 1, planted


MEDIA = ("latex", "html", "terminal")


def foreign(medium: str, source: str) -> set[str]:
    """What a writer of one medium imports from another's."""
    return {
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for other in MEDIA
        if other != medium
        if node.module.startswith(f"midpo.writers.{other}")
    }


def test_no_medium_writes_through_another() -> None:
    for medium in MEDIA:
        for file in (WRITERS / medium).glob("*.py"):
            assert not foreign(medium, file.read_text()), file.name
    for file in WRITERS.glob("*.py"):
        assert not foreign("", file.read_text()), file.name
    assert foreign("html", "from midpo.writers.latex.pieces import escape")


def modules() -> Iterator[tuple[str, Path]]:
    for folder in (*FLOORS, "midpo"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = str(file.relative_to(ROOT))
            if not (folder == "midpo" and name.split("/")[1] in FLOORS):
                yield name, file


def standings(source: str) -> list[str]:
    """Texts of a module that begin as a standing does."""
    words = "|".join(sorted((re.escape(s.value) for s in Standing), key=len, reverse=True))
    begins = re.compile(rf"({words})(: |; | \(| at |, | only)")
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in prose
        and begins.match(node.value)
    ]


SAID = {  # which speak of the words themselves
    "symbolic/formula/standing.py",
    "midpo/writers/terminal/checks.py",
}


def test_the_words_of_a_standing_are_one_table() -> None:
    for name, file in modules():
        if name not in SAID and not name.startswith("codegen/"):
            assert not standings(file.read_text()), name
    for planted in (
        'x = f"proved: {n} steps"',
        'x = "numerical evidence only"',
        'x = ("refuted at the witness", "")',
    ):
        assert standings(planted), planted


def test_only_readers_of_foreign_text_use_regular_expressions() -> None:
    users = {
        name
        for name, file in modules()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import) and {"re", "tokenize"} & {a.name for a in node.names}
    }
    assert users == READERS


@pytest.mark.parametrize("kind", Standing)
def test_every_kind_of_standing_is_used(kind: Standing) -> None:
    text = "".join(
        file.read_text()
        for name, file in modules()
        if name.startswith(("proofs/", "numeric/", "midpo/writers/"))
    )
    assert f"Standing.{kind.name}" in text or kind in (Standing.PROVED, Standing.UNDECIDED)
