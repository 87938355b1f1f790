"""A derivation: a chain of equalities as data. Applying a rule records itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sympy import Expr

from .errors import TooLarge
from .rules import ARITHMETIC, Parts, Rule, reason


@dataclass(frozen=True)
class Instance:
    """One use of a rule: `old` became `new`; `parts` say of what the rule speaks."""

    old: Expr
    new: Expr
    parts: Parts = ()


@dataclass(frozen=True)
class Step:
    """`before = after`, by one rule used at each of `instances`.

    A step is made in the direction in which its rule rewrites; `reverse` steps stand in the chain
    the other way round.
    """

    rule: str
    before: Expr
    after: Expr
    instances: tuple[Instance, ...] = ()
    reverse: bool = False

    @property
    def reason(self) -> str:
        return reason(self.rule)

    def reversed(self) -> Step:
        return Step(self.rule, self.after, self.before, self.instances, not self.reverse)


@dataclass
class Derivation:
    """A chain of steps from `start`; `end` is what `start` was shown to equal."""

    start: Expr
    steps: list[Step] = field(default_factory=list)

    @property
    def end(self) -> Expr:
        return self.steps[-1].after if self.steps else self.start

    def append(self, step: Step) -> None:
        if step.before != step.after:
            self.steps.append(step)

    def apply(self, rules: Iterable[Rule]) -> bool:
        """Use each of the rules everywhere, one step a rule; whether anything changed."""
        changed = False
        for rule in rules:
            if not self.end.has(*rule.head):
                continue
            rewriter = Rewriter(rule)
            after = rewriter.rewrite(self.end)
            if rewriter.instances:
                self.append(Step(rule.name, self.end, after, tuple(rewriter.instances.values())))
                changed = True
        return changed

    def arithmetic(self, after: Expr) -> None:
        """Record that the end equals `after` in the field of its atoms."""
        self.append(Step(ARITHMETIC, self.end, after))

    def joined(self, other: Derivation) -> Derivation:
        """This chain, then `other` backwards: from this start to the other's."""
        back = [step.reversed() for step in reversed(other.steps)]
        return Derivation(self.start, [*self.steps, *back])


class Rewriter:
    """One rule, used at every place of an expression, innermost first, until none is left."""

    LIMIT = 100_000

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.instances: dict[Expr, Instance] = {}
        self.seen: dict[Expr, Expr] = {}
        self.work = 0

    def rewrite(self, node: Any) -> Any:
        if node in self.seen:
            return self.seen[node]
        self.work += 1
        if self.work > self.LIMIT:
            raise TooLarge(f"rule {self.rule.name}: more than {self.LIMIT} rewrites")
        result = node
        if node.args:
            args = [self.rewrite(arg) for arg in node.args]
            if any(new is not old for new, old in zip(args, node.args, strict=True)):
                result = node.func(*args)
        if isinstance(result, self.rule.head):
            parts = self.rule.find(result)
            if parts is not None and self.rule.holds(*parts) and self.rule.left(*parts) == result:
                new = self.rule.right(*parts)
                self.instances[result] = Instance(result, new, parts)
                result = self.rewrite(new)
        self.seen[node] = result
        return result
