"""`--for nemo-rl`: a loss function of log-probabilities of tokens, beside a stand-in for NeMo-RL's
protocol, against the readable kernel on logits in float64."""

from __future__ import annotations

import enum
import sys
from types import ModuleType
from typing import Any

import pytest
from test_kernel import value_of
from test_sequences import TAKES, short_of

import midpo
from midpo.symbolic.errors import NotYet

torch = pytest.importorskip("torch", reason="kernels run on torch")

PAIRS, TOKENS, VOCABULARY = 4, 6, 7
FIT = [n for n, t in TAKES.items() if t.needs != "distributions" and len(t.responses) == 2]


class LossType(enum.Enum):
    SEQUENCE_LEVEL = "sequence_level"


class LossInputType(enum.Enum):
    LOGPROB = "logprob"


@pytest.fixture(autouse=True)
def nemo_rl(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ["nemo_rl", "algorithms", "loss", "interfaces"]
    for n in range(1, len(path) + 1):
        monkeypatch.setitem(sys.modules, ".".join(path[:n]), ModuleType(path[n - 1]))
    module: Any = sys.modules[".".join(path)]
    module.LossType, module.LossInputType = LossType, LossInputType


def batch_of(kernel: midpo.Kernel, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Logits of each policy, a batch as NeMo-RL holds it, and its token ids; row 3 is short."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Any:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    rows = 2 * PAIRS
    ids = torch.randint(VOCABULARY, (rows, TOKENS), generator=generator)
    mask = torch.ones(rows, TOKENS)
    for row in range(rows):
        mask[row, : 1 + row % 3] = 0
    mask[3, 4:] = 0
    shapes = {"token": (rows, TOKENS), "response": (rows,), "pair": (rows,)}
    data = {n: random(*shapes[k]).abs().clamp(0.1, 0.9) for n, k in kernel.features.items()}
    logits = {short_of(p): random(rows, TOKENS, VOCABULARY).requires_grad_() for p in kernel.policies}
    data |= {"token_mask": mask, "sample_mask": torch.ones(rows)}
    # Rolled: the first position's, of no token before it, stands at the end.
    data |= {
        f"{n}_policy_logprobs": torch.nn.functional.pad(each(x, ids).detach(), (0, 1))
        for n, x in logits.items()
        if n != "policy"
    }
    return logits, data, ids


def each(logits: Any, ids: Any) -> Any:
    """Log-probabilities of the next tokens, (2B, T - 1)."""
    return logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]


def expected_of(kernel: midpo.Kernel, logits: Any, data: Any, ids: Any, pairs: Any, given: Any) -> Any:
    """Losses of some pairs, by hand: halves instead of rows in turn."""
    rows = torch.cat([2 * pairs, 2 * pairs + 1])
    labels = ids.masked_fill(data["token_mask"] == 0, -100)[rows, 1:]
    features = {}
    for name, kind in kernel.features.items():
        value = data[name][2 * pairs] if kind == "pair" else data[name][rows]
        features[name] = value[:, 1:] if kind == "token" else value
    tables = {f"{n}_logits": x[rows, :-1] for n, x in logits.items()}
    return kernel.compile()(**tables, labels=labels, **features, **given, reduction="none", metrics=True)


# No row of the catalogue weighs tokens by a feature and needs no whole distributions.
WEIGHED = midpo.loads(
    """name = "weighed"
[features]
w = "token"
[target]
margin = "sum(w(y_w, t)*log(pi(y_w, t)) for t in y_w) - sum(w(y_l, t)*log(pi(y_l, t)) for t in y_l)"
"""
)


@pytest.mark.parametrize("source", [*FIT, pytest.param(WEIGHED, id="weighed")])
def test_it_is_the_loss_of_the_valid_pairs(source: Any) -> None:
    kernel = midpo.generate(source)
    given: dict[str, Any] = {n: value_of(n, d) for n, d in kernel.parameters.items()}
    function = midpo.generate(source, where="nemo-rl").compile()(**given)
    assert (function.loss_type, function.input_type) == (LossType.SEQUENCE_LEVEL, LossInputType.LOGPROB)
    logits, data, ids = batch_of(kernel)
    data["sample_mask"][[4, 5]] = 0
    data["token_mask"][[4, 5]] = 0  # rows that only fill up the batch
    whole = torch.tensor(10.0)  # valid sequences, of this batch and of others
    losses, logged = expected_of(kernel, logits, data, ids, torch.tensor([0, 1, 3]), given)
    loss, metrics = function(
        data=data,
        global_valid_seqs=whole,
        global_valid_toks=torch.tensor(99.0),
        next_token_logprobs=each(logits["policy"], ids),
    )
    expected = losses.sum() / 5
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    one, other = (torch.autograd.grad(x, logits["policy"], retain_graph=True)[0] for x in (expected, loss))
    torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)
    assert metrics["loss"] == loss.item() and metrics["num_valid_samples"] == 3
    for key, called in (
        ("rewards/accuracies", "accuracy"),
        ("rewards/chosen", "rewards_chosen_mean"),
        ("logps/rejected", "logps/rejected"),
    ):
        if key in logged:
            assert abs(metrics[called] - logged[key].sum().item() / 5) < 1e-10, key


def test_micro_batches_add_up() -> None:
    kernel = midpo.generate("dpo")
    function = midpo.generate("dpo", where="nemo-rl").compile()(alpha=0.3)
    logits, data, ids = batch_of(kernel)
    logps, whole = each(logits["policy"], ids), torch.tensor(8.0)
    loss, metrics = function(logps, data, whole)
    parts = [function(logps[s], {k: x[s] for k, x in data.items()}, whole) for s in (slice(6), slice(6, 8))]
    torch.testing.assert_close(sum(x for x, _ in parts), loss)
    for key, value in metrics.items():
        assert abs(sum(m[key] for _, m in parts) - value) < 1e-12, key
    data["sample_mask"][:] = 0
    none, metrics = function(logps, data, whole)
    assert none.item() == 0 == metrics["num_valid_samples"]
    assert not torch.autograd.grad(none, logits["policy"])[0].any()


def test_most_losses_fit() -> None:
    usual = [n for n in FIT if {*TAKES[n].policies} <= {"pi", "pi_ref"}]
    assert (len(FIT), len(usual)) == (71, 64)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tdpo", r"tdpo needs kl\(pi_ref.* tokens do not give"),
        ("tpo", "tpo has 3 responses .* NeMo-RL has 2"),
    ],
)
def test_others_say_what_they_need(name: str, said: str) -> None:
    with pytest.raises(NotYet, match=said):
        midpo.generate(name, where="nemo-rl")


def test_what_is_missing_is_named() -> None:
    logits, data, ids = batch_of(midpo.generate("dpo"))
    logps, kind = each(logits["policy"], ids), midpo.generate("dpo", where="nemo-rl").compile()
    with pytest.raises(ValueError, match="parameters: got beta, needs alpha"):
        kind(beta=0.1)
    with pytest.raises(ValueError, match=r'data\["reference_policy_logprobs"\]: got None, needs 8 rows'):
        kind()(logps, {k: x for k, x in data.items() if "_policy_" not in k}, torch.tensor(8.0))
    with pytest.raises(ValueError, match=r"next_token_logprobs: got shape \(8, 6\), needs \(8, 5\)"):
        kind()(data["token_mask"], data, torch.tensor(8.0))
