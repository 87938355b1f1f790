"""`midpo optimise`: exit statuses, messages, files, and checks that can fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

np = pytest.importorskip("numpy")

from midpo.cli import main  # noqa: E402
from midpo.commands.optimise import WHAT  # noqa: E402
from midpo.commands.optimise import command as optimise  # noqa: E402
from midpo.numeric.exact import blahut, bradley_terry, problems  # noqa: E402
from midpo.numeric.exact import solved as exact  # noqa: E402

SMALL = """
alpha = 0.5
prompts = [0.4, 0.6]
rewards = [[1.0, 0.0, -1.0], [0.0, 0.5, 0.2]]
reference = [[0.2, 0.3, 0.5], [0.5, 0.25, 0.25]]
responses = ["a", "b$", "[c]"]
lengths = [1, 2, 4]
alphas = [1.0, 0.25]
comparisons = [[0, 0, 1, 3], [0, 1, 0, 1], [1, 2, 0, 2]]
"""


def run(*arguments: str | Path) -> Result:
    group: click.Group = type(main)(commands={"optimise": optimise})
    return CliRunner().invoke(group, ["optimise", *map(str, arguments)])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_help_has_an_example_and_names_every_built_in_problem() -> None:
    text = run("--help").stdout
    assert "midpo optimise" in text.split("Example:")[1]
    assert not [name for name in problems.BUILT_IN if name not in text.replace("-\n", "-")]
    assert tuple(exact.PARTS) == WHAT


@pytest.mark.parametrize("name", problems.BUILT_IN)
def test_built_in_problems_pass_their_checks(name: str) -> None:
    result = run(name, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["passed"] and document["name"] == name
    assert all(part["checks"] for part in document["parts"])


def test_every_part_of_a_file(small: Path) -> None:
    result = run(small, "--json")
    assert result.exit_code == 0, result.output
    parts = {part["what"]: part for part in json.loads(result.stdout)["parts"]}
    assert tuple(parts) == WHAT
    assert [row["alpha"] for row in parts["rate-distortion"]["table"]] == ["1", "0.25"]
    case = problems.load(str(small))
    scores = case.problem.rewards / 0.5 + case.log_prior
    value = 0.5 * case.problem.probabilities @ np.log(np.exp(scores).sum(axis=1))
    assert parts["optimum"]["series"]["values"] @ np.array([0.4, 0.6]) == pytest.approx(value)


def test_the_table_in_words(small: Path) -> None:
    result = run(small, "--what", "optimum", "--what", "joint")
    assert result.exit_code == 0
    assert "Gibbs identity" in result.stdout and "Blahut" not in result.stdout
    assert "holds" in result.stdout and "fails" not in result.stdout
    assert "the data are cyclic" in result.stdout


def test_plots(small: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = run(small, "-o", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"rate-distortion.svg", "joint-loss.svg", "joint-policies.svg"} <= names
    assert all(f"wrote {tmp_path}" in line for line in result.stdout.splitlines()[-len(names) :])
    before = (tmp_path / "plots" / "joint-loss.svg").read_bytes()
    assert run(small, "-o", tmp_path / "plots").exit_code == 0
    assert (tmp_path / "plots" / "joint-loss.svg").read_bytes() == before


def test_no_plots_without_matplotlib(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run(small, "-o", tmp_path / "plots")
    assert result.exit_code == 0
    assert "matplotlib, which is not installed: pip install" in result.stderr


def test_long_tables_are_cut_in_words_and_whole_in_json(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_text(f"rewards = {np.random.default_rng(0).normal(size=(25, 12)).tolist()}")
    result = run(path, "--what", "optimum")
    assert "20 of 25 prompts are shown" in result.stdout
    assert "more" in result.stdout
    (part,) = json.loads(run(path, "--what", "optimum", "--json").stdout)["parts"]
    assert np.array(part["series"]["policy"]).shape == (25, 12)


def test_zeros_of_the_prior_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "zeros.toml"
    path.write_text("rewards = [[1, 0], [0, 1]]\nprior = [[0.5, 0.5], [1.0, 0.0]]")
    result = run(path, "--what", "optimum")
    assert result.exit_code == 0, result.output
    assert "the prior is 0 at 1 of 4 pairs" in result.stdout
    path.write_text("rewards = [[1, 0], [0, 1]]\nprior = [[0.5, 0.5], [0.0, 0.0]]")
    result = run(path, "--what", "optimum", "--json")
    assert result.exit_code == 0, result.output
    (part,) = json.loads(result.stdout)["parts"]
    assert part["series"]["values"][1] == "-inf"
    assert "x1: Z = 0, no policy is feasible" in part["notes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpha = ", "this is not TOML"),
        ("alpha = 1", "neither rewards nor comparisons"),
        ("alpha = 0\nrewards = [[1]]", "alpha: not a positive number"),
        ("alpha = true\nrewards = [[1]]", "alpha: not a positive number"),
        ("alpha = 1e-200\nrewards = [[1]]", "alpha: 1e-200 is too small"),
        ("rewards = [[1, 2], [3]]", "rewards: not rows of equally many numbers"),
        ("rewards = [['a']]", "rewards: not rows"),
        ("rewards = [['1']]", "rewards: not rows"),
        ("rewards = [[true]]", "rewards: not rows"),
        (f"rewards = [[{'9' * 400}]]", "rewards: not rows"),
        ("rewards = [[nan]]", "rewards: a number is not finite"),
        ("rewards = []", "rewards: its shape"),
        ("rewards = [[1, 2]]\nreward = 1", 'did you mean "rewards"'),
        ("rewards = [[1, 2]]\nprompts = [0.5, 0.5]", "prompts: not a list of that length"),
        ("rewards = [[1, 2]]\nprompts = [0.5]", "prompts: this is not a distribution"),
        ("rewards = [[1, 2]]\nreference = [0.5, 0.6]", "reference: row 0 does not sum to 1"),
        ("rewards = [[1, 2]]\nprior = [0.5, -0.5]", "prior: a number is negative"),
        ("rewards = [[1, 2]]\nprior = 3", "prior: its shape"),
        ("rewards = [[1, 2]]\nlengths = [0, 1]", "lengths: a length is below 1"),
        ("rewards = [[1, 2]]\nalphas = [0.5, 0]", "alphas: one is not positive"),
        ("rewards = [[1, 2]]\nalphas = [0.5, 1e-9]", "alphas: one is too small"),
        ("rewards = [[1, 2]]\neta = 'x'", "eta: not a number"),
        ("rewards = [[1, 2]]\neta = 1e9", "eta: 1e+09"),
        ("comparisons = [[0, 1, 0, 1e300]]", "comparisons[0]: the count is too large"),
        ("rewards = [[1, 2]]\nresponses = ['a']", "responses: not a name for each"),
        ("comparisons = [[0, 1, 2]]", "comparisons: rows of 3 numbers"),
        ("comparisons = [[0, 1, 1, 2]]", "comparisons[0]: a response is compared with itself"),
        ("comparisons = [[0, 1, 0.5, 2]]", "comparisons: an index is not whole"),
        ("comparisons = [[0, 999999999, 1, 2]]", "comparisons: an index is too large"),
        ("comparisons = [[0, 1e300, 0, 2]]", "comparisons: an index is too large"),
        ("comparisons = [[0, 1, 0, 2]]\nrewards = [[1]]", "comparisons[0]: no such response"),
        ("rewards = [[1]]\nname = 3", "name: not a name"),
    ],
)
def test_bad_input_is_a_message(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    result = run(path)
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert result.stderr.startswith(f"midpo: {path}: ") and message in result.stderr
    assert "expected: " in result.stderr


def test_unknown_problems_and_parts(tmp_path: Path) -> None:
    assert 'did you mean "cyclic"' in run("cyclc").stderr
    for arguments in (["missing.toml"], [tmp_path / "x.toml"], ["cyclic", "--what", "optimum"]):
        result = run(*arguments)
        assert result.exit_code == 2 and "expected: " in result.stderr
    assert run("cyclic", "--seed", "-1").exit_code == 2


@pytest.mark.parametrize("eta", [-1, 0, 1e-5, 0.3, 0.999, 1, 1.5, 2, 2.3, 50])
def test_the_rate_of_centropy_is_the_same_statement_for_every_eta(tmp_path: Path, eta: float) -> None:
    path = tmp_path / "eta.toml"
    path.write_text(f"rewards = [[1, 0, 0.3], [0, 0, 0]]\neta = {eta}")
    result = run(path, "--what", "fixed-point")
    assert result.exit_code == 0, result.output
    assert ("converge:" in result.stdout or "converged:" in result.stdout) != (1e-4 < eta < 2)


def test_a_failing_check_is_exit_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong bound, and the wrong Bradley-Terry value, are found out."""
    monkeypatch.setattr(blahut, "binary_symmetric_rate", lambda d: 0.99 * np.log(2) * (1 - 2 * d))
    result = run("bss-hamming", "--what", "rate-distortion")
    assert result.exit_code == 1 and "fails" in result.stdout
    honest: Any = bradley_terry.bradley_terry

    def wrong(*arguments: Any) -> Any:
        best = honest(*arguments)
        return replace(best, value=best.value + 1e-6, lower=best.lower + 1e-6)

    monkeypatch.setattr("midpo.numeric.exact.joint.bradley_terry", wrong)
    for name in ("acyclic", "cyclic", "strongly-connected"):
        assert run(name).exit_code == 1


def test_what_is_wrong_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem is read once, so that it may come from a pipe; a bad folder costs no computing."""
    read, load = [], problems.load

    def once(source: str) -> Any:
        read.append(source)
        return load(source)

    monkeypatch.setattr(problems, "load", once)
    assert run("three-prompts", "--what", "optimum").exit_code == 0 and len(read) == 1

    def computed(*_: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr(exact, "PARTS", dict.fromkeys(exact.PARTS, computed))
    done = run("three-prompts", "-o", tmp_path / "missing" / "plots")
    assert done.exit_code == 2 and "missing" in done.stderr
