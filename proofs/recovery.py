"""Does this prior recover that target? A derivation, a witness, or an honest "undecided"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sympy import Expr, Mul, S

from midpo.numeric.witness import Witness, cases, find_witness
from midpo.symbolic.derivation import Derivation, Instance, Step
from midpo.symbolic.errors import SpecError, TooLarge
from midpo.symbolic.language import LogSigmoid, is_positive
from midpo.symbolic.loss import (
    is_constant,
    logistic_form,
    loss_of_margin,
    prior_definitions,
    prior_margin,
    target_loss,
)
from midpo.symbolic.normal import normal_form, normalise
from midpo.symbolic.polynomial import is_zero, polynomial
from midpo.symbolic.representable import PriorFacts, fold, prior_facts, prior_of_margin
from midpo.symbolic.rules import PRIOR_RULE
from midpo.symbolic.spec import Spec
from midpo.symbolic.text import text

from .check import CheckFailed, check
from .diagnosis import diagnose

Verdict = Literal["proved", "refuted", "undecided"]


@dataclass(frozen=True)
class Recovery:
    """The answer for one spec.

    The statement: target loss = factor * (loss of the prior) + constant, for every policy, pair of
    responses and parameter in its domain, where `side_conditions` hold. `kind` says whether margins
    or whole losses were compared; `target` and `recovered` are those two, as written (`recovered`
    with the prior still an unknown); `difference` is target minus recovered in normal form.
    `derivation` leads from `recovered` to `target` when proved.
    """

    spec: Spec
    verdict: Verdict
    kind: Literal["margin", "loss"]
    target: Expr
    recovered: Expr
    definitions: Mapping[Expr, Expr]
    facts: PriorFacts | None
    factor: Expr = S.One
    constant: Expr = S.Zero
    difference: Expr = S.Zero
    derivation: Derivation | None = None
    side_conditions: tuple[str, ...] = ()
    witness: Witness | None = None
    explanation: str = ""
    working_prior: str | None = None
    standing: str = ""
    steps: tuple[Step, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        facts = self.facts
        answer: dict[str, Any] = {
            "name": self.spec.name,
            "verdict": self.verdict,
            "compared": self.kind,
            "up_to": {"factor": text(self.factor), "constant": text(self.constant)},
            "difference": text(fold(self.difference)),
            "prior": None
            if facts is None
            else {
                "policy": facts.policy,
                "label_free": facts.label_free,
                "token_level": facts.token_level,
            },
            "side_conditions": list(self.side_conditions),
            "steps": [
                {
                    "rule": step.rule,
                    "before": text(step.before),
                    "after": text(step.after),
                    "reason": step.reason,
                }
                for step in self.steps
            ],
            "standing": self.standing,
        }
        if self.verdict != "proved":
            answer["explanation"] = self.explanation
        if self.verdict == "refuted":
            answer["working_prior"] = self.working_prior
            answer["witness"] = self.witness.as_json() if self.witness else None
        return answer

    def _repr_latex_(self) -> str:
        from .latex import recovery_latex

        return recovery_latex(self)


def verify(spec: Spec) -> Recovery:
    """Prove or refute that `spec`'s prior recovers its target.

    Objectives count as equal modulo a*L + b with a > 0. Raises: SpecError where the spec lacks a
    prior or a target.
    """
    if spec.prior is None or not spec.has_target:
        missing = "prior" if spec.prior is None else "target"
        raise SpecError(
            f"the spec has no {missing}: there is nothing to verify", file=spec.file, key=missing,
            expected="a prior and a target",
        )
    problem = _Problem.of(spec)
    try:
        facts = prior_facts(spec)
        for written_out in (False, True):
            recovery = _prove(spec, problem, facts, written_out)
            if recovery is not None:
                return recovery
    except (TooLarge, ZeroDivisionError, RecursionError) as error:
        why = str(error) or type(error).__name__
        return _answer(spec, problem, None, verdict="undecided", explanation=f"Not decided: {why}.",
                       standing="no normal form within bounds")
    return _refute(spec, problem, facts)


@dataclass(frozen=True)
class _Problem:
    """The two expressions to compare, and how the losses relate to them."""

    kind: Literal["margin", "loss"]
    target: Expr
    recovered: Expr  # the prior still an unknown
    definitions: dict[Expr, Expr]
    factor: Expr = S.One
    constant: Expr = S.Zero

    @staticmethod
    def of(spec: Spec) -> _Problem:
        assert spec.prior is not None
        definitions = prior_definitions(spec.prior)
        margin = prior_margin(spec.alpha)
        if spec.margin is not None:
            return _Problem("margin", spec.margin, margin, definitions)
        loss = target_loss(spec)
        if spec.link is None and spec.constraint is None:
            form = logistic_form(loss)
            if form is not None:
                return _Problem(
                    "margin", form.margin, margin, definitions, form.factor, form.constant
                )
        recovered = loss_of_margin(spec, margin)
        factor, constant = _affine(loss, recovered.xreplace(definitions))
        return _Problem("loss", loss, factor * recovered + constant, definitions, factor, constant)

    @property
    def inserted(self) -> Expr:
        return self.recovered.xreplace(self.definitions)


def _affine(target: Expr, recovered: Expr) -> tuple[Expr, Expr]:
    """The (a, b) with target = a*recovered + b, if the normal forms show one; else (1, 0)."""
    try:
        wanted, found = polynomial(normal_form(target)), polynomial(normal_form(recovered))
    except (TooLarge, ZeroDivisionError):
        return S.One, S.Zero

    def coefficients(poly: Any) -> dict[Expr, Expr]:
        from midpo.symbolic.polynomial import monomial_expression

        grouped: dict[Expr, Expr] = {}
        for monomial, coefficient in poly.items():
            term = monomial_expression(monomial, coefficient)
            data = Mul(*(f for f in Mul.make_args(term) if not is_constant(f)))
            grouped[data] = grouped.get(data, S.Zero) + term / data
        return grouped

    left, right = coefficients(wanted), coefficients(found)
    shared = [data for data in left if data != 1 and data in right]
    logistic = [data for data in shared if data.has(LogSigmoid)] or shared
    if not logistic:
        return S.One, S.Zero
    first = min(logistic, key=str)
    factor = left[first] / right[first]
    if not is_constant(factor) or not is_positive(factor):
        return S.One, S.Zero
    constant = left.get(S.One, S.Zero) - factor * right.get(S.One, S.Zero)
    same = all(is_zero(left.get(d, S.Zero) - factor * right.get(d, S.Zero))
               for d in {*left, *right} - {S.One})
    return (factor, constant) if same else (S.One, S.Zero)


def _prove(
    spec: Spec, problem: _Problem, facts: PriorFacts, written_out: bool
) -> Recovery | None:
    """A checked chain from the recovered side to the target, or None."""
    chain = Derivation(problem.recovered)
    inserted = problem.inserted
    uses = tuple(Instance(old, new) for old, new in problem.definitions.items())
    chain.append(Step(PRIOR_RULE, problem.recovered, inserted, uses))
    normalise(chain, written_out=written_out)
    other = Derivation(problem.target)
    normalise(other, written_out=written_out)
    if not is_zero(chain.end - other.end):
        return None
    chain.arithmetic(other.end)
    whole = chain.joined(other)
    try:
        count = check(whole, problem.recovered, problem.target, problem.definitions)
    except CheckFailed as error:
        return _answer(spec, problem, facts, verdict="undecided", standing="numerical evidence only",
                       explanation=f"The checker refused the derivation: {error}.")
    return _answer(
        spec, problem, facts, verdict="proved", derivation=whole,
        standing=f"proved: a derivation of {count} steps, replayed by the checker",
    )


def _refute(spec: Spec, problem: _Problem, facts: PriorFacts) -> Recovery:
    """A witness that the two sides differ, or "undecided" with what the points showed."""
    target, recovered = normal_form(problem.target), normal_form(problem.inserted)
    difference = normal_form(target - recovered)
    margins = problem.kind == "margin"
    witness = find_witness(spec, problem.target, problem.inserted, difference, margins=margins)
    if witness is None:
        return _answer(
            spec, problem, facts, verdict="undecided", difference=difference,
            standing="numerical evidence only",
            explanation="The normal forms differ, but no point was found at which the two sides "
            f"certainly differ ({sum(1 for _ in cases(spec))} tried).",
        )
    prior = prior_of_margin(target, spec.alpha) if margins else None
    return _answer(
        spec, problem, facts, verdict="refuted", difference=difference, witness=witness,
        explanation=diagnose(target, recovered) if margins else "The losses differ.",
        working_prior=None if prior is None else text(prior),
        standing=f"refuted: the two sides differ at the witness ({witness.standing})",
    )


def _answer(spec: Spec, problem: _Problem, facts: PriorFacts | None, **found: Any) -> Recovery:
    derivation = found.get("derivation")
    return Recovery(
        spec=spec,
        kind=problem.kind,
        target=problem.target,
        recovered=problem.recovered,
        definitions=problem.definitions,
        facts=facts,
        factor=problem.factor,
        constant=problem.constant,
        side_conditions=side_conditions(spec),
        steps=tuple(derivation.steps) if derivation else (),
        **found,
    )


def side_conditions(spec: Spec) -> tuple[str, ...]:
    """What must hold beyond the declared domains for both sides to have a value."""
    signs = {"nonzero": "!= 0", "positive": "> 0"}
    return tuple(f"{text(c.expr)} {signs[c.kind]}" for c in spec.conditions)
