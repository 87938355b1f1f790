"""What all tests share: golden files, and one profile for property tests."""

from __future__ import annotations

import difflib
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Inputs are small: threads of torch's would only wait for each other. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Proofs and tapes make many objects that live: to look through them often finds nothing.
gc.set_threshold(100_000, 20, 20)

# Triton's interpreter runs kernels without a GPU; it must be chosen before triton is imported.
os.environ.setdefault("TRITON_INTERPRET", "1")

_BEGUN = time.monotonic()
GOLDEN = Path(__file__).parent / "golden"

settings.register_profile(
    "midpo", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("midpo")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden files that differ")
    parser.addoption(
        "--within",
        type=float,
        metavar="SECONDS",
        help="begin no test after so many seconds; those left out count as skipped",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    most = item.config.getoption("--within")
    if most is not None and time.monotonic() - _BEGUN > most:
        pytest.skip(f"not within {most:.0f} seconds (--within)")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/golden/<path>; `--update` rewrites what differs."""

    def compare(path: str, text: str) -> None:
        file = GOLDEN / path
        pinned = file.read_text(encoding="utf-8") if file.exists() else ""
        if pinned == text:
            return
        if request.config.getoption("--update"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        difference = "\n".join(
            difflib.unified_diff(pinned.splitlines(), text.splitlines(), "pinned", "now", lineterm="")
        )
        pytest.fail(f"{path} differs (--update rewrites it):\n{difference}")

    return compare
