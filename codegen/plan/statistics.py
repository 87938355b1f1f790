"""What a loss needs to know of the logits at a position, and its gradient.

A loss depends on the (2B, T, V) logits only through a few numbers a position, its statistics: the
log-probability of the label and sums over the vocabulary (a divergence, an entropy, a sum that the
spec writes out, or the logarithm of one). Everything else is algebra on (2B, T) and (B,) tensors.

With g_k the derivative of the loss with respect to statistic S_k = sum over v of f_k(l_v), and p
the policy's probabilities, the gradient with respect to the policy's logits is

    dz_v = sum over k of g_k*(f_k'(l_v) - p_v*T_k),   T_k = sum over u of f_k'(l_u),

where f_k = [v is the label]*l_v gives the log-probability of the label its one-hot form. T_k is
read off from S_k where f_k' = a*f_k + b*p + c*q (then T_k = a*S_k + b + c), which holds for both
divergences, the entropy and powers of probabilities; else it is one more sum in the forward pass.
A logarithm of a sum of exp(e_v) has f_k' = a*w_v with a the factor of l_v in e_v and w the tilted
policy (`log_sums`), and T_k = a. A sum that is counted from 1, S - 1 of exp(e_v), has the gradient
a*(exp(e_v) - p_v*S): near equal policies it is a difference of what both are beyond p_v, far from
each other of what both are, so that S is summed too, which S - 1 does not tell where it is near -1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from sympy import Add, Expr, Mul, S, Symbol, expand

from midpo.codegen.names import policy_argument
from midpo.symbolic.algebra.derivative import derivative
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import (
    POLICY,
    RESPONSE,
    Binder,
    Divergence,
    Entropy,
    Exp,
    Index,
    Log,
    Node,
    Parameter,
    Step,
    StopGradient,
    TokenProb,
    VocabProb,
    VocabSum,
    roles,
)

from .derivatives import by_log_probability, by_symbol
from .excess import exponent_of, parts_of
from .log_sums import Tilt, is_log_sum, tilt

POSITION = Index("t", position=True)
ENTRY = Index("v", position=False)


@dataclass(frozen=True)
class Statistic:
    """One number a position.

    `node` is it as the loss writes it, for a generic response and position; `body` is what is
    summed over the vocabulary (None for the log-probability of the label under `policies[0]`), in
    the probabilities of `policies` and in `contexts`, symbols for what does not depend on the
    entry. Where there is a `tilt`, it is the logarithm of that sum. One that is `stopped` stands
    only where no gradient goes: in sg(...) and step(...).
    """

    node: Expr
    name: str
    policies: tuple[str, ...]
    body: Expr | None = None
    contexts: tuple[tuple[Symbol, Expr], ...] = ()
    tilt: Tilt | None = None
    stopped: bool = field(default=False, compare=False)

    @property
    def is_label(self) -> bool:
        return self.body is None

    @property
    def trained(self) -> bool:
        """Whether a gradient flows through it to the policy's logits or to a context."""
        return not self.stopped and (str(POLICY) in self.policies or bool(self.contexts))


def probability(policy: str | Symbol) -> Expr:
    return VocabProb(Symbol(str(policy)), RESPONSE, POSITION, ENTRY)


def label_statistic(policy: str) -> Statistic:
    node = Log(TokenProb(Symbol(policy), RESPONSE, POSITION))
    return Statistic(node, _short(policy) + "_token_logps", (policy,))


def divergence_statistic(p: str, q: str) -> Statistic:
    node = Divergence(Symbol(p), Symbol(q), RESPONSE, POSITION)
    body = probability(p) * (Log(probability(p)) - Log(probability(q)))
    return Statistic(node, f"kl_{_short(p)}_{_short(q)}", (p, q), body)


def entropy_statistic(policy: str) -> Statistic:
    node = Entropy(Symbol(policy), RESPONSE, POSITION)
    body = -probability(policy) * Log(probability(policy))
    return Statistic(node, f"entropy_{_short(policy)}", (policy,), body)


def _short(policy: str) -> str:
    return policy_argument(policy).removesuffix("_logits")


