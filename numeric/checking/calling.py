"""One call of a loss function: its inputs as tensors, its losses, and their gradients.

Inputs are made once, as leaves in the shape of a padded batch; what the function takes (halves,
packed tokens, log-probabilities of logits) are views of these, so that every gradient comes back in
the leaf's own shape.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from midpo.symbolic.errors import MidpoError

from .binding import Binding, Source, number
from .policies import IGNORED, Batch
from .ranks import in_ranks
from .ways import Way


@dataclass
class Outcome:
    """What one call gave: the loss ((B,) or a scalar), the gradient by each leaf (None where the
    loss does not depend on it), the metrics, and what was found amiss on the way."""

    loss: Any
    gradients: dict[str, Any]
    logged: Mapping[str, Any] | None = None
    amiss: str = ""


class Called:
    """The inputs of one call. `torch` is the module, `kind` the dtype of what is given of the
    policies; features and log-probabilities never are below float32's range for hidden sums."""

    def __init__(
        self,
        torch: Any,
        binding: Binding,
        batch: Batch,
        way: Way,
        kind: Any,
        device: str,
        broken: int | None = None,
    ) -> None:
        self.torch, self.binding, self.batch, self.way = torch, binding, batch, way
        self.kind, self.device = kind, device
        self.wide = torch.float64 if kind == torch.float64 else torch.float32
        self.labels = batch.labels
        if way.lacking:  # the second pair's last response
            self.labels = batch.labels.copy()
            self.labels[1 - batch.pairs] = IGNORED
        self.counted = torch.tensor(self.labels != IGNORED, device=device)
        self.leaves: dict[str, Any] = {}
        if way.packed:
            self.pack()
        for name, values in self.given().items():
            tensor = self.tensor(values, self.kind_of(name))
            if way.poisoned and tensor.shape[:2] == self.counted.shape:
                tensor = torch.where(
                    self.counted.reshape(self.counted.shape + (1,) * (tensor.dim() - 2)), tensor, torch.nan
                )
            if name == f"pi/{binding.kinds['pi']}" and broken is not None:
                first = int(np.flatnonzero(batch.labels[broken] != IGNORED)[0])
                tensor[(broken, first) if tensor.dim() > 1 else broken] = torch.nan
            self.leaves[name] = tensor
        for name, leaf in self.leaves.items():
            own = name in batch.features or name.startswith("pi/")
            leaf.requires_grad_(own or way.frozen)

    def kind_of(self, leaf: str) -> Any:
        """The dtype of a leaf: of what is given of the trained policy, of the others, of features."""
        if leaf in self.batch.features:
            return self.wide
        mixed = self.way.mixed and not leaf.startswith("pi/")
        return getattr(self.torch, _OTHER[str(self.kind)]) if mixed else self.kind

    def tensor(self, values: Any, kind: Any) -> Any:
        return self.torch.tensor(np.asarray(values, dtype=float), dtype=kind, device=self.device)

    def given(self) -> dict[str, Any]:
        """The arrays behind the leaves; those of a policy are named "policy/what"."""
        batch = self.batch
        found: dict[str, Any] = dict(batch.features)
        for policy, head in batch.heads.items():
            found |= {f"{policy}/hidden": head.hidden, f"{policy}/weight": head.weight}
            if head.bias is not None:
                found[f"{policy}/bias"] = head.bias
        found |= {f"{p}/logits": z for p, z in batch.logits.items() if p not in batch.heads}
        found |= {f"{p}/logps": z for p, z in batch.logps.items()}
        return found | {f"{p}/whole": z for p, z in batch.whole.items()}

    def pack(self) -> None:
        """Where each token of the packed layout stands in the padded one."""
        labels = self.labels
        last = [int(np.max(np.flatnonzero(row != IGNORED), initial=0)) + 1 for row in labels]
        # What is ignored after the last label may be packed too.
        ends = [min(labels.shape[1], n + row % 2) for row, n in enumerate(last)]
        self.at = (
            self.torch.tensor(np.repeat(np.arange(len(ends)), ends), device=self.device),
            self.torch.tensor(np.concatenate([np.arange(n) for n in ends]), device=self.device),
        )
        self.bounds = self.torch.tensor(np.cumsum([0, *ends]), device=self.device, dtype=self.torch.int32)
        self.longest = max(ends)

    # -- values of arguments

    def values(self, cut: slice | None = None) -> dict[str, Any]:
        """The value of each argument that is given. With `cut`, logits are a shard's."""
        found = {}
        for name, source in self.binding.sources.items():
            if name in self.binding.left_out:
                continue
            value = self.value(source)
            if value is _LEFT_OUT:
                continue
            if cut is not None and source.kind == "logits":
                value = value[..., cut]
            found[name] = value
        return found

    def value(self, source: Source) -> Any:
        if source.kind == "constant":
            return source.value
        if source.kind == "parameter":
            return float(self.batch.parameters[source.name])
        if source.kind == "expression":
            return number(source.value, self.batch.parameters)
        if source.kind == "made":
            return source.value.value(self.torch, self.value)
        if source.kind == "option":
            return self.option(source.name)
        whole = source.kind in ("whole", "lengths")
        padded = self.whole(source.name) if source.kind == "whole" else self.padded(source)
        if source.side:
            place = 0 if source.side == "chosen" else 1
            return padded.chunk(len(self.batch.roles))[place]
        per_token = (
            not whole
            and padded is not None
            and source.kind not in ("weight", "bias")
            and (padded.shape[:2] == self.counted.shape)
        )
        return padded[self.at] if self.way.packed and per_token else padded

    def option(self, name: str) -> Any:
        way, heads = self.way, list(self.batch.heads.values())
        found = {
            "reduction": _LEFT_OUT if way.reduction is None else way.reduction,
            "num_pairs": _LEFT_OUT if way.divisor is None else way.divisor * self.batch.pairs,
            "ignore_index": way.ignore_index,
            "cu_seqlens": self.bounds if way.packed else None,
            "max_seqlen": self.longest if way.bounded else None,
            "metrics": way.metrics,
            "empty": "zero" if way.lacking else "error",
            "validate": way.validate,
            "rows": way.rows,
            "inplace_backward": way.inplace,
            "vocab_group": None,
            "logit_softcap": heads[0].cap if heads else None,
            "logit_temperature": heads[0].temperature if heads else 1.0,
        }
        return found[name]

    def padded(self, source: Source) -> Any:
        """A value of the whole batch in the padded layout."""
        torch, policy = self.torch, source.name
        if source.kind == "feature":
            return self.leaves[policy] if self.kept() else self.leaves[policy] * 1
        if source.kind == "labels":
            labels = torch.tensor(self.labels, device=self.device)
            return torch.where(self.counted, labels, self.way.ignore_index)
        if source.kind == "mask":
            return self.counted.clone()
        if source.kind == "lengths":
            return self.counted.sum(-1)
        if source.kind == "logps":
            return self.logps(policy)
        leaf = self.leaves.get(f"{policy}/{source.kind}")
        return leaf if leaf is None or self.kept() else leaf * 1

    def kept(self) -> bool:
        """Whether the inputs are not written to: what is, may be no leaf."""
        return "inplace_backward" in self.binding.options and not self.way.inplace

    def logps(self, policy: str) -> Any:
        """Log-probabilities of the labels, (2B, T); those of whole responses where a kernel takes
        these instead."""
        if f"{policy}/whole" in self.leaves:
            return self.leaves[f"{policy}/whole"]
        if f"{policy}/logps" in self.leaves:
            return self.leaves[f"{policy}/logps"]
        logps = self.torch.log_softmax(self.leaves[f"{policy}/logits"], -1, dtype=self.wide)
        labels = self.torch.tensor(self.batch.labels, device=self.device).clamp(min=0)
        return logps.gather(-1, labels[..., None])[..., 0]

    def whole(self, policy: str) -> Any:
        """Log-probabilities of whole responses, (2B,)."""
        if f"{policy}/whole" in self.leaves:
            return self.leaves[f"{policy}/whole"]
        return self.torch.where(self.counted, self.logps(policy), 0).sum(-1)

    # -- the call

    def __call__(self, seeds: Any) -> Outcome:
        """Call, and differentiate with these seeds: one a pair, or one of a scalar. What the
        function prints goes to standard error; where it ends the program, it fails.
        Raises: MidpoError for what is no loss; the function's own errors."""
        try:
            with redirect_stdout(sys.stderr):
                return self.in_shards(seeds) if self.way.shards > 1 else self.once(seeds)
        except SystemExit as error:
            raise RuntimeError(f"SystemExit: {error.code}") from None

    def once(self, seeds: Any) -> Outcome:
        loss, logged = outcome(self.torch, self.binding.call(self.values()))
        if loss.dim() == 1 and loss.shape[0] != self.batch.pairs:
            raise MidpoError(misshaped(loss))
        asked = {name: leaf for name, leaf in self.leaves.items() if leaf.requires_grad}
        if not loss.requires_grad:
            return Outcome(loss, dict.fromkeys(asked), logged)
        seed = self.torch.tensor(seeds, dtype=loss.dtype, device=loss.device)
        if seed.dim() > loss.dim():  # not the loss that was asked for: the judge says so
            seed = seed[0]
        seed = seed.expand(loss.shape) if loss.dim() == 0 or seed.dim() else seed.expand_as(loss)

        def differentiated(keep: bool) -> dict[str, Any]:
            found = self.torch.autograd.grad(
                loss, list(asked.values()), seed, allow_unused=True, retain_graph=keep
            )
            return dict(zip(asked, found, strict=True))

        gradients = differentiated(self.way.twice)
        amiss = ""
        if self.way.twice:
            first = {n: None if g is None else g.clone() for n, g in gradients.items()}
            again = differentiated(False)
            if any(not _same(self.torch, first[n], again[n]) for n in first):
                amiss = "a second backward gives another gradient"
        return Outcome(loss.detach(), gradients, logged, amiss)

    def in_shards(self, seeds: Any) -> Outcome:
        """The vocabulary divided among processes, of which each is a thread here."""
        size = self.batch.logits["pi"].shape[-1]
        cuts = np.array_split(np.arange(size), self.way.shards)
        slices = [slice(int(c[0]), int(c[-1]) + 1) for c in cuts]

        def one(rank: int, group: Any) -> Any:
            values = self.values(slices[rank])
            leaf = self.leaves["pi/logits"][..., slices[rank]].detach().clone().requires_grad_()
            values |= {"vocab_group": group} | {
                n: leaf for n, s in self.binding.sources.items() if s.kind == "logits" and s.name == "pi"
            }
            loss, _ = outcome(self.torch, self.binding.call(values))
            seed = self.torch.tensor(seeds, dtype=loss.dtype)
            (gradient,) = self.torch.autograd.grad(loss, [leaf], seed.expand(loss.shape), allow_unused=True)
            return loss.detach(), gradient

        found = in_ranks(self.torch, self.binding.function, self.way.shards, one)
        losses = [loss for loss, _ in found]
        apart = any(not _same(self.torch, losses[0], loss) for loss in losses[1:])
        parts = [g for _, g in found]
        whole = None if any(g is None for g in parts) else self.torch.cat(parts, -1)
        return Outcome(losses[0], {"pi/logits": whole}, amiss="shards give different losses" if apart else "")


