"""Does this prior recover that target? A derivation, a witness, or an honest "undecided"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sympy import Expr, S

from midpo.numeric.witness import Witness, agreements, find_witness, may_be_affine
from midpo.proofs.checking.check import CheckFailed, check
from midpo.proofs.recover.words import stated
from midpo.symbolic.algebra.normal import normal_form, normalise, outside, sums_kept
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.algebra.splitting import CELL_FORM, meet
from midpo.symbolic.errors import NoValue, SpecError, TooLarge
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.terms import affine, defines
from midpo.symbolic.formula.told import UNSAID, Told, joined, known, proved, told, undecided
from midpo.symbolic.formula.tree import Formula
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import piecewise
from midpo.symbolic.loss import prior_margin
from midpo.symbolic.representable import PriorFacts, fold, prior_facts, prior_of_margin
from midpo.symbolic.rewriting.derivation import Derivation, Instance, Step
from midpo.symbolic.rewriting.rule import PRIOR_RULE
from midpo.symbolic.rewriting.rules import reason as reason_of
from midpo.symbolic.work import allowance, bounds, question, uncounted

from .anatomy import readings, temperature_of
from .conditions import LeavesOutTooMuch, defined_where, has_a_value, judge, side_conditions, tie_conditions
from .diagnosis import diagnose
from .display import display, sides
from .gradients import GradientFact, gradient_fact
from .positive import positive_where
from .problem import FORMS, Form, Problem

Verdict = Literal["proved", "refuted", "undecided"]


@dataclass(frozen=True)
class Recovery:
    """The answer for one spec.

    The statement: target loss = factor * (loss of the prior) + constant, for every policy, pair of
    responses and parameter in its domain, where `side_conditions` hold and, of the lengths, at
    those of `defined_where`: at others the formulas themselves have no value. `kind` says whether
    margins or whole losses were compared; `target` and `recovered` are those two, as written
    (`recovered` with the prior still an unknown); `difference` is target minus recovered in normal
    form. `derivation` leads from `recovered` to `target` when proved. `gradient` says whether
    gradients are then equal too; None where no gradient is stopped, so that they are.
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
    defined_where: tuple[str, ...] = ()
    witness: Witness | None = None
    explanation: str = ""
    working_prior: str | None = None
    standing: Told = UNSAID
    steps: tuple[Step, ...] = field(default=())
    gradient: GradientFact | None = None

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
            else {"policy": facts.policy, "label_free": facts.label_free, "token_level": facts.token_level},
            "side_conditions": list(self.side_conditions),
            "defined_where": list(self.defined_where),
            "steps": [
                {
                    "rule": step.rule,
                    "before": text(step.before, taken),
                    "after": text(step.after, taken),
                    "reason": reason_of(step.rule),
                }
                for step in self.steps
            ],
            "standing": self.standing,
            "gradient": None if self.gradient is None else self.gradient.as_json(),
        }
        if self.verdict != "proved":
            answer["explanation"] = self.explanation
        if self.verdict == "refuted":
            answer["working_prior"] = self.working_prior
            answer["witness"] = self.witness.as_json() if self.witness else None
        return answer

    def affine(self, loss: Formula) -> Formula:
        """factor*loss + constant: what the target is of a loss of the prior's."""
        return affine(self.factor, self.constant, loss)

    def _repr_latex_(self) -> str:
        assert self.spec.prior is not None
        side, other = sides(self.spec, self.kind, self.factor, self.constant)
        head, shown = defines(side), self.target
        if self.verdict == "proved":
            head = defines(side, " = ", other)
        elif self.verdict == "refuted":
            head, shown = defines(side, " - ", other), fold(self.difference)
        return display(self.spec.prior, head, shown, self.standing)


def verify(spec: Spec) -> Recovery:
    """Prove or refute that `spec`'s prior recovers its target.

    Objectives count as equal modulo a*L + b with a > 0. Raises: SpecError where the spec lacks a
    prior or a target.
    """
    stated = spec.has_target
    if spec.prior is None or not stated:
        missing = "prior" if spec.prior is None else "target"
        raise SpecError(
            f"the spec has no {missing}: there is nothing to verify",
            file=spec.file,
            key=missing,
            expected="a prior and a target",
        )
    problem = Problem.as_written(spec)
    with question():
        try:
            return _decided(problem)
        except (TooLarge, RecursionError) as error:
            obstacle = _obstacle(error)
    with uncounted():
        return _answer(
            problem,
            None,
            verdict="undecided",
            standing=undecided(),
            difference=problem.target - problem.inserted,
            explanation=obstacle,
        )


