"""Who imports whom: read off the source, late imports and those for types alone counted."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = ("symbolic", "numeric", "codegen", "proofs")


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a package's stands for its __init__."""
    found = {}
    for floor in (*FLOORS, "midpo"):
        for file in (ROOT / floor).rglob("*.py"):
            inside = file.relative_to(ROOT).with_suffix("").parts
            if inside[0] == "midpo" and inside[1] in FLOORS:
                continue  # a link
            parts = inside if inside[0] == "midpo" else ("midpo", *inside)
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def imported(name: str, file: Path, known: Collection[str]) -> set[str]:
    """The modules among `known` that one imports, late and for its types alone too."""
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= inner & {*known} or {base}
    return found & {*known} - {name}
