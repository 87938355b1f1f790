"""Policies that are nearly certain: log(1 - p) is known by the other entries, however small."""

from __future__ import annotations

from typing import Any

import pytest

import midpo
from midpo.codegen.backends import SURE
from midpo.symbolic.language.spec import Spec

torch = pytest.importorskip("torch", reason="kernels run on torch")

LOSSES = {
    "response": "-log(1 - pi(y_l)**(1/2))",
    "tokens": "-sum(log(1 - pi(y_l, t)) for t in y_l)",
    "mean": "-log(1 - exp(sum(log(pi(y_l, t)) for t in y_l)/len(y_l)))",
    "odds of a frozen one": "log(1 - pi_ref(y_l)) - log(1 - pi(y_l))",
    "beside a divergence": "-log(1 - pi(y_l)) + sum(kl(pi, pi_ref, y_w, t) for t in y_w)",
}


def of(loss: str) -> Spec:
    return midpo.loads(f'name = "sure"\n[target]\nloss = "{loss}"\n')


def exact(name: str, policy: Any, reference: Any, labels: Any) -> Any:
    """The loss of a pair of responses of three tokens, in float64: no 1 is subtracted from."""

    def logps(logits: Any) -> tuple[Any, Any]:
        others = logits.scatter(-1, labels[..., None], -torch.inf).logsumexp(-1)
        odds = logits.gather(-1, labels[..., None])[..., 0] - others
        low = odds.clamp(min=18.0)
        small = torch.where(odds > 18, -low, (-torch.nn.functional.logsigmoid(odds)).log())
        return torch.nn.functional.logsigmoid(-odds)[1], small[1]  # log(1 - p), log(-log p)

    (complements, small), (_, frozen) = logps(policy), logps(reference)
    if name == "tokens":
        return -complements.sum()

    def whole(small: Any, scale: float) -> Any:
        log = (scale * small.exp()).sum().log() if small.max() > -700 else torch.inf
        return log if log < -30 else torch.log(-torch.expm1(-log.exp()))

    if name == "odds of a frozen one":
        return whole(frozen, 1.0) - whole(small, 1.0)
    loss = -whole(small, {"response": 0.5, "mean": 1 / 3}.get(name, 1.0))
    if name != "beside a divergence":
        return loss
    p, q = (logits.log_softmax(-1)[0] for logits in (policy, reference))
    return loss + (p.exp() * (p - q)).sum()


@pytest.mark.parametrize("name", LOSSES)
def test_other_entries_tell_how_sure_a_policy_is(name: str) -> None:
    labels = torch.tensor([[0, 1, 2], [3, 1, 0]])
    for backend in ("eager", "fused", "linear"):
        kernel = midpo.generate(of(LOSSES[name]), backend=backend)
        loss = kernel.compile()
        assert not kernel.notes
        for beyond in (0.0, 3.0, 40.0, 300.0):
            draw = torch.Generator().manual_seed(3)
            logits = [torch.randn(2, 3, 5, generator=draw) for _ in range(2)]
            logits = [x.scatter_add(2, labels[..., None], torch.full((2, 3, 1), beyond)) for x in logits]
            wide = [x.double() for x in logits]
            wide[0].requires_grad_()
            wanted = exact(name, wide[0], wide[1], labels)
            wanted.backward()
            given = logits[0].clone().requires_grad_()
            head = {} if backend != "linear" else {"policy_weight": torch.eye(5)}
            ref = {}
            if "pi_ref" in LOSSES[name]:
                ref = (
                    {"reference_logits": logits[1]}
                    if backend != "linear"
                    else {"reference_hidden": logits[1], "reference_weight": torch.eye(5)}
                )
            first = "policy_hidden" if backend == "linear" else "policy_logits"
            got = loss(**{first: given}, **head, **ref, labels=labels)
            got.backward()
            assert torch.allclose(got.double(), wanted, rtol=3e-6, atol=3e-7 * beyond), (backend, beyond)
            slope = wide[0].grad
            assert torch.allclose(given.grad.double(), slope, rtol=1e-4, atol=1e-6), (backend, beyond)


def test_log_probabilities_that_round_to_0_are_said_to_hide_it() -> None:
    for name, loss in LOSSES.items():
        if "divergence" not in name:
            kernel = midpo.generate(of(loss), backend="logps")
            assert kernel.notes == (SURE,) and "given as 0" in kernel.source
    assert not midpo.generate("dpo", backend="logps").notes


def test_a_token_that_is_the_only_one_has_no_gradient() -> None:
    labels = torch.tensor([[0, 1], [1, 0]])
    for backend in ("eager", "fused"):
        loss = midpo.generate("orpo", backend=backend).compile()
        logits = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(1))
        logits[:, 0] = -torch.inf
        logits[[0, 1], 0, labels[:, 0]] = 2.0  # all else is ruled out
        logits.requires_grad_()
        loss(logits, labels, lam=0.3).backward()
        assert torch.equal(logits.grad[:, 0], torch.zeros(2, 3)), backend
        assert logits.grad[:, 1].abs().min() > 0, backend


ENTROPIES: dict[str, tuple[str, Any]] = {
    "tokens": ("sum(log(entropy(pi, y_w, t)) for t in y_w)", lambda h: h.log().sum()),
    "mean": ("log(sum(entropy(pi, y_w, t) for t in y_w)/len(y_w))", lambda h: h.mean().log()),
    "share": (
        "sum(entropy(pi, y_w, t)/(entropy(pi, y_w, t) + 2*entropy(pi, y_w, t)**2) for t in y_w)",
        lambda h: (1 / (1 + 2 * h)).sum(),
    ),
}


@pytest.mark.parametrize("name", ENTROPIES)
def test_entropies_of_sure_policies_have_logarithms(name: str) -> None:
    text, wanted = ENTROPIES[name]
    labels = torch.tensor([[0, 1, 2], [3, 1, 0]])
    for backend in ("eager", "fused", "linear"):
        loss = midpo.generate(of(text), backend=backend).compile()
        for beyond in (0.0, 3.0, 40.0, 300.0):
            draw = torch.Generator().manual_seed(4)
            logits = torch.randn(2, 3, 5, generator=draw)
            logits[..., 2] += beyond
            wide = logits.double().requires_grad_()
            logps = wide[0].log_softmax(-1)
            top = logps.argmax(-1, keepdim=True)
            others = logps.scatter(-1, top, -1.0).exp() * -logps.scatter(-1, top, 0.0)
            rest = logps.scatter(-1, top, -torch.inf).exp().sum(-1)
            expected = wanted(others.sum(-1) - (1 - rest) * torch.log1p(-rest))
            expected.backward()
            given = logits.clone().requires_grad_()
            head = {} if backend != "linear" else {"policy_weight": torch.eye(5)}
            first = "policy_hidden" if backend == "linear" else "policy_logits"
            got = loss(**{first: given}, **head, labels=labels)
            got.backward()
            assert torch.allclose(got.double(), expected, rtol=3e-6), (backend, beyond)
            slope = wide.grad
            assert torch.allclose(given.grad.double(), slope, rtol=1e-4, atol=1e-5), (backend, beyond)
