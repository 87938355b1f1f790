"""`linear` with short inputs: from the products on everything is float32, as with float32 inputs of
the same values."""

from __future__ import annotations

from typing import Any

import pytest

import midpo

torch = pytest.importorskip("torch")

KL = '''name = "reference-kl"
[parameters]
alpha = "positive"
[target]
SIDE = """sum(alpha*kl(pi_ref, pi, y_w, t) for t in y_w)
          SIGN sum(alpha*kl(pi_ref, pi, y_l, t) for t in y_l)"""
'''
MARGIN = KL.replace("SIDE", "margin").replace("SIGN", "-")


def waves(*shape: int, start: float, rates: tuple[float, ...]) -> Any:
    """sin(start + sum of rate * index), in float64."""
    total = torch.full(shape, start, dtype=torch.float64)
    for axis, rate in enumerate(rates):
        view = [1] * len(shape)
        view[axis] = -1
        total += rate * torch.arange(shape[axis], dtype=torch.float64).view(view)
    return torch.sin(total)


def inputs(vocabulary: int, width: int, near: float, kind: Any) -> dict[str, Any]:
    """A head that is no identity, and a reference near the policy: what rounding hides."""
    hidden = 2 * waves(2, 8, width, start=torch.pi / 2, rates=(2.0, 1.3, 0.9))
    other = hidden + near * waves(2, 8, width, start=0.0, rates=(5.0, 2.1, 0.4))
    head = 1.5 * waves(vocabulary, width, start=1.0, rates=(3.0, 1.7))
    given = {
        "policy_hidden": hidden,
        "policy_weight": head,
        "reference_hidden": other,
        "reference_weight": head.clone(),
    }
    rows, tokens = torch.arange(2)[:, None], torch.arange(8)
    return {n: x.to(kind) for n, x in given.items()} | {"labels": (5 * rows + 7 * tokens + 3) % vocabulary}


def result(function: Any, given: dict[str, Any], kind: Any, **more: Any) -> list[Any]:
    given = {n: x.to(kind) if x.is_floating_point() else x for n, x in given.items()}
    trained = [x.requires_grad_() for n, x in given.items() if n.startswith("policy_")]
    loss = function(**given, **more)
    return [loss.detach().double(), *(g.double() for g in torch.autograd.grad(loss, trained))]


def test_the_logits_of_a_divergence_are_not_rounded() -> None:
    spec = midpo.loads(KL.replace("SIDE", "loss").replace("SIGN", "+"))
    function = midpo.generate(spec, backend="linear").compile()
    loss, *_ = result(function, inputs(64, 16, 0.02, torch.bfloat16), torch.bfloat16, alpha=0.5)
    # Rounded logits give 0.000885; how float32 adds up, which processors choose, moves 3 in 10,000.
    assert loss.item() == pytest.approx(0.000879395, rel=1e-3)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "more",
    [
        {"alpha": 0.5},
        {"alpha": 0.5, "reduction": "none"},
        {"alpha": 0.5, "logit_softcap": 5.0, "logit_temperature": 0.7},
        {"alpha": 0.5, "rows": 3},
    ],
)
@pytest.mark.parametrize("name", ["dpo", "reference-kl"])
def test_short_inputs_give_what_float32_ones_do(name: str, more: dict[str, Any], kind: Any) -> None:
    """The loss to the last digits of float32; gradients, which are in the inputs' dtype, rounded
    once (of differences of probabilities float32 itself keeps four digits here). The head is more
    than one chunk of HEAD bytes."""
    spec = midpo.loads(MARGIN) if name == "reference-kl" else midpo.load(name)
    kernel = midpo.generate(spec, backend="linear")
    function = kernel.compile()
    function.__globals__["HEAD"] = 4 * 32 * 30
    given = inputs(200, 32, 0.02, kind)
    given["policy_bias"] = waves(200, start=0.0, rates=(1.1,)).to(kind)
    given["reference_bias"] = waves(200, start=0.0, rates=(1.1,)).to(kind)
    summed = (lambda *a, **k: function(*a, **k).sum()) if "reduction" in more else function
    short, wide = result(summed, given, kind, **more), result(summed, given, torch.float64, **more)
    assert short[0].item() == pytest.approx(wide[0].item(), rel=1e-5, abs=2e-6)
    for found, exact in zip(short[1:], wide[1:], strict=True):
        limits = torch.finfo(kind)
        size = exact.abs().clamp(min=limits.smallest_normal)
        assert ((found - exact).abs() <= 0.51 * limits.eps * size + 5e-4 * exact.abs().max()).all()
