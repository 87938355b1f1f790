"""What the oracle says of one batch: losses, a derivative, and how far rounding may move them.

Everything is evaluated from the spec's own expression in 50 digits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Expr

from midpo.symbolic.language import StopGradient

from .arithmetic import Undefined, digits
from .evaluate import Evaluator
from .policies import Batch

SAMPLES = 3  # of rounding errors, for each sensitivity
MAX_VALUES = 50_000  # that one evaluation may compute

_RELATIVE = 1e-9  # the size of the change by which sensitivity is measured
_STEP = Fraction(1, 10**16)  # of central differences in 50 digits: their error is of order 1e-32


@dataclass(frozen=True)
class Truth:
    """In 50 digits: the loss of each pair and its sensitivity; the derivative of their sum along
    `direction`, its sensitivity, and `weight`: how far the losses move for a change of one in the
    log-probabilities, which is the size of what a softmax's gradient is the difference of."""

    losses: list[Any]
    sensitivities: list[float]
    direction: Any
    slope: Any
    slope_sensitivity: float
    weight: float


class Oracle:
    """The loss of a spec on one batch, in 50 digits. `seed` is of the rounding errors."""

    def __init__(self, batch: Batch, loss: Expr, seed: int) -> None:
        self.batch, self.loss, self.rng = batch, loss, random.Random(seed)
        self.ops = digits()

    def noise(self, size: Any) -> Any:
        """One rounding error of a number of this size."""
        return size * self.ops.number(Fraction(self.rng.uniform(-1, 1) * _RELATIVE))

    def moved(self, pair: int, loss: Any, noise: Any) -> float:
        """How far the loss of a pair moves under rounding errors, per unit of their size."""
        samples = (self.value(self.loss, pair, noise=noise) for _ in range(SAMPLES))
        return max(float(abs(sample - loss)) for sample in samples) / _RELATIVE

    def value(self, expr: Expr, pair: int, logits: Any = None, noise: Any = None) -> Any:
        """The loss of a pair; with `logits`, stopped gradients keep to the batch's own."""
        point_of = self.batch.reader(expr)
        point = point_of(self.ops, pair, logits or self.batch.logits, noise)
        stopped = None
        if logits is not None and expr.has(StopGradient):
            stopped = point_of(self.ops, pair, self.batch.logits, noise)
        return Evaluator(self.ops, point, stopped, limit=MAX_VALUES)(expr)

    def truth(self) -> Truth | None:
        """None where the loss has no finite value on this batch."""
        pairs = range(self.batch.pairs)
        try:
            losses = [self.value(self.loss, b) for b in pairs]
            sensitivities = [self.moved(b, losses[b], self.noise) for b in pairs]
            weight = sum(self.moved(b, losses[b], lambda size: self.noise(1)) for b in pairs)
            direction = self.direction()
            slope = self.slope(direction)
            noisy = [self.slope(direction, noisy=True) for _ in range(SAMPLES)]
        except Undefined:
            return None
        return Truth(
            losses,
            sensitivities,
            direction,
            slope,
            max(float(abs(other - slope)) for other in noisy) / _RELATIVE,
            weight,
        )

    def direction(self) -> Any:
        logits = self.batch.logits["pi"]
        shape = logits.shape
        values = [
            self.rng.choice((-1, 1)) * self.rng.randint(1, 64) / 64 for _ in range(logits.size)
        ]
        return np.where(np.isfinite(logits), np.array(values).reshape(shape), 0.0)

    def slope(self, direction: Any, noisy: bool = False) -> Any:
        """The derivative of the summed loss along `direction`, by a central difference."""
        total: Any = 0
        for pair in range(self.batch.pairs):
            sides = []
            seed = self.rng.random()
            for sign in (1, -1):
                local = random.Random(seed)  # the same rounding on both sides

                def noise(size: Any, local: random.Random = local) -> Any:
                    return size * self.ops.number(Fraction(local.uniform(-1, 1) * _RELATIVE))

                logits = {**self.batch.logits, "pi": self.shifted(direction, sign)}
                sides.append(self.value(self.loss, pair, logits, noise if noisy else None))
            total += (sides[0] - sides[1]) / (2 * self.ops.number(_STEP))
        return total

    def shifted(self, direction: Any, sign: int) -> Any:
        """The policy's logits a step along `direction`, in 50 digits."""
        logits = self.batch.logits["pi"]
        moved = np.empty(logits.shape, dtype=object)
        for at in np.ndindex(logits.shape):
            z = float(logits[at])
            step = sign * Fraction(float(direction[at])) * _STEP
            moved[at] = z if z == -np.inf else self.ops.number(Fraction(z) + step)
        return moved

    def prior_gap(self, prior_loss: Expr, truth: Truth) -> float:
        """The largest difference of the losses through prior and target, relative to the loss."""
        worst = 0.0
        for pair, loss in enumerate(truth.losses):
            try:
                other = self.value(prior_loss, pair)
            except Undefined:
                continue
            worst = max(worst, float(abs(other - loss) / max(1, abs(loss))))
        return worst
