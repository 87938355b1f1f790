"""A kernel held against the spec: value, gradient, dtype by dtype.

The oracle is `Evaluator` on the spec's own expression, in 50 digits: nothing of it is shared with
the kernel. Errors are counted in units in the last place. One unit is eps times the larger of the
result and its sensitivity: how far the result moves if each log-probability and each parameter is
rounded once (a relative change of eps). So a few units mean: as exact as the inputs allow.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from sympy import Expr

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.intervals import Interval
from midpo.symbolic.language import StopGradient
from midpo.symbolic.loss import kernel_loss
from midpo.symbolic.spec import Spec, policy_argument

from .arithmetic import Floats, Undefined
from .evaluate import Evaluator
from .oracle import MAX_VALUES, Oracle, Truth
from .policies import WIDE, Batch, batches, random_batch

DTYPES = ("float64", "float32", "bfloat16", "float16")
LIMIT_ULP = 16.0
# Truth through the prior and through the target may differ by rounding in the 50th digit only.
PRIOR_GAP = 1e-35
WIDE_GAP = 1e-9
TRIALS = 24
# What the 50-digit oracle cannot tell from zero: a loss log(1 + e) with e below its last digit, and
# the same divided by the step of its differences.
_VALUE_FLOOR = 1e-47
_SLOPE_FLOOR = 1e-26


class KernelLike(Protocol):
    """What a cross-check needs to know of a kernel."""

    @property
    def name(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def policies(self) -> tuple[str, ...]: ...
    @property
    def features(self) -> Mapping[str, str]: ...
    @property
    def parameters(self) -> Mapping[str, Interval]: ...
    def compile(self) -> Callable[..., Any]: ...


@dataclass(frozen=True)
class DtypeErrors:
    """The largest errors in one dtype, in units in the last place: of the loss in the dtype sums
    accumulate in, of the gradient in the logits' own."""

    dtype: str
    cases: int
    value_ulp: float
    gradient_ulp: float
    limit_ulp: float
    passed: bool


@dataclass(frozen=True)
class CrossCheck:
    """What the numbers say of one kernel.

    `cases` counts pairs; `prior_gap` is the largest difference between the loss through the prior
    and through the target in 50 digits, relative to the loss (None where a side is missing);
    `gradcheck` is torch's own check in float64 (None where a stopped gradient makes it
    inapplicable). `notes` are the kernel's own warnings: where it took another road.
    """

    name: str
    passed: bool
    cases: int
    seed: int
    device: str
    dtypes: tuple[DtypeErrors, ...]
    prior_gap: float | None
    gradcheck: bool | None
    failure: str = ""
    backend: str = "eager"
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "backend": self.backend,
            "verdict": "agrees" if self.passed else "differs",
            "passed": self.passed,
            "cases": self.cases,
            "seed": self.seed,
            "device": self.device,
            "dtypes": [vars(d) for d in self.dtypes],
            "prior_gap": self.prior_gap,
            "gradcheck": self.gradcheck,
            "failure": self.failure,
            "notes": list(self.notes),
            "standing": f"numerical evidence: {self.cases} cases, 50 digits and float64",
        }


@dataclass
class _Tally:
    """Errors of one dtype so far."""

    cases: int = 0
    value: float = 0.0
    gradient: float = 0.0
    failures: list[str] = field(default_factory=list)


def crosscheck(
    spec: Spec,
    kernel: KernelLike,
    *,
    prior_loss: Expr | None = None,
    seed: int = 0,
    trials: int = TRIALS,
    dtypes: Sequence[str] = DTYPES,
    device: str = "cpu",
    progress: Callable[[], None] = lambda: None,
) -> CrossCheck:
    """Hold `kernel` against `spec` on `trials` random batches.

    `prior_loss` is the loss through the prior, where the spec has a prior and a target.
    Raises: MidpoError where torch or the device is missing, or no batch gives the loss a value.
    """
    with _noting() as notes:
        found = _crosscheck(spec, kernel, prior_loss, seed, trials, dtypes, device, progress)
    return replace(found, notes=tuple(dict.fromkeys(notes)))