def generic(node: Expr) -> Expr:
    """`node` for the response y and the position t, whichever it speaks of."""
    spoken = dict.fromkeys(roles(node), RESPONSE)
    free = {i: POSITION for i in node.free_symbols if isinstance(i, Index) and i.is_positive}
    return node.xreplace(spoken).xreplace(free)


def statistic(node: Expr) -> Statistic | None:
    """The statistic that `node` is, or None."""
    if isinstance(node, (TokenProb, Divergence, Entropy)):
        policies = [str(p) for p in node.args if isinstance(p, Symbol) and _is_policy(p, node)]
        if isinstance(node, TokenProb):
            return label_statistic(*policies)
        if isinstance(node, Entropy):
            return entropy_statistic(*policies)
        return divergence_statistic(*policies)
    if is_log_sum(node):
        (total,) = node.args
        if isinstance(total, Entropy):
            found = entropy_statistic(str(total.args[0]))
            return replace(found, node=Log(found.node), name=f"log_{found.name}", tilt=tilt(found.node))
        found = _sum(total)
        assert found.body is not None
        return replace(
            found, node=Log(found.node), name="vocab_log_sum", tilt=tilt(VocabSum(found.body, ENTRY))
        )
    return _sum(node) if isinstance(node, VocabSum) else None


def _is_policy(symbol: Symbol, node: Expr) -> bool:
    count = 2 if isinstance(node, Divergence) else 1
    return symbol in node.args[:count]


def _sum(node: VocabSum) -> Statistic:
    node = generic(node)
    body, index = node.args
    others = {i for i in node.free_symbols if isinstance(i, Index) and not i.is_positive}
    if others:
        raise NotYet(f"no kernel for {node}: nested indices that depend on each other")
    found: dict[Expr, Symbol] = {}
    rewritten = _contexts(body.xreplace({index: ENTRY}), found)
    policies = tuple(
        sorted({str(a.args[0]) for a in rewritten.atoms(VocabProb)}, key=lambda p: (p != "pi", p))
    )
    contexts = tuple((symbol, expr) for expr, symbol in found.items())
    return Statistic(node, "vocab_sum", policies, rewritten, contexts)


def _contexts(expr: Expr, found: dict[Expr, Symbol]) -> Expr:
    """`expr` with a symbol for each largest part that does not depend on the entry and is no
    plain number."""
    if ENTRY not in expr.free_symbols:
        if not expr.has(Node, Index):
            return expr
        return found.setdefault(expr, Symbol(f"context{len(found) + 1}", real=True))
    if isinstance(expr, VocabProb) or not expr.args:
        return expr
    if isinstance(expr, (Add, Mul)):
        held = [a for a in expr.args if ENTRY not in a.free_symbols and a.has(Node, Index)]
        moving = [a for a in expr.args if a not in held]
        parts = [_contexts(a, found) for a in moving]
        return expr.func(*parts, _contexts(expr.func(*held), found)) if held else expr.func(*parts)
    if isinstance(expr, Binder):
        raise NotYet(f"no kernel for {expr}: nested indices that depend on each other")
    return expr.func(*(_contexts(arg, found) for arg in expr.args))


def statistics_in(expr: Expr, *, live: bool = False) -> Iterator[Statistic]:
    """The statistics of `expr`, innermost first, each perhaps more than once; those that are `live`
    stand where a gradient goes."""
    inside = expr.args[0].args[: expr.args[0].has(VocabSum)] if is_log_sum(expr) else expr.args
    for arg in inside if not (live and isinstance(expr, (StopGradient, Step))) else ():
        yield from statistics_in(arg, live=live)
    found = statistic(expr)
    if found is not None:
        yield found


def statistics(exprs: Iterable[Expr]) -> tuple[Statistic, ...]:
    """Each statistic of the expressions once, log-probabilities of labels first."""
    distinct: dict[Expr, Statistic] = {}
    given = tuple(exprs)
    live = {found.node for expr in given for found in statistics_in(expr, live=True)}
    for expr in given:
        for found in statistics_in(expr):
            stopped = not found.is_label and found.node not in live
            distinct.setdefault(found.node, replace(found, stopped=stopped))
    return tuple(sorted(distinct.values(), key=lambda s: (not s.is_label, s.policies[:1] != ("pi",))))


