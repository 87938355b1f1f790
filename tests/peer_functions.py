"""Loss functions of other packages on log-probabilities of responses, with their scales as symbols.

Each makes a function whose arguments `midpo prove` binds by name: what the package's own function
is called with, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch

Function = Callable[..., Any]
SCALE = {"beta": "alpha"}


@dataclass(frozen=True)
class PeerFunction:
    """`make()` is to compute `loss`, a row of the catalogue or a loss in the spec language;
    `arguments` say what its parameters are there."""

    package: str
    call: str
    loss: str
    make: Callable[[], Function]
    arguments: Mapping[str, Any] = field(default_factory=lambda: SCALE)
    scale: float = 1.0  # of the row's loss


def _liger_dpo(**options: Any) -> Callable[[], Function]:
    def make() -> Function:
        from liger_kernel.chunked_loss.dpo_loss import LigerFusedLinearDPOFunction

        def loss(
            policy_chosen_logps: Any,
            policy_rejected_logps: Any,
            ref_chosen_logps: Any,
            ref_rejected_logps: Any,
            beta: float,
            label_smoothing: float = 0.0,
            tau: float = 0.05,
        ) -> Any:
            return LigerFusedLinearDPOFunction.preference_loss_fn(
                policy_chosen_logps,
                policy_rejected_logps,
                torch.zeros(2 * policy_chosen_logps.shape[0], 1),
                ref_chosen_logps,
                ref_rejected_logps,
                beta,
                label_smoothing=label_smoothing,
                discopop_tau=tau,
                **options,
            )[0]

        return loss

    return make


def _liger_cpo() -> Function:
    from liger_kernel.chunked_loss.cpo_loss import LigerFusedLinearCPOFunction

    def loss(policy_chosen_logps: Any, policy_rejected_logps: Any, beta: float) -> Any:
        both = torch.zeros(2 * policy_chosen_logps.shape[0], 1)
        own = LigerFusedLinearCPOFunction.preference_loss_fn
        return own(policy_chosen_logps, policy_rejected_logps, both, beta)[0]

    return loss


def _liger_simpo() -> Function:
    from liger_kernel.chunked_loss.simpo_loss import LigerFusedLinearSimPOFunction

    def loss(
        policy_chosen_logps: Any,
        policy_rejected_logps: Any,
        chosen_lengths: Any,
        rejected_lengths: Any,
        beta: float,
        gamma: float,
    ) -> Any:
        return LigerFusedLinearSimPOFunction.preference_loss_fn(
            policy_chosen_logps / chosen_lengths,
            policy_rejected_logps / rejected_lengths,
            torch.zeros(2 * policy_chosen_logps.shape[0], 1),
            beta,
            gamma,
        )[0]

    return loss


def _liger_orpo() -> Function:
    from liger_kernel.chunked_loss.orpo_loss import LigerFusedLinearORPOFunction

    def loss(
        policy_chosen_logps: Any,
        policy_rejected_logps: Any,
        chosen_lengths: Any,
        rejected_lengths: Any,
        beta: float,
    ) -> Any:
        return LigerFusedLinearORPOFunction.preference_loss_fn(
            policy_chosen_logps / chosen_lengths,
            policy_rejected_logps / rejected_lengths,
            torch.zeros(2 * policy_chosen_logps.shape[0], 1),
            beta,
        )[0]

    return loss


def _liger_kto() -> Function:
    from liger_kernel.chunked_loss.kto_loss import LigerFusedLinearKTOFunction

    def loss(
        policy_chosen_logps: Any,
        policy_rejected_logps: Any,
        ref_chosen_logps: Any,
        ref_rejected_logps: Any,
        z0: Any,
        beta: float,
    ) -> Any:
        pairs = policy_chosen_logps.shape[0]
        return LigerFusedLinearKTOFunction.preference_loss_fn(
            torch.cat([policy_chosen_logps, policy_rejected_logps]),
            torch.arange(2 * pairs) < pairs,
            torch.zeros(2 * pairs, 1),
            torch.cat([ref_chosen_logps, ref_rejected_logps]),
            beta,
            torch.cat([z0, z0]),
        )[0]

    return loss


def _torchtune(name: str, scale: str) -> Callable[[], Function]:
    def make() -> Function:
        from torchtune.rlhf import loss as losses

        def loss(
            policy_chosen_logps: Any,
            policy_rejected_logps: Any,
            ref_chosen_logps: Any,
            ref_rejected_logps: Any,
            beta: float,
            label_smoothing: float = 0.0,
        ) -> Any:
            smoothed = {"label_smoothing": label_smoothing} if name == "DPOLoss" else {}
            module = getattr(losses, name)(**{scale: beta}, **smoothed)
            return module(policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps)[0]

        return loss

    return make


_HERE = SimpleNamespace(device=torch.device("cpu"))


def _trl_cpo(loss_type: str, averaged: bool = False) -> Callable[[], Function]:
    def make() -> Function:
        from trl.experimental.cpo import CPOTrainer

        def loss(
            policy_chosen_logps: Any,
            policy_rejected_logps: Any,
            chosen_lengths: Any,
            rejected_lengths: Any,
            beta: float,
            gamma: float = 0.0,
        ) -> Any:
            own = SimpleNamespace(
                accelerator=_HERE,
                alpha=0.0,
                label_smoothing=0.0,
                loss_type=loss_type,
                beta=beta,
                simpo_gamma=gamma,
            )
            of = [policy_chosen_logps, policy_rejected_logps]
            if averaged:
                of = [of[0] / chosen_lengths, of[1] / rejected_lengths]
            return CPOTrainer.cpo_loss(own, *of)[0]

        return loss

    return make


def _trl_orpo() -> Function:
    from trl.experimental.orpo import ORPOTrainer

    def loss(
        policy_chosen_logps: Any,
        policy_rejected_logps: Any,
        chosen_lengths: Any,
        rejected_lengths: Any,
        beta: float,
    ) -> Any:
        own = SimpleNamespace(accelerator=_HERE, beta=beta)
        return ORPOTrainer.odds_ratio_loss(
            own, policy_chosen_logps / chosen_lengths, policy_rejected_logps / rejected_lengths
        )[0]

    return loss


_W, _L = (f"log(pi({y}))/len({y})" for y in ("y_w", "y_l"))
ODDS = f"log(sigmoid({_W} - log(1 - exp({_W})) - {_L} + log(1 - exp({_L}))))"
_SMOOTH = {**SCALE, "label_smoothing": "epsilon"}
_PLAIN = {**SCALE, "label_smoothing": 0}

_OWN = "LigerFusedLinear{}Function.preference_loss_fn"
_DPO = _OWN.format("DPO")


def _of_dpo(loss_type: str, row: str, arguments: Mapping[str, Any]) -> PeerFunction:
    return PeerFunction(
        "liger-kernel", f"{_DPO}(loss_type={loss_type!r})", row, _liger_dpo(loss_type=loss_type), arguments
    )


FUNCTIONS = (
    *(
        _of_dpo(kind, row, _PLAIN)
        for kind, row in {
            "sigmoid": "dpo",
            "hinge": "rso",
            "nca_pair": "nca",
            "bco_pair": "bco",
            "sppo_hard": "sppo",
            "apo_zero": "apo-zero",
            "apo_down": "apo-down",
        }.items()
    ),
    _of_dpo("exo_pair", "exo", _SMOOTH),
    _of_dpo("robust", "robust-dpo", _SMOOTH),
    _of_dpo("discopop", "discopop", {**_PLAIN, "tau": "tau"}),
    PeerFunction("liger-kernel", _OWN.format("CPO"), "dpo-reference-free", _liger_cpo),
    PeerFunction("liger-kernel", _OWN.format("ORPO"), f"-alpha*{ODDS}", _liger_orpo),
    PeerFunction("liger-kernel", _OWN.format("KTO"), "kto", _liger_kto, scale=0.5),
    PeerFunction("liger-kernel", _OWN.format("SimPO"), "simpo", _liger_simpo),
    PeerFunction("torchtune", "DPOLoss(label_smoothing=...)", "cdpo", _torchtune("DPOLoss", "beta"), _SMOOTH),
    PeerFunction("torchtune", "RSOLoss", "rso", _torchtune("RSOLoss", "gamma")),
    PeerFunction("trl", "CPOTrainer.cpo_loss", "dpo-reference-free", _trl_cpo("sigmoid")),
    PeerFunction("trl", "CPOTrainer.cpo_loss(loss_type='simpo')", "simpo", _trl_cpo("simpo", True)),
    PeerFunction(
        "trl",
        "CPOTrainer.cpo_loss(loss_type='ipo')",
        "ipo-reference-free",
        _trl_cpo("ipo", True),
        {"beta": "tau"},
    ),
    PeerFunction("trl", "ORPOTrainer.odds_ratio_loss", f"alpha*{ODDS}", _trl_orpo),
)
