"""Responses beside the pair, and losses of a batch: declared, read, evaluated, generated."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import midpo
from midpo.proofs.compare.comparison import compare
from midpo.symbolic.errors import NotYet, SpecError
from midpo.symbolic.language.nodes import Further, roles
from midpo.symbolic.language.spec import load, loads, policy_argument

torch = pytest.importorskip("torch")

from midpo.codegen.backends import BACKENDS  # noqa: E402  (the tests that follow need torch)
from midpo.numeric.checking.adapting import from_logits  # noqa: E402

THIRD = '[responses]\ny_g = "a gold answer"\n'
BACKENDS_HERE = [name for name in BACKENDS if name not in ("triton", "native")]  # in float64


def spec_of(target: str, more: str = THIRD) -> midpo.Spec:
    return loads(f'name = "a"\n[parameters]\nalpha = "positive"\n{more}[target]\nloss = "{target}"')


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ('[responses]\ng = "gold"', "responses.g", "is not a name of a response"),
        ('[responses]\ny_w = "gold"', "responses.y_w", "already has a meaning"),
        ('[responses]\ny_1 = "gold"', "responses.y_1", "is not a name of a response"),
        ("[responses]\ny_g = 1", "responses.y_g", "does not say what it is"),
        ('[responses]\ny_g = ""', "responses.y_g", "does not say what it is"),
        ('[responses]\ny_g = "\\\\input{x}"', "responses.y_g", "does not say what it is"),
        ("responses = 1", "responses", "a number"),
        ("[responses]\n" + "".join(f'y_{c} = "one"\n' for c in "abcdefg"), "responses", "at most 6"),
        ('[parameters]\ny_g = "real"', "parameters.y_g", "cannot be used as a name"),
    ],
)
def test_bad_responses(text: str, key: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(f'name = "a"\nprior = "1"\n{text}')
    assert caught.value.key == key and problem in str(caught.value)


@pytest.mark.parametrize(
    ("prior", "target", "problem"),
    [
        ("pi(y_g)", "-log(pi(y_w))", "`y_g` is not a response here"),
        ("1", "-log(pi(y_q))", "`y_q` is not a response here"),
        ("1", "y_g", "`y_g` is a response, not a number"),
        ("1", "sum(pi(y_w, t) for t in y_g)", "runs over the tokens of y_g, not of y_w"),
        ("1", "sum(1 for y_g in y_w)", "`y_g` has another meaning here"),
    ],
)
def test_where_a_response_may_stand(prior: str, target: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        loads(f'name = "a"\nprior = "{prior}"\n{THIRD}[target]\nloss = "{target}"')


def test_roles_are_the_responses_that_a_term_speaks_of() -> None:
    spec = spec_of("-log(pi(y_w)) + len(y_g)*log(pi(y_l))")
    assert spec.loss is not None
    assert {frozenset(map(str, roles(term))) for term in spec.loss.args} == {
        frozenset({"y_w"}),
        frozenset({"y_g", "y_l"}),
    }
    assert [type(role) is Further for role in spec.roles] == [False, False, True]
    shown = spec._repr_latex_()
    assert r"\ell(y_w, y_l, y_g)" in shown and r"\pi(y_w\mid x)" in shown


def three(name: str) -> tuple[midpo.Spec, dict[str, Any], Any]:
    """Two prompts with three responses each, of different lengths."""
    spec = load(name) if name in midpo.catalogue() else loads(name)
    generator = torch.Generator().manual_seed(1)
    shape = (2 * len(spec.roles), 4, 5)
    given = {
        policy_argument(p): torch.randn(shape, generator=generator, dtype=torch.float64)
        for p in spec.policies
    }
    labels = torch.randint(0, 5, shape[:2], generator=generator)
    for row in range(shape[0]):
        labels[row, 1 + row % 4 :] = -100
    return spec, given, labels


def logps(given: dict[str, Any], labels: Any, policy: str) -> list[list[float]]:
    """Log-probabilities of the labels of each row, by plain loops."""
    found = []
    for rows, row in zip(given[policy].tolist(), labels.tolist(), strict=True):
        found.append(
            [z[v] - math.log(sum(map(math.exp, z))) for z, v in zip(rows, row, strict=True) if v >= 0]
        )
    return found


@pytest.mark.parametrize("backend", BACKENDS_HERE)
def test_the_third_response_is_the_third_block_of_the_batch(backend: str) -> None:
    spec, given, labels = three("tpo")
    found = from_logits(torch, midpo.generate(spec, backend=backend))(
        labels, **given, alpha=0.7, lam=0.3, reduction="none"
    )
    sums = [sum(row) for row in logps(given, labels, "policy_logits")]
    wanted = [math.log1p(math.exp(-0.7 * (sums[b] - sums[b + 2]))) - 0.3 * sums[b + 4] for b in range(2)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_length_of_the_other_response_is_that_of_the_pair() -> None:
    """`len(y_l)` in a sum over y_w, with a third response in the batch."""
    spec, given, labels = three(
        f'name = "a"\n{THIRD}[target]\nloss = "-sum(log(pi(y_w,t))*exp(-t/len(y_l)) for t in y_w)'
        ' - sum(log(pi(y_l,t))*exp(-t/len(y_w)) for t in y_l) - log(pi(y_g))"'
    )
    found = midpo.generate(spec).compile()(labels=labels, **given, reduction="none")
    rows = logps(given, labels, "policy_logits")

    def side(row: list[float], other: list[float]) -> float:
        return -sum(x * math.exp(-t / len(other)) for t, x in enumerate(row, start=1))

    wanted = [side(rows[b], rows[b + 2]) + side(rows[b + 2], rows[b]) - sum(rows[b + 4]) for b in range(2)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_sum_over_one_response_that_speaks_of_a_third_is_refused() -> None:
    with pytest.raises(NotYet, match="mixes tokens of two responses"):
        midpo.generate(spec_of("-sum(log(pi(y_w,t))*exp(-t/len(y_g)) for t in y_w)"))


def test_a_margin_that_speaks_of_a_third_response_has_no_prior() -> None:
    spec = spec_of("-logsigmoid(alpha*log(pi(y_w)) - alpha*log(pi(y_l)) + log(pi(y_g)))")
    found = midpo.solve(spec)
    assert found.kind == "none" and found.witness is not None and "y_g" in found.reason


def test_what_is_added_for_a_third_response_is_seen() -> None:
    """A constraint on the wrong response is another loss."""
    source = (Path(midpo.__file__).parent / "symbolic" / "catalogue" / "tpo.toml").read_text()
    written = source.replace(
        'margin = "alpha*log(pi(y_w)) - alpha*log(pi(y_l))"',
        'loss = "-logsigmoid(alpha*log(pi(y_w)) - alpha*log(pi(y_l))) - lam*log(pi(y_g))"',
    )
    assert written != source and midpo.verify(loads(written)).verdict == "proved"
    wrong = loads(written.replace("- lam*log(pi(y_g))", "- lam*log(pi(y_w))"))
    assert midpo.verify(wrong).verdict == "refuted"
    found = compare(load("tpo"), load("cpo"))
    assert found.witness is not None and [str(s) for s in found.settings] == ["lam = 0"]


# --- Batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ('loss = "sorted(log(pi(y_w)))"', "`sorted` speaks of a whole batch"),
        ('batch = "sorted(sorted(log(pi(y_w))))"', "outside sums and other sorted"),
        ('batch = "sum(sorted(log(pi(y_w, t))) for t in y_w)"', "outside sums and other sorted"),
        ('batch = "1"\nloss = "1"', "2 targets"),
    ],
)
def test_where_sorted_may_stand(target: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        loads(f'name = "a"\nreason = "it is of a batch"\n[target]\n{target}')


def test_a_batch_needs_a_reason() -> None:
    with pytest.raises(SpecError, match="without a reason"):
        loads('name = "a"\n[target]\nbatch = "log(pi(y_w))"')


@pytest.mark.parametrize("backend", BACKENDS_HERE)
@pytest.mark.parametrize("name", ["aot", "aot-unpaired"])
def test_aot_orders_the_batch(name: str, backend: str) -> None:
    """Against plain loops; and the loss does not depend on the order of the pairs."""
    kernel = midpo.generate(name, backend=backend)
    generator = torch.Generator().manual_seed(0)
    pairs, function = 5, from_logits(torch, kernel)
    given = {
        policy_argument(p): torch.randn(2 * pairs, 3, 4, generator=generator).double()
        for p in kernel.policies
    }
    labels = torch.randint(0, 4, (2 * pairs, 3), generator=generator)
    found = function(labels, **given, alpha=0.5, reduction="none")
    sums = {p: [sum(row) for row in logps(given, labels, p)] for p in given}
    policy, reference = sums["policy_logits"], sums["reference_logits"]
    if name == "aot":
        sides = [[own[b] - own[b + pairs] for b in range(pairs)] for own in (policy, reference)]
    else:
        ratios = [a - b for a, b in zip(policy, reference, strict=True)]
        sides = [ratios[:pairs], ratios[pairs:]]
    wanted = [math.log1p(math.exp(-0.5 * (a - b))) for a, b in zip(*map(sorted, sides), strict=True)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)
    order = torch.tensor([3, 1, 4, 0, 2])
    rows = torch.cat([order, order + pairs])
    moved = function(labels[rows], **{k: z[rows] for k, z in given.items()}, alpha=0.5)
    torch.testing.assert_close(moved, found.mean(), rtol=1e-12, atol=0)


def test_kernels_of_batches_say_so() -> None:
    source = midpo.generate("aot").source
    assert "do not add up to their batch's" in source
    for first, second in pairwise(["2B..3B-1 are y_c", "3B..4B-1 are y_d"]):
        text = midpo.generate("infonca-list").source
        assert text.index(first) < text.index(second)


def test_a_list_of_two_is_infonca() -> None:
    """The loss of four responses, where two have no weight in the soft label or the sum."""
    kernel = midpo.generate("infonca-list")
    generator = torch.Generator().manual_seed(3)
    given = {policy_argument(p): torch.randn(4, 3, 6, generator=generator).double() for p in kernel.policies}
    labels = torch.randint(0, 6, (4, 3), generator=generator)
    given["policy_logits"][2:].scatter_add_(  # two responses that hardly come
        -1, labels[2:, :, None], torch.full((2, 3, 1), -400.0).double()
    )
    weight = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
    found = kernel.compile()(labels=labels, **given, weight=weight, alpha=0.5)
    pair = midpo.generate("infonca").compile()(
        labels=labels[:2], **{k: z[:2] for k, z in given.items()}, alpha=0.5
    )
    torch.testing.assert_close(found, pair, rtol=1e-12, atol=0)
