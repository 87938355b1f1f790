"""The lines of a kernel's rows -> statements of C.

The dialect C prints expressions that C and Python share; what is left are declarations, the type of
numbers, and the ends of statements.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

_NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?![\w.])")
WIDTH = 92


def native(made: dict[str, Any]) -> dict[str, Any]:
    """What native.py.j2 asks for of one pass, from what `rows.kernels` printed in the dialect C."""
    held = made["accumulated"]
    # Logits are counted from the largest: the exponents of moments are at most 0.
    below = {key: [line.replace("_exp(", "_decay(") for line in made[key]]
             for key in ("rescale", "accumulate")}
    return made | {
        **{key: statements(lines, held) for key, lines in below.items()},
        "finish": statements(made["finish"], (), "double"),
        "second": statements(made["second"], made["second_sums"]),
        "slopes": statements(made["slopes"], [name for _, name in made["context_slopes"]]),
    }


def statements(lines: Iterable[str], declared: Iterable[str], kind: str = "float") -> list[str]:
    """Assignments as statements; a name's first one declares it, unless it is `declared`."""
    known, found = set(declared), []
    for line in lines:
        name = line.split(" ", 1)[0]
        head = "" if name in known else f"{kind} "
        known.add(name)
        found += textwrap.wrap(f"{head}{_floats(line)};", WIDTH, subsequent_indent="    ",
                               break_long_words=False, break_on_hyphens=False)
    return found


def _floats(line: str) -> str:
    """Numbers as float has them: an integer would divide as one, a double is twice as wide."""
    return _NUMBER.sub(lambda m: m[1] + ("f" if "." in m[1] or "e" in m[1] else ".0f"), line)
