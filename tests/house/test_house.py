"""The house: floors, packaging lists, and what README and the tools promise."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from importing import FLOORS, ROOT, imported, modules

import midpo
from midpo.cli import main

MAY_IMPORT = {
    "symbolic": {"symbolic"},
    "numeric": {"symbolic", "numeric"},
    "codegen": {"symbolic", "numeric", "codegen"},
    "proofs": {"symbolic", "numeric", "proofs"},
}
MOST_MODULES, MOST_LINES = 16, 450
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
    for file in (ROOT / floor).rglob("*.py"):
        assert not wrong_imports(floor, file.read_text()), file.name


def test_the_floor_test_fires() -> None:
    assert wrong_imports("symbolic", "from midpo.numeric import evaluate") == {"numeric"}
    assert wrong_imports("codegen", "import midpo.proofs.checking.check") == {"proofs"}
    assert wrong_imports("numeric", "from midpo import api") == {"door"}


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
        for file in modules().values()
        if re.search(r"^\s*(import|from) torch", file.read_text(), re.M)
    }
    written = ("codegen/runtime/", "codegen/training/")  # into files, which need it
    rooms = {user for user in users if user.startswith((*written, "codegen/lifting/"))}
    assert users - rooms == {"numeric/checking/crosscheck.py", "midpo/proving/deciding.py"}


def packages() -> dict[str, Path]:
    """Every package by its dotted name, and its folder."""
    return {name: file.parent for name, file in modules().items() if file.name == "__init__.py"}


def test_every_package_and_data_file_is_listed() -> None:
    tool = PROJECT["tool"]["setuptools"]
    assert sorted(tool["packages"]) == sorted(packages())
    for name, folder in packages().items():
        listed = tool["package-data"].get(name, [])
        for file in data_of(folder):
            assert any(file.match(pattern) for pattern in listed), folder / file


def data_of(folder: Path) -> list[Path]:
    """The files of a package that are no modules, below it in folders that are no packages."""
    found = []
    for file in folder.rglob("*"):
        inside = file.relative_to(folder)
        within = [folder.joinpath(*inside.parts[:n]) for n in range(1, len(inside.parts))]
        if (
            file.is_file()
            and file.suffix != ".py"
            and file.name != "ruff.toml"
            and "__pycache__" not in inside.parts
            and not any((f / "__init__.py").exists() or f.is_symlink() for f in within)
        ):
            found.append(inside)
    return found


def rooms(folder: Path) -> set[str]:
    """What a package's map has to name: its modules, and its packages with a stroke."""
    inner = {f"{p.parent.name}/" for p in folder.glob("*/__init__.py") if not p.parent.is_symlink()}
    return inner | {file.stem for file in folder.glob("*.py") if not file.stem.startswith("__")}


def mapped(text: str) -> set[str]:
    """The rooms that a package's docstring names, one to a line."""
    return set(re.findall(r"^ *([a-z_0-9]+/?)  ", text, re.M))


@pytest.mark.parametrize("name", sorted(packages()))
def test_a_package_is_its_map_and_small(name: str) -> None:
    folder = packages()[name]
    assert len(list(folder.glob("[!_]*.py"))) <= MOST_MODULES
    if name != "midpo":  # whose docstring shows users what it does
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()), clean=False)
        assert mapped(text or "") == rooms(folder)


def test_the_map_test_fires(tmp_path: Path) -> None:
    (tmp_path / "there.py").touch()
    assert rooms(tmp_path) == {"there"} != mapped("A room.\n\n    gone  is no longer there\n")


MOST_FUNCTION = 70  # lines; those that hold nothing but brackets are the formatter's
LONG_FUNCTIONS = {  # that are longer; the list only shrinks
    "midpo/commands/report.py command",
    "proofs/audit/regulariser.py regulariser",
}


def long_functions(source: str) -> list[str]:
    lines = source.split("\n")
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and len([x for x in lines[node.lineno - 1 : node.end_lineno] if re.search(r"[^\s()\[\]{},:]", x)])
        > MOST_FUNCTION
    ]


def test_functions_are_short() -> None:
    found = {
        f"{file.relative_to(ROOT)} {function}"
        for file in modules().values()
        for function in long_functions(file.read_text())
    }
    assert found == LONG_FUNCTIONS
    assert long_functions("def f():\n" + "    x = 1\n" * MOST_FUNCTION) == ["f"]
    assert not long_functions("def f():\n" + "    x = (\n    )\n" * (MOST_FUNCTION - 1))
    assert not long_functions("def f():\n" + "    x = 1\n" * (MOST_FUNCTION - 1))


def test_modules_are_short() -> None:
    known = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in modules().values()}
    assert not {file for file, lines in known.items() if lines > MOST_LINES}


# The function step of the language, and a step of a derivation, kernels' derivations among them.
TWICE = {"Step"}


def classes(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Public classes by name, and the modules that define one of that name."""
    found: dict[str, list[str]] = {}
    for module, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module)
    return found


def test_no_two_public_classes_share_a_name() -> None:
    """Below `codegen` names are those of program text, read in their own folder."""
    sources = {
        name: file.read_text() for name, file in modules().items() if not name.startswith("midpo.codegen")
    }
    assert {name for name, places in classes(sources).items() if len(places) > 1} == TWICE
    planted = classes({"a": "class Claim:\n    pass", "b": "class Claim: ...\nclass _Own: ..."})
    assert planted == {"Claim": ["a", "b"]}


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


def test_every_command_is_a_function_of_its_name() -> None:
    assert list(main.commands) == list(midpo.COMMANDS)
    assert {*midpo.COMMANDS} <= {*midpo.__all__}
    for name in midpo.COMMANDS:
        function = getattr(midpo, name)
        assert function.__name__ == name and "->" in str(inspect.signature(function))


@pytest.mark.parametrize("names", [sorted(main.commands), midpo.catalogue()[:8]])
def test_readme_names_everything(names: list[str]) -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [name for name in names if not re.search(rf"\b{re.escape(name)}\b", readme)]


def test_ci_runs_the_readme_command() -> None:
    readme = (ROOT / "README.md").read_text()
    command = next(line for line in readme.splitlines() if line.endswith("pytest"))
    assert command.strip() in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("call", ["ruff check .", "ruff format --check .", "mypy"])
def test_lint(call: str) -> None:
    tool, *arguments = call.split()
    pytest.importorskip(tool)
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_language_reference_is_complete() -> None:
    """Every key, domain, function and feature kind of the language stands in its reference."""
    from midpo.symbolic.domains.intervals import DOMAINS
    from midpo.symbolic.language.table import FEATURES, KEYS
    from midpo.symbolic.language.words import FUNCTIONS, SPECIAL

    reference = (ROOT / "docs" / "language.md").read_text()
    words = set(re.findall(r"[a-z_]+", reference))
    assert {*DOMAINS, *SPECIAL, *FEATURES, *KEYS} <= words
    lines = [f"| `{word.call}` | {word.says} |" for word in FUNCTIONS.values()]
    assert "\n".join(lines) in reference


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
