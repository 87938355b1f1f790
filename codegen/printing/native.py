"""The lines of a kernel's rows as statements of C."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midpo.codegen.statements.c import statements


def native(made: Mapping[str, Any]) -> dict[str, Any]:
    """What native.c.j2 asks for of one pass, from what `rows.kernels` made in the dialect C."""
    held = made["accumulated"]
    return {
        **made,
        **{key: statements(made[key], held) for key in ("rescale", "accumulate")},
        "finish": statements(made["finish"], (), "double"),
        "second": statements(made["second"], made["second_sums"]),
        "slopes": statements(made["slopes"], [name for _, name in made["context_slopes"]]),
    }
