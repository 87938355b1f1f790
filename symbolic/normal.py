"""The normal form: logarithms down to single tokens, sums linear, everything expanded.

Equal normal forms mean equal expressions (each step is an identity); on the fragment of token sums
of monomials the converse holds too.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational

from .derivation import Derivation
from .errors import TooLarge
from .language import rebuild
from .polynomial import expand
from .rules import phase
from .work import allowance

_WHOLE = phase("value", "log", "token")
_EXPONENTIAL = phase("exponential")
_WRITTEN_OUT = phase("vocab")

MAX_ROUNDS = 60


def normalise(derivation: Derivation, *, written_out: bool = False) -> None:
    """Extend `derivation` to its end's normal form.

    With `written_out`, divergences and entropies become sums over the vocabulary; otherwise they
    stay whole, which reads better and suffices where both sides speak of the same ones.

    Raises: TooLarge where the form would exceed its bounds, NoValue where there is none.
    """
    with allowance(derivation.end):
        if written_out:
            derivation.apply(_WRITTEN_OUT)
        for _ in range(MAX_ROUNDS):
            changed = derivation.apply(_WHOLE)
            changed = derivation.apply(_EXPONENTIAL) or changed
            before = derivation.end
            derivation.arithmetic(expand_everywhere(before))
            if not changed and derivation.end == before:
                return
    raise TooLarge(f"no normal form after {MAX_ROUNDS} rounds")


def normal_form(expr: Expr, *, written_out: bool = False) -> Expr:
    """The normal form of `expr`, without its derivation."""
    derivation = Derivation(expr)
    normalise(derivation, written_out=written_out)
    return derivation.end


def expand_everywhere(expr: Any) -> Any:
    """Expand the expression, and the arguments of every atom in it."""
    done: dict[Any, Any] = {}

    def arithmetic(node: Any) -> bool:
        return isinstance(node, (Add, Mul)) or (
            isinstance(node, Pow) and isinstance(node.exp, Rational)
        )

    def visit(node: Any, inside: bool) -> Any:
        key = (node, inside)
        if key not in done:
            result = node
            if node.args:
                inner = arithmetic(node)
                args = [visit(arg, inner) for arg in node.args]
                if any(new is not old for new, old in zip(args, node.args, strict=True)):
                    result = rebuild(node, args)
            if not inside and arithmetic(result):
                result = expand(result)
            done[key] = result
        return done[key]

    return visit(expr, False)
