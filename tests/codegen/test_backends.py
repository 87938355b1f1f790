"""Every backend gives the loss and the gradient that the readable kernel gives."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from catching import caught
from test_kernel import EIGHT, arguments, with_kernels

import midpo
from midpo.codegen import emit
from midpo.codegen.backends import BACKENDS
from midpo.codegen.emit import Kernel
from midpo.numeric.checking.adapting import from_logits
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import policy_argument
from midpo.symbolic.language.table import RESERVED

torch = pytest.importorskip("torch", reason="kernels run on torch")

NAMES = with_kernels()
FROM_LOGITS = ("fused", "linear", "logps")
OWN = {
    "everything": """name = "everything"
[features]
w = "token"
[parameters]
beta = { domain = "real", default = 0.3 }
[target]
margin = '''sum(2*entropy(pi, y_w, t) + sum(pi(y_w, t, v)**0.3*pi_ref(y_w, t, v)**0.7*exp(beta)
    for v in vocab) + 3*sum(max(pi(y_w, t, v), w(y_w, t)*pi(y_w, t)) for v in vocab)
    + sum(tanh(pi(y_w, t, v)*kl(pi, pi_ref, y_w, t)) for v in vocab) for t in y_w)/20
    - log(pi(y_l))/10'''
""",
    "stopped": """name = "stopped"
[target]
margin = '''log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))
    - sum(kl(pi_ref, pi, y_l, t) for t in y_l) + sg(sum(kl(pi_ref, pi, y_w, t) for t in y_w))'''
""",
    "loss": """name = "whole-loss"
