"""The backend linear makes the gradient with the loss, a few pairs at a time, from logits that it
keeps or makes again: against the readable kernel on whole logits."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_backends import ALL, packed_of, spec_of
from test_kernel import EIGHT, arguments
from test_rows import changed

import midpo
from midpo.symbolic.language.spec import policy_argument

torch = pytest.importorskip("torch", reason="kernels run on torch")

WIDTH, VOCABULARY = 4, 7
ROW = 8 * VOCABULARY  # bytes of a position's logits in float64
# Bytes of logits to keep: nothing; a part of a pair; a pair; all pairs but the last, as one group.
KEEPS = {"nothing": 1, "rows": 3 * ROW, "pair": 10 * ROW, "pairs": 100 * ROW}
PARTS = ("hidden", "weight", "bias")


def kernel_of(name: str, keep: int) -> Any:
    kernel = midpo.generate(spec_of(name), backend="linear")
    return changed(kernel, "KEEP = 1 << 26", f"KEEP = {keep}")


def heads(name: str, given: dict[str, Any]) -> dict[str, list[Any]]:
    """Hidden states, weight and bias of each policy."""
    generator = torch.Generator().manual_seed(1)
    shape = given["labels"].shape
    return {
        policy_argument(p): [
            torch.randn(size, generator=generator, dtype=torch.float64)
            for size in ((*shape, WIDTH), (VOCABULARY, WIDTH), (VOCABULARY,))
        ]
        for p in midpo.generate(spec_of(name)).policies
    }


def both(
    name: str, function: Callable[..., Any], packed: bool = False, wanted: str = "hwb", **options: Any
) -> tuple[list[Any], list[Any]]:
    """(loss, gradients, metrics) of the readable kernel and of a function from hidden states."""
    given = arguments(midpo.generate(spec_of(name)))
    found = heads(name, given)
    rest = {k: x for k, x in given.items() if not k.endswith("logits")}
    keep = torch.ones_like(given["labels"], dtype=torch.bool)
    if packed:
        keep[0, 4] = keep[3, 3:] = False
        rest["labels"][~keep] = -100
    ours = [
        x.clone().requires_grad_(part[0] in wanted)
        for part, x in zip(PARTS, found["policy_logits"], strict=True)
    ]
    dense = {
        n: 3 * torch.tanh((h @ w.T + b) / 3) / 0.7
        for n, (h, w, b) in {**found, "policy_logits": ours}.items()
    }
    leaves = [x for x in ours if x.requires_grad]
    loss, logged = midpo.generate(spec_of(name)).compile()(**rest, **dense, metrics=True, **options)
    expected = [loss, *torch.autograd.grad(loss, leaves), logged]
    inputs = {
        n.replace("logits", part): x
        for n, head in {**found, "policy_logits": ours}.items()
        for part, x in zip(PARTS, head, strict=True)
    }
    if packed:
        rest = packed_of(rest, keep)
        inputs = {n: x[keep] if n.endswith("hidden") else x for n, x in inputs.items()}
    loss, logged = function(
        **rest, **inputs, metrics=True, logit_softcap=3.0, logit_temperature=0.7, **options
    )
    return expected, [loss, *torch.autograd.grad(loss, leaves), logged]


def close(expected: list[Any], found: list[Any]) -> None:
    *values, logged = found
    for one, other in zip(values, expected, strict=False):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-13)
    assert list(logged) == list(expected[-1])
    for key, value in expected[-1].items():
        torch.testing.assert_close(logged[key], value, rtol=1e-10, atol=1e-13)
        assert not logged[key].requires_grad


@pytest.mark.parametrize("name", ALL)
def test_a_pair_at_a_time(name: str) -> None:
    close(*both(name, kernel_of(name, KEEPS["pair"]).compile()))


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("name", [*EIGHT, "everything", "stopped", "tpo"])
def test_whatever_is_kept(name: str, keep: str) -> None:
    close(*both(name, kernel_of(name, KEEPS[keep]).compile(), reduction="sum"))


@pytest.mark.parametrize("keep", ["rows", "pair"])
@pytest.mark.parametrize("name", ["dpo", "tdpo", "sparsepo", "everything"])
def test_packed(name: str, keep: str) -> None:
    function = kernel_of(name, KEEPS[keep]).compile()
    expected, found = both(name, function, packed=True, num_pairs=5.0)
    given = arguments(midpo.generate(spec_of(name)))
    mask = torch.ones_like(given["labels"], dtype=torch.bool)
    mask[0, 4] = mask[3, 3:] = False
    found[1] = torch.zeros_like(expected[1]).masked_scatter(mask[..., None], found[1][mask])
    close(expected, found)


@pytest.mark.parametrize("wanted", ["h", "w", "b", "hw"])
@pytest.mark.parametrize("name", ["dpo", "tdpo"])
def test_only_the_gradients_that_are_asked_for(
    name: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = kernel_of(name, KEEPS["pair"])
    function = kernel.compile()
    made: list[Any] = []
    empty = function.__globals__["_finished"]

    def finished(gradients: list[Any], trained: list[Any]) -> Any:
        made.extend(gradients)
        return empty(gradients, trained)

    monkeypatch.setitem(function.__globals__, "_finished", finished)
    close(*both(name, function, wanted=wanted))
    assert [g.numel() > 0 for g in made] == [part[0] in wanted for part in PARTS]


def call(function: Callable[..., Any], dtype: Any = torch.float64, **options: Any) -> tuple[Any, Any]:
    given = arguments(midpo.generate("dpo"), pairs=3)
    found = {name: [x.to(dtype) for x in parts] for name, parts in heads("dpo", given).items()}
    hidden, weight, _ = (x.requires_grad_() for x in found["policy_logits"])
    other, head, _ = found["reference_logits"]
    loss = function(hidden, weight, given["labels"], reference_hidden=other, reference_weight=head, **options)
    return loss, [hidden, weight]


def test_a_second_time_and_scaled() -> None:
    loss, leaves = call(kernel_of("dpo", KEEPS["pair"]).compile())
    plain = torch.autograd.grad(loss, leaves, retain_graph=True)
    copies = [x.clone() for x in plain]
    scaled = torch.autograd.grad(loss / 4, leaves, retain_graph=True)
    again = torch.autograd.grad(loss, leaves)
    for one, copy, quarter, other in zip(plain, copies, scaled, again, strict=True):
        assert torch.equal(one, copy) and torch.equal(other, copy)
        torch.testing.assert_close(quarter * 4, copy, rtol=1e-14, atol=0)


def test_a_scale_keeps_its_digits() -> None:
    loss, leaves = call(kernel_of("dpo", KEEPS["pair"]).compile(), torch.bfloat16)
    plain = torch.autograd.grad(loss, leaves, retain_graph=True)
    third = torch.autograd.grad(loss / 3, leaves)
    for one, other in zip(plain, third, strict=True):
        assert torch.equal(other, (one.float() / 3).bfloat16())


def test_each_loss_by_itself_and_without_a_gradient() -> None:
    function = kernel_of("dpo", KEEPS["pair"]).compile()
    loss, leaves = call(function)
    each, others = call(function, reduction="none")
    torch.testing.assert_close(each.mean(), loss, rtol=1e-14, atol=0)
    for one, other in zip(
        torch.autograd.grad(loss, leaves), torch.autograd.grad(each.mean(), others), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
    with torch.no_grad():
        value, _ = call(function)
    assert not value.requires_grad and float(value) == pytest.approx(loss.item(), rel=1e-14)


def test_checkpointed() -> None:
    from torch.utils.checkpoint import checkpoint

    function = kernel_of("dpo", KEEPS["pair"]).compile()
    loss, leaves = call(function)
    expected = torch.autograd.grad(loss, leaves)
    again, leaves = call(
        lambda *given, **more: checkpoint(lambda *x: function(*x, **more), *given, use_reentrant=False)
    )
    assert all(map(torch.equal, torch.autograd.grad(again, leaves), expected))


def test_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logits of about one pair, and no more for a batch of many."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    held = importlib.import_module("kernels").held
    most = []
    for pairs in (4, 16):
        given = arguments(midpo.generate("dpo"), pairs=pairs, t=16, v=2000)
        hidden = torch.randn(2 * pairs, 16, WIDTH, requires_grad=True)
        weight = torch.randn(2000, WIDTH, requires_grad=True)
        pair = 2 * 16 * 2000 * 4
        function = changed(kernel_of("dpo", pair), "TABLE = 1 << 24", f"TABLE = {pair // 8}").compile()
        run = functools.partial(
            function,
            hidden,
            weight,
            given["labels"],
            reference_hidden=hidden.detach(),
            reference_weight=weight.detach(),
        )
        most.append(held(lambda run=run: run().backward()) * 2**20 / pair)
    assert 0.9 < most[0] < 1.5 and most[1] < most[0] + 0.1


MISTAKES = [
    ("gradients[0][at] = inner[0]", "gradients[0][: len(at)] = inner[0]"),
    ("if not (w.spent and _is_kept(at, w.kept)):", "if not _is_kept(at, w.kept):"),
    ("for n in range(self.of)])", "for n in (0, 0)])"),
    ("buffers = buffers if into is None else [into]", "buffers = buffers"),
    ("at.start + edge, at.stop + edge", "at.start, at.stop"),
    ("g * seed.item()", "g"),
    ("(1 - (raw * (temperature / softcap)) ** 2)", "(1 - raw)"),
    ("torch.mm(gradient, weight, **more)", "torch.mm(gradient.flip(0), weight, **more)"),
]


@pytest.mark.parametrize(("old", "new"), MISTAKES)
def test_mistakes_are_seen(old: str, new: str) -> None:
    wrong = changed(kernel_of("dpo", KEEPS["rows"]), old, new).compile()
    with pytest.raises((AssertionError, IndexError, RuntimeError)):
        close(*both("dpo", wrong))
        loss, leaves = call(wrong)
        each, others = call(wrong, reduction="none")
        expected = torch.autograd.grad(each.mean(), others)
        for one, other in zip(torch.autograd.grad(loss, leaves, retain_graph=True), expected, strict=True):
            torch.testing.assert_close(one, other)
        for one, other in zip(torch.autograd.grad(2 * loss, leaves), expected, strict=True):
            torch.testing.assert_close(one, 2 * other)
