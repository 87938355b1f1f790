"""The cross-check passes what is right and catches what is wrong."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import midpo
from midpo.codegen.emit import Kernel
from midpo.numeric.checking.crosscheck import crosscheck
from midpo.numeric.checking.judging import Judge, Numbers
from midpo.numeric.checking.oracle import Gradient, Oracle
from midpo.numeric.checking.policies import IGNORED, Batch, random_batch
from midpo.numeric.checking.truths import truth_of
from midpo.numeric.checking.ways import Way
from midpo.symbolic.language.spec import catalogue, load
from midpo.symbolic.loss import kernel_loss, recovered_loss

torch = pytest.importorskip("torch", reason="kernels run on torch")

EIGHT = ("dpo", "dice", "centropy", "simpo", "rdpo", "tdpo", "tis-dpo", "sparsepo")
TRIALS = 6

# One way to get each kernel wrong that its authors, or their readers, have got wrong before.
MISTAKES = [
    ("dpo", "margin = chosen - rejected", "margin = rejected - chosen"),
    ("dpo", "policy_token_logps - reference_token_logps", "policy_token_logps"),
    ("dpo", "torch.where(mask, labels, 0)", "torch.where(mask, labels, 0).roll(1, -1)"),
    ("dpo", ".sum(-1)", ".mean(-1)"),
    ("simpo", "torch.where(mask, values, 0.0)", "values"),
    ("dpo", "-F.logsigmoid(margin)", "-torch.log(torch.sigmoid(margin))"),
    ("dpo", "-F.logsigmoid(margin)", "F.softplus(-margin, threshold=5)"),
    ("dpo", "dtype=dtype)", "dtype=policy_logits.dtype)"),
    ("dice", "old_logits.detach()", "policy_logits.detach()"),
    ("centropy", "eta * policy_token_logps", "policy_token_logps"),
    ("simpo", "- gamma", "+ gamma"),
    ("simpo", "mask.sum(-1)", "(mask | True).sum(-1)"),
    ("rdpo", "+ alpha * beta", "- alpha * beta"),
    ("rdpo", "+ alpha * beta", "+ beta"),
    ("tdpo", "_kl(reference_logps, policy_logps", "_kl(policy_logps, reference_logps"),
    ("tdpo", "+ kl_reference_policy", "- kl_reference_policy"),
    ("tdpo", "+ kl_reference_policy", "+ kl_reference_policy.detach()"),
    ("tis-dpo", "_kl(policy_logps, reference_logps", "_kl(policy_logps.detach(), reference_logps"),
    ("sparsepo", "mu2 * kl_reference_policy", "mu1 * kl_reference_policy"),
    ("sparsepo", "logp - logq", "logp"),
]


def one_pair(spec: midpo.Spec) -> Batch:
    """Random logits of two policies, three entries each."""
    kinds, rng = dict.fromkeys(("pi", "pi_ref"), "logits"), np.random.default_rng(0)
    return random_batch(spec, kinds, rng, scale=1.0, vocabulary=3, pairs=1)


def tampered(kernel: Kernel, old: str, new: str) -> Kernel:
    assert old in kernel.source, f"{kernel.name} has no {old!r} any more"
    return dataclasses.replace(kernel, source=kernel.source.replace(old, new))


@pytest.mark.parametrize("name", EIGHT)
def test_catalogue_agrees(name: str) -> None:
    found = midpo.check(name, trials=TRIALS)
    assert found.passed, found.failure
    assert found.cases >= TRIALS
    assert {row.dtype for row in found.dtypes} == {"float64", "float32", "bfloat16", "float16"}
    assert all(0 < row.value_ulp <= row.limit_ulp for row in found.dtypes)
    assert found.gradcheck is True
    assert found.prior_gap is None or found.prior_gap < 1e-40


# Two of these lose their digits if they are written out as they stand: f-dpo-js in its gradient
# where one log-ratio is large, reward-aware-po where two preferences nearly agree.
QUICK = {"aot", "f-dpo-js", "reward-aware-po", "ld-dpo", "orpo", "tpo"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name in catalogue()
        if name not in EIGHT and (load(name).batch is not None or not load(name).reason)
    ],
)
def test_every_row_agrees(name: str) -> None:
    """In the three dtypes that training uses. Some five seconds a row."""
    found = midpo.check(name, trials=12, dtypes=("float64", "float32", "bfloat16"))
    assert found.passed, found.failure


@pytest.mark.parametrize(
    "loss",
    [
        "logsigmoid(alpha*log(pi(y_w))) - logsigmoid(alpha*log(pi(y_w)) + log(pi(y_l)))",
        "logsigmoid(log(pi(y_w))) - alpha*logsigmoid(log(pi(y_l)))",
        "alpha*logsigmoid(log(pi(y_w))) - alpha*logsigmoid(log(pi(y_l)))",
        "log(pi(y_w)) - log(pi(y_w) + pi_ref(y_w)) + log(pi(y_l) + pi_ref(y_l))",
        "sigmoid(alpha)*(logsigmoid(alpha) - logsigmoid(log(pi(y_w))))",
    ],
)
def test_differences_of_log_sigmoids(loss: str) -> None:
    spec = midpo.loads(f'name = "a"\n[parameters]\nalpha = "positive"\n[target]\nloss = "{loss}"')
    found = midpo.check(spec, trials=6, dtypes=["float64", "float32"])
    assert found.passed, found.failure


@pytest.mark.parametrize(("name", "old", "new"), MISTAKES)
def test_mistakes_are_caught(name: str, old: str, new: str) -> None:
    kernel = tampered(midpo.generate(name), old, new)
    found = crosscheck(midpo.load(name), kernel, trials=TRIALS)
    assert not found.passed
    assert found.failure


def test_prior_that_recovers_another_loss_is_caught() -> None:
    spec, other = midpo.load("rdpo"), midpo.load("dpo")
    found = crosscheck(spec, midpo.generate(spec), prior_loss=recovered_loss(other), trials=2)
    assert not found.passed
    assert "prior" in found.failure


def test_same_seed_same_answer_and_json_is_plain() -> None:
    import json

    answers: list[dict[str, Any]] = [midpo.check("dpo", trials=3, seed=5).as_json() for _ in "ab"]
    assert answers[0] == answers[1]
    assert json.loads(json.dumps(answers[0], allow_nan=False)) == answers[0]
    other = midpo.check("dpo", trials=3, seed=6).as_json()
    assert other["dtypes"] != answers[0]["dtypes"]


def test_one_dtype_can_be_asked_for() -> None:
    found = midpo.check("dpo", trials=2, dtypes=["bfloat16"])
    assert [row.dtype for row in found.dtypes] == ["bfloat16"]


def test_a_loss_without_a_value_is_said() -> None:
    spec = midpo.loads('name = "x"\n[target]\nmargin = "1/(step(pi(y_w)) - 1) - pi(y_l)"')
    with pytest.raises(midpo.MidpoError, match="no value"):
        midpo.check(spec, trials=2)


@pytest.mark.parametrize("backend", ["eager", "fused", "linear", "logps"])
def test_a_policy_whose_name_ends_like_ours(backend: str) -> None:
    spec = midpo.loads(
        'name = "named"\n[policies]\npi_x_logits = "frozen"\npi_logits_logps = "frozen"\n[target]\n'
        'margin = "log(pi(y_w)/pi_x_logits(y_w)) - log(pi(y_l)/pi_logits_logps(y_l))"\n'
    )
    answer = midpo.check(spec, backend=backend, trials=1, dtypes=["float64"])
    assert answer.passed, answer


@pytest.mark.parametrize(
    ("exact", "unit", "found", "right"),
    [
        (1.0, 1e4, -math.inf, True),  # a sum of large terms that cancels: -inf is within its rounding
        (1.0, 1e4, math.nan, False),
        (1.0, 1.0, math.inf, False),
        (6e4, 1e3, math.inf, True),
        (6e4, 1e1, math.inf, False),
        (1e6, 1.0, math.inf, True),
        (1e6, 1.0, -math.inf, False),  # beyond the dtype, on the other side
    ],
)
def test_an_infinite_gradient_is_right_only_within_rounding(
    exact: float, unit: float, found: float, right: bool
) -> None:
    numbers = Numbers.of(torch, "float16")
    spec = midpo.load("dpo")
    batch = one_pair(spec)
    truth = Oracle(batch, kernel_loss(spec), 0).truth()
    assert truth is not None
    judge, one = Judge(truth, batch, numbers), np.ones((2, 1))
    wanted = Gradient(exact * one, 0 * one, unit / numbers.eps * one, 0 * one, 0 * one)
    judge.one(Way(), "gradient", wanted, torch.full((2, 1), found, dtype=torch.float16), set())
    assert (not judge.failures) is right


def test_a_cut_within_rounding_is_a_tie_in_that_dtype() -> None:
    """Either side is right where rounding of the inputs may turn a step over, and only there."""
    spec = midpo.loads('''name = "near"
[target]
loss = """step((1 + 1/10**12)*log(pi(y_w)) - sum(log(pi(y_w, t)) for t in y_w))*log(pi(y_w))
          + step(log(pi(y_w)) - log(pi(y_l)) + 1/8)"""''')
    batch = random_batch(
        spec, {"pi": "logits"}, np.random.default_rng(0), scale=1.0, vocabulary=3, pairs=1, shortest=3
    )
    truth = Oracle(batch, kernel_loss(spec), 0).truth()
    assert truth is not None and truth.rounded(2.0**-52) is truth
    near = truth.rounded(2.0**-23)
    assert near is not None and len(truth.choices[0]) == 1
    low, high = sorted({float(x) for x in near.choices[0]})
    assert high - low > 1 and float(truth.losses[0]) == high


def test_a_sum_over_the_vocabulary_is_rounded_as_it_is_large() -> None:
    """A sum of powers near 0 moves little with its probabilities, and is rounded all the same."""
    loss = "sum(sum(pi(y_w, t, v)**(1/10**7) for v in vocab) for t in y_w)"
    spec = midpo.loads(f'name = "powers"\n[target]\nloss = "{loss}"\n')
    batch = one_pair(spec)
    truth = Oracle(batch, kernel_loss(spec), 0).truth()
    assert truth is not None
    tokens = int((batch.labels[0] >= 0).sum())
    # Each is near the number of its entries; counted from 1, as it may be, near one less.
    assert truth.sensitivities[0] >= tokens


def test_a_value_cut_within_rounding_is_known_to_that_rounding() -> None:
    """max(0, x) of an x that rounding may turn over is known as well as x, and else exactly."""
    loss = "max(0, log(pi(y_w)/pi_ref(y_w)))"
    spec = midpo.loads(f'name = "near"\n[target]\nloss = "{loss}"\n')
    assert spec.loss is not None
    policies = {"pi": "logits", "pi_ref": "logits"}
    sizes = []
    for apart in (1e-12, 0.1):
        batch = random_batch(
            spec, policies, np.random.default_rng(0), scale=1.0, vocabulary=3, pairs=1, shortest=3
        )
        at_label = np.arange(3) == batch.labels[..., None]
        batch.logits["pi_ref"] = batch.logits["pi"] + apart * at_label  # x is less than 0
        truth = Oracle(batch, kernel_loss(spec), 0).truth()
        assert truth is not None
        ((value, moved),) = truth.valued({"metric": spec.loss}, 2.0**-23)["metric"]
        assert value == 0
        sizes.append(moved)
    assert sizes[0] > 1 and sizes[1] == 0


def test_an_ill_conditioned_loss_is_said_to_be_one() -> None:
    text = """name = "apart"
