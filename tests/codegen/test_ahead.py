"""On a CPU fused makes use of the gradient's memory before the gradient is in it: forward leaves
exponentials there, and tables of a piece are made where nothing is written yet."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_backends import ALL, base, both, close, spec_of
from test_rows import answer, changed

import midpo

torch = pytest.importorskip("torch", reason="kernels run on torch")

# The policy matters by its label alone; so that digits are kept near 1; with a divergence whose
# gradient is made in place; with one that is not; in two passes.
NAMES = ["dpo", "orpo", "tdpo", "tis-dpo", "everything"]
ROUNDED = ["dpo", "orpo"]  # whose powers forward leaves in the gradient's memory
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
CHUNK = 4 * 7 * 6  # bytes: a few rows of the tests' vocabulary in the gradient's last part


def kernel_of(name: str) -> Any:
    return changed(midpo.generate(spec_of(name), backend="fused"), "CHUNK = 1 << 22", f"CHUNK = {CHUNK}")


def cast(given: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """Logits in a dtype, features in the one that sums accumulate in."""
    wide = torch.promote_types(dtype, torch.float32)
    return {
        k: x.to(dtype if k.endswith("logits") else wide)
        if torch.is_tensor(x) and x.is_floating_point()
        else x
        for k, x in given.items()
    }


def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("kernels")


@pytest.fixture(autouse=True)
def _new_memory_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", ALL)
def test_chosen_pieces_make_no_difference(name: str) -> None:
    close(both(name, "fused", base(name, seed=3), rows=2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_tables_in_the_gradient(name: str, dtype: Any) -> None:
    given = cast(base(name, pairs=6), dtype)
    found = answer(kernel_of(name).compile(), given)
    expected = answer(midpo.generate(spec_of(name)).compile(), given)
    tight = {torch.float64: 1e-12, torch.float32: 3e-5, torch.bfloat16: 1.6e-2}[dtype]
    close([expected, found], rtol=tight, atol=1e-14 if dtype == torch.float64 else 3e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_second_time_to_the_bit_and_scaled(name: str, dtype: Any) -> None:
    given = cast(base(name, pairs=6), dtype)
    leaf = given["policy_logits"].requires_grad_()
    loss = kernel_of(name).compile()(**given)
    (once,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    copy = once.clone()
    (quarter,) = torch.autograd.grad(loss / 4, leaf, retain_graph=True)
    (again,) = torch.autograd.grad(loss, leaf)
    assert torch.equal(once, copy) and torch.equal(again, copy)
    assert torch.equal(quarter * 4, copy)


@pytest.mark.parametrize("name", ROUNDED)
def test_powers_rounded_to_bfloat16_cost_one_unit_at_most(name: str) -> None:
    given = cast(base(name, pairs=2, t=9, v=3000), torch.bfloat16)
    function = kernel_of(name).compile()
    found, once = (
        answer(function, given, **more)[1].bfloat16().view(torch.int16).int() for more in ({}, {"rows": 2})
    )
    apart = (found - once).abs()
    assert int(apart.max()) == 1 and float(apart.double().mean()) < 0.25


def test_two_losses_of_the_same_logits() -> None:
    given, function = base("dpo"), kernel_of("dpo").compile()
    leaf = given["policy_logits"].requires_grad_()
    one, two = function(**given), function(**{**given, "alpha": 0.3})
    (found,) = torch.autograd.grad(one + two, leaf, retain_graph=True)
    parts = [torch.autograd.grad(loss, leaf)[0] for loss in (one, two)]
    torch.testing.assert_close(found, sum(parts), rtol=1e-13, atol=1e-16)


def test_checkpointed() -> None:
    from torch.utils.checkpoint import checkpoint

    function = kernel_of("dpo").compile()
    expected = answer(function, base("dpo"))
    found = answer(
        lambda policy_logits, **more: checkpoint(
            lambda x: function(policy_logits=x, **more), policy_logits, use_reentrant=False
        ),
        base("dpo"),
    )
    assert all(map(torch.equal, found, expected))


def test_spoiled_logits_spoil_their_pair_alone() -> None:
    given = base("dpo", pairs=6)
    given["policy_logits"][1, 1, 3] = torch.nan
    _, gradient = answer(kernel_of("dpo").compile(), given)
    counted = given["labels"] >= 0
    assert not gradient[~counted].any()
    gone = gradient.isnan().any(-1)
    others = [n for n in range(12) if n not in (1, 7)]
    assert bool(gone[1][counted[1]].all()) and not bool(gone[others].any())


@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_held(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gradient to come, little more than it; without, no more than a few rows."""
    held = benchmark(monkeypatch).held
    given = cast(base(name, pairs=2, t=64, v=3000), dtype)
    function = midpo.generate(spec_of(name), backend="fused").compile()
    run = functools.partial(function, **given)
    size = given["policy_logits"].numel() * dtype.itemsize / 2**20
    with torch.no_grad():
        assert held(run) < 0.08 * size
    leaf = given["policy_logits"].requires_grad_()
    passes = 2 if name == "everything" else 1
    most = held(lambda: torch.autograd.grad(run(), leaf)) / size
    assert passes <= most < passes + 0.08


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_the_measured_limit_is_no_less_than_the_work(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds both normalisers and the probabilities, twice in the same memory."""
    logits = torch.randn(2, 3, 5, 700_000 // 5).to(dtype)  # chunks of fewer rows than there are
    policy, reference = (x.requires_grad_() for x in logits.unbind())
    loss = benchmark(monkeypatch).steps()
    for _ in range(2):
        (found,) = torch.autograd.grad(loss(policy, reference, None), policy)
        expected = policy.detach().double().softmax(-1)
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(found.double(), expected, rtol=max(eps, 1e-5), atol=0)
    both = (x.detach().double() for x in (policy, reference))
    total = sum((x - x.amax(-1, True)).logsumexp(-1).sum() for x in both)
    assert loss(policy, reference, None).item() == pytest.approx(float(total), rel=1e-5)


MISTAKES = [
    ("dpo", "-seeds / totals.flatten() if", "-seeds if"),
    ("dpo", "numbers, times = factors", "numbers, times = factors.bfloat16()"),
    ("dpo", "rows.split(times.tolist())", "rows.split(times.flip(0).tolist())"),
    ("dpo", ".mul_(by)", ""),
    ("orpo", "numbers, times = factors", "numbers, times = factors.bfloat16()"),
    ("dpo", "seeds * -torch.expm1(logps)", "seeds"),
    ("dpo", "labels.clamp(min=0)] = at_label", "labels.clamp(min=1)] = at_label"),
    ("dpo", "rows[(labels < 0).nonzero(as_tuple=True)] = 0.0", "pass"),
    ("dpo", "copy.copy_(place", "(place"),
    ("dpo", "if ctx.spent:", "if False:"),
    ("tdpo", "w.gradients[0][(w.labels < 0).nonzero(as_tuple=True)] = 0.0", "pass"),
    ("tdpo", "at.start + edge, at.stop + edge", "at.start, at.stop"),
    ("tdpo", "edge = labels.shape[0] - -(-need // size)", "edge = labels.shape[0]"),
]


@pytest.mark.parametrize(("name", "old", "new"), MISTAKES)
def test_mistakes_are_seen(name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = changed(kernel_of(name), old, new)
    monkeypatch.setitem(globals(), "kernel_of", lambda name: wrong)
    with pytest.raises((AssertionError, IndexError, RuntimeError)):
        for dtype in DTYPES:
            test_tables_in_the_gradient(name, dtype)
            test_a_second_time_to_the_bit_and_scaled(name, dtype)
        if name in ROUNDED:
            test_powers_rounded_to_bfloat16_cost_one_unit_at_most(name)
