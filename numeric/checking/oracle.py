"""What the oracle says of one batch: losses, their gradients, and how far rounding may move them.

Everything is evaluated from the spec's own expression, in 50 digits; gradients by a walk back over
the tape of that evaluation. `Oracle.slope` has the same derivative by a difference, without a tape.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Expr, S

from midpo.numeric.arithmetic import Undefined, digits
from midpo.numeric.evaluate import Evaluator
from midpo.symbolic.language.nodes import Sorted, Step, StopGradient

from .policies import Batch
from .reading import Differentiated, Leaves, as_float
from .tape import TIE, Tape, Taped

MAX_VALUES = 200_000  # that one evaluation may compute

_RELATIVE = 1e-9  # the size of the change by which sensitivity is measured
_MOST = 1e300
_NEAR = 1e-5  # a tie under such changes
_CUT = 16.0  # roundings that may lie between what is cut and what a kernel cuts
_TRIED = 5  # ties of which both sides are tried each by itself
_STEPS = 4  # neighbours of which they are where there are more
_SAMPLED = 2.0  # two samples are not the worst
_STEP = Fraction(1, 10**16)  # of central differences in 50 digits: their error is of order 1e-32


@dataclass
class Gradient:
    """The derivative by one input, an array: `exact`, with a `radius` around it where a tie leaves
    it open; `sensitivity`: how far it moves if each input and each sum is rounded once, and `size`:
    what of it is rounded to the input's own dtype, each per unit of eps; `under`: what underflow to
    0 is multiplied by."""

    exact: Any
    radius: Any
    sensitivity: Any
    size: Any
    under: Any

    def scaled(self, by: Any) -> Gradient:
        """Times a number, or an array of one number a row."""

        def times(x: Any, factor: Any) -> Any:
            return x * np.reshape(factor, np.shape(factor) + (1,) * (x.ndim - np.ndim(factor)))

        return Gradient(
            times(self.exact, by),
            *(times(x, np.abs(by)) for x in (self.radius, self.sensitivity, self.size, self.under)),
        )


@dataclass
class Truth:
    """In 50 digits: the loss of each pair (`choices` has more than one where a tie leaves it open),
    its sensitivity, and `gradients` of their weighted sum. `condition` is the largest ratio of a
    pair's sensitivity to its loss."""

    losses: list[Any]
    choices: list[list[Any]]
    sensitivities: list[float]
    tapes: list[_Taped] = field(repr=False)
    batch: Batch = field(repr=False)
    mixes: bool = False  # whether a pair's loss speaks of other pairs
    oracle: Oracle | None = field(default=None, repr=False)
    nearest: Any = float("inf")  # of what is cut, relative to how far rounding moves it
    known: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def condition(self) -> float:
        return max(map(self.condition_of, range(len(self.losses))))

    def condition_of(self, pair: int) -> float:
        """Of one pair; a loss below 1 nat counts as 1."""
        return self.sensitivities[pair] / max(float(abs(self.losses[pair])), 1.0)

    def rounded(self, eps: float) -> Truth | None:
        """The same where sums are rounded by `eps`: what is nearer to a tie than that is one.
        None where then the loss has no value."""
        if self.oracle is None or self.nearest > _CUT * eps:
            return self
        if eps not in self.known:
            self.known[eps] = self.oracle.truth(_CUT * eps)
        return self.known[eps]  # type: ignore[no-any-return]

    def gradients(self, weights: Sequence[float]) -> dict[str, Gradient]:
        """By the policy's logits (or what is given in their place), and by each feature."""
        asked = tuple(weights) if self.mixes else None
        if asked not in self.known:
            ones = [1.0] * len(self.losses)
            self.known[asked] = self.walk(weights if self.mixes else ones)
            if not self.mixes:
                self.tapes.clear()  # read once, as most of the probabilities are
                self.batch.known.clear()
        found: dict[str, Gradient] = self.known[asked]
        if self.mixes:
            return found
        per_row = np.tile(np.asarray(weights, dtype=float), len(self.batch.roles))
        return {
            name: one.scaled(per_row if len(one.exact) == len(per_row) else np.asarray(weights))
            for name, one in found.items()
        }

    def valued(self, expressions: Mapping[str, Expr], eps: float) -> dict[str, list[tuple[Any, float]]]:
        """`Oracle.valued` of this batch, where sums are rounded by `eps`."""
        asked = (eps, *expressions.items())
        if asked not in self.known:
            self.known[asked] = Oracle(self.batch, S.Zero, 0).valued(expressions, _CUT * eps)
        found: dict[str, list[tuple[Any, float]]] = self.known[asked]
        return found

    def prior_gap(self, prior_loss: Expr) -> float:
        """The largest difference of the losses through prior and target, relative to the loss."""
        if prior_loss not in self.known:
            oracle, worst = Oracle(self.batch, prior_loss, 0), 0.0
            for pair, loss in enumerate(self.losses):
                try:
                    other = oracle.value(prior_loss, pair)
                except Undefined:
                    continue
                worst = max(worst, float(abs(other - loss) / max(1, abs(loss))))
            self.known[prior_loss] = worst
        return float(self.known[prior_loss])

    def walk(self, weights: Sequence[float]) -> dict[str, Gradient]:
        first, *others = self.tapes
        base = first.gradients(self.batch, weights)
        slopes = [tape.slopes(self.batch, weights) for tape in others]
        noisy = [o for o, tape in zip(slopes, others, strict=True) if tape.noisy]
        sides = [o for o, tape in zip(slopes, others, strict=True) if not tape.noisy]
        found = {}
        for name, (exact, own, under) in base.items():
            # An entry beyond float64 is not judged.
            exact, own = np.nan_to_num(exact, posinf=_MOST, neginf=-_MOST), np.minimum(own, _MOST)
            still = sides[0][name] if sides else exact
            with np.errstate(invalid="ignore", over="ignore"):
                moved = np.max([np.abs(o[name] - still) for o in noisy], axis=0) / _RELATIVE
            moved = np.nan_to_num(moved, nan=_MOST, posinf=_MOST)
            low = np.min([exact, *(o[name] for o in sides)], axis=0)
            high = np.max([exact, *(o[name] for o in sides)], axis=0)
            size = np.maximum(np.abs(low), np.abs(high))
            moved = _SAMPLED * moved
            sensitivity = own + moved + own * _share(moved, own)
            found[name] = Gradient((low + high) / 2, (high - low) / 2, sensitivity, size, under)
        return found


