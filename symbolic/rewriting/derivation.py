"""A derivation: a chain of equalities as data. Applying a rule records itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sympy import Expr

from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.work import limits, spend

from .rule import ARITHMETIC, Parts, Rule


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

    def reversed(self) -> Step:
        return Step(self.rule, self.after, self.before, self.instances, not self.reverse)


class Kinds:
    """Which kinds of nodes an expression holds; remembered, since rules ask again and again."""

    def __init__(self) -> None:
        self.known: dict[Any, frozenset[type]] = {}

    def __call__(self, node: Any) -> frozenset[type]:
        found = self.known.get(node)
        if found is None:
            found = frozenset((type(node),)).union(*map(self, node.args))
            self.known[node] = found
        return found


@dataclass
class Derivation:
    """A chain of steps from `start`; `end` is what `start` was shown to equal."""

    start: Expr
    steps: list[Step] = field(default_factory=list)
    kinds: Kinds = field(default_factory=Kinds, repr=False, compare=False)
    settled: dict[str, set[Any]] = field(default_factory=dict, repr=False, compare=False)

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
            rewriter = Rewriter(rule, self.kinds, self.settled.setdefault(rule.name, set()))
            after = rewriter.rewrite(self.end)
            if rewriter.instances:
                self.append(Step(rule.name, self.end, after, tuple(rewriter.instances.values())))
                changed = True
        return changed

    def arithmetic(self, after: Expr) -> None:
        """Record that the end equals `after` in the field of its atoms."""
        self.append(Step(ARITHMETIC, self.end, after))

    def replace(self, rule: str, instances: Iterable[Instance]) -> bool:
        """Use these instances of a rule wherever they occur, innermost first; whether any does."""
        table = {instance.old: instance for instance in instances}
        used: dict[Expr, Instance] = {}

        def visit(node: Any) -> Any:
            if node.args:
                args = [visit(arg) for arg in node.args]
                if any(new is not old for new, old in zip(args, node.args, strict=True)):
                    node = rebuild(node, args)
            if node not in table:
                return node
            used[node] = table[node]
            return table[node].new

        after = visit(self.end)
        self.append(Step(rule, self.end, after, tuple(used.values())))
        return bool(used)

    def joined(self, other: Derivation) -> Derivation:
        """This chain, then `other` backwards: from this start to the other's."""
        back = [step.reversed() for step in reversed(other.steps)]
        return Derivation(self.start, [*self.steps, *back])

    def without_detours(self) -> Derivation:
        """The chain less the steps between two visits to one expression, and with arithmetic that
        follows on arithmetic made one step."""
        kept: list[Step] = []
        visits: dict[Expr, int] = {self.start: 0}
        for step in self.steps:
            if kept and kept[-1].rule == step.rule == ARITHMETIC:
                before = kept.pop()
                visits.pop(before.after, None)
                step = Step(ARITHMETIC, before.before, step.after)
            kept.append(step)
            at = visits.get(step.after)
            if at is None:
                visits[step.after] = len(kept)
                continue
            for left in kept[at:]:
                if visits.get(left.after, 0) > at:
                    del visits[left.after]
            del kept[at:]
        return Derivation(self.start, kept)


class Rewriter:
    """One rule, used at every place of an expression, innermost first, until none is left.

    `settled` are expressions in which an earlier use of the rule found nothing.
    """

    def __init__(self, rule: Rule, kinds: Kinds | None = None, settled: set[Any] | None = None) -> None:
        self.rule = rule
        self.kinds = kinds or Kinds()
        self.settled = set() if settled is None else settled
        self.instances: dict[Expr, Instance] = {}
        self.seen: dict[Expr, Expr] = {}
        self.sizes: dict[Expr, int] = {}
        self.concerned: dict[frozenset[type], bool] = {}

    def rewrite(self, node: Any) -> Any:
        if node in self.seen:
            return self.seen[node]
        if node in self.settled or not self.concerns(node):
            return node
        spend(2)
        result = node
        if node.args:
            args = [self.rewrite(arg) for arg in node.args]
            if any(new is not old for new, old in zip(args, node.args, strict=True)):
                result = rebuild(node, args)
        if isinstance(result, self.rule.head):
            result = self.used(result)
        self.seen[node] = result
        if result is node:
            self.settled.add(node)
        return result

    def used(self, node: Any) -> Any:
        """The rule at the top of `node`, whose parts are rewritten."""
        parts = self.rule.find(node)
        if parts is None or not self.rule.holds(*parts) or self.rule.left(*parts) != node:
            return node
        spend(len(node.args))  # a wide node is built anew each time
        new = self.rule.right(*parts)
        if self.size(new) > limits().parts:
            raise TooLarge(f"an expression of more than {limits().parts} parts")
        self.instances[node] = Instance(node, new, parts)
        return self.rewrite(new)

    def concerns(self, node: Any) -> bool:
        """Whether `node` holds any kind of node that the rule looks at."""
        kinds = self.kinds(node)
        if kinds not in self.concerned:
            self.concerned[kinds] = any(issubclass(kind, self.rule.head) for kind in kinds)
        return self.concerned[kinds]

    def size(self, node: Any) -> int:
        """How many parts `node` has, written out."""
        if node not in self.sizes:
            self.sizes[node] = 1 + sum(map(self.size, node.args))
        return self.sizes[node]