[target]
loss = "relu(1 - log(pi(y_w))/len(y_w)) + sum(t*pi(y_l, t) for t in y_l)**2 + entropy_bonus(y_l)"
[features]
entropy_bonus = "response"
""",
}
ALL = {**{n: n for n in NAMES}, **OWN}


def spec_of(name: str) -> Any:
    return midpo.load(name) if name in NAMES else midpo.loads(OWN[name])


def compiled(name: str, backend: str) -> tuple[Kernel, Callable[..., Any]]:
    try:
        kernel = midpo.generate(spec_of(name), backend=backend)
    except NotYet as error:
        assert backend == "logps" and "whole distribution" in str(error)
        pytest.skip("the loss needs whole distributions")
    return kernel, from_logits(torch, kernel)


def both(name: str, backend: str, given: dict[str, Any], **options: Any) -> list[Any]:
    """(losses, gradient) of the readable kernel and of the backend."""
    found = []
    weights = None
    for which in ("eager", backend):
        _, function = compiled(name, which)
        logits = given["policy_logits"].detach().clone().requires_grad_()
        extra = options if which == backend else {}
        loss = function(**{**given, "policy_logits": logits}, reduction="none", **extra)
        weights = torch.arange(1, loss.shape[0] + 1, dtype=loss.dtype)
        found.append((loss.detach(), torch.autograd.grad((loss * weights).sum(), logits)[0]))
    return found


def close(found: list[Any], rtol: float = 1e-12, atol: float = 1e-14) -> None:
    (loss, gradient), (other, others) = found
    torch.testing.assert_close(other, loss, rtol=rtol, atol=atol, equal_nan=True)
    torch.testing.assert_close(others, gradient, rtol=rtol, atol=atol, equal_nan=True)


def base(name: str, **shape: Any) -> Any:
    return arguments(midpo.generate(spec_of(name)), **shape)


@pytest.mark.parametrize("backend", FROM_LOGITS)
@pytest.mark.parametrize("name", ALL)
def test_value_and_gradient_are_those_of_eager(name: str, backend: str) -> None:
    close(both(name, backend, base(name, seed=3)))


@pytest.mark.parametrize("backend", FROM_LOGITS)
@pytest.mark.parametrize("name", ["dpo", "tdpo", "tis-dpo", "everything"])
@pytest.mark.parametrize("case", ["v2", "t1", "b1", "huge", "masked", "one-hot", "sliced", "one row a chunk"])
def test_extremes(name: str, backend: str, case: str) -> None:
    shape = {"v2": {"v": 2}, "b1": {"pairs": 1}}.get(case, {})
    given = base(name, **shape)
    labels = given["labels"]
    options = {"rows": 1} if case == "one row a chunk" and backend != "logps" else {}
    if case == "t1":
        given = {k: x[:, 1:2] if torch.is_tensor(x) and x.dim() > 1 else x for k, x in given.items()}
        given["labels"] = given["labels"].clamp(min=0)
    for policy in ("policy_logits", "reference_logits"):
        z = given[policy]
        if case == "huge":
            z = z * 1e3
        elif case == "masked" and backend != "linear":
            z = z.masked_fill(torch.arange(7) == 6, -torch.inf)
            given["labels"] = labels.where(labels != 6, 5)
        elif case == "one-hot" and backend != "linear" and policy == "policy_logits":
            z = torch.full_like(z, -700.0).scatter(-1, labels.clamp(min=0)[..., None], 0.0)
        elif case == "sliced":
            z = torch.cat([z, z], 1).transpose(0, 1).contiguous().transpose(0, 1)[:, : z.shape[1]]
        given[policy] = z
    if name == "everything" and case in ("huge", "one-hot", "masked"):
        found = both(name, backend, given, **options)[1] if backend == "fused" else ()
        assert all(bool(x.isfinite().all()) for x in found)
        pytest.skip("eager has no finite gradient of a root of a probability of 0")
    close(both(name, backend, given, **options), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", FROM_LOGITS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_position_spoils_its_own_pair_only(backend: str, bad: float) -> None:
    name = "dpo" if backend == "logps" else "tdpo"
    for policy in ("policy_logits", "reference_logits"):
        given = base(name)
        row, position = 1, 1
        given["labels"][row, position] = 2
        if backend == "linear":  # through a head, one bad hidden entry spoils its own row only
            bad = float("nan")
        given[policy][row, position, 3] = bad
        _, function = compiled(name, backend)
        logits = given["policy_logits"].requires_grad_()
        loss = function(**given, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.isnan().tolist() == [False, True, False]
        broken = gradient.isnan().flatten(1).any(-1).nonzero().flatten().tolist()
        assert broken and set(broken) <= {1, 4}


@pytest.mark.parametrize("backend", ["fused", "linear"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_ignored_is_not_read(backend: str, bad: float) -> None:
    given = base("tdpo")
    ignored = given["labels"] == -100
    clean = both("tdpo", backend, given)[1]
    for policy in ("policy_logits", "reference_logits"):
        given[policy] = given[policy].masked_fill(ignored[..., None], bad)
    _, function = compiled("tdpo", backend)
    logits = given["policy_logits"].requires_grad_()
    loss = function(**given, reduction="none")
    (gradient,) = torch.autograd.grad((loss * torch.arange(1.0, 4)).sum(), logits)
    assert torch.equal(loss, clean[0])
    assert torch.equal(gradient, clean[1])


def packed_of(given: dict[str, Any], keep: Any) -> dict[str, Any]:
    """The same sequences one after the other."""
    packed = {k: x[keep] if torch.is_tensor(x) and x.shape[:2] == keep.shape else x for k, x in given.items()}
    packed["cu_seqlens"] = torch.nn.functional.pad(keep.sum(-1).cumsum(0), (1, 0)).int()
    return packed


@pytest.mark.parametrize("backend", ["eager", "logps", "fused", "linear"])
def test_the_longest_packed_sequence_may_be_given(backend: str) -> None:
    function = compiled("dpo", backend)[1]
    given = base("dpo")
    keep = torch.ones_like(given["labels"], dtype=torch.bool)
    keep[0, 4] = keep[3, 3:] = False
    packed = packed_of(given, keep)
    expected = function(**packed)
    for longest in (5, 9):
        for validate in (True, False):
            found = function(**packed, max_seqlen=longest, validate=validate)
            torch.testing.assert_close(found, expected, rtol=1e-15, atol=0)
    with pytest.raises(ValueError, match="max_seqlen: got 4, needs at least 5"):
        function(**packed, max_seqlen=4)


@pytest.mark.parametrize("backend", ["eager", *FROM_LOGITS])
@pytest.mark.parametrize("name", ["dpo", "tdpo", "sparsepo", "everything"])
def test_packed_is_padded(name: str, backend: str) -> None:
    kernel, _ = compiled(name, backend)
    given = base(name)
    keep = torch.ones_like(given["labels"], dtype=torch.bool)
    keep[0, 4] = keep[3, 3:] = False  # sequences of different lengths
    given["labels"][~keep] = -100
    padded = both(name, backend, given)[1]
    packed = packed_of(given, keep)
    logits = packed["policy_logits"].requires_grad_()
    loss = from_logits(torch, kernel)(**packed, reduction="none")
    weights = torch.arange(1, 4, dtype=loss.dtype)
    (gradient,) = torch.autograd.grad((loss * weights).sum(), logits)
    torch.testing.assert_close(loss, padded[0], rtol=1e-13, atol=0)
    torch.testing.assert_close(gradient, padded[1][keep], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("backend", ["eager", *FROM_LOGITS])
def test_micro_batches_add_up(backend: str) -> None:
    _, function = compiled("rdpo", backend)
    given = base("rdpo", pairs=3)
    whole = function(**given)
    parts = []
    for pair in range(3):
        rows = [pair, pair + 3]
        part = {k: x[rows] if torch.is_tensor(x) else x for k, x in given.items()}
        parts.append(function(**part, num_pairs=3))
    torch.testing.assert_close(sum(parts), whole, rtol=1e-14, atol=0)


@pytest.mark.parametrize("backend", ["eager", *FROM_LOGITS])
def test_metrics(backend: str) -> None:
    _, function = compiled("dpo", backend)
    given = base("dpo", pairs=3)
    loss, found = function(**given, metrics=True)
    assert torch.equal(loss, function(**given))
    mask = given["labels"] != -100
    logps = []
    for policy in ("policy_logits", "reference_logits"):
        each = given[policy].log_softmax(-1).gather(-1, given["labels"].clamp(min=0)[..., None])
        logps.append((each[..., 0] * mask).sum(-1))
    chosen, rejected = (given["alpha"] * (logps[0] - logps[1])).chunk(2)
    expected = {
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/margins": (chosen - rejected).mean(),
        "rewards/accuracies": (chosen > rejected).double().mean(),
        "logps/chosen": logps[0][:3].mean(),
        "logps/rejected": logps[0][3:].mean(),
    }
    for key, value in expected.items():
        assert float(found[key]) == pytest.approx(float(value), rel=1e-12), key
        assert not found[key].requires_grad


@pytest.mark.parametrize("backend", ["eager", "fused", "linear"])
def test_divergences_are_among_the_metrics(backend: str) -> None:
    _, function = compiled("tdpo", backend)
    given = base("tdpo")
    _, found = function(**given, metrics=True)
    p, q = given["reference_logits"].log_softmax(-1), given["policy_logits"].log_softmax(-1)
    each = (p.exp() * (p - q)).sum(-1)[given["labels"] != -100]
    assert float(found["kl/reference_policy"]) == pytest.approx(float(each.mean()), rel=1e-12)


@pytest.mark.parametrize("name", ["dpo", "simpo", "rdpo", "orpo", "sft"])
def test_log_probabilities_of_whole_responses(name: str) -> None:
    """Their sums and lengths give what those of the tokens give."""
    kernel = midpo.generate(name, backend="logps")
    function, given = kernel.compile(), base(name)
    mask = given["labels"] != -100
    tokens, sums = {}, {}
    for policy in kernel.policies:
        z = given.pop(policy_argument(policy)).log_softmax(-1)
        each = z.gather(-1, given["labels"].clamp(min=0)[..., None])[..., 0]
        argument = policy_argument(policy).replace("_logits", "_logps")
        tokens[argument], sums[argument] = each, (each * mask).sum(-1)
    labels = given.pop("labels")
    expected = function(**tokens, labels=labels, **given, reduction="none")
    found = function(**sums, sequence_lengths=mask.sum(-1), **given, reduction="none")
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    if name == "simpo":
        with pytest.raises(ValueError, match=r"^sequence_lengths: got None, needs \(6,\)"):
            function(**sums, **given)
    with pytest.raises(ValueError, match=r"^policy_logps: got shape \(6, 5\), needs \(2B,\)"):
        function(**tokens, **given)
    with pytest.raises(ValueError, match=r"^sequence_lengths: got it beside labels"):
        function(**tokens, labels=labels, sequence_lengths=mask.sum(-1), **given)


@pytest.mark.parametrize("name", ["d2po", "dmpo"])
def test_losses_of_tokens_need_labels(name: str) -> None:
    assert "sequence_lengths" not in midpo.generate(name, backend="logps").source


@pytest.mark.parametrize("name", ["dpo", "tis-dpo"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_in_place_the_gradient_is_the_logits_memory(name: str, dtype: Any) -> None:
    given = {k: x.to(dtype) if k.endswith("logits") else x for k, x in base(name).items()}
    _, function = compiled(name, "fused")
    apart = given["policy_logits"].clone().requires_grad_()
    (expected,) = torch.autograd.grad(function(**{**given, "policy_logits": apart}, rows=2), apart)
    leaf = given["policy_logits"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        function(**{**given, "policy_logits": leaf}, inplace_backward=True, rows=2), leaf
    )
    assert gradient.data_ptr() == leaf.data_ptr()
    assert torch.equal(gradient, expected)


def test_features_get_the_gradient_that_eager_gives_them() -> None:
    given = base("everything")
    found = []
    for backend in ("eager", "fused", "linear"):
        _, function = compiled("everything", backend)
        w = given["w"].clone().requires_grad_()
        found.append(torch.autograd.grad(function(**{**given, "w": w}), w)[0])
    assert bool(found[0].any())
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize("name", EIGHT)
def test_linear_is_the_dense_head(name: str) -> None:
    """Hidden states, weight, bias, soft-capping and temperature, against autograd."""
    kernel = midpo.generate(name, backend="linear")
    given = base(name)
    logits = [policy_argument(p) for p in kernel.policies]
    rest = {k: x for k, x in given.items() if k not in logits}
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Any:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    heads = {n: [random(6, 5, 4), random(7, 4), random(7)] for n in logits}
    ours = [x.requires_grad_() for x in heads["policy_logits"]]
    parts = ("hidden", "weight", "bias")
    inputs = {n.replace("logits", part): x for n in logits for part, x in zip(parts, heads[n], strict=True)}
    found = kernel.compile()(**rest, **inputs, logit_softcap=3.0, logit_temperature=0.7)
    dense = {n: 3 * torch.tanh((h @ w.T + b) / 3) / 0.7 for n, (h, w, b) in heads.items()}
    expected = midpo.generate(name).compile()(**rest, **dense)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    for got, wanted in zip(
        torch.autograd.grad(found, ours), torch.autograd.grad(expected, ours), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-14)


def test_linear_takes_the_reference_token_by_token() -> None:
    function = midpo.generate("dpo", backend="linear").compile()
    given = base("dpo")
    eye = torch.eye(7, dtype=torch.float64)
    rest = {"labels": given["labels"], "policy_weight": eye}
    rest["policy_hidden"] = given["policy_logits"]
    z = given["reference_logits"]
    each = z.log_softmax(-1).gather(-1, given["labels"].clamp(min=0)[..., None])[..., 0]
    assert torch.equal(
        function(**rest, reference_token_logps=each),
        function(**rest, reference_hidden=z, reference_weight=eye),
    )
    with pytest.raises(ValueError, match=r"^reference_hidden: got nothing"):
        function(**rest)
    with pytest.raises(ValueError, match=r"^reference_token_logps: got shape"):
        function(**rest, reference_token_logps=each[:1])


@pytest.mark.parametrize("name", ["dpo", "ipo-average"])  # the latter needs lengths besides
def test_linear_takes_the_reference_response_by_response(name: str) -> None:
    """Padded and packed, with gaps in the responses; where whole responses tell enough."""
    function = midpo.generate(name, backend="linear").compile()
    given = base("dpo")
    labels, eye = given["labels"].clone(), torch.eye(7, dtype=torch.float64)
    labels[0, 0] = labels[1, 1] = -100
    mask = labels != -100
    each = given["reference_logits"].log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    sums = torch.where(mask, each, 0.0).sum(1)
    rest = {"policy_weight": eye, "labels": labels, "policy_hidden": given["policy_logits"]}
    inside = torch.ones_like(mask)
    inside[0, 0] = inside[1, 1] = False
    starts = torch.nn.functional.pad(inside.sum(1).cumsum(0), (1, 0))
    packed = {k: x if k == "policy_weight" else x[inside] for k, x in rest.items()}
    for way, tokens in ((rest, each), (packed | {"cu_seqlens": starts}, each[inside])):
        expected, logged = function(**way, reference_token_logps=tokens, metrics=True)
        found, other = function(**way, reference_logps=sums, metrics=True)
        torch.testing.assert_close((found, other), (expected, logged), rtol=1e-12, atol=1e-13)
    for wrong, said in ((sums[:1], "got shape"), (sums.long(), "got torch.int64")):
        with pytest.raises(ValueError, match=f"^reference_logps: {said}"):
            function(**rest, reference_logps=wrong)
    with pytest.raises(ValueError, match=r"^reference_logps: got it beside those of each token"):
        function(**rest, reference_logps=sums, reference_token_logps=each)
    with pytest.raises(TypeError, match="reference_logps"):
        midpo.generate("dmpo", backend="linear").compile()(**rest, reference_logps=sums)


@pytest.mark.parametrize("backend", ["fused", "linear"])
def test_the_same_bits_every_time(backend: str) -> None:
    given = base("tdpo", v=40_000, t=3, pairs=1)
    given = {k: x.float() if k.endswith("logits") else x for k, x in given.items()}
    if backend == "linear":
        pytest.skip("its products are torch's own")
    first, second = (both("tdpo", backend, given)[1] for _ in range(2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_checkpointing_and_autocast() -> None:
    from torch.utils.checkpoint import checkpoint

    given = base("tdpo")
    _, function = compiled("tdpo", "fused")
    expected = both("tdpo", "fused", given)[1][1]
    logits = given.pop("policy_logits").requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = checkpoint(
            lambda z: function(policy_logits=z, **given, reduction="none"), logits, use_reentrant=False
        )
    weights = torch.arange(1, 4, dtype=loss.dtype)
    assert torch.equal(torch.autograd.grad((loss * weights).sum(), logits)[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "logps", "fused", "linear"])
@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_compiles_without_a_graph_break(
    backend: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = midpo.generate("dpo", backend=backend)
    (tmp_path / f"kernel_{backend}_{layout}.py").write_text(kernel.source)
    monkeypatch.syspath_prepend(str(tmp_path))
    plain = getattr(importlib.import_module(f"kernel_{backend}_{layout}"), kernel.function)
    function = from_logits(torch, Imported(kernel, plain))
    given = base("dpo")
    if layout == "packed":
        keep = torch.ones_like(given["labels"], dtype=torch.bool)
        keep[0, 4] = keep[3, 3:] = False
        given = packed_of(given, keep) | {"max_seqlen": 5}
    quick = torch.compile(
        lambda z: function(**{**given, "policy_logits": z}, validate=False),
        fullgraph=True,
        backend="aot_eager",
    )
    logits = given["policy_logits"].requires_grad_()
    found, expected = quick(logits), function(**given)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    gradients = [torch.autograd.grad(x, logits)[0] for x in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)


class Imported:
    """A kernel whose file was imported rather than executed from text."""

    def __init__(self, kernel: Kernel, function: Callable[..., Any]) -> None:
        self.kernel, self.function = kernel, function

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)

    def compile(self) -> Callable[..., Any]:
        return self.function


@pytest.mark.parametrize("name", ["dpo", "tdpo"])
def test_registered_operators_pass_torchs_own_checks(name: str) -> None:
    function = midpo.generate(name, backend="fused").compile()
    space = function.__globals__
    given = base(name, pairs=1)
    labels = given["labels"]
    logits = given["policy_logits"].requires_grad_()
    for where in (space["NEW"], space["AHEAD"]):
        torch.library.opcheck(
            space["_forward"],
            ([logits], [given["reference_logits"]], labels.clamp(min=-1), [], [], 2, "", where),
            test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
        )


def test_logps_refuses_by_the_term() -> None:
    with pytest.raises(NotYet, match=r"kl\(pi_ref, pi, y_[wl], t\) needs the whole distribution"):
        midpo.generate("tdpo", backend="logps")


def test_a_backend_that_is_not_there() -> None:
    with pytest.raises(midpo.MidpoError, match='no backend "cuda"'):
        midpo.generate("dpo", backend="cuda")


def test_a_users_name_is_no_argument_of_a_backend() -> None:
    """Such names are refused when the spec is read, whichever backend is asked for later."""
    own = {name for backend in BACKENDS.values() for name in backend.keywords}
    assert own and own <= RESERVED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy_logits": None}, "policy_logits: got None"),
        ({"labels": torch.zeros(3, 5, dtype=torch.int64)}, "labels: got shape"),
        ({"labels": torch.full((6, 5), 9)}, "labels: got 9, needs 0..6"),
        ({"alpha": 0.0}, "alpha: got 0.0"),
        ({"reduction": "avg"}, "reduction: got 'avg'"),
        ({"cu_seqlens": torch.tensor([0, 3])}, "labels: got shape"),
    ],
)
def test_wrong_arguments(change: dict[str, Any], message: str) -> None:
    function = midpo.generate("dpo", backend="fused").compile()
    with pytest.raises(ValueError) as caught:
        function(**{**base("dpo"), **change})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "backend"),
    [("dpo", "fused"), ("dpo", "logps"), *(("tdpo", b) for b in ("fused", "linear", "triton", "native"))],
)
def test_text_is_pinned(name: str, backend: str, golden: Callable[[str, str], None]) -> None:
    kernel = midpo.generate(name, backend=backend, thin=True)
    golden(f"kernels/{kernel.function}_{backend}.py", kernel.source)
    assert kernel.digest in kernel.source
    assert emit.generate(spec_of(name), backend, thin=True).source == kernel.source


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_thin_file_gives_the_same_numbers(backend: str) -> None:
    name = "dpo" if backend == "logps" else "tdpo"
    whole, thin = (midpo.generate(name, backend=backend, thin=thin) for thin in (False, True))
    assert len(thin.source) < len(whole.source) / 1.4
    assert ("from midpo" in thin.source, "from midpo" in whole.source) == (True, False)
    assert thin.mathematics.count("def ") <= whole.mathematics.count("def ")
    found = []
    for kernel in (whole, thin):
        given = base(name)
        logits = given["policy_logits"].float().requires_grad_()
        given = {k: x.float() if k.endswith("logits") else x for k, x in given.items()}
        loss = from_logits(torch, kernel)(**{**given, "policy_logits": logits})
        found.append((loss.detach(), *torch.autograd.grad(loss, logits)))
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_say_whose_they_are(backend: str) -> None:
    for thin in (False, True):
        header = midpo.generate("dpo", backend=backend, thin=thin).source.partition('"""\n\n')[0]
        assert "\nThis file is yours, without conditions.\n" in header
        assert ("needs midpo" in header) is thin


