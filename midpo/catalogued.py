"""The catalogue as functions: its rows, a row whole, and the family of its losses.

Apart from `api`, whose annotations need the names `list` and `map` for what they usually are.
"""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from midpo import rows
from midpo.generating import takes_of
from midpo.rows import Row, class_of, row
from midpo.symbolic.language.spec import Spec, load

if TYPE_CHECKING:
    from midpo.proofs.compare.family import Family


def list(*, solve: bool = False) -> builtins.list[Row]:
    """Every row of the catalogue, in its order, with what the program found out about it.

    With `solve` each target is solved, some seconds for all, and `Row.kind` is its class.
    """
    return rows.rows(with_class=solve)


def show(source: Spec | str | Path) -> Row:
    """One row whole: its class, found by solving its loss, facts read off its normal form, and what
    its kernel takes.

    Raises: SpecError for a spec that cannot be read.
    """
    spec = source if isinstance(source, Spec) else load(source)
    found = row(spec, kind=class_of(spec) if spec.reason or spec.has_target else None)
    return replace(found, takes=takes_of(spec))


def map() -> Family:
    """The family of the catalogue: which loss is which other's special or limiting case.

    Each edge rests on a derivation that the checker replayed; some ten seconds.
    """
    from midpo.proofs.compare.family import family

    return family()
