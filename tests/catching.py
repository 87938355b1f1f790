"""Whether a check sees what is wrong with a kernel: it ends at the first difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import midpo
from midpo.codegen.emit import Kernel
from midpo.numeric.checking import crosscheck


class Seen(Exception):
    """A difference was found."""


class First(crosscheck._Check):
    """A check that ends at the first difference."""

    def measure(self, *how: Any) -> None:
        super().measure(*how)
        if any(tally.failures for tally in self.tallies.values()):
            raise Seen


def caught(
    spec: str, kernel: Kernel, *, trials: int = 6, dtypes: Sequence[str] = ("float32", "bfloat16")
) -> bool:
    """Whether a check of so many trials sees a difference."""
    import torch

    check = First(torch, midpo.load(spec), kernel, 0, dtypes, "cpu")
    try:
        return not check.run(None, trials, lambda: None).passed
    except Seen:
        return True
