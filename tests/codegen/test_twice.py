"""A kernel's file loaded more than once in a process, and kernels differentiated twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import midpo
from midpo.codegen.backends import BACKENDS
from midpo.numeric.checking.adapting import from_logits
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import policy_argument

torch = pytest.importorskip("torch")

PROGRAM = """
import importlib.util, itertools, sys, warnings
import torch

warnings.simplefilter("ignore")
torch.manual_seed(0)
z, r, labels = torch.randn(4, 5, 9), torch.randn(4, 5, 9), torch.randint(9, (4, 5))
expected, functions = None, []
for n, path in enumerate(itertools.islice(itertools.cycle(sys.argv[2:]), int(sys.argv[1]))):
    spec = importlib.util.spec_from_file_location(f"kernel{n}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    functions.append(module.tdpo_loss)
    for function in {functions[0], functions[n // 2], functions[n]}:
        x = z.clone().requires_grad_()
        function(x, r, labels, alpha=0.3).backward()
        expected = x.grad if expected is None else expected
        assert torch.allclose(x.grad, expected, rtol=1e-4, atol=1e-6)
print("held", len(functions))
"""


@pytest.mark.parametrize(
    ("backends", "loads"),
    [
        (("fused",), 12),
        (("native",), 6),
        pytest.param(("fused", "native", "triton"), 60, marks=pytest.mark.slow),
    ],
)
def test_a_file_may_be_loaded_often(backends: tuple[str, ...], loads: int, tmp_path: Path) -> None:
    paths = []
    for backend in backends:
        paths.append(tmp_path / f"{backend}.py")
        paths[-1].write_text(midpo.generate("tdpo", backend=backend).source)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(loads), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0 and f"held {loads}" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize("backend", ["fused", "linear", "native"])
def test_each_load_has_operators_of_its_own(backend: str) -> None:
    """Of two operators of one name the second would take the first's place: an edited file would
    run for both."""
    kernel = midpo.generate("dpo", backend=backend)
    first, second = (f.__globals__ for f in (kernel.compile(), kernel.compile()))
    names = [
        {str(v._qualname) for v in space.values() if isinstance(v, torch.library.CustomOpDef)}
        for space in (first, second)
    ]
    assert names[0] and names[1] and not names[0] & names[1]


def second_derivative(
    kernel: midpo.Kernel, given: dict[str, Any], features: dict[str, Any], penalty: bool, **more: Any
) -> Any:
    """The derivative of a product with the gradient; with `penalty`, the loss is added to it."""
    function = from_logits(torch, kernel)
    policy = given["policy_logits"].clone().requires_grad_()
    loss = function(**{**given, "policy_logits": policy}, **features, **more)
    (gradient,) = torch.autograd.grad(loss, policy, create_graph=True)
    direction = torch.cos(torch.arange(gradient.numel())).reshape(gradient.shape).to(gradient.dtype)
    product = (gradient * direction).sum()
    return torch.autograd.grad(product + loss if penalty else product, policy)[0]


QUICK = ("dpo", "simpo", "tdpo", "orpo")


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*runs")
@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in midpo.catalogue()],
)
def test_second_derivatives_are_right_or_refused(name: str) -> None:
    spec, exact = midpo.load(name), []
    for backend in BACKENDS:
        if backend == "triton" and name not in ("dpo", "tdpo"):
            continue  # whose wrapper is that of native
        try:
            kernel = midpo.generate(spec, backend=backend)
        except NotYet:
            continue
        kind = torch.float32 if backend in ("native", "triton") else torch.float64
        rows = 2 * len(kernel.roles)

        def numbers(n: int, *shape: int, kind: Any = kind) -> Any:
            count = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
            return torch.sin(1.3 * count + n).reshape(shape).to(kind)

        given: dict[str, Any] = {
            policy_argument(p): numbers(n, rows, 3, 5) for n, p in enumerate(kernel.policies)
        }
        given["labels"] = torch.arange(rows * 3).reshape(rows, 3) % 5
        shapes = {"token": (rows, 3), "response": (rows,), "pair": (2,)}
        features = {f: numbers(7, *shapes[k]).abs() / 2 + 0.2 for f, k in kernel.features.items()}
        features |= dict.fromkeys(kernel.parameters, 0.3)
        for penalty in (False, True):
            roads: list[dict[str, Any]] = [{}, {"reduction": "sum"}]
            roads += [{"inplace_backward": True}, {"rows": 2}] if backend == "fused" else []
            for road in roads:
                try:
                    found = second_derivative(kernel, given, features, penalty, **road)
                except RuntimeError as error:
                    assert backend not in ("eager", "logps"), error
                    assert "cannot be differentiated: use backend eager" in str(error)
                    continue
                assert backend in ("eager", "logps")
                scale = 2.0 if road.get("reduction") == "sum" else 1.0
                if backend == "eager":
                    exact.append(found / scale)
                where = exact[-1] if backend == "eager" else exact[2 * penalty]
                torch.testing.assert_close(found / scale, where, rtol=1e-6, atol=1e-9)
