# mypy: allow-untyped-calls
"""A model's hidden states and output head, inside its own forward.

Only there are they whole and in the dtype that is trained in: FSDP and ZeRO-3 gather the head
around its forward, and accelerate opens autocast around the model's. So a call takes the place of
the head's forward. What it finds, the loss, goes on in the place of the logits, as these systems
hang their backward on what forward returns.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

_AtHead = Callable[[Tensor, Tensor, Tensor | None], Tensor]
# What models call a number that logits are multiplied by, or divided by.
FACTORS = ("logit_scale", "output_multiplier", "lm_head_multiplier")
DIVISOR = "logits_scaling"
# They take the way of logits, and show what a model makes of its head's output.
PROBES = (0.0, -64.0, -3.0, 0.5, 20.0, 300.0)


class _Carried(torch.autograd.Function):
    """PROBES as one position's logits; the gradient of the first is the loss's."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.new_tensor(PROBES).reshape(1, 1, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[0, 0, 0].clone()


class _Landed(torch.autograd.Function):
    """The loss, whose gradient goes back through the model's output."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, output: Tensor, scale: float) -> Tensor:
        ctx.scale, ctx.like = scale, output.detach()
        return loss.detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        back = torch.zeros_like(ctx.like)
        back[0, 0, 0] = gradient / ctx.scale
        return None, back, None


def _inside(model: Any) -> Any:
    """The language model that DDP or an engine wraps."""
    while not hasattr(model, "get_output_embeddings") and hasattr(model, "module"):
        model = model.module
    return model


def _output_head(model: Any) -> Any:
    """The module that makes a model's logits.
    Raises: ValueError where there is none, or an adapter changes it."""
    inner = _inside(model)
    get = getattr(inner, "get_output_embeddings", None)
    head = getattr(inner, "lm_head", None) if get is None else get()
    if head is None or getattr(head, "weight", None) is None:
        raise ValueError(
            f"model: {type(inner).__name__} has no output head, needs get_output_embeddings() "
            "or an lm_head with a weight"
        )
    if hasattr(head, "base_layer") or hasattr(head, "original_module"):
        raise ValueError(
            "model: got an adapter on its output head, which a loss from hidden states does not "
            'see; needs "lm_head" left out of target_modules and modules_to_save'
        )
    return head


def _scale_and_cap(model: Any) -> tuple[float, float]:
    """Logits are cap*tanh(scale*(hidden @ weight.T + bias)/cap), as the model's config says; cap is
    inf where there is none."""
    config: Any = getattr(_inside(model), "config", None)
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    factors = (getattr(config, name, None) for name in FACTORS)
    scale = next((float(factor) for factor in factors if factor is not None), 1.0)
    if (divisor := getattr(config, DIVISOR, None)) is not None:
        multiplies = getattr(config, "model_type", "") == "hyperclovax"
        scale *= float(divisor) if multiplies else 1 / float(divisor)
    cap = getattr(config, "final_logit_softcapping", None)
    return scale, math.inf if cap is None else float(cap)


def _autocast_to(hidden: Tensor) -> torch.dtype:
    """The dtype that a product with the head is taken in."""
    kind = hidden.device.type
    if hidden.dtype != torch.float64 and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return hidden.dtype


def _whole_tensor(value: Tensor) -> Tensor:
    """A tensor of which this process may have a part."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


@contextlib.contextmanager
def _at_head(head: Any, call: _AtHead) -> Iterator[list[Tensor]]:
    """As long as it is open, the head's forward gives its input, weight and bias to `call` and
    returns PROBES. Yields what `call` found, each time."""
    plain, found = vars(head).get("forward"), []

    def forward(hidden: Tensor, *_: Any, **__: Any) -> Tensor:
        weight = _whole_tensor(head.weight)
        bias = None if getattr(head, "bias", None) is None else _whole_tensor(head.bias)
        hidden = _whole_tensor(hidden).to(weight.device, _autocast_to(hidden))
        found.append(call(hidden, weight, bias))
        sent: Tensor = _Carried.apply(found[-1])
        return sent

    head.forward = forward
    try:
        yield found
    finally:
        if plain is None:
            del head.forward
        else:
            head.forward = plain


def _logits_of(outputs: Any) -> Tensor:
    """The logits of what a model returned."""
    if isinstance(outputs, Tensor):
        return outputs
    logits = outputs["logits"] if isinstance(outputs, dict) else getattr(outputs, "logits", None)
    found: Tensor = outputs[0] if logits is None else logits
    return found


def _through(
    model: Any, inputs: dict[str, Any], call: _AtHead, validate: bool
) -> tuple[Tensor, Any]:
    """What `call` finds at the head in model(**inputs), with its gradient, and the model's outputs.

    Raises: ValueError where the model's head is not asked once, or, with `validate`, where its
    output is changed otherwise than `_scale_and_cap` says.
    """
    scale, cap = _scale_and_cap(model)
    with _at_head(_output_head(model), call) as found:
        outputs = model(**inputs)
    if len(found) != 1:
        raise ValueError(f"model: asked its output head {len(found)} times, needs to ask it once")
    logits = _logits_of(outputs)
    if validate:
        _check_probes(logits, scale, cap)
    loss: Tensor = _Landed.apply(found[0], logits, scale)
    return loss, outputs


def _check_probes(logits: Tensor, scale: float, cap: float) -> None:
    """Refuse a model that does with its head's output what is not known of it."""
    values = [x * scale if math.isinf(cap) else cap * math.tanh(x * scale / cap) for x in PROBES]
    got = logits.detach().flatten().tolist()
    near = len(got) == len(values) and all(
        abs(one - other) <= 0.01 * max(1.0, abs(other))
        for one, other in zip(got, values, strict=True)
    )
    if not near:
        known = ", ".join((*FACTORS, DIVISOR, "final_logit_softcapping"))
        raise ValueError(
            f"model: makes of its head's output {list(PROBES)} the logits {got}, needs {values}, "
            f"as its config says ({known})"
        )


@contextlib.contextmanager
def _frozen_pass(model: Any) -> Iterator[None]:
    """No gradient and no dropout, as long as it is open."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def _is_sharded(model: Any, head: Any) -> bool:
    """Whether a head is whole only inside the model's forward."""
    parts = hasattr(head.weight, "full_tensor") or hasattr(head.weight, "ds_id")
    return parts or any(type(m).__name__ == "FullyShardedDataParallel" for m in model.modules())
