"""docs/reports.md: its commands and its Python run as printed."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from midpo.cli import main
from midpo.writers.latex.renaming import checked

TEXT = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()


def commands() -> list[str]:
    return [line.strip() for line in TEXT.splitlines() if line.startswith("    midpo ")]


def test_options_are_those_of_the_command() -> None:
    known = {
        option
        for parameter in main.commands["report"].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    words = (word.strip("`.,;()") for word in TEXT.split() if word.startswith(("`--", "--")))
    named = {word for word in words if word.strip("-")}
    assert named and {n.split("=")[0] for n in named} <= known


@pytest.mark.parametrize("line", commands())
def test_commands_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, *arguments = shlex.split(line)
    extra = [] if "--fragment" in arguments else ["--no-pdf", "--no-audit"]
    result = CliRunner().invoke(main, [*arguments, *extra])
    assert result.exit_code == 0, result.output
    assert list(tmp_path.rglob("*.tex")) and list(tmp_path.rglob("*.bib"))


def test_the_macros_are_mathematics() -> None:
    table = tomllib.loads(TEXT.split("```toml\n")[1].split("```")[0])
    assert checked(table, {"alpha"})["alpha"] == r"\beta"


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    exec(TEXT.split("```python\n")[1].split("```")[0], {})
    assert (tmp_path / "report/report.tex").is_file()
    assert "y^+" in (tmp_path / "appendix/fragment.tex").read_text()
