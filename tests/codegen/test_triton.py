"""The Triton kernels, run by Triton's interpreter and compiled for a GPU that is not there.

What they compute is held against the readable kernel in float64.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from catching import caught
from test_kernel import EIGHT
from test_rows import changed, given_for, spec

import midpo
from midpo.codegen.bundle import library
from midpo.codegen.interpreting import patched_once
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import Relu, Step
from midpo.symbolic.language.words import BY_NODE, Word

torch = pytest.importorskip("torch", reason="kernels run on torch")
triton = pytest.importorskip("triton", reason="its interpreter runs the kernels")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),  # numpy: inf - inf
    pytest.mark.filterwarnings("ignore:.*no Triton kernel runs"),
]


@pytest.mark.parametrize(
    "name", [n if n == "tdpo" else pytest.param(n, marks=pytest.mark.slow) for n in EIGHT]
)
def test_cross_check_agrees(name: str) -> None:
    found = midpo.check(name, backend="triton", trials=2, dtypes=["float32", "bfloat16"])
    assert found.passed, found.failure
    assert found.as_json()["backend"] == "triton"


def test_cross_check_catches_a_mistake() -> None:
    old, new = "slope = reference_probs * coefficient", "slope = reference_probs * 0.0"
    wrong = changed(midpo.generate("tdpo", backend="triton"), old, new)
    assert caught("tdpo", wrong, trials=2, dtypes=["float32"])


def test_the_language_is_patched_once_a_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime import interpreter

    own = interpreter._patch_lang
    patches: list[Any] = []

    def counted(function: Any) -> Any:
        patches.append(function)
        return own(function)

    monkeypatch.setattr(interpreter, "_patch_lang", counted)
    calls = [vars(c)["__call__"] for c in (interpreter.GridExecutor, interpreter.InterpretedFunction)]
    loss = midpo.generate("tdpo", backend="triton").compile()
    given = given_for("tdpo")
    plain = loss(**given)
    usual, patches[:] = len(patches), []
    with patched_once():
        assert torch.equal(loss(**given), plain)
    assert 0 < len(patches) < usual / 3
    assert calls == [vars(c)["__call__"] for c in (interpreter.GridExecutor, interpreter.InterpretedFunction)]


# -- the table of functions


HELPERS = """
import triton
import triton.language as tl


{helpers}


