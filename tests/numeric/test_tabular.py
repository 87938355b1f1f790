"""Exact problems on finite sets: optima, rate-distortion, fixed points, and theorem 2.8."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")

from midpo.numeric.exact import blahut, bradley_terry, joint, tabular  # noqa: E402
from midpo.numeric.exact import fixed_point as fp  # noqa: E402
from midpo.numeric.exact.preferences import Comparisons, strong_components  # noqa: E402
from midpo.symbolic.errors import SpecError  # noqa: E402

SEEDS = st.integers(0, 10_000)
few = settings(max_examples=25)


def problem(seed: int, n: int = 3, m: int = 4) -> tabular.Tabular:
    random = np.random.default_rng(seed)
    return tabular.Tabular(
        random.dirichlet(np.full(n, 2.0)),
        random.normal(size=(n, m)),
        float(random.uniform(0.1, 3)),
        np.log(random.dirichlet(np.full(m, 2.0), size=n)),
    )


def policy(seed: int, n: int = 3, m: int = 4) -> Any:
    return tabular.log_normalise(2 * np.random.default_rng(seed).normal(size=(n, m)))


def comparisons(rows: Any) -> Comparisons:
    found = np.asarray(rows)
    return Comparisons(found[:, 0], found[:, 1], found[:, 2], found[:, 3].astype(float))


ACYCLIC = comparisons([[0, 0, 1, 3], [0, 1, 2, 2], [0, 0, 3, 1], [1, 2, 1, 4]])
CYCLIC = comparisons([[0, 0, 1, 3], [0, 1, 2, 2], [0, 2, 0, 1], [0, 0, 3, 4], [1, 1, 0, 2]])
STRONG = comparisons([[0, 0, 1, 3], [0, 1, 2, 2], [0, 2, 0, 1], [1, 0, 1, 1], [1, 1, 0, 2]])


# --- The optimum for a given prior ---------------------------------------------------------------


@few
@given(SEEDS)
def test_gibbs_identity_and_what_breaks_it(seed: int) -> None:
    p, prior, pi = problem(seed), policy(seed + 1) + 0.7, policy(seed + 2)
    found = tabular.optimum(p, prior)
    assert tabular.gibbs_gap(p, found, pi, prior) < 1e-12
    value = float(p.probabilities @ tabular.objective(p, found.log_policy, prior))
    assert value == pytest.approx(found.value, abs=1e-12)
    # The update with the wrong sign, and the wrong temperature, are both seen.
    for scores in (-p.scores, p.rewards / (p.alpha + 0.1)):
        wrong = replace(found, log_policy=tabular.log_normalise(scores + prior))
        assert tabular.gibbs_gap(p, wrong, pi, prior) > 1e-4
        assert np.all(tabular.objective(p, wrong.log_policy, prior) < found.values)


def test_a_prior_of_the_responses_alone_is_one_for_every_prompt() -> None:
    p, prior = problem(0), policy(1)[0]
    one = tabular.optimum(p, prior).log_policy
    assert np.array_equal(one, tabular.optimum(p, np.tile(prior, (3, 1))).log_policy)


def test_zeros_of_the_prior_and_of_its_partition_function() -> None:
    p, prior = problem(0), policy(1)
    prior[0, 1] = prior[1, :] = -np.inf
    found = tabular.optimum(p, prior)
    assert found.log_policy[0, 1] == -np.inf and not found.support[0, 1]
    assert list(found.attained) == [True, False, True]
    assert found.values[1] == -np.inf and np.isnan(found.log_policy[1]).all()
    outside = policy(2)  # puts mass where the prior has none: both sides are -inf
    assert tabular.objective(p, outside, prior)[0] == -np.inf
    assert tabular.gibbs_gap(p, found, outside, prior) < 1e-12


def test_an_infinite_partition_function_has_no_optimum() -> None:
    p, prior = problem(0), policy(1)
    prior[2, 3] = np.inf
    found = tabular.optimum(p, prior)
    assert found.values[2] == np.inf and not found.attained[2]


def test_values_on_the_first_responses_are_bounded_iff_z_is_finite() -> None:
    m = 4_000
    p = tabular.Tabular(np.ones(1), np.zeros((1, m)), 2.0)
    flat = tabular.partial_values(p, np.zeros(m))[0]  # zeta = 1 everywhere
    assert flat == pytest.approx(2 * np.log(np.arange(1, m + 1)))
    geometric = tabular.partial_values(p, -np.arange(1, m + 1) * np.log(2))[0]
    assert geometric[-1] == pytest.approx(0, abs=1e-12) and np.all(np.diff(geometric) >= 0)


@few
@given(SEEDS)
def test_lemma_1(seed: int) -> None:
    p, pi, q = problem(seed), policy(seed + 1), policy(seed + 2)[0]
    marginal = tabular.log_marginal(p, pi)
    left = p.probabilities @ tabular.divergence(pi, q)
    right = tabular.mutual_information(p, pi) + tabular.divergence(marginal, q)
    assert left == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"alpha": 1e-12}, "alpha"),
        ({"rewards": np.full((3, 4), np.inf)}, "rewards"),
        ({"rewards": np.zeros((3, 0))}, "rewards"),
        ({"rewards": [[1.0], [1.0, 2.0]]}, "rewards"),
        ({"probabilities": np.array([0.5, 0.5])}, "probabilities"),
        ({"probabilities": np.array([0.5, 0.6, -0.1])}, "probabilities"),
        ({"log_reference": np.zeros((3, 4))}, "log_reference"),
        ({"log_reference": np.zeros((2, 4))}, "log_reference"),
        ({"comparisons": comparisons([[3, 0, 1, 1]])}, "comparisons[0]"),
        ({"comparisons": comparisons([[0, 0, 4, 1]])}, "comparisons[0]"),
    ],
)
def test_a_wrong_problem_is_refused(change: dict[str, Any], key: str) -> None:
    with pytest.raises(SpecError) as error:
        replace(problem(0), **change)
    assert error.value.key == key and error.value.expected


@pytest.mark.parametrize("row", [[0, 1, 1, 1], [0, 1, 2, 0], [-1, 0, 1, 1]])
def test_a_wrong_comparison_is_refused(row: list[int]) -> None:
    with pytest.raises(SpecError):
        comparisons([[0, 0, 1, 1], row])


# --- Blahut-Arimoto ------------------------------------------------------------------------------


@few
@given(SEEDS, st.integers(2, 5), st.integers(2, 7))
def test_blahut_arimoto_satisfies_kkt_and_beats_other_priors(seed: int, n: int, m: int) -> None:
    p = problem(seed, n, m)
    found = blahut.blahut_arimoto(p)
    assert found.gap <= blahut.TOLERANCE
    assert found.multipliers.max() <= 1 + 2e-9 and found.stationarity < 3e-9
    at_own = -found.distortion - p.alpha * found.rate
    assert at_own == pytest.approx(found.value, abs=1e-8 * p.alpha)
    for other in policy(seed, 20, m):
        assert tabular.optimum(p, other).value <= found.value + p.alpha * found.gap
    # The envelope: at the optimal policy the prior is its marginal.
    marginal = np.exp(tabular.log_marginal(p, found.log_policy))
    assert np.abs(marginal - np.exp(found.log_prior)).max() < 3e-9


@few
@given(SEEDS)
def test_the_plain_alternation_never_falls_and_stays_below_the_bound(seed: int) -> None:
    """policy step, prior step: F rises, and F + alpha log max c stays above the maximum."""
    p = problem(seed)
    best = blahut.blahut_arimoto(p)
    prior, values = policy(seed)[0], []
    work = np.empty_like(p.rewards)
    for _ in range(30):
        partition, c = blahut.log_multipliers(p.scores, np.log(p.probabilities), prior, work)
        values.append(p.alpha * float(p.probabilities @ partition))
        assert values[-1] + p.alpha * c.max() >= best.value - 1e-12
        prior = tabular.log_marginal(p, tabular.optimum(p, prior).log_policy)
    assert np.all(np.diff(values) >= -1e-14)


@few
@given(SEEDS)
def test_every_accepted_step_raises_the_value(seed: int) -> None:
    p = problem(seed, 4, 6)
    steps = itertools.islice(blahut.iterate(p, np.zeros(6)), 60)
    values = [p.alpha * float(p.probabilities @ partition) for _, partition, _ in steps]
    assert np.all(np.diff(values) >= -1e-14)


def test_a_wrong_policy_fails_the_certificate() -> None:
    p = problem(3)
    found = blahut.blahut_arimoto(p)
    wrong = blahut.log_multipliers(
        -p.scores, np.log(p.probabilities), found.log_prior, np.empty_like(p.rewards)
    )[1]
    assert wrong.max() > 0.01


def test_binary_symmetric_source() -> None:
    p = tabular.Tabular(np.array([0.5, 0.5]), np.eye(2) - 1, 1.0)
    assert blahut.is_binary_symmetric(p)
    assert not blahut.is_binary_symmetric(replace(p, rewards=1 - np.eye(2)))
    for start in (np.zeros(2), np.array([0.0, -3.0])):
        for alpha in (3.0, 1.0, 0.4, 0.1):
            found = blahut.blahut_arimoto(replace(p, alpha=alpha), log_prior=start, tolerance=1e-12)
            assert found.rate == pytest.approx(blahut.binary_symmetric_rate(found.distortion), abs=1e-10)
            expected = blahut.binary_symmetric_distortion(alpha)
            assert found.distortion == pytest.approx(expected, abs=1e-10)
    assert blahut.binary_symmetric_rate(0.11) == pytest.approx(0.500084 * np.log(2), abs=1e-6)


def test_the_curve_is_convex_and_a_false_point_is_seen() -> None:
    p = problem(5)
    points = blahut.curve(p, np.geomspace(4, 0.1, 9).tolist())
    assert blahut.curve_violation(points) <= 1e-12
    cold = [blahut.blahut_arimoto(replace(p, alpha=q.alpha)) for q in points]
    assert [q.value for q in points] == pytest.approx([q.value for q in cold], abs=1e-8)
    points[4] = replace(points[4], rate=points[4].rate * 0.9)
    assert blahut.curve_violation(points) > 1e-4


def test_lost_support_is_certified_and_comes_back() -> None:
    """Three prompts, four responses: audit finding A6."""
    p = problem(2)
    kept = [int((~q.lost()).sum()) for q in blahut.curve(p, [50.0, 0.5, 0.02])]
    assert kept[0] == 1 and kept[-1] >= 2
    found = blahut.blahut_arimoto(replace(p, alpha=50.0))
    lost = found.lost()
    assert np.exp(found.log_prior)[lost].max() < 1e-6
    assert np.all(found.multipliers[lost] < 1)


def test_the_cap_reports_the_gap() -> None:
    with pytest.raises(tabular.NotConverged, match=r"after 3 iterations the duality gap is [\d.e-]+"):
        blahut.blahut_arimoto(problem(2), cap=3)


@pytest.mark.parametrize("seed", range(4))
def test_blahut_arimoto_against_scipy(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    p = problem(seed)
    weights = np.exp(p.scores)

    def negative(zeta: Any) -> float:
        return -p.alpha * float(p.probabilities @ np.log(weights @ zeta))

    theirs = optimize.minimize(
        negative,
        np.full(4, 0.25),
        method="SLSQP",
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda zeta: zeta.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    found = blahut.blahut_arimoto(p)
    assert found.value == pytest.approx(-theirs.fun, abs=1e-7)
    assert np.exp(found.log_prior) == pytest.approx(theirs.x, abs=2e-3)


# --- Frozen-prior fixed points -------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.05, 0.4, 1.0, 1.6, 1.95])
def test_centropy_converges_at_the_rate_of_its_linear_map(eta: float) -> None:
    p = problem(1)
    assert p.log_reference is not None
    found = fp.fixed_point(p, fp.centropy_prior(p.log_reference, eta))
    assert found.converged and found.reward_error < 1e-8
    assert found.rate == pytest.approx(abs(1 - eta), abs=1e-3) or eta == 1
    exact = tabular.log_normalise((p.log_reference + p.scores) / eta)
    assert np.exp(found.log_policy) == pytest.approx(np.exp(exact), abs=1e-8)


@pytest.mark.parametrize("eta", [-0.5, 0.0, 2.0, 2.3])
def test_centropy_outside_its_interval_is_reported(eta: float) -> None:
    p = problem(1)
    assert p.log_reference is not None
    found = fp.fixed_point(p, fp.centropy_prior(p.log_reference, eta))
    assert not found.converged and found.rate >= 1 - 1e-6
    assert "does not converge" in found.sentence() and "rate" in found.sentence()


@few
@given(SEEDS)
def test_fixed_points_have_the_reward_as_implicit_reward(seed: int) -> None:
    p = problem(seed)
    assert p.log_reference is not None
    lengths = np.array([1.0, 2.0, 3.0, 5.0])
    for prior in (fp.length_normalised_prior(lengths), fp.jensen_shannon_prior(p.log_reference)):
        found = fp.fixed_point(p, prior)
        assert found.converged and found.reward_error < 1e-7
        assert fp.reward_error(p, prior, policy(seed + 1)) > 1e-3
        # The reward's sign is seen.
        assert fp.reward_error(replace(p, rewards=-p.rewards), prior, found.log_policy) > 1e-3


def test_the_fixed_point_of_simpo_is_length_normalised() -> None:
    """Its implicit reward is (alpha/|y|) log pi, up to a constant of each prompt."""
    p, lengths = problem(4), np.array([1.0, 2.0, 3.0, 5.0])
    found = fp.fixed_point(p, fp.length_normalised_prior(lengths))
    error = p.alpha * found.log_policy / lengths - p.rewards
    assert np.ptp(error, axis=1).max() < 1e-8


def test_a_response_outside_the_reference_stays_outside() -> None:
    p = problem(1)
    assert p.log_reference is not None
    reference = p.log_reference.copy()
    reference[0, 2] = -np.inf
    p = replace(p, log_reference=tabular.log_normalise(reference))
    assert p.log_reference is not None
    found = fp.fixed_point(p, fp.centropy_prior(p.log_reference, 0.5))
    assert found.converged and found.log_policy[0, 2] == -np.inf and found.reward_error < 1e-8


# --- The loss over policy and prior --------------------------------------------------------------


@few
@given(SEEDS)
def test_the_gradient_is_the_derivative(seed: int) -> None:
    alpha, pi, zeta, way = 0.7, policy(seed), policy(seed + 1), policy(seed + 2)
    gradient = joint.gradient(alpha, CYCLIC, pi, zeta)
    assert np.abs(gradient.sum(axis=1)).max() < 1e-15

    def at(step: float) -> float:
        return joint.loss(alpha, CYCLIC, pi + step * way, zeta)

    slope = (at(1e-5) - at(-1e-5)) / 2e-5
    assert slope == pytest.approx(float((gradient * way).sum()), rel=1e-6, abs=1e-9)
    other = joint.loss(alpha, CYCLIC, pi, zeta + 1e-5 * way)
    assert other - at(0) == pytest.approx(-1e-5 * slope, rel=1e-2, abs=1e-9)


@pytest.mark.parametrize(
    ("data", "acyclic", "attained"),
    [(ACYCLIC, True, False), (CYCLIC, False, False), (STRONG, False, True)],
    ids=["acyclic", "cyclic", "strong"],
)
def test_theorem_2_8(data: Comparisons, acyclic: bool, attained: bool) -> None:
    best, checks = joint.prior_checks(0.3, data, (2, 4))
    assert (best.acyclic, best.attained) == (acyclic, attained)
    assert all(check.holds for check in checks), checks
    assert best.gap <= bradley_terry.GAP
    # At a minimum that is attained the gradient is 0 at moderate margins; where it is not, any
    # finite scores can be improved on, along the levels.
    edges = bradley_terry.Edges.of(data, 4)
    scores, losses = bradley_terry.fit(edges, np.zeros(edges.nodes.size), tolerance=1e-6)
    assert (np.abs(edges.margins(scores)).max() < 5) == attained
    if not attained:
        assert edges.loss(scores + edges.levels) < losses[-1]


def test_one_cycle_has_the_value_of_its_closed_form() -> None:
    """a > b three times and b > a once: the binary entropy of 1/4."""
    best = bradley_terry.bradley_terry(comparisons([[0, 0, 1, 3], [0, 1, 0, 1]]), 2)
    assert best.value == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=1e-12)
    assert best.lower <= best.value + 1e-15


def test_a_prior_of_another_sign_would_be_seen() -> None:
    alpha, pi, zeta = 0.5, policy(0, 2), policy(1, 2)
    end = joint.minimise(alpha, STRONG, pi, zeta, "prior")
    best = bradley_terry.bradley_terry(STRONG, 4)
    assert joint.loss(alpha, STRONG, pi, end.log_prior) == pytest.approx(best.value, abs=1e-12)
    wrong = tabular.log_normalise(2 * zeta - end.log_prior)
    assert joint.loss(alpha, STRONG, pi, wrong) > best.value + 1e-3


def test_alternation_stops_after_its_first_gain() -> None:
    for data in (ACYCLIC, CYCLIC, STRONG):
        turns = joint.alternate(0.4, data, policy(0, 2), policy(1, 2))
        assert len(turns) == 2 and len(turns[1].losses) == 1
        assert np.all(np.diff(turns[0].losses) <= 1e-9)


@few
@given(SEEDS, st.integers(2, 8), st.integers(1, 20))
def test_strong_components_against_reachability(seed: int, nodes: int, edges: int) -> None:
    random = np.random.default_rng(seed)
    source, target = random.integers(0, nodes, (2, edges))
    source, target = source[source != target], target[source != target]
    reach = np.eye(nodes, dtype=int)
    reach[source, target] = 1
    for _ in range(4):
        reach = (reach @ reach > 0).astype(int)
    labels = strong_components(source, target, nodes)
    assert np.array_equal(labels[:, None] == labels[None, :], (reach * reach.T) > 0)


@few
@given(SEEDS, st.integers(2, 6), st.integers(1, 14))
def test_theorem_2_8_on_random_data(seed: int, nodes: int, edges: int) -> None:
    random = np.random.default_rng(seed)
    pairs = random.integers(0, nodes, (edges, 2))
    pairs = np.vstack([pairs[pairs[:, 0] != pairs[:, 1]], [[0, 1]]])
    counts = random.integers(1, 9, len(pairs))
    data = comparisons(np.column_stack([0 * counts, pairs, counts]))
    _, checks = joint.prior_checks(0.5, data, (1, nodes), seed=seed, trials=1)
    assert all(check.holds for check in checks), checks


@pytest.mark.parametrize("seed", range(3))
def test_bradley_terry_against_scipy(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(seed)
    pairs = itertools.permutations(range(4), 2)
    rows = [[0, chosen, rejected, random.integers(1, 9)] for chosen, rejected in pairs]
    data = comparisons(rows)
    edges = bradley_terry.Edges.of(data, 4)
    theirs = optimize.minimize(edges.loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    best = bradley_terry.bradley_terry(data, 4)
    assert best.value == pytest.approx(theirs.fun, abs=1e-10)
