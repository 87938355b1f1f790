"""The loss of a batch of token ids under a model and its reference."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from midpo.codegen.runtime.arguments import _head_numbers, _need, _told
from midpo.codegen.runtime.heads import TABLE, _head
from midpo.codegen.runtime.pieces import _rows_at_once
from midpo.codegen.runtime.tables import _accumulation
from midpo.codegen.training.models import (
    _frozen_pass,
    _inside,
    _is_sharded,
    _output_head,
    _scale_and_cap,
    _through,
)

IGNORED = -100


class _Seam(NamedTuple):
    """What a step is told of its kernel.

    `loss` is the kernel, `label_logps` its operator for log-probabilities of labels from a head,
    None where no policy needs it; `from_hidden` says whether it takes hidden states and heads, or
    logits. `frozen` are its policies beside the trained one, as its arguments begin, and whether
    their labels' log-probabilities are enough; `whole`, whether those of whole responses are,
    with `lengths` where these are needed too; `sorts`, whether it sorts the pairs of a batch and
    needs all of them; `features` what there is one of each for; `parameters` their defaults, None
    where there is none; `of` the responses of a pair.
    """

    loss: Any
    label_logps: Any
    from_hidden: bool
    frozen: dict[str, bool]
    whole: bool
    lengths: bool
    sorts: bool
    features: dict[str, str]
    parameters: dict[str, float | None]
    of: int


def _step(
    seam: _Seam,
    model: Any,
    frozen: Mapping[str, Any],
    batch: Mapping[str, Any],
    features: Mapping[str, Any],
    parameters: Mapping[str, Any],
    num_pairs: float | None,
    empty: str,
    validate: bool,
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """The loss, what trainers log of it, and the model's outputs. `batch` is the model's inputs
    with a completion_mask beside them, `frozen` a model for each frozen policy, or
    log-probabilities of whole responses."""
    parameters = _filled("parameters", parameters, seam.parameters)
    features = _filled("features", features, dict.fromkeys(seam.features))
    inputs = {name: value for name, value in batch.items() if name != "completion_mask"}
    unknown = [name for name in frozen if name not in {*seam.frozen, "reference"}]
    if unknown:
        needed = ", ".join(seam.frozen) or "none"
        raise ValueError(f"policies: got {', '.join(unknown)}, needs {needed}")
    labels = _next_labels(batch, seam.of, validate)
    aligned = {
        name: _aligned(name, value, labels) if seam.features[name] == "token" else value
        for name, value in features.items()
    }
    given: dict[str, Any] = {}
    for name, labels_only in seam.frozen.items():
        given |= _of_frozen(seam, name, frozen.get(name), model, inputs, labels, labels_only)
    kept: dict[str, Any] = {}
    keywords = {**aligned, **parameters, "num_pairs": num_pairs, "validate": validate}
    keywords |= {} if seam.sorts else {"empty": empty}

    def at_head(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        leads, numbers = _leads(seam, "policy", model, hidden, weight, bias, labels)
        loss, kept["metrics"] = seam.loss(
            **leads, **given, **numbers, **keywords, labels=labels.to(hidden.device), metrics=True
        )
        found: Tensor = loss
        return found

    loss, outputs = _through(model, _without_cache(model, inputs), at_head, validate)
    return loss, kept["metrics"], outputs


def _of_frozen(
    seam: _Seam,
    name: str,
    policy: Any,
    model: Any,
    inputs: dict[str, Any],
    labels: Tensor,
    labels_only: bool,
) -> dict[str, Any]:
    """The kernel's arguments of a frozen policy: a model or, where it is None, the trained one with
    its adapter off."""
    off: Any = contextlib.nullcontext()
    if policy is None:
        inner = _inside(model)
        if name != "reference" or not hasattr(inner, "disable_adapter"):
            raise ValueError(
                f"{name}: got None, needs a model"
                + (", or a policy with an adapter of PEFT to switch off" * (name == "reference"))
            )
        policy, off = model, _adapter_off(inner)
    elif isinstance(policy, Tensor):
        if not (seam.whole and seam.from_hidden and labels_only):
            raise ValueError(f"{name}: got a tensor of {_told(policy)}, and the loss needs a model")
        rows = labels.shape[0]
        _need(tuple(policy.shape) == (rows,), name, policy, f"({rows},) or a model")
        return {f"{name}_logps": policy}
    found: dict[str, Any] = {}
    # Asked now: inside the forward a head is whole that is in parts before and after it.
    passing = seam.from_hidden and not labels_only and _is_sharded(policy, _output_head(policy))

    def at_head(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if seam.from_hidden and labels_only:
            head = _head(_predicting(hidden, labels), weight, bias)
            found[f"{name}_token_logps"] = _label_values(seam, policy, head, labels)
        else:
            made, numbers = _leads(seam, name, policy, hidden, weight, bias, labels)
            if numbers != _leads_numbers(seam, model):
                raise ValueError(f"{name}: its logits are scaled or capped otherwise, needs alike")
            found.update({k: v.clone() if passing else v for k, v in made.items() if v is not None})
        return hidden.new_zeros(())

    with off, _frozen_pass(policy):
        _through(policy, _without_cache(policy, inputs), at_head, validate=False)
    return found


@contextlib.contextmanager
def _adapter_off(model: Any) -> Iterator[None]:
    """A model of PEFT as the reference that it started from: with the adapter "ref", where it has
    one, else with none."""
    if "ref" not in getattr(model, "peft_config", ()):
        with model.disable_adapter():
            yield
        return
    before = model.active_adapter
    trained = [p for p in model.parameters() if p.requires_grad]
    model.set_adapter("ref")
    try:
        yield
    finally:
        model.set_adapter(before)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)


def _label_values(seam: _Seam, policy: Any, head: list[Tensor], labels: Tensor) -> Tensor:
    """Log-probabilities of the labels under a policy, by its head."""
    numbers = _leads_numbers(seam, policy)
    scalings = _head_numbers(
        numbers["logit_softcap"], numbers["logit_temperature"], _accumulation(head[0])
    )
    rows = _rows_at_once(None, head[1].shape[0], head[0].device, TABLE)
    counted = torch.where(labels == IGNORED, -1, labels).to(head[0].device)
    found: Tensor = seam.label_logps(head, counted, scalings, rows)
    return found


def _leads_numbers(seam: _Seam, model: Any) -> dict[str, float]:
    """The scaling of a model's logits as a kernel of hidden states takes it: with its cap first."""
    scale, cap = _scale_and_cap(model)
    held = {"logit_softcap": cap / scale, "logit_temperature": 1 / scale}
    return held if seam.from_hidden else {}


