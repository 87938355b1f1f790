"""The gradient that an audit states holds every factor: checked against that of the target."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from sympy import Expr, S

from midpo.numeric.arithmetic import Digits, Undefined
from midpo.numeric.witness import cases
from midpo.proofs.audit.audit import audit
from midpo.proofs.audit.gradient.outer import loss_gradient, outer
from midpo.proofs.compare.side_by_side import slope
from midpo.proofs.recover.solution import solve
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import MARGIN, StopGradient
from midpo.symbolic.language.spec import Spec, catalogue, load, loads
from midpo.symbolic.loss import recovered_margin, target_loss

HEAD = """name = "x"
features = { g = "pair" }
parameters = { alpha = "positive" }
[target]
"""
D = "(log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l)))"


def gradients(spec: Spec, stated: Expr) -> list[tuple[Any, Any]]:
    """Derivatives of what was stated and of the target along one direction, in 50 digits, at cases
    with the same parameters."""
    ops, found = Digits(), []
    told = replace(spec, prior=None)
    for case in itertools.islice(cases(told), 0, None, 6):
        quarter = dict.fromkeys(case.parameters, Fraction(1, 4))  # in every domain
        case = replace(case, parameters=quarter)
        try:
            found.append(tuple(slope(ops, case, e) for e in (stated, target_loss(spec))))
        except Undefined:
            continue
        if len(found) == 4:
            break
    return found


def alike(found: list[tuple[Any, Any]]) -> bool:
    """Whether the two are one gradient up to a positive factor."""
    assert len(found) == 4
    pairs = itertools.combinations(found, 2)
    return all(a * b >= 0 for a, b in found) and all(
        abs(a * d - b * c) <= 1e-18 * (1 + abs(a * d)) for (a, b), (c, d) in pairs
    )


def stated(spec: Spec) -> Expr | None:
    """f at the recovered margin and the term beside it; None where the audit has no prior."""
    if spec.prior is not None:
        found = None
    else:
        found = solve(spec)
        if found.prior is None:
            return None
        spec = replace(spec, prior=found.prior)
    weight, link, beside, temperature = (
        (None, None, None, None)
        if found is None
        else (found.weight, found.link, found.constraint, found.temperature)
    )
    function = outer(spec, weight, link, temperature)
    if beside is None and spec.constraint is not None:
        beside = spec.multiplier * spec.constraint
    answer = loss_gradient(spec, weight, link, beside, temperature)
    assert (answer is None) == all(part is None for part in (weight, link, beside, temperature, spec.link))
    return substitute(function, {MARGIN: recovered_margin(spec)}) + (beside or S.Zero)


def test_the_stated_gradient_is_the_target_s() -> None:
    seen = 0
    for name in catalogue():
        spec = load(name)
        if spec.reason:
            continue
        function = stated(spec)
        if function is None:
            continue
        seen += 1
        if target_loss(spec).has(StopGradient) and not function.has(StopGradient):
            # The prior that the row states is differentiated as written, and its target is not.
            told = audit(spec, trials=1)["gradient"]["what is differentiated"]
            assert told.verdict not in ("differentiate", "either"), name
            continue
        assert alike(gradients(spec, function)), name
    assert seen > 50


@pytest.mark.parametrize(
    ("target", "verdict", "formula"),
    [
        (f"margin = 'g*alpha*{D}'", "temperature of the pair", "∇L = −g·σ(−g·m)·∇m"),
        (f"loss = '-logsigmoid(g*alpha*{D})'", "temperature of the pair", "∇L = −g·σ(−g·m)·∇m"),
        (f"loss = '-sg(exp(g))*logsigmoid(alpha*{D})'", "weight of the data", "∇L = −σ(−m)·sg[exp(g)]·∇m"),
    ],
)
def test_weights_inside_and_outside(target: str, verdict: str, formula: str) -> None:
    spec = loads(f"{HEAD}{target}")
    answer = audit(spec)["gradient"]["the loss's gradient"]
    assert answer.verdict == verdict
    assert answer.formulas[0].unicode.replace("m·g", "g·m") == formula
    function = stated(spec)
    assert function is not None and alike(gradients(spec, function))
    # a factor left out is seen
    plain = outer(replace(spec, prior=load("dpo").prior), None)
    dropped = substitute(plain, {MARGIN: recovered_margin(replace(spec, prior=load("dpo").prior))})
    assert not alike(gradients(spec, dropped))


def test_rows_with_weights() -> None:
    kinds = {
        name: audit(load(name))["gradient"]["the loss's gradient"].verdict
        for name in ("mallowspo", "beta-dpo", "wpo", "ipo")
    }
    assert kinds == {
        "mallowspo": "temperature of the pair",
        "beta-dpo": "temperature of the pair",
        "wpo": "weight of the data",
        "ipo": "another link",
    }
