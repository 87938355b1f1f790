"""What a kernel refuses of its arguments: each by name, with what was got and what is needed."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _told(value: Any) -> str:
    """A wrong argument, as a message shows it."""
    if isinstance(value, Tensor):
        return f"shape {tuple(value.shape)}"
    plain = isinstance(value, (Real, str, complex, type(None), torch.dtype))
    return repr(value)[:40] if plain else type(value).__name__


def _need(held: bool, name: str, got: Any, needed: Any) -> None:
    """Refuse an argument that is not what is needed: a shape, or so many words."""
    if not held:
        needed = str(needed).replace("'", "") if isinstance(needed, tuple) else needed
        raise ValueError(f"{name}: got {_told(got)}, needs {needed}")


def _number(name: str, value: Any, needed: str) -> float:
    """A real number of any kind, or the one in a tensor, as Python's."""
    if isinstance(value, Tensor):
        one = value.numel() == 1 and not value.is_complex() and value.dtype != torch.bool
        if one and not value.requires_grad:
            return float(value)
        why = "it gets no gradient, and a feature does" if one else "one for all pairs"
        raise ValueError(f"{name}: got a tensor of {_told(value)}, needs {needed}: {why}")
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"{name}: got {_told(value)}, needs {needed}")


def _positive(name: str, value: Any) -> float:
    found = _number(name, value, "a number greater than 0")
    _need(0 < found < torch.inf, name, found, "a number greater than 0")
    return found


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_options(
    ignore_index: Any, reduction: Any, counts: dict[str, Any], flags: dict[str, Any], empty: Any
) -> None:
    """Refuse options that are none: `counts` are None or at least 1, `flags` true or false."""
    held = _is_whole(ignore_index) and -(2**63) <= ignore_index < 2**63
    _need(held, "ignore_index", ignore_index, "a whole number, as -100")
    held = isinstance(reduction, str) and reduction in ("mean", "sum", "none")
    _need(held, "reduction", reduction, '"mean", "sum" or "none"')
    held = isinstance(empty, str) and empty in ("error", "zero")
    _need(held, "empty", empty, '"error" or "zero"')
    for name, value in counts.items():
        held = value is None or (_is_whole(value) and value >= 1)
        _need(held, name, value, "a whole number from 1 on, or None")
    for name, value in flags.items():
        _need(isinstance(value, bool), name, value, "True or False")


def _sequences(labels: Tensor, cu_seqlens: Tensor | None, validate: bool, of: int) -> int:
    """How many sequences there are, `of` a pair. Refuses labels and bounds that are no batch."""
    layout = f"({of}B, T)" if cu_seqlens is None else "(N,)"
    held = isinstance(labels, Tensor) and labels.dim() == (2 if cu_seqlens is None else 1)
    sequences = labels.shape[0] if held and cu_seqlens is None else 0
    _need(held and sequences % of == 0, "labels", labels, f"a {layout} tensor of integers")
    if cu_seqlens is not None:
        held = isinstance(cu_seqlens, Tensor) and cu_seqlens.dim() == 1
        sequences = cu_seqlens.shape[0] - 1 if held else 0
        held = sequences >= of and sequences % of == 0
        _need(held, "cu_seqlens", cu_seqlens, f"({of}B + 1,)")
        held = cu_seqlens.dtype in (torch.int32, torch.int64)
        _need(held, "cu_seqlens", cu_seqlens.dtype, "torch.int32 or int64")
        ends = [0, labels.shape[0]]
        if validate and (
            cu_seqlens[[0, -1]].tolist() != ends or bool((cu_seqlens.diff() < 1).any())
        ):
            raise ValueError("cu_seqlens: got other bounds, needs 0 to N in growing order")
    _need(labels.dtype == torch.int64, "labels", labels.dtype, "torch.int64")
    _need(labels.numel() > 0, "labels", labels, "at least one pair and one position")
    return sequences


