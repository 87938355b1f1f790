"""Kernels: self-contained files whose functions compute the published losses."""

from __future__ import annotations

import ast
import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import midpo
from algorithms import MARGINS, logsigmoid
from midpo.codegen.emit import Kernel
from midpo.symbolic.domains.intervals import Interval, plain_value
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import policy_argument

torch = pytest.importorskip("torch", reason="kernels run on torch")

EIGHT = tuple(sorted(MARGINS))
PARAMETERS = {"alpha": 0.37, "eta": 0.8, "gamma": 0.45, "beta": -0.21, "lam": 0.5}


def with_kernels() -> list[str]:
    """The names of the catalogue that a kernel is written for."""
    found = []
    for name in midpo.catalogue():
        with contextlib.suppress(midpo.MidpoError):
            midpo.generate(name)
            found.append(name)
    assert set(EIGHT) <= set(found) and len(found) > len(midpo.catalogue()) / 2
    return found


NAMES = with_kernels()


def kernel_of(text: str) -> Kernel:
    return midpo.generate(midpo.loads(text))


def arguments(kernel: Kernel, *, seed: int = 0, pairs: int = 3, t: int = 5, v: int = 7) -> Any:
    """Random arguments: unequal lengths, ignored positions in front, inside and behind."""
    generator = torch.Generator().manual_seed(seed)
    rows = len(kernel.roles) * pairs
    shape = (rows, t, v)
    logits = {
        policy_argument(p): torch.randn(shape, generator=generator, dtype=torch.float64)
        for p in kernel.policies
    }
    labels = torch.randint(0, v, (rows, t), generator=generator)
    for row in range(rows):
        labels[row, : row % 2] = -100
        labels[row, t - row % 3 :] = -100
    labels[0, 2] = -100
    shapes = {"token": (rows, t), "response": (rows,), "pair": (pairs,)}
    features = {
        n: torch.rand(shapes[k], generator=generator, dtype=torch.float64) + 0.2
        for n, k in kernel.features.items()
    }
    return (
        logits
        | {"labels": labels}
        | features
        | {n: value_of(n, domain) for n, domain in kernel.parameters.items()}
    )


def value_of(name: str, domain: Interval) -> float:
    """A number for a parameter, in its domain."""
    value = PARAMETERS.get(name, 0.45)
    return value if value in domain else 0.45 if 0.45 in domain else float(plain_value(domain))


def by_hand(name: str, kernel: Kernel, given: dict[str, Any]) -> list[float]:
    """The loss of each pair, from the formulas in `algorithms`."""
    labels = given["labels"]
    pairs = labels.shape[0] // 2
    logps = [torch.log_softmax(given[policy_argument(p)], -1) for p in kernel.policies]

    def response(row: int) -> Any:
        return [
            (int(labels[row, t]), logps[0][row, t].tolist(), logps[-1][row, t].tolist())
            for t in range(labels.shape[1])
            if labels[row, t] != -100
        ]

    losses = []
    for pair in range(pairs):
        rows = (pair, pair + pairs)
        features = {
            n: [[float(x) for x in given[n][r][labels[r] != -100]] for r in rows] for n in kernel.features
        }
        parameters = {n: given[n] for n in kernel.parameters}
        margin = MARGINS[name](*map(response, rows), features, **parameters)
        losses.append(-logsigmoid(margin))
    return losses


@pytest.mark.parametrize("name", EIGHT)
def test_text_is_pinned(name: str, golden: Callable[[str, str], None]) -> None:
    """What computes, from the function's docstring on; of one the whole thin file."""
    kernel = midpo.generate(name, thin=True)
    body = kernel.source.rpartition('    """\n')[2]
    golden(
        *(
            (f"kernels/{kernel.function}.py", kernel.source)
            if name == "dpo"
            else (f"kernels/{kernel.function}.txt", body)
        )
    )
    assert midpo.generate(name, thin=True).source == kernel.source


def test_a_whole_file_is_pinned(golden: Callable[[str, str], None]) -> None:
    golden("kernels/dpo_whole.py", midpo.generate("dpo").source)


