"""Two losses as one question: are they equal, up to a positive factor and a constant?

A parameter, feature or policy of one name is one thing in both. Equality rests on a derivation from
one side to the other, replayed by the checker. An optimiser sees the gradient too, which a stopped
part leaves out, so that what is equal in value is asked for its gradient as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sympy import Expr, Symbol

from midpo.numeric.arithmetic import Digits, Floats, Undefined
from midpo.numeric.case import Case
from midpo.numeric.evaluate import Evaluator
from midpo.numeric.witness import ATTEMPTS_A_LENGTH, MAX_VALUES, cases, certain, differ, middle
from midpo.proofs.recover.problem import FORMS, Form, Problem
from midpo.proofs.recover.recovery import prove, units
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.algebra.splitting import CELL_FORM
from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.errors import NoValue, SpecError, TooLarge
from midpo.symbolic.formula.told import Told, proved
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import MARGIN, POLICY, Parameter, StopGradient
from midpo.symbolic.language.places import Names
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.words import piecewise
from midpo.symbolic.loss import logistic_form, loss_of_margin, pair_loss
from midpo.symbolic.work import allowance

SAMPLES = 4  # cases at which both sides are evaluated before a proof is tried
TOO_MUCH = (TooLarge, NoValue, RecursionError)


@dataclass(frozen=True)
class Equality:
    """loss of the first = `factor` * loss of the second + `constant`, with factor > 0, both free of
    the pair and of the policy, where `side_conditions` hold.

    `gradient` says whether the gradients are then equal too: None where they agree at the cases
    that were tried and nothing proves it.
    """

    factor: Expr
    constant: Expr
    side_conditions: tuple[str, ...]
    standing: Told
    gradient: bool | None

    @property
    def exact(self) -> bool:
        """Whether the losses are equal as they are."""
        return bool(self.factor == 1 and self.constant == 0)


def equality(first: Spec, second: Spec) -> Equality | None:
    """The proof that two losses are equal; None where no derivation shows it.

    A loss that the trained policy does not move is equal to what it is identical with, and to no
    other up to a factor and a constant: every such loss would be every other's.

    Raises: SpecError where a spec has no loss of one pair, or a feature of one name has two kinds;
    TooLarge, NoValue where the question is too much work or has no value.
    """
    problem = side_by_side(first, second)
    found = proof(problem)
    if found is None:
        return None
    told = replace(found, side_conditions=(*domains(first, second), *found.side_conditions))
    return told if told.exact or moves(problem) else None


def seen_equality(first: Spec, second: Spec) -> Equality | None:
    """As `equality`; None too where the two cannot be compared, or take too much work."""
    try:
        return equality(first, second)
    except (*TOO_MUCH, SpecError):
        return None


# --- Two specs as one problem --------------------------------------------------------------------


def side_by_side(first: Spec, second: Spec) -> Problem:
    """The question whether the two losses are one, in common names; asked of the margins where
    both have one link. The order of the two does not change the cases that are tried."""
    parameters = dict(first.names.parameters)
    for name, parameter in second.names.parameters.items():
        domain = _shared(first, second, name, parameters.get(name, parameter).domain, parameter.domain)
        parameters[name] = Parameter(name, domain)
    features = dict(first.names.features)
    for name, kind in second.names.features.items():
        if features.setdefault(name, kind) != kind:
            raise SpecError(
                f"feature {name} belongs to a {features[name]} in {first.name}",
                file=second.file,
                key=f"features.{name}",
                expected=f"features of one name and one kind; here it is a {kind}",
            )
    responses = {*first.names.responses, *second.names.responses}
    ranges = {
        name: _shared(first, second, name, first.names.range(name), second.names.range(name))
        for name in sorted(first.names.ranges | second.names.ranges)
    }
    names = Names(
        dict(sorted(parameters.items())),
        dict(sorted(features.items())),
        first.names.policies | second.names.policies,
        tuple(sorted(responses, key=str)),
        ranges,
    )

    def common(spec: Spec, expr: Expr) -> Expr:
        # By name: where settings were inserted, one name may come with the domains of both.
        held: dict[Expr, Expr] = {o: parameters[o.name] for o in expr.atoms(Parameter)}
        return substitute(expr, held | {spec.names.datum(n): names.datum(n) for n in ranges})

    (one, link), (other, link_too) = (
        tuple(common(s, e) if e is not None else None for e in margin_and_link(s)) for s in (first, second)
    )
    conditions = tuple(dict.fromkeys((*first.conditions, *second.conditions)))
    told = replace(first, names=names, prior=None, constraint=None, multiplier=None, conditions=conditions)
    if one is not None and other is not None and link == link_too:
        return posed(replace(told, link=link), "margin", one, other)
    one, other = (common(s, pair_loss(s)) for s in (first, second))
    # As a link the margin itself: what is compared are the losses as they are.
    return posed(replace(told, link=MARGIN), "loss", one, other)


def posed(spec: Spec, kind: Any, one: Expr, other: Expr) -> Problem:
    """The question whether `one` and `other` are equal; the spec holds both, for its cases."""
    return Problem(replace(spec, margin=one, loss=other), kind, one, other, {})


def margin_and_link(spec: Spec) -> tuple[Expr | None, Expr | None]:
    """The margin and the stated link; no margin where the loss is not such a function alone."""
    if spec.constraint is not None and spec.loss is None:
        return None, None
    if spec.margin is not None:
        return spec.margin, spec.link
    if spec.loss is None and spec.link is not None:
        return None, None
    logistic = logistic_form(pair_loss(spec))
    plain = logistic is not None and logistic.factor == 1 and logistic.constant == 0
    return (logistic.margin, None) if logistic is not None and plain else (None, None)


def _shared(first: Spec, second: Spec, name: str, one: Interval, other: Interval) -> Interval:
    """The values that `name` has in both specs. Raises: SpecError where there are none."""
    both = one.meet(other)
    if both is None:
        raise SpecError(
            f"{name} has no value that lies in both domains",
            file=second.file,
            key=name,
            expected=f"a domain that meets {one.written}, that of {first.name}; here it is {other.written}",
        )
    return both


def domains(first: Spec, second: Spec) -> tuple[str, ...]:
    """For which values both losses exist at all, where the two declare a name differently."""
    told = []
    ours, others = first.names, second.names
    for name in sorted(ours.parameters.keys() & others.parameters.keys()):
        domains = (ours.parameters[name].domain, others.parameters[name].domain)
        if domains[0] != domains[1]:
            told.append(f"{name} is {_shared(first, second, name, *domains).described}")
    for name in sorted(ours.features.keys() & others.features.keys()):
        ranges = (ours.range(name), others.range(name))
        if ranges[0] != ranges[1]:
            told.append(f"{name} is {_shared(first, second, name, *ranges).described}")
    return tuple(told)


# --- Proof ---------------------------------------------------------------------------------------


def proof(problem: Problem) -> Equality | None:
    """The first proof that the two sides of `problem` are equal, up to a factor and a constant."""
    if not may_agree(problem):
        return None
    obstacle: Exception | None = None
    for asked in _alternatives(problem):
        if _cut_apart(asked):
            continue
        for shapes in (FORMS, (CELL_FORM,)):  # cells decide where rules end for want of work
            try:
                found = next(filter(None, (_proved(asked, shape) for shape in shapes)), None)
            except TOO_MUCH as error:
                obstacle = error
                continue
            if found is not None:
                return replace(found, gradient=gradient(asked))
    if obstacle is not None:
        raise obstacle
    return None


def _cut_apart(problem: Problem) -> bool:
    """Whether numbers tell sides apart that steps and maxima make alike at most lengths: proofs are
    long work there."""
    sides = (problem.target, problem.recovered)
    return any(side.has(*piecewise()) for side in sides) and differ(problem.spec, *sides)


def _alternatives(problem: Problem) -> Iterator[Problem]:
    """This question, asked of margins where that can be; then of the losses that a link makes."""
    # What it takes to pose a question is not taken from what its proof may take.
    with allowance(problem.target, problem.recovered):
        asked = problem if problem.kind == "margin" else _scaled(problem)
    yield asked
    if problem.kind == "margin" and problem.spec.link is not None:
        with allowance(problem.target, problem.recovered):
            asked = _scaled(posed(problem.spec, "loss", *losses(problem)))
        yield asked


def _proved(problem: Problem, shape: Form) -> Equality | None:
    with allowance(problem.target, problem.recovered, units=units(problem, shape)):
        found = prove(problem, None, shape)
    if found is None or found.verdict != "proved":
        return None
    what, count = "margins" if problem.kind == "margin" else "losses", len(found.steps)
    steps = f"a derivation of {count} step{'s' * (count != 1)} between the {what}, replayed by "
    return Equality(
        problem.factor,
        problem.constant,
        found.side_conditions,
        proved(f"{steps}the checker" if count else f"the {what} are one formula"),
        None,
    )


def _scaled(problem: Problem) -> Problem:
    """The question asked of the margins of two logistic losses; else of the losses, scaled alike
    where that can be seen."""
    forms = [logistic_form(side) for side in (problem.target, problem.recovered)]
    one, other = forms
    if one is None or other is None:
        return problem.as_margin()
    factor = one.factor / other.factor
    constant = one.constant - factor * other.constant
    return Problem(problem.spec, "margin", one.margin, other.margin, {}, factor, constant)


def losses(problem: Problem) -> tuple[Expr, Expr]:
    """The two losses."""
    one, other = problem.target, problem.recovered
    if problem.kind == "loss":
        return one, other
    return loss_of_margin(problem.spec, one), loss_of_margin(problem.spec, other)


# --- Numbers -------------------------------------------------------------------------------------


def may_agree(problem: Problem, least: int = 0) -> bool:
    """Whether, at a few cases with the same parameters, margins are equal, or losses equal up to a
    factor and a constant; False too where fewer than `least` cases have values."""
    one_link = problem.kind == "margin" and problem.spec.link is None
    sides = (problem.target, problem.recovered) if one_link else losses(problem)
    found: list[tuple[float, float]] = []
    for case in _cases(problem.spec):
        if len(found) == SAMPLES:
            break
        values = certain(case)  # no accident, such as a score of 0, tells them apart
        try:
            one, other = middle(values(sides[0])), middle(values(sides[1]))
        except (Undefined, OverflowError):
            continue
        found.append((one, other))
        if one_link and not _close(one, other):
            return False
        a, b = one - found[0][0], other - found[0][1]
        steps = ((c - found[0][0], d - found[0][1]) for c, d in found[1:-1])
        if not one_link and not all(_close(a * d, b * c) for c, d in steps):
            return False
    return len(found) >= least


def _cases(spec: Spec) -> Iterator[Case]:
    """Cases with the same parameters, one for each pair of lengths."""
    return itertools.islice(cases(spec), 0, None, ATTEMPTS_A_LENGTH)


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-8 * (1 + abs(one))


def moves(problem: Problem) -> bool:
    """Whether the trained policy is seen to move both losses, stopped parts held."""
    return all(trains(problem.spec, loss) for loss in losses(problem))


def trains(spec: Spec, loss: Expr) -> bool:
    """Whether `loss` is seen to change with the trained policy, what is stopped held."""
    for case in _cases(spec):
        laws = case.laws["pi"]
        turned = replace(
            case, laws={**case.laws, "pi": {prefix: (*law[1:], law[0]) for prefix, law in laws.items()}}
        )
        base, other = (c.point(Floats()) for c in (case, turned))
        try:
            before, after = (
                float(Evaluator(Floats(), point, base, MAX_VALUES)(loss)) for point in (base, other)
            )
        except (Undefined, OverflowError):
            continue
        if not _close(before, after):
            return True
    return False


def gradient(problem: Problem) -> bool | None:
    """Whether losses that are equal in value have one gradient up to the factor: True where nothing
    is stopped or the sides are equal with what is stopped kept apart, False where they differ in 50
    digits at a case, None where neither is seen."""
    sides = (problem.target, problem.recovered)
    if not any(side.has(StopGradient) for side in sides):
        return True
    try:
        held = [_held(side) for side in sides]
        for shape in FORMS:
            with allowance(*sides):
                if is_zero(normal_form(held[0] - held[1], **shape)):
                    return True
    except TOO_MUCH:
        pass
    ops = Digits()
    for case in _cases(problem.spec):
        try:
            one, other = (slope(ops, case, side) for side in sides)
        except Undefined:
            continue
        if abs(one - other) > 1e-12 * (abs(one) + abs(other)) + 1e-15:
            return False
    return None


def _held(expr: Expr) -> Expr:
    """`expr` with what is stopped spoken of another policy, which no gradient reaches: expressions
    that are equal then have one gradient."""
    while True:
        stopped = {
            node: node.args[0].xreplace({POLICY: Symbol("pi stopped")})
            for node in expr.atoms(StopGradient)
            if not node.args[0].has(StopGradient)
        }
        if not stopped:
            return expr
        expr = substitute(expr, stopped)


def slope(ops: Digits, case: Case, expr: Expr) -> Any:
    """The derivative of `expr` as the trained policy moves towards other laws, stopped parts held:
    a central difference in 50 digits."""
    step = Fraction(1, 10**15)
    base = case.point(ops)

    def moved(by: Fraction) -> Mapping[tuple[int, ...], tuple[Fraction, ...]]:
        return {
            prefix: tuple(p + by * (q - p) for p, q in zip(law, law[1:] + law[:1], strict=True))
            for prefix, law in case.laws["pi"].items()
        }

    ahead, behind = (
        Evaluator(ops, replace(case, laws={**case.laws, "pi": moved(by)}).point(ops), base)(expr)
        for by in (step, -step)
    )
    return (ahead - behind) / (2 * ops.number(step))
