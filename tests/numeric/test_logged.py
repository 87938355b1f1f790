"""What kernels log is held against the spec: every key, its value, and that it is detached."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import midpo
from midpo.codegen.emit import Kernel
from midpo.numeric.checking import crosscheck
from midpo.numeric.checking.judging import Numbers
from midpo.numeric.checking.logged import open_sign
from midpo.numeric.checking.ways import Way

torch = pytest.importorskip("torch", reason="kernels run on torch")

WAYS = (Way("none", metrics=True), Way("mean", metrics=True))
CASES = [
    ("dpo", "logps"),
    ("tdpo", "eager"),
    ("f-dpo-js", "eager"),
    ("dice", "eager"),
    ("mallowspo-entropy", "eager"),
]


def failures(spec: str, kernel: Kernel) -> list[str]:
    """What a check says of this kernel's metrics alone."""
    check = crosscheck._Check(torch, midpo.load(spec), kernel, 0, ("float64",), "cpu")
    for number in (1, 2):
        batch, truth = check.drawn(number)
        if batch is not None and truth is not None:
            for way in WAYS:
                check.measure(batch, truth, way, "float64")
    return [f.what for f in check.tallies["float64"].failures]


def changed(kernel: Kernel, old: str, new: str) -> Kernel:
    assert old in kernel.source
    return dataclasses.replace(kernel, source=kernel.source.replace(old, new))


@pytest.mark.parametrize(("spec", "backend"), CASES)
def test_a_metric_that_is_missing_or_wrong_is_seen(spec: str, backend: str) -> None:
    kernel = midpo.generate(spec, backend=backend)
    assert kernel.logged and not failures(spec, kernel)
    for key in kernel.logged:
        said = f'metric "{key}"'
        start = f'            "{key}": '
        wrong = changed(kernel, start, f"{start}1.01 * ")
        assert any(f.startswith(said) for f in failures(spec, wrong)), key
    gone = changed(kernel, start, start.replace(key, f"{key}s"))
    assert any(f.startswith(said) for f in failures(spec, gone)), key


@pytest.mark.parametrize("means", ["True", "False"])
def test_means_and_numbers_of_pairs_are_told_apart(means: str) -> None:
    kernel = midpo.generate("dpo")
    wrong = changed(kernel, 'apart = reduction == "none"', f"apart = {means}")
    assert any("dimensions" in f for f in failures("dpo", wrong))


def test_a_metric_that_keeps_its_graph_is_seen() -> None:
    kernel = midpo.generate("simpo")
    kept = changed(kernel, "(x if apart else x.mean()).detach()", "(x if apart else x.mean())")
    assert any("gradients of which" in f for f in failures("simpo", kept))


def test_the_keys_of_a_file_are_those_of_its_spec(tmp_path: Path) -> None:
    file = tmp_path / "kernel.py"
    file.write_text(changed(midpo.generate("dpo"), '"rewards/margins"', '"margins"').source)
    found = midpo.check("dpo", code=file, trials=1, dtypes=["float32"])
    assert not found.passed and "margins" in found.failure


@pytest.mark.parametrize(
    ("margin", "size", "reward", "open_"),
    [
        (1e-3, 1.0, 1.0, False),
        (-1e-3, 1.0, 1.0, False),
        (1e-6, 1.0, 1.0, True),  # the difference of two rewards that are rounded
        (5e-48, 0.0, -5e-48, True),  # both underflow to 0
        (5e-38, 0.0, 5e-38, True),  # few digits are left
        (1e38, 1e30, 5e39, True),  # both are infinite
        (1e38, 1e30, 5e37, False),
    ],
)
def test_an_accuracy_is_open_where_the_sign_is_lost(
    margin: float, size: float, reward: float, open_: bool
) -> None:
    numbers = Numbers.of(torch, "float32")
    assert open_sign(numbers, (margin, size), (reward, 0.0), (0.0, 0.0)) is open_
    assert open_sign(numbers, (margin, size), (0.0, 0.0), (-reward, 0.0)) is open_