@contextmanager
def _noting() -> Iterator[list[str]]:
    """What generated files warn of, as text; other warnings are passed on."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.filterwarnings("always", message=r".*: no .* runs: ")
        try:
            yield notes
        finally:
            notes += [str(w.message) for w in said if w.filename.startswith("<kernel ")]
    for w in said:
        if not w.filename.startswith("<kernel "):
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)


def _crosscheck(
    spec: Spec,
    kernel: KernelLike,
    prior_loss: Expr | None,
    seed: int,
    trials: int,
    dtypes: Sequence[str],
    device: str,
    progress: Callable[[], None],
) -> CrossCheck:
    torch = _torch(device)
    function = from_logits(torch, kernel)
    # With `rows` given, fused makes the gradient in new memory, else from what forward left there.
    roads = [function, partial(function, rows=2)] if kernel.backend == "fused" else [function]
    tallies = {dtype: _Tally() for dtype in dtypes}
    loss = kernel_loss(spec)
    gap: float | None = None if prior_loss is None else 0.0
    pairs = 0
    for number, batch in enumerate(batches(spec, kernel.policies, trials, seed)):
        progress()
        if not _possible(kernel, batch):
            continue
        oracle = Oracle(batch, loss, seed * 1_000_003 + number)
        truth = oracle.truth()
        if truth is None:
            continue
        pairs += batch.pairs
        if prior_loss is not None:
            difference = oracle.prior_gap(prior_loss, truth)
            if difference > (gap or 0.0):
                gap = difference
        for dtype, tally in tallies.items():
            _measure(torch, roads[number % len(roads)], kernel, batch, truth, dtype, device, tally)
    if not pairs:
        raise MidpoError(f"{spec.name}: the loss has no value on any of {trials} random batches")
    smooth = not loss.has(StopGradient)
    gradcheck = _gradcheck(torch, function, spec, kernel, seed, device) if smooth else None
    results = tuple(_result(dtype, tally) for dtype, tally in tallies.items())
    failures = [f for tally in tallies.values() for f in tally.failures]
    failures += (
        []
        if gap is None or gap <= PRIOR_GAP
        else [f"the loss through the prior differs from the target's by {gap:.3g} (relative)"]
    )
    failures += ["torch.autograd.gradcheck fails in float64"] if gradcheck is False else []
    failures += _wide(torch, function, spec, kernel, loss, seed, device)
    first = failures[0] if failures else ""
    return CrossCheck(
        spec.name,
        not failures,
        pairs,
        seed,
        device,
        results,
        gap,
        gradcheck,
        first,
        kernel.backend,
    )


def _possible(kernel: KernelLike, batch: Batch) -> bool:
    """Whether a kernel's inputs can be these logits: hidden states have no infinite ones."""
    return kernel.backend != "linear" or not any(np.isinf(z).any() for z in batch.logits.values())


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
            inputs = {n.replace("_logits", "_hidden"): z for n, z in logits.items()}
            inputs |= {n.replace("_logits", "_weight"): eye for n in names}
        elif kernel.backend == "logps":
            inputs = {n.replace("_logits", "_logps"): label_logps(z, labels)
                      for n, z in logits.items()}
        return function(labels=labels, **inputs, **given)

    return call


def _result(dtype: str, tally: _Tally) -> DtypeErrors:
    passed = not tally.failures
    return DtypeErrors(dtype, tally.cases, tally.value, tally.gradient, LIMIT_ULP, passed)


def _torch(device: str) -> Any:
    try:
        import torch
    except ImportError:
        raise MidpoError(
            "cross-checks need torch, which is not installed\n"
            "  expected: pip install 'midpo[torch]'"
        ) from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MidpoError(
            f'no device "{device}": {str(error).splitlines()[0][:80]}\n'
            '  expected: "cpu", or "cuda" where torch finds one'
        ) from None
    return torch


def _measure(
    torch: Any,
    function: Any,
    kernel: KernelLike,
    batch: Batch,
    truth: Truth,
    dtype: str,
    device: str,
    tally: _Tally,
) -> None:
    """Add the kernel's errors on this batch to `tally`."""
    kind = getattr(torch, dtype)
    loss, gradient = _run(torch, function, batch, kernel, kind, device)
    tally.cases += batch.pairs
    # Sums must accumulate in float32 at least, whatever the logits come in.
    accumulation = torch.finfo(torch.float64 if kind == torch.float64 else torch.float32)
    value_eps = accumulation.eps
    beyond = [pair for pair, exact in enumerate(truth.losses) if abs(exact) > accumulation.max]
    for pair, exact in enumerate(truth.losses):
        if pair in beyond and loss[pair].item() == (np.inf if exact > 0 else -np.inf):
            continue  # no number of the dtype is so large
        unit = value_eps * max(float(abs(exact)), truth.sensitivities[pair])
        error = _units(loss[pair].item(), exact, unit, max(accumulation.tiny, _VALUE_FLOOR))
        tally.value = max(tally.value, error)
        if not error <= LIMIT_ULP:
            tally.failures.append(
                f"{dtype}: loss {loss[pair].item():.9g}, expected {float(exact):.9g} "
                f"({error:.3g} ulp; logits of size {batch.scale:g})"
            )
    if beyond or abs(truth.slope) > torch.finfo(kind).max:
        return
    products = gradient.double().cpu().numpy() * truth.direction
    eps = max(torch.finfo(kind).eps, value_eps)
    rounding = max(truth.slope_sensitivity, truth.weight) * value_eps / eps
    scale = max(float(np.abs(products).sum()), rounding)
    floor = max(
        torch.finfo(kind).smallest_normal * float(np.abs(truth.direction).sum()), _SLOPE_FLOOR
    )
    error = _units(float(products.sum()), truth.slope, eps * scale, floor)
    tally.gradient = max(tally.gradient, error)
    if not error <= LIMIT_ULP:
        tally.failures.append(
            f"{dtype}: derivative {float(products.sum()):.9g}, expected {float(truth.slope):.9g} "
            f"({error:.3g} ulp; logits of size {batch.scale:g})"
        )


