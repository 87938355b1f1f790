"""Each statement about other packages (peers.toml) as a proof or a refutation, not random numbers.

With the packages installed (pip install '.[peers,test]'): pytest -m peers
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from sympy import Rational, Symbol

import midpo
from midpo.proofs.code.answer import CodeProof
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import REFERENCE, Feature
from midpo.symbolic.language.peers import PeerStatement, statements
from midpo.symbolic.language.spec import Spec, catalogue, load, loads
from midpo.symbolic.loss import kernel_loss

torch: Any = pytest.importorskip("torch")

from peer_runs import BETA, RUNNERS, SHIFT, Pairs  # noqa: E402  (it needs torch)

STATEMENTS = [s for s in statements() if s.verdict != "refuses"]


def stated(text: str, at: Mapping[str, float], scale: float) -> Spec:
    """The loss of a statement at its numbers, every frozen policy the reference."""
    beside = '[responses]\ny_g = "a gold answer"\n' if "y_g" in text else ""
    spec = (
        load(text)
        if text in catalogue()
        else loads(
            'name = "inline"\n[parameters]\nalpha = "positive"\n[features]\nz0 = "pair"\n'
            f'{beside}[target]\nloss = """{text}"""'
        )
    )
    names = spec.names
    numbers: dict[Any, Any] = {
        p: Rational(str(at.get(n, BETA if n == "alpha" else spec.defaults.get(n, 1))))
        for n, p in names.parameters.items()
    }
    numbers |= {Feature(names.datum(n)): Rational(str(at.get(n, SHIFT))) for n in names.features}
    numbers |= {Symbol(p): REFERENCE for p in names.policies - {"pi", "pi_ref"}}
    found = Rational(str(scale)) * substitute(kernel_loss(spec), numbers)
    kept = replace(names, parameters={}, features={}, ranges={}, policies=frozenset({"pi", "pi_ref"}))
    held = {"batch": found} if spec.batch is not None else {"loss": found, "reason": ""}
    return replace(
        spec,
        names=kept,
        prior=None,
        margin=None,
        link=None,
        constraint=None,
        multiplier=None,
        **{"loss": None, **held},
    )


def entry(statement: PeerStatement, responses: int) -> Callable[..., Any]:
    """The package's own loss of logits and labels."""
    run = RUNNERS[statement.package, statement.entry]

    def loss(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        return run(Pairs(policy_logits, reference_logits, labels, 1, responses), statement.options)

    return loss


def answer(statement: PeerStatement, text: str, at: Mapping[str, float], **options: Any) -> CodeProof:
    spec = stated(text, at, statement.scale)
    return midpo.prove(spec, entry(statement, len(spec.roles)), **options)


def installed(package: str, version: str) -> None:
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: pip install 'midpo[peers]'")
    if found != version:
        pytest.skip(f"{package} {found} is installed; the statements are about {version}")


def capped(statement: PeerStatement, found: CodeProof) -> bool:
    """Whether the code is the loss but for the cap that its divergence has."""
    return "f_alpha_divergence_coef" in statement.options and found.up_to is not None


@pytest.mark.peers
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: f"{s.row}:{s.package}.{s.call}")
def test_a_statement_is_proved(statement: PeerStatement) -> None:
    installed(statement.package, statement.version)
    pairs = (1, 2) if statement.over == "responses" else (1,)
    found = answer(statement, statement.computes or statement.row, statement.at, pairs=pairs)
    assert found.proved and "at these lengths" not in found.scope or capped(statement, found), found
    if statement.verdict == "deviates":
        other = answer(statement, statement.row, statement.published)  # of two pairs, too
        assert other.verdict == "refuted", other
