"""No printed figure depends on the processor: the last digits of float64 are moved, and the texts
stay."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midpo.numeric.arithmetic import Floats
from midpo.numeric.figures import below, decimals, figure, settled
from midpo.proofs.audit.audit import audit
from midpo.proofs.recover.solution import solve
from midpo.symbolic.errors import SpecError
from midpo.symbolic.language.spec import catalogue, load
from midpo.writers.terminal.audit import written

ROOT = Path(__file__).parents[2]
SAMPLE = ("centropy", "simpo", "tdpo", "sparsepo", "orpo")
NOISE = 4e-15


@given(st.fractions(-1000, 1000, max_denominator=1024), st.integers(1, 9), st.floats(-NOISE, NOISE))
@example(Fraction(1, 8), 2, -NOISE)
@example(Fraction(0), 3, NOISE)
def test_rounding_does_not_turn_a_digit(number: Fraction, digits: int, noise: float) -> None:
    value = float(number)
    moved = value * (1 + noise) + noise
    assert figure(value, digits) == figure(moved, digits)
    assert decimals(value, digits) == decimals(moved, digits)
    assert settled(value) == settled(moved)
    assert float(figure(value, digits)) == pytest.approx(value, rel=0.6 * 10.0 ** (1 - digits))


def test_errors_are_bounds() -> None:
    assert [below(e, 1e-12, 1e-7) for e in (0.0, 9e-16, 3e-12, 0.25)] == [
        "below 1e-12",
        "below 1e-12",
        "below 1e-7",
        "0.25",
    ]
    assert [decimals(x, 3) for x in (-1e-17, 0.0625, 1 / 3)] == ["0.000", "0.0625", "0.333"]


@contextmanager
def another_processor(seed: int) -> Iterator[None]:
    """Exponentials, logarithms and scalar products with other last digits, as of other kernels."""
    rng = random.Random(seed)
    noisy = np.random.default_rng(seed)

    def scalar(function: Any) -> Any:
        return lambda self, x: function(self, x) * (1 + rng.uniform(-NOISE, NOISE))

    def array(function: Any) -> Any:
        def moved(*arguments: Any, **named: Any) -> Any:
            found = function(*arguments, **named)
            return found * (1 + noisy.uniform(-NOISE, NOISE, size=np.shape(found)))

        return moved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Floats, "exp", scalar(Floats.exp))
        patch.setattr(Floats, "log", scalar(Floats.log))
        for name in ("exp", "log"):
            patch.setattr(np, name, array(getattr(np, name)))
        patch.setattr(np.linalg, "norm", array(np.linalg.norm))
        yield


def told(name: str) -> str:
    """What solve and audit print of a row, all numbers among it."""
    spec = load(name)
    if spec.reason:
        return ""
    try:
        found = audit(spec)
        return written(found) + str(found.as_json())
    except SpecError as error:
        return str(error) + str(solve(spec).as_json())


def changed(names: Iterable[str]) -> list[str]:
    found = []
    for name in names:
        plain = told(name)
        for seed in (1, 2):
            with another_processor(seed):
                other = told(name)
            found += [
                f"{name}: {a} / {b}"
                for a, b in zip(plain.split("\n"), other.split("\n"), strict=False)
                if a != b
            ][:3]
    return found


def test_audits_are_the_same_on_another_processor() -> None:
    assert not changed(SAMPLE[:3])


@pytest.mark.slow
def test_all_audits_are_the_same_on_another_processor() -> None:
    assert not changed(catalogue())


@pytest.mark.parametrize("kernels", ["Prescott", "Haswell"])
def test_the_kernels_of_the_linear_algebra_change_no_text(kernels: str) -> None:
    """Another process, with the sums of another processor."""
    command_line = [sys.executable, "-m", "midpo"]
    for arguments in (["audit", "simpo"], ["optimise", "three-prompts"]):
        found = [
            subprocess.run(
                [*command_line, *arguments],
                text=True,
                capture_output=True,
                check=True,
                timeout=250,
                env=os.environ | more | {"PYTHONPATH": str(ROOT)},
            ).stdout
            for more in (
                {},
                {
                    "OPENBLAS_CORETYPE": kernels,
                    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3" if kernels == "Prescott" else "",
                },
            )
        ]
        assert found[0] and found[0] == found[1]


def test_the_noise_is_felt() -> None:
    """The numbers behind the texts do move, so that the tests above can fail."""

    def numbers() -> str:
        return str(
            [vars(answer)["data"] for section in audit(load("simpo")).sections for answer in section.claims]
        )

    plain = numbers()
    with another_processor(1):
        assert numbers() != plain
