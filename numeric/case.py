"""A concrete case: a pair of responses, and laws, parameters and features, all rational."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .evaluate import Point

VOCABULARY = 4


@dataclass(frozen=True)
class Case:
    """A pair of responses, policies and parameters, all rational.

    `laws[policy]` maps each prefix (a tuple of token ids) to the law of the next token.
    """

    tokens: Mapping[str, tuple[int, ...]]
    laws: Mapping[str, Mapping[tuple[int, ...], tuple[Fraction, ...]]]
    parameters: Mapping[str, Fraction]
    features: Mapping[str, Any]

    @property
    def total(self) -> int:
        """How many tokens the responses have together."""
        return sum(map(len, self.tokens.values()))

    def as_json(self) -> dict[str, Any]:
        show = map_numbers(str)
        return {
            "lengths": {k: len(v) for k, v in self.tokens.items()},
            "tokens": {k: list(v) for k, v in self.tokens.items()},
            "vocabulary": VOCABULARY,
            "distributions": {
                policy: {" ".join(map(str, prefix)): [str(p) for p in law] for prefix, law in laws.items()}
                for policy, laws in self.laws.items()
            },
            "parameters": {k: str(v) for k, v in self.parameters.items()},
            "features": {k: show(v) for k, v in self.features.items()},
        }

    def point(self, ops: Any) -> Point:
        tables = {
            (policy, response): [[ops.number(p) for p in law[tuple(tokens[:t])]] for t in range(len(tokens))]
            for policy, law in self.laws.items()
            for response, tokens in self.tokens.items()
        }
        convert = map_numbers(ops.number)
        return Point(
            self.tokens,
            tables,
            {k: ops.number(v) for k, v in self.parameters.items()},
            {k: convert(v) for k, v in self.features.items()},
        )


def map_numbers(convert: Any) -> Any:
    """A function that applies `convert` to each number in nested lists and mappings."""

    def walk(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: walk(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(v) for v in value]
        return convert(value)

    return walk