def _share(moved: Any, own: Any) -> Any:
    """How far a position moves relative to its size: one sample may spare an entry by chance."""
    if moved.ndim < 3:
        return 0.0
    top = own.max(-1, keepdims=True)
    return moved.max(-1, keepdims=True) / np.where(top > 0, top, 1.0)


@dataclass
class _Taped:
    """The losses of a batch on a tape, and what they were made from. `own` says which leaves a
    pair's loss is made from, where it shares none with other pairs."""

    tape: Tape
    leaves: list[tuple[str, tuple[int, ...], Taped, float]]
    losses: list[Any]
    noisy: bool = False
    own: list[slice] = field(default_factory=list)
    known: dict[Any, Any] = field(default_factory=dict)

    def adjoints(self, weights: Sequence[float]) -> list[Any]:
        """The derivatives of the weighted sum of the losses, by each number on the tape."""
        asked = tuple(weights)
        if asked not in self.known:
            ends = list(zip(self.losses, asked, strict=True))
            self.known[asked] = self.tape.adjoints(ends)
        found: list[Any] = self.known[asked]
        return found

    def values(self) -> list[Any]:
        return [x.value if isinstance(x, Taped) else x for x in self.losses]

    def sensitivity(self, pair: int) -> float:
        """How far a pair's loss moves if each input is rounded once, per unit of eps."""
        if self.own:
            adjoints, leaves = self.adjoints([1.0] * len(self.losses)), self.leaves[self.own[pair]]
        else:
            adjoints, leaves = self.tape.adjoints([(self.losses[pair], 1)]), self.leaves
        total = 0.0
        for _, at, leaf, size in leaves:
            adjoint = adjoints[leaf.at]
            if adjoint != 0:
                total += as_float(abs(adjoint * (leaf.value if len(at) == 3 else 1))) * size
        return total

    def slopes(self, batch: Batch, weights: Sequence[float]) -> dict[str, Any]:
        """The derivative of the weighted sum by each input."""
        sums, probabilities, _ = self.by_input(batch, self.adjoints(weights))
        for name, summed in sums.items():
            if summed.ndim == 3:  # by logits, through the softmax
                summed = summed - probabilities * summed.sum(-1)[..., None]
            sums[name] = _floats(summed)
        return sums

    def gradients(self, batch: Batch, weights: Sequence[float]) -> dict[str, tuple[Any, Any, Any]]:
        """For each input: its derivative, the sizes of what that is a difference of, and what
        underflow is multiplied by."""
        exact = self.slopes(batch, weights)
        ways = self.tape.ways(list(zip(self.losses, weights, strict=True)))
        sizes, probabilities, rounding = self.by_input(batch, ways)
        found = {}
        for name, size in sizes.items():
            if size.ndim == 3:
                most = size.sum(-1)
                own = _floats(size + probabilities * most[..., None]) * rounding
                under = np.broadcast_to(_floats(most)[..., None], own.shape)
            else:
                under, own = np.ones(size.shape), _floats(size)
            found[name] = exact[name], own, under
        return found

    def by_input(self, batch: Batch, by_node: list[Any]) -> tuple[dict[str, Any], Any, Any]:
        """What was found by each number on the tape, summed by each entry of the inputs: those of
        the policy by the logarithms of its probabilities. These, and how far they are rounded."""
        raw = {"pi": _inputs(batch, "pi")} | batch.features
        sums = {name: np.zeros(values.shape, dtype=object) for name, values in raw.items()}
        probabilities = np.zeros(raw["pi"].shape, dtype=object)
        rounding = np.ones(raw["pi"].shape)
        for name, at, leaf, relative in self.leaves:
            if name in sums:
                factor: Any = 1
                if len(at) == 3:
                    probabilities[at] = factor = leaf.value
                    rounding[at] = relative
                sums[name][at] += by_node[leaf.at] * factor
        return sums, probabilities, rounding


