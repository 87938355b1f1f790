"""The kernels in C: their functions, their compiler, and what happens where there is none."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from catching import caught
from test_backends import spec_of
from test_kernel import EIGHT
from test_rows import COMPILERS, agree, answer, by_rows, changed, given_for, some_slow

import midpo
from midpo.codegen.bundle import RUNTIME
from midpo.codegen.statements import c
from midpo.codegen.statements.nodes import Assign, Name
from midpo.codegen.statements.quote import quote
from midpo.symbolic.language.nodes import Exp, Log, LogSigmoid, Max, Sigmoid, Tanh
from midpo.symbolic.language.words import BY_NODE, Word
from midpo.writers.terminal import checks as show_checks

torch = pytest.importorskip("torch", reason="kernels run on torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*no compiled loop runs"),
    pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="there is no C compiler"),
]

FUNCTIONS = midpo.loads('''name = "x"
[target]
margin = """sum(sum(tanh(log(pi(y_w, t, v))) + logsigmoid(log(pi(y_w, t, v)) + 1/3)
    + sigmoid(pi(y_w, t, v)) + max(pi(y_w, t, v), log(pi(y_w, t, v) + 1/2))
    + min(pi(y_w, t, v), pi_ref(y_w, t, v)) for v in vocab) for t in y_w) - log(pi(y_l))"""''')


def built(source: str, folder: Path, half: int = 0) -> Any:
    """A library of some C, with the compiler and the flags that kernels use."""
    space = midpo.generate("dpo", backend="native").compile().__globals__
    (folder / "file.c").write_text(source)
    assert space["COMPILERS"] == COMPILERS
    compiler = next(filter(None, map(shutil.which, COMPILERS)))
    subprocess.run(
        [
            compiler,
            *space["FLAGS"],
            f"-DHALF={half}",
            "-Wall",
            "-Werror",
            "-Wno-unused",
            "file.c",
            "-o",
            "file.so",
            "-lm",
        ],
        cwd=folder,
        check=True,
    )
    return ctypes.CDLL(str(folder / "file.so"))


def helpers() -> str:
    """The functions of which loops call what their lines ask for."""
    source = (RUNTIME / "rows.c").read_text()
    return source[: source.index("static inline int64_t _place")]


def evaluate(node: Any, functions: str, folder: Path) -> tuple[Any, Any]:
    """A function's values by some C, and in float64 by torch, as float32 has them."""
    word: Word = BY_NODE[node]
    value = quote(word.pairwise("c", ("a[k]", "b[k]")))
    (text,) = c.statements([Assign(Name("found"), value)])
    library = built(
        f"""{functions}
void evaluate(const float *a, const float *b, float *out, int n)
{{
    #pragma omp simd
    for (int k = 0; k < n; k++) {{
        {text}
        out[k] = found;
    }}
}}
""",
        folder,
    )
    near = [
        s * e for e in (1e-42, 1e-30, 1e-5, 0.2, 0.2499, 0.2501, 0.99999, 1.0, 9.0, 80.0) for s in (1.0, -1.0)
    ]
    points = [*word.corners, *near, float("inf"), float("nan"), *torch.linspace(-9, 9, 999)]
    points = [float(x) for x in points if not x <= 0 or word.domain == "real"]
    x = torch.tensor(points, dtype=torch.float32)
    y = x.flip(0).contiguous()
    out = torch.empty_like(x)
    library.evaluate(*(ctypes.c_void_p(z.data_ptr()) for z in (x, y, out)), ctypes.c_int(len(x)))
    program = {"torch": torch, "F": torch.nn.functional, "dtype": torch.float64}
    expected = eval(word.pairwise("torch", ("a", "b")), program, {"a": x.double(), "b": y.double()})
    return out.double(), expected.float().double()


# Two units in the last place, and 0 below the smallest normal number.
NEAR = {"rtol": 2.5e-7, "atol": 3e-38, "equal_nan": True}


@pytest.mark.parametrize("node", BY_NODE, ids=lambda node: node.__name__)
def test_function_in_a_kernel_is_torchs(node: Any, tmp_path: Path) -> None:
    torch.testing.assert_close(*evaluate(node, helpers(), tmp_path), **NEAR)


@pytest.mark.parametrize(
    ("node", "old", "new"),
    [
        (Exp, "1.6666517711e-01f", "1.667e-01f"),
        (Exp, "2.12194440e-4f", "2.1e-4f"),
        (Exp, "x < -86.5f", "x < -79.0f"),
        (Log, "3.3333331174e-1f", "3.3334e-1f"),
        (Log, "x == 0.0f ? -INFINITY", "x == 1.0f ? -INFINITY"),
        (Tanh, "2.0f / 15.0f", "2.0f / 15.1f"),
        (LogSigmoid, "w == 1.0f", "w < 0.0f"),
        (Sigmoid, "x < 0.0f ? e : 1.0f", "1.0f"),
        (Max, "a > b || a != a", "a > b"),
    ],
)
def test_mistakes_in_functions_are_seen(node: Any, old: str, new: str, tmp_path: Path) -> None:
    functions = helpers()
    assert old in functions
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(*evaluate(node, functions.replace(old, new), tmp_path), **NEAR)