def _check_features(
    features: dict[str, tuple[Tensor, str]], labels: Tensor, cu_seqlens: Tensor | None, of: int
) -> None:
    """Refuse features that are not of tokens, responses or pairs as they are declared."""
    sequences = labels.shape[0] if cu_seqlens is None else cu_seqlens.shape[0] - 1
    shapes = {"token": tuple(labels.shape), "response": (sequences,), "pair": (sequences // of,)}
    for name, (value, kind) in features.items():
        held = isinstance(value, Tensor) and tuple(value.shape) == shapes[kind]
        _need(held, name, value, shapes[kind])
        _need(not value.is_complex(), name, value.dtype, "real numbers")


def _check_counted(counted: Tensor, sequences: int, cu_seqlens: Tensor | None) -> None:
    """Refuse a response in which nothing counts."""
    if cu_seqlens is not None:
        counted = F.pad(counted.cumsum(0), (1, 0))[cu_seqlens.long()].diff() > 0
    some = counted.reshape(sequences, -1).any(-1)
    if not bool(some.all()):
        row = int((~some).nonzero()[0])
        raise ValueError(f"labels: got no label in row {row}, needs at least one a response")


def _check_values(name: str, values: Tensor, inside: Tensor, needed: str) -> None:
    """Refuse numbers of a feature that are not `inside` its domain."""
    if not bool(inside.all()):
        at = (~inside).nonzero()[0].tolist()
        raise ValueError(f"{name}: got {values[tuple(at)].item()} at {at}, needs {needed}")


FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def _check(
    leads: dict[str, Tensor],
    labels: Tensor,
    of: int,
    ignore_index: int,
    cu_seqlens: Tensor | None,
    validate: bool,
    empty: str,
    vocabulary: int | None = None,
    sharded: bool = False,
) -> None:
    """Refuse wrong arguments by name: nothing is broadcast. `leads` have the labels' shape and one
    more dimension: the vocabulary's or, where it is given, that of hidden states."""
    sequences = _sequences(labels, cu_seqlens, validate, of)
    first = next(iter(leads.values()))
    for name, value in leads.items():
        held = isinstance(value, Tensor) and value.shape[:-1] == labels.shape
        _need(held, name, value, (*labels.shape, "V" if vocabulary is None else "D"))
        _need(value.dtype in FLOATS, name, value.dtype, "a floating-point dtype")
        held = vocabulary is not None or value.shape == first.shape
        _need(held, name, value, tuple(first.shape))
    if validate:
        counted, size = labels != ignore_index, vocabulary or first.shape[-1]
        if empty == "error":
            _check_counted(counted, sequences, cu_seqlens)
        elif not bool(counted.any()):
            return
        low, high = int(labels[counted].min()), int(labels[counted].max())
        held = low >= 0 and (high < size or sharded)
        _need(held, "labels", low if low < 0 else high, f"0..{size - 1} or {ignore_index}")


def _check_logps(
    logps: dict[str, Tensor],
    labels: Tensor,
    of: int,
    ignore_index: int,
    cu_seqlens: Tensor | None,
    validate: bool,
    empty: str,
) -> None:
    """Refuse wrong arguments by name: nothing is broadcast."""
    sequences = _sequences(labels, cu_seqlens, validate, of)
    for name, value in logps.items():
        held = isinstance(value, Tensor) and value.shape == labels.shape
        _need(held, name, value, tuple(labels.shape))
        _need(value.dtype in FLOATS, name, value.dtype, "a floating-point dtype")
    if validate and empty == "error":
        _check_counted(labels != ignore_index, sequences, cu_seqlens)


def _whole(name: str, values: Tensor, of: int) -> Tensor:
    """Log-probabilities of whole responses as those of one position each."""
    held = isinstance(values, Tensor) and values.dim() == 1
    _need(held, name, values, f"({of}B,) where there are no labels")
    return values.unsqueeze(-1)


def _check_whole(
    name: str, sums: Any, each: Tensor | None, labels: Tensor, cu_seqlens: Tensor | None
) -> None:
    """Refuse log-probabilities of whole responses that are not one each, or beside those of `each`
    token."""
    sequences = (labels if cu_seqlens is None else cu_seqlens[1:]).shape[0]
    held = isinstance(sums, Tensor) and tuple(sums.shape) == (sequences,)
    _need(held, name, sums, (sequences,))
    _need(sums.dtype in FLOATS, name, sums.dtype, "a floating-point dtype")
    if each is not None:
        raise ValueError(f"{name}: got it beside those of each token, needs one of them")


def _check_lengths(lengths: Any, sequences: int, validate: bool) -> None:
    held = isinstance(lengths, Tensor) and tuple(lengths.shape) == (sequences,)
    _need(held, "sequence_lengths", lengths, (sequences,))
    if validate and not bool(((lengths >= 1) & (lengths == lengths.round())).all()):
        raise ValueError("sequence_lengths: got other numbers, needs whole ones from 1 on")


def _check_head(
    name: str, hidden: Tensor, weight: Any, bias: Tensor | None, vocabulary: int
) -> None:
    shape = (vocabulary, hidden.shape[-1])
    held = isinstance(weight, Tensor) and tuple(weight.shape) == shape
    _need(held, f"{name}_weight", weight, shape)
    held = weight.is_floating_point()
    _need(held, f"{name}_weight", weight.dtype, "a floating-point dtype")
    held = bias is None or (isinstance(bias, Tensor) and tuple(bias.shape) == shape[:1])
    _need(held, f"{name}_bias", bias, shape[:1])


def _head_numbers(softcap: Any, temperature: Any, dtype: torch.dtype) -> list[float]:
    """The soft cap, 0 where there is none, and the temperature. A cap beyond all logits is none:
    in a quotient by it they would have no digits left."""
    needed = "a number greater than 0, or None"
    cap = torch.inf if softcap is None else _number("logit_softcap", softcap, needed)
    _need(cap > 0, "logit_softcap", cap, needed)
    scale, limits = _positive("logit_temperature", temperature), torch.finfo(dtype)
    for name, value in (("logit_softcap", min(cap, 1.0)), ("logit_temperature", scale)):
        needed = f"a number that {dtype} holds, {limits.tiny:.2g} to {limits.max:.2g}"
        _need(limits.tiny <= value <= limits.max, name, value, needed)
    return [0.0 if cap > 1e20 else cap, scale]
