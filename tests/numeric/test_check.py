"""The checker accepts what was derived and refuses every small change to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from sympy import Integer, sqrt

from midpo.proofs.checking.check import CheckFailed, check, replay
from midpo.proofs.recover.recovery import Recovery, verify
from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.errors import NoValue
from midpo.symbolic.language.nodes import CHOSEN, POLICY, Exp, Log, Parameter, Prob
from midpo.symbolic.language.spec import PAPER, load
from midpo.symbolic.rewriting.derivation import Derivation, Instance, Step
from midpo.symbolic.rewriting.rule import ARITHMETIC, PRIOR_RULE
from midpo.symbolic.rewriting.rules import RULES

RECOVERIES = {name: verify(load(name)) for name in PAPER}
A, B = Parameter("a"), Parameter("b", "positive")


def accepts(found: Recovery, steps: list[Step], definitions: Any = None) -> bool:
    chain = Derivation(found.recovered, steps)
    try:
        check(chain, found.recovered, found.target, definitions or found.definitions)
    except CheckFailed:
        return False
    return True


@pytest.mark.parametrize("name", PAPER)
def test_accepts_what_was_derived(name: str) -> None:
    found = RECOVERIES[name]
    assert found.derivation is not None
    count = check(found.derivation, found.recovered, found.target, found.definitions)
    assert count == len(found.steps) >= 1


def mutations(steps: list[Step]) -> Iterator[tuple[str, list[Step]]]:
    """Every small change to a chain that must not go through, each with a name."""
    extra = Log(Prob(POLICY, CHOSEN)) * Integer(7)
    for i, step in enumerate(steps):
        before, after = steps[:i], steps[i + 1 :]

        def put(*new: Step, before: Any = before, after: Any = after) -> list[Step]:
            return [*before, *new, *after]

        change = dataclasses.replace
        yield f"{i}: another after", put(change(step, after=step.after + extra))
        yield f"{i}: the after negated", put(change(step, after=-step.after))
        yield f"{i}: another before", put(change(step, before=step.before + extra))
        yield f"{i}: left out", put()
        yield f"{i}: unknown rule", put(change(step, rule="wishful_thinking"))
        yield f"{i}: back to front", put(step.reversed())
        if after:
            yield f"{i}: swapped", [*before, after[0], step, *after[1:]]
            # The same false value on both sides: the chain meets, the steps do not follow.
            bent = change(step, after=step.after + 1)
            straight = change(after[0], before=after[0].before + 1)
            yield f"{i}: bent", [*before, bent, straight, *after[1:]]
        if step.rule not in (ARITHMETIC, PRIOR_RULE):
            other = next(name for name in RULES if RULES[name].head != RULES[step.rule].head)
            yield f"{i}: another rule's name", put(change(step, rule=other))
            yield f"{i}: claimed to be arithmetic", put(change(step, rule=ARITHMETIC))
            yield f"{i}: without instances", put(change(step, instances=()))
            for j, instance in enumerate(step.instances):
                for what, wrong in (
                    ("old", change(instance, old=instance.old + 1)),
                    ("new", change(instance, new=instance.new + 1)),
                    ("parts", change(instance, parts=(*instance.parts, A))),
                    ("fewer parts", change(instance, parts=instance.parts[:-1])),
                ):
                    table = [*step.instances[:j], wrong, *step.instances[j + 1 :]]
                    yield f"{i}: instance {j}, {what}", put(change(step, instances=tuple(table)))


@pytest.mark.parametrize("name", PAPER)
def test_refuses_every_change(name: str) -> None:
    found = RECOVERIES[name]
    steps = list(found.steps)
    tried = 0
    for what, changed in mutations(steps):
        assert not accepts(found, changed), what
        tried += 1
    assert tried >= 6 * len(steps)
    assert accepts(found, steps)


@pytest.mark.parametrize("name", PAPER)
def test_refuses_another_prior(name: str) -> None:
    found = RECOVERIES[name]
    for old, new in found.definitions.items():
        for wrong in (1 / new, new * Prob(POLICY, CHOSEN), Integer(1)):
            assert not accepts(found, list(found.steps), {**found.definitions, old: wrong})
    first = found.steps[0]
    assert first.rule == PRIOR_RULE
    sign = dataclasses.replace(first, after=-first.after)
    assert not accepts(found, [sign, *found.steps[1:]])


def test_refuses_another_question() -> None:
    found = RECOVERIES["dpo"]
    assert found.derivation is not None
    for start, end in ((found.recovered + 1, found.target), (found.recovered, found.target + 1)):
        with pytest.raises(CheckFailed, match="the chain does not"):
            check(found.derivation, start, end, found.definitions)
    with pytest.raises(CheckFailed, match="does not end where"):
        check(Derivation(A), A, B)
    assert check(Derivation(A), A, A) == 0


@pytest.mark.parametrize(
    ("rule", "parts", "old", "new"),
    [
        # log(a**2) = 2*log(a) for a real a: the condition a > 0 fails
        ("log_product", (((A, Integer(2)),), Integer(1)), Log(A**2), 2 * Log(A)),
        ("power_exp", (A, B), A**B, RULES["power_exp"].right(A, B)),
        ("log_number", (((-2, 2),),), Log(Integer(4)), 2 * Log(Integer(-2))),
        ("index_name", (lambda *args: A, A, A, A), A, A),
        ("log_exp", (A,), Log(Exp(A)), A + 1),
        ("log_exp", (A,), Log(Exp(B)), A),
        ("log_exp", (), Log(A), A),
        ("log_exp", (None,), Log(A), A),
        ("max_order", (), A, B),
    ],
)
def test_refuses_an_instance_whose_condition_fails(rule: str, parts: Any, old: Any, new: Any) -> None:
    step = Step(rule, old, new, (Instance(old, new, parts),))
    with pytest.raises(CheckFailed, match="step 1"):
        check(Derivation(old, [step]), old, new)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ((A + B) ** 2, A**2 + 2 * A * B + B**2, True),
        (1 / (1 - A) + 1 / (1 + A), 2 / (1 - A**2), True),
        (1 / (2 * A + 2 * B), Integer(1) / 2 / (A + B), True),
        ((A + B) ** 2, A**2 + B**2, False),
        (1 / A + 1 / B, 2 / (A + B), False),
        (Log(A * B), Log(A) + Log(B), False),  # logarithms are no arithmetic
        (1 / (1 + 1 / (A + B)) + A, 1 - 1 / (A + B + 1) + A, True),  # a fraction below a fraction
        (1 / (1 + 1 / (A + B)) + A, 1 - 1 / (A + B + 2) + A, False),
        (A / (A + B) ** 2 + B / (A + B) ** 2, 1 / (A + B), True),  # one denominator, twice
        (A / (A + B) ** 2 + B / (A + B) ** 2, 1 / (A + B) ** 2, False),
        (1 / (sqrt(A) - B) - 1 / (sqrt(A) + B), 2 * B / (A - B**2), True),
        (1 / (sqrt(A) - B) - 1 / (sqrt(A) + B), 2 * B / (A + B**2), False),
    ],
)
def test_arithmetic(left: Any, right: Any, equal: bool) -> None:
    assert equal_in_field(left, right) == equal
    chain = Derivation(left, [Step(ARITHMETIC, left, right)])
    if equal:
        assert check(chain, left, right) == 1
    else:
        with pytest.raises(CheckFailed, match="arithmetic"):
            check(chain, left, right)


def test_what_divides_by_0_is_equal_to_nothing() -> None:
    below = 1 / (1 + 1 / A) - A / (A + 1)  # 0, which expanding does not show
    with pytest.raises(NoValue):
        equal_in_field(B + 1 / below, B)
    with pytest.raises(CheckFailed, match="arithmetic"):
        check(Derivation(B, [Step(ARITHMETIC, B, B + 1 / below)]), B, B + 1 / below)


def test_detours_are_dropped() -> None:
    c = A + 1
    there = [Step("log_exp", A, B), Step("log_exp", B, c)]
    back = [Step("log_exp", c, B), Step("log_exp", B, A)]
    assert Derivation(A, [*there, *back]).without_detours().steps == []
    assert Derivation(A, [*there, back[0]]).without_detours().steps == there[:1]
    assert Derivation(A, [*there, *back, *there]).without_detours().steps == there
    sums = [Step(ARITHMETIC, A, B), Step(ARITHMETIC, B, c)]
    assert Derivation(A, sums).without_detours().steps == [Step(ARITHMETIC, A, c)]


def test_replacements_that_do_not_end() -> None:
    with pytest.raises(CheckFailed, match="do not end"):
        replay(A, {A: B, B: A})
