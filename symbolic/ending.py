"""An end to what nobody can bound: an exception is raised in this thread when time is up.

Work is counted where it can be (`work`); this is for a stranger's code, and for arithmetic of
SymPy's that counts nothing.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTime(Exception):
    """It has taken longer than it may."""


@contextmanager
def ends_after(seconds: float, raised: type[BaseException] = OutOfTime) -> Iterator[None]:
    """Raises: `raised`, at the next line of Python that runs after so many seconds."""
    thread, over = ctypes.c_ulong(threading.get_ident()), threading.Lock()
    left = rung = False

    def stop() -> None:
        nonlocal rung
        with over:
            if not left:
                rung = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(raised))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with over:
            left = True
        for _ in range(100 * rung):  # what is still to be raised is raised here, not later
            pass
