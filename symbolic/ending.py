"""An end to what nobody can bound: an exception is raised in this thread when time is up.

Work is counted where it can be (`work`); this is for a stranger's code, and for arithmetic of
SymPy's that counts nothing.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(Exception):
    """It has taken longer than it may."""


@contextmanager
def ends_after(
    seconds: float, raised: type[BaseException] = OutOfTime, *, working: bool = False
) -> Iterator[None]:
    """Raises: `raised`, at the next line of Python that runs after so many seconds; with `working`
    those in which this process worked count, so that an answer hangs less on what else runs."""
    thread, over = ctypes.c_ulong(threading.get_ident()), threading.Lock()
    left = rung = False
    start = time.process_time()

    def stop() -> None:
        nonlocal rung
        with over:
            if left:
                return
            more = seconds - (time.process_time() - start) if working else 0.0
            if more > 0.01:
                arm(more)
            else:
                rung = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(raised))

    timers: list[threading.Timer] = []

    def arm(after: float) -> None:
        timers[:] = [threading.Timer(after, stop)]
        timers[0].daemon = True
        timers[0].start()

    arm(seconds)
    try:
        yield
    finally:
        with over:
            left = True
            timers[0].cancel()
        for _ in range(100 * rung):  # what is still to be raised is raised here, not later
            pass
