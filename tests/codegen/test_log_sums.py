"""Logarithms of sums over the vocabulary of products of powers: finite wherever logits are."""

from __future__ import annotations

import random
from contextlib import nullcontext
from fractions import Fraction
from typing import Any

import pytest
from exponentials import HEAD
from test_stable import agrees, case

import midpo

torch = pytest.importorskip("torch", reason="kernels run on torch")

from midpo.numeric.checking.adapting import from_logits  # noqa: E402

SUM = "sum(pi(y_w, t, v)**({0})*pi_ref(y_w, t, v)**({1}) for v in vocab)"
LOG = "sum(log(" + SUM + ") for t in y_w)/len(y_w)"
FORMS = {
    "symbolic": LOG.format("1 + b", "-b") + " - " + LOG.format("1 - n", "n"),
    "divergence of order c": "(" + LOG.format("c", "1 - c") + ")/(c - 2)",
    "of a context": "sum(log(sum(pi(y_w, t, v)*exp(pi(y_w, t)*log(pi_ref(y_w, t, v)))"
    " for v in vocab)) for t in y_w)",
    "of several": "sum(log(sum(g*pi_old(y_w, t, v)**2/pi(y_w, t, v) + pi_ref(y_w, t, v)**9"
    " + sqrt(pi(y_w, t, v)*pi_old(y_w, t, v)) for v in vocab)) for t in y_w)",
    "share": "sum(min(3, g/(g + " + SUM.format("2", "-1") + ")) for t in y_w)",
    "quotient": "sum(sqrt("
    + SUM.format("2", "b")
    + "/("
    + SUM.format("b", "2")
    + " + "
    + SUM.format("2", "b")
    + ")) for t in y_w)",
}


EXCESS = {
    "alpha": "sum((1 - " + SUM.format("c", "1 - c") + ")/(c*(1 - c)) for t in y_w)/len(y_w)",
    "beside a weight": "sum(pi_old(y_w, t)*(" + SUM.format("1 - c", "c") + " - 1)/c for t in y_w)",
    "entropy": "sum((1 - sum(pi(y_w, t, v)**c for v in vocab))/(c - 1) for t in y_w)/len(y_w)",
    "Hellinger": "sum(1 - sum(sqrt(pi(y_w, t, v)*pi_ref(y_w, t, v)) for v in vocab) for t in y_w)",
}


@pytest.mark.parametrize("kind", ["ordinary", "near", "huge"])
@pytest.mark.parametrize("name", EXCESS)
def test_divergences_are_counted_from_0(name: str, kind: str) -> None:
    """Policies that are nearly equal or far from each other, an order at the ends of its domain."""
    for c in ("1e-7", "3/4") if "weight" in name else ("1e-7", "3/4", "0.9999990463256836"):
        for backend in ("eager", "fused"):
            agrees(EXCESS[name], case(kind, 1, (("c", c),)), backend)


def test_a_term_that_is_a_number_times_a_probability_is_summed() -> None:
    text = "sum(sum((pi(y_w, t, v) - pi_ref(y_w, t, v))**2/pi_ref(y_w, t, v) for v in vocab) for t in y_w)"
    for backend in ("eager", "fused", "linear"):
        agrees(text, case("ordinary"), backend)


def powers(seed: int) -> tuple[Fraction, Fraction]:
    """Exponents of either sign, that add up to 1 in every second case."""
    rng = random.Random(seed)
    a, b = (Fraction(rng.choice((-1, 1)) * rng.randint(1, 24), 8) for _ in range(2))
    return (a, 1 - a) if seed % 2 else (a, b)


@pytest.mark.parametrize("kind", ["ordinary", "huge"])
@pytest.mark.parametrize("name", FORMS)
def test_logarithms_of_sums_keep_their_digits(name: str, kind: str) -> None:
    for backend in ("eager", "fused"):
        agrees(FORMS[name], case(kind), backend)


@pytest.mark.parametrize("seed", range(6))
def test_random_powers_do(seed: int) -> None:
    text, dtype = LOG.format(*powers(seed)), ("float32", "float64")[seed // 2 % 2]
    for kind, backend in (("ordinary", "eager"), ("huge", "linear")):
        agrees(text, case(kind, seed), backend, dtype)


def written_out(z: Any, reference: Any, labels: Any, a: Fraction, b: Fraction, counted: Any) -> Any:
    """The loss of each pair in float64, from the entries that are counted."""
    ours, theirs = z.double().log_softmax(-1), reference.double().log_softmax(-1)
    sums = (float(a) * ours + float(b) * theirs).where(counted, -torch.inf).logsumexp(-1)
    inside = labels != -100
    return (torch.where(inside, sums, 0.0).sum(-1) / inside.sum(-1)).chunk(2)[0]


@pytest.mark.parametrize("backend", ["eager", "fused", "linear", "triton", "native"])
def test_long_vocabularies_and_entries_without_mass(backend: str) -> None:
    """More entries than any block has; whole parts of a row have no mass under the policy."""
    generator, (a, b) = torch.Generator().manual_seed(0), (Fraction(5, 4), Fraction(-1, 2))
    kernel = midpo.generate(midpo.loads(f'{HEAD}[target]\nloss = "{LOG.format(a, b)}"\n'), backend=backend)
    z, reference = (1e4 * torch.randn(2, 3, 1500, generator=generator) for _ in range(2))
    labels = torch.randint(1200, (2, 3), generator=generator)
    labels[0, 1] = -100
    if backend != "linear":  # 0 times -inf is no number in a product with a head
        z[:, :, 1200:] = -torch.inf
    counted = z > -torch.inf
    z.requires_grad_()
    wanted = written_out(z, reference, labels, a, b, counted)
    (slope,) = torch.autograd.grad(wanted.sum(), z)
    told = pytest.warns(UserWarning, match="a logarithm of a sum counts its terms from")
    with told if backend in ("triton", "native") else nullcontext():
        found = from_logits(torch, kernel)(
            policy_logits=z, reference_logits=reference, labels=labels, reduction="none"
        )
    (gradient,) = torch.autograd.grad(found.sum(), z)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, slope, rtol=1e-2, atol=1e-6)


def test_sums_that_need_no_maximum_are_summed() -> None:
    """The sum of p**2 is far from the ends of float32, and one pass over the logits gives it."""
    source = midpo.generate("wpo", backend="native").source
    assert "logsumexp" not in source and "counts its terms" not in source


@pytest.mark.parametrize("backend", ["eager", "fused", "linear"])
def test_a_nan_is_not_left_out_of_a_sum(backend: str) -> None:
    """Entries whose probability is 0 are left out, a NaN is none: its pair has no loss."""
    chi = "sum((sum(pi({0}, t, v)**2/pi_ref({0}, t, v) for v in vocab) - 1)/2 for t in {0})"
    loss = f"-log(sigmoid({chi.format('y_w')} - {chi.format('y_l')}))"
    spec = midpo.loads(f'name = "chi"\n[target]\nloss = "{loss}"\n')
    found = midpo.check(spec, backend=backend, dtypes=["float32"], trials=2)
    assert found.passed, found.failure


@pytest.mark.parametrize("name", ["beside a weight", "Hellinger"])
def test_gradients_of_sums_counted_from_1_keep_their_digits_far_from_there(name: str) -> None:
    """Policies of some scenes are nearly sure, and of different tokens."""
    spec = midpo.loads(f'{HEAD}[target]\nloss = "{EXCESS[name]}"\n')
    found = midpo.check(spec, backend="fused", dtypes=["float64"], trials=6)
    assert found.passed, found.failure
