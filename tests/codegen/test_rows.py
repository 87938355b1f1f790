"""The kernels that read a row of logits at a time, in Triton and in C.

What they compute is held against the readable kernel in float64. Triton's are run by its
interpreter, those in C are compiled.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import shutil
from collections.abc import Callable, Container, Iterable
from typing import Any

import pytest
from test_backends import OWN, packed_of, spec_of
from test_kernel import arguments
from test_online import SPECS

import midpo

torch = pytest.importorskip("torch", reason="kernels run on torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning"),  # numpy: inf - inf
    pytest.mark.filterwarnings("ignore:.*no Triton kernel runs"),
    pytest.mark.filterwarnings("ignore:.*no compiled loop runs"),
]

NAMES = ("dpo", "simpo", "tdpo", "tis-dpo", "sparsepo", "wpo", "tpo", *OWN, "combination", "tanh")
ENGINES = ("triton", "native")
COMPILERS = ("cc", "gcc", "clang")
# Entries a block, programs: several blocks and a rest; one block that is not full; rows in parts.
BLOCKS = {"blocks": (4, 1), "one block": (8, 1), "parts": (2, 1000)}


def spec(name: str) -> Any:
    return midpo.loads(SPECS[name]) if name in ("combination", "tanh") else spec_of(name)


@functools.cache
def by_rows(name: str, engine: str, block: int = 4, programs: int = 1) -> Callable[..., Any]:
    """The kernel with the size of its blocks set, and in Triton the number of its programs."""
    kernel = small(midpo.generate(spec(name), backend=engine), block, programs)
    function: Callable[..., Any] = kernel.compile()
    return function


def small(kernel: Any, block: int = 4, programs: int = 1) -> Any:
    """A kernel whose blocks are smaller than the vocabulary of these tests."""
    if kernel.backend == "triton":
        pytest.importorskip("triton", reason="its interpreter runs the kernels")
        constants = "INTERPRETED_BLOCK, INTERPRETED_PROGRAMS = "
        return changed(kernel, f"{constants}8192, 1", f"{constants}{block}, {programs}")
    if programs > 1:
        pytest.skip("no loop divides a row")
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip("there is no C compiler")
    kernel = changed(kernel, "#define BLOCK 1024", f"#define BLOCK {block}")
    return changed(kernel, "#define NEAR 4.0f", "#define NEAR 0.3f")  # so that maxima move


def changed(kernel: Any, old: str, new: str) -> Any:
    """A kernel with another text. Its operators find names of their own: one name given to two
    would end the process, as the first is gone when the second comes."""
    assert old in kernel.source
    return dataclasses.replace(kernel, source=kernel.source.replace(old, new))


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


def agree(
    name: str, given: dict[str, Any], function: Callable[..., Any], slack: float = 1.0, **options: Any
) -> None:
    """Within what float32 sums, and the gradient's dtype, leave."""
    found, expected = answer(function, given, **options), answer(eager(name), wide(given))
    scale = max(1.0, float(expected[1].abs().nan_to_num(0, 0).max()))
    eps = torch.finfo(given["policy_logits"].dtype).eps
    torch.testing.assert_close(found[0], expected[0], rtol=4e-6 * slack, atol=4e-6 * slack, equal_nan=True)
    torch.testing.assert_close(
        found[1], expected[1], rtol=max(eps, 4e-6 * slack), atol=2e-6 * slack * scale, equal_nan=True
    )


def some_slow(cases: Iterable[Any], quick: Container[Any]) -> list[Any]:
    """Test cases, all but `quick` marked slow."""
    return [c if c in quick else pytest.param(*c, marks=pytest.mark.slow) for c in cases]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "blocks"),
    some_slow(
        itertools.product(NAMES, BLOCKS),
        [("tdpo", "one block"), ("tdpo", "parts"), *((name, "blocks") for name in NAMES)],
    ),
)
def test_value_and_gradient_are_those_of_eager(name: str, blocks: str, engine: str) -> None:
    agree(name, given_for(name, seed=3, t=4), by_rows(name, engine, *BLOCKS[blocks]))


@pytest.mark.parametrize("name", ["dpo", "tdpo", "tanh"])
@pytest.mark.parametrize(
    ("engine", "dtype"), [("triton", torch.bfloat16), ("triton", torch.float16), ("native", torch.bfloat16)]
)
def test_half_precision_logits(name: str, engine: str, dtype: Any) -> None:
    agree(name, given_for(name, dtype), by_rows(name, engine))


CASES = ("v2", "t1", "b1", "huge", "masked", "one-hot", "masked first", "sliced", "strided")


