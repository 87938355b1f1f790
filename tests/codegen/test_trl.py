"""`--for trl`: the trainer beside TRL's own, on a tiny model; needs the extra trainers."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toys
from documents import ROOT, blocks, run
from test_kernel import value_of, with_kernels

import midpo
from midpo.symbolic.errors import NotYet

torch = pytest.importorskip("torch", reason="kernels run on torch")
pytestmark = pytest.mark.trainers
for package in ("trl", "peft", "accelerate"):
    pytest.importorskip(package, reason=f"the extra trainers, {package} is missing")
DPOTrainer = pytest.importorskip("trl").DPOTrainer

ROWS = [n for n in with_kernels() if len(midpo.generate(n).roles) == 2]
MADE: dict[tuple[str, str], Any] = {}


def trainer_of(name: str, backend: str = "linear") -> Any:
    key = (name, backend)
    if key not in MADE:
        MADE[key] = midpo.generate(name, backend=backend, where="trl").compile()
    return MADE[key]


def made(kind: Any, folder: Path, *, seed: int = 0, config: Any = None, **more: Any) -> Any:
    """A trainer on the toys."""
    policy, reference = toys.twins(seed)
    given = {
        "model": policy,
        "ref_model": reference,
        "args": toys.settings(folder, **(config or {})),
        "train_dataset": toys.preferences(),
        "processing_class": toys.tokenizer(),
    }
    return kind(**{name: value for name, value in (given | more).items() if value is not ...})


def trained(kind: Any, folder: Path, **more: Any) -> tuple[list[float], dict[str, Any], Any]:
    """The losses of the steps, the weights after them, and the trainer."""
    trainer = made(kind, folder, **more)
    trainer.train()
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    weights = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    return losses, weights, trainer


def lora() -> dict[str, Any]:
    from peft import LoraConfig

    return {"ref_model": ..., "peft_config": LoraConfig(r=4, target_modules=["q_proj", "v_proj"])}


def tuned() -> dict[str, Any]:
    """A policy whose adapter was trained before: TRL keeps a copy of that as the reference."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    policy = get_peft_model(toys.model(), LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return {"model": policy, "ref_model": ...}


def experts() -> dict[str, Any]:
    """A mixture of experts, whose routers have a loss of their own."""
    sizes = {"num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": True}
    policy, reference = toys.twins(kind="Mixtral", router_aux_loss_coef=0.3, **sizes)
    return {"model": policy, "ref_model": reference}


