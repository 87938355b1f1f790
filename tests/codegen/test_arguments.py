"""What a kernel refuses: every option, parameter and feature, given what it cannot be, ends in a
ValueError that names it; what is a number is taken, of whatever type."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

import midpo
from midpo.codegen.backends import BACKENDS

torch = pytest.importorskip("torch", reason="kernels run on torch")

SPEC = """name = "small"
[parameters]
alpha = "positive"
beta = "[0, 1)"
[features]
g = { kind = "pair", domain = "(0, 1]" }
s = { kind = "response", domain = "[-1, 1]" }
w = { kind = "token", domain = "nonnegative" }
free = "token"
[target]
margin = '''alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l)) + beta*g + s(y_w)
    + sum(w(y_w, t)*log(pi(y_w, t)) + free(y_w, t)/9 for t in y_w)'''
"""
WHOLE = 'name = "whole"\n[target]\nmargin = "log(pi(y_w))/len(y_w) - log(pi(y_l))/len(y_l)"'

NO_NUMBERS = (
    True,
    "0.5",
    b"1",
    None,
    1j,
    [0.5],
    np.array(0.5),
    torch.tensor([0.5, 0.5]),
    torch.tensor(True),
    torch.tensor(1j),
    torch.tensor(0.5, requires_grad=True),
    10**400,
    math.nan,
)
NO_COUNTS = (0, -1, 1.5, True, "2", Fraction(2), torch.tensor(2), math.nan)
NO_FLAGS = ("no", 1, None, 0.0, torch.tensor(True))
AT_LEAST_ABOVE_0 = (*(x for x in NO_NUMBERS if x is not None), 0, -1, -math.inf)
# What each argument cannot be; `None` is the default of some.
BAD: dict[str, tuple[Any, ...]] = {
    "alpha": (*NO_NUMBERS, 0, -1, math.inf),
    "beta": (*NO_NUMBERS, -0.25, 1, Fraction(1), math.inf),
    "num_pairs": (*AT_LEAST_ABOVE_0, math.inf),
    "logit_softcap": AT_LEAST_ABOVE_0,
    "logit_temperature": (*AT_LEAST_ABOVE_0, None, math.inf, 1e-60, 1e60),
    "rows": NO_COUNTS,
    "max_seqlen": NO_COUNTS,
    "ignore_index": (None, "x", True, math.nan, -100.0, 2**63, torch.tensor(-100)),
    "reduction": ("avg", None, True, 1, ["mean"], torch.tensor(1)),
    "empty": ("skip", None, True, 0, ["zero"], torch.tensor([1, 2])),
    "metrics": NO_FLAGS,
    "validate": NO_FLAGS,
    "inplace_backward": NO_FLAGS,
    "cu_seqlens": (
        [0, 2, 4],
        3,
        torch.tensor([0.0, 2.0, 4.0]),
        torch.tensor(4),
        torch.tensor([0, 2, 2, 6, 12]),
        torch.tensor([0, 3, 6, 9, 11]),
    ),
    "vocab_group": (0, "group", False),
    "policy_bias": (0.5, [0.0] * 5, torch.zeros(4)),
    "reference_bias": (0.5, [0.0] * 5, torch.zeros(4)),
    **{
        f"{p}_weight": (None, 1.0, torch.zeros(5), torch.eye(5, dtype=torch.int64))
        for p in ("policy", "reference")
    },
    "reference_token_logps": (0.5, [0.0], torch.zeros(4)),
    **{
        name: (None, 0.5, "x", torch.zeros(2, 9))
        for name in (
            "policy_logits",
            "reference_logits",
            "policy_hidden",
            "policy_logps",
            "reference_logps",
            "free",
            "labels",
        )
    },
    "reference_hidden": (None, 0.5, "x", torch.zeros(2, 9)),
    "g": (
        0.5,
        torch.tensor([0.5, 0.0]),
        torch.tensor([1.5, 0.5]),
        torch.tensor([0.5, math.nan]),
        torch.tensor([0.5, 0.5 + 0j]),
    ),
    "s": (None, torch.tensor([0.0, 0.0, 0.0, -1.25]), torch.tensor([0.0, math.inf, 0.0, 0.0])),
    "w": (None, torch.full((4, 3), -1e-9), torch.full((4, 3), math.nan)),
    "sequence_lengths": (
        None,
        [1, 2, 3, 4],
        torch.ones(3),
        torch.tensor([1, 2, 0, 4]),
        torch.tensor([1, 2, 1.5, 4]),
        torch.tensor([1, 2, math.nan, 4]),
    ),
}


@cache
def kernel(backend: str, text: str = SPEC) -> Callable[..., Any]:
    function: Callable[..., Any] = midpo.generate(midpo.loads(text), backend=backend).compile()
    return function


def given(backend: str) -> dict[str, Any]:
    """Arguments that are right: 2 pairs, 3 positions, 5 entries; the first position is ignored and
    holds numbers that no domain has."""
    generator = torch.Generator().manual_seed(0)
    logits = {p: torch.randn(4, 3, 5, generator=generator) for p in ("policy", "reference")}
    labels = torch.randint(0, 5, (4, 3), generator=generator)
    labels[:, 0] = -100
    w = torch.rand(4, 3, generator=generator)
    w[:, 0] = torch.tensor([-1.0, math.nan, math.inf, 0.5])
    found = {
        "labels": labels,
        "w": w,
        "free": w.nan_to_num(),
        "g": torch.tensor([0.25, 1.0]),
        "s": torch.tensor([-1.0, 1, 0, 0]),
        "alpha": 0.5,
        "beta": 0.25,
    }
    if backend == "linear":
        heads = {
            f"{p}_{what}": x
            for p, z in logits.items()
            for what, x in (("hidden", z), ("weight", torch.eye(5)))
        }
        return found | heads
    named = "logps" if backend == "logps" else "logits"
    logps = {p: z.log_softmax(-1)[..., 0] for p, z in logits.items()}
    return found | {f"{p}_{named}": z for p, z in (logps if backend == "logps" else logits).items()}


def packed(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same as tokens one after the other."""
    heads = ("policy_weight", "reference_weight")
    flat = {
        name: x.flatten(0, 1) if torch.is_tensor(x) and x.dim() > 1 and name not in heads else x
        for name, x in arguments.items()
    }
    return flat | {"cu_seqlens": torch.arange(0, 13, 3)}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("ignore:.*no .* runs")