@pytest.mark.parametrize("name", NAMES)
def test_file_imports_only_torch_and_has_no_loop_over_data(name: str) -> None:
    kernel = midpo.generate(name)
    tree = ast.parse(kernel.source)
    imported = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else str(node.module).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert imported - sys.stdlib_module_names == {"torch"}
    computing = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_check")
    ]
    loops = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp)
    assert not [n for f in computing for n in ast.walk(f) if isinstance(n, loops)]
    assert max(map(len, kernel.source.splitlines())) <= 100
    assert kernel.digest in kernel.source


def test_file_runs_where_midpo_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "tdpo_loss.py").write_text(midpo.generate("tdpo").source)
    program = (
        "import sys; sys.modules['midpo'] = None\n"
        "import torch; from tdpo_loss import tdpo_loss\n"
        "z = torch.zeros(2, 3, 4); print(float(tdpo_loss(z, z, torch.tensor([[1, 2, -100]] * 2))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert abs(float(done.stdout) - 0.6931472) < 1e-6


@pytest.mark.parametrize("name", sorted(MARGINS))
@pytest.mark.parametrize("seed", range(4))
def test_values_are_the_published_formula(name: str, seed: int) -> None:
    kernel = midpo.generate(name)
    given = arguments(kernel, seed=seed)
    found = kernel.compile()(**given, reduction="none")
    assert found.tolist() == pytest.approx(by_hand(name, kernel, given), rel=1e-12)


@pytest.mark.parametrize("name", sorted(MARGINS))
def test_values_depend_on_each_argument(name: str) -> None:
    """A formula by hand with one thing changed is told from the kernel's."""
    kernel = midpo.generate(name)
    given = arguments(kernel)
    found = kernel.compile()(**given, reduction="none").tolist()
    for argument in [*(policy_argument(p) for p in kernel.policies), *kernel.features]:
        changed = dict(given)
        changed[argument] = given[argument] * 1.01
        assert by_hand(name, kernel, changed) != pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_reductions_agree(name: str) -> None:
    kernel = midpo.generate(name)
    function, given = kernel.compile(), arguments(kernel)
    each = function(**given, reduction="none")
    assert each.shape == (3,)
    assert torch.equal(function(**given, reduction="sum"), each.sum())
    assert torch.equal(function(**given), each.mean())
    assert torch.equal(function(**given, validate=False), each.mean())


@pytest.mark.parametrize("name", NAMES)
def test_only_the_policy_gets_a_gradient(name: str) -> None:
    kernel = midpo.generate(name)
    given = arguments(kernel)
    logits = [given[policy_argument(p)].requires_grad_() for p in kernel.policies]
    kernel.compile()(**given).backward()
    assert logits[0].grad is not None and bool((logits[0].grad != 0).any())
    assert all(frozen.grad is None for frozen in logits[1:])
    ignored = given["labels"] == -100
    assert not bool(logits[0].grad[ignored].any())


@pytest.mark.parametrize("name", EIGHT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_accumulates_in_float32(name: str, dtype: Any) -> None:
    kernel = midpo.generate(name)
    given = arguments(kernel)
    low = {k: x.to(dtype) if k.endswith("_logits") else x for k, x in given.items()}
    exact = {k: x.to(dtype).double() if k.endswith("_logits") else x for k, x in given.items()}
    found, expected = kernel.compile()(**low), kernel.compile()(**exact)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(expected), rel=3e-6)


@pytest.mark.parametrize("name", EIGHT)
@pytest.mark.parametrize("case", ["huge", "masked", "one-hot", "one token", "sliced", "padding"])
def test_extremes_stay_finite(name: str, case: str) -> None:
    kernel = midpo.generate(name)
    given = arguments(kernel, v=2 if case == "one-hot" else 7)
    labels = given["labels"]
    for argument in (policy_argument(p) for p in kernel.policies):
        logits = given[argument]
        if case == "huge":
            logits = torch.where(logits > 0, 1e4, -1e4).double()
        elif case == "masked":
            logits = logits.masked_fill(torch.arange(7) == 6, -torch.inf)
            labels = labels.where(labels != 6, 5)
        elif case == "one-hot":
            logits = torch.full_like(logits, -torch.inf)
            logits.scatter_(-1, labels.clamp(min=0)[..., None], 0.0)
        elif case == "one token":
            logits, labels = logits[:, 1:2], given["labels"][:, 1:2].clamp(min=0)
        elif case == "sliced":
            logits = logits.transpose(0, 1).contiguous().transpose(0, 1)
        elif case == "padding" and argument != "policy_logits":
            # What the policy cannot say and the reference can, where nothing is counted.
            logits = logits.masked_fill((given["labels"] == -100)[..., None], 3.0)
        elif case == "padding":
            outside = (given["labels"] == -100)[..., None] & (torch.arange(7) == 2)
            logits = logits.masked_fill(outside, -torch.inf)
        given[argument] = logits
    given["labels"] = labels
    for feature, kind in kernel.features.items():
        if kind == "token" and case == "one token":
            given[feature] = given[feature][:, 1:2]
    given["policy_logits"].requires_grad_()
    loss = kernel.compile()(**given)
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(given["policy_logits"].grad).all())