def stages(found: tuple[Statistic, ...], *, apart: bool = False) -> list[tuple[Statistic, ...]]:
    """The statistics by the pass that computes them: those whose contexts need none, then those
    whose contexts need only these, and so on; where labels' are `apart`, these in a pass of their
    own."""
    depth: dict[Expr, int] = {}

    def level(one: Statistic) -> int:
        if one.node not in depth:
            inner = [s for _, e in one.contexts for s in statistics_in(e)]
            depth[one.node] = 1 + max(map(level, inner), default=-1)
        return depth[one.node]

    def at(one: Statistic) -> tuple[int, bool]:
        return level(one), apart and not one.is_label

    return [tuple(s for s in found if at(s) == place) for place in sorted(set(map(at, found)))]


# --- Gradients -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slope:
    """The gradient of a statistic: `inner` is f'(l_v); `total` is T, its sum over the vocabulary,
    in `value` (the statistic itself) and the sum of `extra`, where there is one. `contexts` are the
    derivatives of f with respect to each context."""

    inner: Expr
    total: Expr
    extra: Expr | None
    contexts: tuple[Expr, ...] = ()


VALUE = Symbol("value", real=True)
EXTRA = Symbol("extra", real=True)
TILTED = probability("tilted policy")
DRIFT = probability("drift")


def slope(one: Statistic) -> Slope:
    """The gradient of a statistic that is a sum over the vocabulary, by SymPy's algebra."""
    assert one.body is not None
    if one.tilt is not None:
        exponent = one.tilt.exponent
        a = derivative(exponent, by_log_probability(POLICY))
        moved = (derivative(exponent, by_symbol(symbol)) for symbol, _ in one.contexts)
        return Slope(a * TILTED, a, None, tuple(TILTED * of for of in moved))
    if parts := parts_of(one.body):  # the two terms of its gradient are told together
        exponent = exponent_of(parts)
        return Slope(derivative(exponent, by_log_probability(POLICY)) * DRIFT, S.Zero, Exp(exponent))
    inner = expand(derivative(one.body, by_log_probability(POLICY)))
    contexts = tuple(derivative(one.body, by_symbol(symbol)) for symbol, _ in one.contexts)
    total = _total(inner, expand(one.body))
    if total is None:
        return Slope(inner, EXTRA, inner, contexts)
    return Slope(inner, total, None, contexts)


def _total(inner: Expr, body: Expr) -> Expr | None:
    """The sum of `inner` over the vocabulary where inner = a*body + b*p + c*q + ..., with a, b, c
    free of the entry and p, q probabilities: then it is a*value + b + c + ..."""
    terms, ours = by_entry(inner), by_entry(body)
    candidates = {S.Zero, *(terms[part] / ours[part] for part in terms if part in ours)}
    for scale in sorted(candidates, key=lambda a: (a == 0, str(a))):
        rest = by_entry(expand(inner - scale * body))
        if all(isinstance(part, VocabProb) for part in rest):
            return scale * VALUE + Add(*rest.values())
    return None


def by_entry(expr: Expr) -> dict[Expr, Expr]:
    """The terms of a sum as part that depends on the entry -> coefficient that does not."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(expr):
        factors = Mul.make_args(term)
        part = Mul(*(f for f in factors if ENTRY in f.free_symbols))
        found[part] = found.get(part, S.Zero) + Mul(*(f for f in factors if ENTRY not in f.free_symbols))
    return {part: scale for part, scale in found.items() if scale != 0}


def scalars(one: Statistic) -> set[str]:
    """The parameters that a statistic's sum depends on."""
    return set() if one.body is None else {p.name for p in one.body.atoms(Parameter)}


def is_probability_power(factor: Expr) -> bool:
    base, exponent = factor.as_base_exp()
    return isinstance(base, VocabProb) and bool(exponent.is_positive)


def weighted(expr: Expr) -> dict[Expr, Expr]:
    """The terms of a sum as product of powers of probabilities -> the rest: each term is counted
    only where its weight is not 0, as 0 log 0 = 0."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(expand(expr)):
        weight = Mul(*(f for f in Mul.make_args(term) if is_probability_power(f)))
        found[weight] = found.get(weight, S.Zero) + term / weight
    return {weight: rest for weight, rest in found.items() if rest != 0}