def _inputs(batch: Batch, policy: str) -> Any:
    return next(t[policy] for t in (batch.logits, batch.logps, batch.whole) if policy in t)


_each = np.vectorize(as_float, otypes=[float])


def _floats(values: Any) -> Any:
    with np.errstate(over="ignore"):  # beyond float64 an entry is infinite
        return _each(values)


class Oracle:
    """The loss of a spec on one batch, in 50 digits or another arithmetic. `seed` is of the
    rounding errors."""

    def __init__(self, batch: Batch, loss: Expr, seed: int, ops: Any = None) -> None:
        self.batch, self.loss, self.seed = batch, loss, seed
        self.rng = random.Random(seed)
        self.ops = digits() if ops is None else ops
        self.stopped = loss.has(StopGradient)

    def value(self, expr: Expr, pair: int, logits: Any = None) -> Any:
        """The loss of a pair; with `logits`, stopped gradients keep to the batch's own."""
        point_of = self.batch.reader(expr)
        point = point_of(self.ops, pair, logits)
        stopped = None
        if logits is not None and expr.has(StopGradient):
            stopped = point_of(self.ops, pair)
        return Evaluator(self.ops, point, stopped, limit=MAX_VALUES)(expr)

    def truth(self, rounding: float = 0.0) -> Truth | None:
        """None where the loss has no finite value on this batch. What is nearer to a tie than
        `rounding` times how far rounding moves it counts as one."""
        try:
            base = self.taped(rounding=rounding)
            ties = base.tape.ties
            sides = [self.taped(side=side, rounding=rounding) for side in self.turns(ties)]
            moving = self.taped(rounding=rounding, stops=False) if self.stopped else base
            errors = (self.at_random(), self.at_worst(moving))
            noisy = [self.taped(each, side=True) for each in errors]
        except Undefined:
            return None
        if base.tape.level:
            return None  # of equal places either order is right
        losses = base.values()
        choices = [[each.values()[b] for each in (base, *sides)] for b in range(len(losses))]
        sensitivities = [moving.sensitivity(b) for b in range(len(losses))]
        tapes = [base, *noisy, *sides]
        return Truth(
            losses, choices, sensitivities, tapes, self.batch, self.loss.has(Sorted), self, base.tape.nearest
        )

    def turns(self, ties: int) -> Iterator[Sequence[bool]]:
        """The sides of so many ties that are tried: all; or all of any few neighbours, which are of
        one pair, where steps may be multiplied; or else all ties to one side."""
        apart = ties if ties <= _TRIED else _STEPS if self.loss.has(Step) else 1
        for few in itertools.product((True, False), repeat=apart) if ties else ():
            yield [few[n % apart] for n in range(ties)]

    def valued(self, expressions: Mapping[str, Expr], rounding: float) -> dict[str, list[tuple[Any, float]]]:
        """Other expressions of each pair: their values, and how far rounding moves these, at a tie
        on the side where it is further; none where there is no value. Ties are as in `truth`."""
        found: dict[str, list[tuple[Any, float]]] = {name: [] for name in expressions}
        for pair in range(self.batch.pairs):
            first, ties = self.each(expressions, pair, None, rounding)
            others = [self.each(expressions, pair, side, rounding)[0] for side in (True, False) if ties]
            for name in list(found):
                if any(name not in each for each in (first, *others)):
                    del found[name]
                else:
                    value, _ = first[name]
                    found[name].append((value, max(each[name][1] for each in (first, *others))))
        return found

    def each(
        self, expressions: Mapping[str, Expr], pair: int, side: bool | None, rounding: float
    ) -> tuple[dict[str, tuple[Any, float]], int]:
        """`valued` of a pair on one side of its ties, and how many these are."""
        found = {}
        tape = Tape(self.ops, side, rounding=rounding)
        leaves = Leaves(tape)
        point = self.batch.point(tape, pair, None, leaves)
        evaluate = self.evaluator(tape, point, leaves, stops=False)
        for name, expr in expressions.items():
            with suppress(Undefined):
                taped = _Taped(tape, leaves.found, [evaluate(expr)])
                found[name] = (*taped.values(), taped.sensitivity(0))
        return found, tape.ties

    def at_random(self) -> Iterator[Any]:
        """Rounding errors, each its own; the same whenever they are asked for."""
        rng = random.Random(self.seed)
        while True:
            yield self.ops.number(Fraction(rng.uniform(-1, 1) * _RELATIVE))

    def at_worst(self, base: _Taped) -> Iterator[Any]:
        """Those that move the losses most: of a sum, all in one direction. Features are exact."""
        adjoints = base.adjoints([1.0] * len(base.losses))
        size = self.ops.number(Fraction(_RELATIVE))
        for name, _, leaf, _ in base.leaves:
            own = 0 if name in self.batch.features else adjoints[leaf.at]
            yield size if own > 0 else -size if own < 0 else size * 0

    def taped(
        self,
        errors: Iterator[Any] | None = None,
        side: bool | Sequence[bool] | None = None,
        rounding: float | None = None,
        stops: bool = True,
    ) -> _Taped:
        """The losses of all pairs on one tape, by default as they are differentiated.
        Raises: Undefined where one has no value."""
        # Noise must not push a tie to the other side.
        tape = Tape(self.ops, side, TIE if errors is None else _NEAR, rounding)
        leaves = Leaves(tape, errors)
        read = self.batch.reader(self.loss)
        losses, own = [], []
        for pair in range(self.batch.pairs):
            first = len(leaves.found)
            point = read(tape, pair, None, leaves)
            losses.append(self.evaluator(tape, point, leaves, stops)(self.loss))
            own.append(slice(first, len(leaves.found)))
        if self.loss.has(Sorted):
            own = []
        return _Taped(tape, leaves.found, losses, errors is not None, own)

    def evaluator(self, tape: Tape, point: Any, leaves: Leaves, stops: bool = True) -> Evaluator:
        """An evaluator whose sums over the vocabulary are inputs' fellows in `leaves`. Of a batch
        that a loss orders, other pairs are evaluated without."""
        found = Differentiated(tape, point, limit=MAX_VALUES)
        found.leaves, found.stops = leaves, stops
        return found

    def direction(self) -> Any:
        logits = self.batch.logits["pi"]
        shape = logits.shape
        values = [self.rng.choice((-1, 1)) * self.rng.randint(1, 64) / 64 for _ in range(logits.size)]
        return np.where(np.isfinite(logits), np.array(values).reshape(shape), 0.0)

    def slope(self, direction: Any) -> Any:
        """The derivative of the summed loss along `direction`, by a central difference."""
        total: Any = 0
        sides = [{**self.batch.logits, "pi": self.shifted(direction, sign)} for sign in (1, -1)]
        for pair in range(self.batch.pairs):
            up, down = (self.value(self.loss, pair, logits) for logits in sides)
            total += (up - down) / (2 * self.ops.number(_STEP))
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