ROUNDED = "(bits + 0x7fffu + (bits >> 16 & 1u)) >> 16"


@pytest.mark.parametrize(
    ("old", "new", "right"),
    [
        ("", "", True),
        (ROUNDED, "(bits + 0x8000u) >> 16", False),
        (ROUNDED, "bits >> 16", False),
        ("x == x ? rounded : 0x7fc0u", "rounded", False),
    ],
)
def test_bfloat16_is_rounded_as_torch_rounds(old: str, new: str, right: bool, tmp_path: Path) -> None:
    """Ties, the largest numbers, infinities, and a NaN whose bits would overflow."""
    source = midpo.generate("dpo", backend="native").compile().__globals__["SOURCE"]
    functions = source[: source.index("static inline float _highest")]
    assert old in functions
    library = built(
        f"""{functions.replace(old, new) if old else functions}
void evaluate(const float *x, logit *out, int n)
{{
    for (int k = 0; k < n; k++)
        _store(out, k, x[k]);
}}
""",
        tmp_path,
        half=1,
    )
    bits = [
        0x3F808000,
        0x3F818000,
        0x3F808001,
        0x3F807FFF,
        0x7F7FFFFF,
        0x7F800000,
        0xFF800000,
        0x7FFFFFFF,
        0xFFFFFFFF,
        0x00000001,
        0x80000000,
    ]
    x = torch.tensor([b - (b >> 31 << 32) for b in bits], dtype=torch.int32).view(torch.float32)
    x = torch.cat([x, torch.randn(999)])
    out = torch.empty_like(x, dtype=torch.bfloat16)
    library.evaluate(*(ctypes.c_void_p(z.data_ptr()) for z in (x, out)), ctypes.c_int(len(x)))
    expected = x.bfloat16()
    same = torch.equal(out.isnan(), x.isnan()) and torch.equal(
        out[~x.isnan()].view(torch.int16), expected[~x.isnan()].view(torch.int16)
    )
    assert same is right


@pytest.mark.parametrize("name", ["tdpo", "everything", "functions"])
def test_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    spec = FUNCTIONS if name == "functions" else spec_of(name)
    source = midpo.generate(spec, backend="native").compile().__globals__["SOURCE"]
    for half in (0, 1):
        built(source, tmp_path, half)


def test_statements() -> None:
    x, y = Name("x"), Name("y")
    lines = [
        Assign(x, quote("1 / 2 * a1 - 2.5e-05")),
        Assign(y, quote("a * (x * 3 + b)"), "+="),
        Assign(x, y),
    ]
    assert c.statements(lines, ["y"]) == [
        "float x = 1.0f / 2.0f * a1 - 2.5e-05f;",
        "y += a * (x * 3.0f + b);",
        "x = y;",
    ]


def test_names_of_a_spec_that_are_words_of_c() -> None:
    """Parameters called like types, functions and macros of C."""
    names = ("double", "linux", "INFINITY", "memcpy", "static")
    terms = " + ".join(f"{n}*pi(y_w, t, v)**2/7" for n in names)
    text = (
        'name = "words"\n[parameters]\n'
        + "".join(f'{n} = {{ domain = "real", default = 0.5 }}\n' for n in names)
        + f'[target]\nmargin = "sum(sum({terms} for v in vocab) for t in y_w) - log(pi(y_l))"\n'
    )
    given = given_for("dpo")
    given = {k: given[k] for k in ("policy_logits", "labels")}
    found = answer(midpo.generate(midpo.loads(text), backend="native").compile(), given)
    expected = answer(midpo.generate(midpo.loads(text)).compile(), given)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "name", [n if n in ("dpo", "tdpo") else pytest.param(n, marks=pytest.mark.slow) for n in EIGHT]
)
def test_cross_check_agrees(name: str) -> None:
    found = midpo.check(name, backend="native", trials=4, dtypes=["float32", "bfloat16"])
    assert found.passed, found.failure
    assert found.as_json()["backend"] == "native"


def test_cross_check_catches_a_mistake() -> None:
    old, new = "slope = reference_probs * coefficient", "slope = reference_probs * 0.0f"
    wrong = changed(midpo.generate("tdpo", backend="native"), old, new)
    assert caught("tdpo", wrong, trials=2, dtypes=["float32"])


@pytest.mark.parametrize("name", ["tdpo", "everything"])
def test_threads_change_no_digit(name: str) -> None:
    given, function = given_for(name, torch.bfloat16, pairs=3, t=5), by_rows(name, "native")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3, 64):
            torch.set_num_threads(threads)
            found.append(answer(function, given))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


