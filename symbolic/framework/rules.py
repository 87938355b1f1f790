"""FRAMEWORK: the rewrites that derivations of the framework may use besides RULES, one row each.

As in `rules`, a row is a theorem `left = right` under a condition; `left`, `right` and `holds` are
trusted by the checker, and the tests evaluate both sides of every row at random points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Add, Expr, Integer, Mul, Pow, S

from midpo.symbolic.language.building import rename_index
from midpo.symbolic.language.nodes import Exp, Log, LogSigmoid, Parameter, Sigmoid
from midpo.symbolic.rewriting.rule import Parts, Rule
from midpo.symbolic.rewriting.rules import RULES

from .words import (
    RESPONSES,
    Applied,
    Element,
    Gap,
    Mass,
    Mean,
    Partial,
    Relative,
    Same,
    SumOver,
    bound,
    elements,
    space,
)

_NAMES = {"responses": "y", "prompts": "x", "comparisons": "c", "edges": "i"}

Terms = tuple[tuple[Expr, Expr], ...]


def _free_of(expr: Expr, element: Element) -> bool:
    return element not in expr.free_symbols


def _terms(body: Expr, element: Element) -> Terms:
    """The terms of a body as (factor without the element, factor with it)."""
    found: dict[Expr, list[Expr]] = {}
    for term in Add.make_args(body):
        split: tuple[list[Expr], list[Expr]] = ([], [])
        for factor in Mul.make_args(term):
            split[_free_of(factor, element)].append(factor)
        inside, outside = split
        found.setdefault(Mul(*inside), []).append(Mul(*outside))
    return tuple((Add(*outsides), inside) for inside, outsides in found.items())


def _find_linear(node: SumOver) -> Parts | None:
    body, element = node.args
    terms = _terms(body, element)
    return None if len(terms) == 1 and terms[0][0] == 1 else (terms, element)


def standard_element(body: Expr, element: Element) -> Element:
    """The name a sum gives its element: y, y', ..., the first that nothing inside uses."""
    used = (bound(body) | elements(body)) - {element}
    names = (Element(_NAMES[element.space] + "'" * n, element.space) for n in range(100))
    return next(name for name in names if name not in used)


def _find_name(node: Expr) -> Parts | None:
    body, element = node.args
    name = standard_element(body, element)
    return (body, element, name) if name != element else None


def _new_name(body: Expr, old: Element, new: Element) -> bool:
    used = (bound(body) | elements(body)) - {old}
    return new not in used and old not in bound(body) and space(old) == space(new) is not None


def _find_exchange(node: SumOver) -> Parts | None:
    """A sum over something else, whose body is a product with a sum over responses in it."""
    body, outer = node.args
    if outer.space == RESPONSES:
        return None
    for factor in Mul.make_args(body):
        if isinstance(factor, SumOver) and factor.args[1].space == RESPONSES:
            rest = Mul(*(f for f in Mul.make_args(body) if f != factor))
            return (rest, *factor.args, outer)
    return None


def _exchangeable(rest: Expr, body: Expr, inner: Element, outer: Element) -> bool:
    return inner != outer and _free_of(rest, inner)


def _find_same(node: SumOver) -> Parts | None:
    body, element = node.args
    factors = Mul.make_args(body)
    for factor in factors:
        if isinstance(factor, Same) and element in factor.args:
            first, second = factor.args
            other = second if first == element else first
            rest = Mul(*(f for f in factors if f != factor))
            return (factor, rest, element, other)
    return None


def _picks(same: Expr, rest: Expr, element: Element, other: Expr) -> bool:
    return (
        isinstance(same, Same)
        and set(same.args) == {element, other}
        and space(element) == space(other)
        and element not in other.free_symbols
        and not elements(other) & bound(rest)
        and element not in bound(rest)
    )


def _inner(kind: type[Expr]) -> Callable[[Any], Parts | None]:
    """Parts of a derivative whose body is of `kind`: the body's arguments, and the variable."""

    def find(node: Partial) -> Parts | None:
        body, variable = node.args
        return (body.args, variable) if isinstance(body, kind) else None

    return find


