"""Canonical form -> a form that keeps its digits: everything in log-probabilities, sums gathered.

The lowered loss is reached by a derivation of its own, so the checker that replays recoveries
replays this too: the kernel computes what the spec says because each step is an identity. Where no
derivation reaches such a form, the loss is computed as it is written, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sympy import Expr, Mul, Pow, Rational, S

from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.errors import NotYet, NoValue, TooLarge
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.language.nodes import (
    MARGIN,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Log,
    LogSigmoid,
    Max,
    Min,
    Parameter,
    Sigmoid,
    Sqrt,
    Step,
    StopGradient,
    TokenProb,
    VocabSum,
    structural,
)
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import logistic_form, loss_of_margin, recovered_margin, stated_sides
from midpo.symbolic.rewriting.derivation import Derivation, Instance
from midpo.symbolic.rewriting.rule import Rule
from midpo.symbolic.rewriting.rules import RULES, phase
from midpo.symbolic.work import allowance

from .cancellation import tanhs_beside_one
from .excess import beside_one, counted_from_one
from .exponentials import is_exponential, logarithm
from .limits import limits_left
from .log_sums import is_unbounded, tilt
from .stable import collected, distributed, gather, logistic_shares, mirrored, reflect, shares, weigh

AS_WRITTEN = (
    "the loss is computed as it is written: no form that keeps its digits was found, so "
    "large logits or long responses may cost digits"
)

LIMIT = (
    "digits are lost where {0} is near {1}, some three at a distance of 1e-3: what is divided by {2} "
    "goes to 0 there too"
)

_COUNTED = """its term does not depend on the index, so that it counts the vocabulary
  expected: a term with that index, as pi(y, t, v); or the size as a parameter, [parameters]
  size = "positive", times the term in place of the sum"""

MAX_ROUNDS = 60


def _plain_logs(node: Exp) -> Any:
    """As the rule finds them, but for logarithms of exponentials, which are exponents already, and of
    entropies."""
    parts = _EXP_LOG.find(node)
    if parts is None:
        return None
    powers, _ = parts
    return None if any(is_exponential(x) or x.has(Exp, Entropy) for x, _ in powers) else parts


_EXP_LOG = RULES["exp_log"]
# What stands outside a logarithm becomes an exponential; reflections would cost digits.
_EXPONENTIALS = (
    *(
        RULES[name]
        for name in ("probability_exp", "token_product_exp", "power_exp", "exp_product", "exp_zero")
    ),
    RULES["stop_gradient_exp"],
    replace(_EXP_LOG, find=_plain_logs),
)
_SETTLED = (*phase("log", "token"), RULES["log_extremum"], RULES["step_log"], *_EXPONENTIALS)
_LINEAR = (RULES["token_sum_linear"],)


def _of_lengths(name: str) -> Rule:
    """A rule of steps, for cuts that speak of lengths and positions alone."""
    rule = RULES[name]

    def find(node: Step) -> Any:
        spoken = node.has(TokenProb, VocabSum, Divergence, Entropy, Feature, Parameter)
        return None if spoken else rule.find(node)

    return replace(rule, find=find)


# A cut of whole numbers in whole numbers: no rounding tells where it is 0.
_CUTS = (_EXP_LOG, *map(_of_lengths, ("step_sign", "step_constant", "step_thresholds")), RULES["step_whole"])
# The way a loss is computed as written: the probability of a response is no atom of a kernel.
_WRITTEN = tuple(RULES[name] for name in ("chain_rule", "probability_exp"))


@dataclass(frozen=True)
class Lowered:
    """The loss of one pair, ready to print.

    `margin` is the lowered margin (None where the loss has none) and `loss` the lowered loss, in m
    where there is a margin. `sides` are the implicit rewards as the spec's margin has them, where
    each of its terms speaks of one response alone: a constant that cancels between the two is part
    of either. `derivations` lead from what the spec says to these, one each; `notes` say what
    was not done.
    """

    margin: Expr | None
    loss: Expr
    derivations: tuple[Derivation, ...]
    notes: tuple[str, ...] = ()
    sides: tuple[Expr, Expr] | None = None


def lower(spec: Spec, *, as_written: bool = False) -> Lowered:
    """Lower the loss of `spec`: its target's, its prior's where it has no target, or its batch's.

    Stopped gradients stay where they are: they have a value but no gradient. With `as_written`, or
    where the stable form would exceed its bounds, nothing is rewritten but the probabilities of
    responses, and a note says so.
    Raises: NotYet where a part of the loss has no value anywhere, or is the vocabulary's size.
    """
    margin, loss = _margin_and_loss(spec)
    found = None
    if not as_written:
        with suppress(TooLarge, NoValue, RecursionError), allowance(*spec.expressions):
            found = _lowered(margin, loss, stable)
    try:
        found = found or replace(_lowered(margin, loss, written), notes=(AS_WRITTEN,))
    except NoValue as error:
        raise NotYet(f"no kernel for {spec.name}: {error}") from None
    for expr in filter(None, (found.margin, found.loss)):
        for total in sorted(expr.atoms(VocabSum), key=text):
            if total.args[1] not in total.args[0].free_symbols:
                raise NotYet(f"no kernel for {text(total)}: {_COUNTED}")
    return replace(found, notes=(*found.notes, *_limits(found)))


def _limits(found: Lowered) -> Iterator[str]:
    """What is lost near limits that the form does not keep."""

    def settled(expr: Expr) -> Expr:
        with suppress(TooLarge, NoValue, RecursionError):
            return normal_form(stable(expr).end)
        return expr

    for pole in limits_left(found.margin, found.loss, settled):
        yield LIMIT.format(pole.parameter.name, pole.at, text(pole.factor))


def _lowered(margin: Expr | None, loss: Expr, form: Callable[[Expr], Derivation]) -> Lowered:
    chains, sides = [], None
    if margin is not None:
        stated = stated_sides(margin)
        if stated is not None:
            sides = form(stated[0]).end, form(stated[1]).end
        chain = form(margin)
        margin = chain.end
        chains.append(chain)
    chain = form(loss)
    chains.append(chain)
    return Lowered(margin, chain.end, tuple(chains), sides=sides)


def _margin_and_loss(spec: Spec) -> tuple[Expr | None, Expr]:
    """The margin as the spec states it, and the loss as a function of m; no margin where the
    target's loss is not written as a function of one."""
    stated = spec.loss if spec.batch is None else spec.batch
    if stated is None:
        margin = spec.margin if spec.margin is not None else recovered_margin(spec)
        return margin, loss_of_margin(spec, MARGIN)
    form = logistic_form(stated)
    if form is None:
        return None, stated
    return form.margin, -form.factor * LogSigmoid(MARGIN) + form.constant