_LEFT_OUT = object()
_OTHER = {  # the dtype of frozen policies beside a policy's
    "torch.float64": "float32",
    "torch.float32": "bfloat16",
    "torch.bfloat16": "float32",
    "torch.float16": "float32",
}


def _same(torch: Any, a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(torch.equal(a.nan_to_num(nan=7.0), b.nan_to_num(nan=7.0)))


def misshaped(loss: Any) -> str:
    return (
        f"the function returned a loss of shape {tuple(loss.shape)}\n"
        "  expected: a scalar, or (B,), a loss of each pair"
    )


def outcome(torch: Any, result: Any) -> tuple[Any, Mapping[str, Any] | None]:
    """The loss of what a function returned, and the metrics where there are any: the first of a
    tuple, `loss` or `losses` of a mapping or an object; a list of numbers is one of each pair.

    Raises: MidpoError for anything else.
    """
    logged = None
    scalars = isinstance(result, list) and all(isinstance(x, torch.Tensor) and x.dim() == 0 for x in result)
    if scalars and len(result) > 1:
        result = torch.stack(result)
    if isinstance(result, (tuple, list)) and result:
        logged = result[1] if len(result) == 2 and isinstance(result[1], Mapping) else None
        result = result[0]
    for key in ("loss", "losses"):
        if isinstance(result, Mapping) and key in result:
            result = result[key]
            break
        if not isinstance(result, (Mapping, torch.Tensor)) and hasattr(result, key):
            result = getattr(result, key)
            break
    if not isinstance(result, torch.Tensor) or not result.is_floating_point():
        if inspect.iscoroutine(result):
            result.close()  # never awaited, and not warned of
        what = getattr(result, "dtype", None) or type(result).__name__
        raise MidpoError(
            f"the function returned {what}\n  expected: a loss (a tensor), or a tuple or dict with it"
        )
    return result, logged
