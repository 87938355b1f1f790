"""What the loss functions of other libraries compute: statements about rows of the catalogue.

They are data (peers.toml), each with all that is needed to run it again: with the installed
packages tests/numeric/test_peers.py does, and benchmarks/peers.py proves each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from .toml import one_line, read_text, read_toml

FILE = Path(__file__).parent / "peers.toml"
CHECKED_BY = "tests/numeric/test_peers.py"

Verdict = Literal["computes", "deviates", "refuses"]
Over = Literal["responses", "tokens", "prompt"]


@dataclass(frozen=True)
class PeerStatement:
    """One entry of a package with its options, beside the row of the loss that it is named for.

    Where it deviates, `computes` is what it computes: a row, or a loss in the spec language.
    `at` are the parameters of that, `published` those of the row's loss; `scale` times the loss is
    what it returns; `over` says what its means go over.
    """

    package: str
    version: str
    entry: str
    options: Mapping[str, Any]
    row: str
    verdict: Verdict
    how: str = ""
    computes: str = ""
    at: Mapping[str, float] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    scale: float = 1.0
    over: Over = "responses"

    @property
    def call(self) -> str:
        """The entry and its options as a user writes them."""
        listed = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{self.entry}({listed})"

    @property
    def sentence(self) -> str:
        """The statement in words, with what it rests on."""
        told = f": {self.how}" if self.how else ""
        return f"{self.package} {self.version} {self.call} {self.verdict}{told}"

    def as_json(self) -> dict[str, Any]:
        return {
            "package": self.package,
            "version": self.version,
            "call": self.call,
            "verdict": self.verdict,
            "how": self.how,
            "standing": f"checked against {self.package} {self.version} by {CHECKED_BY}: "
            "value and gradient on the same random logits",
        }


@cache
def statements() -> tuple[PeerStatement, ...]:
    """All statements, in the order of their file."""
    table = read_toml(read_text(FILE), FILE.name)
    versions = table["packages"]
    return tuple(
        PeerStatement(version=versions[entry["package"]], **entry | {"how": one_line(entry.get("how", ""))})
        for entry in table["statement"]
    )


def statements_of(row: str) -> tuple[PeerStatement, ...]:
    """The statements about a row of the catalogue."""
    return tuple(statement for statement in statements() if statement.row == row)
