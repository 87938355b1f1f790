"""What a compiled refutation says, read from Coq's own printing and compared with the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Expr

from midpo.symbolic.language.nodes import CHOSEN, MARGIN, REJECTED, Feature, Parameter
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import loss_of_margin, recovered_margin

from .readback import any_data, domain_facts, forms, same
from .reader import CoqReader
from .terms import Mismatch, Term, parse_term

_PAIR = tuple(("var", v) for v in ("tt", "true", "false"))


def read_refutation(spec: Spec, module: str, definitions: Mapping[str, str], theorem: str) -> tuple[str, ...]:
    """Compare a refutation with the spec: both sides, the facts that hold at the witness, and that
    the theorem says they differ there by a number that is not 0.

    What it says to differ: "margins", "losses" or both. Raises: Mismatch.
    """
    try:
        bodies = {f"{module}.{name}": parse_term(text) for name, text in definitions.items()}
        reader = CoqReader(spec, module, bodies)
        _definitions(reader, spec)
        facts, claims = _claims(_conjuncts(parse_term(theorem)))
        differing = _differing(spec, module, claims)
        _facts(reader, spec, facts)
    except (RecursionError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise Mismatch(f"the printed theorem cannot be read: {type(error).__name__}") from None
    return differing


def _definitions(reader: CoqReader, spec: Spec) -> None:
    """The published side, the recovered margin and the loss of a margin are the spec's."""
    at: dict[str, Any] = {"x": "x", "w": CHOSEN, "l": REJECTED, "m": MARGIN}
    published = spec.loss if spec.margin is None else spec.margin
    for name, given, meant in (
        ("published", "xwl", published),
        ("recovered", "xwl", recovered_margin(spec)),
        ("loss_of", "xwlm", loss_of_margin(spec, MARGIN)),
    ):
        term = ("app", ("var", f"{reader.module}.{name}"), *(("var", v) for v in given))
        said = reader.value(term, at)
        if not (isinstance(said, Expr) and meant is not None and same(said, meant)):
            raise Mismatch(f"{name} is not the spec's")


def _conjuncts(term: Term) -> list[Term]:
    if term[:2] == ("app", ("var", "and")) and len(term) == 4:
        return [*_conjuncts(term[2]), *_conjuncts(term[3])]
    return [term]


def _claims(parts: Sequence[Term]) -> tuple[Sequence[Term], list[tuple[Term, Term]]]:
    """The facts, and the two sides of each difference that is said to be a number other than 0."""
    claims: list[tuple[Term, Term]] = []
    zero = ("app", ("var", "IZR"), ("var", "Z0"))
    while len(parts) > 1:
        *before, difference, nonzero = parts
        if difference[:3] != ("app", ("var", "eq"), ("var", "R")) or len(difference) != 5:
            break
        minus, number = difference[3:]
        if minus[:2] != ("app", ("var", "Rminus")) or len(minus) != 4:
            break
        if nonzero != ("app", ("var", "not"), ("app", ("var", "eq"), ("var", "R"), number, zero)):
            raise Mismatch("the theorem does not say that the difference is not 0")
        claims.insert(0, (minus[2], minus[3]))
        parts = before
    return parts, claims


def _differing(spec: Spec, module: str, claims: list[tuple[Term, Term]]) -> tuple[str, ...]:
    def side(name: str, *more: Term) -> Term:
        return ("app", ("var", f"{module}.{name}"), *_PAIR, *more)

    published, recovered = side("published"), side("recovered")
    losses = side("loss_of", published), side("loss_of", recovered)
    allowed: dict[tuple[str, ...], list[tuple[Term, Term]]] = {("losses",): [(published, losses[1])]}
    if spec.margin is not None:
        margins = (published, recovered)
        allowed = {("margins",): [margins], ("margins", "losses"): [margins, losses]}
    for words, wanted in allowed.items():
        if claims == wanted:
            return words
    raise Mismatch("the theorem is not about the difference of the two sides")


def _facts(reader: CoqReader, spec: Spec, facts: Sequence[Term]) -> None:
    """What is said of the witness: every parameter in its domain, every condition of the spec."""
    at = {"tt": "x", "true": CHOSEN, "false": REJECTED}
    said = {reader.proposition(fact, at) for fact in facts if fact[:2] != ("app", ("var", "proper"))}
    known: list[Parameter | Feature] = [*spec.names.parameters.values(), *any_data(spec)]
    for given in known:
        name = given if isinstance(given, Parameter) else given.args[0]
        if any(name in e.free_symbols for e in (*spec.expressions, spec.alpha)):
            for fact in domain_facts(given):
                if fact not in said:
                    raise Mismatch(f"the theorem does not say that {name} lies in its domain")
    for condition in spec.conditions:
        whole, *each = forms(condition)
        if whole not in said and not (each and said.issuperset(each)):
            raise Mismatch("the theorem does not say that the spec's conditions hold")
