"""What trainers log of a loss, one number a pair: implicit rewards, log-probabilities, divergences.

The implicit rewards r_w, r_l are the two sides of the margin that the loss is a function of, where
it is separable: m = r_w - r_l + c with r_w of the chosen response alone, r_l of the rejected one,
and c of neither (SimPO's gamma, an offset). c is in none of them: as in trainers, margins are
r_w - r_l, and a pair counts as accurate where r_w > r_l. Where the loss takes functions of each
response apart, such as sigmoid(r_l) - sigmoid(r_w), they are what these are functions of, if it is
one expression of either response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from sympy import Add, Expr, Mul, Pow, Symbol

from midpo.codegen.backends import logps_argument
from midpo.codegen.names import policy_argument
from midpo.codegen.printing.printer import Printer
from midpo.codegen.statements.nodes import Assign, Code, Constant, Name, Row, Statement
from midpo.codegen.statements.quote import quote
from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    POLICY,
    REJECTED,
    RESPONSE,
    Binder,
    Divergence,
    Entropy,
    Index,
    Log,
    Node,
    Sorted,
    StopGradient,
    TokenProb,
    TokenProd,
    TokenSum,
    roles,
)
from midpo.symbolic.language.signs import is_nonnegative

from .lower import Lowered

Rewards = tuple[Expr, Expr]


def implicit_rewards(lowered: Lowered) -> Rewards | None:
    """(r_w, r_l), or None where no margin is separable, or the loss has several of them."""
    if lowered.margin is not None and (sides := _sides(lowered.margin)) is not None:
        return lowered.sides or sides
    terms = Add.make_args(lowered.loss if lowered.margin is None else lowered.margin)
    found = {_oriented(sides) for term in terms for sides in _inside(term, _sides)}
    if not found:
        chosen, rejected = (
            {_signed(e) for term in terms for e in _inside(term, partial(_of, y))} for y in (CHOSEN, REJECTED)
        )
        swapped = {e.xreplace({CHOSEN: REJECTED}) for e in chosen}
        if len(chosen) == 1 and swapped == rejected:
            return chosen.pop(), rejected.pop()
    return found.pop() if len(found) == 1 else None


def _of(response: Expr, expr: Expr) -> Expr | None:
    """What of a sum is of this one response, where all else is of none."""
    terms = [t for t in Add.make_args(_expanded(expr)) if roles(t)]
    mine = Add(*terms)
    return mine if mine.has(POLICY) and all(roles(t) == {response} for t in terms) else None


def _sides(margin: Expr) -> Rewards | None:
    terms = Add.make_args(_expanded(margin))
    chosen = Add(*(t for t in terms if _whose(t) == {CHOSEN}))
    rejected = Add(*(t for t in terms if _whose(t) == {REJECTED}))
    free = all(not _whose(t) and not t.has(POLICY) for t in terms if len(_whose(t)) != 1)
    known = roles(margin) <= {CHOSEN, REJECTED} and not margin.has(Sorted)
    trained = chosen.has(POLICY) and rejected.has(POLICY)
    # exp(a) + exp(b), as in the logarithm of a sum, is no difference of rewards.
    added = any(is_nonnegative(s * chosen) and is_nonnegative(s * rejected) for s in (1, -1))
    return (chosen, -rejected) if free and known and trained and not added else None


def _is_their_difference(margin: Expr | None) -> bool:
    """Whether a margin is r_w - r_l, less nothing of neither response."""
    if margin is None or _sides(margin) is None:
        return False
    return all(map(_whose, Add.make_args(_expanded(margin))))


def _expanded(expr: Expr) -> Expr:
    """`expr` as a sum; as it stands where that has too many terms."""
    with suppress(TooLarge):
        return expand(expr)
    return expr


def _whose(term: Expr) -> set[Expr]:
    """The responses whose tokens a term sums; where it sums none, those that it speaks of."""
    summed = {total.args[2] for total in term.atoms(TokenSum, TokenProd)}
    return summed or set(roles(term))


def _inside(expr: Expr, read: Callable[[Expr], Any]) -> Iterator[Any]:
    """What `read` finds in the largest parts that a function in `expr` is taken of, and where it
    finds something."""
    for arg in expr.args if not isinstance(expr, (Binder, StopGradient)) else ():
        whole = isinstance(expr, (Node, Pow)) and not isinstance(arg, Symbol)
        found = read(arg) if whole else None
        if found is not None:
            yield found
        elif roles(arg):
            yield from _inside(arg, read)


def _oriented(sides: Rewards) -> Rewards:
    """The sides of m, where those of -m may stand."""
    kept = _signed(sides[0]) == sides[0]
    return sides if kept else (-sides[0], -sides[1])


def _signed(reward: Expr) -> Expr:
    """A reward, or less it: what grows with the policy's probability of the response."""
    first = min(
        (t for t in Add.make_args(reward) if t.has(POLICY)),
        key=lambda t: (not any(isinstance(f, TokenSum) for f in Mul.make_args(t)), str(t)),
    )
    return -reward if first.as_coeff_Mul()[0] < 0 else reward


