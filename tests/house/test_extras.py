"""Every command without numpy, matplotlib or torch answers, or says what to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import midpo
from midpo import extras
from midpo.cli import main
from midpo.symbolic.errors import MidpoError

COMMANDS: dict[str, list[str]] = {
    "list": ["list", "--year", "2023"],
    "show": ["show", "dpo"],
    "verify": ["verify", "dpo"],
    "solve": ["solve", "dpo"],
    "generate": ["generate", "dpo", "-o", "kernel.py"],
    "check": ["check", "dpo", "--trials", "1", "--dtype", "float64"],
    "report": ["report", "dpo", "--no-pdf"],
    "html": ["report", "dpo", "--html"],
    "fragment": ["report", "dpo", "--fragment", "--plots"],
    "report-check": ["report", "dpo", "--check", "--no-pdf"],
    "audit": ["audit", "dpo", "--trials", "1"],
    "compare": ["compare", "dpo", "dpo"],
    "derive": ["derive", "optimal-policy"],
    "certify": ["certify", "dpo", "-o", "certificates"],
    "optimise": ["optimise", "bss-hamming", "--what", "optimum", "-o", "plots"],
    "paper": ["paper", "--trials", "1"],
    "prove": ["prove", "dpo", "--pairs", "1"],
}
# What a command cannot do without.
NEEDS = {
    "check": {"torch", "numpy"},
    "report-check": {"torch", "numpy"},
    "paper": {"torch", "numpy"},
    "audit": {"numpy"},
    "optimise": {"numpy"},
    "prove": {"torch", "numpy"},
}
# What it does less without.
LEFT_OUT = {
    "report": {"numpy": "no audit", "matplotlib": "no plots"},
    "html": {"numpy": "no audit"},
    "fragment": {"numpy": "no audit", "matplotlib": "no plots"},
    "optimise": {"matplotlib": "plotting needs matplotlib"},
}


# A fresh interpreter in which packages are not installed, and what each command says there.
PROGRAM = """
import importlib.abc, json, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

packages, commands = json.loads(sys.argv[1])
sys.meta_path.insert(0, Absent())
from click.testing import CliRunner
from midpo.cli import main
for name, arguments in commands.items():
    found = CliRunner().invoke(main, arguments)
    expected = isinstance(found.exception, (SystemExit, type(None)))
    raised = None if expected else repr(found.exception)
    print(json.dumps([name, found.exit_code, found.stdout, found.stderr, raised]), flush=True)
"""


def test_every_command_is_here() -> None:
    # What the map draws takes long, and needs nothing that compare does not.
    assert {*main.commands} - {"map"} <= {given[0] for given in COMMANDS.values()}


@pytest.mark.parametrize(
    "without",
    [
        ("numpy", "matplotlib", "torch"),
        ("torch", "matplotlib"),
        pytest.param(("torch",), marks=pytest.mark.slow),
    ],
    ids="-".join,
)
def test_commands_without_packages(without: tuple[str, ...], tmp_path: Path) -> None:
    for package in {"numpy", "matplotlib"} - {*without}:
        pytest.importorskip(package)
    asked = {
        name: given
        for name, given in COMMANDS.items()
        if "numpy" in without or name in NEEDS or name in LEFT_OUT
    }
    root = Path(midpo.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([without, asked])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer[0] for answer in answers] == list(asked)
    for name, status, out, err, raised in answers:
        assert raised is None, (name, raised)
        lacking = NEEDS.get(name, set()) & {*without}
        if lacking:
            assert status == 2 and err.count("\n") == 1, (name, err)
            assert all(package in err for package in lacking)
            assert "not installed: pip install " in err
            continue
        if name == "derive":  # whether its theorems hold is asked elsewhere
            assert status in (0, 1) and not err
            continue
        assert status == 0, (name, out, err)
        for package, words in LEFT_OUT.get(name, {}).items():
            assert (words in out + err) == (package in without), (name, out, err)


def test_what_is_not_optional_is_raised() -> None:
    with pytest.raises(ImportError):
        extras.missing(ImportError("x", name="sympy"), "this")


def test_a_package_that_is_there_and_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "have", lambda name: True)
    error = extras.missing(ImportError("libblas.so.3: cannot open", name="numpy.core"), "audit")
    assert isinstance(error, MidpoError)
    assert str(error) == "audit needs numpy, which cannot be imported: libblas.so.3: cannot open"