def _decided(problem: Problem) -> Recovery:
    """Raises: TooLarge, RecursionError where not even what was tried can be told."""
    spec, facts = problem.spec, None
    first, last = list[str](), list[str]()
    try:
        with allowance(*spec.expressions):
            has_a_value(spec)
            facts = prior_facts(spec)
            problem = problem.as_margin()
    except NoValue as error:
        return _nothing_to_decide(problem, facts, error)
    except (RecursionError, TooLarge) as error:
        last = [_obstacle(error)]
        return (
            _refutation(problem, facts, last, seen=True)
            or _refutation(problem, facts, last, seen=False)
            or _undecided(problem, facts, last)
        )
    try:
        # Numbers are asked before a proof by cells: that is long work where the sides differ.
        return (
            _first_proof(problem, facts, FORMS, first)
            or _refutation(problem, facts, first, seen=True)
            or _first_proof(problem, facts, (CELL_FORM,), last)
            or _refutation(problem, facts, first, seen=False)
            or _undecided(problem, facts, last)
        )
    except NoValue as error:
        return _nothing_to_decide(problem, facts, error)


def _nothing_to_decide(problem: Problem, facts: PriorFacts | None, error: NoValue) -> Recovery:
    return _answer(
        problem,
        facts,
        verdict="undecided",
        explanation=_sentence(str(error)),
        standing=known(Standing.EMPTY),
        difference=problem.target - problem.inserted,
    )


def _obstacle(error: Exception) -> str:
    if isinstance(error, LeavesOutTooMuch):
        return f"{error}."
    too_deep = "the expressions are nested too deeply"
    return f"No proof within bounds: {too_deep if isinstance(error, RecursionError) else error}."


def _first_proof(
    problem: Problem, facts: PriorFacts, forms: Iterable[Form], obstacles: list[str]
) -> Recovery | None:
    """The first proof in one of these forms; what kept others from ending goes to `obstacles`.
    Raises: NoValue."""
    for candidate in problem.alternatives():
        for form in forms:
            try:
                with allowance(*problem.spec.expressions, units=units(problem, form)):
                    recovery = prove(candidate, facts, form)
            except (RecursionError, TooLarge) as error:
                obstacles.append(_obstacle(error))
                break
            if recovery is not None:
                return recovery
    return None


def units(problem: Problem, form: Form) -> int:
    """How much work a form may take: of maxima and steps, cells decide sooner than rules, and are
    asked only where numbers told nothing apart."""
    full = bounds(*problem.spec.expressions).units
    if form is CELL_FORM:
        return 3 * full
    kinked = any(e.has(*piecewise()) for e in problem.spec.expressions)
    return full // 30 if kinked and form is FORMS[-1] else full


def prove(problem: Problem, facts: PriorFacts | None, form: Form) -> Recovery | None:
    """A checked chain from the recovered side to the target, or None."""
    inserted = problem.inserted
    ends = _ends(problem, form)
    if not _joined(*ends, form):
        if form is not CELL_FORM or not any(
            step.rule == "geometric_sum" for chain in ends for step in chain.steps
        ):
            return None
        with sums_kept():
            ends = _ends(problem, form)
            if not _joined(*ends, form):
                return None
    chain, other = ends
    whole = chain.joined(other).without_detours()
    try:
        # What was spent on finding is not missing here: a step that is not looked at is none.
        with allowance(*problem.spec.expressions, anew=True):
            count = check(whole, problem.recovered, problem.target, problem.definitions)
    except CheckFailed as error:
        raise TooLarge("a derivation was found that the checker does not confirm") from error
    judge(problem.spec, whole)
    steps = f"{count} step{'s' * (count != 1)}"
    return _answer(
        problem,
        facts,
        verdict="proved",
        derivation=whole,
        standing=proved("a derivation of {}, replayed by the checker", steps),
        gradient=gradient_fact(problem.spec, problem.target, inserted),
    )


def _ends(problem: Problem, form: Form) -> tuple[Derivation, Derivation]:
    """Chains from the recovered side and from the target to their normal forms."""
    chain = Derivation(problem.recovered)
    uses = tuple(Instance(old, new) for old, new in problem.definitions.items())
    chain.append(Step(PRIOR_RULE, problem.recovered, problem.inserted, uses))
    normalise(chain, **form)
    other = Derivation(problem.target)
    normalise(other, **form)
    return chain, other


def _joined(chain: Derivation, other: Derivation, form: Form) -> bool:
    """Lead the first chain to the other's end, if they are seen to meet; whether they do."""
    if is_zero(chain.end - other.end):
        chain.arithmetic(other.end)
        return True
    return form is CELL_FORM and meet(chain, other)


