"""What kernels log: rewards are the margin's two sides, and pairs are told apart on request."""

from __future__ import annotations

from typing import Any

import pytest

import midpo
from midpo.codegen.backends import BACKENDS
from midpo.codegen.plan.lower import lower
from midpo.codegen.plan.metrics import implicit_rewards
from midpo.numeric.checking.adapting import from_logits
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import CHOSEN, REJECTED
from midpo.symbolic.language.spec import policy_argument

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*runs")

PAIRS, TOKENS, VOCABULARY = 3, 4, 5


def given_for(kernel: midpo.Kernel) -> dict[str, Any]:
    """Logits, labels of different lengths, features and parameters."""
    rows = PAIRS * len(kernel.roles)

    def numbers(n: int, *shape: int) -> Any:
        count = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
        return torch.sin(1.9 * count + n).reshape(shape)

    given: dict[str, Any] = {
        policy_argument(p): numbers(n, rows, TOKENS, VOCABULARY) for n, p in enumerate(kernel.policies)
    }
    labels = torch.arange(rows * TOKENS).reshape(rows, TOKENS) % VOCABULARY
    for row in range(rows):
        labels[row, TOKENS - row % 3 :] = -100
    shapes = {"token": (rows, TOKENS), "response": (rows,), "pair": (PAIRS,)}
    features = {f: numbers(7, *shapes[k]).abs() / 2 + 0.2 for f, k in kernel.features.items()}
    return given | {"labels": labels} | features | dict.fromkeys(kernel.parameters, 0.3)


def logps(given: dict[str, Any], policy: str = "policy_logits") -> tuple[Any, Any]:
    """Of each response: the sum of its tokens' log-probabilities, and its length."""
    mask = given["labels"] != -100
    each = given[policy].log_softmax(-1).gather(-1, given["labels"].clamp(min=0)[..., None])[..., 0]
    return (each * mask).sum(-1), mask.sum(-1)


def ratio(given: dict[str, Any], other: str = "reference_logits") -> Any:
    return logps(given)[0] - logps(given, other)[0]


def mean(given: dict[str, Any]) -> Any:
    total, lengths = logps(given)
    return total / lengths


# The implicit reward of each response as trainers log it, written here anew.
REWARDS: dict[str, Any] = {
    **{
        name: lambda g: 0.3 * ratio(g)
        for name in (
            "dpo",
            "cdpo",
            "robust-dpo",
            "dpop-outside",
            "rpo",
            "xpo",
            "apo-down",
            "apo-zero",
            "bco",
            "nca",
            "kto",
            "wpo",
        )
    },
    "ipo": ratio,  # the margin that its square is taken of has no scale
    "simpo": lambda g: 0.3 * mean(g),
    "cpo": lambda g: 0.3 * logps(g)[0],
    "cpo-simpo": lambda g: 0.3 * mean(g),
    "irpo": lambda g: 0.3 * ratio(g, "old_logits"),
    "rdpo": lambda g: 0.3 * (ratio(g) + 0.3 * logps(g)[1]),
    "orpo": lambda g: mean(g) - torch.log1p(-mean(g).exp()),
    "slic-hf": lambda g: logps(g)[0],
    "rrhf": mean,
}


@pytest.mark.parametrize("name", [n for n in REWARDS if n in midpo.catalogue()])
def test_rewards_are_those_of_the_publication(name: str) -> None:
    kernel = midpo.generate(name)
    given = given_for(kernel)
    _, found = from_logits(torch, kernel)(**given, metrics=True, reduction="none")
    chosen, rejected, *_ = REWARDS[name](given).chunk(len(kernel.roles))
    torch.testing.assert_close(found["rewards/chosen"], chosen)
    torch.testing.assert_close(found["rewards/rejected"], rejected)


QUICK = ("dpo", "simpo", "orpo", "cpo", "tdpo")


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in midpo.catalogue()],
)
def test_margins_and_accuracies_are_of_the_rewards(name: str) -> None:
    """In every backend, pair by pair and as means; the loss keeps its value and its gradient."""
    pinned: dict[str, Any] = {}
    for backend in BACKENDS:
        if backend == "triton" and name != "dpo":
            continue  # whose wrapper is that of native
        try:
            kernel = midpo.generate(name, backend=backend)
        except (NotYet, midpo.SpecError):
            continue
        function, given = from_logits(torch, kernel), given_for(kernel)
        policy = given["policy_logits"].requires_grad_()
        losses, each = function(**given, metrics=True, reduction="none")
        loss, means = function(**given, metrics=True)
        alone = function(**given)
        assert torch.equal(loss, alone) and loss.requires_grad == alone.requires_grad
        if loss.requires_grad:
            with_metrics, without = (torch.autograd.grad(x, policy)[0] for x in (loss, alone))
            assert torch.equal(with_metrics, without)
        assert each.keys() == means.keys()
        for key, values in each.items():
            assert values.shape == losses.shape and not values.requires_grad, key
            if not key.startswith(("kl/", "entropy/")):  # those are means over tokens
                torch.testing.assert_close(values.mean().to(means[key].dtype), means[key])
            first = pinned.setdefault(key, values)
            torch.testing.assert_close(values, first, rtol=1e-9, atol=1e-12)
        if "rewards/chosen" in each:
            chosen, rejected = each["rewards/chosen"], each["rewards/rejected"]
            assert torch.equal(each["rewards/margins"], chosen - rejected)
            assert torch.equal(each["rewards/accuracies"].bool(), chosen > rejected)
        else:
            assert not any(key.startswith("rewards/") for key in each)


def test_a_constant_is_in_no_margin() -> None:
    """SimPO's gamma moves the loss, and neither margins nor accuracies."""
    kernel = midpo.generate("simpo")
    given = given_for(kernel)
    (one, near), (other, far) = (
        kernel.compile()(**{**given, "gamma": gamma}, metrics=True) for gamma in (0.1, 5.0)
    )
    assert not torch.equal(one, other)
    assert all(torch.equal(near[key], far[key]) for key in near)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("scale", ["1", "2", "1/3"])
@pytest.mark.parametrize("outside", ["{}", "-logsigmoid({})", "sqrt(1 + ({})**2)"])
def test_positive_terms_of_a_sum_are_no_two_rewards(sign: str, scale: str, outside: str) -> None:
    """In log(exp(a) + exp(b)) the terms are no sides of a margin: rewards, where there are any, are one
    function of either response."""
    chosen, rejected = (f"log(pi({y})/pi_ref({y}))" for y in ("y_w", "y_l"))
    inside = f"log((exp({sign}{scale}*{chosen}) + exp(-({sign}{rejected})))/2)"
    spec = midpo.loads(f'name = "x"\n[target]\nloss = "{outside.format(inside)}"\n')
    rewards = implicit_rewards(lower(spec))
    assert rewards is None or rewards[0].xreplace({CHOSEN: REJECTED}) == rewards[1]