[features]
s = "response"
[parameters]
alpha = "positive"
[target]
loss = "(alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l)) - s(y_w) + s(y_l))**2"
"""
    found = midpo.check(midpo.loads(text), dtypes=["float32"])
    assert found.passed and any(note.startswith("ill-conditioned: ") for note in found.notes)
    other = midpo.check("dpo", dtypes=["float32"])
    assert other.passed and not other.notes


@pytest.mark.parametrize(
    ("exact", "found", "right"),
    [
        ("1e37", math.inf, True),
        ("-1e37", math.inf, False),
        ("1e34", math.inf, False),
        ("1e37", 2e37, False),
        ("1e39", -math.inf, False),
        ("-1e39", -math.inf, True),
    ],
)
def test_an_infinite_loss_is_right_only_near_the_largest_number(
    exact: str, found: float, right: bool
) -> None:
    batch = random_batch(
        midpo.load("dpo"),
        dict.fromkeys(("pi", "pi_ref"), "logits"),
        np.random.default_rng(0),
        scale=1.0,
        vocabulary=3,
        pairs=1,
    )
    oracle = Oracle(batch, kernel_loss(midpo.load("dpo")), 0)
    truth = oracle.truth()
    assert truth is not None
    value = oracle.ops.number(Fraction(exact))
    truth = dataclasses.replace(truth, losses=[value], choices=[[value]])
    judge = Judge(truth, batch, Numbers.of(torch, "float32"))
    judge.losses(Way(), [found])
    assert (not judge.failures) is right


def test_of_many_ties_each_pair_s_are_turned_by_themselves() -> None:
    """Steps that are multiplied have values that all to one side does not give."""
    spec = midpo.loads('name = "n"\n[target]\nloss = "step(pi(y_w) - pi_ref(y_w))*log(pi(y_l))"\n')
    batch = one_pair(spec)
    turns = list(Oracle(batch, kernel_loss(spec), 0).turns(9))
    assert all(len({tuple(t[at : at + 4]) for t in turns}) == 16 for at in range(6))
    smooth = Oracle(batch, kernel_loss(midpo.load("dpo")), 0)
    assert [len(list(smooth.turns(ties))) for ties in (0, 1, 5, 9)] == [0, 2, 32, 2]


def test_how_far_a_value_moves_does_not_stop_where_gradients_do() -> None:
    """A weight that is rounded moves the loss, whether or not a gradient goes through it."""
    ratio = "pi(y_w)/pi_ref(y_w)"
    moves = []
    for weight in (f"sg({ratio})", ratio):
        spec = midpo.loads(f'name = "n"\n[target]\nloss = "{weight}*log(pi(y_w))"\n')
        batch = random_batch(
            spec,
            {"pi": "logits", "pi_ref": "logits"},
            np.random.default_rng(0),
            scale=30.0,
            vocabulary=3,
            pairs=1,
        )
        truth = Oracle(batch, kernel_loss(spec), 0).truth()
        assert truth is not None
        moves.append(truth.sensitivities[0])
    assert moves[0] == moves[1]


def test_a_kept_truth_is_that_of_every_input() -> None:
    """Of two batches that differ in anything that the loss may read, neither has the other's."""
    spec, kinds = midpo.load("tis-dpo"), {"pi": "logits", "pi_ref": "hidden"}
    loss = kernel_loss(spec)

    def drawn(seed: int, **changed: Any) -> Any:
        return random_batch(
            spec, kinds | changed, np.random.default_rng(seed), scale=1.0, vocabulary=3, positions=3, pairs=1
        )

    base = drawn(0)
    kept = truth_of(base, loss, 0)
    assert kept is not None and truth_of(drawn(0), loss, 0) is kept
    moved = {
        "logits": {p: z + (np.arange(3) == 1) for p, z in base.logits.items()},
        "labels": np.where(base.labels == IGNORED, 1, base.labels),
        "features": {n: x + 1 for n, x in base.features.items()},
        "parameters": {n: x + 1 for n, x in base.parameters.items()},
        "roles": base.roles[::-1],
        "logps": {"other": base.labels * 1.0},
        "whole": {"other": base.labels[:, 0] * 1.0},
        "rounding": {p: x + 1 for p, x in base.rounding.items()},
        "spans": {"alpha": 3.0},
    }
    # The scale and the heads are those of the logits, which say all of them.
    read = {f.name for f in dataclasses.fields(base) if f.init} - {"scale", "heads"}
    assert set(moved) == read
    for name, value in moved.items():
        other = dataclasses.replace(base, **{name: value})
        assert truth_of(other, loss, 0) is not kept, name
    assert truth_of(base, loss, 1) is not kept
    assert truth_of(base, loss * 2, 0) is not kept
