"""A loss of log-probabilities, as trainers hold them who ask for a module or a function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from midpo.codegen.training.steps import _filled, _Seam


class _OfSequences(torch.nn.Module):
    """The losses of pairs from the log-probabilities of whole responses; `seam` is the class's."""

    seam: _Seam

    def __init__(self, *, reduction: str = "none", **parameters: float) -> None:
        super().__init__()
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f'reduction: got {reduction!r}, needs "none", "mean" or "sum"')
        self.reduction = reduction
        self.parameters_of_loss = _filled("parameters", parameters, self.seam.parameters)

    def forward(
        self,
        policy_chosen_logps: Tensor,
        policy_rejected_logps: Tensor,
        reference_chosen_logps: Tensor | None = None,
        reference_rejected_logps: Tensor | None = None,
        *,
        chosen_lengths: Tensor | None = None,
        rejected_lengths: Tensor | None = None,
        policies: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        features: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses (B,), or for another reduction their mean or sum, and the rewards of chosen
        and rejected responses (B,), detached; NaN where the loss has none.

        Log-probabilities and lengths are (B,), `policies` those of further frozen policies, a pair
        of tensors each; `features` (2B,) of responses, the chosen ones first, or (B,) of pairs.
        Raises: ValueError for what is missing, or of another shape.
        """
        given = {"policy": (policy_chosen_logps, policy_rejected_logps)}
        known = {
            "reference": (reference_chosen_logps, reference_rejected_logps),
            **(policies or {}),
        }
        unknown = [name for name in policies or {} if name not in self.seam.frozen]
        if unknown:
            needed = ", ".join(self.seam.frozen) or "none"
            raise ValueError(f"policies: got {', '.join(unknown)}, needs {needed}")
        for name in self.seam.frozen:
            given[name] = _pair(f"{name}_{{}}_logps", *known.get(name, (None, None)))
        whole = {f"{name}_logps": torch.cat(both) for name, both in given.items()}
        whole |= _filled("features", features or {}, dict.fromkeys(self.seam.features))
        if self.seam.lengths:
            lengths = _pair("{}_lengths", chosen_lengths, rejected_lengths)
            whole["sequence_lengths"] = torch.cat(lengths)
        losses, logged = self.seam.loss(
            **whole, **self.parameters_of_loss, reduction="none", metrics=True
        )
        absent = torch.full_like(losses.detach(), math.nan)
        chosen, rejected = (logged.get(f"rewards/{s}", absent) for s in ("chosen", "rejected"))
        reduced = {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[self.reduction]
        return reduced, chosen, rejected


def _pair(name: str, chosen: Any, rejected: Any) -> tuple[Tensor, Tensor]:
    """Both of a pair of arguments, which must be there."""
    for side, value in (("chosen", chosen), ("rejected", rejected)):
        if not isinstance(value, Tensor):
            raise ValueError(f"{name.format(side)}: got {value!r}, needs (B,)")
    return chosen, rejected
