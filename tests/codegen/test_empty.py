"""A pair without labels: refused, or a loss of 0 beside which the others are as they were."""

from __future__ import annotations

from typing import Any

import pytest
from test_metrics import given_for

import midpo
from midpo.codegen.backends import BACKENDS
from midpo.numeric.checking.adapting import from_logits
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import load

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*runs")

QUICK = {"dpo", "simpo", "tdpo2", "orpo", "infonca"}
ROWS = [
    pytest.param(s.name, marks=() if s.name in QUICK else pytest.mark.slow)
    for s in map(load, midpo.catalogue())
    if not s.orders_batch and not s.reason
]
LACKING = 1  # of three pairs


def parts(given: dict[str, Any], pairs: int = 3) -> dict[str, Any]:
    """The batch without the pair that lacks labels."""
    kept = [n for n in range(pairs) if n != LACKING]

    def some(value: Any) -> Any:
        rows = [n + at for at in range(0, len(value), pairs) for n in kept]
        return value[rows]

    return {name: some(x) if torch.is_tensor(x) else x for name, x in given.items()}


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_lacks_labels_counts_nothing(row: str, backend: str) -> None:
    try:
        kernel = midpo.generate(row, backend=backend)
    except NotYet as error:
        pytest.skip(str(error))
    function = from_logits(torch, kernel)
    given = {k: x for k, x in given_for(kernel).items() if k not in kernel.parameters}
    given["labels"][LACKING - 3] = -100  # of one response, the last
    given["labels"][LACKING, 0] = 2  # of another there are some
    nowhere = (given["labels"] == -100)[..., None]
    for name, x in given.items():
        if name.endswith("_logits") and backend != "logps":  # there a log-softmax would see it
            given[name] = torch.where(nowhere, torch.nan, x)
    policy = given["policy_logits"].requires_grad_()
    with pytest.raises(ValueError, match="no label"):
        function(**given)

    losses, each = function(**given, empty="zero", reduction="none", metrics=True)
    others, theirs = function(**parts(given), reduction="none", metrics=True)
    assert losses[LACKING] == 0
    torch.testing.assert_close(losses[[0, 2]], others, rtol=1e-12, atol=0)
    for key, value in theirs.items():
        torch.testing.assert_close(each[key][[0, 2]], value, equal_nan=True)
        assert each[key][LACKING].isnan(), key
    assert each["pairs/empty"].tolist() == [0, 1, 0]

    total, means = function(**given, empty="zero", metrics=True)
    expected, those = function(**parts(given), num_pairs=3, metrics=True)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    for key, value in those.items():
        torch.testing.assert_close(means[key], value, equal_nan=True)
    torch.testing.assert_close(means["pairs/empty"], torch.tensor(1 / 3, dtype=means["pairs/empty"].dtype))

    if total.requires_grad:
        found, wanted = (torch.autograd.grad(x, policy)[0] for x in (total, expected))
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("backend", ["eager", "fused", "logps", "linear"])
def test_a_batch_without_any_labels_is_0(backend: str) -> None:
    kernel = midpo.generate("simpo", backend=backend)
    given = given_for(kernel)
    given["labels"].fill_(-100)
    policy = given["policy_logits"].requires_grad_()
    loss = from_logits(torch, kernel)(**given, empty="zero")
    (gradient,) = torch.autograd.grad(loss, policy)
    assert loss == 0 and not gradient.any()


def test_another_word_is_refused() -> None:
    kernel = midpo.generate("dpo")
    with pytest.raises(ValueError, match=r'empty: got .*needs "error" or "zero"'):
        kernel.compile()(**given_for(kernel), empty="skip")


def test_a_loss_that_sorts_its_batch_has_no_such_option() -> None:
    kernel = midpo.generate("aot")
    with pytest.raises(TypeError, match="empty"):
        kernel.compile()(**given_for(kernel), empty="zero")


@pytest.mark.parametrize("backend", ["eager", "fused"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_loss_that_logs_nothing_else_counts_the_pairs(backend: str, reduction: str) -> None:
    order = "sum(1 - sum(pi({0}, t, v)**(1/2)*pi_ref({0}, t, v)**(1/2) for v in vocab) for t in {0})"
    loss = f"{order.format('y_w')} - {order.format('y_l')}"
    kernel = midpo.generate(midpo.loads(f'name = "bare"\n[target]\nloss = "{loss}"\n'), backend=backend)
    given = given_for(kernel)
    given["labels"][LACKING] = -100
    _, logged = kernel.compile()(**given, empty="zero", reduction=reduction, metrics=True)
    share = torch.tensor([0.0, 1.0, 0.0])
    assert torch.equal(logged["pairs/empty"].float(), share if reduction == "none" else share.mean())