def still(body: Expr, variable: Expr) -> bool:
    """Whether `body` does not speak of what is varied: no value of the varied mass is in it."""
    if isinstance(variable, Mass):
        return not any(node.args[0] == variable.args[0] for node in body.atoms(Mass))
    return isinstance(variable, Parameter) and variable not in body.free_symbols


def _find_partial_law(node: Partial) -> Parts | None:
    body, variable = node.args
    if not (isinstance(body, Mass) and isinstance(variable, Mass)):
        return None
    return (body, variable)


def _one_function(body: Expr, variable: Expr) -> bool:
    return (
        isinstance(body, Mass) and isinstance(variable, Mass)
        and body.args[0] == variable.args[0] and len(body.args) == len(variable.args)
    )


def _product_rule(factors: Parts, variable: Expr) -> Expr:
    return Add(*(
        Mul(*factors[:i], Partial(factor, variable), *factors[i + 1 :])
        for i, factor in enumerate(factors)
    ))


def _find_partial_sum(node: Partial) -> Parts | None:
    body, variable = node.args
    if not isinstance(body, SumOver):
        return None
    inside, old = body.args
    new = old  # another name where the variable speaks of an element of this one
    while new in variable.free_symbols or (new != old and not _new_name(inside, old, new)):
        new = Element(new.name + "'", new.space)
    return (inside, old, new, variable)


def _under_the_sum(body: Expr, old: Element, new: Element, variable: Expr) -> bool:
    return new not in variable.free_symbols and (new == old or _new_name(body, old, new))


def _slope(parts: Parts, variable: Expr) -> Expr:
    name, at, order = parts
    return Applied(name, at, order + 1) * Partial(at, variable)


def _unary(node: Any) -> Parts:
    return tuple(node.args)