def _units(found: float, exact: Any, unit: float, floor: float) -> float:
    """|found - exact| in units; infinite where `found` is not finite. Below `floor` is no error."""
    if not np.isfinite(found):
        return float("inf")
    error = float(abs(exact - found))
    return error / max(unit, floor)


def _run(
    torch: Any, function: Any, batch: Batch, kernel: KernelLike, dtype: Any, device: str
) -> tuple[Any, Any]:
    """The kernel's losses, and the gradient of their sum with respect to the policy's logits."""
    logits = {
        policy_argument(p): torch.tensor(batch.logits[p], dtype=dtype, device=device)
        for p in kernel.policies
    }
    policy = logits["policy_logits"].requires_grad_()
    keywords = arguments(torch, batch, kernel, torch.float64, device)
    labels = torch.tensor(batch.labels, device=device)
    loss = function(**logits, labels=labels, reduction="none", **keywords)
    if not loss.requires_grad:
        return loss, torch.zeros_like(policy)
    (gradient,) = torch.autograd.grad(loss.sum(), policy)
    return loss.detach(), gradient


def arguments(
    torch: Any, batch: Batch, kernel: KernelLike, dtype: Any, device: str
) -> dict[str, Any]:
    """The keyword arguments of a kernel for a batch: features and parameters."""
    features = {
        name: torch.tensor(batch.features[name], dtype=dtype, device=device)
        for name in kernel.features
    }
    return features | {name: float(batch.parameters[name]) for name in kernel.parameters}


def _gradcheck(
    torch: Any, function: Any, spec: Spec, kernel: KernelLike, seed: int, device: str
) -> bool:
    """torch.autograd.gradcheck of the kernel in float64 on a small batch."""
    rng = np.random.default_rng(seed + 1)
    batch = random_batch(spec, kernel.policies, rng, scale=1.0, vocabulary=2, positions=3)
    others = {
        policy_argument(p): torch.tensor(batch.logits[p], device=device)
        for p in kernel.policies
        if p != "pi"
    }
    labels = torch.tensor(batch.labels, device=device)
    keywords = arguments(torch, batch, kernel, torch.float64, device)

    def loss(policy: Any) -> Any:
        return function(policy_logits=policy, labels=labels, reduction="sum", **others, **keywords)

    policy = torch.tensor(batch.logits["pi"], device=device, requires_grad=True)
    if not loss(policy).requires_grad:
        return True
    return bool(torch.autograd.gradcheck(loss, (policy,), raise_exception=False))


def _wide(
    torch: Any, function: Any, spec: Spec, kernel: KernelLike, loss: Expr, seed: int, device: str
) -> list[str]:
    """Failures against the float64 oracle on vocabularies too large for 50 digits."""
    rng = np.random.default_rng(seed + 2)
    failures = []
    for vocabulary in WIDE:
        batch = random_batch(
            spec, kernel.policies, rng, scale=2.0, vocabulary=vocabulary, positions=5
        )
        if not _possible(kernel, batch):
            continue
        found, _ = _run(torch, function, batch, kernel, torch.float64, device)
        ops = Floats()
        for pair in range(batch.pairs):
            try:
                point = batch.reader(loss)(ops, pair, batch.logits)
                exact = Evaluator(ops, point, limit=MAX_VALUES)(loss)
            except Undefined:
                continue
            if not abs(found[pair].item() - exact) <= WIDE_GAP * max(1.0, abs(exact)):
                failures.append(
                    f"float64, vocabulary {vocabulary}: loss {found[pair].item():.12g}, "
                    f"expected {exact:.12g}"
                )
    return failures
