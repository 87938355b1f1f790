"""Exponentials of kernels beyond the largest number: they keep signs, order and gradients."""

from __future__ import annotations

from typing import Any

import pytest

from midpo.codegen.runtime.exponentials import _exp_difference, _steep_exp

torch = pytest.importorskip("torch")

# Far beyond the largest number, around where exp overflows, and around where it no longer has room.
EDGES = {torch.float32: (60.0, 86.0, 88.0, 89.0, 1e4), torch.float64: (680.0, 707.0, 709.0, 711.0, 1e6)}


def slope(function: Any, *xs: Any) -> tuple[Any, list[Any]]:
    given = [x.clone().requires_grad_() for x in xs]
    value = function(*given)
    return value.detach(), list(torch.autograd.grad(value.sum(), given))


@pytest.mark.parametrize("kind", EDGES)
def test_a_difference_has_its_sign_and_gradient_beyond_all_numbers(kind: Any) -> None:
    top = torch.tensor(EDGES[kind], dtype=kind)
    value, slopes = slope(_exp_difference, top + 0.5, top)
    assert value.isfinite().all() and (value > 0).all()
    assert all(g.isfinite().all() for g in slopes) and (slopes[0] > 0).all() and (slopes[1] < 0).all()
    turned, _ = slope(_exp_difference, top, top + 0.5)
    same, slopes = slope(_exp_difference, top, top)
    assert torch.equal(turned, -value) and (same == 0).all() and torch.equal(slopes[0], -slopes[1])
    exact = torch.exp(top[:2].double() + 0.5) - torch.exp(top[:2].double())
    assert torch.allclose(value[:2].double(), exact, rtol=1e-5)


@pytest.mark.parametrize("kind", EDGES)
def test_a_clipped_exponential_grows_on_beyond_all_numbers(kind: Any) -> None:
    ends = torch.tensor(EDGES[kind], dtype=kind)
    x = torch.cat([ends - 50, ends - 1e-3, ends, ends + 1e-3, ends + 1]).unique()
    value, (rise,) = slope(_steep_exp, x)
    assert value.isfinite().all() and (value.diff() > 0).all()
    assert rise.isfinite().all() and (rise > 0).all()
    low = x < EDGES[kind][0] - 0.01
    assert torch.equal(value[low], x[low].exp()) and torch.equal(rise[low], value[low])
