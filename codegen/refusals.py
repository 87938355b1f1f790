"""What a kernel refuses: numbers outside the domains of parameters and features, and parameters at
which a side condition of the spec on them alone does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sympy import Add, Expr, Mul, Pow, Rational

from midpo.codegen.statements.nodes import (
    ATOM,
    PRODUCT,
    UNARY,
    Code,
    Comparison,
    Constant,
    If,
    Message,
    Name,
    Number,
    Pair,
    Raise,
    Row,
    Run,
    Statement,
    call,
    fraction,
    negative,
    wrapped,
)
from midpo.codegen.statements.quote import quote
from midpo.symbolic.domains.intervals import Bound, Interval
from midpo.symbolic.domains.needs import telling
from midpo.symbolic.language.nodes import Parameter
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import ordered_terms, split_fraction, text
from midpo.symbolic.language.words import word_of

from .names import marked
from .printing.writing import added, number

_REFUSED = {"nonzero": "{} == 0", "positive": "not {} > 0", "nonnegative": "not {} >= 0"}
_NEEDED = {"nonzero": "!= 0", "positive": "> 0", "nonnegative": ">= 0"}


def refusals(spec: Spec, parameters: Mapping[str, Interval]) -> Iterator[Statement]:
    """The lines that refuse parameters."""
    for name, domain in parameters.items():
        lower, upper = _bounds(domain)
        given = Name(marked(name))
        within = Comparison(lower[0], ((lower[1], given), upper))
        yield Run(call("_need", within, Constant(marked(name)), given, Constant(domain.described)))
    for condition in telling(spec.conditions):
        expr = condition.expr
        names = sorted(str(s.name) for s in expr.free_symbols if isinstance(s, Parameter))
        if len(names) < len(expr.free_symbols) or not names or not set(names) <= set(parameters):
            continue  # it speaks of the pair too, or of what the kernel is not given
        needed = f"{text(expr)} {_NEEDED[condition.kind]}"
        said = Raise(call("ValueError", Message(_message(names, needed))))
        yield If(quote(_REFUSED[condition.kind], _over_floats(expr)), (said,))


def feature_domains(spec: Spec, features: Mapping[str, str]) -> dict[str, tuple[Code, str]]:
    """For each feature that has a domain the test that its numbers lie inside, over tensors, and
    what they must be; positions that are not counted do not matter."""
    found = {}
    for name, kind in features.items():
        if domain := spec.names.ranges.get(name):
            lower, upper = _bounds(domain)
            value = Name(marked(name))
            held: Code = Pair(Comparison(lower[0], ((lower[1], value),)), "&", Comparison(value, (upper,)))
            if kind == "token":
                held = quote("{} | (labels == ignore_index)", held)
            found[marked(name)] = held, domain.described
    return found


def _bounds(domain: Interval) -> tuple[tuple[Code, str], tuple[str, Code]]:
    """The ends of a domain, each with the sign between it and a number inside: false of NaN and of
    infinities."""
    over, under = ("<=" if closed else "<" for closed in (domain.lower_closed, domain.upper_closed))
    return (_literal(domain.lower), over), (under, _literal(domain.upper))


def _literal(bound: Bound) -> Code:
    """A bound: a whole number, else the nearest float."""
    if bound < 0:
        return negative(_literal(-bound))
    if isinstance(bound, float):
        return quote("torch.inf")
    return Number(str(bound) if bound.denominator == 1 else repr(float(bound)))


def _message(names: list[str], needed: str) -> tuple[str | Code, ...]:
    given = ", ".join(names)
    values: list[str | Code] = []
    for name in names:
        values += [", ", Name(marked(name))]
    return (f"{given}: got ", *values[1:], f", needs {needed}")


def _over_floats(expr: Expr) -> Code:
    """An expression in parameters over Python's floats."""
    if isinstance(expr, Add):
        whole: Code | None = None
        for term in ordered_terms(expr):
            whole = added(whole, term, lambda term: wrapped(_over_floats(term), PRODUCT))
        assert whole is not None
        return whole
    if isinstance(expr, Rational):
        return number(expr)
    if isinstance(expr, Parameter):
        return Name(marked(str(expr.name)))
    if isinstance(expr, Mul) and expr.as_coeff_Mul()[0] < 0:
        return negative(wrapped(_over_floats(-expr), PRODUCT))
    if isinstance(expr, Mul) or (isinstance(expr, Pow) and expr.exp.is_Number and expr.exp < 0):
        above, below = (
            [wrapped(_over_floats(f), UNARY) for f in factors] for factors in split_fraction(expr)
        )
        return fraction(above, below)
    if isinstance(expr, Pow):
        base, exponent = (wrapped(_over_floats(part), ATOM) for part in expr.args)
        return Pair(base, "**", exponent)
    word = word_of(expr)
    args = [_over_floats(arg) for arg in expr.args]
    if word.python is not None:
        return quote(word.python, Row("", tuple(args)))
    tensors = [quote("torch.tensor({}, dtype=torch.float64)", arg) for arg in args]
    return quote("float({})", word.pairwise("torch", tensors, quote))
