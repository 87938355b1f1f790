"""What a DPOTrainer of TRL becomes by a kernel: its data, models and metrics are TRL's, its loss is
the spec's. Nothing of TRL is imported here."""

from __future__ import annotations

import dataclasses
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from midpo.codegen.training.steps import _Seam, _step

TESTED = ("0.29.1", "1.9.0", "1.14.0", "1.16.0")
TOLD: set[str] = set()  # versions that a warning was given of
# What DPOConfig says of TRL's own loss.
OWN_LOSS = (
    "loss_type",
    "loss_weights",
    "label_smoothing",
    "use_weighting",
    "ld_alpha",
    "f_divergence_type",
    "f_alpha_divergence_coef",
    "discopop_tau",
)
PRECOMPUTED = ("ref_chosen_logps", "ref_rejected_logps")
SIDES = {"token": ("chosen_", "rejected_"), "response": ("chosen_", "rejected_"), "pair": ("",)}


class _NoReference(torch.nn.Module):
    """In the place of a reference that the loss has none of, so that TRL loads none."""

    config = SimpleNamespace(get_text_config=SimpleNamespace)

    def forward(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("the loss has no reference")


class _Features:
    """A collator that also collates the columns of features."""

    def __init__(self, collator: Any, columns: Mapping[str, str]) -> None:
        self.collator, self.columns = collator, columns

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = self.collator(examples)
        for name, kind in self.columns.items():
            sides = SIDES[kind]
            values = [example[side + name] for side in sides for example in examples]
            if kind == "token":
                ids = [len(e[f"{side}ids"]) for side in sides for e in examples]
                batch[name] = self.tokens(name, values, ids, batch["completion_mask"])
            else:
                batch[name] = torch.tensor(values, dtype=torch.float32)
        return batch

    def tokens(self, name: str, values: list[Any], lengths: list[int], counted: Tensor) -> Tensor:
        """(2B, T), a number at each token of a response that is not cut off."""
        found = torch.ones(counted.shape, dtype=torch.float32)
        cut_in_front = getattr(self.collator, "truncation_mode", "keep_start") == "keep_end"
        for row, (each, length) in enumerate(zip(values, lengths, strict=True)):
            if len(each) != length:
                raise ValueError(
                    f"{name}: got {len(each)} numbers for a response of {length} tokens, needs one "
                    "for each, that which TRL appends at its end included"
                )
            places = counted[row].nonzero()[:, 0]
            kept = each[length - len(places) :] if cut_in_front else each[: len(places)]
            found[row, places] = torch.tensor(kept, dtype=torch.float32)
        return found


class _Preference:
    """Stands before a DPOTrainer among a class's bases; `seam` and `scale`, the parameter that
    TRL calls beta, are the class's."""

    seam: _Seam
    spec: str
    scale: str | None
    whole_term: str
    parameters: dict[str, Any]

    def __init__(
        self,
        *args: Any,
        features: Mapping[str, Callable[..., Any]] | None = None,
        policies: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        _warn_of_version()
        base: Any = super()
        known = inspect.signature(base.__init__)
        self.parameters = {n: more.pop(n) for n in self.seam.parameters if n in more}
        unknown = [name for name in more if name not in known.parameters]
        if unknown:
            needed = ", ".join([*self.seam.parameters, *known.parameters])
            raise ValueError(f"got the argument {', '.join(unknown)}, needs one of {needed}")
        given = known.bind_partial(*args, **more).arguments
        self._calls, self._policies = dict(features or {}), dict(policies or {})
        self._columns = self._read_columns(given.get("train_dataset"))
        self._refuse_config(given.get("args"))
        self._refuse_policies()
        self._is_checked = False
        if not self._needs_reference and given.get("ref_model") is None:
            peft = given.get("peft_config") is not None or hasattr(
                given.get("model"), "peft_config"
            )
            if not peft:
                more["ref_model"] = _NoReference()
        base.__init__(*args, **more)
        here: Any = self
        here.data_collator = _Features(here.data_collator, self._columns)
        if isinstance(here.ref_model, _NoReference) or (
            here.ref_model is not None and not self._needs_reference
        ):
            here.ref_model = None
        if not (here.is_deepspeed_enabled or here.is_fsdp_enabled):
            prepare = here.accelerator.prepare_model
            self._policies = {
                n: prepare(policy, evaluation_mode=True) for n, policy in self._policies.items()
            }

    @property
    def _needs_reference(self) -> bool:
        return "reference" in self.seam.frozen

    def _read_columns(self, dataset: Any) -> dict[str, str]:
        """The features that are columns. Refuses those that are neither these nor calls."""
        unknown = [name for name in self._calls if name not in self.seam.features]
        if unknown:
            needed = ", ".join(self.seam.features) or "none"
            raise ValueError(f"features: got {', '.join(unknown)}, needs {needed}")
        columns = {n: k for n, k in self.seam.features.items() if n not in self._calls}
        there = getattr(dataset, "column_names", None)
        for name, kind in columns.items():
            missing = [s + name for s in SIDES[kind] if there is not None and s + name not in there]
            if missing:
                raise ValueError(
                    f"{self.spec}: the {kind} feature {name} is not there\n  expected: the column "
                    f"{' and '.join(missing)} in the dataset, or features={{{name!r}: call}} with "
                    f"call(inputs) -> {_shape(kind)}"
                )
        return columns

    def _refuse_config(self, config: Any) -> None:
        """Refuse what DPOConfig says of another loss, and a beta that is not the spec's."""
        if config is None:
            return
        usual = _defaults(config)
        for name in OWN_LOSS:
            if name in usual and getattr(config, name) != usual[name]:
                raise ValueError(
                    f"args.{name}: got {getattr(config, name)!r}, and the loss is that of the spec "
                    f"{self.spec}\n  expected: {usual[name]!r}"
                )
        if "beta" in usual and config.beta != usual["beta"]:
            value = self._value(self.scale) if self.scale else None
            if value is None or not math.isclose(float(value), config.beta, rel_tol=1e-12):
                said = f"{self.scale}={config.beta}" if self.scale else "the spec's own parameters"
                raise ValueError(
                    f"args.beta: got {config.beta}, and {self.scale or 'no parameter'} is "
                    f"{value}\n  expected: {said} as keyword of the trainer, and no args.beta"
                )
        if getattr(config, "precompute_ref_log_probs", False) and self.whole_term:
            raise ValueError(
                f"args.precompute_ref_log_probs keeps one number a response, and {self.spec} needs "
                f"{self.whole_term}\n  expected: precompute_ref_log_probs=False"
            )

    def _value(self, name: str) -> Any:
        return self.parameters.get(name, self.seam.parameters[name])

    def _refuse_policies(self) -> None:
        wanted = [name for name in self.seam.frozen if name != "reference"]
        missing = [name for name in wanted if self._policies.get(name) is None]
        if missing:
            listed = ", ".join(f"{name!r}: model" for name in missing)
            raise ValueError(
                f"{self.spec} has the policy pi_{missing[0]} beside the reference"
                f"\n  expected: policies={{{listed}}}"
            )
        unknown = [name for name in self._policies if name not in wanted]
        if unknown:
            needed = ", ".join(wanted) or "none"
            raise ValueError(f"policies: got {', '.join(unknown)}, needs {needed}")
        empty = [
            name
            for name, usual in self.seam.parameters.items()
            if usual is None and self.parameters.get(name) is None
        ]
        if empty:
            raise ValueError(f"{self.spec}: got nothing for {', '.join(empty)}, needs a number")

    def _set_signature_columns_if_needed(self) -> None:
        base: Any = super()
        base._set_signature_columns_if_needed()
        here: Any = self
        columns = [side + name for name, kind in self._columns.items() for side in SIDES[kind]]
        here._signature_columns += [c for c in columns if c not in here._signature_columns]

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        here: Any = self
        inputs = self._cut(inputs)
        features = {name: inputs[name] for name in self._columns}
        features |= {name: call(inputs) for name, call in self._calls.items()}
        batch = {k: v for k, v in inputs.items() if k not in (*PRECOMPUTED, *self._columns)}
        has_aux = bool(getattr(here, "aux_loss_enabled", False))
        inner = batch | {"output_router_logits": True} if has_aux else batch
        frozen = {**self._policies}
        if self._needs_reference:
            precomputed = [inputs[name] for name in PRECOMPUTED if name in inputs]
            frozen["reference"] = torch.cat(precomputed) if precomputed else here.ref_model
        given = (features, self.parameters, None, "zero")  # truncation may leave no response
        check = self.seam.sorts or not self._is_checked
        loss, metrics, outputs = _step(self.seam, model, frozen, inner, *given, check)
        self._is_checked = True
        if has_aux:
            loss = loss + here.router_aux_loss_coef * outputs.aux_loss
            metrics["aux_loss"] = outputs.aux_loss.detach()
        self._keep(metrics, batch)
        if not return_outputs:
            return loss
        with torch.no_grad():
            return loss, model(**{k: v for k, v in batch.items() if k != "completion_mask"})

    def _cut(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs as long as they may be: old versions of TRL cut batches, new ones examples."""
        cut = getattr(self, "_truncate_inputs", None)
        if cut is None:
            return inputs
        masks = [inputs["attention_mask"], inputs["completion_mask"]]
        names = ["input_ids", *(name for name, kind in self._columns.items() if kind == "token")]
        found = {name: cut(inputs[name], *masks) for name in names}
        _, attended, counted = found["input_ids"]
        short = {name: one for name, (one, *_) in found.items()}
        return inputs | short | {"attention_mask": attended, "completion_mask": counted}

    def _weights(self, counted: Tensor) -> dict[str, Tensor]:
        """How many there are of what is averaged: pairs, those that have both responses, and the
        tokens of these, by what is a number at each."""
        kind = torch.float32 if counted.device.type == "mps" else torch.float64
        of = self.seam.of
        tokens = counted.sum(1).to(kind).view(of, -1)
        there = (tokens > 0).all(0)
        chosen, *_, rejected = (tokens * there).sum(1)
        every = (tokens * there).sum()
        return {
            "pairs": there.sum().to(kind),
            "pairs/empty": tokens.new_tensor(tokens.shape[1]),
            "kl": every,
            "entropy": every,
            "logits/chosen": chosen,
            "logits/rejected": rejected,
            "mean_token_accuracy": chosen,
        }

    def _keep(self, metrics: Mapping[str, Tensor], batch: Mapping[str, Any]) -> None:
        """Take means over all processes into what TRL logs: of pairs, and of tokens where they are
        a number at each."""
        here: Any = self
        mode = "train" if here.model.training else "eval"
        weights = self._weights(batch["completion_mask"][:, 1:])
        held = []
        for name, value in metrics.items():
            kind = name.partition("/")[0] if name.startswith(("kl/", "entropy/")) else name
            weight = weights.get(kind, weights["pairs"])
            held += [torch.where(weight > 0, value.to(weight) * weight, 0.0), weight]
        table = torch.stack(held).view(-1, 2)
        sums = here.accelerator.gather(table).view(-1, *table.shape).sum(0).tolist()
        for name, (total, count) in zip(metrics, sums, strict=True):
            here._metrics[mode][name].append(total / count if count else 0.0)
        if mode == "train":
            seen = here.accelerator.gather(batch["attention_mask"].sum()).sum().item()
            here._total_train_tokens += seen // max(1, getattr(here, "_tp_size", 1))
        here._metrics[mode]["num_tokens"] = [here._total_train_tokens]


def _shape(kind: str) -> str:
    shapes = {"token": "(2B, T) or (2B, T - 1)", "response": "(2B,)", "pair": "(B,)"}
    return shapes[kind]


def _defaults(config: Any) -> dict[str, Any]:
    """The defaults of a dataclass's fields."""
    return {
        field.name: field.default
        if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in dataclasses.fields(type(config))
    }


def _warn_of_version() -> None:
    """Say once that this version of TRL was not tested with."""
    try:
        found = version("trl")
    except PackageNotFoundError:
        return
    if found not in TESTED and found not in TOLD:
        TOLD.add(found)
        warnings.warn(
            f"trl {found}: this trainer was tested with {', '.join(TESTED)}", stacklevel=3
        )