def written(expr: Expr) -> Derivation:
    """A derivation from `expr` to what a kernel can print, and no further."""
    chain = Derivation(expr)
    chain.apply(_WRITTEN)
    return chain


def stable(expr: Expr) -> Derivation:
    """A derivation from `expr` to its stable form.

    Raises: TooLarge where it would exceed its bounds.
    """
    chain = Derivation(expr)
    chain.apply(_CUTS)
    if found := tanhs_beside_one(chain.end):
        chain.replace("tanh_sigmoid", found)
        chain.arithmetic(distributed(chain.end))
    chain = _entropies_as_exponentials(chain)
    chain = _tokens_as_exponentials(chain)
    _settle(chain)
    chain = _totals_as_exponentials(chain)
    _settle(chain)
    chain = _powers_as_exponentials(chain)
    _inward(chain)
    if found := logistic_shares(chain.end):
        chain.replace("logistic_share", found)
        chain.arithmetic(distributed(chain.end))
    if found := mirrored(chain.end):
        chain.replace("logsigmoid_reflection", found)
        chain.arithmetic(distributed(chain.end))
    if wanted := shares(chain.end):
        chain.replace("log_sum_share", wanted)
        _settle(chain)
    chain = _by_linearity(chain, gather(chain.end))
    chain = _by_reflection(chain, *reflect(chain.end))
    chain.arithmetic(weigh(chain.end))
    chain.arithmetic(collected(chain.end))
    beside = _beside_exponentials(chain.end)
    if beside:
        chain = _as_exponentials(chain, {x: Exp(Log(x)) for x in beside})
        chain.apply((RULES["log_sigmoid"], RULES["log_extremum"], RULES["log_exp"], RULES["exp_product"]))
    return _from_one(chain)