MISTAKES = [
    ("tdpo", "= grad_kl_reference_policy -", "= 0 * grad_kl_reference_policy -"),
    ("tdpo", "reference_logps.sub_(policy_logps)", "reference_logps.add_(policy_logps)"),
    ("dpo", "gradient.scatter_add_(-1, index, ours * grad_policy_token_logps[:, None])", "pass"),
    ("dpo", "coefficient = -grad_policy_token_logps", "coefficient = grad_policy_token_logps"),
    ("tis-dpo", "- grad_kl_policy_reference * kl_policy_reference", ""),
    ("dpo", "at in range(start, stop, rows)", "at in range(start, stop - 1, rows)"),
    ("tdpo", "- totals[n].log())", "- totals[0].log())"),
    ("dpo", "tables[0].mul_(total.reciprocal()[:, None])", "pass"),
    ("orpo", ".masked_fill_(ours, -torch.inf)", ""),
]


@pytest.mark.parametrize("name", EIGHT)
@pytest.mark.parametrize("backend", FROM_LOGITS)
def test_cross_check_agrees(name: str, backend: str) -> None:
    compiled(name, backend)
    found = midpo.check(name, backend=backend, trials=2, dtypes=["float64", "bfloat16"])
    assert found.passed, found.failure
    assert found.as_json()["backend"] == backend


