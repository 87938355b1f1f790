"""Each operation that is lifted: run on expressions and on float64, entry by entry.

For each row a planted wrong meaning must be seen by these tests.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from sympy import Expr, Rational  # noqa: E402

from midpo.codegen.lifting import pointwise, running  # noqa: E402
from midpo.codegen.lifting.axes import obj, within  # noqa: E402
from midpo.codegen.lifting.calls import Calls  # noqa: E402
from midpo.codegen.lifting.numbers import expr_of  # noqa: E402
from midpo.codegen.lifting.tensor import Sym, like, sym  # noqa: E402
from midpo.codegen.lifting.trace import CannotLift, Trace, tracing  # noqa: E402
from midpo.numeric.arithmetic import Floats  # noqa: E402
from midpo.numeric.code.places import T  # noqa: E402
from midpo.numeric.evaluate import Evaluator, Point  # noqa: E402
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, Length, Parameter, Step, TokenSum  # noqa: E402

CLOSE = 1e-9


class Inputs:
    """The same inputs as symbols and as numbers, whichever are asked for."""

    def __init__(self, seed: int, numbers: bool) -> None:
        self.rng, self.numbers = random.Random(seed), numbers
        self.values: dict[str, float] = {}

    def real(self, *shape: int, domain: str = "real", grad: bool = False) -> Any:
        names = [f"x{len(self.values) + n}" for n in range(int(np.prod(shape)))]
        draw: dict[str, Callable[[], float]] = {
            "unit": lambda: self.rng.uniform(0.05, 0.95),
            "positive": lambda: abs(self.rng.gauss(0, 2)) + 0.1,
            "real": lambda: self.rng.gauss(0, 2),
        }
        values = [draw[domain]() for _ in names]
        self.values.update(zip(names, values, strict=True))
        if self.numbers:
            return torch.tensor(values, dtype=torch.float64).reshape(shape).requires_grad_(grad)
        entries = obj([Parameter(n, domain) for n in names], shape)
        return sym(entries, shape, torch.float64, requires_grad=grad)

    def whole(self, *shape: int, high: int = 3) -> Any:
        values = [self.rng.randrange(high) for _ in range(int(np.prod(shape)))]
        if self.numbers:
            return torch.tensor(values).reshape(shape)
        return sym(obj(map(expr_of, values), shape), shape, torch.int64)

    def truth(self, *shape: int) -> Any:
        values = [True] + [self.rng.random() < 0.5 for _ in range(int(np.prod(shape)) - 1)]
        if self.numbers:
            return torch.tensor(values).reshape(shape)
        return sym(obj(values, shape), shape, torch.bool)


def slope(f: Callable[..., Any], *xs: Any) -> Any:
    """The gradient by the first input, with an upstream gradient that is not 1."""
    out = f(*xs)
    return torch.autograd.grad((out * torch.arange(1, 1 + out.numel()).reshape(out.shape)).sum(), xs[0])[0]


def change(x: Any, f: Callable[[Any], Any]) -> Any:
    y = x.clone()
    f(y)
    return y


def through_views(x: Any) -> Any:
    y = x.clone()
    y[:, 1].mul_(2.0)
    y.view(-1)[0] = 3.0
    return y


POS: dict[str, Any] = {"domain": "positive"}
UNIT: dict[str, Any] = {"domain": "unit"}
OPERATIONS: dict[str, Callable[[Inputs], Any]] = {
    "add": lambda i: i.real(2, 3) + i.real(3),
    "scaled": lambda i: i.real(3).add(i.real(3), alpha=2),
    "sub": lambda i: i.real(2, 1) - i.real(3),
    "subs": lambda i: i.real(3).sub(i.real(3), alpha=3),
    "rsub": lambda i: 2 - i.real(3),
    "mul": lambda i: i.real(3) * i.real(3),
    "div": lambda i: i.real(3) / i.real(3, **POS),
    "neg": lambda i: -i.real(3),
    "reciprocal": lambda i: i.real(3, **POS).reciprocal(),
    "pow": lambda i: i.real(3) ** 3,
    "root": lambda i: i.real(3, **POS) ** 0.5,
    "power": lambda i: i.real(3, **POS) ** i.real(3),
    "sqrt": lambda i: i.real(3, **POS).sqrt(),
    "rsqrt": lambda i: i.real(3, **POS).rsqrt(),
    "square": lambda i: i.real(3).square(),
    "exp": lambda i: i.real(3).exp(),
    "exp2": lambda i: i.real(3).exp2(),
    "expm1": lambda i: i.real(3).expm1(),
    "log": lambda i: i.real(3, **POS).log(),
    "log2": lambda i: i.real(3, **POS).log2(),
    "log10": lambda i: i.real(3, **POS).log10(),
    "log1p": lambda i: i.real(3, **POS).log1p(),
    "sigmoid": lambda i: i.real(3).sigmoid(),
    "logsigmoid": lambda i: F.logsigmoid(i.real(3)),
    "softplus": lambda i: F.softplus(i.real(3)),
    "softplus at a scale": lambda i: F.softplus(i.real(3), beta=2),
    "tanh": lambda i: i.real(3).tanh(),
    "relu": lambda i: i.real(3).relu(),
    "abs": lambda i: i.real(3).abs(),
    "sign": lambda i: i.real(3).sign(),
    "sgn": lambda i: i.real(3).sgn(),
    "xlogy": lambda i: torch.xlogy(i.real(3), i.real(3, **POS)),
    "sinh": lambda i: i.real(3).sinh(),
    "cosh": lambda i: i.real(3).cosh(),
    "remainder": lambda i: i.whole(5, high=9).remainder(4) * i.real(5),
    "fmax": lambda i: torch.fmax(i.real(3), i.real(3)),
    "fmin": lambda i: torch.fmin(i.real(3), i.real(3)),
    "masked_select": lambda i: i.real(2, 3).masked_select(torch.tensor([[True, False, True]] * 2)),
    "valid": lambda i: torch.distributions.Categorical(logits=i.real(2, 3)).entropy(),
    # what torch says that operations without a row are made of
    "huber": lambda i: F.huber_loss(i.real(5), i.real(5)),
    "smooth_l1": lambda i: slope(lambda x, y: F.smooth_l1_loss(x, y), i.real(5, grad=True), i.real(5)),
    "soft_margin": lambda i: F.soft_margin_loss(i.real(5), i.whole(5, high=2) * 2 - 1),
    "silu": lambda i: slope(F.silu, i.real(3, grad=True)),
    "elu": lambda i: slope(F.elu, i.real(5, grad=True)),
    "leaky_relu": lambda i: slope(F.leaky_relu, i.real(5, grad=True)),
    "hardtanh": lambda i: slope(F.hardtanh, i.real(5, grad=True)),
    "hardsigmoid": lambda i: F.hardsigmoid(i.real(5)),
    "threshold": lambda i: F.threshold(i.real(5), 0.5, 2.0),
    "lerp": lambda i: torch.lerp(i.real(3), i.real(3), 0.3),
    "entr": lambda i: torch.special.entr(i.real(3, **UNIT)),
    "logit": lambda i: i.real(3, **UNIT).logit(),
    "aminmax": lambda i: torch.stack(torch.aminmax(i.real(2, 3), dim=0)),
    "std": lambda i: slope(lambda x: x.std(0), i.real(4, 2, grad=True)),
    "var_mean": lambda i: torch.stack(torch.var_mean(i.real(4, 2), 0)),
    "cumprod": lambda i: i.real(2, 3).cumprod(0),
    "take_along_dim": lambda i: torch.take_along_dim(i.real(2, 3), i.whole(2, 1), 1),
    "tril": lambda i: i.real(3, 3).tril(),
    "binary cross-entropy": lambda i: F.binary_cross_entropy(i.real(3, **UNIT), i.real(3, **UNIT)),
    "baddbmm": lambda i: torch.baddbmm(i.real(2, 2, 1), i.real(2, 2, 2), i.real(2, 2, 1)),
    "labels beside a vocabulary in the middle": lambda i: slope(
        lambda x, y: F.cross_entropy(x.transpose(1, 2), y, reduction="none", ignore_index=1),
        i.real(2, 4, 3, grad=True),
        i.whole(2, 4),
    ),
    "maximum": lambda i: torch.maximum(i.real(3), i.real(3)),
    "minimum": lambda i: torch.minimum(i.real(3), i.real(3)),
    "clamp": lambda i: i.real(5).clamp(-1, 1),
    "at least": lambda i: i.real(5).clamp(min=0.5),
    "at most": lambda i: i.real(5).clamp(max=0.5),
    "logaddexp": lambda i: torch.logaddexp(i.real(3), i.real(3)),
    "where": lambda i: torch.where(i.truth(3), i.real(3), i.real(3)),
    "where by data": lambda i: torch.where(i.real(5) > 0, i.real(5), i.real(5)),
    "compared": lambda i: (i.real(5) >= i.real(5)).double() + 2 * (i.real(5) < 0).double(),
    "compared too": lambda i: (i.real(5) <= 1).double() + 2 * (i.real(5) > 0).double(),
    "equal": lambda i: (i.whole(5) == i.whole(5)).double() + 2 * (i.whole(5) != 1).double(),
    "and": lambda i: torch.logical_and(i.truth(5), i.truth(5)).double(),
    "or": lambda i: torch.logical_or(~i.truth(5), ~i.truth(5)).double(),
    "not": lambda i: torch.logical_not(i.truth(5)).double(),
    "xor": lambda i: torch.logical_xor(i.truth(5), i.real(5) > 0).double(),
    "bits": lambda i: (i.truth(5) & i.truth(5)).double() + 2 * (~i.truth(5)).double(),
    "more bits": lambda i: (~i.truth(5) | ~i.truth(5)).double() + 2 * (i.truth(5) ^ i.truth(5)).double(),
    "finite": lambda i: (i.real(2).isfinite() & ~i.real(2).isnan() & ~i.real(2).isinf()).double(),
    "cleaned": lambda i: i.real(3).nan_to_num(),
    "rounded": lambda i: (
        (
            torch.tensor([1.5, 2.5, -0.7]).round()
            + torch.tensor([1.5, -1.5, 2.0]).floor()
            + torch.tensor([1.5, -1.5, 2.0]).ceil()
            + torch.tensor([1.5, -1.5, 2.0]).trunc()
        ).double()
        + i.real(3)
    ),
    # places
    "masked_fill": lambda i: i.real(4).masked_fill(i.truth(4), 7.0),
    "masked_fill_": lambda i: change(i.real(4), lambda y: y.masked_fill_(i.truth(4), -1.0)),
    "x[mask] = a": lambda i: change(i.real(4), lambda y: y.__setitem__(i.truth(4), 0.0)),
    "x[mask]": lambda i: i.real(5)[i.truth(5)].sum(),
    "x[mask] of rows": lambda i: i.real(3, 2)[i.truth(3)].sum(0),
    "x[i]": lambda i: i.real(4)[i.whole(3, high=4)],
    "x[i, j]": lambda i: i.real(3, 4)[torch.arange(3), i.whole(3, high=4)],
    "x[i] = a": lambda i: change(i.real(4), lambda y: y.__setitem__(torch.tensor([2, 0]), 5.0)),
    "index_select": lambda i: i.real(4, 2).index_select(0, i.whole(3, high=4)),
    "index_add": lambda i: (
        i.real(3, 2).index_add(0, i.whole(4), i.real(4, 2), alpha=2)
        + i.real(3, 2).index_add(1, torch.tensor([1]), i.real(3, 1))
    ),
    "gather": lambda i: i.real(2, 4).gather(-1, i.whole(2, 3, high=4)),
    "scatter": lambda i: i.real(2, 4).scatter(-1, i.whole(2, 1, high=4), 3.0),
    "scatter_add": lambda i: i.real(2, 4).scatter_add(-1, i.whole(2, 1, high=4), i.real(2, 1)),
    "nonzero": lambda i: i.truth(5).nonzero().double(),
    "views": lambda i: through_views(i.real(2, 3)),
    "in place": lambda i: change(i.real(3), lambda y: y.add_(1).mul_(2).neg_().exp_()),
    "copy_": lambda i: change(i.real(2, 3), lambda y: y[0].copy_(i.real(3))),
    "fill_": lambda i: change(i.real(2, 3), lambda y: y[:, 0].fill_(2.0)),
    "zero_": lambda i: change(i.real(2, 3), lambda y: y[1].zero_()),
    # reductions
    "sum": lambda i: i.real(2, 3).sum(),
    "sum by row": lambda i: i.real(2, 3).sum(-1),
    "sum of nothing": lambda i: i.real(2, 3)[:, 3:].sum(-1) + i.real(2),
    "nansum": lambda i: i.real(2, 3).nansum(-1),
    "sum kept": lambda i: i.real(2, 3, 2).sum((0, 2), keepdim=True),
    "mean": lambda i: i.real(2, 3).mean(),
    "mean by column": lambda i: i.real(2, 3).mean(0),
    "prod": lambda i: i.real(2, 3).prod(-1),
    "amax": lambda i: i.real(2, 3).amax(-1),
    "amin": lambda i: i.real(2, 3).amin(0),
    "max": lambda i: i.real(2, 3).max(),
    "min": lambda i: i.real(2, 3).min(-1)[0],
    "max along": lambda i: i.real(2, 3).max(0)[0],
    "any": lambda i: i.truth(2, 3).any(-1).double(),
    "all": lambda i: i.truth(2, 3).all(0).double(),
    "logsumexp": lambda i: i.real(2, 3).logsumexp(-1),
    "log_softmax": lambda i: i.real(2, 3).log_softmax(-1),
    "softmax": lambda i: i.real(2, 3).softmax(0),
    "cumsum": lambda i: i.real(2, 3).cumsum(1),
    "cumsum of truths": lambda i: i.truth(2, 3).cumsum(1).double(),
    "sort": lambda i: i.real(3, 2).sort(-1)[0],
    "sort down": lambda i: i.real(2, 3).sort(0, descending=True)[0],
    "order": lambda i: i.real(3, 2).sort(-1)[1].double(),
    "norm": lambda i: i.real(2, 3).norm(dim=-1),
    "var": lambda i: i.real(2, 3).var(-1),
    "bmm": lambda i: i.real(2, 3, 2) @ i.real(2, 2, 3),
    "mm": lambda i: i.real(2, 3) @ i.real(3, 2),
    "mv": lambda i: i.real(2, 3) @ i.real(3),
    "dot": lambda i: torch.dot(i.real(3), i.real(3)),
    "einsum": lambda i: torch.einsum("bt,bt->b", i.real(2, 3), i.real(2, 3)),
    "addmm": lambda i: torch.addmm(i.real(2, 2), i.real(2, 3), i.real(3, 2), alpha=2),
    "addcmul": lambda i: torch.addcmul(i.real(3), i.real(3), i.real(3), value=2),
    "addcdiv": lambda i: torch.addcdiv(i.real(3), i.real(3), i.real(3, **POS), value=2),
    "cross_entropy": lambda i: F.cross_entropy(i.real(3, 4), i.whole(3, high=4), reduction="none"),
    "nll": lambda i: F.nll_loss(i.real(3, 4), i.whole(3, high=4)),
    "bce": lambda i: F.binary_cross_entropy_with_logits(i.real(3), i.real(3, **UNIT)),
    "mse": lambda i: F.mse_loss(i.real(3), i.real(3)),
    # movement
    "view": lambda i: i.real(2, 6).view(3, 4),
    "reshape": lambda i: i.real(2, 6).t().reshape(-1),
    "transpose": lambda i: i.real(2, 3).transpose(0, 1),
    "permute": lambda i: i.real(2, 3, 2).permute(2, 0, 1),
    "unsqueeze": lambda i: i.real(3).unsqueeze(0) * i.real(3).unsqueeze(-1),
    "squeeze": lambda i: i.real(2, 1, 3).squeeze(),
    "expand": lambda i: i.real(2, 1).expand(-1, 3),
    "slice": lambda i: i.real(4, 3)[1:, :-1],
    "every second": lambda i: i.real(5)[::2],
    "select": lambda i: i.real(2, 3)[:, -1],
    "narrow": lambda i: i.real(4).narrow(0, 1, 2),
    "cat": lambda i: torch.cat([i.real(2, 1), i.real(2, 2)], -1),
    "stack": lambda i: torch.stack([i.real(3), i.real(3)], 1),
    "chunk": lambda i: i.real(4, 2).chunk(2)[1],
    "split": lambda i: i.real(4).split([1, 3])[1],
    "unbind": lambda i: i.real(2, 3).unbind(1)[2],
    "flip": lambda i: i.real(2, 3).flip(1),
    "roll": lambda i: i.real(2, 3).roll(1, 1),
    "diff": lambda i: i.real(4).diff(),
    "repeat": lambda i: i.real(2, 1).repeat(1, 3),
    "diagonal": lambda i: i.real(3, 3).diagonal(),
    "pad": lambda i: F.pad(i.real(2, 3), (1, 0), value=9.0),
    "cut": lambda i: F.pad(i.real(4), (-1, 1)),
    "repeat_interleave": lambda i: i.real(2).repeat_interleave(2),
    "detach": lambda i: i.real(3).detach() * 2,
    "to": lambda i: i.truth(3).to(torch.float64) + i.real(3),
    "like": lambda i: (
        torch.zeros_like(i.real(2)) + torch.ones_like(i.real(2)) * i.real(2) + torch.full_like(i.real(2), 3.0)
    ),
    "new": lambda i: i.real(2).new_zeros(2) + i.real(2).new_ones(2) + i.real(2).new_full((2,), 3.0),
    "made": lambda i: (
        torch.arange(2)
        + torch.zeros(2)
        + torch.full((2,), 2.0)
        + torch.ones(2)
        + torch.eye(2).sum(0)
        + torch.scalar_tensor(0.25)
        + i.real(2)
    ),
    "constants": lambda i: (
        i.real(2) * torch.tensor([0.1, 1 / 3], dtype=torch.float64)
        + torch.log(torch.tensor(0.125, dtype=torch.float64))
    ),
    "read": lambda i: i.real(3) * torch.tensor(2.5).item() + float(torch.tensor(3)),
    # gradients
    "d logsigmoid": lambda i: slope(lambda x: F.logsigmoid(x) * x, i.real(3, grad=True)),
    "d sigmoid": lambda i: slope(lambda x: x.sigmoid() ** 2, i.real(3, grad=True)),
    "d tanh": lambda i: slope(torch.tanh, i.real(3, grad=True)),
    "d softplus": lambda i: slope(lambda x: F.softplus(x, beta=2), i.real(3, grad=True)),
    "d relu": lambda i: slope(lambda x: x.relu() * 3, i.real(5, grad=True)),
    "d clamp": lambda i: slope(lambda x: x.clamp(-1, 1) * 2, i.real(5, grad=True)),
    "d log_softmax": lambda i: slope(lambda x: x.log_softmax(-1), i.real(2, 3, grad=True)),
    "d softmax": lambda i: slope(lambda x: x.softmax(-1) ** 2, i.real(2, 3, grad=True)),
    "d logsumexp": lambda i: slope(lambda x: x.logsumexp(-1), i.real(2, 3, grad=True)),
    "d gather": lambda i: slope(
        lambda x: x.gather(-1, torch.tensor([[1], [0]])) ** 2, i.real(2, 3, grad=True)
    ),
    "d x[mask]": lambda i: slope(lambda x: x[torch.tensor([True, False, True])] ** 2, i.real(3, grad=True)),
    "d x[i]": lambda i: slope(lambda x: x[torch.tensor([2, 0, 2])] ** 2, i.real(3, grad=True)),
    "d index_select": lambda i: slope(
        lambda x: x.index_select(0, torch.tensor([2, 0, 2])) ** 2, i.real(3, grad=True)
    ),
    "d slice": lambda i: slope(lambda x: x[:, 1:] * x[:, :-1], i.real(2, 3, grad=True)),
    "d steps": lambda i: slope(lambda x: x[::2] ** 2, i.real(5, grad=True)),
    "d select": lambda i: slope(lambda x: x[1] * x[0] ** 2, i.real(2, 3, grad=True)),
    "d maximum": lambda i: slope(lambda x: torch.maximum(x[0], x[1]), i.real(2, 3, grad=True)),
    "d amax": lambda i: slope(lambda x: x.amax(-1) ** 2, i.real(3, 2, grad=True)),
    "d cross_entropy": lambda i: slope(
        lambda x: F.cross_entropy(x, torch.tensor([1, -100, 0])), i.real(3, 3, grad=True)
    ),
    "d nll": lambda i: slope(
        lambda x: F.nll_loss(x, torch.tensor([1, 0]), reduction="none"), i.real(2, 3, grad=True)
    ),
    "d mean": lambda i: slope(lambda x: x.mean() ** 2, i.real(2, 3, grad=True)),
    "d functions": lambda i: slope(
        lambda x: x**3 + x.exp() + x.log1p() + x.rsqrt() + x.log2(), i.real(3, grad=True, **POS)
    ),
    "d abs": lambda i: slope(lambda x: x.abs(), i.real(3, grad=True)),
    "d where": lambda i: slope(lambda x: torch.where(x > 0, x**2, -x), i.real(5, grad=True)),
    "d cat": lambda i: slope(lambda x: torch.cat([x, x * 2]) ** 2, i.real(2, grad=True)),
    "d sort": lambda i: slope(lambda x: x.sort(0)[0] ** 2, i.real(2, 3, grad=True)),
    "d cumsum": lambda i: slope(lambda x: x.cumsum(0) ** 2, i.real(3, grad=True)),
    "d div": lambda i: slope(lambda x: 1 / x + x / 3, i.real(3, grad=True, **POS)),
    "d logaddexp": lambda i: slope(lambda x: torch.logaddexp(x[0], x[1]), i.real(2, 3, grad=True)),
    "d expm1": lambda i: slope(torch.expm1, i.real(3, grad=True)),
    "d bce": lambda i: slope(
        lambda x: F.binary_cross_entropy_with_logits(x, torch.ones(3, dtype=torch.float64), reduction="none"),
        i.real(3, grad=True),
    ),
    "d mse": lambda i: slope(lambda x: F.mse_loss(x, x.detach() * 2), i.real(3, grad=True)),
    "d einsum": lambda i: slope(lambda x: torch.einsum("bt,bt->b", x, x), i.real(2, 3, grad=True)),
    "d masked_fill": lambda i: slope(
        lambda x: x.masked_fill(torch.tensor([True, False, False]), 2.0) ** 2, i.real(3, grad=True)
    ),
}


@contextmanager
def lifted(trace: Trace) -> Iterator[None]:
    with tracing(trace), running.lifting(), Calls():
        yield


def difference(name: str, seed: int = 0, trace: Trace | None = None) -> float:
    """The largest difference of an entry between expressions and float64, inf for a shape."""
    with lifted(trace or Trace()):
        found = OPERATIONS[name](symbols := Inputs(seed, numbers=False))
    wanted = OPERATIONS[name](Inputs(seed, numbers=True)).detach()
    assert isinstance(found, Sym)
    if found.sizes != tuple(wanted.shape) or (
        found.dtype.is_floating_point != wanted.dtype.is_floating_point
    ):
        return float("inf")
    read = Evaluator(Floats(), Point({}, {}, symbols.values, {}))
    values = [float(read(expr_of(e))) for e in found.entries.reshape(-1)]
    pairs = zip(values, wanted.reshape(-1).double().tolist(), strict=True)
    return max((abs(a - b) / (1 + abs(b)) for a, b in pairs), default=0.0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_what_torch_computes(name: str) -> None:
    assert max(difference(name, seed) for seed in range(2)) < CLOSE


def met() -> dict[str, list[str]]:
    """For each row that torch asked for, the operations above in which it did."""
    found: dict[str, list[str]] = {}
    for name in OPERATIONS:
        trace = Trace()
        difference(name, 0, trace)
        for row in trace.operations:
            base = row if row in running.ROWS else row.removesuffix("_")
            found.setdefault(base, []).append(name)
    return found


def spoiled(value: Any) -> Any:
    """A result with its first entry changed."""
    if isinstance(value, Sym):
        entries = list(value.entries.reshape(-1))
        if entries:
            e = entries[0]
            entries[0] = (
                (not e)
                if isinstance(e, bool)
                else expr_of(e) + (Rational(1, 7) if value.dtype.is_floating_point else 1)
            )
        return like(value, entries)
    if isinstance(value, (tuple, list)):
        return type(value)(map(spoiled, value))
    return value + 1 if isinstance(value, (int, float, Expr)) else value


def test_a_planted_wrong_meaning_is_seen_of_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    unseen, known = [], met()
    silent = {"empty", "new_empty", "empty_like", "is_same_size"}  # of which no value is used
    for row, names in known.items():
        if row not in running.ROWS or row in silent:
            continue
        right = running.ROWS[row]
        with monkeypatch.context() as patch:
            patch.setitem(running.ROWS, row, lambda *a, _r=right, **k: spoiled(_r(*a, **k)))
            if not any(wrong(name) for name in names):
                unseen.append(row)
    assert not unseen


def wrong(name: str) -> bool:
    try:
        return any(difference(name, seed) > CLOSE for seed in range(2))
    except (CannotLift, Exception):
        return True


# Rows that others use, or that torch asks for only inside larger operations than those above.
UNMET = {
    "isfinite",
    "square",
    "clamp_min",
    "clamp_max",
    "log_sigmoid",
    "_local_scalar_dense",
    "argmax",
    "argmin",
    "split_with_sizes",
    "lift_fresh",
    "lift_fresh_copy",
    "alias",
    "empty",
    "new_empty",
    "empty_like",
    "is_same_size",
    "select_backward",
    "gather_backward",
}


def test_every_row_is_met() -> None:
    assert {*running.ROWS} - met().keys() <= UNMET


def test_a_meaning_on_entries_is_one_row() -> None:
    assert {*pointwise.POINTWISE} <= {*running.ROWS}


def test_a_position_is_within_its_own_response_alone() -> None:
    """What is known of a position at the chosen response is not of one inside another's sum."""
    cut = Step(Length(CHOSEN) - T)
    other = TokenSum(cut, T, REJECTED)
    assert within(cut, CHOSEN) == 1
    assert within(cut * other, CHOSEN) == other
    assert within(cut, REJECTED) == cut