@triton.jit
def evaluate(x, y, out, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    a, b = tl.load(x + at), tl.load(y + at)
    tl.store(out + at, {text})
"""


@functools.cache
def helpers() -> str:
    """The runtime's own functions in Triton."""
    texts = [piece.text for piece in library()[0] if piece.text.startswith("@_kernel\n")]
    return "\n\n\n".join(texts).replace("@_kernel", "@triton.jit")


@pytest.mark.parametrize("node", BY_NODE, ids=lambda node: node.__name__)
def test_function_in_a_kernel_is_torchs(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word: Word = BY_NODE[node]
    name = f"row_{node.__name__.lower()}"
    text = word.pairwise("triton", ("a", "b"))
    (tmp_path / f"{name}.py").write_text(HELPERS.format(helpers=helpers(), text=text))
    monkeypatch.syspath_prepend(str(tmp_path))
    near = [s * e for e in (1e-30, 1e-5, 0.2, 0.2499, 0.2501, 1.0, 9.0, 80.0) for s in (1.0, -1.0)]
    points = [x for x in (*word.corners, *near) if x > 0 or word.domain == "real"]
    x = torch.tensor([*points, float("nan")], dtype=torch.float32)
    x = torch.nn.functional.pad(x, (0, 64 - len(x)), value=0.5)
    y = x.flip(0)
    out = torch.empty_like(x)
    __import__(name)
    sys.modules[name].evaluate[(1,)](x, y, out, BLOCK=64)
    program = {"torch": torch, "F": torch.nn.functional, "dtype": torch.float64}
    expected = eval(word.pairwise("torch", ("a", "b")), program, {"a": x.double(), "b": y.double()})
    # exp of a number of size 80 carries the 80 roundings of its argument.
    torch.testing.assert_close(out.double(), expected.float().double(), rtol=1e-5, atol=2e-38, equal_nan=True)
    small = x.abs() < 2
    torch.testing.assert_close(out.double()[small], expected[small], rtol=6e-7, atol=2e-38, equal_nan=True)


def test_a_function_without_triton_text_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_NODE, Relu, replace(BY_NODE[Relu], triton=None))
    monkeypatch.setitem(BY_NODE, Step, replace(BY_NODE[Step], triton=None))
    text = (
        'name = "x"\n[target]\nmargin = "sum(sum(relu(pi(y_w, t, v) - 1/2) for v in vocab)'
        ' for t in y_w) - log(pi(y_l))"'
    )
    with pytest.raises(NotYet, match=r"no Triton text for relu\(pi\(y, t, v\) - 1/2\)"):
        midpo.generate(midpo.loads(text), backend="triton")


# -- the file


@pytest.mark.parametrize("missing", ["gpu", "triton"])
def test_elsewhere_the_loop_over_chunks_computes_the_loss(missing: str, tmp_path: Path) -> None:
    for backend in ("triton", "fused"):
        (tmp_path / f"{backend}_file.py").write_text(midpo.generate("tdpo", backend=backend).source)
    reason = {"gpu": "the logits are on cpu, not on a GPU", "triton": "triton is not installed"}
    hide = "sys.modules['triton'] = None\n" if missing == "triton" else ""
    program = (
        f"import sys, warnings\nsys.modules['midpo'] = None\n{hide}import torch\n"
        "from triton_file import tdpo_loss as ours\nfrom fused_file import tdpo_loss as theirs\n"
        "z = torch.randn(2, 3, 9).requires_grad_()\nq = torch.randn(2, 3, 9)\n"
        "labels = torch.randint(9, (2, 3))\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    losses = [f(z, q, labels) for f in (ours, ours, theirs)]\n"
        "gradients = [torch.autograd.grad(x, z)[0] for x in losses]\n"
        "assert torch.equal(losses[0], losses[2]) and torch.equal(gradients[0], gradients[2])\n"
        "print([str(w.message) for w in said])\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = f"no Triton kernel runs: {reason[missing]}; the loop over chunks computes the loss"
    assert done.stdout.strip() == str([f"tdpo_loss: {said}"])


COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
import kernel_file as space

MATRICES = ("policy_logits", "reference_logits", "gradient")
SIZES = {"labels": "*i64", "tokens": "i32", "columns": "i32", "size": "i32", "start": "i32"}
POINTERS = ("contexts", "values", "normalisers", "states", "seeds", "outside")
block, warps, stages = space.BLOCKS[0]
constants = {"LOWEST": space.LOWEST, "SPLITS": 2, "BLOCK": block, "STAGES": stages}
for name in sys.argv[1:]:
    function = getattr(space, name)
    signature, aligned, fixed = {}, {}, {}
    for place, parameter in enumerate(function.params):
        word = parameter.name
        if word in constants:
            signature[word], fixed[word] = "constexpr", constants[word]
            continue
        strides = word.startswith(("outer", "inner", "gradient_"))
        signature[word] = (
            "*bf16" if word in MATRICES else "*fp32" if word in POINTERS
            else "i64" if strides else SIZES.get(word, "fp32")
        )
        if signature[word].startswith("*") or strides or word == "size":
            aligned[place,] = [["tt.divisibility", 16]]
    source = ASTSource(function, signature, constexprs=fixed, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32),
                          options={"num_warps": warps, "enable_fp_fusion": True})
    text = made.asm["ptx"]
    print(name, len(made.asm["cubin"]) > 0, ".local" in text,
          "v4.b32" in text or "cp.async.cg" in text, "atom" in text)
"""


@pytest.mark.parametrize(
    ("name", "suffixes"),
    [
        ("tdpo", ("",)),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("everything", ("", "_2")), ("dpo", ("",)), ("tanh", ("",)))
        ),
    ],
)
def test_kernels_compile_for_a_gpu(name: str, suffixes: tuple[str, ...], tmp_path: Path) -> None:
    """For compute capability 9.0: a binary, no spilled registers, 16 bytes a load, no atomics."""
    source = midpo.generate(spec(name), backend="triton").source
    (tmp_path / "kernel_file.py").write_text(source)
    (tmp_path / "program.py").write_text(COMPILE)
    kernels = [k + s for s in suffixes for k in ("_online", "_combine", "_sums", "_slopes")]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "program.py", *kernels],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    texts = [source.partition(f"def {k}(")[2].partition("@_kernel")[0] for k in kernels]
    walks = ["tl.range(" in text for text in texts]
    assert any(walks)
    expected = [f"{k} True False {walk} False" for k, walk in zip(kernels, walks, strict=True)]
    assert done.stdout.splitlines() == expected


def test_operators_pass_torchs_own_checks() -> None:
    space = midpo.generate("tdpo", backend="triton").compile().__globals__
    given = given_for("tdpo", pairs=1)
    logits = given["policy_logits"].requires_grad_()
    labels = given["labels"].clamp(min=-1)
    torch.library.opcheck(
        space["_forward"],
        ([logits], [given["reference_logits"]], labels, [], [], 2, "", space["NEW"]),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


@pytest.mark.slow
def test_compiles_without_a_graph_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "triton_kernel_file.py").write_text(midpo.generate("tdpo", backend="triton").source)
    monkeypatch.syspath_prepend(str(tmp_path))
    function = __import__("triton_kernel_file").tdpo_loss
    given = given_for("tdpo")
    quick = torch.compile(
        lambda z: function(**{**given, "policy_logits": z}, validate=False),
        fullgraph=True,
        backend="aot_eager",
    )
    logits = given["policy_logits"].requires_grad_()
    found, expected = quick(logits), function(**given)
    gradients = [torch.autograd.grad(x, logits)[0] for x in (found, expected)]
    assert torch.equal(found, expected) and torch.equal(*gradients)


def test_autotuning_measures_once_and_deterministic_mode_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which road a launch takes, with kernels that only note how they are called."""
    space = midpo.generate("dpo", backend="triton").compile().__globals__
    asked: list[Any] = []

    class Noted:
        def __init__(self, word: str) -> None:
            self.word = word

        def __getitem__(self, grid: Any) -> Callable[..., None]:
            return lambda *given, **more: asked.append((self.word, grid, more))

    monkeypatch.setitem(space, "INTERPRETING", False)
    monkeypatch.setitem(space, "_measured", lambda kernel: Noted("measured"))
    launch = space["_launch"]
    launch(Noted("fixed"), (8, 1), SPLITS=1)
    launch(Noted("fixed"), (8, 1), SPLITS=1, measured=False)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    launch(Noted("fixed"), (8, 1), SPLITS=1)
    block, warps, stages = space["BLOCKS"][0]
    fusion = {"SPLITS": 1, "enable_fp_fusion": True}
    fixed = fusion | {"BLOCK": block, "STAGES": stages, "num_warps": warps}
    assert asked == [("measured", (8, 1), fusion), *[("fixed", (8, 1), fixed)] * 2]
