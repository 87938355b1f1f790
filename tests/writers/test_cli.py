"""The command line: answers on standard output, messages on standard error, exit statuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import midpo
from midpo.cli import main
from midpo.symbolic.language.spec import PAPER

NINTH = """name = "ninth"
title = "Length-normalised DPO"
reference = "a ninth algorithm"
prior = "pi(y) * (pi_ref(y)/pi(y))**(1/len(y))"
[parameters]
alpha = { domain = "positive", default = 2.5 }
[target]
margin = '''alpha/len(y_w)*log(pi(y_w)/pi_ref(y_w)) - alpha/len(y_l)*log(pi(y_l)/pi_ref(y_l))'''
"""
WRONG = NINTH.replace("(1/len(y))", "(2/len(y))").replace("ninth", "wrong")
UNKNOWN = NINTH.replace("pi_ref(y)/", "pi_reff(y)/").replace("ninth", "unknown")
UNDECIDED = """name = "undecided"
prior = "pi_ref(y)"
[target]
margin = '''log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))
  + len(y_w)*(2**(1/2) + 3**(1/2) - (5 + 2*6**(1/2))**(1/2))'''
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def specs(tmp_path: Path) -> dict[str, Path]:
    texts = {"ninth": NINTH, "wrong": WRONG, "unknown": UNKNOWN, "undecided": UNDECIDED}
    for name, text in texts.items():
        (tmp_path / f"{name}.toml").write_text(text)
    return {name: tmp_path / f"{name}.toml" for name in texts}


def document(result: Result) -> Any:
    """Standard output as one JSON document."""
    return json.loads(result.stdout)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_help_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"midpo {command}" in result.stdout.split("Example:")[1]


def test_list_names_the_catalogue() -> None:
    assert [row["name"] for row in document(run("list", "--json"))] == midpo.catalogue()
    shown = run("list").stdout
    assert all(name in shown for name in midpo.catalogue())


@pytest.mark.parametrize("name", midpo.catalogue())
def test_show_reads_back(name: str) -> None:
    (shown,) = document(run("show", name, "--json"))
    spec = midpo.load(name)
    assert shown["name"] == name and shown["digest"] == spec.digest
    assert shown["latex"] or spec.reason
    told = run("show", name)
    assert told.exit_code == 0
    kernel = shown.get("kernel")
    assert ("its kernel needs" in told.stdout) == (kernel is not None)
    assert kernel is None or midpo.generate(spec).takes.as_json() == kernel


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["dpo"], 0),
        (list(PAPER), 0),
        (["ninth"], 0),
        (["wrong"], 1),
        (["undecided"], 3),
        (["wrong", "undecided"], 1),
        (["unknown"], 2),
        (["dpo", "unknown", "wrong"], 2),
        (["no-such-thing"], 2),
        (["no/such/file.toml"], 2),
        (["."], 2),
    ],
)
def test_verify_exit_statuses(names: list[str], status: int, specs: dict[str, Path]) -> None:
    given = [str(specs.get(name, name)) for name in names]
    plain, as_json = run("verify", *given), run("verify", "--json", *given)
    assert plain.exit_code == as_json.exit_code == status
    assert "Traceback" not in plain.output
    answers = document(as_json)
    assert len(answers) == len(names)
    for name, answer in zip(names, answers, strict=True):
        assert answer["name"] in (name, str(specs.get(name, name)))
        assert ("error" in answer) == (name in ("unknown", "no-such-thing", "no/such/file.toml", "."))


def test_a_refutation_says_what_is_off(specs: dict[str, Path]) -> None:
    shown = run("verify", specs["wrong"])
    assert "refuted" in shown.stdout and "witness" in shown.stdout
    (answer,) = document(run("verify", "--json", specs["wrong"]))
    assert answer["working_prior"] and answer["explanation"].count(".") == 1
    assert answer["witness"]["margins"]["target"] != answer["witness"]["margins"]["recovered"]
    mended = (
        specs["wrong"].read_text().replace("pi(y) * (pi_ref(y)/pi(y))**(2/len(y))", answer["working_prior"])
    )
    specs["wrong"].write_text(mended)
    assert run("verify", specs["wrong"]).exit_code == 0


def test_errors_have_a_caret_and_what_is_near(specs: dict[str, Path]) -> None:
    result = run("verify", specs["unknown"])
    assert result.exit_code == 2 and not result.stdout
    lines = result.stderr.splitlines()
    assert str(specs["unknown"]) in lines[0] and "prior" in lines[0]
    caret = next(i for i, line in enumerate(lines) if line.strip("| ") == "^")
    assert lines[caret - 1][lines[caret].index("^") :].startswith("pi_reff")
    assert 'did you mean "pi_ref"' in result.stderr


def test_generate_writes_the_file(tmp_path: Path, specs: dict[str, Path]) -> None:
    target = tmp_path / "out" / "kernel.py"
    result = run("generate", specs["ninth"], "-o", target, "--parents")
    assert result.exit_code == 0 and "def ninth_loss(" in target.read_text()
    assert run("generate", "dpo", "-o", "-").stdout == midpo.generate("dpo").source
    (answer,) = document(run("generate", "dpo", "-o", target, "--json"))
    assert answer["function"] == "dpo_loss" and "def dpo_loss(" in target.read_text()
    assert [p.name for p in target.parent.iterdir()] == ["kernel.py"]