CONDITIONS: dict[str, tuple[dict[str, Any], Callable[[], dict[str, Any]]]] = {
    "plain": ({}, dict),
    "accumulation": ({"gradient_accumulation_steps": 2}, dict),
    "checkpointing": ({"gradient_checkpointing": True}, dict),
    "checkpointing with adapters": ({"gradient_checkpointing": True}, lora),
    "adapters": ({}, lora),
    "an adapter trained before": ({}, tuned),
    "precomputed": ({"precompute_ref_log_probs": True}, dict),
    "precomputed with adapters": ({"precompute_ref_log_probs": True}, lora),
    "a reference that follows": ({"sync_ref_model": True, "ref_model_sync_steps": 4}, dict),
    "cut at the end": ({"max_length": 9}, dict),
    "cut in front": ({"max_length": 9, "truncation_mode": "keep_end"}, dict),
    "another beta": ({"beta": 0.4}, dict),
    "experts": ({"gradient_accumulation_steps": 2}, experts),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_dpo_is_that_of_trl(condition: str, tmp_path: Path) -> None:
    config, more = CONDITIONS[condition]
    theirs, expected, _ = trained(DPOTrainer, tmp_path, config=config, **more())
    own = {"alpha": config["beta"]} if "beta" in config else {}
    ours, found, trainer = trained(trainer_of("dpo"), tmp_path, config=config, **more(), **own)
    assert len(ours) == len(theirs) == 20 and theirs[-1] != theirs[0]
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 2e-6
    assert expected.keys() == found.keys()
    assert max((expected[n] - x).abs().max().item() for n, x in found.items()) < 5e-5
    assert ("aux_loss" in trainer.state.log_history[0]) == (condition == "experts")
    assert all("forward" not in vars(m) for m in trainer.model.modules() if isinstance(m, torch.nn.Linear))


OF_TRL = (
    "loss", "num_tokens", "entropy", "mean_token_accuracy",
    *(f"{x}/{side}" for x in ("rewards", "logps", "logits") for side in ("chosen", "rejected")),
    "rewards/margins", "rewards/accuracies",
)  # fmt: skip


def test_what_is_logged_is_what_trl_logs(tmp_path: Path) -> None:
    config = {"max_steps": 3, "eval_strategy": "steps", "eval_steps": 3, "per_device_eval_batch_size": 5}
    more = {"eval_dataset": toys.preferences(7, seed=5)}
    _, _, theirs = trained(DPOTrainer, tmp_path, config=config, **more)
    _, _, ours = trained(trainer_of("dpo"), tmp_path, config=config, **more)
    assert any(entry.get("mean_token_accuracy") for entry in theirs.state.log_history)
    for one, other in zip(theirs.state.log_history[:4], ours.state.log_history[:4], strict=True):
        start = "eval_" if "eval_loss" in one else ""
        of_time = {f"eval_{x}" for x in ("runtime", "samples_per_second", "steps_per_second")}
        keys = {*one} - of_time - {"grad_norm"}
        assert keys <= {*other} and {f"{start}{x}" for x in OF_TRL} <= keys
        for key in keys:
            assert math.isclose(float(one[key]), float(other[key]), rel_tol=2e-5, abs_tol=2e-6), key


@pytest.mark.parametrize("seed", range(4))
def test_autocast_reaches_the_kernel(seed: int, tmp_path: Path) -> None:
    """The first loss is that of hidden states and a head of bfloat16, with sums in float32; those of
    float32 are further away. TRL rounds the logits besides."""
    trainer = made(trainer_of("dpo"), tmp_path, seed=seed, config={"bf16": True, "max_steps": 1})
    policy, reference = toys.twins(seed)
    batch = next(iter(trainer.get_train_dataloader()))
    inputs = {k: batch[k] for k in ("input_ids", "attention_mask")}
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)[:, 1:]

    def logits(model: Any, rounded: bool) -> Any:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=rounded):
            hidden = model.model(**inputs).last_hidden_state[:, :-1]
        kind = torch.bfloat16 if rounded else torch.float32
        return hidden.to(kind).double() @ model.lm_head.weight.detach().to(kind).double().T

    eager = midpo.generate("dpo").compile()
    expected, plain = (eager(logits(policy, r), logits(reference, r), labels).item() for r in (True, False))
    trainer.train()
    found = trainer.state.log_history[0]["loss"]
    assert abs(float(found) - expected) < 2e-6 < 1e-5 < abs(plain - expected)