WRONG: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("policy_logits", lambda g: g["policy_logits"][0], "needs (6, 5, V)"),
    ("policy_logits", lambda g: g["policy_logits"].long(), "needs a floating-point dtype"),
    ("policy_logits", lambda g: None, "got None"),
    ("reference_logits", lambda g: g["reference_logits"][:1], "needs (6, 5, V)"),
    ("reference_logits", lambda g: g["reference_logits"][..., :1], "needs (6, 5, 7)"),
    ("reference_logits", lambda g: g["reference_logits"].long(), "needs a floating-point dtype"),
    ("labels", lambda g: g["labels"][:5], "(2B, T)"),
    ("labels", lambda g: g["labels"].double(), "needs torch.int64"),
    ("labels", lambda g: g["labels"].masked_fill(torch.arange(6)[:, None] == 4, -100), "row 4"),
    ("labels", lambda g: g["labels"] + 7, "0..6"),
    ("labels", lambda g: g["labels"].where(g["labels"] != 3, -1), "got -1"),
    ("mu1", lambda g: g["mu1"][:, :1], "needs (6, 5)"),
    ("mu2", lambda g: 1.0, "got 1.0"),
    ("alpha", lambda g: 0.0, "greater than 0"),
    ("alpha", lambda g: float("nan"), "greater than 0"),
    ("reduction", lambda g: "avg", '"mean", "sum" or "none"'),
]


@pytest.mark.parametrize(("name", "wrong", "message"), WRONG)
def test_wrong_arguments_are_named(name: str, wrong: Callable[[Any], Any], message: str) -> None:
    kernel = midpo.generate("sparsepo")
    given = arguments(kernel)
    with pytest.raises(ValueError, match=f"^{name}: got ") as caught:
        kernel.compile()(**{**given, name: wrong(given)})
    assert message in str(caught.value)


def test_parameter_without_default_is_required() -> None:
    kernel = kernel_of('name = "x"\nprior = "pi_ref(y)"\n[parameters]\nalpha = "positive"')
    given = arguments(kernel)
    del given["alpha"]
    with pytest.raises(TypeError, match="alpha"):
        kernel.compile()(**given)


