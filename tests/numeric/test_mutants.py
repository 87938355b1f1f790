"""Planted mistakes in kernels, by text and by wrapper: the check catches every one."""

from __future__ import annotations

import dataclasses
import functools
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from catching import caught
from mutating import mutants, mutants_in_c

import midpo
from midpo.codegen.emit import Kernel

torch = pytest.importorskip("torch", reason="kernels run on torch")

MASK = "mask = labels != ignore_index"
BIAS = "    if bias.numel():\n        out += bias\n"
# spec, backend, text, what stands in its place
TEXT = [
    ("dpo", "eager", "losses.sum() / pairs", "losses.sum() / (pairs + 1)"),
    ("dpo", "eager", "else losses.sum()\n", "else -losses.sum()\n"),
    ("dpo", "eager", "losses.shape[0] if num_pairs is None else num_pairs", "losses.shape[0]"),
    ("dpo", "eager", MASK, "mask = labels != -100"),
    ("dpo", "eager", "starts[:, None] + offsets", "starts[:, None] + offsets * 0"),
    ("dpo", "eager", "inside = offsets < lengths", "inside = offsets < (lengths - 1)"),
    ("dpo", "eager", "(margin > 0).to(", "(margin < 0).to("),
    ("simpo", "eager", "> rejected_reward).to(", "< rejected_reward).to("),
    ("dpo", "eager", "(margin > 0).to(", "(margin >= 0).to("),
    ("dpo", "eager", '"logps/chosen": token_sum2_w', '"logps/chosen": token_sum2_l'),
    ("dpo", "eager", "reference_logits.detach()", "reference_logits"),
    ("dpo", "eager", "torch.where(mask, labels, 0)", "torch.where(mask, labels, 0).roll(1, -1)"),
    ("dpo", "eager", "dtype=dtype)", "dtype=policy_logits.dtype)"),
    ("dpo", "eager", "_need(0 < alpha < torch.inf,", "_need(alpha == alpha,"),
    ("dpo", "eager", "= chosen - rejected", "= rejected - chosen"),
    ("dpo", "eager", MASK, MASK + "\n    mask = mask & (mask.cumsum(-1) > 1)"),
    ("dpo", "eager", MASK, MASK + "\n    mask = mask & (mask.flip(-1).cumsum(-1).flip(-1) > 1)"),
    ("dpo", "eager", "-F.logsigmoid(margin)", "-torch.log(torch.sigmoid(margin))"),
    ("dpo", "eager", "-F.logsigmoid(margin)", "-F.logsigmoid(margin.clamp(-50, 50))"),
    ("dpo", "eager", "-F.logsigmoid(margin)", "-F.logsigmoid(margin).mean().expand(margin.shape)"),
    ("simpo", "eager", "mask.sum(-1)", "(mask | True).sum(-1)"),
    ("simpo", "eager", "mask.sum(-1)", "(mask.sum(-1) + 1)"),
    ("simpo", "eager", "- gamma", "+ gamma"),
    ("tdpo", "eager", "+ kl_reference_policy", "+ kl_reference_policy.detach()"),
    ("dpo", "fused", "losses.sum() / pairs", "losses.mean()"),
    ("dpo", "fused", "labels == ignore_index", "labels == -100"),
    ("dpo", "fused", "torch.where(present, loss, 0.0)", "loss"),
    ("dpo", "linear", "torch.where(present, loss, 0.0)", "loss"),
    ("simpo", "eager", "torch.where(present.repeat(of)[:, None], mask, first)", "mask"),
    ("dpo", "logps", "if num_pairs is None else num_pairs", "if True else num_pairs"),
    ("dpo", "logps", MASK, "mask = labels != -100"),
    ("dpo", "linear", "gradient.div_(temperature)", "gradient.div_(temperature).div_(temperature)"),
    ("dpo", "linear", BIAS, f"    out.copy_(out.bfloat16())\n{BIAS}"),
    ("dpo", "linear", BIAS, ""),
    ("dpo", "linear", ".tanh_().mul_(softcap)", ".tanh_()"),
    ("dpo", "native", "begin += BLOCK", "begin += 2 * BLOCK"),
    ("dpo", "native", "k == at_label ? grad_policy_token_logps", "k == at_label ? 0.0f"),
    ("dpo", "native", "labels == ignore_index", "labels == -100"),
    ("dpo", "native", "any(other.dtype != logits.dtype for other in frozen)", "False"),
    ("orpo", "eager", "lengths = mask.sum(-1)", "lengths = labels.new_full((mask.shape[0],), 6)"),
    ("orpo", "eager", "token_log_sum_l + torch.log(1 / lengths_l)", "token_log_sum_l"),
    ("tdpo", "eager", '"kl/reference_policy": ', '"kl/reference_policy": 2 * '),
    ("dpo", "eager", '            "logps/chosen": token_sum2_w,\n', ""),
    ("simpo", "eager", "(x if apart else x.mean()).detach()", "(x if apart else x.mean())"),
    ("dpo", "eager", "else torch.float32", "else torch.float64"),
    ("dpo", "linear", "(1 - (raw * (temperature / softcap)) ** 2)", "(1.0)"),
    ("dpo", "logps", "policy_logps - reference_logps", "policy_logps"),
    ("dpo", "logps", "else losses.sum()\n", "else -losses.sum()\n"),
    ("dpo", "fused", "coefficient = -grad_policy_token_logps", "coefficient = 0 * -seeds[0]"),
    ("dpo", "linear", "counted.cumsum(1) == 1", "counted.cumsum(1) == 2"),
    ("dpo", "fused", "seeds * -torch.expm1(logps)", "seeds"),
    ("tdpo", "fused", "coefficient2 = -grad_kl_reference_policy", "coefficient2 = 0 * -seeds[0]"),
    ("dpo", "native", "sum_policy += each;", "sum_policy = each;"),
    ("dpo", "native", "sum_policy *= scale_policy;", ""),
    ("tdpo", "native", "slope += policy_probs * coefficient2", "slope += policy_probs"),
    ("dpo", "triton", "sum_policy *= scale_policy", "pass"),
    ("dpo", "triton", "sum_policy += each\n", "sum_policy = each\n"),
    ("dpo", "triton", "tl.where(at == here, grad_policy_token_logps, 0.0)", "0.0"),
    ("dpo", "triton", "span = tl.cdiv(tl.cdiv(size, BLOCK), SPLITS) * BLOCK", "span = BLOCK"),
    ("dpo", "triton", "(row % columns) * inner", "(row % columns) * outer"),
    (
        "dpo",
        "triton",
        "tl.store(out + at, tl.zeros((BLOCK,), gradient.dtype.element_ty)",
        "tl.store(out + at, tl.full((BLOCK,), 1.0, gradient.dtype.element_ty)",
    ),
    (
        "dpo",
        "triton",
        "u_policy = _block(base_policy, at, size, True) - top_policy",
        "u_policy = _block(base_policy, at, size, True)",
    ),
    ("dpo", "triton", "labels == ignore_index", "labels == -100"),
    ("dpo", "triton", "losses.sum() / pairs", "losses.mean()"),
    ("tdpo", "triton", "slope = reference_probs * coefficient", "slope = reference_probs * 0.0"),
]


