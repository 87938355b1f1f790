"""Does this prior recover that target? A derivation, a witness, or an honest "undecided"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from sympy import Expr, Mul, S

from midpo.numeric.witness import Witness, agreements, find_witness, is_affine
from midpo.symbolic.derivation import Derivation, Instance, Step
from midpo.symbolic.errors import NoValue, SpecError, TooLarge
from midpo.symbolic.language import (
    CHOSEN,
    REJECTED,
    ByLabel,
    LogSigmoid,
    is_nonnegative,
    is_positive,
    structural,
    substitute,
    with_label,
)
from midpo.symbolic.loss import (
    is_constant,
    logistic_form,
    loss_of_margin,
    prior_definitions,
    prior_margin,
    target_loss,
)
from midpo.symbolic.normal import normal_form, normalise, outside
from midpo.symbolic.polynomial import Polynomial, is_zero, monomial_expression, polynomial
from midpo.symbolic.representable import PriorFacts, fold, prior_facts, prior_of_margin
from midpo.symbolic.rules import PRIOR_RULE
from midpo.symbolic.spec import Spec
from midpo.symbolic.text import text
from midpo.symbolic.work import allowance

from .check import CheckFailed, check
from .diagnosis import diagnose

Verdict = Literal["proved", "refuted", "undecided"]

# The normal forms in which equality is looked for, the most readable first.
FORMS: tuple[dict[str, bool], ...] = (
    {}, {"written_out": True}, {"written_out": True, "field": True}
)


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
        facts, taken = self.facts, self.spec.names.taken()
        answer: dict[str, Any] = {
            "name": self.spec.name,
            "verdict": self.verdict,
            "compared": self.kind,
            "up_to": {"factor": text(self.factor), "constant": text(self.constant)},
            "difference": text(fold(self.difference), taken),
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
                    "before": text(step.before, taken),
                    "after": text(step.after, taken),
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
    problem, facts, obstacle = _Problem.as_written(spec), None, ""
    try:
        with allowance(*spec.expressions):
            _has_a_value(spec)
            facts = prior_facts(spec)
            problem = problem.as_margin()
            for candidate in problem.alternatives():
                for form in FORMS:
                    recovery = _prove(candidate, facts, form)
                    if recovery is not None:
                        return recovery
    except NoValue as error:
        return _answer(problem, facts, verdict="undecided", explanation=_sentence(str(error)),
                       standing="there is nothing to decide",
                       difference=problem.target - problem.inserted)
    except RecursionError:
        obstacle = "No normal form within bounds: the expressions are nested too deeply."
    except TooLarge as error:
        obstacle = f"No normal form within bounds: {error}."
    with allowance(*spec.expressions):
        return _refute(problem, facts, obstacle)


def _has_a_value(spec: Spec) -> None:
    """Raises: NoValue where a side condition can never hold."""
    for condition in spec.conditions:
        roles = (CHOSEN, REJECTED) if condition.expr.has(ByLabel) else (CHOSEN,)
        for role in roles:
            expr = normal_form(with_label(condition.expr, role), written_out=True)
            never = {
                "nonzero": is_zero(expr),
                "nonnegative": is_positive(-expr),
                "positive": is_nonnegative(-expr),
            }
            if never[condition.kind]:
                raise NoValue("the spec has no value anywhere, because "
                              f"{text(condition.expr)} {_SIGNS[condition.kind]} never holds")


@dataclass(frozen=True)
class _Problem:
    """The two expressions to compare, and how the losses relate to them."""

    spec: Spec
    kind: Literal["margin", "loss"]
    target: Expr
    recovered: Expr  # the prior still an unknown
    definitions: dict[Expr, Expr]
    factor: Expr = S.One
    constant: Expr = S.Zero

    @staticmethod
    def as_written(spec: Spec) -> _Problem:
        assert spec.prior is not None
        definitions = prior_definitions(spec.prior)
        margin = prior_margin(spec.alpha)
        if spec.margin is not None:
            return _Problem(spec, "margin", spec.margin, margin, definitions)
        loss = loss_of_margin(spec, margin)
        return _Problem(spec, "loss", target_loss(spec), loss, definitions)

    def as_margin(self) -> _Problem:
        """The same question asked of margins, where the target's loss is logistic; else asked of
        losses, scaled alike where that can be seen."""
        spec = self.spec
        if self.kind == "margin":
            return self
        if spec.link is None and spec.constraint is None:
            form = logistic_form(self.target)
            if form is not None:
                return _Problem(spec, "margin", form.margin, prior_margin(spec.alpha),
                                self.definitions, form.factor, form.constant)
        factor, constant = _affine(self.target, self.inserted)
        recovered = factor * self.recovered + constant
        return replace(self, recovered=recovered, factor=factor, constant=constant)

    def alternatives(self) -> Iterator[_Problem]:
        """This question, and that of the losses where a link may make one of two margins."""
        yield self
        if self.kind == "margin" and self.spec.link is not None:
            target, recovered = (
                loss_of_margin(self.spec, margin) for margin in (self.target, self.recovered)
            )
            yield _Problem(self.spec, "loss", target, recovered, self.definitions).as_margin()

    @property
    def only_losses_count(self) -> bool:
        """Whether margins that differ can still give one loss, up to a factor and a constant."""
        return self.kind == "loss" or self.spec.link is not None

    @property
    def losses(self) -> tuple[Expr, Expr]:
        """The loss of the target and that of the prior."""
        if self.kind == "loss":
            return self.target, self.inserted
        return loss_of_margin(self.spec, self.target), loss_of_margin(self.spec, self.inserted)

    @property
    def inserted(self) -> Expr:
        return substitute(self.recovered, self.definitions)


def _affine(target: Expr, recovered: Expr) -> tuple[Expr, Expr]:
    """The (a, b) with target = a*recovered + b, if the normal forms show one; else (1, 0)."""
    for form in FORMS:
        try:
            sides = [polynomial(normal_form(side, **form)) for side in (target, recovered)]
        except TooLarge:
            break
        found = _affine_in(*sides)
        if found is not None:
            return found
    return S.One, S.Zero


def _affine_in(wanted: Polynomial, found: Polynomial) -> tuple[Expr, Expr] | None:
    """The (a, b) with wanted = a*found + b and a > 0, both constant."""

    def coefficients(poly: Polynomial) -> dict[Expr, Expr]:
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
        return None
    first = min(logistic, key=structural)
    factor = left[first] / right[first]
    if not is_constant(factor) or not is_positive(factor):
        return None
    constant = left.get(S.One, S.Zero) - factor * right.get(S.One, S.Zero)
    same = all(is_zero(left.get(d, S.Zero) - factor * right.get(d, S.Zero))
               for d in {*left, *right} - {S.One})
    return (factor, constant) if same else None


def _prove(problem: _Problem, facts: PriorFacts, form: Mapping[str, bool]) -> Recovery | None:
    """A checked chain from the recovered side to the target, or None."""
    chain = Derivation(problem.recovered)
    inserted = problem.inserted
    uses = tuple(Instance(old, new) for old, new in problem.definitions.items())
    chain.append(Step(PRIOR_RULE, problem.recovered, inserted, uses))
    normalise(chain, **form)
    other = Derivation(problem.target)
    normalise(other, **form)
    if not is_zero(chain.end - other.end):
        return None
    chain.arithmetic(other.end)
    whole = chain.joined(other).without_detours()
    try:
        count = check(whole, problem.recovered, problem.target, problem.definitions)
    except CheckFailed as error:
        return _answer(
            problem, facts, verdict="undecided", difference=problem.target - inserted,
            standing="numerical evidence only",
            explanation=f"The checker refused the derivation: {error}.",
        )
    steps = f"{count} step{'s' * (count != 1)}"
    return _answer(
        problem, facts, verdict="proved", derivation=whole,
        standing=f"proved: a derivation of {steps}, replayed by the checker",
    )


def _refute(problem: _Problem, facts: PriorFacts | None, obstacle: str) -> Recovery:
    """A witness that the two sides differ, or "undecided" with the `obstacle` to a proof."""
    spec, margins = problem.spec, problem.kind == "margin"
    normal = None if obstacle else _normal_sides(problem)
    difference = problem.target - problem.inserted if normal is None else normal[2]
    undecided = partial(_answer, problem, facts, verdict="undecided", difference=difference,
                        standing="numerical evidence only")
    try:
        witness = find_witness(spec, problem.target, problem.inserted, difference, margins=margins)
        if problem.only_losses_count and is_affine(spec, *problem.losses):
            witness = None
    except TooLarge as error:
        return undecided(explanation=obstacle or _sentence(str(error)))
    if witness is None:
        return undecided(explanation=obstacle or _why_undecided(problem))
    explanation, prior = _explain(problem, normal)
    return _answer(
        problem, facts, verdict="refuted", difference=difference, witness=witness,
        explanation=explanation, working_prior=prior,
        standing=f"refuted: the two sides differ at the witness ({witness.standing})",
    )


def _why_undecided(problem: _Problem) -> str:
    """What lies outside the fragment in which normal forms decide, and the numerical evidence."""
    difference: Expr = S.Zero
    try:
        difference = normal_form(problem.target - problem.inserted, **FORMS[-1])
        defined, agreeing = agreements(problem.spec, problem.target, problem.inserted)
    except (TooLarge, NoValue, RecursionError):
        defined = agreeing = 0
    taken = problem.spec.names.taken()
    foreign = sorted(text(node, taken) for node in outside(difference))
    reason = "The normal forms differ, but no point was found at which the two sides certainly do"
    if foreign:
        reason += f". What `{foreign[0]}` is equal to is not decided in general"
    if not defined:
        return f"{reason}; there is no numerical evidence."
    return f"{reason}; they agree at {agreeing} of {defined} random points to 50 digits."


_Sides = tuple[Expr, Expr, Expr]


def _normal_sides(problem: _Problem) -> _Sides | None:
    """The target, the recovered side and their difference in normal form, if within bounds."""
    try:
        target, recovered = normal_form(problem.target), normal_form(problem.inserted)
        return target, recovered, normal_form(target - recovered)
    except (TooLarge, NoValue, RecursionError):
        return None


def _explain(problem: _Problem, normal: _Sides | None) -> tuple[str, str | None]:
    """What is off, in one sentence, and a prior that works, where there is one."""
    if problem.kind == "loss":
        return ("The prior's loss is not the target's, nor a positive multiple of it plus a "
                "constant."), None
    sentence = "The two margins differ."
    if normal is None:
        return sentence, None
    target, recovered, _ = normal
    try:
        sentence = diagnose(target, recovered)
        prior = prior_of_margin(target, problem.spec.alpha)
    except (TooLarge, NoValue, RecursionError):
        return sentence, None
    return sentence, None if prior is None else text(prior, problem.spec.names.taken())


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:] + "."


def _answer(problem: _Problem, facts: PriorFacts | None, **found: Any) -> Recovery:
    derivation = found.get("derivation")
    return Recovery(
        spec=problem.spec,
        kind=problem.kind,
        target=problem.target,
        recovered=problem.recovered,
        definitions=problem.definitions,
        facts=facts,
        factor=problem.factor,
        constant=problem.constant,
        side_conditions=side_conditions(problem.spec),
        steps=tuple(derivation.steps) if derivation else (),
        **found,
    )


_SIGNS = {"nonzero": "!= 0", "nonnegative": ">= 0", "positive": "> 0"}


def side_conditions(spec: Spec) -> tuple[str, ...]:
    """What must hold beyond the declared domains for both sides to have a value."""
    return tuple(f"{text(c.expr)} {_SIGNS[c.kind]}" for c in spec.conditions)
