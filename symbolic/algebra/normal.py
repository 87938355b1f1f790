"""The normal form: logarithms down to single tokens, sums linear, everything expanded.

Equal normal forms mean equal expressions (each step is an identity); on the fragment of token sums
of monomials the converse holds too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sympy import Add, Expr, Mul, Pow, Rational

from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.language.nodes import Exp, Log, Max, Step, VocabSum
from midpo.symbolic.rewriting.derivation import Derivation
from midpo.symbolic.rewriting.rule import Rule
from midpo.symbolic.rewriting.rules import phase
from midpo.symbolic.work import allowance

from .factor import MAX_TERMS
from .polynomial import expand

# What clamps and cuts of known sign are: before divergences are written out, which hides the sign.
_KNOWN = tuple(r for r in phase("piecewise") if r.name in ("max_known", "step_known"))
_WHOLE = (*phase("value"), *_KNOWN, *phase("log", "token"))
_EXPONENTIAL = phase("exponential")
_WRITTEN_OUT = phase("vocab")
# Opposite directions: what the plain form gathers, the field form takes apart.
_GATHERED = {
    "softplus",
    "log_sigmoid",
    "exp_product",
    "sigmoid_reflection",
    "logsigmoid_reflection",
    "max_order",
}
_FIELD = tuple(
    rule
    for rule in dict.fromkeys((*_WHOLE, *_EXPONENTIAL, *phase("field", "piecewise")))
    if rule.name not in _GATHERED
)
# Maxima as they are written, where cells are to decide.
_OF_MAXIMA = {"max_flat", "max_distribute", "max_between", "max_shift", "max_whole", "max_step"}
_CELLS = tuple(rule for rule in _FIELD if rule.name not in _OF_MAXIMA)

# Sums as they are written, where the cells of one sum are to meet another's.
_OPEN = tuple(rule for rule in _CELLS if rule.name != "geometric_sum")
_sums_kept: ContextVar[bool] = ContextVar("sums_kept", default=False)

# What hides structure: reflections write one function of a margin as another.
_REFLECTIONS = {"logsigmoid_reflection", "sigmoid_reflection"}
_STRUCTURE = tuple(r for r in (*_WHOLE, *_EXPONENTIAL) if r.name not in _REFLECTIONS)

MAX_ROUNDS = 60


def normalise(
    derivation: Derivation, *, written_out: bool = False, field: bool = False, whole_maxima: bool = False
) -> None:
    """Extend `derivation` to its end's normal form.

    With `written_out`, divergences and entropies become sums over the vocabulary; otherwise they
    stay whole, which reads better and suffices where both sides speak of the same ones. With
    `field`, exponentials, logarithms of polynomials and maxima are taken apart into generators
    between which no relation is known; with `whole_maxima` too, maxima stay as they are.

    Raises: TooLarge where the form would exceed its bounds, NoValue where there is none.
    """
    with allowance(derivation.end):
        if written_out:
            derivation.apply((*phase("value"), *_KNOWN))
            derivation.apply(_WRITTEN_OUT)
        cells = _OPEN if _sums_kept.get() else _CELLS
        rules = (*_WHOLE, *_EXPONENTIAL) if not field else cells if whole_maxima else _FIELD
        settle(derivation, rules)


@contextmanager
def sums_kept() -> Iterator[None]:
    """Inside, geometric series stay sums in the form in which cells decide."""
    token = _sums_kept.set(True)
    try:
        yield
    finally:
        _sums_kept.reset(token)


def settle(derivation: Derivation, rules: Iterable[Rule]) -> None:
    """Use `rules` and arithmetic in turn until neither changes the derivation's end.

    Raises: TooLarge where that takes too many rounds.
    """
    listed = tuple(rules)
    for _ in range(MAX_ROUNDS):
        changed = derivation.apply(listed)
        before = derivation.end
        derivation.arithmetic(expand_everywhere(before))
        if not changed and derivation.end == before:
            return
    raise TooLarge(f"nothing settled after {MAX_ROUNDS} rounds")


def normal_form(
    expr: Expr, *, written_out: bool = False, field: bool = False, whole_maxima: bool = False
) -> Expr:
    """The normal form of `expr`, without its derivation."""
    derivation = Derivation(expr)
    normalise(derivation, written_out=written_out, field=field, whole_maxima=whole_maxima)
    return derivation.end


def form(expr: Expr, *, keep_stopped: bool = True, field: bool = False) -> Expr:
    """The normal form that keeps stopped gradients (or drops them) and does not reflect sigmoids:
    what `solve` reads structure off. With `field`, the form in which cells decide.

    Raises: as `normalise`.
    """
    derivation = Derivation(expr)
    rules = _CELLS if field else _STRUCTURE
    settle(derivation, [r for r in rules if not keep_stopped or r.name != "stop_gradient"])
    return derivation.end


def outside(expr: Expr) -> set[Expr]:
    """The atoms of a field form between which relations may hold that no rule knows: steps and
    maxima of several cuts, sums over the vocabulary under other functions, logarithms and roots
    whose arguments are too large to factor."""

    def known(node: Expr) -> bool:
        if isinstance(node, (Max, Step)):
            return False
        if isinstance(node, (Log, Exp)):
            return not node.has(VocabSum) and len(Add.make_args(node.args[0])) <= MAX_TERMS
        return not (
            isinstance(node, Pow)
            and isinstance(node.exp, Rational)
            and not node.exp.is_Integer
            and isinstance(node.base, Add)
        )

    return {node for node in expr.atoms(Max, Step, Log, Exp, Pow) if not known(node)}


def expand_everywhere(expr: Any) -> Any:
    """Expand the expression, and the arguments of every atom in it."""
    done: dict[Any, Any] = {}

    def arithmetic(node: Any) -> bool:
        return isinstance(node, (Add, Mul)) or (isinstance(node, Pow) and isinstance(node.exp, Rational))

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