def _from_one(chain: Derivation) -> Derivation:
    """The chain to sums over the vocabulary that are counted from 1 where a 1 is taken from them."""
    counted = counted_from_one(chain.end)
    if counted == chain.end:
        return chain
    back = Derivation(counted)
    back.apply((RULES["vocab_excess"],))
    there = Derivation(chain.end)
    for one in (there, back):
        one.apply((RULES["sqrt_power"],))
        one.arithmetic(distributed(one.end))
        one.apply((_EXP_LOG,))
        for _ in range(2):
            one.arithmetic(distributed(one.end))
            one.apply((*_LINEAR, RULES["vocab_sum_linear"]))
        one.arithmetic(distributed(one.end))
    if not equal_in_field(there.end, back.end):
        return chain
    back.arithmetic(there.end)
    return Derivation(chain.start, [*chain.steps, *there.steps]).joined(back)


def _by_linearity(chain: Derivation, gathered: Expr) -> Derivation:
    """The chain to `gathered`, which has the same token sums, taken together."""
    back = Derivation(gathered)
    back.arithmetic(distributed(gathered))
    back.apply(_LINEAR)
    back.arithmetic(distributed(back.end))
    back.apply((RULES["exp_product"],))
    back.arithmetic(chain.end)
    return chain.joined(back)


def _by_reflection(chain: Derivation, reflected: Expr, found: list[Expr]) -> Derivation:
    """The chain to `reflected`, where some sigmoid(x) stand as 1 - sigmoid(-x): on both sides all
    of these are brought to one of the two."""
    if not found:
        return chain
    instances: list[Instance] = []
    for x in found:  # innermost first, as they are replaced
        inner = Derivation(x)
        inner.replace("sigmoid_reflection", instances)
        instances.append(Instance(Sigmoid(-inner.end), 1 - Sigmoid(inner.end), (inner.end,)))
    back = Derivation(reflected)
    back.replace("sigmoid_reflection", instances)
    chain.replace("sigmoid_reflection", instances)
    back.arithmetic(chain.end)
    return chain.joined(back)


def _settle(chain: Derivation) -> None:
    """Use the rules and arithmetic in turn until neither changes the derivation's end.

    Raises: TooLarge where that takes too many rounds.
    """
    for _ in range(MAX_ROUNDS):
        changed = chain.apply(_SETTLED)
        before = chain.end
        chain.arithmetic(distributed(before))
        if not changed and chain.end == before:
            return
    raise TooLarge(f"nothing settled after {MAX_ROUNDS} rounds")


def _tokens_as_exponentials(chain: Derivation) -> Derivation:
    """pi(y, t) as exp(log(pi(y, t))), so that ratios and powers are exponentials of differences."""
    return _as_exponentials(chain, {p: Exp(Log(p)) for p in chain.end.atoms(TokenProb)})


def _entropies_as_exponentials(chain: Derivation) -> Derivation:
    """An entropy as exp of its logarithm where it stands in one or in a divisor: nearly certain
    policies have entropies that round to 0."""
    within = [log.args[0] for log in chain.end.atoms(Log)]
    within += [power.base for power in chain.end.atoms(Pow) if power.exp.is_negative]
    inside = {h for expr in within for h in expr.atoms(Entropy)}
    back = Derivation(_replaced(chain.end, {h: Exp(Log(h)) for h in inside}))
    back.replace(
        "exp_log_entropy", [Instance(Exp(Log(h)), h, tuple(h.args)) for h in sorted(inside, key=structural)]
    )
    return chain.joined(back) if back.end == chain.end else chain


