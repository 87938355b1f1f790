"""The lines that compute the loss of each pair."""

from __future__ import annotations

from sympy import Add, Expr, Mul, S

from midpo.codegen.plan.cancellation import completed
from midpo.codegen.plan.lower import Lowered
from midpo.codegen.statements.nodes import PRODUCT, UNARY, Code, Name, Pair, Statement
from midpo.codegen.statements.quote import quote
from midpo.symbolic.language.nodes import CHOSEN, MARGIN, REJECTED, RESPONSE, Exp, Further, Sorted
from midpo.symbolic.loss import is_constant

from .printer import Printer
from .writing import added


def body_of(printer: Printer, lowered: Lowered) -> list[Statement]:
    """The lines that compute the loss of each pair."""
    if lowered.margin is not None:
        margin = printer.name("margin")
        printer.assign(margin, _margin(printer, lowered.margin))
        printer.locals[MARGIN] = margin
    value = printer(lowered.loss, "pair")
    if printer.is_scalar(lowered.loss):  # a loss that no logits enter
        value = quote(
            "labels.new_full((labels.shape[0] // {},), {}, dtype={})",
            len(printer.roles),
            value,
            printer.dtype,
        )
    loss = printer.name("loss")
    printer.assign(loss, value)
    printer.locals["loss"] = loss
    return printer.lines


def _margin(printer: Printer, margin: Expr) -> Code:
    """The margin; a label-free one as a difference of rewards, computed for both responses at
    once."""
    chosen = [t for t in Add.make_args(margin) if CHOSEN in t.free_symbols]
    rejected = [t for t in Add.make_args(margin) if REJECTED in t.free_symbols]
    rest = Add(*(t for t in Add.make_args(margin) if t not in chosen and t not in rejected))
    mirrored = -Add(*rejected).xreplace({REJECTED: RESPONSE})
    score = Add(*chosen).xreplace({CHOSEN: RESPONSE})
    mixed = set(chosen) & set(rejected) or margin.has(Further, Sorted)
    if not chosen or mixed or score != mirrored or not is_constant(rest):
        return printer(margin, "pair")
    score, growths = _exponentials(printer, score)
    whole: Code | None = None
    if score != S.Zero:
        reward = printer(score, "row")
        if not isinstance(reward, Name):
            name = printer.name("reward")
            printer.assign(name, printer(score, "row"))
            reward = Name(name)
        names = [printer.name("chosen"), printer.name("rejected")]
        beside = ["*_"] * (len(printer.roles) > 2)
        printer.unpack([*names, *beside], quote("{}.chunk({})", reward, len(printer.roles)))
        whole = quote("{} - {}", *names)
    for scale, growth in growths:

        def factor(scale: Expr, growth: Code = growth) -> Code:
            return growth if scale == 1 else Pair(printer.wrapped(scale, "pair", UNARY), "*", growth)

        whole = added(whole, scale, factor)
    if rest != S.Zero:
        whole = added(whole, rest, lambda rest: printer.wrapped(rest, "pair", PRODUCT))
    assert whole is not None
    return whole


def _exponentials(printer: Printer, score: Expr) -> tuple[Expr, list[tuple[Expr, Code]]]:
    """The score without its terms that are a constant times an exponential, and for each of these
    the constant and the exponential's difference between the two responses: two exponentials beyond
    all numbers still differ."""
    whole = completed(score)
    if whole is not None:
        return whole, []
    kept: list[Expr] = []
    growths: list[tuple[Expr, Code]] = []
    for term in Add.make_args(score):
        grown = [f for f in Mul.make_args(term) if isinstance(f, Exp) and not is_constant(f)]
        if len(grown) != 1 or not is_constant(term / grown[0]):
            kept.append(term)
            continue
        exponent = printer.name("exponent")
        printer.assign(exponent, printer(grown[0].args[0], "row"))
        first, second = (printer.share(role, exponent) for role in (CHOSEN, REJECTED))
        growth = printer.name("growth")
        printer.assign(growth, quote("_exp_difference({}, {})", first, second))
        growths.append((term / grown[0], Name(growth)))
    return Add(*kept), growths
