"""What a kernel refuses: numbers outside the domains of parameters and features, and parameters at
which a side condition of the spec on them alone does not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sympy import Expr

from midpo.symbolic.domains.intervals import Bound, Interval
from midpo.symbolic.domains.needs import telling
from midpo.symbolic.language.nodes import Parameter
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import Writer, text
from midpo.symbolic.language.words import word_of

from .names import marked

_REFUSED = {"nonzero": "{} == 0", "positive": "not {} > 0", "nonnegative": "not {} >= 0"}
_NEEDED = {"nonzero": "!= 0", "positive": "> 0", "nonnegative": ">= 0"}


def refusals(spec: Spec, parameters: Mapping[str, Interval]) -> Iterator[tuple[str, str]]:
    """(test, message) of what is refused, as Python and as the inside of an f-string; the user's
    names are marked in both."""
    for name, domain in parameters.items():
        yield f"not {_within(domain, marked(name))}", _message([name], domain.described)
    for condition in telling(spec.conditions):
        expr = condition.expr
        names = sorted(str(s.name) for s in expr.free_symbols if isinstance(s, Parameter))
        if len(names) < len(expr.free_symbols) or not names or not set(names) <= set(parameters):
            continue  # it speaks of the pair too, or of what the kernel is not given
        written = _Python(frozenset()).write(expr)[0]
        yield (_REFUSED[condition.kind].format(f"({written})"),
               _message(names, f"{_marked_text(expr)} {_NEEDED[condition.kind]}"))


def feature_domains(spec: Spec, features: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """For each feature that has a domain the test that its numbers lie inside, as Python over
    tensors, and what they must be; positions that are not counted do not matter."""
    found = {}
    for name, kind in features.items():
        if domain := spec.names.ranges.get(name):
            held = " & ".join(f"({part})" for part in _bounds(domain, marked(name)))
            ignored = " | (labels == ignore_index)" if kind == "token" else ""
            found[marked(name)] = f"{held}{ignored}", domain.described
    return found


def _bounds(domain: Interval, name: str) -> tuple[str, str]:
    """The conditions that what is called `name` lies in a domain, in Python with torch: false of
    NaN and of infinities."""
    over, under = ("<=" if closed else "<" for closed in (domain.lower_closed, domain.upper_closed))
    return f"{_python(domain.lower)} {over} {name}", f"{name} {under} {_python(domain.upper)}"


def _within(domain: Interval, name: str) -> str:
    """The same of one number."""
    below, above = _bounds(domain, name)
    return below + above.removeprefix(name)


def _python(bound: Bound) -> str:
    """A bound as a literal: a whole number, else the nearest float."""
    if isinstance(bound, float):
        return "torch.inf" if bound > 0 else "-torch.inf"
    return str(bound) if bound.denominator == 1 else repr(float(bound))


def _message(names: list[str], needed: str) -> str:
    given = ", ".join(map(marked, names))
    values = ", ".join(f"{{{marked(name)}}}" for name in names)
    return f"{given}: got {values}, needs {needed}"


def _marked_text(expr: Expr) -> str:
    table = {p: type(p)(marked(p.name), p.domain) for p in expr.atoms(Parameter)}
    return text(expr.xreplace(table))


class _Python(Writer):
    """Writes an expression in parameters as Python over floats."""

    def atom(self, expr: Expr) -> str:
        if isinstance(expr, Parameter):
            return marked(str(expr.name))
        word = word_of(expr)
        args = [self.write(arg)[0] for arg in expr.args]
        if word.python is not None:
            return word.over("python", args)
        tensors = [f"torch.tensor({arg}, dtype=torch.float64)" for arg in args]
        return f"float({word.pairwise('torch', tensors)})"
