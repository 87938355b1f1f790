"""`--for trl` beside a stand-in for TRL's trainer: what needs none of its packages."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections import defaultdict
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from test_backends import spec_of
from test_kernel import value_of
from test_steps import PAIRS, Toy, batch_of, close, features_of, shifted

import midpo
from midpo.symbolic.errors import NotYet

torch = pytest.importorskip("torch", reason="kernels run on torch")


@dataclasses.dataclass
class Config:
    """The part of DPOConfig that is read."""

    beta: float = 0.1
    loss_type: list[str] = dataclasses.field(default_factory=lambda: ["sigmoid"])
    label_smoothing: float = 0.0
    precompute_ref_log_probs: bool = False


class DPOTrainer:
    """A trainer that holds what it is given."""

    def __init__(
        self, model: Any, ref_model: Any = None, args: Any = None, train_dataset: Any = None
    ) -> None:
        self.model, self.ref_model, self.args = model, ref_model, args
        self.data_collator = lambda examples: examples
        self.is_deepspeed_enabled = self.is_fsdp_enabled = False
        self.accelerator = SimpleNamespace(
            prepare_model=lambda policy, evaluation_mode: policy,
            gather=lambda x: torch.cat([x.reshape(-1)] * 2),
        )
        self._metrics: Any = {"train": defaultdict(list), "eval": defaultdict(list)}
        self._total_train_tokens, self._signature_columns = 0, ["prompt_ids"]

    def _set_signature_columns_if_needed(self) -> None:
        pass


@pytest.fixture(autouse=True)
def trl(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("trl")
    module.DPOTrainer = DPOTrainer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trl", module)


def trainer_of(name: str, **more: Any) -> Any:
    kernel = midpo.generate(spec_of(name), where="trl")
    assert kernel.function == "Trainer"
    kind = kernel.compile()
    kind.__init__.__globals__["version"] = lambda _: "1.16.0"
    return kind(**{"model": Toy(0), "ref_model": Toy(1), "args": Config()} | more)


@pytest.mark.parametrize("name", ["dpo", "tdpo", "simpo", "spin", "tis-dpo", "odpo"])
def test_its_loss_is_the_spec_s(name: str) -> None:
    kernel = midpo.generate(name, token_metrics=True)
    batch = batch_of(2)
    features = features_of(kernel, 2 * PAIRS)
    given: dict[str, Any] = {n: value_of(n, domain) for n, domain in kernel.parameters.items()}
    old = {"old": Toy(2)} if "pi_old" in kernel.policies else {}
    calls = {n: lambda inputs, n=n: features[n] for n in features}
    trainer = trainer_of(name, policies=old, features=calls, **given)
    models = {"policy": Toy(0), **old}
    if "pi_ref" in kernel.policies:
        models["reference"] = Toy(1)
    expected, logged = shifted(kernel, models, batch, features, given)
    expected.backward()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    kept = {n: torch.tensor(v[0], dtype=torch.float64) for n, v in trainer._metrics["train"].items()}
    tokens = kept.pop("num_tokens")
    assert kept.pop("pairs/empty") == 0
    one, other = ({n: p.grad for n, p in m.named_parameters()} for m in (models["policy"], trainer.model))
    close((expected, one, logged), (loss, other, kept))
    assert tokens == 2 * batch["attention_mask"].sum()  # of both processes
    assert trainer.compute_loss(trainer.model, batch, return_outputs=True)[1].logits.shape[0] == 2 * PAIRS


@pytest.mark.parametrize("name", ["dpo", "simpo", "ipo-average"])
def test_precomputed_sums_are_a_reference(name: str) -> None:
    reference, batch = Toy(1), batch_of(2)
    with torch.no_grad():
        inputs = {k: v for k, v in batch.items() if k != "completion_mask"}
        logps = reference(**inputs).logits[:, :-1].log_softmax(-1)
        logps = logps.gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
        chosen, rejected = (logps * batch["completion_mask"][:, 1:]).sum(1).chunk(2)
    trainer = trainer_of(name, args=Config(precompute_ref_log_probs=True), ref_model=None)
    found = trainer.compute_loss(
        trainer.model, batch | {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    )
    plain = trainer_of(name)
    torch.testing.assert_close(found, plain.compute_loss(plain.model, batch), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rows", [[1], [0, 1, 2]], ids=["one", "all"])
@pytest.mark.parametrize("name", ["dpo", "simpo"])
def test_responses_that_are_cut_off_count_nothing(name: str, rows: list[int]) -> None:
    trainer = trainer_of(name)
    trainer.compute_loss(trainer.model, batch_of(2))  # after the first batch nothing is checked
    trainer._metrics["train"].clear()
    batch = batch_of(2)
    batch["completion_mask"][rows] = 0
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in trainer.model.parameters())
    kept = {n: v[0] for n, v in trainer._metrics["train"].items()}
    assert kept["pairs/empty"] == pytest.approx(len(rows) / PAIRS) and all(map(math.isfinite, kept.values()))
    there = [r for r in range(PAIRS) if r not in rows]
    if there:
        alone = trainer_of(name)
        part = {n: x[[*there, *(r + PAIRS for r in there)]] for n, x in batch.items()}
        expected = alone.compute_loss(alone.model, part) * len(there) / PAIRS
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
        key = "rewards/margins"
        assert kept[key] == pytest.approx(alone._metrics["train"][key][0], rel=1e-10)
    else:
        assert loss == 0


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "beta beside alpha": (
        "dpo",
        {"args": Config(beta=0.3)},
        "args.beta: got 0.3, and alpha is 0.1\n.*alpha=0.3",
    ),
    "another loss": ("dpo", {"args": Config(loss_type=["ipo"])}, r"args.loss_type: got \['ipo'\]"),
    "smoothing": ("dpo", {"args": Config(label_smoothing=0.1)}, "args.label_smoothing: got 0.1"),
    "precomputed distributions": (
        "tdpo",
        {"args": Config(precompute_ref_log_probs=True)},
        r"tdpo needs kl\(pi_ref, pi, y_l, t\)\n  expected: precompute_ref_log_probs=False",
    ),
    "no third policy": ("spin", {}, r"the policy pi_old .*\n  expected: policies={'old': model}"),
    "no columns": (
        "tis-dpo",
        {"train_dataset": SimpleNamespace(column_names=["prompt", "chosen_w"])},
        r"token feature w is not there\n  expected: the column rejected_w in the dataset, or features=",
    ),
    "a feature too many": ("dpo", {"features": {"mu": len}}, "features: got mu, needs none"),
    "another keyword": ("dpo", {"gamma": 1.0}, "got the argument gamma, needs one of alpha, model"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_does_not_fit_is_refused_at_construction(refused: str) -> None:
    name, more, said = REFUSED[refused]
    with pytest.raises(ValueError, match=said):
        trainer_of(name, **more)


def test_beta_that_agrees_is_taken() -> None:
    trainer = trainer_of("dpo", args=Config(beta=0.3), alpha=0.3)
    assert trainer.parameters == {"alpha": 0.3}


def test_columns_are_collated() -> None:
    trainer = trainer_of("tis-dpo")
    trainer._set_signature_columns_if_needed()
    assert trainer._signature_columns == ["prompt_ids", "chosen_w", "rejected_w"]
    counted = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1]])
    trainer.data_collator.collator = lambda examples: {"completion_mask": counted}
    example = {
        "chosen_ids": [5, 6],
        "rejected_ids": [7, 8],
        "chosen_w": [0.5, 0.25],
        "rejected_w": [2.0, 4.0],
    }
    batch = trainer.data_collator([example])
    assert batch["w"].tolist() == [[1.0, 0.5, 0.25, 1.0], [1.0, 1.0, 2.0, 4.0]]
    with pytest.raises(ValueError, match="w: got 1 numbers for a response of 2 tokens"):
        trainer.data_collator([example | {"rejected_w": [2.0]}])


def test_in_memory_it_is_the_same_class_with_any_base() -> None:
    class Own(DPOTrainer):
        pass

    usual: Any = midpo.trainer("tdpo")
    own: Any = midpo.trainer("tdpo", Own)
    kinds: list[Any] = [usual, own]
    assert issubclass(usual, DPOTrainer) and not issubclass(usual, Own) and issubclass(own, Own)
    for kind in kinds:
        kind.__init__.__globals__["version"] = lambda _: "1.16.0"
        trainer = kind(model=Toy(0), ref_model=Toy(1), args=Config(), alpha=0.3)
        loss = trainer.compute_loss(trainer.model, batch_of(2))
        expected = trainer_of("tdpo", alpha=0.3).compute_loss(Toy(0), batch_of(2))
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
        assert kind.scale == "alpha" and kind.spec == "tdpo" and "Token-level DPO" in str(kind.__doc__)


def test_specs_that_are_no_trainer_s() -> None:
    with pytest.raises(NotYet, match="tpo has 3 responses to a prompt, and TRL's DPOTrainer has 2"):
        midpo.generate("tpo", where="trl")
    spec = midpo.loads(
        'name = "a"\n[parameters]\nargs = { default = 1 }\n[target]\nmargin = "args*log(pi(y_w))"'
    )
    with pytest.raises(NotYet, match='the parameter "args" would be the trainer\'s argument'):
        midpo.generate(spec, where="trl")