ELSEWHERE = """
import os, sys, tempfile, warnings
sys.modules["midpo"] = None
import torch
from native_file import tdpo_loss as ours
from fused_file import tdpo_loss as theirs
dtype = getattr(torch, sys.argv[1])
z = torch.randn(2, 3, 9).to(dtype).requires_grad_()
q = torch.randn(2, 3, 9).to(dtype)
labels = torch.randint(9, (2, 3))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    losses = [f(z, q, labels) for f in (ours, ours, theirs)]
    gradients = [torch.autograd.grad(x, z)[0] for x in losses]
torch.testing.assert_close(losses[0], losses[2])
torch.testing.assert_close(gradients[0], gradients[2])
left = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("tmp")]
space = ours.__globals__
print(space["_library"](space["SOURCE"], dtype == torch.bfloat16)[0] is not None, left)
print(*(w.message for w in said), sep="\\n")
"""


SAYS = "the loops take float32 and bfloat16, the logits are torch."
CASES = [
    ("float32", "sh -c 'case $* in *march*) exit 1; esac; exec cc $*' x", ""),
    ("float64", "", f"{SAYS}float64"),
    ("float32", "no-such-compiler", "there is no C compiler (no-such-compiler)"),
    ("float32", "sh -c 'echo one >&2; echo two >&2; exit 1' x", "{sh} says one"),
]
MORE = [
    ("float32", "", ""),
    ("bfloat16", "cc -fno-builtin", ""),
    ("float16", "", f"{SAYS}float16"),
    ("float32", "false", "{false} says nothing"),
    ("float32", "true", "{true}: "),
]


@pytest.mark.parametrize(("dtype", "compiler", "said"), some_slow([*CASES, *MORE], CASES))
def test_elsewhere_the_loop_over_chunks_computes_the_loss(
    dtype: str, compiler: str, said: str, tmp_path: Path
) -> None:
    for backend in ("native", "fused"):
        (tmp_path / f"{backend}_file.py").write_text(midpo.generate("tdpo", backend=backend).source)
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "CC": compiler, "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, dtype],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, *warned = done.stdout.splitlines()
    compiled = not said or "the loops take" in said
    assert first == f"{compiled} []"  # nothing is left behind
    if not said:
        assert warned == [""]
        return
    paths = {name: shutil.which(name) for name in ("false", "sh", "true")}
    (line,) = warned
    assert line.startswith(f"tdpo_loss: no compiled loop runs: {said.format(**paths)}")
    assert line.endswith("; the loop over chunks computes the loss")


def test_log_of_a_complement_keeps_the_digits_that_the_chunks_keep() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        given = given_for("orpo")
        found = answer(midpo.generate("orpo", backend="native").compile(), given)
    assert ["needs digits" in str(w.message) for w in said] == [True]
    expected = answer(midpo.generate("orpo", backend="fused").compile(), given)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["dpo", "tdpo"])
def test_a_maximum_far_above_those_before(name: str) -> None:
    """Sums are counted anew from it; an infinity, and a block without a logit, as elsewhere."""
    given = given_for(name, v=5000)
    given["policy_logits"][0, 1, 3000] += 200
    given["reference_logits"][1, :, 2000:] += torch.linspace(0, 90, 3000)
    given["policy_logits"][2, :, :2000] = -torch.inf
    given["reference_logits"][2, :, :2000] = -torch.inf
    kernel = midpo.generate(name, backend="native")
    agree(name, given, kernel.compile())
    once = changed(kernel, "if (again || !(", "if (1 || !(").compile()
    with pytest.raises(AssertionError, match="not close"):
        agree(name, given, once)
    given["policy_logits"][3, 1, 4000] = torch.inf
    found = answer(kernel.compile(), given)[0]
    assert found.isnan().tolist() == [False, True]


def test_a_check_says_which_road_was_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = midpo.check("orpo", backend="native", trials=2, dtypes=["float32"])
    (note,) = found.notes
    assert note.startswith("orpo_loss: no compiled loop runs: log(1 - p) needs digits")
    assert found.as_json()["notes"] == [note]
    show_checks.crosscheck(found)
    assert "no compiled loop runs" in capsys.readouterr().out
    plain = midpo.check("dpo", backend="native", trials=2, dtypes=["float32"])
    # gradcheck's, and that of a reference in another dtype
    assert all("torch.float64" in note or "of one dtype" in note for note in plain.notes)


def test_operators_pass_torchs_own_checks() -> None:
    space = midpo.generate("tdpo", backend="native").compile().__globals__
    given = given_for("tdpo", pairs=1)
    logits, labels = given["policy_logits"].requires_grad_(), given["labels"].clamp(min=-1)
    torch.library.opcheck(
        space["_forward"],
        ([logits], [given["reference_logits"]], labels, [], [], 2, "", space["NEW"]),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )
