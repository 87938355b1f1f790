"""A kernel of any backend as a function of logits, and what it says beside its answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from midpo.symbolic.language.spec import Spec, policy_argument

from .found import KernelLike
from .policies import IGNORED, Batch, representable

SURE = 6  # how far a label's logit is raised: beyond 0.99, and 1 - p has digits still


@contextmanager
def noting() -> Iterator[list[str]]:
    """What generated files warn of, as text; other warnings are passed on."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.filterwarnings("always", message=r".*: no .* runs: ")
        try:
            yield notes
        finally:
            notes += [str(w.message) for w in said if _ours(w)]
    for w in said:
        if not _ours(w):
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


def _ours(warning: Any) -> bool:
    return warning.filename.startswith("<kernel ") or (
        ": no " in str(warning.message) and (" runs: " in str(warning.message))
    )


def all_equal(batch: Batch) -> Batch:
    """Every policy as the trained one: where training begins."""

    def same(values: Mapping[str, Any]) -> dict[str, Any]:
        return {p: values.get("pi", x) for p, x in values.items()}

    return replace(
        batch,
        logits=same(batch.logits),
        logps=same(batch.logps),
        whole=same(batch.whole),
        heads=same(batch.heads),
        rounding=same(batch.rounding),
    )


def all_sure(batch: Batch) -> Batch:
    """`batch` with labels that every policy is nearly sure of: their log-probabilities are near 0,
    and 1 - p has few digits. Of logits that heads make, as it is."""
    at = np.nonzero(batch.labels != IGNORED)

    def raised(values: Any) -> Any:
        values = np.array(values)
        values[(*at, batch.labels[at])] += SURE
        return representable(values)

    def smaller(values: Mapping[str, Any]) -> dict[str, Any]:
        return {p: x / 2**SURE for p, x in values.items()}

    return replace(
        batch,
        logits=batch.logits if batch.heads else {p: raised(x) for p, x in batch.logits.items()},
        logps=smaller(batch.logps),
        whole=smaller(batch.whole),
    )


def beyond_domains(spec: Spec) -> Iterator[tuple[str, Fraction]]:
    """Numbers outside the domains of parameters: beyond each end, and an end that is open."""
    for name, parameter in spec.names.parameters.items():
        lower = parameter.domain.lower
        for end, closed in parameter.domain.end_values:
            yield name, end + (Fraction(-1, 2) if end == lower else Fraction(1, 2))
            if not closed:
                yield name, end


def from_logits(torch: Any, kernel: KernelLike) -> Callable[..., Any]:
    """The kernel as a function of logits, whatever its backend takes.

    For `linear` the hidden states are the logits and the heads are identities; for `logps` the
    log-probabilities of the labels are taken from a log-softmax.
    """
    function = kernel.compile()

    def label_logps(z: Any, labels: Any) -> Any:
        wide = torch.float64 if z.dtype == torch.float64 else torch.float32
        logps = torch.log_softmax(z, -1, dtype=wide)
        return logps.gather(-1, labels.clamp(min=0)[..., None])[..., 0]

    def call(labels: Any, **given: Any) -> Any:
        names = [policy_argument(p) for p in kernel.policies]
        logits = {name: given.pop(name) for name in names}
        inputs: dict[str, Any] = logits
        if kernel.backend == "linear":
            size = logits[names[0]].shape[-1]
            eye = torch.eye(size, dtype=logits[names[0]].dtype, device=labels.device)
            inputs = {f"{n.removesuffix('_logits')}_hidden": z for n, z in logits.items()}
            inputs |= {f"{n.removesuffix('_logits')}_weight": eye for n in names}
        elif kernel.backend == "logps":
            inputs = {f"{n.removesuffix('_logits')}_logps": label_logps(z, labels) for n, z in logits.items()}
        return function(labels=labels, **inputs, **given)

    return call
