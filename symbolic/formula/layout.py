"""An expression too wide for one line, written over several.

It may be written otherwise than on one: a fraction as a factor 1/b before brackets, an exponent after
an arrow. That takes the expression, whose factors and exponents these are. `breaking` has a formula
alone, and changes no sign of it.

Breaks at the + and - that stand outermost. A term too wide for a line of its own is opened: its
last bracket (a sum's body, a function's argument, a sum between brackets) goes over several lines,
set in by one step. What cannot be opened is left as it is, however wide.
"""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Add, Expr, Mul, Number, Pow

from midpo.symbolic.language.nodes import ByLabel, Log, Sorted, Sqrt, TokenProd, TokenSum, VocabSum
from midpo.symbolic.language.text import split_fraction

from .signs import Kind
from .tree import (
    EMPTY,
    Bracket,
    Cases,
    Formula,
    Fraction,
    Infix,
    Sign,
    Text,
    between,
    nodes,
    number,
    row,
    script,
)
from .width import width as measure
from .write import call_of, inline, operator, responded, separator, signed_terms, write

INDENT = r"\quad "
_NARROWEST = 20.0  # below this, breaking makes a formula worse
_TIMES = Infix(Sign(r"\times "))


def lines(expr: Expr, width: float) -> list[Formula]:
    """`expr` as lines of at most about `width` digits' width."""
    flat = write(expr)
    if measure(flat) <= width or width < _NARROWEST:
        return [flat]
    opened = _opened(expr, width)
    return opened if len(opened) > 1 else [flat]


def _opened(expr: Expr, width: float) -> list[Formula]:
    if isinstance(expr, Add):
        return _fill(expr, width)
    if isinstance(expr, Mul) and expr.as_coeff_Mul()[0] < 0:
        return _prefixed(row("-"), lines(-expr, width - 2))
    if isinstance(expr, Mul):
        return _opened_product(expr, width)
    if isinstance(expr, Pow):
        below = expr.exp.is_Number and expr.exp < 0
        return _opened_product(expr, width) if below else _power(expr, width)
    if isinstance(expr, (TokenSum, TokenProd, VocabSum)):
        return _factor(operator(expr), expr.args[0], width)
    if isinstance(expr, ByLabel):
        return _by_label(expr, width)
    return _function(expr, width)


def _fill(expr: Add, width: float) -> list[Formula]:
    """Terms one after the other, as many to a line as fit; an opened term has its lines alone."""
    done: list[Formula] = []
    current, fillable = EMPTY, True
    for sign, term in signed_terms(expr):
        opening = not done and current == EMPTY
        lead = row(*("-" * (sign == "-"))) if opening else Infix(Sign(f"{sign} "))
        flat = between("(", write(term), ")") if isinstance(term, Add) else write(term)
        joined = row(lead, flat) if current == EMPTY else row(current, f" {sign} ", flat)
        if fillable and measure(joined) <= width:
            current = joined
            continue
        done += [current] if current != EMPTY else []
        lead = Infix(Sign(f"{sign} ")) if done else lead
        *before, current = _prefixed(lead, _term(term, width - 4))
        done += before
        fillable = not before
    return [*done, current]


def _term(term: Expr, width: float) -> list[Formula]:
    return _bracketed(EMPTY, term, EMPTY, width) if isinstance(term, Add) else lines(term, width)


def _prefixed(lead: Formula, body: list[Formula]) -> list[Formula]:
    return [row(lead, body[0]), *body[1:]]


def _bracketed(
    head: Formula, body: Expr, tail: Formula, width: float, power: Formula | None = None
) -> list[Formula]:
    """head ( body )^power tail, the body over as many lines as it needs."""
    inside = lines(body, width - 4 - (measure(head) if measure(head) < width / 3 else 0))
    return _enclosed(head, "(", inside, ")", tail, power)


def _enclosed(
    head: Formula,
    left: str,
    inside: list[Formula],
    right: str,
    tail: Formula = EMPTY,
    power: Formula | None = None,
) -> list[Formula]:
    """head ( the lines inside )^power tail, the lines but the first set in."""
    size = "bigg" if any(map(_tall, inside)) else "Big"  # one for both, on different lines
    opened = row(head, Bracket(left, size, True), inside[0])
    whole = [opened, *(row(INDENT, line) for line in inside[1:])]
    closing: Formula = Bracket(right, size, False)
    closing = closing if power is None else script(closing, above=power)
    return [*whole[:-1], row(whole[-1], closing, tail)]


