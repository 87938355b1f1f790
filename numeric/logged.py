"""What a kernel logs beside the loss, said again from the spec and compared: in 50 digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Add, Expr, Symbol

from midpo.symbolic.language import CHOSEN, REJECTED, Log, Prob, roles
from midpo.symbolic.loss import kernel_loss, logistic_form
from midpo.symbolic.spec import Spec, policy_argument

from .judging import LIMIT, Judge, units
from .oracle import Oracle
from .policies import Batch
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
    terms = Add.make_args(margin.expand())
    if any(len(roles(t)) > 1 for t in terms):
        return None
    chosen = Add(*(t for t in terms if roles(t) == {CHOSEN}))
    rejected = -Add(*(t for t in terms if roles(t) == {REJECTED}))
    return (chosen, rejected) if chosen != 0 and rejected != 0 else None


def expressions(spec: Spec, policies: tuple[str, ...]) -> dict[str, Expr]:
    """What is logged under which name."""
    found: dict[str, Expr] = {}
    for policy in policies:
        short = policy_argument(policy).removesuffix("_logits")
        head = "logps" if policy == "pi" else f"{short}_logps"
        found[f"{head}/chosen"] = Log(Prob(Symbol(policy), CHOSEN))
        found[f"{head}/rejected"] = Log(Prob(Symbol(policy), REJECTED))
    both = rewards(spec)
    if both is not None:
        found |= {"rewards/chosen": both[0], "rewards/rejected": both[1]}
        found["rewards/margins"] = both[0] - both[1]
    return found


def judge(judge: Judge, way: Way, spec: Spec, batch: Batch, logged: Mapping[str, Any]) -> None:
    """Compare what was logged: means over the pairs, or their own values."""
    said = Oracle(batch, kernel_loss(spec), 0).valued(expressions(spec, batch.policies))
    for key, pairs in said.items():
        if key in logged:
            _compare(judge, way, key, pairs, logged[key])
    margins = said.get("rewards/margins")
    if margins is None or "rewards/accuracies" not in logged:
        return
    unclear = sum(float(abs(x)) <= 1e-5 * size for x, size in margins)
    right = [float(x > 0) for x, _ in margins]
    got = logged["rewards/accuracies"].double()
    mean, count = float(got.mean()), len(right)
    if got.dim() and unclear == 0 and got.tolist() != right:
        judge.fail(way, 'metric "rewards/accuracies", mean', sum(right) / count, mean, float("inf"))
    elif abs(mean - sum(right) / count) > (unclear + 1e-3) / count:
        judge.fail(way, 'metric "rewards/accuracies"', sum(right) / count, mean, float("inf"))


def _compare(judge: Judge, way: Way, key: str, pairs: list[Any], got: Any) -> None:
    values = got.double().reshape(-1).tolist()
    if got.dim() == 0:
        count = len(pairs)
        pairs = [(sum(x for x, _ in pairs) / count,
                  sum(max(size, float(abs(x))) for x, size in pairs) / count)]
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
