"""Where an expression stands, and which names it may use there."""

from __future__ import annotations

from dataclasses import dataclass, field

from sympy import Expr, Symbol

from midpo.symbolic.domains.intervals import REAL, Interval

from .nodes import CHOSEN, REJECTED, RESPONSE, Datum, Further, Parameter
from .words import FUNCTIONS, SPECIAL

# Words that an index cannot take.
KNOWN = frozenset({*FUNCTIONS, *SPECIAL, "y", "y_w", "y_l", "m", "x", "vocab", "zeta"})


@dataclass(frozen=True)
class Names:
    """What a spec declares: `parameters`, `features` (name -> "response", "token" or "pair"),
    `policies`, the `responses` beside the pair, and the `ranges` of features that have a domain
    narrower than the real line."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    policies: frozenset[str] = frozenset({"pi", "pi_ref"})
    responses: tuple[Further, ...] = ()
    ranges: dict[str, Interval] = field(default_factory=dict)

    def datum(self, name: str) -> Symbol:
        """The symbol that names a feature in expressions."""
        return Datum(name, self.ranges[name]) if name in self.ranges else Symbol(name)

    def range(self, name: str) -> Interval:
        """The domain of a feature."""
        return self.ranges.get(name, REAL)

    def taken(self) -> set[str]:
        responses = (response.name for response in self.responses)
        return {*self.parameters, *self.features, *self.policies, *responses}


@dataclass(frozen=True)
class Place:
    """Where an expression stands: which responses it may speak of (those that a spec declares among
    them where `further`), and what else is allowed."""

    responses: tuple[Symbol, ...]
    further: bool = False
    batch: bool = False
    by_label: bool = False
    margin: bool = False


PRIOR = Place((RESPONSE,), by_label=True)


TARGET = Place((CHOSEN, REJECTED), further=True)


BATCH = Place((CHOSEN, REJECTED), further=True, batch=True)


LINK = Place((), margin=True)


@dataclass(frozen=True)
class Condition:
    """What must hold for an expression to have a value: `expr` is "nonzero", "nonnegative" or
    "positive"."""

    expr: Expr
    kind: str