def _tall(line: Formula) -> bool:
    return any(
        isinstance(node, Cases)
        or (isinstance(node, Fraction) and not node.small)
        or (isinstance(node, Sign) and node.glyph.kind is Kind.LARGE)
        for node in nodes(line)
    )


def _opened_product(expr: Expr, width: float) -> list[Formula]:
    """A product: the widest factor is opened, a long denominator goes into brackets."""
    above, below = split_fraction(expr)
    if below:
        return _opened_fraction(Mul(*above), Mul(*below), width)
    done: list[Formula] = []
    current = EMPTY
    before: Expr | None = None
    for factor in above:
        part = write(factor)
        reaching = isinstance(factor, (Log, TokenSum, TokenProd, VocabSum))
        if isinstance(factor, (Add, ByLabel)) or (reaching and factor is not above[-1]):
            part = between("(", part, ")")
        joined = row(current, separator(before, part), part) if before is not None else part
        before = factor
        if measure(joined) <= width:
            current = joined
            continue
        if measure(part) <= width - 6:
            done, current = [*done, current] if current != EMPTY else done, row(_TIMES, part)
            continue
        opened = _factor(current, factor, width)
        done += opened[:-1]
        current = opened[-1]
    return [*done, current]


def _factor(current: Formula, factor: Expr, width: float) -> list[Formula]:
    """A factor over several lines, after what its line already holds."""
    if measure(current) > width / 3:
        return [current, *_factor(_TIMES, factor, width)]
    room = width - measure(current) - 1
    if isinstance(factor, (Add, ByLabel)):
        return _bracketed(current, factor, EMPTY, width)
    return _prefixed(row(current, " ") if current != EMPTY else EMPTY, lines(factor, room))


def _opened_fraction(top: Expr, bottom: Expr, width: float) -> list[Formula]:
    """top / bottom as (1 / bottom) (top), or as top (bottom)^-1 where the bottom is long."""
    under = Fraction(number(1), inline(bottom))
    if measure(under) <= width / 3:
        return _factor(under, top, width)
    below = _bracketed(EMPTY, bottom, EMPTY, width, number(-1))
    if top == 1:
        return below
    above = _factor(EMPTY, top, width)
    return [*above, row(_TIMES, below[0]), *below[1:]]


def _power(expr: Pow, width: float) -> list[Formula]:
    """A base over several lines; an exponent too long to be raised follows an arrow."""
    exponent = inline(expr.exp)
    if measure(exponent) <= width / 2:
        return _bracketed(EMPTY, expr.base, EMPTY, width, exponent)
    base = write(expr.base)
    if measure(base) > width / 3:
        *before, last = _bracketed(EMPTY, expr.base, EMPTY, width)
        return [*before, last, *_bracketed(row(r"\uparrow "), expr.exp, EMPTY, width)]
    wrap = isinstance(expr.base, (Add, Mul, Pow)) or (
        isinstance(expr.base, Number) and not expr.base.is_Integer
    )
    base = between("(", base, ")") if wrap else base
    return _bracketed(row(base, r" \uparrow "), expr.exp, EMPTY, width)


def _by_label(expr: ByLabel, width: float) -> list[Formula]:
    """The two cases one after the other, each with its condition."""
    found: list[Formula] = []
    for case, held, stop in zip(expr.args, responded(), (",", ""), strict=True):
        tail = row(r"\quad", Text("if "), " ", held, *stop)
        found += _bracketed(EMPTY, case, tail, width - 8)
    return found


def _function(expr: Expr, width: float) -> list[Formula]:
    """A function of the vocabulary, its brackets opened; an atom as it is."""
    if isinstance(expr, Sqrt):
        return _bracketed(EMPTY, expr.args[0], EMPTY, width, row(1, "/", 2))
    form = call_of(expr)
    if form is None or isinstance(expr, Sorted):
        return [write(expr)]
    head = row(form.head, Bracket(form.left, "left", True), form.lead)
    inside = _arguments(expr.args, width - measure(head))
    inside[0] = row(form.lead, inside[0])
    inside[-1] = row(inside[-1], form.tail)
    return _enclosed(form.head, form.left, inside, form.right)


def _arguments(args: Iterable[Expr], width: float) -> list[Formula]:
    done: list[Formula] = []
    for arg in args:
        if done:
            done[-1] = row(done[-1], ",")
        done += lines(arg, width - 2)
    return done