def _totals_as_exponentials(chain: Derivation) -> Derivation:
    """S as exp(log(S)) where S is a sum over the vocabulary that needs a maximum of its own and has
    no bound, or stands in a logarithm, a quotient, a root, or a product with what may be as far
    out."""
    products = [p for p in chain.end.atoms(Mul) if sum(map(is_exponential, p.args)) > 1]
    inside = {
        total
        for node in (*chain.end.atoms(Log, Pow, Sqrt), *products)
        for total in node.atoms(VocabSum)
        if tilt(total) is not None
    }
    inside |= {total for total in chain.end.atoms(VocabSum) if is_unbounded(total)}
    inside -= beside_one(chain.end)
    return _as_exponentials(chain, {total: Exp(Log(total)) for total in inside})


def _as_exponentials(chain: Derivation, table: dict[Expr, Expr]) -> Derivation:
    """The chain with each x**k of the table, x > 0, as exp(k*log(x)), whatever it stands in."""
    back = Derivation(_replaced(chain.end, table))
    back.replace(
        "exp_log",
        [
            Instance(new, old, (((base, exponent),), S.Zero))
            for old, new in sorted(table.items(), key=lambda row: structural(row[0]))
            for base, exponent in [_base_and_exponent(old)]
        ],
    )
    return chain.joined(back) if back.end == chain.end else chain


def _base_and_exponent(expr: Expr) -> tuple[Expr, Expr]:
    return expr.args if isinstance(expr, Pow) else (expr, S.One)


def _replaced(expr: Expr, table: dict[Expr, Expr]) -> Expr:
    """`expr` with each of `table` replaced once, the arguments of a replaced one left alone."""
    if expr in table:
        return table[expr]
    if not expr.args or isinstance(expr, VocabSum):
        return expr
    return rebuild(expr, [_replaced(arg, table) for arg in expr.args])


def _powers_as_exponentials(chain: Derivation) -> Derivation:
    """S**k as exp(k*log(S)) where S is a sum of exponentials and k no 1: quotients of such sums are
    exponentials of differences."""
    for _ in range(MAX_ROUNDS):
        roots = [
            n
            for n in chain.end.atoms(Sqrt)
            if _outside_vocabulary(chain.end, n) and (isinstance(n.args[0], Exp) or _has_logarithm(n.args[0]))
        ]
        if roots:
            chain.replace(
                "sqrt_power",
                [
                    Instance(n, RULES["sqrt_power"].right(*n.args), n.args)
                    for n in sorted(roots, key=structural)
                ],
            )
        powers = [
            n
            for n in chain.end.atoms(Pow)
            if isinstance(n.exp, Rational) and _outside_vocabulary(chain.end, n) and _has_logarithm(n.base)
        ]
        if not powers and not roots:
            return chain
        before = chain.end
        chain = _as_exponentials(chain, {n: Exp(n.exp * Log(n.base)) for n in powers})
        if powers and chain.end == before:
            return chain
        _settle(chain)
    raise TooLarge(f"nothing settled after {MAX_ROUNDS} rounds")


def _inward(chain: Derivation) -> None:
    """Let maxima, absolute values and powers of sums take in the exponential they are divided by, and
    logarithms of such take the largest out: quotients of probabilities are functions of differences
    of their logarithms."""
    rules = tuple(RULES[name] for name in ("log_size", "exp_inward", "exp_share", "exp_largest_share"))
    for _ in range(MAX_ROUNDS):
        if not chain.apply(rules):
            return
        _settle(chain)
    raise TooLarge(f"nothing settled after {MAX_ROUNDS} rounds")


def _has_logarithm(expr: Expr) -> bool:
    """Whether `expr` is a positive sum, maximum or total of exponentials."""
    return not isinstance(expr, Exp) and is_exponential(expr) and logarithm(expr) is not None


def _outside_vocabulary(expr: Expr, node: Expr) -> bool:
    """Whether `node` stands outside all sums over the vocabulary, which are statistics."""
    return not any(total.has(node) for total in expr.atoms(VocabSum))


def _beside_exponentials(expr: Expr) -> list[Expr]:
    """The sigmoids, maxima, minima and stopped parts that multiply an exponential: where it
    overflows they are 0, and only the product has a value."""
    found = {
        factor
        for product in expr.atoms(Mul)
        if any(isinstance(f, Exp) for f in product.args)
        for factor in product.args
        if isinstance(factor, (Sigmoid, Max, Min, StopGradient)) and logarithm(factor) is not None
    }
    return sorted(found, key=structural)
