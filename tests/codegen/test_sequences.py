"""`--for sequence`: a module of log-probabilities, against the readable kernel on tokens."""

from __future__ import annotations

import math
from typing import Any

import pytest
from test_kernel import value_of

import midpo
from midpo.generating import takes_of
from midpo.symbolic.errors import NotYet

torch = pytest.importorskip("torch", reason="kernels run on torch")

PAIRS, TOKENS, VOCABULARY = 4, 5, 7
TAKES = {n: t for n in midpo.catalogue() if (t := takes_of(midpo.load(n))) is not None}
FIT = [n for n, t in TAKES.items() if t.needs in ("responses", "lengths") and len(t.responses) == 2]


def short_of(policy: str) -> str:
    return {"pi": "policy", "pi_ref": "reference"}.get(policy, policy.removeprefix("pi_"))


@pytest.mark.parametrize("name", FIT)
def test_it_is_the_loss_of_the_tokens(name: str) -> None:
    kernel = midpo.generate(name)
    module = midpo.generate(name, where="sequence").compile()
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Any:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    labels = torch.randint(0, VOCABULARY, (2 * PAIRS, TOKENS), generator=generator)
    for row in range(2 * PAIRS):
        labels[row, : row % 3] = -100
    counted = labels != -100
    logits = {short_of(p): random(2 * PAIRS, TOKENS, VOCABULARY).requires_grad_() for p in kernel.policies}
    sums = {
        n: (x.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0] * counted).sum(1)
        for n, x in logits.items()
    }
    shapes = {"response": (2 * PAIRS,), "pair": (PAIRS,)}
    features = {n: random(*shapes[k]).abs().clamp(0.1, 0.9) for n, k in kernel.features.items()}
    parameters: dict[str, Any] = {n: value_of(n, d) for n, d in kernel.parameters.items()}
    expected, logged = kernel.compile()(
        **{f"{n}_logits": x for n, x in logits.items()},
        labels=labels, **features, **parameters, reduction="none", metrics=True,
    )  # fmt: skip
    sides = {n: x.chunk(2) for n, x in sums.items()}
    lengths = dict(zip(("chosen_lengths", "rejected_lengths"), counted.sum(1).chunk(2), strict=True))
    losses, chosen, rejected = module(**parameters)(
        *sides["policy"],
        *sides.get("reference", ()),
        **(lengths if kernel.needs == "lengths" else {}),
        policies={n: x for n, x in sides.items() if n not in ("policy", "reference")},
        features=features,
    )
    torch.testing.assert_close(losses, expected, rtol=1e-10, atol=1e-12)
    for side, found in (("chosen", chosen), ("rejected", rejected)):
        wanted = logged.get(f"rewards/{side}", torch.full_like(losses, math.nan))
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12, equal_nan=True)
        assert not found.requires_grad
    leaf = logits["policy"]
    one, other = (torch.autograd.grad(x.sum(), leaf, retain_graph=True)[0] for x in (expected, losses))
    torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)


def test_all_that_can_be_are_modules() -> None:
    assert len(FIT) == 47 + 14 + 7
    usual = [n for n in FIT if {*TAKES[n].policies} <= {"pi", "pi_ref"}]
    assert len(usual) == 47 + 14


@pytest.mark.parametrize("name", ["tdpo", "dmpo", "tpo"])
def test_others_say_what_they_need(name: str) -> None:
    said = {"tdpo": r"tdpo needs kl\(pi_ref", "dmpo": "dmpo needs the log-probability of each token"}
    with pytest.raises(NotYet, match=said.get(name, "tpo has 3 responses")):
        midpo.generate(name, where="sequence")


def test_it_is_called_as_trainers_call_theirs() -> None:
    """By position, by a loss without a reference too; the mean where they ask for that."""
    given = [torch.tensor([-3.0, -4.0]), torch.tensor([-5.0, -3.5]), torch.tensor([-3.2, -4.4])]
    dpo = midpo.generate("dpo", where="sequence").compile()
    losses, chosen, rejected = dpo(alpha=0.5)(*given, torch.tensor([-5.1, -3.0]))
    margin = 0.5 * ((given[0] - given[2]) - (given[1] - torch.tensor([-5.1, -3.0])))
    torch.testing.assert_close(losses, -torch.nn.functional.logsigmoid(margin))
    torch.testing.assert_close(chosen - rejected, margin)
    mean, *_ = dpo(alpha=0.5, reduction="mean")(*given, torch.tensor([-5.1, -3.0]))
    torch.testing.assert_close(mean, losses.mean())
    cpo = midpo.generate("cpo", where="sequence").compile()
    assert torch.equal(cpo()(*given, given[0])[0], cpo()(*given[:2])[0])


@pytest.mark.parametrize(
    ("name", "keywords", "said"),
    [
        ("dpo", {}, "reference_chosen_logps: got None"),
        ("simpo", {}, "chosen_lengths: got None"),
        ("spin", {}, "old_chosen_logps: got None"),
        ("cpo", {"policies": {"old": ()}}, "policies: got old, needs none"),
        ("cpo", {"features": {"s": 1}}, "features: got s, needs none"),
        ("odpo", {"reference": True}, "features: got nothing for"),
    ],
)
def test_what_is_missing_is_named(name: str, keywords: dict[str, Any], said: str) -> None:
    x = torch.tensor([-3.0])
    more = [x, x] if keywords.pop("reference", False) else []
    with pytest.raises(ValueError, match=said):
        midpo.generate(name, where="sequence").compile()()(x, x, *more, **keywords)
    with pytest.raises(ValueError, match="parameters: got gamma2, needs"):
        midpo.generate(name, where="sequence").compile()(gamma2=1.0)
    with pytest.raises(ValueError, match="reduction: got 'middle'"):
        midpo.generate(name, where="sequence").compile()(reduction="middle")
