"""What generated kernels are measured beside: torch's own steps, TRL, the authors' code, Liger."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def steps() -> Callable[..., Any]:
    """What DPO costs in torch's operations at least: each row's numbers in float32, their maximum,
    shift, powers and sum, on chunks that stay in the caches; the policy's powers left where the
    gradient is to be, and scaled there. No labels, no wrapper and, after the first time, no new
    memory: the loss is another one."""
    import torch

    memory: list[Any] = []
    rate = math.log2(math.e)

    class Steps(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, policy: Any, reference: Any) -> Any:
            count, size = policy.shape
            rows = max(1, (1 << 22) // (4 * size))
            if not memory:
                table = policy.new_empty(rows, size, dtype=torch.float32)
                memory.extend((torch.empty_like(policy), table))
            gradient, table = memory
            ctx.totals = table.new_empty(2, count, 1)
            for at in range(0, count, rows):
                for n, logits in enumerate((policy, reference)):
                    scores, place = logits[at : at + rows], table[: count - at]
                    left, total = gradient[at : at + rows], ctx.totals[n, at : at + rows]
                    if logits.dtype != table.dtype:
                        scores = place.copy_(scores)
                    elif n == 0:
                        place = left
                    low = scores.amax(-1, True).mul_(-rate)
                    torch.add(low, scores, alpha=rate, out=place)
                    torch.sum(place.exp2_(), -1, True, out=total)
                    if n == 0 and place is not left:
                        left.copy_(place.mul_(total.reciprocal()))
            return ctx.totals.log().sum()

        @staticmethod
        def backward(ctx: Any, seed: Any) -> Any:
            gradient, table = memory
            short = gradient.dtype != table.dtype
            return gradient.mul_(seed.item() if short else seed / ctx.totals[0]), None

    def loss(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
        return Steps.apply(policy_logits.flatten(0, 1), reference_logits.flatten(0, 1))

    return loss


def trl_dpo(policy_logits: Any, reference_logits: Any, labels: Any) -> Any:
    """DPO by TRL's own log-probabilities."""
    import torch
    from trl.trainer.utils import selective_log_softmax

    logps = selective_log_softmax(policy_logits, labels).sum(-1)
    with torch.no_grad():
        reference = selective_log_softmax(reference_logits, labels).sum(-1)
    chosen, rejected = (logps - reference).chunk(2)
    return -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()


def authors(policy_logits: Any, reference_logits: Any, labels: Any, mu1: Any = 1.0, mu2: Any = 1.0) -> Any:
    """The token-level losses as their authors compute them: whole distributions, in float32."""
    import torch

    logps = policy_logits.float().log_softmax(-1)
    probabilities = reference_logits.float().softmax(-1)
    reference = probabilities.log()
    divergence = (probabilities * (reference - logps)).sum(-1)
    at = labels.unsqueeze(-1)
    gained = logps.gather(-1, at).squeeze(-1) - reference.gather(-1, at).squeeze(-1)
    chosen, rejected = (mu1 * gained + mu2 * divergence).sum(-1).chunk(2)
    return -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean()


def liger() -> Callable[..., Any]:
    from liger_kernel.chunked_loss import LigerFusedLinearDPOLoss

    fused = LigerFusedLinearDPOLoss(
        beta=0.1, compute_nll_loss=False, use_ref_model=True, average_log_prob=False
    )

    def loss(
        policy_hidden: Any, policy_weight: Any, reference_hidden: Any, reference_weight: Any, labels: Any
    ) -> Any:
        return fused(
            policy_weight, policy_hidden, labels, ref_input=reference_hidden, ref_weight=reference_weight
        )[0]

    return loss
