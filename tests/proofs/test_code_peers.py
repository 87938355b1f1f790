"""Each statement about other packages (peers.toml) as a proof or a refutation, not random numbers.

With the packages installed (pip install '.[peers,test]'): pytest -m peers
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from midpo.proofs.code.answer import CodeProof
from midpo.symbolic.language.peers import PeerStatement, statements

torch: Any = pytest.importorskip("torch")

from peer_functions import FUNCTIONS, PeerFunction  # noqa: E402  (it needs torch)
from peer_proofs import computed, of_function, published  # noqa: E402

STATEMENTS = [s for s in statements() if s.verdict != "refuses"]


def installed(package: str, version: str) -> None:
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install 'midpo[peers]'")
    if found != version:
        pytest.skip(f"{package} {found} is installed; the statements are about {version}")


def as_stated(found: CodeProof) -> bool:
    """Whether a proof is of every length, and of a mean where it is of two pairs."""
    every = "at these lengths" not in found.scope
    return every and ("2 pairs" not in found.scope or "the mean over the pairs" in found.assumptions)


def capped(statement: PeerStatement, found: CodeProof) -> bool:
    """Whether the code is the loss but for the cap that its divergence has."""
    return "f_alpha_divergence_coef" in statement.options and found.up_to is not None


@pytest.mark.peers
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: f"{s.row}:{s.package}.{s.call}")
def test_a_statement_is_proved(statement: PeerStatement) -> None:
    installed(statement.package, statement.version)
    found = computed(statement)
    assert (found.proved and as_stated(found)) or capped(statement, found), found
    if statement.verdict == "deviates":
        assert published(statement).verdict == "refuted"


@pytest.mark.peers
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f"{f.package}.{f.call}")
def test_a_loss_function_is_proved_at_every_scale(function: PeerFunction) -> None:
    installed(function.package, {s.package: s.version for s in statements()}[function.package])
    found = of_function(function)
    assert found.proved and "at these lengths" not in found.scope, found