def by_hand(name: str, doubles: dict[str, Any], batch: Any, features: Any, given: Any) -> Any:
    """Loss and gradients in float64, from logits shifted by hand."""
    inputs = {k: batch[k] for k in ("input_ids", "attention_mask")}
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)[:, 1:]
    kernel = midpo.generate(name)
    logits = {f"{n}_logits": m(**inputs).logits[:, :-1] for n, m in doubles.items()}
    ours = {n: (x[:, 1:] if kernel.features[n] == "token" else x).double() for n, x in features.items()}
    loss = kernel.compile()(**logits, labels=labels, **ours, **given)
    loss.backward()
    return loss.item(), {n: p.grad for n, p in doubles["policy"].named_parameters()}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_through_the_trainer(name: str, tmp_path: Path) -> None:
    kernel = midpo.generate(name)
    given: dict[str, Any] = {n: value_of(n, domain) for n, domain in kernel.parameters.items()}
    policy, reference = toys.twins()
    old = toys.model(7)
    has_old, has_reference = "pi_old" in kernel.policies, "pi_ref" in kernel.policies
    models = {"policy": policy} | ({"reference": reference} if has_reference else {})
    models |= {"old": old} if has_old else {}
    # TRL patches what it is given: a copy of that would run the other model.
    doubles = {n: copy.deepcopy(m).double() for n, m in models.items()}
    trainer = made(
        trainer_of(name),
        tmp_path,
        model=policy,
        ref_model=reference if has_reference else ...,
        policies={"old": old} if has_old else ...,
        train_dataset=toys.preferences(4, columns=dict(kernel.features)),
        **given,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    features = {n: batch[n] for n in kernel.features}
    expected, gradients = by_hand(name, doubles, batch, features, given)
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    size = max(1.0, abs(expected))
    assert abs(loss.item() - expected) < 2e-5 * size
    for key, gradient in gradients.items():
        found = dict(policy.named_parameters())[key].grad
        assert (found - gradient).abs().max() < 1e-4 * max(1.0, gradient.abs().max().item()), key
    assert trainer.ref_model is (reference if has_reference else None)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Gemma2", {"final_logit_softcapping": 3.0}),
        ("Granite", {"logits_scaling": 4.0}),
        ("Cohere", {"logit_scale": 0.25, "head_dim": ...}),
        ("Qwen3", {"tie_word_embeddings": True}),
    ],
)
@pytest.mark.parametrize("name", ["dpo", "tdpo"])
def test_heads_of_other_families(name: str, kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    policy, reference = toys.twins(kind=kind, **more)
    models = {"policy": policy, "reference": reference}
    doubles = {n: copy.deepcopy(m).double() for n, m in models.items()}
    trainer = made(trainer_of(name), tmp_path, model=policy, ref_model=reference)
    batch = next(iter(trainer.get_train_dataloader()))
    expected, gradients = by_hand(name, doubles, batch, {}, {"alpha": 0.1})
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    assert abs(loss.item() - expected) < 2e-5
    for key, parameter in policy.named_parameters():
        wanted = gradients[key]
        assert (parameter.grad - wanted).abs().max() < 1e-4 * max(1.0, wanted.abs().max().item()), key


def test_enough_rows_go_through_the_trainer() -> None:
    assert len(ROWS) == 77
    assert sum("pi_old" not in midpo.generate(n).policies for n in ROWS) == 70


@pytest.mark.parametrize("accepts", [False, True])
def test_a_step_in_the_trainer_of_transformers(accepts: bool, tmp_path: Path) -> None:
    """Accumulated gradients are those of the whole batch, unless the trainer takes the loss for one
    over the tokens of all micro-batches: then it divides by nothing."""
    from transformers import Trainer, TrainingArguments

    step = midpo.generate("dpo", where="loop").compile()
    pairs = [torch.cat([torch.full((2, 3), 5 + n), torch.randint(4, 64, (2, 6))], 1) for n in range(8)]

    def collated(some: list[Any]) -> dict[str, Any]:
        ids = torch.cat([torch.stack([pair[side] for pair in some]) for side in (0, 1)])
        counted = torch.ones_like(ids)
        counted[:, :3] = 0
        masks = {"attention_mask": torch.ones_like(ids), "completion_mask": counted}
        return {"input_ids": ids, **masks, "labels": ids.masked_fill(counted == 0, -100)}

    def compute_loss(self: Any, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
        inputs.pop("labels")
        return step(model, reference, **inputs)[0]

    own: Any = type("Own", (Trainer,), {"compute_loss": compute_loss})
    found = []
    for size, accumulated in ((4, 1), (2, 2)):
        policy, reference = toys.twins()
        args = TrainingArguments(
            str(tmp_path), per_device_train_batch_size=size, gradient_accumulation_steps=accumulated,
            max_steps=2, optim="sgd", learning_rate=0.1, max_grad_norm=0.0, use_cpu=True, report_to=[],
            save_strategy="no", remove_unused_columns=False, disable_tqdm=True, seed=0,
        )  # fmt: skip
        trainer = own(policy, args, train_dataset=pairs, data_collator=collated)
        trainer.model_accepts_loss_kwargs = accepts
        trainer.train()
        found.append(torch.cat([p.detach().flatten() for p in policy.parameters()]))
    apart = (found[0] - found[1]).abs().max().item()
    assert apart > 1e-3 if accepts else apart < 1e-6


def test_features_may_be_calls(tmp_path: Path) -> None:
    """(2B, T), or (2B, T - 1) without the first token's: the same loss."""
    found = []
    for start in (0, 1):

        def call(inputs: Any, start: int = start) -> Any:
            return (inputs["input_ids"] / 100 + 0.1)[:, start:]

        trainer = made(trainer_of("tis-dpo"), tmp_path, features={"w": call}, config={"max_steps": 3})
        trainer.train()
        found.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert found[0] == found[1] and len(found[0]) == 3


@pytest.mark.parametrize("truncation", ["keep_start", "keep_end"])
def test_features_of_tokens_stand_at_their_tokens(truncation: str, tmp_path: Path) -> None:
    config = {"max_length": 8, "truncation_mode": truncation}
    data = toys.preferences(6, columns={"w": "token"})
    ids = toys.tokenizer().convert_tokens_to_ids

    def numbered(row: Any) -> Any:
        return {
            f"{side}_w": [float(n) for n in [*ids(row[side].split()), 3]] for side in ("chosen", "rejected")
        }

    data = data.map(numbered)
    trainer = made(trainer_of("tis-dpo"), tmp_path, train_dataset=data, config=config)
    for batch in trainer.get_train_dataloader():
        counted = batch["completion_mask"].bool()
        assert counted.any(1).all() and torch.equal(batch["w"][counted].long(), batch["input_ids"][counted])


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "beta beside alpha": ("dpo", {"config": {"beta": 0.3}}, r"args.beta: got 0.3, and alpha is 0.1"),
    "another alpha": (
        "dpo",
        {"config": {"beta": 0.3}, "alpha": 0.2},
        r"args.beta: got 0.3, and alpha is 0.2",
    ),
    "beta of a loss without": ("rrhf", {"config": {"beta": 0.3}}, "args.beta: got 0.3, and no parameter"),
    "another loss": ("dpo", {"config": {"loss_type": "ipo"}}, r"args.loss_type: got \['ipo'\]"),
    "smoothing": ("dpo", {"config": {"label_smoothing": 0.1}}, "args.label_smoothing: got 0.1"),
    "weighting": ("dpo", {"config": {"use_weighting": True}}, "args.use_weighting: got True"),
    "precomputed distributions": (
        "tdpo",
        {"config": {"precompute_ref_log_probs": True}},
        r"keeps one number a response, and tdpo needs kl\(pi_ref, pi, y_l, t\)",
    ),
    "precomputed tokens": (
        "dmpo",
        {"config": {"precompute_ref_log_probs": True}},
        "dmpo needs the log-probability of each token",
    ),
    "no third policy": ("spin", {}, r"spin has the policy pi_old .*\n  expected: policies={'old': model}"),
    "a policy too many": ("dpo", {"policies": {"old": None}}, "policies: got old, needs none"),
    "no feature": ("odpo", {}, r"odpo: the .* feature .* is not there\n  expected: the column"),
    "a feature too many": ("dpo", {"features": {"mu": len}}, "features: got mu, needs none"),
    "another keyword": ("dpo", {"gamma": 1.0}, "got the argument gamma, needs one of alpha, model"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_does_not_fit_is_refused_at_construction(refused: str, tmp_path: Path) -> None:
    name, more, said = REFUSED[refused]
    with pytest.raises(ValueError, match=said):
        made(trainer_of(name), tmp_path, **more)


def test_three_responses_do_not_fit() -> None:
    with pytest.raises(NotYet, match="tpo has 3 responses to a prompt, and TRL's DPOTrainer has 2"):
        midpo.generate("tpo", where="trl")


def test_training_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    """Bit for bit, its log too."""
    config = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3, "learning_rate": 1e-2}
    kind = trainer_of("tdpo")
    _, expected, whole = trained(kind, tmp_path / "whole", config=config)
    resumed = made(kind, tmp_path / "whole", config=config)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    for name, parameter in resumed.model.named_parameters():
        assert torch.equal(parameter, expected[name])
    one, other = (
        {e["step"]: e["loss"] for e in t.state.log_history if "loss" in e} for t in (whole, resumed)
    )
    assert one == other and len(one) == 6
    json.dumps(resumed.state.log_history)


def test_another_version_is_told_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kind = trainer_of("dpo")
    monkeypatch.setitem(kind.__init__.__globals__, "version", lambda _: "9.9.0")
    with pytest.warns(UserWarning, match="trl 9.9.0: this trainer was tested with") as told:
        made(kind, tmp_path)
        made(kind, tmp_path)
    assert sum("tested with" in str(each.message) for each in told) == 1


def test_the_page_does_as_it_says(tmp_path: Path) -> None:
    for block in blocks(ROOT / "docs" / "trainers.md"):
        run(block, tmp_path)


def test_a_file_of_its_own_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file holds all that it calls: it trains where midpo is not imported."""
    import subprocess
    import sys

    (tmp_path / "tdpo_trainer.py").write_text(midpo.generate("tdpo", where="trl").source)
    (tmp_path / "toys.py").write_text(Path(toys.__file__).read_text())
    script = """
import sys, toys
from tdpo_trainer import Trainer
policy, reference = toys.twins()
trainer = Trainer(policy, reference, toys.settings("out", max_steps=2), alpha=0.5,
                  train_dataset=toys.preferences(), processing_class=toys.tokenizer())
trainer.train()
assert "midpo" not in sys.modules
"""
    environment = {"PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{script}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
