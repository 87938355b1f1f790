"""How two losses differ: equal, equal at a setting of parameters, or different at a witness.

The two specs are read side by side: a parameter, feature or policy of one name is one thing in
both. Equality is up to a positive factor and a constant, which no optimiser sees. It rests on a
derivation from one side to the other, replayed by the checker; a difference on a witness.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sympy import Expr, S

from midpo.numeric.arithmetic import Floats, Undefined
from midpo.numeric.evaluate import Evaluator
from midpo.numeric.witness import (
    ATTEMPTS_A_LENGTH,
    MAX_VALUES,
    Witness,
    cases,
    find_witness,
    is_affine,
)
from midpo.symbolic.derivation import Derivation
from midpo.symbolic.errors import NoValue, SpecError, TooLarge
from midpo.symbolic.intervals import Interval
from midpo.symbolic.language import MARGIN, Parameter, StopGradient, substitute
from midpo.symbolic.loss import logistic_form, loss_of_margin, pair_loss
from midpo.symbolic.normal import form, normal_form, normalise
from midpo.symbolic.parser import Names
from midpo.symbolic.polynomial import is_zero
from midpo.symbolic.spec import Spec
from midpo.symbolic.text import text
from midpo.symbolic.work import allowance

from .check import CheckFailed, check
from .conditions import side_conditions
from .problem import FORMS, Problem
from .settings import Setting, frozen, insert, inside, limits, masks

Verdict = Literal["equal", "equal at a setting", "different", "undecided"]
MAX_FIXED = 3  # how many of the names a setting may fix
MAX_SETTINGS = 2000
SAMPLES = 4  # cases at which both sides are evaluated before a proof is tried


@dataclass(frozen=True)
class Comparison:
    """The answer for two specs.

    loss of `first` = `factor` * loss of `second` + `constant` at `settings` where they are equal;
    `gradient` says whether the gradients are then equal too: always where nothing is detached.
    `witness` is a case at which they differ as they stand, its `target` being `first`.
    """

    first: Spec
    second: Spec
    verdict: Verdict
    settings: tuple[Setting, ...] = ()
    factor: Expr = S.One
    constant: Expr = S.Zero
    side_conditions: tuple[str, ...] = ()
    witness: Witness | None = None
    standing: str = ""
    gradient: bool | None = None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        one, other = self.first.name, self.second.name
        at = ", ".join(map(str, self.settings))
        limits = [s.name for s in self.settings if s.limit]
        beyond = f" (a limit: {', '.join(limits)} leaves its domain)" if limits else ""
        value = " in value, not seen to be in gradient" if self.gradient is False else ""
        return {
            "equal": f"{one} and {other} are equal{value}",
            "equal at a setting": f"{one} and {other} are equal{value} at {at}{beyond}",
            "different": f"{one} and {other} are different",
            "undecided": f"whether {one} and {other} are equal is not decided",
        }[self.verdict]

    def as_json(self) -> dict[str, Any]:
        return {
            "first": self.first.name,
            "second": self.second.name,
            "verdict": self.verdict,
            "settings": {s.name: s.value for s in self.settings},
            "limit": any(s.limit for s in self.settings),
            "up_to": {"factor": text(self.factor), "constant": text(self.constant)},
            "gradient": self.gradient,
            "side_conditions": list(self.side_conditions),
            "witness": None if self.witness is None else self.witness.as_json(),
            "standing": self.standing,
        }


def compare(first: Spec, second: Spec) -> Comparison:
    """Whether the losses of two specs are equal, or become so at special values: parameters at 0,
    1 or 1/2 or equal to one another, features at 1 or 0, frozen policies at the reference.

    A limit is found where the value can be inserted, not where it divides by zero.

    Raises: SpecError where a spec has no loss of one pair, or a feature of one name has two kinds.
    """
    problem = _side_by_side(first, second)
    try:
        found = _proof(problem)
        if found is not None:
            return _equal(first, second, "equal", (), *found)
        witness = _witness(problem)
        for settings, special in _specialised(problem, first, second):
            try:
                found = _proof(special)
            except (TooLarge, NoValue, RecursionError):
                continue  # no value there, or too much work: another setting may do
            if found is not None:
                equal = _equal(first, second, "equal at a setting", settings, *found)
                return replace(equal, witness=witness)
    except (TooLarge, NoValue, RecursionError) as error:
        return Comparison(first, second, "undecided", standing=f"not decided: {error}")
    if witness is None:
        return Comparison(first, second, "undecided", standing="not decided: no derivation shows "
                          "them equal, and no case was found at which they differ")
    return Comparison(first, second, "different", witness=witness,
                      standing=f"they differ at the witness ({witness.standing}), and at no "
                      "special value that was tried does a derivation show them equal")


def special_case(one: Spec, other: Spec) -> Comparison | None:
    """The comparison of two losses that are equal as they stand; None where no derivation shows it.

    Raises: as `compare`, and TooLarge, NoValue where that is too much work or has no value.
    """
    found = _proof(_side_by_side(one, other))
    return None if found is None else _equal(one, other, "equal", (), *found)


# --- Two specs as one problem --------------------------------------------------------------------


def _side_by_side(first: Spec, second: Spec) -> Problem:
    """The question whether the two losses are one, in common names; asked of the margins where
    both have one link."""
    parameters = dict(first.names.parameters)
    for name, parameter in second.names.parameters.items():
        domain = _shared(first, second, name, parameters.get(name, parameter).domain,
                         parameter.domain)
        parameters[name] = Parameter(name, domain)
    features = dict(first.names.features)
    for name, kind in second.names.features.items():
        if features.setdefault(name, kind) != kind:
            raise SpecError(f"feature {name} belongs to a {features[name]} in {first.name}",
                            file=second.file, key=f"features.{name}",
                            expected=f"features of one name and one kind; here it is a {kind}")
    responses = dict.fromkeys((*first.names.responses, *second.names.responses))
    ranges = {name: _shared(first, second, name, first.names.range(name), second.names.range(name))
              for name in first.names.ranges | second.names.ranges}
    names = Names(parameters, features, first.names.policies | second.names.policies,
                  tuple(responses), ranges)

    def common(spec: Spec, expr: Expr) -> Expr:
        held: dict[Expr, Expr] = {o: parameters[n] for n, o in spec.names.parameters.items()}
        return substitute(expr, held | {spec.names.datum(n): names.datum(n) for n in ranges})

    (one, link), (other, link_too) = (
        tuple(common(s, e) if e is not None else None for e in margin_and_link(s))
        for s in (first, second)
    )
    conditions = tuple(dict.fromkeys((*first.conditions, *second.conditions)))
    told = replace(first, names=names, prior=None, constraint=None, multiplier=None,
                   conditions=conditions)
    if one is not None and other is not None and link == link_too:
        told = replace(told, margin=one, loss=other, link=link)
        return Problem(told, "margin", one, other, {})
    one, other = (common(s, pair_loss(s)) for s in (first, second))
    # As a link the margin itself: what is compared are the losses as they are.
    told = replace(told, margin=one, loss=other, link=MARGIN)
    return Problem(told, "loss", one, other, {})


def _shared(first: Spec, second: Spec, name: str, one: Interval, other: Interval) -> Interval:
    """The values that `name` has in both specs. Raises: SpecError where there are none."""
    both = one.meet(other)
    if both is None:
        raise SpecError(f"{name} has no value that lies in both domains", file=second.file,
                        key=name, expected=f"a domain that meets {one.written}, that of "
                        f"{first.name}; here it is {other.written}")
    return both


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


# --- Proof and witness ---------------------------------------------------------------------------


_Found = tuple[Problem, int]


def _proof(problem: Problem) -> _Found | None:
    """A checked derivation from the second side to the first, and its number of steps."""
    if not _may_agree(problem):
        return None
    with allowance(problem.target, problem.recovered):
        scaled = problem if problem.kind == "margin" else _scaled(problem)
    for shape in FORMS:
        with allowance(problem.target, problem.recovered):
            chain, other = Derivation(scaled.recovered), Derivation(scaled.target)
            normalise(chain, **shape)
            normalise(other, **shape)
            if not is_zero(chain.end - other.end):
                continue
            chain.arithmetic(other.end)
            whole = chain.joined(other).without_detours()
            try:
                return scaled, check(whole, scaled.recovered, scaled.target, {})
            except CheckFailed:
                continue
    return None


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


def _may_agree(problem: Problem) -> bool:
    """Whether, at a few cases with the same parameters, margins are equal, or losses equal up to a
    factor and a constant."""
    found: list[tuple[float, float]] = []
    for case in itertools.islice(cases(problem.spec), 0, None, ATTEMPTS_A_LENGTH):
        if len(found) == SAMPLES:
            break
        values = Evaluator(Floats(), case.point(Floats()), limit=MAX_VALUES)
        try:
            found.append((float(values(problem.target)), float(values(problem.recovered))))
        except (Undefined, OverflowError):
            continue
    if problem.kind == "margin":
        return all(_close(one, other) for one, other in found)
    steps = [(one - found[0][0], other - found[0][1]) for one, other in found[1:]]
    return all(_close(a * d, b * c) for (a, b), (c, d) in itertools.combinations(steps, 2))


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-8 * (1 + abs(one))


def _witness(problem: Problem) -> Witness | None:
    """A case at which the sides differ, unless a factor and a constant could explain it."""
    target, recovered = problem.target, problem.recovered
    if problem.kind == "loss":
        losses = target, recovered
    else:
        losses = (loss_of_margin(problem.spec, target), loss_of_margin(problem.spec, recovered))
    with allowance(target, recovered):
        if is_affine(problem.spec, *losses):
            return None
    with allowance(target, recovered):
        difference = normal_form(target - recovered)
        return find_witness(problem.spec, target, recovered, difference,
                            margins=problem.kind == "margin")


def _equal(
    first: Spec,
    second: Spec,
    verdict: Verdict,
    settings: tuple[Setting, ...],
    problem: Problem,
    count: int,
) -> Comparison:
    what = "margins" if problem.kind == "margin" else "losses"
    steps = f"a derivation of {count} step{'s' * (count != 1)} between the {what}, replayed by "
    sides = (problem.target, problem.recovered)
    detached = any(side.has(StopGradient) for side in sides)
    return Comparison(
        first, second, verdict, settings, problem.factor, problem.constant,
        side_conditions(problem.spec) if not settings else (),
        standing=f"proved: {steps}the checker" if count else f"proved: the {what} are one formula",
        gradient=not detached or is_zero(form(sides[0]) - form(sides[1])),
    )


# --- Special values ------------------------------------------------------------------------------


def _specialised(
    problem: Problem, first: Spec, second: Spec
) -> Iterator[tuple[tuple[Setting, ...], Problem]]:
    """The problem at special values, the fewest fixed first; values in the domain before limits."""
    options = _options(problem.spec, first, second)
    tried = 0
    for size in range(1, MAX_FIXED + 1):
        for chosen in itertools.combinations(options, size):
            combined = sorted(
                itertools.product(*(options[name] for name in chosen)),
                key=lambda pairs: sum(setting.limit for setting, _ in pairs),
            )
            for pairs in combined:
                tried += 1
                if tried > MAX_SETTINGS:
                    return
                special = _at(problem, {s.name: value for s, value in pairs})
                if special is not None:
                    yield tuple(s for s, _ in pairs), special


def _options(
    spec: Spec, first: Spec, second: Spec
) -> dict[str, list[tuple[Setting, Expr]]]:
    """What each name may be fixed at."""
    options: dict[str, list[tuple[Setting, Expr]]] = {}
    mine, theirs = first.names.parameters, second.names.parameters
    used = {s.name for e in (spec.margin, spec.loss) if e is not None for s in e.free_symbols}
    for name, parameter in spec.names.parameters.items():
        if name not in used or (name == "alpha" and name in mine and name in theirs):
            continue  # the scale of both is compared as it stands
        others = [q for q in spec.names.parameters if q in theirs and q not in mine]
        equal = [spec.names.parameters[q] for q in others if name in mine and name not in theirs]
        options[name] = [
            *inside(parameter),
            *((Setting(name, q.name), q) for q in equal),
            *limits(parameter),
        ]
    for name in spec.names.features:
        options[name] = list(masks(name, spec.names.range(name)))
    for name in sorted(spec.policies):
        if name not in ("pi", "pi_ref"):
            options[name] = [frozen(name)]
    return options


def _at(problem: Problem, fixed: Mapping[str, Expr]) -> Problem | None:
    """The problem with these names fixed; None where a side has no value then."""
    spec = problem.spec

    sides = (problem.target, problem.recovered, spec.link)
    one, other, link = (insert(side, spec.names, fixed) for side in sides)
    if S.NaN in (one, other, link):
        return None
    assert one is not None and other is not None
    told = replace(spec, margin=one, loss=other, link=link)
    return Problem(told, problem.kind, one, other, {})