@pytest.mark.parametrize(("name", "old", "new"), MISTAKES)
def test_cross_check_catches(name: str, old: str, new: str) -> None:
    kernel = midpo.generate(name, backend="fused")
    assert old in kernel.source
    wrong = dataclasses.replace(kernel, source=kernel.source.replace(old, new))
    assert caught(name, wrong, trials=4, dtypes=["float64"])


def test_the_documented_training_step_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "kernels.md").read_text()
    program = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.manual_seed(0)
    exec(compile(program, "docs/kernels.md", "exec"), {})


@pytest.mark.parametrize("backend", ["eager", *FROM_LOGITS])
def test_a_parameter_may_have_the_name_of_a_local_variable(backend: str) -> None:
    text = """name = "renamed"
[parameters]
NAME = { domain = "positive", default = 2.0 }
[target]
margin = "NAME*log(pi(y_w)/pi_ref(y_w)) - NAME*log(pi(y_l)/pi_ref(y_l))"
"""
    given = {k: x for k, x in base("dpo").items() if k != "alpha"}
    plain = midpo.generate(midpo.loads(text.replace("NAME", "beta")), backend=backend)
    code = plain.compile().__code__
    expected = from_logits(torch, plain)(**given, beta=0.7)
    arguments_ = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    taken = 0
    for name in sorted({*code.co_varnames} - {*arguments_, "_"}):
        try:
            kernel = midpo.generate(midpo.loads(text.replace("NAME", name)), backend=backend)
        except NotYet as error:
            assert f'the parameter "{name}" would be the argument' in str(error)
            continue
        taken += 1
        assert torch.equal(from_logits(torch, kernel)(**given, **{name: 0.7}), expected), name
    assert taken