def _refutation(
    problem: Problem, facts: PriorFacts | None, obstacles: list[str], *, seen: bool
) -> Recovery | None:
    """A witness that the two sides differ, one that float64 sees or one that it does not."""
    spec, margins = problem.spec, problem.kind == "margin"
    with allowance(*spec.expressions):
        normal = _normal_sides(problem)
        difference = _difference(problem, normal)
        try:
            witness = find_witness(
                spec, problem.target, problem.inserted, difference, margins=margins, seen=seen
            )
            if (
                witness is not None
                and problem.only_losses_count
                and may_be_affine(spec, problem.losses, case=witness.case)
            ):
                return None
        except TooLarge as error:
            obstacles.append(_obstacle(error))
            return None
        if witness is None:
            return None
        explanation, prior = _explain(problem, normal)
    return _answer(
        problem,
        facts,
        verdict="refuted",
        difference=difference,
        witness=witness,
        explanation=explanation,
        working_prior=prior,
        standing=known(Standing.REFUTED, "the two sides differ at the witness ({})", witness.standing),
    )


def _undecided(problem: Problem, facts: PriorFacts | None, obstacles: list[str]) -> Recovery:
    with allowance(*problem.spec.expressions):
        normal = None if obstacles else _normal_sides(problem)
        why = _why_undecided(problem, obstacles)
    return _answer(
        problem,
        facts,
        verdict="undecided",
        standing=told("{} only", Standing.EVIDENCE),
        difference=_difference(problem, normal),
        explanation=why,
    )


def _difference(problem: Problem, normal: _Sides | None) -> Expr:
    return problem.target - problem.inserted if normal is None else normal[2]


def _why_undecided(problem: Problem, obstacles: list[str]) -> str:
    """What lies outside the fragment in which normal forms decide, and the numerical evidence."""
    reason, taken = "", problem.spec.names.taken()
    if obstacles:
        reason = obstacles[-1].removesuffix(".")
    else:
        reason = "The normal forms differ, but no point was found at which the two sides do"
        foreign = sorted(text(node, taken) for node in outside(_last_form(problem)))
        if foreign:
            reason += f". What `{foreign[0]}` is equal to is not decided in general"
    try:
        defined, agreeing = agreements(problem.spec, problem.target, problem.inserted)
    except (TooLarge, NoValue, RecursionError):
        defined = agreeing = 0
    if not defined:
        return f"{reason}; there is no numerical evidence."
    return f"{reason}; they agree at {agreeing} of {defined} random points to 50 digits."


def _last_form(problem: Problem) -> Expr:
    try:
        return normal_form(problem.target - problem.inserted, **CELL_FORM)
    except (TooLarge, NoValue, RecursionError):
        return S.Zero


_Sides = tuple[Expr, Expr, Expr]


def _normal_sides(problem: Problem) -> _Sides | None:
    """The target, the recovered side and their difference in normal form, if within bounds."""
    try:
        target, recovered = normal_form(problem.target), normal_form(problem.inserted)
        return target, recovered, normal_form(target - recovered)
    except (TooLarge, NoValue, RecursionError):
        return None


def _explain(problem: Problem, normal: _Sides | None) -> tuple[str, str | None]:
    """What is off, in one sentence, and a prior that works, where there is one."""
    weighted = _weighted(problem)
    if weighted:
        return weighted, None
    if problem.kind == "loss":
        return ("The prior's loss is not the target's, nor a positive multiple of it plus a constant."), None
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


def _weighted(problem: Problem) -> str:
    """That the target is the prior's loss but for a weight or a temperature of the pair; "" where
    it is not."""
    try:
        parts = next(readings(problem.spec), None)
        if parts is None or parts.term != 0:
            return ""
        temperature, margin = temperature_of(parts.margin)
        recovered = substitute(prior_margin(problem.spec.alpha), problem.definitions)
        same = is_zero(normal_form(margin - recovered))
    except (TooLarge, NoValue, RecursionError):
        return ""
    if not same or (parts.weight == 1 and temperature == 1):
        return ""
    brought = (
        (temperature, "its margin is the recovered one times {}, a temperature of the pair"),
        (parts.weight, "the loss is multiplied by {}, a weight of the data"),
    )
    taken = problem.spec.names.taken()
    said = [told(words, stated(expr, taken)) for expr, words in brought if expr != 1]
    where = [c for f in (temperature, parts.weight) for c in positive_where(f) or ()]
    return told(
        "The target is the prior's loss but for what the pair brings: {}{}.",
        joined("; ", said),
        told(" (where {})", joined(", ", where)) if where else "",
    )


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:] + "."


def _answer(problem: Problem, facts: PriorFacts | None, **found: Any) -> Recovery:
    derivation = found.get("derivation")
    conditions = side_conditions(problem.spec)
    if derivation is not None:
        if problem.positive is not None:
            conditions += positive_where(problem.positive) or ()
        conditions += tie_conditions(derivation)
    return Recovery(
        spec=problem.spec,
        kind=problem.kind,
        target=problem.target,
        recovered=problem.recovered,
        definitions=problem.definitions,
        facts=facts,
        factor=problem.factor,
        constant=problem.constant,
        side_conditions=tuple(dict.fromkeys(conditions)),
        defined_where=defined_where(problem.spec),
        steps=tuple(derivation.steps) if derivation else (),
        **found,
    )
