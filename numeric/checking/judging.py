"""Is what a call gave what the oracle says? Errors in units, and the case that shows a difference.

A unit of a loss is eps times its sensitivity, or times itself where that is more. A unit of an
entry of a gradient is eps of the sums times its sensitivity, and an eighth of eps of the dtype that
the entry is rounded to. So `LIMIT` units allow two roundings to a short dtype, and what the inputs'
own rounding moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .calling import Outcome
from .oracle import Gradient, Truth
from .policies import IGNORED, Batch
from .ways import Way

LIMIT = 16.0
ILL = 100.0  # a condition number that is worth a word: two digits of the loss
# What the 50-digit oracle cannot tell from zero: a loss log(1 + e) with e below its last digit.
_FLOOR = 1e-47
SHOWN = 64  # numbers of an input that a case shows
_WEIGHED = 2.0**10  # parameters and lengths weigh a sum that is made already


@dataclass(frozen=True)
class Numbers:
    """What is rounded how: eps, smallest and largest number of the sums' dtype and of the inputs'.
    `slack` widens where the oracle itself has float64 only."""

    name: str
    eps: float
    tiny: float
    most: float
    own_eps: float
    own_tiny: float
    own_most: float

    @classmethod
    def of(cls, torch: Any, dtype: str, slack: float = 1.0) -> Numbers:
        kind = torch.finfo(getattr(torch, dtype))
        wide = torch.finfo(torch.float64 if dtype == "float64" else torch.float32)
        return cls(
            dtype, wide.eps * slack, wide.tiny, wide.max, kind.eps * slack, kind.tiny * kind.eps, kind.max
        )


@dataclass(frozen=True)
class Failure:
    """A case where what was given is not what the spec says."""

    dtype: str
    way: Way
    what: str
    wanted: float
    got: float
    ulp: float
    batch: Batch | None = None
    note: str = ""

    def __str__(self) -> str:
        where = f"{self.dtype}: {self.what} {self.got:.9g}, expected {self.wanted:.9g}"
        told = [f"{self.ulp:.3g} ulp", *filter(None, [str(self.way)])]
        if self.batch is not None:
            told += [f"{k} = {v}" for k, v in self.batch.parameters.items()]
            told += [f"logits of size {self.batch.scale:g}"] * bool(self.batch.logits)
        return f"{where} ({'; '.join([*told, *filter(None, [self.note])])})"

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "dtype": self.dtype,
            "way": str(self.way),
            "what": self.what,
            "wanted": plain(self.wanted),
            "got": plain(self.got),
            "ulp": plain(self.ulp),
        }
        return found | ({} if self.batch is None else {"inputs": inputs(self.batch)})


def inputs(batch: Batch) -> dict[str, Any]:
    """The inputs of a case as plain data; a large one by its shape."""
    arrays: dict[str, Any] = {"labels": batch.labels, **batch.features}
    arrays |= {f"{p} logits": z for p, z in batch.logits.items() if p not in batch.heads}
    for policy, head in batch.heads.items():
        arrays |= {f"{policy} hidden": head.hidden, f"{policy} weight": head.weight}
        arrays |= {} if head.bias is None else {f"{policy} bias": head.bias}
    arrays |= {f"{p} token logps": z for p, z in batch.logps.items()}
    arrays |= {f"{p} logps": z for p, z in batch.whole.items()}
    shown = {
        name: np.vectorize(plain, otypes=[object])(x).tolist() if x.size <= SHOWN else f"shape {x.shape}"
        for name, x in arrays.items()
    }
    return {"parameters": {k: str(v) for k, v in batch.parameters.items()}, **shown}


def plain(x: Any) -> Any:
    """A number as JSON has it: one that is not finite as text."""
    value = float(x)
    return value if np.isfinite(value) else str(value)


def units(found: Any, exact: Any, unit: float, floor: float) -> float:
    """|found - exact| in units; infinite where `found` is not finite. Below `floor` is no error."""
    if not np.isfinite(found):
        return float("inf")
    return float(abs(exact - found)) / max(unit, floor)


class Judge:
    """Judges answers to one batch, in one dtype. `nats` is the size below which a loss need not
    keep its digits: 0 for a kernel, 1 for a function whose author promised none, since
    log(1 + exp(-m)) has none left at a large m."""

    def __init__(self, truth: Truth, batch: Batch, numbers: Numbers, nats: float = 0.0) -> None:
        self.truth, self.batch, self.numbers, self.nats = truth, batch, numbers, nats
        slopes = [1.0, *(abs(float(x)) for x in batch.parameters.values())]
        self.steepest = nats * max(slopes)  # of a loss by a log-probability
        self.failures: list[Failure] = []
        self.value = self.gradient = 0.0
        # Pairs of which no loss, or no sum that a weight makes smaller, is a number of the dtype:
        # infinity is right, and no gradient is.
        self.beyond = {b for b, x in enumerate(truth.losses) if abs(x) > numbers.most / _WEIGHED}
        # Pairs of which no digit of the loss is known: the logarithm of an entropy that is smaller
        # than the rounding of its terms. Their gradients have no digits either.
        self.unknown = {b for b in range(batch.pairs) if truth.condition_of(b) * numbers.eps > 1}

    def fail(self, way: Way, what: str, wanted: Any, got: Any, ulp: float, note: str = "") -> None:
        self.failures.append(
            Failure(self.numbers.name, way, what, float(wanted), float(got), ulp, self.batch, note)
        )

    def unit(self, pair: int) -> float:
        size = max(float(abs(self.truth.losses[pair])), self.truth.sensitivities[pair], self.nats)
        return self.numbers.eps * size

    def losses(self, way: Way, found: list[float], skip: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        """The losses of all pairs."""
        if len(found) != self.batch.pairs:
            self.fail(way, "losses, of which there are", self.batch.pairs, len(found), np.inf)
            return
        for pair, got in enumerate(found):
            if pair in skip:
                continue
            exact = self.truth.losses[pair]
            if pair in self.beyond and got == (np.inf if exact > 0 else -np.inf):
                continue
            floor = max(self.numbers.tiny, _FLOOR)
            errors = [units(got, x, self.unit(pair), floor) for x in self.truth.choices[pair]]
            self.value = max(self.value, min(errors))
            if not min(errors) <= LIMIT:
                condition = self.truth.condition_of(pair)
                note = f"beyond its condition number, {condition:.0e}" if condition > ILL else ""
                self.fail(way, f"loss of pair {pair}", exact, got, min(errors), note)

    def total(self, way: Way, found: float, divisor: float) -> None:
        """The sum of the losses over `divisor`."""
        if self.beyond:
            return
        low, high = (sum(side(c) for c in self.truth.choices) for side in (min, max))
        exact, radius = (low + high) / 2 / divisor, (high - low) / 2 / divisor
        unit = sum(self.unit(b) for b in range(self.batch.pairs)) / divisor
        if abs(exact) > self.numbers.most:
            return
        error = units(found, exact, unit, max(self.numbers.tiny, _FLOOR))
        error = max(0.0, error - float(radius) / max(unit, self.numbers.tiny))
        self.value = max(self.value, error)
        if not error <= LIMIT:
            self.fail(way, f"{way.reduction or 'mean'} of the losses", exact, found, error)

    def gradients(
        self,
        way: Way,
        answer: Outcome,
        weights: list[float],
        skip: set[int] = frozenset(),  # type: ignore[assignment]
        frozen: bool = True,
    ) -> None:
        """The gradients by the policy's inputs and features; frozen policies have none."""
        skip = skip | self.beyond | self.unknown
        if skip and (way.reduction != "none" or self.truth.mixes):
            return
        wanted = self.truth.gradients(weights)
        if self.nats:
            least = self.steepest * max(map(abs, weights))
            wanted = {
                name: replace(g, sensitivity=np.maximum(g.sensitivity, least)) for name, g in wanted.items()
            }
        head = self.batch.heads.get("pi")
        for name, got in answer.gradients.items():
            what = name.removeprefix("pi/")
            if name in self.batch.features:
                self.one(way, f"gradient of {what}", wanted[name], got, skip, feature=True)
            elif not name.startswith("pi/"):
                if got is not None and frozen and bool((got != 0).any()):
                    self.fail(
                        way,
                        f"gradient of the frozen {name.replace('/', ' ')}",
                        0.0,
                        float(got.abs().max()),
                        np.inf,
                    )
            elif head is None:
                self.one(way, f"gradient of policy {what}", wanted["pi"], got, skip)
            elif not skip:
                through = through_head(wanted["pi"], head, self.batch, self.numbers)[what]
                self.one(way, f"gradient of policy {what}", through, got, skip)

    def one(
        self, way: Way, what: str, wanted: Gradient, got: Any, skip: set[int], feature: bool = False
    ) -> None:
        numbers = self.numbers
        found = np.zeros(wanted.exact.shape) if got is None else got.double().cpu().numpy()
        own_eps, own_tiny, own_most = (
            (numbers.eps, numbers.tiny, numbers.most)
            if feature
            else (numbers.own_eps, numbers.own_tiny, numbers.own_most)
        )
        unit = numbers.eps * wanted.sensitivity + own_eps / 8 * wanted.size
        floor = numbers.tiny * (1 + wanted.under) + own_tiny
        if feature:  # a value such as log(1 + e), times a number, as in `losses`
            floor = floor + _FLOOR * (1 + wanted.size)
        with np.errstate(invalid="ignore", over="ignore"):
            # An infinity says no more than "beyond all numbers of the dtype": where that is within
            # the rounding of a sum that cancels, so is the infinity.
            error = np.abs(np.clip(found, -own_most, own_most) - wanted.exact) - wanted.radius
            error = np.maximum(error, 0) / np.maximum(unit, floor)
        error[np.isnan(error)] = np.inf
        # A number beyond all of the dtype is an infinity, or the dtype's own largest.
        beyond = np.abs(wanted.exact) > own_most * 0.99
        same = np.sign(found) == np.sign(wanted.exact)
        error[beyond & (np.abs(found) > own_most * 0.98) & same] = 0
        error[np.abs(wanted.exact) >= 1e299] = 0  # beyond float64
        rows = self.skipped(skip, len(error))
        error[rows] = 0
        worst = np.unravel_index(int(np.argmax(error)), error.shape)
        self.gradient = max(self.gradient, float(error[worst]))
        if not error[worst] <= LIMIT:
            at = ", ".join(map(str, worst))
            self.fail(way, f"{what} at [{at}]", wanted.exact[worst], found[worst], float(error[worst]))

    def skipped(self, pairs: set[int], rows: int) -> list[int]:
        if rows == self.batch.pairs:
            return sorted(pairs)
        return [r for b in pairs for r in self.batch.rows(b) if r < rows]