def test_what_an_argument_cannot_be_is_refused_by_name(backend: str) -> None:
    function, right = kernel(backend), given(backend)
    whole = {"cu_seqlens", "max_seqlen"}
    assert math.isfinite(function(**right))
    torch.testing.assert_close(function(**packed(right)), function(**right))
    tried, missing = 0, set(inspect.signature(function).parameters) - set(BAD)
    assert not missing, "no bad value is known of these"
    for name in inspect.signature(function).parameters:
        base = packed(right) if name in whole else right
        for value in BAD[name]:
            if name == "reference_weight" and value is None:
                continue  # then the message is of the hidden states
            with pytest.raises(ValueError, match=rf"^{name}: got .*, needs |^{name}: got other"):
                function(**{**base, name: value})
                raise AssertionError((name, value))
            tried += 1
    assert tried > 90


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("ignore:.*no .* runs")
def test_numbers_of_any_kind_are_taken(backend: str) -> None:
    function, right = kernel(backend), given(backend)
    wanted = function(**right, num_pairs=2.0)
    kinds = (Fraction, np.float32, np.float64, torch.tensor, lambda x: torch.tensor([x]))
    for kind in kinds:
        found = function(**{**right, "alpha": kind(0.5), "beta": kind(0.25)}, num_pairs=kind(2.0))
        assert found == wanted
    for two in (2, np.int64(2), torch.tensor(2)):
        assert function(**right, num_pairs=two) == wanted
    torch.testing.assert_close(
        function(**{**right, "alpha": torch.tensor(1)}), function(**{**right, "alpha": 1.0})
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("ignore:.*no .* runs")
def test_features_are_held_to_their_domains_where_they_count(backend: str) -> None:
    function, right = kernel(backend), given(backend)
    for base in (right, packed(right)):
        for name, wrong in (("g", 0.0), ("s", -1.5), ("w", -0.5), ("w", math.nan)):
            values = base[name].clone()
            values.view(-1)[-1] = wrong
            with pytest.raises(ValueError, match=rf"^{name}: got {wrong} at \[.*, needs a number"):
                function(**{**base, name: values})
            function(**{**base, name: values}, validate=False)
        anything = torch.full_like(base["free"], -7.0)
        assert math.isfinite(function(**{**base, "free": anything}))


def test_lengths_of_whole_responses_are_counts() -> None:
    function = kernel("logps", WHOLE)
    logps = -torch.arange(1.0, 5.0)
    assert math.isfinite(function(logps, sequence_lengths=torch.tensor([1, 2, 3, 4])))
    for value in BAD["sequence_lengths"]:
        with pytest.raises(ValueError, match=r"^sequence_lengths: got .*, needs "):
            function(logps, sequence_lengths=value)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_soft_cap_beyond_all_logits_is_none(dtype: str) -> None:
    function = kernel("linear")
    right = {
        n: x.to(getattr(torch, dtype)) if torch.is_tensor(x) and x.is_floating_point() else x
        for n, x in given("linear").items()
    }

    def both(cap: float | None) -> Any:
        hidden = right["policy_hidden"].clone().requires_grad_()
        loss = function(**{**right, "policy_hidden": hidden}, logit_softcap=cap)
        return loss.detach(), torch.autograd.grad(loss, hidden)[0]

    for cap in (math.inf, 1e300, 1e39, 1e18):
        torch.testing.assert_close(both(cap), both(None))
    least = both(1e-30)  # all logits are as good as equal
    assert all(bool(x.isfinite().all()) for x in least)
