"""Kernels where digits are easily lost: value and derivative against 50 digits, in ulp.

The logits are exact numbers, and an error is counted in units of the result itself: no allowance
is made for rounding on the way. `pytest tests/test_dangerous.py -s -n0` shows the figures.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from test_rows import changed

import midpo
from midpo.numeric.checking.adapting import from_logits
from midpo.numeric.checking.oracle import Oracle
from midpo.numeric.checking.policies import Batch
from midpo.symbolic.language.spec import load, policy_argument
from midpo.symbolic.loss import pair_loss

torch = pytest.importorskip("torch")

# name, size of the first token's logit, parameters, dtypes, the ulp that value and derivative keep.
# ORPO: the preferred response's probability is 1 - 2*exp(-size). alpha-divergences and AlphaPO:
# exponentials of size. EXO: epsilon is near 0, on both sides of the margin.
POINTS: list[tuple[str, float, dict[str, str], tuple[str, ...], float]] = [
    *(("orpo", size, {"lam": "1/2"}, ("float64", "float32"), 32.0) for size in (1, 10, 20, 30, 38)),
    ("orpo", -300, {"lam": "1/2"}, ("float64", "float32"), 16.0),
    *(
        ("f-dpo-alpha", size, {"alpha": "1/8", "c": "1/2"}, ("float64", "float32"), 32.0)
        for size in (-30, 30, 80)
    ),
    *(("f-dpo-forward", size, {"alpha": "1/8"}, ("float64", "float32"), 32.0) for size in (-15, 60)),
    *(
        ("alphapo", size, {"alpha": "2", "c": "1/4", "gamma": "1"}, ("float64", "float32"), 32.0)
        for size in (-50, 30, 200)
    ),
    *(
        ("exo", size, {"alpha": "1/8", "epsilon": epsilon}, ("float64", "float32"), 32.0)
        for size in (-200, 5, 200)
        for epsilon in ("1/1000", f"1/{10**30}", f"1/{10**300}")
    ),
    *(("apo-zero", size, {"alpha": "1/2"}, ("float64", "float32"), 32.0) for size in (-60, 60)),
    *(
        ("discopop", size, {"alpha": "1/2", "tau": "1/16"}, ("float64", "float32"), 32.0)
        for size in (-60, 40)
    ),
]


def batch(name: str, size: float, parameters: dict[str, str]) -> Batch:
    """One pair: a response of one token, and one of two, over three vocabulary entries."""
    logits = np.zeros((2, 2, 3))
    logits[0, 0, 1], logits[1, 0, 1], logits[1, 1, 2] = size, size / 4, 0.5
    labels = np.array([[1, -100], [1, 2]])
    kernel = midpo.generate(name)
    given = {p: logits if p == "pi" else np.zeros_like(logits) for p in kernel.policies}
    return Batch(given, labels, {}, {k: Fraction(v) for k, v in parameters.items()}, size)


def errors(
    name: str, size: float, parameters: dict[str, str], dtype: str, backend: str = "eager"
) -> tuple[float, float]:
    """The errors of value and derivative, in units in the last place of the exact ones."""
    kind = getattr(torch, dtype)
    at = batch(name, size, parameters)
    oracle = Oracle(at, pair_loss(load(name)), 0)
    direction = oracle.direction()
    exact_loss, exact_slope = oracle.value(oracle.loss, 0), oracle.slope(direction)
    function = from_logits(torch, midpo.generate(name, backend=backend))
    logits = {policy_argument(p): torch.tensor(z, dtype=kind) for p, z in at.logits.items()}
    policy = logits["policy_logits"].requires_grad_()
    numbers: dict[str, Any] = {k: float(v) for k, v in at.parameters.items()}
    loss = function(torch.tensor(at.labels), **logits, **numbers)
    (gradient,) = torch.autograd.grad(loss, policy)
    products = gradient.double().numpy() * direction
    eps, tiny = torch.finfo(kind).eps, torch.finfo(kind).tiny
    found = []
    for value, exact, scale in (
        (loss.item(), exact_loss, abs(float(exact_loss))),
        (float(products.sum()), exact_slope, float(np.abs(products).sum())),
    ):
        assert np.isfinite(value)
        found.append(float(abs(exact - value)) / (eps * max(scale, tiny / eps)))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("name", "size", "parameters", "dtype", "limit"),
    [(n, s, p, d, limit) for n, s, p, dtypes, limit in POINTS for d in dtypes],
    ids=lambda value: str(value).replace("/", "over") if not isinstance(value, dict) else None,
)
def test_dangerous_points(
    name: str, size: float, parameters: dict[str, str], dtype: str, limit: float
) -> None:
    value, slope = errors(name, size, parameters, dtype)
    print(f"{name} at {size}, {parameters}, {dtype}: value {value:.2f}, derivative {slope:.2f} ulp")
    assert value <= limit and slope <= limit


@pytest.mark.parametrize("backend", ["fused", "linear"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1, 10, 20, 30, 38, -300])
def test_orpo_keeps_its_digits_in_every_backend(backend: str, dtype: str, size: float) -> None:
    value, slope = errors("orpo", size, {"lam": "1/2"}, dtype, backend)
    assert value <= 32 and slope <= 32


PLAIN = "rows: int | None = None"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "_log_softplus(-policy_token_odds)",
            "torch.log(-torch.log(torch.sigmoid(policy_token_odds).clamp(max=1 - 6e-8)))",
        ),
        ("at_label = seeds if near_one", "at_label = seeds * -torch.expm1(F.logsigmoid(logps)) if near_one"),
        (f"{PLAIN}F.logsigmoid(policy_token_odds)", "torch.log(torch.sigmoid(policy_token_odds))"),
    ],
)
def test_lost_digits_are_seen(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same formulas without what keeps their digits: these tests tell."""
    kernel = midpo.generate("orpo", backend="fused")
    if old.startswith(PLAIN):  # by the road that is taken where the size of pieces is given
        kernel = changed(kernel, PLAIN, "rows: int | None = 2")
        old = old.removeprefix(PLAIN)
    for each, lost in ((kernel, False), (changed(kernel, old, new), True)):
        monkeypatch.setattr(midpo, "generate", lambda name, each=each, **_: each)
        assert (max(errors("orpo", 30, {"lam": "1/2"}, "float32", "fused")) > 1000) is lost


