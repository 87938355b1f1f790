"""The lines of a kernel's rows as statements of C."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from midpo.codegen.statements.c import statements
from midpo.codegen.statements.nodes import Code, Name, Statement, changed


def native(made: dict[str, Any]) -> dict[str, Any]:
    """What native.py.j2 asks for of one pass, from what `rows.kernels` made in the dialect C."""
    held = made["accumulated"]
    return made | {
        # Logits are counted from the largest: the exponents of moments are at most 0.
        **{key: statements(_decaying(made[key]), held) for key in ("rescale", "accumulate")},
        "finish": statements(made["finish"], (), "double"),
        "second": statements(made["second"], made["second_sums"]),
        "slopes": statements(made["slopes"], [name for _, name in made["context_slopes"]]),
    }


def _decaying(lines: Iterable[Statement]) -> Iterable[Statement]:
    def change(node: Code) -> Code:
        return Name("_decay") if node == Name("_exp") else node

    return (changed(line, change) for line in lines)
