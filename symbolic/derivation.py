"""A derivation: a chain of equalities as data. Applying a rule records itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sympy import Expr, preorder_traversal

from .errors import TooLarge
from .language import rebuild
from .rules import ARITHMETIC, Parts, Rule, reason
from .work import spend

MAX_SIZE = 20_000


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
        kinds = {type(node) for node in preorder_traversal(self.end)}
        for rule in rules:
            if not any(issubclass(kind, rule.head) for kind in kinds):
                continue
            rewriter = Rewriter(rule)
            after = rewriter.rewrite(self.end)
            if rewriter.instances:
                self.append(Step(rule.name, self.end, after, tuple(rewriter.instances.values())))
                kinds = {type(node) for node in preorder_traversal(after)}
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

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.instances: dict[Expr, Instance] = {}
        self.seen: dict[Expr, Expr] = {}
        self.sizes: dict[Expr, int] = {}

    def rewrite(self, node: Any) -> Any:
        if node in self.seen:
            return self.seen[node]
        spend(2)
        result = node
        if node.args:
            args = [self.rewrite(arg) for arg in node.args]
            if any(new is not old for new, old in zip(args, node.args, strict=True)):
                result = rebuild(node, args)
        if isinstance(result, self.rule.head):
            parts = self.rule.find(result)
            if parts is not None and self.rule.holds(*parts) and self.rule.left(*parts) == result:
                new = self.rule.right(*parts)
                if self.size(new) > MAX_SIZE:
                    raise TooLarge(f"an expression of more than {MAX_SIZE} parts")
                self.instances[result] = Instance(result, new, parts)
                result = self.rewrite(new)
        self.seen[node] = result
        return result

    def size(self, node: Any) -> int:
        """How many parts `node` has, written out."""
        if node not in self.sizes:
            self.sizes[node] = 1 + sum(map(self.size, node.args))
        return self.sizes[node]