@pytest.mark.parametrize("what", ["unknown", "no-such-thing"])
def test_bad_input_writes_nothing(what: str, tmp_path: Path, specs: dict[str, Path]) -> None:
    target = tmp_path / "kernel.py"
    target.write_text("# precious\n")
    source = specs.get(what, what)
    assert run("generate", source, "-o", target).exit_code == 2
    assert run("report", source, "-o", tmp_path / "report").exit_code == 2
    assert target.read_text() == "# precious\n"
    assert not (tmp_path / "report").exists()


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "kernel.py"
    target.write_text("# precious\n")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    result = run("generate", "dpo", "--force", "-o", target)
    assert result.exit_code == 2 and f"{target}: No space left" in result.stderr
    assert target.read_text() == "# precious\n"
    assert [p.name for p in tmp_path.iterdir()] == ["kernel.py"]


def test_check_answers(specs: dict[str, Path]) -> None:
    pytest.importorskip("torch")
    result = run("check", "dpo", specs["ninth"], "--trials", "3", "--dtype", "float32", "--json")
    assert result.exit_code == 0
    assert [a["verdict"] for a in document(result)] == ["agrees", "agrees"]
    assert run("check", specs["wrong"], "--trials", "3").exit_code == 1
    assert run("check", specs["unknown"], "--trials", "3").exit_code == 2
    assert run("check", "dpo", "--device", "nowhere", "--trials", "2").exit_code == 2


def test_report_of_a_ninth_algorithm(tmp_path: Path, specs: dict[str, Path]) -> None:
    result = run("report", specs["ninth"], "dpo", "-o", tmp_path / "r", "--no-pdf", "--json")
    assert result.exit_code == 0
    written = Path(document(result)["tex"]).read_text()
    assert "Length-normalised DPO" in written and "Rafailov" in written


def test_paper_reproduces(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = run("paper", "-o", tmp_path, "--trials", "2", "--json")
    assert result.exit_code == 0
    answer = document(result)
    assert answer["passed"]
    assert [r["name"] for r in answer["recoveries"]] == list(PAPER)
    assert {r["verdict"] for r in answer["recoveries"]} == {"proved"}
    assert len(list((tmp_path / "kernels").glob("*_loss.py"))) == 8
    assert (tmp_path / "report.tex").exists()


PROGRAM = """
import sys
import time
from midpo.cli import main
try:
    main({arguments!r})
except SystemExit as stop:
    print([m for m in {modules!r} if m in sys.modules], stop.code)
"""


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["verify", "simpo"], ["torch", "numpy", "jinja2"]),
        (["--help"], ["torch", "numpy", "jinja2", "sympy", "rich"]),
        (["generate", "dpo", "-o", "-"], ["torch", "numpy"]),
    ],
)
def test_start_is_quick(arguments: list[str], heavy: list[str]) -> None:
    """What a command does not need is not imported."""
    program = PROGRAM.format(arguments=arguments, modules=heavy)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize("missing", ["torch", "numpy"])
def test_without_torch_check_says_what_to_install(missing: str) -> None:
    program = (
        f"import sys; sys.modules['{missing}'] = None\nfrom midpo.cli import main\nmain(['check', 'dpo'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2 and f"{missing}, which is not installed: pip install" in done.stderr
    assert "Traceback" not in done.stderr


def test_module_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "midpo", "verify", "dpo"], capture_output=True, text=True)
    assert done.returncode == 0 and "proved" in done.stdout


HOSTILE = {
    "power": "pi_ref(y)*exp((eta + len(y))**1000)",
    "tower": "pi_ref(y)*exp(exp(exp(1000)))",
    "sums": "pi_ref(y)*exp("
    + "sum(exp(" * 8
    + "+".join(f"w(y,t{n})" for n in range(8))
    + "".join(f") for t{n} in y)" for n in range(8))
    + ")",
}


@pytest.mark.parametrize(
    "command",
    ["show", "verify", "solve", "generate", "check", pytest.param("report", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_specs_end_soon_in_every_command(name: str, command: str, tmp_path: Path) -> None:
    sides = (re.sub(r"\by\b", role, f"log(pi(y)/({HOSTILE[name]}))") for role in ("y_w", "y_l"))
    target = " - ".join(sides)
    file = tmp_path / "hostile.toml"
    file.write_text(
        f'name = "hostile"\nprior = "{HOSTILE[name]}"\n[parameters]\neta = "positive"\n'
        f'[features]\nw = "token"\n[target]\nmargin = "{target}"'
    )
    options = {
        "generate": ["-o", "-"],
        "check": ["--trials", "2"],
        "report": ["--no-pdf", "-o", str(tmp_path)],
    }.get(command, [])
    if command == "check":
        pytest.importorskip("torch")
    start = time.process_time()
    result = run(command, file, *options)
    assert result.exit_code in (0, 1, 2, 3)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert time.process_time() - start < 25


def test_defaults_are_those_of_the_cross_check() -> None:
    pytest.importorskip("numpy")
    from midpo.codegen.backends import BACKENDS
    from midpo.codegen.kernels.steps import WHERES
    from midpo.commands import options
    from midpo.numeric.checking import crosscheck

    assert (options.TRIALS, options.DTYPES) == (crosscheck.TRIALS, crosscheck.DTYPES)
    assert tuple(BACKENDS) == options.BACKENDS
    assert tuple(WHERES) == options.WHERES
