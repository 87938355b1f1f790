"""Exact derivatives on small trees: against 50-digit differences, identities, and hand values."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midpo.numeric.arithmetic import Digits, Undefined
from midpo.numeric.duals import Dual, Duals, gradient_of, value_of
from midpo.numeric.evaluate import Evaluator, Point
from midpo.numeric.trees import (
    World,
    centre,
    full_tree,
    logits_of,
    policy_of,
    random_pair,
    random_world,
    with_policy,
)
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import with_label
from midpo.symbolic.language.nodes import CHOSEN, POLICY, RESPONSE, Log, Prob
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.spec import Spec, catalogue, load, loads
from midpo.symbolic.language.words import FUNCTIONS

RNG = np.random.default_rng


def spec(prior: str) -> Spec:
    return loads(
        f'name = "s"\nprior = "{prior}"\n[parameters]\nalpha = "positive"\n'
        'g = "unit"\n[features]\nw = "token"\nscore = "response"\n'
    )


PRIORS = (
    "pi(y)**(1 - 1/len(y))",
    "pi_ref(y)*exp(-sum(kl(pi_ref, pi, y, t) for t in y))",
    "exp(sum(w(y,t)*entropy(pi, y, t)**2 + g**t*log(pi(y,t)) for t in y))",
    "(pi(y) + pi_ref(y))/2",
    "exp(max(log(pi(y)/pi_ref(y)), score(y)) - sqrt(pi(y)) + tanh(log(pi(y))))",
    "prod(1 + pi(y,t)**2 for t in y)*sigmoid(log(pi(y)))",
)


def test_a_full_tree_is_a_probability_space() -> None:
    for depth, count in ((1, 3), (2, 7), (3, 15)):
        responses = full_tree(depth)
        assert len(responses) == len(set(responses)) == count
        assert not any(a != b and b[: len(a)] == a for a in responses for b in responses), (
            "a response is the prefix of another"
        )
        world = random_world(load("tdpo"), responses, RNG(0))
        assert world.probability().sum() == pytest.approx(1, abs=1e-14)
        again = policy_of(world, np.log(world.probability()))
        assert again.probability() == pytest.approx(world.probability(), abs=1e-15)


@pytest.mark.parametrize("prior", PRIORS)
def test_derivatives_on_the_simplex_agree_with_differences_in_50_digits(prior: str) -> None:
    """p(a|s) = pi(sa)/pi(s) recomputed from moved sequence probabilities, in 50 digits."""
    told = spec(prior)
    world = random_world(told, full_tree(2), RNG(1))
    assert told.prior is not None
    expr = Log(told.prior)
    _, rows = world.jacobian(expr)
    ops = Digits()
    exact = [ops.number(Fraction(p)) for p in world.probability()]
    step = ops.number(Fraction(1, 10**20))

    def value(at: int, direction: int, sign: int) -> Any:
        moved = list(exact)
        moved[direction] += sign * step
        mass: dict[tuple[int, ...], Any] = {}
        for y, p in zip(world.responses, moved, strict=True):
            for t in range(len(y) + 1):
                mass[y[:t]] = mass.get(y[:t], 0) + p
        y = world.responses[at]
        number = {k: ops.number(Fraction(v)) for k, v in world.parameters.items()}
        tables = {
            ("pi", "y"): [[mass[(*y[:t], a)] / mass[y[:t]] for a in range(3)] for t in range(len(y))],
            ("pi_ref", "y"): [
                [ops.number(Fraction(float(q))) for q in world.laws["pi_ref"][y[:t]]] for t in range(len(y))
            ]
            if "pi_ref" in world.laws
            else [],
        }
        tables = {key: table for key, table in tables.items() if table}
        features = {
            name: {
                "y": ops.number(Fraction(data[y]))
                if not isinstance(data[y], list)
                else [ops.number(Fraction(x)) for x in data[y]]
            }
            for name, data in world.features.items()
        }
        return Evaluator(ops, Point({"y": y}, tables, number, features))(expr)

    for at, direction in ((0, 0), (3, 5), (5, 5), (6, 1)):
        slope = (value(at, direction, 1) - value(at, direction, -1)) / (2 * step)
        assert float(slope) == pytest.approx(rows[at, direction], rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in catalogue() if load(n).prior is not None])
def test_derivatives_along_logits_agree_with_differences(name: str) -> None:
    told = load(name)
    world = random_world(told, random_pair(RNG(2)), RNG(3))
    assert told.prior is not None
    chosen = Log(with_label(told.prior, CHOSEN).xreplace({CHOSEN: RESPONSE}))
    named = {"y": world.responses[0]}
    _, gradient = world.gradient(chosen, named)
    base, step = logits_of(world), 1e-6
    for at in range(len(base)):
        moved = base.copy()
        values = []
        for sign in (1, -1):
            moved[at] = base[at] + sign * step
            values.append(with_policy(world, moved).gradient(chosen, named)[0])
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(gradient[at], rel=1e-6, abs=1e-8)
    # A softmax does not change where all logits of a state move together.
    assert np.abs(gradient.reshape(-1, 3).sum(1)).max() < 1e-12


@pytest.mark.parametrize("word", FUNCTIONS.values(), ids=lambda word: word.name)
def test_each_function_of_the_language_has_its_derivative(word: Any) -> None:
    ops = Duals()
    arguments = word.arity[0]
    for corner in word.corners:
        if abs(corner) > 1e4 or word.name in ("step", "max", "min") or corner == 0:
            continue
        x = Dual(corner, np.ones(1))
        others = [0.3] * (arguments - 1)
        step = 1e-6 * max(1.0, abs(corner)) if corner > 1e-9 or corner < 0 else corner * 1e-4
        up, down = (value_of(word.value(ops, corner + s * step, *others)) for s in (1, -1))
        slope = gradient_of(word.value(ops, x, *others), 1)[0]
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-7), corner


@given(st.floats(0.1, 3), st.floats(0.1, 3), st.integers(-3, 4))
def test_duals_obey_the_rules_of_differentiation(a: float, b: float, k: int) -> None:
    x, y = Dual(a, np.array([1.0, 0.0])), Dual(b, np.array([0.0, 1.0]))
    assert (x * y).gradient == pytest.approx([b, a])
    assert (x / y).gradient == pytest.approx([1 / b, -a / b**2])
    assert (1 / x - 2 * y + 3).gradient == pytest.approx([-1 / a**2, -2])
    assert (x**k).gradient == pytest.approx([k * a ** (k - 1), 0])
    ops = Duals()
    assert ops.power(x, y).gradient == pytest.approx([b * a ** (b - 1), a**b * np.log(a)])


def test_stopped_gradients_are_stopped() -> None:
    told = spec("pi(y)")
    world = random_world(told, full_tree(2), RNG(4))
    free = parse("log(pi(y))*sg(log(pi(y)))", told.names, PRIOR)
    values, rows = world.jacobian(free)
    log, slopes = world.jacobian(Log(Prob(POLICY, RESPONSE)))
    assert values == pytest.approx(log**2)
    assert rows == pytest.approx(log[:, None] * slopes)  # not twice that


def test_there_is_no_value_where_there_is_none() -> None:
    told = spec("pi(y)")
    world = random_world(told, full_tree(1), RNG(5))
    with pytest.raises(Undefined):
        world.jacobian(parse("log(pi(y) - 1/2) + log(1/2 - pi(y))", told.names, PRIOR))
    with pytest.raises(Undefined):
        world.jacobian(parse("exp(400*len(y))*exp(400*len(y))*pi(y)", told.names, PRIOR))
    big = World(((1,) * 12 + (0,),), {"pi": {(1,) * t: np.full(3, 1 / 3) for t in range(13)}})
    with pytest.raises(TooLarge):
        big.values(parse(_nested(), told.names, PRIOR))


def _nested() -> str:
    names = "abcde"
    text = "*".join(names)
    for name in names:
        text = f"sum({text} for {name} in y)"
    return text


def test_random_pairs_are_two_responses() -> None:
    rng = RNG(6)
    for _ in range(300):
        left, right = random_pair(rng, 4)
        assert left != right
        assert left[: len(right)] != right and right[: len(left)] != left
        assert 1 <= len(left) <= 4 and 1 <= len(right) <= 4


def test_centre_takes_off_what_is_constant() -> None:
    assert centre(np.array([1.0, 2.0, 6.0])) == pytest.approx([-2, -1, 3])
