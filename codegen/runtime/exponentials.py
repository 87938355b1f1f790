"""Exponentials that keep their digits near 1, and their signs and gradients beyond all numbers."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _bounded_exp(x: Tensor) -> Tensor:
    """exp(x), infinite beyond the largest number and with a gradient of 0 there: of what a maximum
    leaves out, 0 times it must be 0."""
    top = 709.7827 if x.dtype == torch.float64 else 88.7228
    return torch.where(x > top, torch.exp(x.detach()), torch.exp(x.clamp(max=top)))


def _scaled(scale: Any, grown: Tensor) -> Tensor:
    """scale * grown, and 0 where the scale is 0 and what it multiplies is infinite: of an infinite
    product the gradient is 0."""
    beyond = grown.isinf()
    finite = scale * torch.where(beyond, 0.0, grown)
    return torch.where(beyond & (scale != 0), (scale * grown).detach(), finite)


def _expm1(x: Tensor) -> Tensor:
    """exp(x) - 1; torch's own gradient, expm1(x) + 1, has no digits left where exp(x) is small."""
    return torch.where(x < -1, torch.exp(x.clamp(max=-1)) - 1, torch.expm1(x.clamp(min=-1)))


def _bounded_expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, infinite beyond the largest number and with a gradient of 0 there."""
    top = 709.7827 if x.dtype == torch.float64 else 88.7228
    return torch.where(x > top, torch.exp(x.detach()), _expm1(x.clamp(max=top)))


def _exp_growth(a: Tensor, x: Tensor) -> Tensor:
    """exp(a + x) - exp(a), where x has digits that a + x has lost: by the larger of the two, so
    that nothing infinite is multiplied by 0."""
    return _scaled(_shrinkage(x), _bounded_exp(a + x.clamp(min=0)))


def _shrinkage(x: Tensor) -> Tensor:
    """exp(x) - 1 over the larger of exp(x) and 1."""
    return torch.where(x > 0, -_expm1(-x.clamp(min=0)), _expm1(x.clamp(max=0)))


def _tanh_of_half(x: Tensor) -> Tensor:
    """tanh(x/2), with a gradient that has its digits where that is near 1 or -1."""
    turn = torch.where(x < 0, -1.0, 1.0).to(x.dtype)
    away = -turn * x
    return -turn * _expm1(away) / (1 + torch.exp(away))


def _log_twice_sigmoid(x: Tensor) -> Tensor:
    """log(2*sigmoid(x)): near x = 0, log(1 + tanh(x/2))."""
    near = torch.log1p(torch.tanh(x.clamp(-1, 1) / 2))
    return torch.where(x.abs() < 1, near, F.logsigmoid(x) + math.log(2))


def _log_average(*terms: tuple[float, Tensor], rest: float = 0.0) -> Tensor:
    """log of the sum of w*exp(x) over the terms (w, x), and of `rest`, where these weights add up
    to 1: counted from where every x is 0, or by the largest of them."""
    growth = functools.reduce(torch.add, [w * _expm1(x.clamp(max=80.0)) for w, x in terms])
    small = functools.reduce(torch.logical_and, [x < 80.0 for _, x in terms])
    near = small & (growth > -0.5)
    logs = [x + (math.log(weight) if weight > 0 else -math.inf) for weight, x in terms]
    if rest > 0:
        logs.append(torch.full_like(logs[0], math.log(rest)))
    far = functools.reduce(torch.logaddexp, logs)
    return torch.where(near, torch.log1p(growth.clamp(min=-0.5)), far)


def _exp_difference(a: Tensor, b: Tensor) -> Tensor:
    """exp(a) - exp(b), of the right sign also where both are beyond the largest number."""
    top = torch.maximum(a, b).detach()
    scale = torch.exp(top)
    scale = torch.where((8 * scale).isinf(), torch.finfo(a.dtype).max / 8, scale)
    return scale * (_expm1(a - top) - _expm1(b - top))  # one of the two is 0


def _steep_exp(x: Tensor) -> Tensor:
    """exp(x) that a clip decides long before it overflows: there it goes on as its tangent, so that
    neither it nor its gradient is infinite and order is kept."""
    edge, room = (680.0, 29.7827) if x.dtype == torch.float64 else (60.0, 28.7228)
    beyond = torch.exp(x.detach() + room).isinf()
    return torch.exp(torch.where(beyond, edge, x)) * (1 + torch.where(beyond, x - edge, 0.0))


def _exp_remainder(x: Tensor) -> Tensor:
    """exp(x) - 1 - x: by its series near 0, where the difference has no digits left."""
    near = x.clamp(-0.5, 0.5)
    series = 1 + near / 12 * (1 + near / 13 * (1 + near / 14 * (1 + near / 15)))
    series = 1 + near / 8 * (1 + near / 9 * (1 + near / 10 * (1 + near / 11 * series)))
    series = 1 + near / 4 * (1 + near / 5 * (1 + near / 6 * (1 + near / 7 * series)))
    series = 1 + near / 3 * series
    return torch.where(x.abs() < 0.5, near * near / 2 * series, _bounded_expm1(x) - x)


def _log_softplus(x: Tensor) -> Tensor:
    """log(log(1 + exp(x))), which is nearly x where that is far below 0: the logarithm of
    -log p, where x is less the log-odds of p."""
    low = x.clamp(max=-18.0)
    near = torch.log(-F.logsigmoid(-x.clamp(min=-18.0)))
    return torch.where(x < -18.0, low - torch.exp(low) / 2, near)


def _log1mexp(x: Tensor, log: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, of which `log` is log(-x), with digits where x has none."""
    near, far = x.clamp(min=-0.0625), x.clamp(max=-0.0625)
    square = near * near
    series = near / 2 + square / 24 * (1 - square / 120 * (1 - square / 63))
    by_log = torch.log1p(-torch.exp(far.clamp(max=-0.5)))
    by_expm1 = torch.log(-torch.expm1(far.clamp(min=-0.5)))
    return torch.where(x > -0.0625, log + series, torch.where(x > -0.5, by_expm1, by_log))


