"""What a loss needs to be told of each policy, and all that its kernel takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sympy import Add, Expr, S, expand

from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.language.nodes import (
    Divergence,
    Entropy,
    Feature,
    Length,
    Log,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabSum,
)
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text

from .lower import Lowered

Need = Literal["responses", "lengths", "tokens", "distributions"]
DISTRIBUTIONS = (Divergence, Entropy, VocabSum)
# Each gives all that stands before it.
NEEDS: dict[Need, str] = {
    "responses": "the log-probability of each response",
    "lengths": "the log-probability of each response, and its number of tokens",
    "tokens": "the log-probability of each token of each response",
    "distributions": "the whole distribution at each token of each response",
}


@dataclass(frozen=True)
class Takes:
    """What the kernel of a spec takes.

    `needs`: what the loss must be told of each policy, a key of NEEDS: "responses" (sums of
    log-probabilities, (2B,)), "lengths" (these and numbers of tokens), "tokens" ((2B, T)) or
    "distributions" (logits (2B, T, V), or hidden states and heads). `policies`: the trained one,
    "pi", first. `responses`: those to each prompt, in a batch's order, the chosen one first.
    `features`: name -> "token" (2B, T), "response" (2B,) or "pair" (B,), B in number. `parameters`:
    name -> domain. What the spec declares and its loss does not use is not here.
    """

    needs: Need
    policies: tuple[str, ...]
    responses: tuple[str, ...]
    features: Mapping[str, str]
    parameters: Mapping[str, Interval]

    def as_json(self) -> dict[str, object]:
        return {
            "needs": self.needs,
            "policies": list(self.policies),
            "responses": list(self.responses),
            "features": dict(self.features),
            "parameters": {name: str(domain) for name, domain in self.parameters.items()},
        }


def takes(spec: Spec, lowered: Lowered) -> Takes:
    """What the kernel of `spec` takes whose loss was lowered so."""
    used = _used(lowered)
    features = {name: kind for name, kind in spec.names.features.items() if name in used}
    return Takes(
        _need(lowered, features),
        tuple(policy for policy in spec.policies if policy == "pi" or policy in used),
        tuple(map(str, spec.roles)),
        features,
        {name: one.domain for name, one in spec.names.parameters.items() if name in used},
    )


def whole_term(lowered: Lowered, takes: Takes) -> str:
    """What of a loss the log-probabilities of whole responses do not give; empty where they give
    all of it."""
    if takes.needs in ("responses", "lengths"):
        return ""
    nodes = (node for part in _parts(lowered) for node in part.atoms(*DISTRIBUTIONS))
    return next(map(text, sorted(nodes, key=str)), NEEDS[takes.needs])


def _need(lowered: Lowered, features: Mapping[str, str]) -> Need:
    parts = _parts(lowered)
    if any(part.has(*DISTRIBUTIONS) for part in parts):
        return "distributions"
    if "token" in features.values() or not _of_whole_responses(lowered):
        return "tokens"
    return "lengths" if any(part.has(Length) for part in parts) else "responses"


def _used(lowered: Lowered) -> set[str]:
    parts = _parts(lowered)
    names = {str(s) for e in parts for s in e.free_symbols}
    return names | {str(f.args[0]) for e in parts for f in e.atoms(Feature)}


def _parts(lowered: Lowered) -> tuple[Expr, ...]:
    return (lowered.loss,) if lowered.margin is None else (lowered.margin, lowered.loss)


def _of_whole_responses(lowered: Lowered) -> bool:
    """Whether log-probabilities enter only as their sum over a response's tokens."""
    for expr in _parts(lowered):
        for total in expr.atoms(TokenSum, TokenProd):
            body, index, _ = total.args
            rest = body.xreplace(dict.fromkeys(body.atoms(Log), S.Zero))
            linear = isinstance(total, TokenSum) and all(
                isinstance(log.args[0], TokenProb) for log in body.atoms(Log)
            )
            slopes = [expand(body).coeff(log) for log in body.atoms(Log)]
            if not linear or expand(rest) != 0 or any(index in s.free_symbols for s in slopes):
                return False
            if expand(body - Add(*(s * g for s, g in zip(slopes, body.atoms(Log), strict=True)))):
                return False
    return True
