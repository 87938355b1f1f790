"""Replays a derivation. It finds nothing and decides nothing; it may not be clever.

A chain is accepted when consecutive steps meet and each step is one of: the definition of the
prior; instances of one row of RULES, substituted; arithmetic, confirmed by SymPy's own expansion
(the chain was found with other code); or a proof by cells, with a chain for each. Trusted: the rows
of RULES (tested one by one), SymPy's sums, products, powers and expansion, `cells`, `cases` and
this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Expr

from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.errors import MidpoError, NoValue
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.rewriting.derivation import Derivation, Instance, Step
from midpo.symbolic.rewriting.rule import ARITHMETIC, CELLS, PRIOR_RULE, Rule
from midpo.symbolic.rewriting.rules import RULES

from .cases import holds_by_cells


class CheckFailed(MidpoError):
    """A step that does not follow; the message names it."""


def check(
    derivation: Derivation,
    start: Expr,
    end: Expr,
    definitions: Mapping[Expr, Expr] | None = None,
    rules: Mapping[str, Rule] = RULES,
) -> int:
    """Confirm that `derivation` leads from `start` to `end`; the number of steps.

    `definitions` says what the prior is: the only thing a "prior" step may insert. `rules` are the
    rows that steps may name; hypotheses of a theorem come as rows beside those of RULES.
    Raises: CheckFailed at the first step that does not follow.
    """
    at = start
    if derivation.start != start:
        raise CheckFailed("the chain does not begin where it should")
    for number, step in enumerate(derivation.steps, 1):
        if step.before != at:
            raise CheckFailed(f"step {number} does not begin where the last one ended")
        try:
            sound = follows(step, definitions or {}, rules)
        except (NoValue, RecursionError):
            sound = False
        if not sound:
            raise CheckFailed(f"step {number} ({step.rule}) does not follow")
        at = step.after
    if at != end:
        raise CheckFailed("the chain does not end where it should")
    return len(derivation.steps)


def follows(step: Step, definitions: Mapping[Expr, Expr], rules: Mapping[str, Rule] = RULES) -> bool:
    """Whether the step's two sides are equal by the rule it names."""
    source, result = (step.after, step.before) if step.reverse else (step.before, step.after)
    if step.rule == ARITHMETIC:
        return equal_in_field(source, result)
    if step.rule == PRIOR_RULE:
        return bool(source.xreplace(dict(definitions)) == result)
    if step.rule not in {*rules, CELLS} or not step.instances:
        return False
    if not all(is_instance(step.rule, instance, rules) for instance in step.instances):
        return False
    table = {instance.old: instance.new for instance in step.instances}
    # A proof by cells is used once at each place: its new side may hold its old one.
    return bool(replay(source, table, again=step.rule != CELLS) == result)


def is_instance(rule: str, instance: Instance, rules: Mapping[str, Rule] = RULES) -> bool:
    """Whether old = new is the rule's own statement for these parts."""
    parts = instance.parts
    try:
        if rule == CELLS:
            (tree,) = parts
            return holds_by_cells(instance.old, instance.new, tree, check)
        row = rules[rule]
        return bool(
            row.holds(*parts) and row.left(*parts) == instance.old and row.right(*parts) == instance.new
        )
    except Exception:  # parts that are not of the rule's shape can fail in any way
        return False


def replay(node: Any, table: Mapping[Expr, Expr], *, again: bool = True) -> Any:
    """`node` with each expression of `table` replaced, innermost first; with `again`, until none is
    left."""
    done: dict[Any, Any] = {}

    def replaced(node: Any, depth: int) -> Any:
        if depth > 300:
            raise CheckFailed("replacements do not end")
        if node not in done:
            found = node
            if node.args:
                args = [replaced(arg, depth + 1) for arg in node.args]
                if any(new is not old for new, old in zip(args, node.args, strict=True)):
                    found = rebuild(node, args)
            if found in table:
                found = replaced(table[found], depth + 1) if again else table[found]
            done[node] = found
        return done[node]

    return replaced(node, 0)