def _leads(
    seam: _Seam,
    name: str,
    model: Any,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
) -> tuple[dict[str, Any], dict[str, float]]:
    """What the kernel takes of a policy, and how its logits are scaled."""
    rows = _predicting(hidden, labels)
    if seam.from_hidden:
        held = {f"{name}_hidden": rows, f"{name}_weight": weight, f"{name}_bias": bias}
        return held, _leads_numbers(seam, model)
    scale, cap = _scale_and_cap(model)
    kind = rows.dtype
    logits = F.linear(rows, weight.to(kind), None if bias is None else bias.to(kind))
    logits = logits if scale == 1 else logits * scale
    return {f"{name}_logits": logits if math.isinf(cap) else cap * torch.tanh(logits / cap)}, {}


def _predicting(hidden: Tensor, labels: Tensor) -> Tensor:
    """Hidden states of the labels' positions: virtual tokens of a tuned prompt come before them."""
    held = hidden.dim() == 3 and hidden.shape[0] == labels.shape[0]
    _need(
        held and hidden.shape[1] >= labels.shape[1],
        "hidden states at the output head",
        hidden,
        (*labels.shape, "D"),
    )
    return hidden[:, -labels.shape[1] :]


def _without_cache(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs, and for a model that keeps keys and values for generation, not to keep them."""
    config = getattr(_inside(model), "config", None)
    return {"use_cache": False, **inputs} if hasattr(config, "use_cache") else inputs


def _filled(what: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The given values by name, and defaults. Refuses unknown names, and missing ones."""
    unknown = [name for name in given if name not in known]
    if unknown:
        needed = ", ".join(known) or "none"
        raise ValueError(f"{what}: got {', '.join(map(str, unknown))}, needs {needed}")
    values = {**known, **given}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise ValueError(f"{what}: got nothing for {', '.join(missing)}, needs a value")
    return values


def _next_labels(batch: Mapping[str, Any], of: int, validate: bool) -> Tensor:
    """The label that each position predicts: the next token where it is one of a completion."""
    ids, attended = batch["input_ids"], batch["attention_mask"]
    counted = batch["completion_mask"]
    held = isinstance(ids, Tensor) and ids.dim() == 2 and ids.shape[0] % of == 0
    _need(held and ids.dtype == torch.int64, "input_ids", ids, f"({of}B, T), torch.int64")
    for name in ("attention_mask", "completion_mask"):
        value = batch[name]
        _need(isinstance(value, Tensor) and value.shape == ids.shape, name, value, tuple(ids.shape))
    if validate:
        _check_rows(ids, attended.bool(), counted.bool(), of)
    labels = torch.where(counted.bool(), ids, IGNORED)
    return F.pad(labels[:, 1:], (0, 1), value=IGNORED)


def _check_rows(ids: Tensor, attended: Tensor, counted: Tensor, of: int) -> None:
    """Refuse masks that do not fit, and responses to other prompts in the rows of a pair."""
    if bool((counted & ~attended).any()):
        raise ValueError(
            "completion_mask: got positions that attention_mask leaves out, needs it inside that"
        )
    pairs = ids.shape[0] // of
    prompt = attended & ~counted
    # Either end may have been cut, of a chosen and a rejected one at different places.
    first, last = (
        _same_prompts(x, p, pairs) for x, p in ((ids, prompt), (ids.flip(1), prompt.flip(1)))
    )
    other = ~(first | last)
    if bool(other.any()):
        row = int(other.nonzero()[0])
        raise ValueError(
            f"input_ids: got other prompts in rows {row % pairs} and {row + pairs}, needs the "
            "chosen responses of all pairs, then the rejected ones in the same order"
        )


def _same_prompts(ids: Tensor, prompt: Tensor, pairs: int) -> Tensor:
    """Of each row after the first `pairs`, whether its prompt and that of its pair's first row
    begin alike, as far as the shorter one goes."""
    order = (~prompt).to(torch.int8).argsort(dim=1, stable=True)
    ids, counts = ids.gather(1, order), prompt.sum(1)
    of = ids.shape[0] // pairs
    first, least = ids[:pairs].repeat(of - 1, 1), counts[:pairs].repeat(of - 1)
    least = torch.minimum(least, counts[pairs:])
    beyond = torch.arange(ids.shape[1], device=ids.device) >= least[:, None]
    return ((first == ids[pairs:]) | beyond).all(1)


def _aligned(name: str, value: Any, labels: Tensor) -> Tensor:
    """A feature of tokens, one number for each token or for each but the first, as the labels
    stand."""
    rows, length = labels.shape
    held = isinstance(value, Tensor) and tuple(value.shape) in ((rows, length), (rows, length - 1))
    _need(held, name, value, f"({rows}, {length}) or ({rows}, {length - 1})")
    found: Tensor = F.pad(value[:, 1 - length :] if length > 1 else value[:, :0], (0, 1), value=1.0)
    return found
