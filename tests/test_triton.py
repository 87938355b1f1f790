"""The Triton kernels, run by Triton's interpreter and compiled for a GPU that is not there.

What they compute is held against the readable kernel in float64.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

import pytest
from test_backends import OWN, spec_of
from test_kernel import EIGHT, arguments
from test_online import SPECS

import midpo
from midpo.codegen import emit
from midpo.codegen.blocks import TRITON
from midpo.numeric.crosscheck import crosscheck
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language import BY_NODE, Relu, Step, Word

torch = pytest.importorskip("torch", reason="kernels run on torch")
triton = pytest.importorskip("triton", reason="its interpreter runs the kernels")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),  # numpy: inf - inf
    pytest.mark.filterwarnings("ignore:.*no Triton kernel runs"),
]

NAMES = ("dpo", "simpo", "tdpo", "tis-dpo", "sparsepo", "wpo", *OWN, "combination", "tanh")
# Entries a block, programs: several blocks and a rest; one block that is not full; rows in parts.
BLOCKS = {"blocks": (4, 1), "one block": (8, 1), "parts": (2, 1000)}


def spec(name: str) -> Any:
    return midpo.loads(SPECS[name]) if name in ("combination", "tanh") else spec_of(name)


@functools.cache
def interpreted(name: str, block: int = 4, programs: int = 1) -> Callable[..., Any]:
    """The kernel with the interpreter's block and number of programs set."""
    kernel = midpo.generate(spec(name), backend="triton")
    constants = "INTERPRETED_BLOCK, INTERPRETED_PROGRAMS = "
    assert f"{constants}8192, 1" in kernel.source
    function: Callable[..., Any] = changed(
        kernel, f"{constants}8192, 1", f"{constants}{block}, {programs}"
    ).compile()
    return function


def changed(kernel: Any, old: str, new: str) -> Any:
    """A kernel with another text, under another name for its operators."""
    assert old in kernel.source
    own = f'"midpo::wrong{abs(hash((old, new)))}_'
    source = kernel.source.replace(old, new).replace('"midpo::', own)
    return dataclasses.replace(kernel, source=source)


