"""A function held against the spec: value, gradient and metrics, in every way it may be called.

The oracle is `Evaluator` on the spec's own expression, in 50 digits: nothing of it is shared with
the kernel. Errors are counted in units in the last place (`judging`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sympy import Expr

from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.nodes import Sorted, StopGradient
from midpo.symbolic.language.spec import Spec, policy_argument

from . import logged
from .adapting import all_equal, all_sure, beyond_domains, from_logits, noting
from .calling import Called
from .found import Code, CrossCheck, KernelLike
from .holding import Holding, result_of
from .judging import ILL, Failure, Judge, Numbers
from .policies import IGNORED, far_above, random_batch
from .truths import truth_of
from .ways import Way

DTYPES = ("float64", "float32", "bfloat16", "float16")
CODE_DTYPES = ("float64", "float32")  # what a hand-written function is held to where none is named
# Truth through the prior and through the target may differ by rounding in the 50th digit only.
PRIOR_GAP = 1e-35
TRIALS = 24
LONG = 800  # tokens of a response that is ordinary
LONG_ON_CPU = {"triton": 200}  # where a program a token is interpreted, not run
# Beyond one block of each backend: native's loops take 1,024 entries, Triton's programs 8,192.
WIDE = {"triton": 9000}
WIDE_ENTRIES = 1100
CHANGED = {"equal": all_equal, "sure": all_sure}  # scenes that change a random batch
_TELLING = (1.0, 3.0)  # sizes of logits at which no probability is 0 or 1


def crosscheck(
    spec: Spec,
    kernel: KernelLike | Code,
    *,
    prior_loss: Expr | None = None,
    seed: int = 0,
    trials: int = TRIALS,
    dtypes: Sequence[str] = DTYPES,
    device: str = "cpu",
    progress: Callable[[], None] = lambda: None,
) -> CrossCheck:
    """Hold `kernel` against `spec` on `trials` random batches, and on some that every check has.

    `prior_loss` is the loss through the prior, where the spec has a prior and a target.
    Raises: MidpoError where torch or the device is missing, no batch gives the loss a value, or an
    argument of a given function has no source.
    """
    torch = _torch(device)
    with noting() as notes:
        check = _Check(torch, spec, kernel, seed, dtypes, device)
        found = check.run(prior_loss, trials, progress)
    return replace(found, notes=tuple(dict.fromkeys([*found.notes, *notes])))


class _Check(Holding):
    """One cross-check: random batches in every way of calling, and the scenes that all have."""

    def run(self, prior_loss: Expr | None, trials: int, progress: Callable[[], None]) -> CrossCheck:
        gap: float | None = None if prior_loss is None else 0.0
        pairs, turn, last = 0, 0, None
        for number in range(trials):
            progress()
            batch, truth = self.drawn(number)
            if batch is None or truth is None:
                continue
            pairs += batch.pairs
            if prior_loss is not None:
                gap = max(gap or 0.0, truth.prior_gap(prior_loss))
            for dtype in self.tallies:
                self.measure(batch, truth, self.plain, dtype)
                turn = self.another(batch, truth, dtype, turn)
                self.tallies[dtype].cases += batch.pairs
            if last is None or (batch.pairs > 1 and batch.scale in _TELLING):
                last = batch, truth
        if last is None:
            raise MidpoError(f"{self.spec.name}: the loss has no value on any of {trials} random batches")
        while turn < len(self.ways):  # too few batches for all ways
            turn = self.another(*last, next(iter(self.tallies)), turn)
        self.scenes()
        smooth = self.generated and not self.loss.has(StopGradient)
        gradcheck = self.gradcheck() if smooth and not isinstance(self.kernel, Code) else None
        return self.result(pairs, gap, gradcheck)

    # -- scenes that every check has

    def scenes(self) -> None:
        """Policies that are equal, long responses, wide vocabularies; what is broken or refused."""
        first = next(iter(self.tallies))
        self.others(first)
        if not self.loss.has(Sorted):  # of equal places either order is right
            self.scene("equal", self.tallies)
        self.scene("sure", self.tallies)
        self.scene("long", [d for d in self.tallies if d in ("float64", "float32")] or [first])
        self.wide()
        if self.generated:
            self.broken(first)
            self.lacking(first)
            self.refusals()

    def others(self, dtype: str) -> None:
        """Other inputs that the arguments allow."""
        usual = self.binding
        for binding in usual.variants() if self.generated else ():
            self.binding = binding
            for number in range(4):
                batch, truth = self.drawn(number)
                if batch is not None and truth is not None:
                    for way in (self.plain, Way("mean", metrics=True), Way("mean", divisor=1.75)):
                        self.measure(batch, truth, way, dtype)
        self.binding = usual

    def scene(self, what: str, dtypes: Any) -> None:
        rng = np.random.default_rng((self.seed, 1, len(what)))
        shape: dict[str, Any] = {
            "scale": 1.0,
            "vocabulary": 3,
            "pairs": 2,
            "leading": self.binding.by_lengths(),
        }
        if what == "sure":
            shape |= {"shortest": 2}
        if what == "long":
            tokens = LONG_ON_CPU.get(self.kernel.backend, LONG) if self.device == "cpu" else LONG
            shape |= {"positions": tokens, "pairs": 1, "vocabulary": 2}
        batch = self.batch(rng, **shape)
        if change := CHANGED.get(what):
            batch = change(batch)
        if what == "long":  # one response is; the other is short
            batch.labels[0, :tokens] = 1 - batch.labels[0, :tokens] % 2
            batch.labels[1, 5:] = IGNORED
            batch.labels[1, :5] = 1
        truth = truth_of(batch, self.loss, self.seed)
        if truth is None:
            return
        for dtype in dtypes:
            self.measure(batch, truth, self.with_metrics(), dtype)
        if what == "long":  # packed, the last sequence is far shorter than the longest
            for way in [w for w in self.ways if w.packed][:1]:
                self.measure(batch, truth, way, next(iter(dtypes)))

    def wide(self) -> None:
        """A vocabulary beyond one block."""
        if not set(self.binding.kinds.values()) <= {"logits", "hidden"}:
            return
        size = WIDE.get(self.kernel.backend, WIDE_ENTRIES)
        rng = np.random.default_rng((self.seed, 2))
        batch = self.batch(
            rng, scale=2.0, vocabulary=size, positions=2, pairs=1, leading=self.binding.by_lengths()
        )
        counted = batch.labels != IGNORED
        last = rng.integers(size - size // 16, size - 1, int(counted.sum()))  # in the last block
        batch.labels[counted] = last
        for far in (120.0, 16.0, 0.0):  # as far as the loss has a value
            raised = far_above(batch, far)
            truth = truth_of(raised, self.loss, self.seed)
            if truth is not None:
                break
        if truth is not None:
            for dtype in self.tallies:
                if dtype != "float16" or len(self.tallies) == 1:
                    self.measure(raised, truth, self.with_metrics(), dtype)

    def with_metrics(self) -> Way:
        """The plain way, with metrics where there are any."""
        return next((w for w in self.ways if w.metrics and w.reduction == "none"), self.plain)

    def of_three(self, stream: int, dtype: str) -> Judge | None:
        """A judge of three pairs of responses of three tokens or more; None where they have no loss."""
        rng = np.random.default_rng((self.seed, stream))
        batch = self.batch(rng, scale=1.0, vocabulary=3, pairs=3, shortest=3)
        truth = truth_of(batch, self.loss, self.seed)
        return None if truth is None else Judge(truth, batch, Numbers.of(self.torch, dtype))

    def broken(self, dtype: str) -> None:
        """A NaN in one pair makes its loss NaN, and no other's."""
        if self.loss.has(Sorted) or "reduction" not in self.binding.options:
            return
        judge = self.of_three(3, dtype)
        if judge is None or not judge.truth.gradients([1.0] * 3)["pi"].exact[1].any():
            return  # the chosen response of this pair has no part in its loss
        batch = judge.batch
        call = Called(
            self.torch, self.binding, batch, self.plain, getattr(self.torch, dtype), self.device, broken=1
        )
        weights = [1.0, 2.0, -3.0]
        try:
            answer = call(weights)
        except Exception as error:  # the function's own
            self.raised(judge, self.plain, error)
            self.tallies[dtype].add(judge)
            return
        if answer.loss.dim() != 1:
            return  # told where it is called without a NaN
        if not np.isnan(answer.loss[1].item()):
            judge.fail(
                self.plain, "loss of a pair with a NaN", float("nan"), answer.loss[1].item(), float("inf")
            )
        judge.losses(self.plain, answer.loss.double().tolist(), {1})
        if not batch.heads:  # the head's gradient is a sum over all pairs
            judge.gradients(self.plain, answer, weights, {1})
        self.tallies[dtype].add(judge)

    def lacking(self, dtype: str) -> None:
        """A pair without labels has the loss 0 and no gradient where that is asked for, and the
        others are as before."""
        if not logged.LACKING[0].needs() <= self.binding.options:
            return
        judge = self.of_three(5, dtype)
        if judge is None:
            return
        batch = judge.batch
        seeds, whole = [1.0, 2.0, 1.0], None
        for way in (logged.WHOLE, *logged.LACKING):
            call = Called(self.torch, self.binding, batch, way, getattr(self.torch, dtype), self.device)
            try:
                answer = call(seeds if way.reduction == "none" else 1.0)
            except Exception as error:  # the function's own
                self.raised(judge, way, error)
                continue
            if whole is None:
                whole = answer
            else:
                logged.judge_lacking(judge, way, self.spec, whole, answer)
        self.tallies[dtype].add(judge)

    def refusals(self) -> None:
        """A parameter outside its domain is refused with a ValueError."""
        rng = np.random.default_rng((self.seed, 4))
        dtype = next(iter(self.tallies))
        batch = self.batch(rng, scale=1.0, vocabulary=3, pairs=1)
        for name, outside in beyond_domains(self.spec):
            if name not in self.binding.sources:
                continue
            wrong = replace(batch, parameters=batch.parameters | {name: outside})
            call = Called(
                self.torch, self.binding, wrong, self.plain, getattr(self.torch, dtype), self.device
            )
            try:
                found = call(1.0).loss
            except ValueError:
                continue
            except Exception as error:  # the function's own
                said = f"{name} = {outside} raises {type(error).__name__}, no ValueError; loss"
                self.tallies[dtype].failures.append(
                    Failure(dtype, self.plain, said, float("nan"), float("nan"), float("inf"))
                )
                continue
            self.tallies[dtype].failures.append(
                Failure(
                    dtype,
                    self.plain,
                    f"{name} = {outside} is not refused: loss",
                    float("nan"),
                    float(found.reshape(-1)[0]),
                    float("inf"),
                )
            )

    def gradcheck(self) -> bool | None:
        """torch.autograd.gradcheck of the kernel in float64 on a small batch."""
        kernel = self.kernel
        assert not isinstance(kernel, Code)
        rng = np.random.default_rng(self.seed + 1)
        batch = random_batch(
            self.spec,
            dict.fromkeys(kernel.policies, "logits"),
            rng,
            scale=1.0,
            vocabulary=2,
            positions=3,
            shortest=2,
            finite=True,
        )
        if truth_of(batch, self.loss, self.seed) is None:
            return None
        function, torch = from_logits(self.torch, kernel), self.torch
        others = {
            policy_argument(p): torch.tensor(batch.logits[p], device=self.device)
            for p in kernel.policies
            if p != "pi"
        }
        labels = torch.tensor(batch.labels, device=self.device)
        keywords = {
            name: torch.tensor(batch.features[name], device=self.device) for name in kernel.features
        } | {name: float(batch.parameters[name]) for name in kernel.parameters}

        def loss(policy: Any) -> Any:
            return function(policy_logits=policy, labels=labels, reduction="sum", **others, **keywords)

        policy = torch.tensor(batch.logits["pi"], device=self.device, requires_grad=True)
        if not loss(policy).requires_grad:
            return True
        return bool(torch.autograd.gradcheck(loss, (policy,), raise_exception=False))

    def result(self, pairs: int, gap: float | None, gradcheck: bool | None) -> CrossCheck:
        failures = [f for tally in self.tallies.values() for f in tally.failures]
        # The smallest case tells most.
        failures.sort(key=lambda f: float("inf") if f.batch is None else f.batch.labels.size)
        said = [str(f) for f in failures]
        if gap is not None and gap > PRIOR_GAP:
            said.append(f"the loss through the prior differs from the target's by {gap:.3g} (relative)")
        if gradcheck is False:
            said.append("torch.autograd.gradcheck fails in float64")
        notes = list(dict.fromkeys(self.notes))
        if self.condition > ILL:
            notes.append(
                f"ill-conditioned: rounding of the inputs moves a loss up to "
                f"{min(self.condition, 1e300):.0e} times as far as its own; it is judged "
                "by that"
            )
        code = self.kernel.name if isinstance(self.kernel, Code) else ""
        return CrossCheck(
            self.spec.name,
            not said,
            pairs,
            self.seed,
            self.device,
            tuple(result_of(dtype, tally) for dtype, tally in self.tallies.items()),
            gap,
            gradcheck,
            said[0] if said else "",
            self.kernel.backend,
            tuple(notes),
            code,
            failures[0].as_json() if failures else None,
            tuple(filter(None, self.taken)),
        )


def _torch(device: str) -> Any:
    try:
        import torch
    except ImportError:
        raise MidpoError(
            "cross-checks need torch, which is not installed\n  expected: pip install 'midpo[torch]'"
        ) from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MidpoError(
            f'no device "{device}": {str(error).splitlines()[0][:80]}\n'
            '  expected: "cpu", or "cuda" where torch finds one'
        ) from None
    return torch
