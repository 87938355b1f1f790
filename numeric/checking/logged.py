"""What a kernel logs beside the loss, said again from the spec and compared: in 50 digits; and what it
says of a batch in which a pair has no labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sympy import Add, Expr, Symbol

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, Divergence, Entropy, Index, Log, Prob, TokenSum
from midpo.symbolic.language.spec import Spec, policy_argument
from midpo.symbolic.loss import logistic_form, stated_sides

from .calling import Outcome
from .judging import LIMIT, Judge, Numbers, units
from .policies import IGNORED, Batch
from .ways import Way


def rewards(spec: Spec) -> tuple[Expr, Expr] | None:
    """The implicit rewards: the terms of the margin that speak of one response alone; None where
    the margin has no such terms, or others."""
    if spec.reason or not spec.has_target:
        return None
    form = None if spec.loss is None else logistic_form(spec.loss)
    margin = form.margin if form is not None else spec.margin
    if margin is None:
        return None
    if (sides := stated_sides(margin)) is not None:
        return sides
    with suppress(TooLarge):
        return stated_sides(expand(margin))
    return None


@dataclass(frozen=True)
class Promised:
    """What a kernel says that it logs: the keys (None: any), and its own expressions of the two
    rewards."""

    keys: tuple[str, ...] | None = None
    rewards: tuple[Expr, Expr] | None = None


def expressions(
    spec: Spec, policies: tuple[str, ...], own: tuple[Expr, Expr] | None = None
) -> dict[str, Expr]:
    """What is logged under which name, a number a pair. A constant may stand in both rewards, as in
    the kernel's `own`, or in none; their difference is the spec's where it states a margin."""
    found: dict[str, Expr] = {}
    for policy in policies:
        head = "logps" if policy == "pi" else f"{_short(policy)}_logps"
        for role in spec.roles:
            side = {CHOSEN: "chosen", REJECTED: "rejected"}.get(role, str(role))
            found[f"{head}/{side}"] = Log(Prob(Symbol(policy), role))
    stated = rewards(spec)
    both, margin = own or stated, stated or own
    if both is not None and margin is not None:
        found |= {"rewards/chosen": both[0], "rewards/rejected": both[1]}
        found["rewards/margins"] = margin[0] - margin[1]
    return found


def of_tokens(spec: Spec, policies: tuple[str, ...]) -> dict[str, Expr]:
    """What is logged as a mean over tokens: its sum over those of a pair."""
    t = Index("t", position=True)
    found = {}
    for p in policies:
        each: dict[str, Callable[[Expr, Expr], Expr]] = {f"entropy/{_short(p)}": partial(Entropy, Symbol(p))}
        each |= {f"kl/{_short(p)}_{_short(q)}": partial(Divergence, Symbol(p), Symbol(q)) for q in policies}
        for key, of in each.items():
            found[key] = Add(*(TokenSum(of(y, t), t, y) for y in spec.roles))
    return found


def _short(policy: str) -> str:
    return policy_argument(policy).removesuffix("_logits")


def judge(
    judge: Judge, way: Way, spec: Spec, batch: Batch, logged: Mapping[str, Any], promised: Promised
) -> None:
    """Compare what was logged with what is promised: means over the pairs, or their own values."""
    keys = set(logged) if promised.keys is None else set(promised.keys)
    for key in sorted(keys ^ set(logged)):
        there = float(key in logged)
        judge.fail(way, f'metric "{key}", of which there are', 1.0 - there, there, float("inf"))
    for key, value in logged.items():
        if value.dim() != (way.reduction == "none"):
            judge.fail(
                way,
                f'metric "{key}", dimensions of which',
                way.reduction == "none",
                value.dim(),
                float("inf"),
            )
        if value.requires_grad:
            judge.fail(way, f'metric "{key}", gradients of which', 0.0, 1.0, float("inf"))
    by_pair = expressions(spec, batch.policies, promised.rewards)
    by_token = of_tokens(spec, batch.policies)
    asked = {k: e for k, e in (by_pair | by_token).items() if k in logged}
    said = judge.truth.valued(asked, judge.numbers.eps)
    for key, pairs in said.items():
        counts = [1] * batch.pairs
        if key in by_token:
            counts = [int((batch.labels[batch.rows(b)] != IGNORED).sum()) for b in range(batch.pairs)]
        _compare(judge, way, key, pairs, counts, logged[key])
    margins = said.get("rewards/margins")
    if margins is None or "rewards/accuracies" not in logged:
        return
    sides = (said[f"rewards/{side}"] for side in ("chosen", "rejected"))
    unclear = sum(map(partial(open_sign, judge.numbers), margins, *sides))
    right = [float(x > 0) for x, _ in margins]
    got = logged["rewards/accuracies"].double()
    mean, count = float(got.mean()), len(right)
    if got.dim() and (tied := _ties(logged)) is not None and bool((got * tied).any()):
        judge.fail(way, 'metric "rewards/accuracies" where rewards are equal', 0.0, 1.0, float("inf"))
    if got.dim() and unclear == 0 and got.tolist() != right:
        judge.fail(way, 'metric "rewards/accuracies", mean', sum(right) / count, mean, float("inf"))
    elif not abs(mean - sum(right) / count) <= (unclear + 1e-3) / count:
        judge.fail(way, 'metric "rewards/accuracies"', sum(right) / count, mean, float("inf"))


def open_sign(
    numbers: Numbers, margin: tuple[Any, float], chosen: tuple[Any, float], rejected: tuple[Any, float]
) -> bool:
    """Whether the sign of a margin is lost by rounding, by underflow, or as the two rewards, each with
    its size, are beyond the largest number."""
    least = max(1e-5 * margin[1], LIMIT * numbers.tiny)
    return bool(abs(margin[0]) <= least or any(abs(x) > numbers.most for x, _ in (chosen, rejected)))


def _ties(logged: Mapping[str, Any]) -> Any:
    """Where the rewards that were logged are equal, as they are of equal policies; None without."""
    sides = [logged.get(f"rewards/{side}") for side in ("chosen", "rejected", "margins")]
    if any(side is None for side in sides):
        return None
    chosen, rejected, margins = sides
    return (chosen == rejected) & (margins == 0)


def _compare(judge: Judge, way: Way, key: str, sums: list[Any], counts: list[int], got: Any) -> None:
    """`sums` are of as many numbers as `counts` says; of a pair, or all of them, the mean is got."""
    values = got.double().reshape(-1).tolist()
    if got.dim() == 0:
        total = sum(max(size, float(abs(x))) for x, size in sums)
        sums, counts = [(sum(x for x, _ in sums), total)], [sum(counts)]
    pairs = [(x / n, size / n) for (x, size), n in zip(sums, counts, strict=True)]
    for value, (exact, size) in zip(values, pairs, strict=False):
        if abs(exact) > judge.numbers.most:
            continue
        unit = judge.numbers.eps * max(size, float(abs(exact)))
        error = units(value, exact, unit, judge.numbers.tiny)
        if not error <= LIMIT:
            judge.fail(way, f'metric "{key}"', exact, value, error)
    if len(values) != len(pairs):
        what = f'metric "{key}", of which there are'
        judge.fail(way, what, len(pairs), len(values), float("inf"))


PAIR = 1  # of three: which of them lacks labels, as `Called` leaves them out
WHOLE = Way("none", metrics=True)
LACKING = (
    Way("none", metrics=True, lacking=True, poisoned=True),
    Way("none", metrics=True, lacking=True, packed=True),
    Way("mean", metrics=True, lacking=True),
)
EMPTY = "pairs/empty"


def judge_lacking(judge: Judge, way: Way, spec: Spec, whole: Outcome, found: Outcome) -> None:
    """The pair's loss is 0, it has no gradient, and of metrics only its share; the others' are those
    of the `whole` batch, which is judged elsewhere."""
    infinity = float("inf")
    expected = np.where(np.arange(judge.batch.pairs) == PAIR, 0.0, _numbers(whole.loss))
    if way.reduction == "mean":
        expected = expected.mean()
    for what, exact, got in (
        ("loss beside a pair without labels", expected, found.loss),
        *_metrics(way, spec, judge.batch, whole.logged or {}, found.logged or {}),
    ):
        values = _numbers(got)
        wanted = np.asarray(exact, dtype=float)
        if values.shape != wanted.shape:
            judge.fail(way, f"{what}, dimensions of which", wanted.ndim, values.ndim, infinity)
        elif not _near(values, wanted, judge.numbers.eps):
            at = np.atleast_1d(~np.isclose(values, wanted, rtol=1e-6, equal_nan=True)).argmax()
            exact_one, got_one = (float(np.atleast_1d(x)[at]) for x in (wanted, values))
            judge.fail(way, what, exact_one, got_one, infinity)
    for key, value in (found.logged or {}).items():
        if value.requires_grad:
            judge.fail(way, f'metric "{key}", gradients of which', 0.0, 1.0, infinity)
    if way.reduction == "none":
        judge.gradients(way, found, [0.0 if pair == PAIR else 1.0 for pair in range(judge.batch.pairs)])


def _metrics(
    way: Way, spec: Spec, batch: Batch, whole: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    by_token = of_tokens(spec, batch.policies)
    absent = np.arange(batch.pairs) == PAIR
    none = way.reduction == "none"
    for key in sorted({*whole, *found, EMPTY}):
        if key not in found or key not in {*whole, EMPTY}:
            yield f'metric "{key}", of which there are', float(key not in found), float(key in found)
        elif key == EMPTY:
            yield f'metric "{key}"', absent * 1.0 if none else absent.mean(), found[key]
        else:
            each, counts = _numbers(whole[key]), np.ones(batch.pairs)
            if key in by_token:
                counts = np.array(
                    [(batch.labels[batch.rows(b)] != IGNORED).sum() for b in range(batch.pairs)]
                )
            mean = (each * counts)[~absent].sum() / counts[~absent].sum()
            yield f'metric "{key}"', np.where(absent, np.nan, each) if none else mean, found[key]


def _numbers(values: Any) -> Any:
    return values.detach().double().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def _near(found: Any, wanted: Any, eps: float) -> bool:
    scale = np.nanmax(np.abs(wanted), initial=1e-30)
    return bool(np.allclose(found, wanted, rtol=0, atol=LIMIT * eps * scale, equal_nan=True))