@pytest.mark.parametrize(
    ("name", "case", "engine"),
    some_slow(
        itertools.product(["dpo", "tdpo", "tis-dpo", "everything"], CASES, ENGINES),
        [
            *(("tdpo", case, engine) for case in CASES for engine in ENGINES),
            *(("everything", case, "native") for case in CASES),
        ],
    ),
)
def test_extremes(name: str, case: str, engine: str) -> None:
    given = given_for(name, **{"v2": {"v": 2}, "b1": {"pairs": 1}}.get(case, {}))
    labels = given["labels"]
    if case == "t1":
        given = {k: x[:, 1:2] if torch.is_tensor(x) and x.dim() > 1 else x for k, x in given.items()}
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
        assert all(bool(x.isfinite().all()) for x in answer(by_rows(name, engine), given))
        return  # eager has no finite gradient of a root of a probability of 0
    agree(name, given, by_rows(name, engine), slack=200.0 if case in ("huge", "one-hot") else 1.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_where_the_reference_has_no_mass_the_divergence_is_infinite(engine: str) -> None:
    given = given_for("tis-dpo")
    given["reference_logits"][..., 3] = -torch.inf
    given["labels"][given["labels"] == 3] = 2
    agree("tis-dpo", given, by_rows("tis-dpo", engine))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["tdpo", "tanh"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("entry", [0, 6])
def test_a_broken_position_spoils_its_own_pair_only(name: str, bad: float, entry: int, engine: str) -> None:
    for policy in ("policy_logits", "reference_logits"):
        given = given_for(name, pairs=3, t=4)
        given["labels"][1, 1] = 2
        given[policy][1, 1, entry] = bad
        loss, gradient = answer(by_rows(name, engine), given)
        assert loss.isnan().tolist() == [False, True, False]
        broken = gradient.isnan().flatten(1).any(-1).nonzero().flatten().tolist()
        assert broken and set(broken) <= {1, 4}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_ignored_is_not_read(bad: float, in_place: bool, engine: str) -> None:
    given = given_for("tdpo")
    ignored = given["labels"] == -100
    clean = answer(by_rows("tdpo", engine), given)
    for policy in ("policy_logits", "reference_logits"):
        given[policy] = given[policy].masked_fill(ignored[..., None], bad)
    found = answer(by_rows("tdpo", engine), given, inplace_backward=in_place)
    assert torch.equal(found[0], clean[0]) and torch.equal(found[1], clean[1])
    assert not bool(found[1][ignored].any())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["dpo", "tdpo", "everything"])
def test_packed_is_padded(name: str, engine: str) -> None:
    function, given = by_rows(name, engine), given_for(name)
    keep = torch.ones_like(given["labels"], dtype=torch.bool)
    keep[0, 2] = keep[3, 2:] = False  # sequences of different lengths
    given["labels"][~keep] = -100
    padded = answer(function, given)
    loss, gradient = answer(function, packed_of(given, keep))
    torch.testing.assert_close(loss, padded[0], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, padded[1][keep], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("strided", [False, True])
def test_in_place_the_gradient_is_the_logits_memory(strided: bool, engine: str) -> None:
    given = given_for("tdpo", torch.bfloat16)
    _, expected = answer(by_rows("tdpo", engine), given)
    leaf = given["policy_logits"].clone()
    if strided:
        leaf = leaf.transpose(1, 2).contiguous().transpose(1, 2)
    found = answer(by_rows("tdpo", engine), {**given, "policy_logits": leaf}, inplace_backward=True)
    assert torch.equal(leaf.double(), found[1])
    torch.testing.assert_close(found[1], expected, rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_features_get_the_gradient_that_eager_gives_them(engine: str) -> None:
    given = given_for("everything")
    found = []
    roads = (eager("everything"), wide(given)), (by_rows("everything", engine), given)
    for function, inputs in roads:
        w = given["w"].clone().requires_grad_()
        loss = function(**{**inputs, "w": w})
        found.append(torch.autograd.grad(loss, w)[0])
    assert bool(found[0].any())
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("engine", "programs"), [("triton", 1), ("triton", 64), ("native", 1)])
def test_a_vocabulary_of_128256(dtype: Any, engine: str, programs: int) -> None:
    """One row a response, in blocks with a rest, whole and in parts."""
    given = given_for("tdpo", dtype, pairs=1, t=3, v=128_256)
    given["labels"] = torch.tensor([[-100, 128_255, -100], [-100, 7, -100]])
    function = by_rows("tdpo", engine, 8192 if engine == "triton" else 1000, programs)
    agree("tdpo", given, function)
    first, second = answer(function, given), answer(function, given)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


MISTAKES = [
    ("tdpo", "shift_reference - shift_policy", "shift_policy - shift_reference"),
    ("tdpo", "moment += {where}(each2", "moment -= {where}(each2"),
    ("tdpo", "log_policy + moment / sum_reference", "moment / sum_reference"),
    ("tdpo", "slope = reference_probs * coefficient", "slope = reference_probs * 0"),
    ("dpo", "coefficient = -grad_policy_token_logps", "coefficient = grad_policy_token_logps"),
    ("dpo", "sum_policy *= scale_policy", "sum_policy *= 1"),
    ("tis-dpo", "= -grad_policy_token_logps - grad_kl", "= -grad_policy_token_logps + grad_kl"),
]
OF_ENGINE = [
    ("triton", "dpo", "slope += tl.where(at == here", "slope += tl.where(at == here + 1"),
    ("triton", "dpo", "whole = first + (last - first) // BLOCK * BLOCK", "whole = last"),
    ("native", "dpo", "slope += k == at_label ?", "slope -= k == at_label ?"),
    ("native", "dpo", "size - begin < BLOCK ? size - begin : BLOCK", "BLOCK - 1"),
    ("native", "dpo", "for (; k < n; k++) {", "for (; k < 0; k++) {"),
    ("native", "dpo", "127u - less) << 23", "126u - less) << 23"),
]


@pytest.mark.parametrize(
    ("engine", "name", "old", "new"),
    [*((engine, *case) for engine in ENGINES for case in MISTAKES), *OF_ENGINE],
)
def test_mistakes_are_seen(engine: str, name: str, old: str, new: str) -> None:
    where = {"triton": "tl.where", "native": "_where"}[engine]
    old, new = (text.replace("{where}", where) for text in (old, new))
    kernel = small(midpo.generate(spec(name), backend=engine))
    wrong = changed(kernel, old, new).compile()
    with pytest.raises(AssertionError, match="not close"):
        agree(name, given_for(name), wrong)
