"""A formula too wide for one line, broken into several.

Breaks at the + and - that stand outermost. A term too wide for a line of its own is opened: its
last bracket (a sum's body, a function's argument, a sum between brackets) goes over several lines,
set in by one step. What cannot be opened is left as it is, however wide.
"""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Add, Expr, Mul, Number, Pow

from midpo.symbolic.language.nodes import ByLabel, Feature, Log, Sqrt, TokenProd, TokenSum, VocabSum
from midpo.symbolic.language.text import split_fraction
from midpo.symbolic.language.words import BY_NODE

from .glyphs import width as measure
from .latex import inline, latex, operator, separator, signed_terms

INDENT = r"\quad "
_NARROWEST = 20.0  # below this, breaking makes a formula worse
_TALL = (r"\sum", r"\prod", r"\frac", "cases")


def lines(expr: Expr, width: float) -> list[str]:
    """`expr` as lines of at most about `width` digits' width."""
    flat = latex(expr)
    if measure(flat) <= width or width < _NARROWEST:
        return [flat]
    opened = _opened(expr, width)
    return opened if len(opened) > 1 else [flat]


def _opened(expr: Expr, width: float) -> list[str]:
    if isinstance(expr, Add):
        return _fill(expr, width)
    if isinstance(expr, Mul) and expr.as_coeff_Mul()[0] < 0:
        return _prefixed("-", lines(-expr, width - 2))
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


def _fill(expr: Add, width: float) -> list[str]:
    """Terms one after the other, as many to a line as fit; an opened term has its lines alone."""
    done: list[str] = []
    current, fillable = "", True
    for sign, term in signed_terms(expr):
        lead = ("-" if sign == "-" else "") if not done and not current else f"{{}}{sign} "
        flat = latex(term) if not isinstance(term, Add) else rf"\left({latex(term)}\right)"
        joined = f"{current} {sign} {flat}" if current else lead + flat
        if fillable and measure(joined) <= width:
            current = joined
            continue
        done += [current] if current else []
        lead = f"{{}}{sign} " if done else lead
        *before, current = _prefixed(lead, _term(term, width - 4))
        done += before
        fillable = not before
    return [*done, current]


def _term(term: Expr, width: float) -> list[str]:
    return _bracketed("", term, "", width) if isinstance(term, Add) else lines(term, width)


def _prefixed(lead: str, body: list[str]) -> list[str]:
    return [lead + body[0], *body[1:]]


def _bracketed(head: str, body: Expr, tail: str, width: float) -> list[str]:
    """head ( body ) tail, the body over as many lines as it needs."""
    inside = lines(body, width - 4 - (measure(head) if measure(head) < width / 3 else 0))
    first, *rest = inside
    size = _size(inside)
    whole = [rf"{head}\{size}l({first}", *(INDENT + line for line in rest)]
    return [*whole[:-1], rf"{whole[-1]}\{size}r){tail}"]


def _size(inside: Iterable[str]) -> str:
    """The size of brackets, the same for both, which stand on different lines."""
    return "bigg" if any(sign in line for line in inside for sign in _TALL) else "Big"


def _opened_product(expr: Expr, width: float) -> list[str]:
    """A product: the widest factor is opened, a long denominator goes into brackets."""
    above, below = split_fraction(expr)
    if below:
        return _opened_fraction(Mul(*above), Mul(*below), width)
    done: list[str] = []
    current = ""
    before: Expr | None = None
    for factor in above:
        part = latex(factor)
        reaching = isinstance(factor, (Log, TokenSum, TokenProd, VocabSum))
        if isinstance(factor, (Add, ByLabel)) or (reaching and factor is not above[-1]):
            part = rf"\left({part}\right)"
        joined = current + separator(before, part) + part if before is not None else part
        before = factor
        if measure(joined) <= width:
            current = joined
            continue
        if measure(part) <= width - 6:
            done, current = [*done, current] if current else done, r"{}\times " + part
            continue
        opened = _factor(current, factor, width)
        done += opened[:-1]
        current = opened[-1]
    return _prefixed("", [*done, current])


def _factor(current: str, factor: Expr, width: float) -> list[str]:
    """A factor over several lines, after what its line already holds."""
    if measure(current) > width / 3:
        return [current, *_factor(r"{}\times ", factor, width)]
    room = width - measure(current) - 1
    if isinstance(factor, (Add, ByLabel)):
        return _bracketed(current, factor, "", width)
    return _prefixed(current + " " if current else "", lines(factor, room))


def _opened_fraction(top: Expr, bottom: Expr, width: float) -> list[str]:
    """top / bottom as (1 / bottom) (top), or as top (bottom)^-1 where the bottom is long."""
    under = rf"\frac{{1}}{{{inline(bottom)}}}"
    if measure(under) <= width / 3:
        return _factor(under, top, width)
    below = _bracketed("", bottom, "^{-1}", width)
    if top == 1:
        return below
    above = _factor("", top, width)
    return [*above, r"{}\times " + below[0], *below[1:]]


def _power(expr: Pow, width: float) -> list[str]:
    """A base over several lines; an exponent too long to be raised follows an arrow."""
    exponent = inline(expr.exp)
    if measure(exponent) <= width / 2:
        return _bracketed("", expr.base, f"^{{{exponent}}}", width)
    base = latex(expr.base)
    if measure(base) > width / 3:
        *before, last = _bracketed("", expr.base, "", width)
        return [*before, last, *_bracketed(r"\uparrow ", expr.exp, "", width)]
    wrap = isinstance(expr.base, (Add, Mul, Pow)) or (
        isinstance(expr.base, Number) and not expr.base.is_Integer
    )
    base = rf"\left({base}\right)" if wrap else base
    return _bracketed(rf"{base} \uparrow ", expr.exp, "", width)


def _by_label(expr: ByLabel, width: float) -> list[str]:
    """The two cases one after the other, each with its condition."""
    chosen, rejected = expr.args
    return [
        *_bracketed("", chosen, r"\quad\text{if } y = y_w,", width - 8),
        *_bracketed("", rejected, r"\quad\text{if } y = y_l", width - 8),
    ]


def _function(expr: Expr, width: float) -> list[str]:
    """A function of the vocabulary, its brackets opened; an atom as it is."""
    if type(expr) not in BY_NODE or isinstance(expr, Feature):
        return [latex(expr)]
    if isinstance(expr, Sqrt):
        return _bracketed("", expr.args[0], "^{1/2}", width)
    template = r"\log\left({0}\right)" if isinstance(expr, Log) else BY_NODE[type(expr)].latex
    head, tail = template.split("{0}")
    head, tail = (part.replace("{{", "{").replace("}}", "}") for part in (head, tail))
    inside = _arguments(expr.args, width - measure(head))
    size = _size(inside)
    head, tail = (_sized(part, size) for part in (head, tail))
    whole = [head + inside[0], *(INDENT + line for line in inside[1:])]
    return [*whole[:-1], whole[-1] + tail]


def _sized(part: str, size: str) -> str:
    return part.replace(r"\left", rf"\{size}l").replace(r"\right", rf"\{size}r")


def _arguments(args: Iterable[Expr], width: float) -> list[str]:
    done: list[str] = []
    for arg in args:
        if done:
            done[-1] += ","
        done += lines(arg, width - 2)
    return done