@pytest.mark.parametrize("backend", ["eager", "fused", "linear"])
@pytest.mark.parametrize("gap", [20.0, 100.0, 1e4])
def test_orpo_is_finite_at_probability_one(backend: str, gap: float) -> None:
    """Where the logits' dtype cannot tell the probability from 1, value and gradient are finite."""
    function = from_logits(torch, midpo.generate("orpo", backend=backend))
    logits = torch.zeros(2, 2, 3)
    logits[0, 0, 1] = logits[0, 1, 1] = gap
    logits.requires_grad_()
    loss = function(torch.tensor([[1, 1], [1, 2]]), policy_logits=logits, lam=0.5)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.isfinite(loss).all() and torch.isfinite(gradient).all()


@pytest.mark.parametrize("backend", ["eager", "fused", "linear", "logps"])
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("f-dpo-forward", {"alpha": 0.125}),
        ("f-dpo-alpha", {"alpha": 0.125, "c": 0.75}),
        ("alphapo", {"alpha": 2.0, "c": 0.75, "gamma": 1.0}),
    ],
)
def test_exponentials_beyond_all_numbers(name: str, numbers: dict[str, float], backend: str) -> None:
    """Both responses' exponentials overflow float32; which is the larger decides the loss: it is 0,
    or beyond all numbers."""
    function = from_logits(torch, midpo.generate(name, backend=backend))
    for chosen, rejected, right in ((-190.0, -200.0, True), (-200.0, -190.0, False)):
        logits = torch.zeros(2, 1, 3)
        logits[:, 0, 1] = torch.tensor([chosen, rejected])
        given = {policy_argument(p): torch.zeros_like(logits) for p in midpo.generate(name).policies}
        given["policy_logits"] = logits.requires_grad_()
        loss = function(torch.ones(2, 1, dtype=torch.int64), **given, **numbers)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert (loss == 0 and (gradient == 0).all()) if right else loss > 1e30
        assert not gradient.isnan().any()


def test_one_token_responses_and_empty_ones() -> None:
    """A response of one token has a loss; an empty one is refused by name, in every kernel."""
    from midpo.symbolic.language.spec import catalogue

    for name in catalogue():
        spec = load(name)
        if spec.reason and spec.batch is None:
            continue
        kernel = midpo.generate(spec)
        rows = len(kernel.roles)
        generator = torch.Generator().manual_seed(0)
        given = {policy_argument(p): torch.randn(rows, 2, 3, generator=generator) for p in kernel.policies}
        given["policy_logits"].requires_grad_()
        shapes = {"pair": (1,), "response": (rows,), "token": (rows, 2)}
        given |= {n: torch.ones(shapes[k]) for n, k in kernel.features.items()}
        numbers = dict.fromkeys(kernel.parameters, 0.25)
        function = kernel.compile()
        labels = torch.tensor([[1, -100], [-100, 2]] * 3)[:rows]
        loss = function(labels=labels, **given, **numbers)
        assert torch.isfinite(loss), name
        if loss.requires_grad:
            assert torch.isfinite(torch.autograd.grad(loss, given["policy_logits"])[0]).all(), name
        with pytest.raises(ValueError, match="no label in row 1, needs at least one a response"):
            function(labels=torch.tensor([[1, 1], [-100, -100]] * 3)[:rows], **given, **numbers)
