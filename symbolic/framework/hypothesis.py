"""A hypothesis of a theorem: a row like those of the rules, so that a step that uses it is checked
like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from sympy import Add, Expr, Mul

from midpo.symbolic.formula.characters import mathematics
from midpo.symbolic.rewriting.rule import Parts, Rule

from .words import Element, Member, bound, elements, space

HYPOTHESIS = "hypothesis"


@dataclass(frozen=True)
class Hypothesis:
    """`left = right` for all values of `variables`: elements of sets, or real numbers.

    `distinct`: the variables stand for different elements. `words` says it in a sentence. `realise`
    makes a random instance satisfy it, where the general way (assign the side that is an atom,
    scale the law whose sum is given) does not: a callable of (instance, random generator).
    """

    name: str
    words: str
    left: Expr
    right: Expr
    variables: tuple[Expr, ...] = ()
    distinct: bool = False
    realise: Callable[..., None] | None = None

    def __post_init__(self) -> None:
        assert not (bound(self.left) | bound(self.right)) & set(self.variables), self.name
        free = (elements(self.left) | elements(self.right)) - set(self.variables)
        assert not free, f"{self.name}: not for all {free}"

    @property
    def rule(self) -> Rule:
        """The hypothesis as a row: its parts are the values of the variables."""
        return Rule(
            self.name,
            HYPOTHESIS,
            f"{mathematics(self.left)} = {mathematics(self.right)}",
            "",
            self.words,
            (type(self.left),),
            self._find,
            lambda *parts: self._at(self.left, parts),
            lambda *parts: self._at(self.right, parts),
            self._holds,
        )

    def _at(self, expr: Expr, parts: Parts) -> Expr:
        return expr.xreplace(dict(zip(self.variables, parts, strict=True)))

    def _find(self, node: Expr) -> Parts | None:
        for found in _matches(self.left, node, {}, self.variables):
            if len(found) == len(self.variables):
                return tuple(found[v] for v in self.variables)
        return None

    def _holds(self, *parts: Expr) -> bool:
        inside = bound(self.left) | bound(self.right)
        if self.distinct and len(set(parts)) < len(parts):
            return False
        return len(parts) == len(self.variables) and all(
            _fits(part, variable) and not elements(part) & inside
            for part, variable in zip(parts, self.variables, strict=True)
        )


def _fits(part: Expr, variable: Expr) -> bool:
    if isinstance(variable, Element):
        return isinstance(part, (Element, Member)) and space(part) == space(variable)
    return isinstance(part, Expr) and space(part) is None


Found = dict[Expr, Expr]


def _matches(pattern: Expr, node: Any, found: Found, variables: tuple[Expr, ...]) -> Iterator[Found]:
    """The values of the variables with which `pattern` is `node`."""
    if pattern in variables:
        if found.get(pattern, node) == node:
            yield {**found, pattern: node}
        return
    if not pattern.args or not getattr(node, "args", ()):
        if pattern == node:
            yield found
        return
    if type(pattern) is not type(node) or len(pattern.args) != len(node.args):
        return
    orders = permutations(node.args) if isinstance(pattern, (Add, Mul)) else (node.args,)
    for args in orders:
        states = [found]
        for part, arg in zip(pattern.args, args, strict=True):
            states = [new for state in states for new in _matches(part, arg, state, variables)]
        yield from states