def scaled(factor: Any) -> Callable[[Any], Any]:
    """The identity, whose gradient is multiplied."""

    class Scaled(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return factor(gradient)

    return lambda x: Scaled.apply(x)


def tail(gradient: Any) -> Any:
    gradient = gradient.clone()
    gradient[..., 1024:] = 0
    return gradient


def every_second(gradient: Any) -> Any:
    blocks = torch.arange(gradient.shape[-1]) // 1024 % 2 == 1
    return torch.where(blocks, 0.0, gradient)


def seeded_by_one(gradient: Any) -> Any:
    return torch.ones_like(gradient)


def logits(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """The kernel with its policy's logits changed."""

    def wrapper(function: Any, policy_logits: Any, *rest: Any, **named: Any) -> Any:
        return function(change(policy_logits), *rest, **named)

    return wrapper


def loss(change: Callable[[Any], Any]) -> Callable[..., Any]:
    def wrapper(function: Any, *rest: Any, **named: Any) -> Any:
        found = function(*rest, **named)
        return (change(found[0]), found[1]) if isinstance(found, tuple) else change(found)

    return wrapper


def named(name: str, value: Any) -> Callable[..., Any]:
    """The kernel that takes an argument for another value."""

    def wrapper(function: Any, *rest: Any, **given: Any) -> Any:
        return function(*rest, **(given | {name: value}))

    return wrapper


def leaking(function: Any, **given: Any) -> Any:
    other = given["reference_logits"]
    found = function(**given)
    extra = (other - other.detach()).nan_to_num().sum() * 1e-3
    return found + extra if torch.is_tensor(found) else (found[0] + extra, found[1])


def cut(function: Any, **given: Any) -> Any:
    if given.get("cu_seqlens") is None and given["labels"].shape[-1] > 512:
        given["labels"] = given["labels"].clone()
        given["labels"][:, 512:] = given.get("ignore_index", -100)
    return function(**given)


WRAPPED: dict[str, Callable[..., Any]] = {
    "gradient off in the tail": logits(scaled(tail)),
    "every second block skipped": logits(scaled(every_second)),
    "a gradient of the other sign": logits(scaled(lambda g: -g)),
    "a gradient a percent off": logits(scaled(lambda g: g * 1.01)),
    "a gradient rounded to bfloat16": logits(scaled(lambda g: g.bfloat16().to(g.dtype))),
    "the backward seed ignored": loss(scaled(seeded_by_one)),
    "large logits cut": logits(lambda z: z.clamp(-100, 100)),
    "masked entries counted": logits(lambda z: torch.where(z == -torch.inf, -1.0, z)),
    "a NaN spreads": loss(lambda x: x + 0 * x.sum()),
    "logits rounded to bfloat16 and scaled": logits(lambda z: (z * 1.003).bfloat16().to(z.dtype)),
    "the loss detached": loss(lambda x: x.detach()),
    "the default of a parameter": named("alpha", 0.1),
    "sum for mean": named("reduction", "sum"),
    "num_pairs ignored": named("num_pairs", None),
    "ignore_index ignored": named("ignore_index", -100),
    "a frozen policy gets a gradient": leaking,
    "long responses cut": cut,
}


class Wrapped(Kernel):
    """A kernel called through a wrapper."""

    def compile(self) -> Any:
        function = super().compile()
        wrapper = WRAPPED[self.digest]

        @functools.wraps(function)
        def wrapped(*rest: Any, **given: Any) -> Any:
            return wrapper(function, *rest, **given)

        return wrapped


def planted(spec: str, backend: str, old: str, new: str) -> Kernel:
    kernel = midpo.generate(spec, backend=backend)
    assert old in kernel.source, (spec, backend, old)
    return dataclasses.replace(kernel, source=kernel.source.replace(old, new))


@pytest.mark.parametrize(
    "backend",
    ["logps", *(pytest.param(b, marks=pytest.mark.slow) for b in ("eager", "fused", "linear", "native"))],
)
def test_what_is_right_is_not_caught(backend: str) -> None:
    assert not caught("dpo", midpo.generate("dpo", backend=backend))


@pytest.mark.parametrize(
    "mistake", [m for m in TEXT if m[1] != "native"][::6], ids=lambda m: f"{m[0]}-{m[1]}"
)
def test_a_sample_of_planted_mistakes_is_caught(mistake: tuple[str, str, str, str]) -> None:
    assert caught(mistake[0], planted(*mistake))


def test_each_mistake_has_a_place() -> None:
    for mistake in TEXT:
        planted(*mistake)


# Mutants that compute the same: what the changed line then is, and why.
EQUIVALENT = {
    r"_padded\(": "what pads is masked",
    r"torch\.where\(inside, starts\[:, None\] \+ offsets, -?1\), inside": "what pads is masked",
    r"torch\.where\(mask\.unsqueeze\(-1\), \w+, -?1\.0\)$": "the logits of what is masked",
    r"return (chosen|torch\.where\(mask, chosen, [^)]*\))$": "masked again in every sum",
    r"return torch\.where\(mask, values, -?[12]\.0\)$": "masked again in every sum",
    r"counted = logp > -torch\.inf$": "masked again in every sum",
    r"pairs = losses\.shape\[-1\]": "the losses have one dimension",
    r"> -0\.5, torch\.log\(-torch\.expm1\(\w+\.clamp\(-[12]\.": "nothing below -0.5 is chosen",
    r"_whole\(": "held by the tests of arguments",
    r"torch\.where\(mask, labels, 1\)": "masked again in every sum; of one token none is drawn",
    r"torch\.where\(counted, logp - logq, -?1\.0\)": "times a probability of 0",
    r"(values, 0\.0\)|mask)\.sum\((--1|1)\)": "the last dimension of two is dimension 1",
    r"shape = inside\.shape \+ \(-1,\)": "the size that is left is 1",
    r"torch\.arange\(longest\)": "on a CPU there is one device",
    r"\{key: x if apart else x\.mean\(\) for": "where no metric keeps a graph",
    r"x = torch\.where\(present, x, torch\.nan\)$": "where all that is logged is a number a pair",
    r"^mu\d = mu\d\.to\(dtype\)$": "masked again in every sum",
    r"return torch\.where\(mask, values, -?\d\.5\)$": "masked again in every sum",
    r"(mask\.any|logsumexp)\(1\)": "the last dimension of two is dimension 1",
    r"\(logp\.exp\(\) \* \(logp - logq\)\)": "where no logit is infinite, as in the tests of kernels",
    r"^first = ": "which position of a pair without labels counts is the same",
    r"(mu1|\w+_logps) = torch\.where\(mask, \w+, -?\d(\.0)?\)$": "of a pair without labels",
    r"^return \(mask, present\)$": "where nothing is divided by a length",
    r"^mask = (mask|present\.repeat\(2\)\[:, None\])$": "where nothing is a mean over tokens",
}
# Mistakes that only show where a response's probability is rounded to 1, which no batch draws.
NOT_DRAWN = (r"torch\.expm1\(exponent2?\)\)", r"\.clamp\(max=0\.5\)")
SAME_IN_BACKENDS = {
    r"alpha=1 / rate\)\)$": "the same numbers, in other memory",
    r"else (weight / )?value\)\.sum": "tdpo spends each value that it weights",
    r"_logps = (torch\.where\(mask, \w+(\.detach\(\))?\.to\(dtype\), -{0,2}[012]\.0\)|"
    r"reference_logps\.detach\(\)\.to\(dtype\))$": "masked again in every sum",
    r"shape = inside\.shape \+ \([02],\)": "what is packed has one dimension here",
    r"shape = inside\.shape \+ \(1,\) \* \(values\.dim\(\) - 2\)": "the same of one dimension",
    r"policy_logps = policy_logps\.to\(dtype\)$": "masked again in every sum",
    r"tables\[-1\]": "there is one table then",
    r"spent else weight \* value\)\.sum\(1\)": "the last dimension of two is dimension 1",
    r"torch\.mm\(gradient\.T, rows, \*\*more\)": "where sums are float32's own, on a GPU",
    r"^low = low(\.masked_fill|$)": "tdpo does not sum entries beside the label",
    r"where\(mask, policy_logps, --1\.0\)": "masked again in every sum",
    r"log_policy = tl\.load": "tdpo's derivatives by log-probability and divergence cancel",
    r"scatter_add_\((--1|1),": "the last dimension of two is dimension 1",
}
NO_SHARDS = r"scatter_add_\(-1, index, grad_policy_token_logps"  # each label is here, in `linear`
# tdpo's derivatives by log-probability and by divergence are equal: this factor is 0.
CANCELLED = "slope += policy_probs * coefficient2"
ROWS = ("dpo", "simpo", "tdpo", "sparsepo", "orpo", "ipo", "robust-dpo")


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_generic_mutants_are_caught(name: str) -> None:
    """Twenty of the mutants of each row, at random, without those that compute the same."""
    kernel = midpo.generate(name)
    all_ = [
        m
        for m in mutants(kernel.source)
        if not any(re.search(form, m.now) for form in (*EQUIVALENT, *NOT_DRAWN))
    ]
    tried = random.Random(1).sample(all_, 20)
    survivors = [
        (m.was, m.now) for m in tried if not caught(name, dataclasses.replace(kernel, source=m.source))
    ]
    print(f"{name}: {len(tried) - len(survivors)} of {len(tried)} of {len(all_)} mutants caught")
    assert not survivors


# The functions of each backend's files that compute, of tdpo.
COMPUTING = {
    "fused": ("tdpo_loss", "_gradient", "_read", "_token_sum", "_expectation"),
    "linear": ("_losses", "_gradient", "_read", "_products", "_of_products", "_pull_back"),
    "logps": (),
    "native": ("online", "slopes", "_moved"),
    "triton": ("_online", "_slopes", "_exp", "_probability", "_block"),
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", COMPUTING)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy, of what a mutant computes
def test_generic_mutants_of_every_backend_are_caught(backend: str) -> None:
    """Twelve of each backend's, at random, without those that compute the same."""
    if backend == "triton":
        pytest.importorskip("triton", reason="its interpreter runs the kernels")
    name = "dpo" if backend == "logps" else "tdpo"
    kernel, functions = midpo.generate(name, backend=backend), COMPUTING[backend]
    made = (
        mutants_in_c(kernel.source, functions)
        if backend == "native"
        else mutants(kernel.source, functions=functions)
    )
    all_ = [
        m
        for m in made
        if not any(re.search(form, m.now) for form in (*EQUIVALENT, *SAME_IN_BACKENDS))
        and m.was != CANCELLED
        and not (backend == "linear" and re.search(NO_SHARDS, m.now))
    ]
    tried = random.Random(2).sample(all_, 12)
    survivors = [
        (m.line, m.was, m.now)
        for m in tried
        if not caught(name, dataclasses.replace(kernel, source=m.source))
    ]
    print(f"{backend}: {len(tried) - len(survivors)} of {len(tried)} of {len(all_)} caught")
    assert not survivors


@pytest.mark.slow
def test_every_planted_mistake_is_caught() -> None:
    survivors, tried = [], 0
    for spec, backend, old, new in TEXT:
        tried += 1
        if not caught(spec, planted(spec, backend, old, new)):
            survivors.append((spec, backend, old, new))
    for name in WRAPPED:
        kernel = midpo.generate("dpo", backend="fused")
        values = {f.name: getattr(kernel, f.name) for f in dataclasses.fields(kernel)}
        tried += 1
        if not caught("dpo", Wrapped(**values | {"digest": name})):
            survivors.append(("dpo", "fused", name, ""))
    print(f"{tried - len(survivors)} of {tried} planted mistakes caught")
    assert tried >= 40 and not survivors