def _log_of_size(x: Tensor) -> Tensor:
    """log(x) for x >= 0, without a gradient where it is -inf: there what x is made of, a maximum
    with 0 or an absolute value, has none."""
    return torch.where(x > 0, torch.log(torch.where(x > 0, x, 1.0)), -torch.inf)


def _growths(logp: Tensor, x: Tensor, whole: Tensor) -> Tensor:
    """p*(exp(x) - 1) of each entry of the vocabulary, 0 where p is 0; `whole` is log p + x."""
    counted = logp != -torch.inf  # a NaN counts
    larger = torch.where(counted, torch.where(x > 0, whole, logp), 0.0)
    return torch.where(counted, _scaled(_shrinkage(x), _bounded_exp(larger)), 0.0)


def _weights(logp: Tensor, whole: Tensor) -> Tensor:
    """exp(`whole`) of each entry, `whole` being log p + x; 0 where p is 0."""
    return torch.where(logp != -torch.inf, whole, -torch.inf).exp()


def _excess(logp: Tensor, x: Tensor, whole: Tensor) -> Tensor:
    """The sum over the vocabulary of p*(exp(x) - 1); where that of p*exp(x) is below 1/2, from it:
    its gradient is then far smaller than those of the terms p."""
    counted = logp != -torch.inf
    far = (_weights(logp, whole).sum(-1) < 0.5).unsqueeze(-1)
    grown = torch.exp(torch.where(far & counted, whole, -torch.inf))
    terms = torch.where(far, grown, _growths(logp, torch.where(far, 0.0, x), whole))
    return terms.sum(-1) - far.squeeze(-1).to(terms.dtype)


def _drifts(
    logp: Tensor, base: Tensor, x: Tensor, whole: Tensor, value: Tensor, total: Tensor
) -> Tensor:
    """r*exp(x) - p*S of each entry, of rows (n, V), `base` being log r and `whole` log r + x: of S,
    `total`, (n,), has the digits far from 1 and `value`, S - 1, those near 1."""
    p = logp.exp()
    far = _weights(base, whole) - p * total[:, None]
    near = _growths(base, x, whole) + (base.exp() - p) - p * value[:, None]
    return torch.where((value.abs() < 0.5)[:, None] & (x.abs() < 1), near, far)
