"""What a compiled theorem says, read from Coq's own printing and compared with the spec.

A kernel checks the theorem that is written, not the one that was meant. So the compiled statement
is printed by Coq in prefix form (`Set Printing All`), parsed here and evaluated into expressions.
Nothing is shared with the printer that wrote it. What is not recognised is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from sympy import Expr, Pow, Rational, S, Symbol

from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.language.building import with_label
from midpo.symbolic.language.nodes import (
    CHOSEN,
    REJECTED,
    RESPONSE,
    ByLabel,
    Feature,
    Index,
    Length,
    Parameter,
    Prior,
    Prob,
    Sqrt,
    VocabProb,
    VocabSum,
)
from midpo.symbolic.language.places import Condition
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import loss_of_margin, prior_margin

from .reader import NORMALISER, CoqReader, Expectation
from .terms import Mismatch, Term, parse_term

# --- Parsing -------------------------------------------------------------------------------------


# --- Evaluating ----------------------------------------------------------------------------------


# --- Comparing -----------------------------------------------------------------------------------


def read_recovery(
    spec: Spec,
    module: str,
    definitions: Mapping[str, str],
    theorems: Mapping[str, str],
    factor: Expr = S.One,
    constant: Expr = S.Zero,
) -> None:
    """Compare what Coq printed with the spec: each theorem's two sides and its hypotheses.

    `definitions` and `theorems` map names to printed bodies and statements.
    Raises: Mismatch where anything differs or cannot be read.
    """
    try:
        bodies = {f"{module}.{name}": parse_term(text) for name, text in definitions.items()}
        reader = CoqReader(spec, module, bodies)
        for name, text in theorems.items():
            hypotheses, sides = reader.statement(parse_term(text))
            for kind, expr in hypotheses:
                if not _allowed(spec, kind, expr):
                    raise Mismatch(f"{name} assumes something that the spec does not say: {expr} {kind}")
            _compare(spec, name, sides, factor, constant)
    except (RecursionError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise Mismatch(f"the printed theorem cannot be read: {type(error).__name__}") from None


_AT_LEAST = {True: "nonnegative", False: "positive"}


def domain_facts(value: Parameter | Feature) -> list[tuple[str, Expr]]:
    """What the domain of a parameter or feature says of it, as signs."""
    held = value.domain
    facts: list[tuple[str, Expr]] = []
    if isinstance(held.lower, Fraction):
        facts.append((_AT_LEAST[held.lower_closed], value - Rational(held.lower)))
    if isinstance(held.upper, Fraction):
        facts.append((_AT_LEAST[held.upper_closed], Rational(held.upper) - value))
    return facts


def any_data(spec: Spec) -> Iterator[Feature]:
    """Each feature of a spec, of any response and token."""
    scopes = {"response": (RESPONSE,), "token": (RESPONSE, Index("t", position=True)), "pair": ()}
    for name, kind in spec.names.features.items():
        yield Feature(spec.names.datum(name), *scopes[kind])


def condition_facts(spec: Spec) -> list[tuple[str, Expr]]:
    """The spec's side conditions, those of the prior as each response has them too."""
    return [fact for condition in spec.conditions for fact in forms(condition)]


def forms(condition: Condition) -> list[tuple[str, Expr]]:
    """A condition as the spec has it, and then as the chosen and the rejected response have it."""
    roles = (CHOSEN, REJECTED) if condition.expr.has(RESPONSE, ByLabel) else ()
    return [
        (condition.kind, condition.expr),
        *((condition.kind, with_label(condition.expr, role)) for role in roles),
    ]


def read_instance(printed: str) -> None:
    """That the instance of a theorem assumes nothing more. Raises: Mismatch."""
    if parse_term(printed)[:2] != ("app", ("var", "eq")):
        raise Mismatch("the hypotheses are not shown to hold together")


def _compare(spec: Spec, name: str, sides: tuple[Any, Any], factor: Expr, constant: Expr) -> None:
    assert spec.prior is not None
    inserted = {Prior(y): with_label(spec.prior, y) / NORMALISER for y in (CHOSEN, REJECTED)}
    margin = prior_margin(spec.alpha).xreplace(inserted)
    if name == "margins_agree":
        wanted = (margin, spec.margin)
    else:
        target = spec.loss if spec.margin is None else loss_of_margin(spec, spec.margin)
        wanted = (target, factor * loss_of_margin(spec, margin) + constant)
    if name == "losses_agree":
        if not all(isinstance(side, Expectation) for side in sides):
            raise Mismatch("losses_agree does not speak of the expectation")
        sides = (sides[0].value, sides[1].value)
    for which, said, meant in zip(("left", "right"), sides, wanted, strict=True):
        if not (isinstance(said, Expr) and isinstance(meant, Expr) and same(said, meant)):
            raise Mismatch(f"the {which} side of {name} is not the spec's")


def same(a: Expr, b: Expr) -> bool:
    a, b = (e.replace(Sqrt, lambda x: Pow(x, Rational(1, 2))) for e in (a, b))
    return bool(a == b) or equal_in_field(a, b)


def _allowed(spec: Spec, kind: str, expr: Expr) -> bool:
    """Whether a hypothesis is a fact of the language or a side condition of the spec."""
    t, v = Index("t", position=True), Index("v", position=False)
    policies = [Symbol(name) for name in spec.names.policies]
    facts: list[tuple[str, Expr]] = [("positive", NORMALISER), ("positive", Length(RESPONSE))]
    for policy in policies:
        for mass in (Prob(policy, RESPONSE), VocabProb(policy, RESPONSE, t, v)):
            facts += [("positive", mass), ("positive", 1 - mass)]
        facts.append(("equal", VocabSum(VocabProb(policy, RESPONSE, t, v), v) - 1))
    for parameter in spec.names.parameters.values():
        facts += domain_facts(parameter)
    for feature in any_data(spec):
        facts += domain_facts(feature)
    facts += condition_facts(spec)
    return any(kind == k and expr == e for k, e in facts)


__all__ = [
    "CoqReader",
    "Mismatch",
    "Term",
    "any_data",
    "condition_facts",
    "domain_facts",
    "forms",
    "parse_term",
    "read_instance",
    "read_recovery",
    "same",
]
