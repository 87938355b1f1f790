"""The house: floors, packaging lists, and what README and the tools promise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import midpo
from midpo.cli import main

ROOT = Path(__file__).parents[1]
FLOORS = ("symbolic", "numeric", "codegen", "proofs")
MAY_IMPORT = {
    "symbolic": {"symbolic"},
    "numeric": {"symbolic", "numeric"},
    "codegen": {"symbolic", "numeric", "codegen"},
    "proofs": {"symbolic", "numeric", "proofs"},
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def imports(source: str) -> set[str]:
    """The floors that a module imports, `midpo` itself as "door"."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "midpo":
                floor = parts[1] if len(parts) > 1 else ""
                found.add(floor if floor in FLOORS else "door")
    return found


def wrong_imports(floor: str, source: str) -> set[str]:
    return imports(source) - MAY_IMPORT[floor]


@pytest.mark.parametrize("floor", FLOORS)
def test_floors_import_downwards(floor: str) -> None:
    for file in (ROOT / floor).glob("*.py"):
        assert not wrong_imports(floor, file.read_text()), file.name


def test_the_floor_test_fires() -> None:
    assert wrong_imports("symbolic", "from midpo.numeric import evaluate") == {"numeric"}
    assert wrong_imports("codegen", "import midpo.proofs.check") == {"proofs"}
    assert wrong_imports("numeric", "from midpo import api") == {"door"}


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


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring; none if there is none."""
    order = TopologicalSorter(imports)
    try:
        order.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other() -> None:
    known = modules()
    assert not circle({name: imported(name, file, known) for name, file in known.items()})


def test_the_circle_test_fires(tmp_path: Path) -> None:
    files = {
        "midpo.a": "def f():\n    from .b import x",
        "midpo.b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from midpo import a",
    }
    known = {}
    for name, text in files.items():
        known[name] = tmp_path / f"{name[-1]}.py"
        known[name].write_text(text)
    imports = {name: imported(name, file, known) for name, file in known.items()}
    assert imports == {"midpo.a": {"midpo.b"}, "midpo.b": {"midpo.a"}}
    assert set(circle(imports)) == {*known}


def test_torch_has_one_room() -> None:
    users = {
        str(file.relative_to(ROOT))
        for floor in (*FLOORS, "midpo")
        for file in (ROOT / floor).glob("*.py")
        if re.search(r"^\s*(import|from) torch", file.read_text(), re.M)
    }
    assert users == {"numeric/crosscheck.py"}


def test_every_package_and_data_file_is_listed() -> None:
    tool = PROJECT["tool"]["setuptools"]
    assert tool["packages"] == ["midpo", *(f"midpo.{floor}" for floor in FLOORS)]
    data = tool["package-data"]
    for floor in FLOORS:
        listed = data.get(f"midpo.{floor}", [])
        for file in (ROOT / floor).rglob("*"):
            inside = file.relative_to(ROOT / floor)
            if file.is_file() and "__pycache__" not in inside.parts and file.suffix != ".py":
                assert any(inside.match(pattern) for pattern in listed), inside
            if file.suffix == ".py":
                assert len(inside.parts) == 1, f"{floor} is flat, {inside} is not"


def test_links_lead_to_the_floors() -> None:
    for floor in FLOORS:
        link = ROOT / "midpo" / floor
        assert link.is_symlink() and link.resolve() == ROOT / floor


def test_versions_agree() -> None:
    assert PROJECT["project"]["version"] == midpo.__version__
    assert f"## {midpo.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_public_names_are_there_and_documented() -> None:
    for name in midpo.__all__:
        value = getattr(midpo, name)
        assert name.startswith("__") or value.__doc__, name


@pytest.mark.parametrize("names", [sorted(main.commands), midpo.catalogue()[:8]])
def test_readme_names_everything(names: list[str]) -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [name for name in names if not re.search(rf"\b{re.escape(name)}\b", readme)]


def test_ci_runs_the_readme_command() -> None:
    readme = (ROOT / "README.md").read_text()
    command = next(line for line in readme.splitlines() if line.endswith("pytest"))
    assert command.strip() in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("tool", ["ruff", "mypy"])
def test_lint(tool: str) -> None:
    arguments = {
        "ruff": ["-m", "ruff", "check", "midpo", *FLOORS, "tests"],
        "mypy": ["-m", "mypy"],
    }[tool]
    pytest.importorskip(tool)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_language_reference_is_complete() -> None:
    """Every key, domain, function and feature kind of the language stands in its reference."""
    from midpo.symbolic.intervals import DOMAINS
    from midpo.symbolic.language import FUNCTIONS, SPECIAL
    from midpo.symbolic.spec import FEATURES, KEYS

    reference = (ROOT / "docs" / "language.md").read_text()
    words = set(re.findall(r"[a-z_]+", reference))
    assert {*DOMAINS, *FUNCTIONS, *SPECIAL, *FEATURES, *KEYS} <= words


def test_spec_of_the_language_reference_is_proved() -> None:
    reference = (ROOT / "docs" / "language.md").read_text()
    example = reference.split("```toml\n")[1].split("```")[0]
    assert midpo.verify(midpo.loads(example)).verdict == "proved"


def test_example_of_the_readme_is_refuted_as_printed() -> None:
    readme = (ROOT / "README.md").read_text()
    example = readme.split("```toml\n")[1].split("```")[0]
    found = midpo.verify(midpo.loads(example))
    assert found.verdict == "refuted" and found.explanation in readme
    assert f"a prior that works: {found.working_prior}" in readme
