"""What is asked of `midpo prove` about other packages: statements of peers.toml, and loss functions
of log-probabilities.

A statement that computes a loss is to be proved; one that deviates is to be proved equal to what it
computes, and its row refuted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from peer_functions import PeerFunction
from peer_runs import BETA, RUNNERS, SHIFT, Pairs, liger_with_heads
from sympy import Rational, Symbol

import midpo
from midpo.proofs.code.answer import CodeProof
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import REFERENCE, Feature
from midpo.symbolic.language.peers import PeerStatement
from midpo.symbolic.language.spec import Spec, catalogue, load, loads
from midpo.symbolic.loss import kernel_loss


def written(text: str) -> Spec:
    """A row of the catalogue, or a loss in the spec language."""
    if text in catalogue():
        return load(text)
    beside = '[responses]\ny_g = "a gold answer"\n' if "y_g" in text else ""
    return loads(
        'name = "inline"\n[parameters]\nalpha = "positive"\n[features]\nz0 = "pair"\n'
        f'{beside}[target]\nloss = """{text}"""'
    )


def stated(
    text: str, at: Mapping[str, float], scale: float, responses: Sequence[Symbol] = (), free: str = ""
) -> Spec:
    """The loss of a statement at its numbers, but for the parameter that is `free`; every frozen
    policy the reference; of a batch that holds these responses beside the pair."""
    spec = written(text)
    names = spec.names
    numbers: dict[Any, Any] = {
        p: Rational(str(at.get(n, BETA if n == "alpha" else spec.defaults.get(n, 1))))
        for n, p in names.parameters.items()
        if n != free
    }
    numbers |= {Feature(names.datum(n)): Rational(str(at.get(n, SHIFT))) for n in names.features}
    found = scaled(spec, scale, numbers)
    kept = replace(
        found.names,
        parameters={free: names.parameters[free]} if free else {},
        features={},
        ranges={},
        responses=names.responses or tuple(responses),
    )
    return replace(found, names=kept)


def scaled(spec: Spec, scale: float, numbers: Mapping[Any, Any]) -> Spec:
    """A spec whose loss is that number times this one's, at these numbers; every frozen policy is
    the reference."""
    frozen = {Symbol(p): REFERENCE for p in spec.names.policies - {"pi", "pi_ref"}}
    found = Rational(str(scale)) * substitute(kernel_loss(spec), {**numbers, **frozen})
    names = replace(spec.names, policies=frozenset({"pi", "pi_ref"}))
    held: dict[str, Any] = {"batch": found} if spec.batch is not None else {"loss": found, "reason": ""}
    nothing: dict[str, Any] = dict.fromkeys(("prior", "margin", "link", "constraint", "multiplier", "loss"))
    return replace(spec, names=names, **nothing | held)


def entry(statement: PeerStatement, responses: int) -> Callable[..., Any]:
    """The package's own loss of logits and labels."""
    run = RUNNERS[statement.package, statement.entry]

    def loss(policy_logits: Any, reference_logits: Any, labels: Any, beta: Any = BETA) -> Any:
        given = Pairs(policy_logits, reference_logits, labels, 1, responses, beta)
        return run(given, statement.options)

    return loss


def scale_of(statement: PeerStatement) -> str:
    """The parameter that is the packages' beta in what a statement computes; none where it has
    none."""
    spec = written(statement.computes or statement.row)
    used = {str(p) for p in kernel_loss(spec).free_symbols} & spec.names.parameters.keys()
    alike = sorted(n for n in used if statement.at.get(n) == BETA)
    return "alpha" if "alpha" in used else (*alike, "")[0]


def computed(statement: PeerStatement, **options: Any) -> CodeProof:
    """Whether the entry computes what the statement says, at every scale; of one pair where its means
    are over all tokens of a batch."""
    free = scale_of(statement)
    spec = stated(statement.computes or statement.row, statement.at, statement.scale, free=free)
    pairs = (1, 2) if statement.over == "responses" else (1,)
    given = {"beta": free or BETA}
    function = entry(statement, len(spec.roles))
    return midpo.prove(spec, function, arguments=given, **{"pairs": pairs} | options)


def with_heads(statement: PeerStatement, **options: Any) -> CodeProof:
    """Whether a fused loss computes what the statement says of hidden states and heads, the gradient
    by the heads too."""
    spec = stated(statement.computes or statement.row, statement.at, statement.scale)
    pairs = (1, 2) if statement.over == "responses" else (1,)

    def loss(
        policy_hidden: Any, policy_weight: Any, reference_hidden: Any, reference_weight: Any, labels: Any
    ) -> Any:
        heads = (x.float() for x in (policy_hidden, policy_weight, reference_hidden, reference_weight))
        return liger_with_heads(statement.entry, statement.options, labels, *heads)

    return midpo.prove(spec, loss, **{"pairs": pairs} | options)


def published(statement: PeerStatement, **options: Any) -> CodeProof:
    """Whether the entry that deviates computes its row's loss after all."""
    own = stated(statement.computes, statement.at, statement.scale).names.responses
    spec = stated(statement.row, statement.published, statement.scale, own)
    return midpo.prove(spec, entry(statement, len(spec.roles)), arguments={"beta": BETA}, **options)


def of_function(function: PeerFunction, **options: Any) -> CodeProof:
    """Whether the function computes its loss, at every scale."""
    spec = scaled(written(function.loss), function.scale, {})
    return midpo.prove(spec, function.make(), arguments=function.arguments, **options)


def refused(statement: PeerStatement) -> str:
    """What the entry raises on numbers, in its own words; empty where it answers."""
    logits = torch.zeros(2, 3, 4)
    try:
        entry(statement, 2)(logits, logits, torch.ones(2, 3, dtype=torch.long))
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split()).split('. ')[0]}"
    return ""
