"""What is asked of `midpo prove` about other packages: statements of peers.toml, and loss functions
of log-probabilities.

A statement that computes a loss is to be proved; one that deviates is to be proved equal to what it
computes, and its row refuted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from peer_runs import BETA, RUNNERS, SHIFT, Pairs
from sympy import Rational, Symbol

import midpo
from midpo.proofs.code.answer import CodeProof
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import REFERENCE, Feature
from midpo.symbolic.language.peers import PeerStatement
from midpo.symbolic.language.spec import Spec, catalogue, load, loads
from midpo.symbolic.loss import kernel_loss


def stated(text: str, at: Mapping[str, float], scale: float, responses: Sequence[Symbol] = ()) -> Spec:
    """The loss of a statement at its numbers, every frozen policy the reference; of a batch that
    holds these responses beside the pair."""
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
    kept = replace(
        names,
        parameters={},
        features={},
        ranges={},
        policies=frozenset({"pi", "pi_ref"}),
        responses=names.responses or tuple(responses),
    )
    held: dict[str, Any] = {"batch": found} if spec.batch is not None else {"loss": found, "reason": ""}
    nothing: dict[str, Any] = dict.fromkeys(("prior", "margin", "link", "constraint", "multiplier", "loss"))
    return replace(spec, names=kept, **nothing | held)


def entry(statement: PeerStatement, responses: int) -> Callable[..., Any]:
    """The package's own loss of logits and labels."""
    run = RUNNERS[statement.package, statement.entry]

    def loss(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        return run(Pairs(policy_logits, reference_logits, labels, 1, responses), statement.options)

    return loss


def computed(statement: PeerStatement, **options: Any) -> CodeProof:
    """Whether the entry computes what the statement says; of one pair where its means are over all
    tokens of a batch."""
    spec = stated(statement.computes or statement.row, statement.at, statement.scale)
    pairs = (1, 2) if statement.over == "responses" else (1,)
    return midpo.prove(spec, entry(statement, len(spec.roles)), **{"pairs": pairs} | options)


def published(statement: PeerStatement, **options: Any) -> CodeProof:
    """Whether the entry that deviates computes its row's loss after all."""
    own = stated(statement.computes, statement.at, statement.scale).names.responses
    spec = stated(statement.row, statement.published, statement.scale, own)
    return midpo.prove(spec, entry(statement, len(spec.roles)), **options)
