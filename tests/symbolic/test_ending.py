"""An end to what does not end, and nothing left over where it does."""

from __future__ import annotations

import time

import pytest

from midpo.symbolic.ending import OutOfTime, ends_after


@pytest.mark.parametrize("working", [True, False])
def test_what_does_not_end_is_ended(working: bool) -> None:
    start = time.process_time()
    with pytest.raises(OutOfTime), ends_after(0.05, working=working):
        while True:
            pass
    assert time.process_time() - start < 5


def test_only_work_counts() -> None:
    with ends_after(0.05, working=True):
        time.sleep(0.2)


def test_what_ends_in_time_leaves_nothing_behind() -> None:
    """Nothing is raised later, however near the end was, and code may be traced."""
    for _ in range(20):
        try:
            with ends_after(0.002):
                end = time.monotonic() + 0.002
                while time.monotonic() < end:
                    pass
        except OutOfTime:
            pass
        for _ in range(1000):
            pass


def test_another_exception_passes() -> None:
    with pytest.raises(KeyError), ends_after(5):
        raise KeyError
    with pytest.raises(SystemExit), ends_after(0.02, SystemExit):
        while True:
            pass
