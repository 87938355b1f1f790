"""Running the loss functions of other packages on our random logits.

Each runner takes the options of a statement and a batch, and returns the package's own loss as a
scalar that can be differentiated with respect to the policy's logits. Trainers are made without
their constructors, and their model is one that answers with the logits of the batch: everything
else is the package's code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

BETA = 0.75
SHIFT = 0.375  # KTO's estimate of the divergence
IGNORED = -100


@dataclass(frozen=True)
class Pairs:
    """`policy` and `reference` logits (2B, T, V) and `labels` (2B, T): T predicted tokens a row;
    3B where a third response stands beside each pair."""

    policy: Tensor
    reference: Tensor
    labels: Tensor
    prompt: int = 1  # how many tokens precede the responses
    responses: int = 2
    beta: Any = BETA

    @property
    def count(self) -> int:
        return self.labels.shape[0] // self.responses


class _Accelerator:
    """One process: what is gathered is what was there."""

    device = torch.device("cpu")
    gather = gather_for_metrics = staticmethod(lambda value: value)
    unwrap_model = staticmethod(lambda model: model)


class _Answers(torch.nn.Module):
    """A model that has the logits already; only what is asked of it is computed."""

    is_gradient_checkpointing = False

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.answer = logits
        self.config = SimpleNamespace(is_encoder_decoder=False)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, **_: Any) -> Any:
        rows, width = input_ids.shape
        logps = torch.log_softmax(self.answer, -1)
        shown = input_ids[:, 1:]
        at = logps.gather(-1, shown.clamp(min=0)[..., None])[..., 0]
        if labels is not None:
            at = at * (labels[:, 1:] != IGNORED)
        last = torch.zeros_like(self.answer[:, :1])
        nothing = torch.zeros(rows, width - 1)
        return SimpleNamespace(
            log_probs=at,
            logits=torch.cat([self.answer, last], 1),
            entropy=nothing,
            log_sum_sq_probs=torch.logsumexp(2 * logps, -1),
            mean_logits=nothing,
            is_top1=nothing.bool(),
        )


def _inputs(pairs: Pairs, rows: slice = slice(None)) -> dict[str, Tensor]:
    """Token ids, attention and completion masks: a first token and then the labels."""
    labels = pairs.labels[rows]
    first = torch.zeros(labels.shape[0], 1, dtype=torch.long)
    kept = labels != IGNORED
    ones = torch.ones_like(first)
    # The first tokens may be a prompt: read by the model, and no part of the completion.
    read = kept | (torch.arange(labels.shape[1]) < pairs.prompt - 1)
    completion = kept & ~(torch.arange(labels.shape[1]) < pairs.prompt - 1)
    return {
        "input_ids": torch.cat([first, labels.clamp(min=0)], 1),
        "attention_mask": torch.cat([ones, read.long()], 1),
        "completion_mask": torch.cat([0 * ones, completion.long()], 1),
    }


def _trainer(kind: type, pairs: Pairs, **settings: Any) -> Any:
    made: Any = object.__new__(kind)
    made.model = _Answers(pairs.policy)
    made.ref_model = _Answers(pairs.reference)
    made.accelerator = _Accelerator()
    made.aux_loss_enabled = made.is_encoder_decoder = made.precompute_ref_logps = False
    made.label_smoothing, made.beta = 0.0, pairs.beta
    made.pad_token_id = made.padding_value = 0
    made._metrics = defaultdict(lambda: defaultdict(list))
    made._total_train_tokens, made._tp_size = 0, 1
    made.args = SimpleNamespace(gradient_checkpointing_kwargs=None, discopop_tau=0.05)
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def trl_dpo(pairs: Pairs, options: Mapping[str, Any]) -> Tensor:
    from trl import DPOTrainer

    given = dict(options)
    types = given.pop("loss_type")
    types = [types] if isinstance(types, str) else list(types)
    trainer = _trainer(
        DPOTrainer,
        pairs,
        loss_types=types,
        loss_weights=[1.0] * len(types),
        f_divergence_type="reverse_kl",
        use_weighting=False,
        ld_alpha=None,
    )
    trainer.args.discopop_tau = given.pop("discopop_tau", 0.05)
    if "f_alpha_divergence_coef" in given:  # its bounds know no float64
        trainer.model = _Answers(pairs.policy.float())
        trainer.ref_model = _Answers(pairs.reference.float())
    for name, value in given.items():
        setattr(trainer, name, value)
    loss: Tensor = trainer._compute_loss(trainer.model, _inputs(pairs), return_outputs=False)
    return loss


def trl_kto(pairs: Pairs, options: Mapping[str, Any]) -> Tensor:
    from trl import KTOTrainer

    trainer = _trainer(
        KTOTrainer,
        pairs,
        desirable_weight=1.0,
        undesirable_weight=1.0,
        calculate_KL=options["loss_type"] == "kto",
        **options,
    )
    # The log-ratio of the mismatched responses, whose mean is the estimate of the divergence.
    trainer._compute_kl_logps = lambda model, batch: torch.full(
        (2,), SHIFT if model is trainer.model else 0.0
    )
    label = torch.arange(2 * pairs.count) < pairs.count
    loss: Tensor = trainer._compute_loss(
        trainer.model, _inputs(pairs) | {"label": label}, return_outputs=False
    )
    return loss


def _sides(pairs: Pairs) -> dict[str, Tensor]:
    """Chosen and rejected inputs as the older trainers take them."""
    found = {}
    for side, rows in (("chosen", slice(0, pairs.count)), ("rejected", slice(pairs.count, None))):
        inputs = _inputs(pairs, rows)
        completion = inputs["completion_mask"].bool()
        found[f"{side}_input_ids"] = inputs["input_ids"]
        found[f"{side}_attention_mask"] = inputs["attention_mask"]
        found[f"{side}_labels"] = inputs["input_ids"].masked_fill(~completion, IGNORED)
    return found


def trl_cpo(pairs: Pairs, options: Mapping[str, Any]) -> Tensor:
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    config = CPOConfig(output_dir="unused", beta=BETA, bf16=False, **options)
    trainer = _trainer(
        CPOTrainer,
        pairs,
        loss_type=config.loss_type,
        cpo_alpha=config.cpo_alpha,
        simpo_gamma=config.simpo_gamma,
        alpha=config.alpha,
    )
    loss: Tensor = trainer.get_batch_loss_metrics(trainer.model, _sides(pairs))[0]
    return loss


def trl_orpo(pairs: Pairs, options: Mapping[str, Any]) -> Tensor:
    from trl.experimental.orpo import ORPOTrainer

    trainer = _trainer(ORPOTrainer, pairs, **options)
    loss: Tensor = trainer.get_batch_loss_metrics(trainer.model, _sides(pairs))[0]
    return loss


def trl_tpo(pairs: Pairs, options: Mapping[str, Any]) -> Tensor:
    from trl.experimental.tpo import TPOConfig, TPOTrainer

    config = TPOConfig(output_dir="unused", beta=BETA, bf16=False, **options)
    trainer = _trainer(
        TPOTrainer,
        pairs,
        loss_type=config.loss_type,
        tpo_alpha=config.tpo_alpha,
        tpo_l_gamma=config.tpo_l_gamma,
    )
    loss: Tensor = trainer._compute_loss(trainer.model, _inputs(pairs), return_outputs=False)
    return loss


def liger_with_heads(
    name: str, options: Mapping[str, Any], labels: Tensor, *heads: Tensor, beta: Any = BETA
) -> Tensor:
    """A fused linear loss of hidden states and weights, the policy's and the reference's."""
    from liger_kernel import chunked_loss

    module = getattr(chunked_loss, name)(beta=beta, compiled=False, **options)
    policy, weight, reference, ref_weight = heads
    if name.endswith("KTOLoss"):
        rows = labels.shape[0]
        found = module(
            policy,
            weight,
            labels,
            preference_labels=torch.arange(rows) < rows // 2,
            ref_input=reference,
            ref_weight=ref_weight,
            kl=torch.tensor(SHIFT),
        )
    elif name.endswith("DPOLoss"):
        found = module(weight, policy, labels, ref_input=reference, ref_weight=ref_weight)
    else:
        found = module(weight, policy, labels)
    loss: Tensor = found[0]
    return loss


def liger(name: str) -> Callable[[Pairs, Mapping[str, Any]], Tensor]:
    """A fused linear loss: the hidden states are the logits, the heads identities."""

    def run(pairs: Pairs, options: Mapping[str, Any]) -> Tensor:
        head = torch.eye(pairs.policy.shape[-1])
        policy, reference = pairs.policy.float(), pairs.reference.float()
        heads = policy, head, reference, head
        return liger_with_heads(name, options, pairs.labels, *heads, beta=pairs.beta)

    return run


def torchtune(name: str) -> Callable[[Pairs, Mapping[str, Any]], Tensor]:
    def run(pairs: Pairs, options: Mapping[str, Any]) -> Tensor:
        from torchtune.rlhf import get_batch_log_probs, loss

        scale = {"gamma" if name == "RSOLoss" else "beta": pairs.beta}
        module = getattr(loss, name)(**scale, **options)
        # It shifts logits and labels itself.
        first = torch.full((pairs.labels.shape[0], 1), IGNORED)
        labels = torch.cat([first, pairs.labels], 1)
        sums = [
            get_batch_log_probs(torch.cat([z, torch.zeros_like(z[:, :1])], 1), labels)
            for z in (pairs.policy, pairs.reference)
        ]
        losses: Tensor = module(*(half for s in sums for half in s.chunk(2)))[0]
        return losses.mean()

    return run


RUNNERS: dict[tuple[str, str], Callable[[Pairs, Mapping[str, Any]], Tensor]] = {
    ("trl", "DPOConfig"): trl_dpo,
    ("trl", "KTOConfig"): trl_kto,
    ("trl", "experimental.cpo.CPOConfig"): trl_cpo,
    ("trl", "experimental.orpo.ORPOConfig"): trl_orpo,
    ("trl", "experimental.tpo.TPOConfig"): trl_tpo,
    **{
        ("liger-kernel", f"LigerFusedLinear{n}Loss"): liger(f"LigerFusedLinear{n}Loss")
        for n in ("DPO", "CPO", "SimPO", "ORPO", "KTO")
    },
    **{("torchtune", name): torchtune(name) for name in ("DPOLoss", "RSOLoss")},
}