def through_head(wanted: Gradient, head: Any, batch: Batch, numbers: Numbers) -> dict[str, Gradient]:
    """From the gradient by the logits to those by hidden states, head and bias."""
    scale = np.full(wanted.exact.shape, 1 / head.temperature)
    if head.cap is not None:
        raw = head.hidden @ head.weight.T + (0 if head.bias is None else head.bias)
        # 1 - tanh**2 has digits where tanh is near 1
        scale = scale / np.cosh(np.clip(raw / head.cap, -300, 300)) ** 2
    scale = np.where((batch.labels != IGNORED)[..., None], scale, 0.0)
    exact, radius = wanted.exact * scale, wanted.radius * scale
    sensitivity = (wanted.sensitivity + np.abs(wanted.exact)) * scale
    if head.cap is not None:  # the cap's own derivative moves with its argument
        moved = np.abs(batch.rounding["pi"]) * head.temperature / head.cap
        sensitivity = sensitivity + np.abs(exact) * (2 * moved)
    size, under = (wanted.size * scale) * 2, wanted.under * scale
    hidden, weight = np.abs(head.hidden), np.abs(head.weight)

    def by_hidden(x: Any, w: Any) -> Any:
        return x @ w

    def by_weight(x: Any, h: Any) -> Any:
        return np.einsum("btv,btd->vd", x, h)

    def by_bias(x: Any, _: Any) -> Any:
        return x.sum((0, 1))

    found = {}
    for name, back, signed, absolute in (
        ("hidden", by_hidden, head.weight, weight),
        ("weight", by_weight, head.hidden, hidden),
        ("bias", by_bias, None, None),
    ):
        found[name] = Gradient(
            back(exact, signed),
            back(radius, absolute),
            back(sensitivity + np.abs(exact), absolute),
            back(size, absolute),
            back(under, absolute),
        )
    return found
