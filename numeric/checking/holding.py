"""One function called on batches, and what its calls gave judged by the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import kernel_loss

from . import logged
from .binding import Binding, bind
from .calling import Called, Outcome, misshaped
from .found import Code, DtypeErrors, KernelLike
from .judging import LIMIT, Failure, Judge, Numbers
from .oracle import Truth
from .policies import Batch, nth_batch, random_batch
from .truths import truth_of
from .ways import Way, plain, ways


@dataclass
class Tally:
    """Errors of one dtype so far."""

    cases: int = 0
    value: float = 0.0
    gradient: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def add(self, judge: Judge) -> None:
        self.value = max(self.value, judge.value)
        self.gradient = max(self.gradient, judge.gradient)
        self.failures += judge.failures


def result_of(dtype: str, tally: Tally) -> DtypeErrors:
    passed = not tally.failures
    return DtypeErrors(dtype, tally.cases, tally.value, tally.gradient, LIMIT, passed)


class Holding:
    """One function: how it is bound, and what was found so far."""

    def __init__(
        self, torch: Any, spec: Spec, kernel: KernelLike | Code, seed: int, dtypes: Sequence[str], device: str
    ) -> None:
        self.torch, self.spec, self.kernel = torch, spec, kernel
        self.seed, self.device = seed, device
        self.loss = kernel_loss(spec)
        self.generated = not isinstance(kernel, Code) or kernel.generated
        function = kernel.function if isinstance(kernel, Code) else kernel.compile()
        given = kernel.arguments if isinstance(kernel, Code) else {}
        self.promised = (
            kernel.promised if isinstance(kernel, Code) else logged.Promised(kernel.logged, kernel.rewards)
        )
        needed = tuple(sorted(str(s) for s in self.loss.free_symbols if str(s) in spec.names.policies))
        self.binding: Binding = bind(spec, function, given, needed)
        if kernel.backend == "logps":  # the generated one names (2B, T) as others name (2B,)
            assert all(kind == "logps" for kind in self.binding.kinds.values())
        self.plain, self.ways = plain(self.binding), ways(self.binding, self.generated)
        self.tallies = {dtype: Tally() for dtype in dtypes}
        self.notes = list(self.binding.notes)
        self.taken: dict[str, None] = {}
        self.reduces: str | None = None  # what a scalar is, where no argument says it
        self.condition = 0.0
        self.runs = False  # whether a call has come through

    def batch(self, rng: np.random.Generator, **shape: Any) -> Batch:
        """A random batch of this shape for the function's arguments, on which losses are finite."""
        kinds, fixed = self.binding.kinds, self.binding.fixed
        return random_batch(self.spec, kinds, rng, finite=True, fixed=fixed, **shape)

    def drawn(self, number: int) -> tuple[Batch | None, Truth | None]:
        """The batch of this number, redrawn with longer responses where the loss has no value."""
        for attempt in range(3):
            rng = np.random.default_rng((self.seed, number, attempt))
            batch = nth_batch(
                self.spec,
                self.binding.kinds,
                number,
                rng,
                shortest=1 + attempt,
                finite=not self.generated,
                leading=self.binding.by_lengths(),
                fixed=self.binding.fixed,
            )
            truth = truth_of(batch, self.loss, self.seed * 1_000_003 + number)
            if truth is not None:
                self.condition = max(self.condition, truth.condition)
                return batch, truth
        return None, None

    def another(self, batch: Batch, truth: Truth, dtype: str, turn: int) -> int:
        """One more way of calling, on this batch."""
        if self.ways:
            self.measure(batch, truth, self.ways[turn % len(self.ways)], dtype)
        return turn + 1

    def measure(self, batch: Batch, truth: Truth, way: Way, dtype: str) -> None:
        """Call once, and judge the losses, the gradients and the metrics."""
        if way.shards > 1 and batch.logits["pi"].shape[-1] < way.shards:
            return
        numbers = Numbers.of(self.torch, dtype)
        near = truth.rounded(numbers.eps)
        if near is None:
            return
        judge = Judge(near, batch, numbers, 0.0 if self.generated else 1.0)
        self.taken[str(way)] = None
        try:
            self.judged(judge, batch, way, dtype)
            self.runs = True
        except Exception as error:  # the function's own
            if isinstance(error, MidpoError) and not self.generated:
                raise
            self.raised(judge, way, error)
        finally:
            self.tallies[dtype].add(judge)

    def raised(self, judge: Judge, way: Way, error: Exception) -> None:
        """An error of the function: of its call, where it never ran; a difference in a kernel; and
        of another's function that it does not take this way."""
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not self.runs and isinstance(self.kernel, Code):
            raise MidpoError(
                f"{self.kernel.name}: called as bound, it raises {said}\n  bound: {self.binding}"
            ) from None
        if self.generated or way == self.plain:
            nothing = float("nan")
            judge.fail(way, f"raises {said}; loss", nothing, nothing, float("inf"))
        else:
            self.notes.append(f"{way}: {said}")

    def judged(self, judge: Judge, batch: Batch, way: Way, dtype: str) -> None:
        call = Called(self.torch, self.binding, batch, way, getattr(self.torch, dtype), self.device)
        pairs = batch.pairs
        per_pair = [(-1.0) ** b * (1.5 + b) for b in range(pairs)]  # backward seeds are not 1
        seeds: Any = per_pair if self.each_pair(way, batch) else 1.75
        answer = call(seeds)
        if answer.amiss:
            judge.fail(way, answer.amiss, 0, 1, float("inf"))
        wanted = {"none": 1, "mean": 0, "sum": 0}.get(way.reduction or "", answer.loss.dim())
        if answer.loss.dim() != wanted and self.generated:
            judge.fail(way, "dimensions of the loss", wanted, answer.loss.dim(), float("inf"))
            return
        if answer.loss.dim() != wanted and way != self.plain:
            self.notes.append(f"{way} gives a loss of {answer.loss.dim()} dimensions")
            return
        if self.generated and answer.loss.dtype != call.wide:
            wide, own = (self.torch.finfo(d).bits for d in (call.wide, answer.loss.dtype))
            judge.fail(way, f"dtype of the loss {answer.loss.dtype}, bits", wide, own, float("inf"))
        if answer.loss.dim() == 1:
            judge.losses(way, answer.loss.double().tolist())
            weights = per_pair
        elif answer.loss.dim() == 0:
            divisor = self.divisor(way, batch, judge, answer)
            judge.total(way, answer.loss.double().item(), divisor)
            weights = [1.75 / divisor] * pairs
        else:
            raise MidpoError(misshaped(answer.loss))
        judge.gradients(way, answer, weights, frozen=self.generated)
        if self.generated and way.metrics:
            logged.judge(judge, way, self.spec, batch, answer.logged or {}, self.promised)

    def each_pair(self, way: Way, batch: Batch) -> bool:
        """Whether the loss comes as one of each pair."""
        return way.reduction == "none" or (
            way.reduction is None and self.reduces is None and (self.probe(batch).dim() == 1)
        )

    def probe(self, batch: Batch) -> Any:
        call = Called(self.torch, self.binding, batch, self.plain, self.torch.float64, self.device)
        return call(1.0).loss

    def divisor(self, way: Way, batch: Batch, judge: Judge, answer: Outcome) -> float:
        """What the sum of the losses is divided by."""
        if way.reduction == "sum":
            return 1.0
        if way.divisor is not None:
            return way.divisor * batch.pairs
        if way.reduction in (None, "none"):
            if self.reduces is None and batch.pairs > 1:
                total = float(sum(judge.truth.losses))
                got = answer.loss.item()
                nearer = abs(got - total) < abs(got - total / batch.pairs)
                self.reduces = "sum" if nearer else "mean"
                self.notes.append(f"the scalar returned is taken as the {self.reduces} of pairs")
            if self.reduces == "sum":
                return 1.0
        return float(batch.pairs)
