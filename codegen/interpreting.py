"""Triton's interpreter, without what it does over and over: a kernel is run by it where no GPU is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def patched_once() -> Iterator[None]:
    """Within it, Triton's language is patched once a launch for each module that functions are of.

    The interpreter searches the whole language at each call of a function by another, which takes half
    the time of a check. Without effect without Triton, where it is not interpreting, and where its
    interpreter has other parts than those of version 3.
    """
    try:
        from triton.runtime import interpreter
    except ImportError:
        interpreter = None
    parts = ("GridExecutor", "InterpretedFunction", "InterpreterError", "_patch_lang")
    if not all(hasattr(interpreter, part) for part in parts):
        yield
        return
    launch, function = interpreter.GridExecutor, interpreter.InterpretedFunction
    patched: set[int] = set()  # what functions of a module see, by that module

    def launched(self: Any, *args: Any, **kwargs: Any) -> Any:
        patched.clear()
        return own_launch(self, *args, **kwargs)

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen = id(self.fn.__globals__)
        if seen not in patched:
            interpreter._patch_lang(self.fn)
            patched.add(seen)
        try:
            return self.rewrite()(*args, **kwargs)
        except Exception as error:
            raise interpreter.InterpreterError(repr(error)) from error

    own_launch, own_call = launch.__call__, function.__call__
    launch.__call__, function.__call__ = launched, called
    try:
        yield
    finally:
        launch.__call__, function.__call__ = own_launch, own_call