def test_stopped_gradient_is_a_detach() -> None:
    """TDPO2's winner divergence counts in the value and not in the gradient."""
    text = """name = "tdpo2"
[parameters]
alpha = { domain = "positive", default = 0.3 }
lam = { domain = "nonnegative", default = 0.5 }
[target]
margin = '''alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)/pi_ref(y_l))
    - alpha*lam*(sum(kl(pi_ref, pi, y_l, t) for t in y_l)
                 - SG(sum(kl(pi_ref, pi, y_w, t) for t in y_w)))'''
"""
    stopped, flowing = kernel_of(text.replace("SG(", "sg(")), kernel_of(text.replace("SG(", "("))
    gradients = []
    for kernel in (stopped, flowing):
        given = arguments(kernel)
        given["policy_logits"].requires_grad_()
        loss = kernel.compile()(**given)
        loss.backward()
        gradients.append((loss.item(), given["policy_logits"].grad))
    assert gradients[0][0] == pytest.approx(gradients[1][0], rel=1e-12)
    assert not torch.allclose(gradients[0][1][:3], gradients[1][1][:3])

    given = arguments(stopped)
    z = given["policy_logits"].requires_grad_()
    p, q = torch.log_softmax(z, -1), torch.log_softmax(given["reference_logits"], -1)
    labels = given["labels"]
    mask = labels != -100
    at = labels.clamp(min=0)[..., None]
    u = ((p - q).gather(-1, at)[..., 0] * mask).sum(-1)
    k = ((q.exp() * (q - p)).sum(-1) * mask).sum(-1)
    margin = 0.37 * (u[:3] - u[3:]) - 0.37 * 0.5 * (k[3:] - k[:3].detach())
    expected = -torch.nn.functional.logsigmoid(margin).mean()
    expected.backward()
    assert gradients[0][0] == pytest.approx(expected.item(), rel=1e-12)
    assert torch.allclose(gradients[0][1], z.grad, rtol=1e-10, atol=1e-14)


def test_names_of_the_user_never_collide() -> None:
    """A spec may call its data what the generated code would have called its own."""
    names = ("mask", "loss", "margin", "dtype", "reward", "chosen", "positions", "lengths")
    features = "\n".join(f'{n} = "token"' for n in names)
    total = " + ".join(f"{n}(y, t)" for n in names)
    kernel = kernel_of(
        f'name = "collide"\nprior = "pi_ref(y)*exp(sum(t*({total}) for t in y)/len(y))"\n'
        f"[features]\n{features}"
    )
    found = kernel.compile()(**arguments(kernel), reduction="none")
    assert bool(torch.isfinite(found).all())
    assert midpo.check(
        midpo.loads(
            f'name = "collide"\nprior = "pi_ref(y)*exp(sum(t*({total}) for t in y)/len(y))"\n'
            f"[features]\n{features}"
        ),
        trials=4,
    ).passed


def test_text_of_a_spec_is_inert_in_the_kernel() -> None:
    title = '\\"\\"\\"\\nimport os; os.abort() {{ 7*7 }} {% x %} \\\\'
    kernel = kernel_of(f'name = "inert"\ntitle = "{title}"\nreference = "{title}"\nprior = "pi_ref(y)"')
    tree = ast.parse(kernel.source)
    assert "os" not in {n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)}
    assert "{{ 7*7 }}" in kernel.source
    kernel.compile()


def test_what_no_kernel_is_written_for_is_said() -> None:
    nested = "sum(exp(sum(pi(y_w, s)**t for s in y_w)) for t in y_w) - pi(y_l)"
    with pytest.raises(NotYet, match="nested indices"):
        kernel_of(f'name = "x"\n[target]\nmargin = "{nested}"')
    mixed = "sum(max(pi(y_w, t), pi(y_l)) for t in y_w)"
    with pytest.raises(NotYet, match="two responses"):
        kernel_of(f'name = "x"\n[target]\nmargin = "{mixed}"')


@pytest.mark.parametrize("backend", ["eager", "fused", "linear", "logps"])
@pytest.mark.parametrize("term", ["1", "beta*t", "log(pi(y_w, t))", "1 + pi(y_w, t, v)"])
def test_a_count_of_the_vocabulary_is_named_as_such(term: str, backend: str) -> None:
    spec = midpo.loads(f'''name = "x"
[parameters]
beta = "positive"
[target]
margin = "sum(sum({term} for v in vocab) for t in y_w) - log(pi(y_l))"''')
    with pytest.raises(NotYet, match=r"^no kernel for sum\(1 for v in vocab\): its term") as error:
        midpo.generate(spec, backend=backend)
    assert "size as a parameter" in str(error.value)