@functools.cache
def eager(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = midpo.generate(spec(name)).compile()
    return function


def given_for(name: str, dtype: Any = torch.float32, **shape: Any) -> dict[str, Any]:
    """Random arguments, few of them: the interpreter is slow."""
    given = arguments(midpo.generate(spec(name)), **{"pairs": 2, "t": 3, **shape})
    return {k: x.to(dtype) if k.endswith("logits") else x for k, x in given.items()}


def answer(function: Callable[..., Any], given: dict[str, Any], **options: Any) -> list[Any]:
    """Losses, and the gradient of their weighted sum, in float64."""
    logits = given["policy_logits"].detach().requires_grad_()
    loss = function(**{**given, "policy_logits": logits}, reduction="none", **options)
    weights = torch.arange(1, loss.shape[0] + 1, dtype=loss.dtype)
    (gradient,) = torch.autograd.grad((loss * weights).sum(), logits)
    assert gradient.dtype == logits.dtype and gradient.shape == logits.shape
    return [loss.detach().double(), gradient.double()]


def wide(given: dict[str, Any]) -> dict[str, Any]:
    return {k: x.double() if k.endswith("logits") else x for k, x in given.items()}


def agree(name: str, given: dict[str, Any], function: Callable[..., Any], slack: float = 1.0,
          **options: Any) -> None:
    """Within what float32 sums, and the gradient's dtype, leave."""
    found, expected = answer(function, given, **options), answer(eager(name), wide(given))
    scale = max(1.0, float(expected[1].abs().nan_to_num(0, 0).max()))
    eps = torch.finfo(given["policy_logits"].dtype).eps
    torch.testing.assert_close(found[0], expected[0], rtol=4e-6 * slack, atol=4e-6 * slack,
                               equal_nan=True)
    torch.testing.assert_close(found[1], expected[1], rtol=max(eps, 4e-6 * slack),
                               atol=2e-6 * slack * scale, equal_nan=True)


def some_slow(cases: Iterable[Any], quick: Container[Any]) -> list[Any]:
    """Test cases, all but `quick` marked slow."""
    return [c if c in quick else pytest.param(*c, marks=pytest.mark.slow) for c in cases]


@pytest.mark.parametrize(
    ("name", "blocks"),
    some_slow(
        itertools.product(NAMES, BLOCKS),
        [("tdpo", "one block"), ("tdpo", "parts"), *((name, "blocks") for name in NAMES)],
    ),
)
def test_value_and_gradient_are_those_of_eager(name: str, blocks: str) -> None:
    agree(name, given_for(name, seed=3), interpreted(name, *BLOCKS[blocks]))


@pytest.mark.parametrize("name", ["dpo", "tdpo", "tanh"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits(name: str, dtype: Any) -> None:
    agree(name, given_for(name, dtype), interpreted(name))


CASES = ("v2", "t1", "b1", "huge", "masked", "one-hot", "masked first", "sliced", "strided")


@pytest.mark.parametrize(
    ("name", "case"),
    some_slow(
        itertools.product(["dpo", "tdpo", "tis-dpo", "everything"], CASES),
        [("tdpo", case) for case in CASES],
    ),
)
def test_extremes(name: str, case: str) -> None:
    given = given_for(name, **{"v2": {"v": 2}, "b1": {"pairs": 1}}.get(case, {}))
    labels = given["labels"]
    if case == "t1":
        given = {k: x[:, 1:2] if torch.is_tensor(x) and x.dim() > 1 else x
                 for k, x in given.items()}
        given["labels"] = given["labels"].clamp(min=0)
    for policy in ("policy_logits", "reference_logits"):
        z = given[policy]
        if case == "huge":
            z = z * 1e3
        elif case == "masked":
            z = z.masked_fill(torch.arange(7) == 6, -torch.inf)
            given["labels"] = labels.where(labels != 6, 5)
        elif case == "masked first":  # the first block holds no mass at all
            z = z.masked_fill(torch.arange(7) < 5, -torch.inf)
            given["labels"] = labels.where(labels < 0, 5)
        elif case == "one-hot" and policy == "policy_logits":
            z = torch.full_like(z, -700.0).scatter(-1, labels.clamp(min=0)[..., None], 0.0)
        elif case == "sliced":
            z = torch.cat([z, z], 1).transpose(0, 1).contiguous().transpose(0, 1)[:, : z.shape[1]]
        elif case == "strided":
            z = z.transpose(1, 2).contiguous().transpose(1, 2)
            assert z.stride(-1) != 1
        given[policy] = z
    if name == "everything" and case in ("huge", "one-hot", "masked", "masked first"):
        assert all(bool(x.isfinite().all()) for x in answer(interpreted(name), given))
        return  # eager has no finite gradient of a root of a probability of 0
    agree(name, given, interpreted(name), slack=200.0 if case in ("huge", "one-hot") else 1.0)


def test_where_the_reference_has_no_mass_the_divergence_is_infinite() -> None:
    given = given_for("tis-dpo")
    given["reference_logits"][..., 3] = -torch.inf
    given["labels"][given["labels"] == 3] = 2
    agree("tis-dpo", given, interpreted("tis-dpo"))


@pytest.mark.parametrize("name", ["tdpo", "tanh"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("entry", [0, 6])
def test_a_broken_position_spoils_its_own_pair_only(name: str, bad: float, entry: int) -> None:
    for policy in ("policy_logits", "reference_logits"):
        given = given_for(name, pairs=3, t=4)
        given["labels"][1, 1] = 2
        given[policy][1, 1, entry] = bad
        loss, gradient = answer(interpreted(name), given)
        assert loss.isnan().tolist() == [False, True, False]
        broken = gradient.isnan().flatten(1).any(-1).nonzero().flatten().tolist()
        assert broken and set(broken) <= {1, 4}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_ignored_is_not_read(bad: float, in_place: bool) -> None:
    given = given_for("tdpo")
    ignored = given["labels"] == -100
    clean = answer(interpreted("tdpo"), given)
    for policy in ("policy_logits", "reference_logits"):
        given[policy] = given[policy].masked_fill(ignored[..., None], bad)
    found = answer(interpreted("tdpo"), given, inplace_backward=in_place)
    assert torch.equal(found[0], clean[0]) and torch.equal(found[1], clean[1])
    assert not bool(found[1][ignored].any())


@pytest.mark.parametrize("name", ["dpo", "tdpo", "everything"])
def test_packed_is_padded(name: str) -> None:
    given = given_for(name)
    keep = torch.ones_like(given["labels"], dtype=torch.bool)
    keep[0, 2] = keep[3, 2:] = False  # sequences of different lengths
    given["labels"][~keep] = -100
    padded = answer(interpreted(name), given)
    packed = {
        k: x[keep] if torch.is_tensor(x) and x.shape[:2] == keep.shape else x
        for k, x in given.items()
    }
    packed["cu_seqlens"] = torch.nn.functional.pad(keep.sum(-1).cumsum(0), (1, 0)).int()
    loss, gradient = answer(interpreted(name), packed)
    torch.testing.assert_close(loss, padded[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, padded[1][keep], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("strided", [False, True])
def test_in_place_the_gradient_is_the_logits_memory(strided: bool) -> None:
    given = given_for("tdpo", torch.bfloat16)
    _, expected = answer(interpreted("tdpo"), given)
    leaf = given["policy_logits"].clone()
    if strided:
        leaf = leaf.transpose(1, 2).contiguous().transpose(1, 2)
    found = answer(interpreted("tdpo"), {**given, "policy_logits": leaf}, inplace_backward=True)
    assert torch.equal(leaf.double(), found[1])
    torch.testing.assert_close(found[1], expected, rtol=2**-7, atol=1e-6)


def test_features_get_the_gradient_that_eager_gives_them() -> None:
    given = given_for("everything")
    found = []
    roads = (eager("everything"), wide(given)), (interpreted("everything"), given)
    for function, inputs in roads:
        w = given["w"].clone().requires_grad_()
        loss = function(**{**inputs, "w": w})
        found.append(torch.autograd.grad(loss, w)[0])
    assert bool(found[0].any())
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("programs", [1, 64])
def test_a_vocabulary_of_128256(dtype: Any, programs: int) -> None:
    """One row a response, in blocks of 8192 with a rest, whole and in parts."""
    given = given_for("tdpo", dtype, pairs=1, t=3, v=128_256)
    given["labels"] = torch.tensor([[-100, 128_255, -100], [-100, 7, -100]])
    function = interpreted("tdpo", 8192, programs)
    agree("tdpo", given, function)
    first, second = answer(function, given), answer(function, given)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@pytest.mark.parametrize("name", [
    n if n in ("dpo", "tdpo") else pytest.param(n, marks=pytest.mark.slow) for n in EIGHT
])
def test_cross_check_agrees(name: str) -> None:
    found = midpo.check(name, backend="triton", trials=2, dtypes=["float32", "bfloat16"])
    assert found.passed, found.failure
    assert found.as_json()["backend"] == "triton"


MISTAKES = [
    ("tdpo", "shift_reference - shift_policy", "shift_policy - shift_reference"),
    ("tdpo", "moment += tl.where(each2", "moment -= tl.where(each2"),
    ("tdpo", "log_policy + moment / sum_reference", "moment / sum_reference"),
    ("tdpo", "slope = reference_probs * coefficient", "slope = reference_probs * 0.0"),
    ("dpo", "coefficient = -grad_policy_token_logps", "coefficient = grad_policy_token_logps"),
    ("dpo", "at == here, grad_policy_token_logps", "at == here + 1, grad_policy_token_logps"),
    ("dpo", "sum_policy *= scale_policy", "pass"),
    ("dpo", "whole = first + (last - first) // BLOCK * BLOCK", "whole = last"),
    ("tis-dpo", "- grad_kl_policy_reference * kl_policy_reference", ""),
]


@pytest.mark.parametrize(("name", "old", "new"), MISTAKES)
def test_mistakes_are_seen(name: str, old: str, new: str) -> None:
    constants = "INTERPRETED_BLOCK, INTERPRETED_PROGRAMS = 8192"
    kernel = changed(midpo.generate(name, backend="triton"), constants, constants[:-4] + "4")
    wrong = changed(kernel, old, new).compile()
    with pytest.raises(AssertionError, match="not close"):
        agree(name, given_for(name), wrong)


def test_cross_check_catches_a_mistake() -> None:
    _, old, new = MISTAKES[3]
    wrong = changed(midpo.generate("tdpo", backend="triton"), old, new)
    found = crosscheck(midpo.load("tdpo"), wrong, trials=2, dtypes=["float32"])
    assert not found.passed and found.failure


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
    """The template's own functions, from a kernel that calls all of them."""
    source = midpo.generate(midpo.loads('''name = "x"
[target]
margin = """sum(sum(tanh(log(pi(y_w, t, v))) + logsigmoid(log(pi(y_w, t, v))) for v in vocab)
    for t in y_w) - log(pi(y_l))"""'''), backend="triton").source
    start, stop = source.index("@_kernel\ndef _exp"), source.index("@_kernel\ndef _online")
    return source[start:stop].replace("@_kernel", "@triton.jit")


@pytest.mark.parametrize("node", TRITON, ids=lambda node: node.__name__)
def test_function_in_a_kernel_is_torchs(node: Any, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    word: Word = BY_NODE[node]
    name = f"row_{node.__name__.lower()}"
    text = TRITON[node].format("a", "b")
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
    expected = eval(word.torch.format("a", "b"), program, {"a": x.double(), "b": y.double()})
    # exp of a number of size 80 carries the 80 roundings of its argument.
    torch.testing.assert_close(out.double(), expected.float().double(), rtol=1e-5, atol=2e-38,
                               equal_nan=True)
    small = x.abs() < 2
    torch.testing.assert_close(out.double()[small], expected[small], rtol=6e-7, atol=2e-38,
                               equal_nan=True)


def test_table_has_every_function() -> None:
    assert set(TRITON) == set(BY_NODE)


def test_a_function_without_triton_text_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TRITON, Relu)
    monkeypatch.delitem(TRITON, Step)
    text = 'name = "x"\n[target]\nmargin = "sum(sum(relu(pi(y_w, t, v) - 1/2) for v in vocab)' \
           ' for t in y_w) - log(pi(y_l))"'
    with pytest.raises(NotYet, match=r"no Triton text for relu\(pi\(y, t, v\) - 1/2\)"):
        midpo.generate(midpo.loads(text), backend="triton")


# -- the file


@pytest.mark.parametrize("name", ["dpo", "tdpo"])
def test_text_is_pinned(name: str, golden: Callable[[str, str], None]) -> None:
    kernel = midpo.generate(name, backend="triton")
    golden(f"kernels/{kernel.function}_triton.py", kernel.source)
    assert kernel.digest in kernel.source
    assert emit.generate(spec_of(name), "triton").source == kernel.source


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
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)
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
    [("tdpo", ("",)), *(pytest.param(*case, marks=pytest.mark.slow)
                        for case in (("everything", ("", "_2")), ("dpo", ("",)), ("tanh", ("",))))],
)
def test_kernels_compile_for_a_gpu(name: str, suffixes: tuple[str, ...], tmp_path: Path) -> None:
    """For compute capability 9.0: a binary, no spilled registers, 16 bytes a load, no atomics."""
    (tmp_path / "kernel_file.py").write_text(midpo.generate(spec(name), backend="triton").source)
    (tmp_path / "program.py").write_text(COMPILE)
    kernels = [k + s for s in suffixes for k in ("_online", "_combine", "_sums", "_slopes")]
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path / "cache")
    done = subprocess.run([sys.executable, "program.py", *kernels], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = [f"{k} True False {'_combine' not in k} False" for k in kernels]
    assert done.stdout.splitlines() == expected


def test_operators_pass_torchs_own_checks() -> None:
    space = midpo.generate("tdpo", backend="triton").compile().__globals__
    given = given_for("tdpo", pairs=1)
    logits = given["policy_logits"].requires_grad_()
    labels = given["labels"].clamp(min=-1)
    torch.library.opcheck(
        space["_forward"],
        ([logits], [given["reference_logits"]], labels, [], [], 2, "", False),
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


def test_autotuning_measures_once_and_deterministic_mode_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
