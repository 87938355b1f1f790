"""Maxima and minima: Python's among numbers, a clamp between numbers and tensors."""

from __future__ import annotations

from sympy import Expr

from midpo.codegen.statements.nodes import Call, Code, call
from midpo.codegen.statements.quote import quote
from midpo.symbolic.language.nodes import Max, Min, Node
from midpo.symbolic.language.words import BY_NODE

from .scribe import Scribe
from .writing import said


def extremum(printer: Scribe, expr: Node, level: str) -> Code:
    word, bound = ("max", "min") if isinstance(expr, Max) else ("min", "max")
    numbers = [arg for arg in expr.args if printer.is_scalar(arg)]
    others = [arg for arg in expr.args if arg not in numbers]
    before, printer.clipped = printer.clipped, printer.clipped or _is_clip(printer, expr, others)
    try:
        written = [printer(arg, level) for arg in numbers]
        with printer.guarding(expr):
            tensors = [printer.argument(arg, level) for arg in others]
    finally:
        printer.clipped = before
    number = call(word, *written) if len(written) > 1 else written[0] if written else None
    if not tensors:
        assert number is not None
        return number
    result = said(BY_NODE[type(expr)], "torch", tensors)
    if number is None:
        return result
    return Call(quote("torch.clamp"), (result,), ((bound, number),))


def _is_clip(printer: Scribe, expr: Node, others: list[Expr]) -> bool:
    """Whether `expr` is a maximum of a minimum, or the reverse, with numbers on both sides."""
    return (
        len(others) == 1
        and len(expr.args) > 1
        and isinstance(others[0], Min if isinstance(expr, Max) else Max)
        and any(printer.is_scalar(arg) for arg in others[0].args)
    )