def entries(printer: Printer, lowered: Lowered, policies: tuple[str, ...]) -> list[tuple[str, Code]]:
    """(key, its value for each pair), under the names that trainers log."""
    found: list[tuple[str, Code]] = []
    if (rewards := implicit_rewards(lowered)) is not None:
        names = [
            printer.bind(("reward", side), f"{side}_reward", printer(reward, "pair"))
            for side, reward in zip(("chosen", "rejected"), rewards, strict=True)
        ]
        found = [(f"rewards/{side}", name) for side, name in zip(("chosen", "rejected"), names, strict=True)]
        margin, greater = quote("{} - {}", *names), quote("{} > {}", *names)
        if _is_their_difference(lowered.margin):  # which keeps digits that both rewards may lose
            margin = Name(printer.locals[MARGIN])
            greater = quote("{} > 0", margin)
        found += [
            ("rewards/margins", margin),
            ("rewards/accuracies", quote("({}).to({}.dtype)", greater, printer.locals["loss"])),
        ]
    t = Index("t", position=True)
    for policy in policies:
        logp = Log(TokenProb(Symbol(policy), RESPONSE, t))
        known = {("token", Symbol(policy)), ("logps", logps_argument(policy)), logp}
        if known.isdisjoint(printer.locals):
            continue
        short = policy_argument(policy).removesuffix("_logits")
        head = "logps" if policy == "pi" else f"{short}_logps"
        for role in printer.roles:
            side = _side(role)
            summed = printer(TokenSum(logp, t, RESPONSE).xreplace({RESPONSE: role}), "pair")
            found.append((f"{head}/{side}", summed))
    for key, local in list(printer.locals.items()):
        named = isinstance(key, tuple) and key[0] in ("kl", "entropy")
        if named or isinstance(key, (Divergence, Entropy)):
            kind, *policies_ = key if named else (type(key).__name__, *key.args[:-2])
            kind = {"Divergence": "kl", "Entropy": "entropy"}.get(kind, kind)
            shorts = [policy_argument(p).removesuffix("_logits") for p in policies_]
            value = quote("_of_tokens({}, {}, reduction, {})", local, printer.mask, len(printer.roles))
            found.append((f"{kind}/{'_'.join(shorts)}", value))
    return found


def observed(printer: Printer, logged: str) -> tuple[tuple[str, ...], list[Statement]]:
    """The keys of what is logged of the trained policy's logits, whatever the loss, and the lines
    that add it to `logged`."""
    sides = tuple(map(_side, printer.roles))
    printer.lines, before = [], printer.lines
    found, layout = printer.observed()
    row = Row("()", tuple(map(Constant, sides)))
    value = quote("_of_observed({}, {}, {}, reduction, {})", found, layout, printer.mask, row)
    lines = [*printer.lines, Assign(Name(logged), value, "|=")]
    printer.lines = before
    return ("entropy", *(f"logits/{side}" for side in sides), "mean_token_accuracy"), lines


def _side(role: Symbol) -> str:
    """What trainers call a response."""
    return {CHOSEN: "chosen", REJECTED: "rejected"}.get(role, str(role))
