"""Every row of the catalogue passes `check` as a user calls it, on every backend that takes it."""

from __future__ import annotations

import pytest

import midpo
from midpo.symbolic.errors import MidpoError

pytest.importorskip("torch", reason="kernels run on torch")

BACKENDS = ("eager", "logps", "fused", "linear", "native")
# What lost digits, or looked as if it did: gradients of differences of exponentials far below 0, an
# infinite product that a minimum leaves out, a divergence that cancels, coefficients at their pole,
# rewards that are near one another.
QUICK = (
    ("chi-po-unclipped", "eager", "float32"),
    ("f-dpo-forward", "logps", "float64"),
    ("alphapo", "eager", "float64"),
    ("lipo", "eager", "float64"),
    ("dmpo", "eager", "float64"),
    ("reward-aware-po", "eager", "float64"),
    ("mallowspo-entropy", "native", "float32"),
    ("mallowspo-entropy", "linear", "float64"),
    ("discopop", "linear", "float16"),
    ("robust-dpo", "eager", "float64"),
    ("aot-unpaired", "logps", "float64"),
    ("f-dpo-js", "logps", "float32"),
    ("f-dpo-js", "fused", "float32"),
)


@pytest.mark.parametrize(("name", "backend", "dtype"), QUICK)
def test_rows_that_lost_digits(name: str, backend: str, dtype: str) -> None:
    found = midpo.check(name, backend=backend, dtypes=[dtype])
    assert found.passed, found.failure


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", midpo.catalogue())
def test_every_row_agrees_as_called(name: str, backend: str) -> None:
    try:
        found = midpo.check(name, backend=backend)
    except MidpoError:  # no loss of one pair, or the backend refuses it
        return
    assert found.passed, found.failure
