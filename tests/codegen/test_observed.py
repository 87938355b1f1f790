"""Entropy, mean logits and top-1 accuracy of the trained policy, as TRL logs them: against a dense
formula, in every backend and layout."""

from __future__ import annotations

import math
from typing import Any

import pytest
from test_metrics import given_for

import midpo
from midpo.codegen.backends import BACKENDS
from midpo.numeric.checking.adapting import from_logits
from midpo.symbolic.errors import NotYet

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*runs")

OF_LOGITS = [name for name in BACKENDS if name != "logps"]


def dense(logits: Any, labels: Any, of: int = 2) -> dict[str, Any]:
    """What is logged, from whole tables in float64."""
    mask = labels != -100
    logp = logits.double().log_softmax(-1)
    entropy = -torch.where(logp.exp() > 0, logp.exp() * logp, 0.0).sum(-1)
    is_first = (logits.argmax(-1) == labels).double()
    mean = logits.double().mean(-1)
    chosen, *_, rejected = mask.chunk(of)
    return {
        "entropy": entropy[mask].mean(),
        "logits/chosen": mean.chunk(of)[0][chosen].mean(),
        "logits/rejected": mean.chunk(of)[-1][rejected].mean(),
        "mean_token_accuracy": is_first.chunk(of)[0][chosen].mean(),
    }


def close(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-12) -> None:
    for key, value in expected.items():
        assert abs(found[key].item() - value.item()) <= tolerance * max(1.0, abs(value.item())), key


def hard(given: dict[str, Any]) -> dict[str, Any]:
    """Ties with the label before and after it, entries without probability, and one that is sure."""
    logits, labels = given["policy_logits"], given["labels"]
    logits[0, 0], labels[0, 0] = torch.tensor([2.0, 1.0, 2.0, 0.0, -math.inf]), 2
    logits[0, 1], labels[0, 1] = torch.tensor([2.0, 1.0, 2.0, 0.0, -1.0]), 0
    logits[1, 0], labels[1, 0] = torch.tensor([0.0, 900.0, 0.0, 0.0, 0.0]), 1
    logits[2, 0], labels[2, 0] = torch.tensor([3.0, 3.0, 3.0, 3.0, 3.0]), 4
    return given


@pytest.mark.parametrize("backend", OF_LOGITS)
@pytest.mark.parametrize("name", ["dpo", "tdpo", "orpo"])  # a label, a divergence, log-odds
def test_it_is_that_of_a_dense_formula(name: str, backend: str) -> None:
    if backend == "triton" and name != "dpo":
        pytest.skip("whose wrapper is that of native")
    kernel = midpo.generate(name, backend=backend, token_metrics=True)
    plain = midpo.generate(name, backend=backend)
    function, given = from_logits(torch, kernel), hard(given_for(kernel))
    if name == "tdpo" or backend == "linear":  # a product with a head is finite, and so is tdpo
        given["policy_logits"].clamp_(min=-80)
    finite = torch.isfinite(given["policy_logits"]).all()
    expected = dense(given["policy_logits"], given["labels"])
    given["policy_logits"].requires_grad_()
    loss, logged = function(**given, metrics=True)
    other, usual = from_logits(torch, plain)(**given, metrics=True)
    assert {*kernel.logged} == {*logged} == {*plain.logged, *expected} and {*usual} == {*plain.logged}
    if not finite:
        assert logged["logits/chosen"] == -math.inf == expected.pop("logits/chosen")
    close(logged, expected)
    assert torch.equal(loss, other)
    gradients = [torch.autograd.grad(x, given["policy_logits"])[0] for x in (loss, other)]
    assert torch.equal(*gradients)
    assert not any(value.requires_grad for value in logged.values())


@pytest.mark.parametrize("backend", ["eager", "fused", "linear"])
def test_pairs_are_told_apart(backend: str) -> None:
    kernel = midpo.generate("dpo", backend=backend, token_metrics=True)
    function, given = from_logits(torch, kernel), given_for(kernel)
    _, each = function(**given, metrics=True, reduction="none")
    pairs = given["labels"].shape[0] // 2
    for pair in range(pairs):
        rows = [pair, pair + pairs]
        expected = dense(given["policy_logits"][rows], given["labels"][rows])
        close({key: each[key][pair] for key in expected}, expected)


@pytest.mark.parametrize("backend", ["eager", "fused", "linear"])
def test_packed_is_as_padded(backend: str) -> None:
    kernel = midpo.generate("dpo", backend=backend, token_metrics=True)
    function, given = from_logits(torch, kernel), given_for(kernel)
    counted = given["labels"] != -100
    packed = {k: x[counted] if getattr(x, "dim", int)() >= 2 else x for k, x in given.items()}
    starts = torch.nn.functional.pad(counted.sum(1).cumsum(0), (1, 0)).to(torch.int32)
    _, logged = function(**packed, cu_seqlens=starts, metrics=True)
    close(logged, dense(given["policy_logits"], given["labels"]))


def test_a_head_in_groups_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in training: the gradient with the loss, a pair at a time, some rows at a time, of a head
    in float32 and bfloat16 with a soft cap."""
    kernel = midpo.generate("dpo", backend="linear", token_metrics=True)
    function = kernel.compile()
    monkeypatch.setitem(function.__globals__, "KEEP", 1500)
    monkeypatch.setitem(function.__globals__, "GLANCE", 100)
    torch.manual_seed(0)
    labels = torch.randint(37, (6, 11)).masked_fill(torch.rand(6, 11) < 0.3, -100)
    weight = torch.randn(37, 8, requires_grad=True)
    for kind, tolerance in ((torch.float32, 2e-6), (torch.bfloat16, 2e-6)):
        hidden = torch.randn(6, 11, 8).to(kind).requires_grad_()
        reference = torch.full((6, 11), -2.0)
        given = {"policy_hidden": hidden, "policy_weight": weight, "reference_token_logps": reference}
        loss, logged = function(**given, labels=labels, metrics=True, logit_softcap=4.0)
        loss.backward()
        alone = function(**given, labels=labels, logit_softcap=4.0)
        assert torch.equal(loss, alone)
        logits = hidden.detach().float() @ weight.detach().to(kind).float().T
        close(logged, dense(4 * torch.tanh(logits / 4), labels), tolerance)


def test_a_pair_without_labels_is_left_out() -> None:
    """Also where as many tokens are counted as there are pairs."""
    kernel = midpo.generate("tdpo", token_metrics=True)
    given = given_for(kernel)
    given["labels"][:] = -100
    given["labels"][[1, 1, 4], [0, 2, 1]] = torch.tensor([3, 4, 0])  # of 3 pairs the second
    _, logged = kernel.compile()(**given, metrics=True, empty="zero")
    close(logged, dense(given["policy_logits"], given["labels"]))
    assert abs(logged["pairs/empty"].item() - 2 / 3) < 1e-15
    alone = {k: x[[1, 4]] if k != "labels" and getattr(x, "dim", int)() >= 2 else x for k, x in given.items()}
    _, expected = kernel.compile()(**alone | {"labels": given["labels"][[1, 4]]}, metrics=True)
    close(logged, {key: value for key, value in expected.items() if key in kernel.logged})


def test_log_probabilities_do_not_tell_it() -> None:
    with pytest.raises(NotYet, match="the backend logps has none"):
        midpo.generate("dpo", backend="logps", token_metrics=True)
