"""A loss of the log-probabilities of tokens, as NeMo-RL calls its loss functions: rows in turn
chosen and rejected, and a mean over the valid pairs of the whole batch. Nothing of it is imported
here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from midpo.codegen.runtime.arguments import _need
from midpo.codegen.training.steps import IGNORED, _filled, _Seam

# What NeMo-RL calls what is logged.
NAMES = {
    "rewards/chosen": "rewards_chosen_mean",
    "rewards/rejected": "rewards_rejected_mean",
    "rewards/accuracies": "accuracy",
}


class _OfTokens:
    """A LossFunction of NeMo-RL; `seam`, `loss_type` and `input_type` are the class's."""

    seam: _Seam

    def __init__(self, **parameters: float) -> None:
        self.parameters = _filled("parameters", parameters, self.seam.parameters)

    def __call__(
        self,
        next_token_logprobs: Tensor,
        data: Mapping[str, Tensor],
        global_valid_seqs: Tensor,
        global_valid_toks: Any = None,
    ) -> tuple[Tensor, dict[str, Any]]:
        """The sum of the losses of the valid pairs over half of `global_valid_seqs`, and what is
        logged, over the same: both add up over micro-batches.

        Log-probabilities are (2B, T - 1), token_mask of `data` (2B, T), sample_mask (2B,), those of
        frozen policies (2B, T), the last of which is not read; rows are in turn the chosen and the
        rejected response of each pair.
        Raises: ValueError for what is missing, or of another shape.
        """
        mask, logps = data["token_mask"][:, 1:], next_token_logprobs
        held = logps.shape == mask.shape and logps.shape[0] % 2 == 0
        _need(held, "next_token_logprobs", logps, tuple(mask.shape))
        pairs = (data["sample_mask"][::2] > 0).nonzero()[:, 0]
        rows = torch.cat([2 * pairs, 2 * pairs + 1])
        given = {"policy_logps": logps[rows]}
        for name in self.seam.frozen:
            given[f"{name}_logps"] = _found(data, f"{name}_policy_logprobs", logps)[rows, :-1]
        for name, kind in self.seam.features.items():
            value = _found(data, name, logps)
            at = 2 * pairs if kind == "pair" else rows
            given[name] = value[at, 1:] if kind == "token" else value[at]
        half = global_valid_seqs / 2
        counted = {"loss": 0.0, "num_valid_samples": float(len(pairs))}
        if not len(pairs):  # a batch that was filled up
            return logps.sum() * 0.0, counted
        labels = torch.where(mask[rows].bool(), 0, IGNORED)
        keywords = {} if self.seam.sorts else {"empty": "zero"}
        losses, logged = self.seam.loss(
            **given, **self.parameters, **keywords, labels=labels, reduction="none", metrics=True
        )
        loss = losses.sum() / half
        means = {NAMES.get(n, n): (x.nansum() / half).item() for n, x in logged.items()}
        return loss, {**counted, "loss": loss.item(), **means}


def _found(data: Mapping[str, Tensor], name: str, logps: Tensor) -> Tensor:
    """What of a batch has this name, a row each."""
    value: Any = data.get(name)
    held = isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == logps.shape[0]
    _need(held, f'data["{name}"]', value, f"{logps.shape[0]} rows, chosen and rejected in turn")
    found: Tensor = value
    return found