_ROWS: tuple[Rule, ...] = (
    # -- meaning of words
    Rule("relative_entropy", "meaning", "KL(p || q) = sum over y of p(y)*log(p(y)/q(y))", "",
         "definition of the Kullback-Leibler divergence",
         (Relative,), _unary, lambda p, y, q: Relative(p, y, q),
         lambda p, y, q: SumOver(p * Log(p / q), y)),
    Rule("mean", "meaning", "E_p[f] = sum over y of p(y)*f(y)", "", "definition of the mean",
         (Mean,), _unary, lambda p, y, f: Mean(p, y, f), lambda p, y, f: SumOver(p * f, y)),
    Rule("gap", "meaning", "gap(u) = u - 1 - log(u)", "u > 0", "definition of the gap",
         (Gap,), _unary, lambda u: Gap(u), lambda u: u - 1 - Log(u)),
    # -- sums
    Rule("sum_linear", "sum", "sum of a*e(y) + b*f(y) = a*(sum of e(y)) + b*(sum of f(y))",
         "a, b free of y", "sums are linear",
         (SumOver,), _find_linear,
         lambda terms, y: SumOver(Add(*(c * e for c, e in terms)), y),
         lambda terms, y: Add(*(c * SumOver(e, y) for c, e in terms)),
         lambda terms, y: all(_free_of(c, y) for c, _ in terms)),
    Rule("element_name", "sum", "sum over y' of e(y') = sum over y of e(y)", "y not in e",
         "the name of a bound element does not matter",
         (SumOver,), _find_name, lambda body, old, new: SumOver(body, old),
         lambda body, old, new: SumOver(rename_index(body, old, new), new), _new_name),
    Rule("sum_exchange", "sum",
         "sum over x of c(x)*(sum over y of e(x, y)) = sum over y of sum over x of c(x)*e(x, y)",
         "c free of y", "finite sums may be exchanged",
         (SumOver,), _find_exchange,
         lambda rest, body, inner, outer: SumOver(rest * SumOver(body, inner), outer),
         lambda rest, body, inner, outer: SumOver(SumOver(rest * body, outer), inner),
         _exchangeable),
    Rule("sum_same", "sum", "sum over y' of [y' = y]*e(y') = e(y)", "",
         "only one term of the sum is not zero",
         (SumOver,), _find_same, lambda same, rest, y, other: SumOver(same * rest, y),
         lambda same, rest, y, other: rest.xreplace({y: other}), _picks),
    Rule("same_self", "sum", "[y = y] = 1", "", "an element is itself",
         (Same,), lambda node: node.args[:1] if node.args[0] == node.args[1] else None,
         lambda y: Same(y, y), lambda y: S.One),
    # -- derivatives
    Rule("partial_free", "derivative", "d/dv e = 0", "v does not occur in e",
         "what is varied does not occur",
         (Partial,), lambda node: tuple(node.args) if still(*node.args) else None,
         lambda e, v: Partial(e, v), lambda e, v: S.Zero, still),
    Rule("partial_self", "derivative", "d/dv v = 1", "", "derivative of the variable itself",
         (Partial,), lambda node: node.args[:1] if node.args[0] == node.args[1] else None,
         lambda v: Partial(v, v), lambda v: S.One,
         lambda v: isinstance(v, Parameter)),
    Rule("partial_law", "derivative", "d/dpi(y) pi(y') = [y' = y]", "",
         "the values at different elements vary independently",
         (Partial,), _find_partial_law, lambda body, v: Partial(body, v),
         lambda body, v: Mul(*(Same(a, b) for a, b in zip(body.args[1:], v.args[1:], strict=True))),
         _one_function),
    Rule("partial_sum", "derivative", "d/dv (e + f) = d/dv e + d/dv f", "",
         "derivative of a sum",
         (Partial,), _inner(Add), lambda terms, v: Partial(Add(*terms), v),
         lambda terms, v: Add(*(Partial(term, v) for term in terms))),
    Rule("partial_product", "derivative", "d/dv (e*f) = f*d/dv e + e*d/dv f", "",
         "product rule",
         (Partial,), _inner(Mul), lambda factors, v: Partial(Mul(*factors), v), _product_rule),
    Rule("partial_power", "derivative", "d/dv e**k = k*e**(k - 1)*d/dv e", "k whole",
         "derivative of a power",
         (Partial,), _inner(Pow), lambda parts, v: Partial(Pow(*parts), v),
         lambda parts, v: parts[1] * Pow(parts[0], parts[1] - 1) * Partial(parts[0], v),
         lambda parts, v: len(parts) == 2 and isinstance(parts[1], Integer)),
    Rule("partial_log", "derivative", "d/dv log(e) = (d/dv e)/e", "", "derivative of the logarithm",
         (Partial,), _inner(Log), lambda parts, v: Partial(Log(*parts), v),
         lambda parts, v: Partial(parts[0], v) / parts[0]),
    Rule("partial_exp", "derivative", "d/dv exp(e) = exp(e)*d/dv e", "",
         "derivative of the exponential",
         (Partial,), _inner(Exp), lambda parts, v: Partial(Exp(*parts), v),
         lambda parts, v: Exp(*parts) * Partial(parts[0], v)),
    Rule("partial_logsigmoid", "derivative",
         "d/dv logsigmoid(e) = sigmoid(-e)*d/dv e", "", "derivative of the log-sigmoid",
         (Partial,), _inner(LogSigmoid), lambda parts, v: Partial(LogSigmoid(*parts), v),
         lambda parts, v: Sigmoid(-parts[0]) * Partial(parts[0], v)),
    Rule("partial_sigmoid", "derivative", "d/dv sigmoid(e) = sigmoid(e)*sigmoid(-e)*d/dv e", "",
         "derivative of the logistic function",
         (Partial,), _inner(Sigmoid), lambda parts, v: Partial(Sigmoid(*parts), v),
         lambda parts, v: Sigmoid(*parts) * Sigmoid(-parts[0]) * Partial(parts[0], v)),
    Rule("partial_applied", "derivative", "d/dv f(e) = f'(e)*d/dv e", "", "chain rule",
         (Partial,), _inner(Applied), lambda parts, v: Partial(Applied(*parts), v),
         lambda parts, v: _slope(parts, v)),
    Rule("partial_sum_over", "derivative",
         "d/dv (sum over y of e) = sum over y of d/dv e", "y does not occur in v",
         "the derivative of a sum over a set is that of its terms",
         (Partial,), _find_partial_sum, lambda body, y, new, v: Partial(SumOver(body, y), v),
         lambda body, y, new, v: SumOver(Partial(rename_index(body, y, new), v), new),
         _under_the_sum),
)

FRAMEWORK: dict[str, Rule] = {rule.name: rule for rule in _ROWS}
EVERY_RULE: dict[str, Rule] = {**RULES, **FRAMEWORK}
