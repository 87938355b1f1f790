"""How an expression moves with the policy: the rows of its gradient, symbolically.

An expression of one response y is written as a function of sums over its tokens. Its gradient is
then a sum over tokens t of weight(y, t) * nabla log pi(y, t), and, where a sum over the vocabulary
moves too, of weight(y, t) * sum over v of law(y, t, v) * nabla log pi(y, t, v). Both the gradient
of a margin and the correction T[pi] of proposition 2.1 are read off these rows.
"""

from __future__ import annotations

from sympy import Add, Expr, Mul, Pow, S, Symbol

from midpo.numeric.trees import Movement
from midpo.symbolic.algebra.derivative import derivative
from midpo.symbolic.algebra.normal import settle
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import (
    BINDERS,
    POLICY,
    RESPONSE,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Index,
    Length,
    Log,
    Prob,
    TokenProb,
    TokenSum,
    VocabProb,
    VocabSum,
    structural,
)
from midpo.symbolic.loss import is_constant
from midpo.symbolic.rewriting.derivation import Derivation
from midpo.symbolic.rewriting.rules import phase

T = Index("t", position=True)
V = Index("v", position=False)

_KEPT = ("stop_gradient", "logsigmoid_reflection", "sigmoid_reflection", "softplus")
_RULES = tuple(r for r in phase("value", "log", "token", "exponential") if r.name not in _KEPT)


def sequence_form(expr: Expr) -> Expr:
    """`expr` as a function of sums over tokens, divergences written out, stopped gradients kept.

    Raises: TooLarge past the bounds in force, NoValue where there is none.
    """
    chain = Derivation(expr)
    chain.apply(phase("vocab"))
    settle(chain, _RULES)
    return chain.end


def log_prior(prior: Expr, role: Expr) -> Expr:
    """log zeta(y) as it is on the side of `role`, in y, in sequence form."""
    return sequence_form(Log(substitute(with_label(prior, role), {role: RESPONSE})))


# --- Rows -----------------------------------------------------------------------------------------


def rows(expr: Expr) -> tuple[Movement, ...]:
    """The rows of `expr` (in y, in sequence form), one for each law.

    Raises: NotYet where the expression is not of such a shape; TooLarge, NoValue.
    """
    if expr.has(Prob) and any(p.args[0] == POLICY for p in expr.atoms(Prob)):
        raise NotYet("a probability of the whole response inside another function")
    found: list[Movement] = []
    for total in _outermost(expr):
        if POLICY not in total.free_symbols:
            continue
        body, index, _ = total.args

        def only(node: Expr, total: Expr = total) -> Expr | None:
            if node == total:
                return S.One
            return S.Zero if isinstance(node, (*BINDERS, Length, Feature)) else None

        found += _token_rows(derivative(expr, only), body, index)
    return _merged(found)


def _outermost(expr: Expr) -> list[Expr]:
    """The sums over tokens of `expr` that stand in no other, in a standard order."""
    found: set[Expr] = set()

    def visit(node: Expr) -> None:
        if isinstance(node, TokenSum):
            found.add(node)
            return
        if isinstance(node, BINDERS):
            raise NotYet("a product over tokens or a sum over the vocabulary outside a token sum")
        if isinstance(node, (TokenProb, VocabProb, Divergence, Entropy)):
            raise NotYet("a token's probability outside a sum over tokens")
        for arg in node.args:
            visit(arg)

    visit(expr)
    return sorted(found, key=structural)


def _token_rows(outer: Expr, body: Expr, index: Index) -> list[Movement]:
    """The rows of outer * (one token's body)."""
    if outer == 0:
        return []
    if body.has(TokenSum) or any(node.args[2] != index for node in body.atoms(TokenProb)):
        raise NotYet("a token's term that speaks of other tokens")

    def own(node: Expr) -> Expr | None:
        if isinstance(node, TokenProb):
            return node if node.args[0] == POLICY else S.Zero
        return S.Zero if isinstance(node, (VocabSum, Feature, Length)) else None

    found = []
    weight = derivative(body, own)
    if weight != 0:
        found.append(Movement(sequence_form(outer * weight).xreplace({index: T}), None, T, V))
    for total in sorted(body.atoms(VocabSum), key=structural):
        inner, entry = total.args
        if POLICY not in total.free_symbols:
            continue
        if inner.has(VocabSum) or any(p.args[0] == POLICY for p in inner.atoms(TokenProb)):
            raise NotYet("a sum over the vocabulary that speaks of the token itself")

        def only(node: Expr, total: Expr = total) -> Expr | None:
            if node == total:
                return S.One
            return S.Zero if isinstance(node, (VocabSum, TokenProb, Feature, Length)) else None

        def law_of(node: Expr) -> Expr | None:
            if isinstance(node, VocabProb):
                return node if node.args[0] == POLICY else S.Zero
            return S.Zero if isinstance(node, (Feature, Length, TokenProb)) else None

        weight = derivative(body, only)
        law = derivative(inner, law_of)
        if weight != 0 and law != 0:
            change = {index: T, entry: V}
            found.append(
                Movement(
                    sequence_form(outer * weight).xreplace({index: T}),
                    sequence_form(law).xreplace(change),
                    T,
                    V,
                )
            )
    return found


def _merged(found: list[Movement]) -> tuple[Movement, ...]:
    """The rows with own tokens as one; those of laws joined where the weights are multiples of
    each other by numbers; laws without multiples of p(v), whose gradients sum to zero."""
    own = sequence_form(Add(*(row.weight for row in found if row.law is None)))
    laws: dict[Expr, Expr] = {}
    for row in found:
        if row.law is None:
            continue
        for term in Add.make_args(row.weight):
            number, weight = term.as_coeff_Mul()
            laws[weight] = laws.get(weight, S.Zero) + number * row.law
    merged = [] if own == 0 else [Movement(own, None, T, V)]
    for weight, law in laws.items():
        reduced = sequence_form(law)
        kept = Add(*(t for t in Add.make_args(reduced) if not _vanishes(t)))
        if kept != 0:
            merged.append(Movement(weight, kept, T, V))
    return tuple(merged)


def _vanishes(term: Expr) -> bool:
    """Whether a law's term is p(v) times something free of v: sum of p(v) nabla log p(v) = 0."""
    probabilities = [f for f in Mul.make_args(term) if isinstance(f, VocabProb) and f.args[0] == POLICY]
    return len(probabilities) == 1 and V not in (term / probabilities[0]).free_symbols


# --- What a weight may depend on -----------------------------------------------------------------


def split_weight(weight: Expr) -> dict[str, Expr]:
    """The terms of a weight by what they depend on.

    "known": nothing, or the position alone; "response": the whole response, not the position;
    "state": the prefix (sums over the vocabulary there); "token": the prefix and the token;
    "mixed": all of it.
    """
    parts: dict[str, Expr] = {}
    for term in Add.make_args(weight):
        kind = _dependence(term)
        parts[kind] = parts.get(kind, S.Zero) + term
    return parts


def _dependence(term: Expr) -> str:
    sums = sorted(term.atoms(TokenSum), key=structural)
    names = (Symbol(f"⟦sum {at}⟧") for at in range(len(sums)))
    term = term.xreplace({s: Feature(name, RESPONSE) for s, name in zip(sums, names, strict=True)})
    whole = bool(term.atoms(Length, Prob)) or any(len(f.args) == 2 for f in term.atoms(Feature))
    at_token = bool(term.atoms(TokenProb)) or any(len(f.args) == 3 for f in term.atoms(Feature))
    at_state = bool(term.atoms(VocabProb, Divergence, Entropy))
    positioned = T in term.free_symbols
    if whole:
        return "mixed" if positioned or at_token or at_state else "response"
    if at_token:
        return "token"
    return "state" if at_state else "known"


def only_features(expr: Expr) -> bool:
    """Whether at a token `expr` speaks of features and parameters alone."""
    return not expr.atoms(TokenProb, VocabProb, TokenSum, Length, Prob) and all(
        len(f.args) == 3 for f in expr.atoms(Feature)
    )


def gathered(expr: Expr) -> Expr:
    """`expr` with divergences of the vocabulary's sums named again: sums of p log q become
    sum of p log p - KL(p || q), and sum of p log p becomes -H(p)."""
    table: dict[Expr, Expr] = {}
    for total in expr.atoms(VocabSum):
        found = _expected_log(total)
        if found is None:
            continue
        p, q, response, position = found
        entropy = -Entropy(p, response, position)
        table[total] = entropy if p == q else entropy - Divergence(p, q, response, position)
    return simplified_whole(substitute(expr, table))


def _expected_log(total: Expr) -> tuple[Expr, Expr, Expr, Expr] | None:
    body, entry = total.args
    factors = Mul.make_args(body)
    logs = [f for f in factors if isinstance(f, Log) and isinstance(f.args[0], VocabProb)]
    laws = [f for f in factors if isinstance(f, VocabProb)]
    if len(factors) != 2 or len(logs) != 1 or len(laws) != 1:
        return None
    p, response, position, v = laws[0].args
    q, *where = logs[0].args[0].args
    return (p, q, response, position) if where == [response, position, v] and v == entry else None


def as_powers(expr: Expr) -> Expr:
    """`expr` with exponentials of multiples of log pi(y) as powers of pi(y)."""

    def visit(node: Expr) -> Expr:
        if not node.args:
            return node
        node = node.func(*map(visit, node.args))
        if not isinstance(node, Exp):
            return node
        powers, rest = [], []
        for term in Add.make_args(node.args[0]):
            logs = [f for f in Mul.make_args(term) if isinstance(f, Log) and isinstance(f.args[0], Prob)]
            if len(logs) == 1:
                powers.append(Pow(logs[0].args[0], term / logs[0]))
            else:
                rest.append(term)
        return Mul(*powers, *([Exp(Add(*rest))] if Add(*rest) != 0 else []))

    return visit(expr) if expr.has(Exp) else expr


def simplified_whole(expr: Expr) -> Expr:
    """The sequence form with divergences kept whole."""
    chain = Derivation(expr)
    settle(chain, _RULES)
    return chain.end


def at_own_token(law: Expr) -> Expr:
    """law(v)/p(v) at the token itself, less the sum of the law: what a row of a law contributes."""
    share = sequence_form(law / VocabProb(POLICY, RESPONSE, T, V))
    # p(v)*f(v)/p(v) has to become f(v) before v becomes the token.
    changed = {node: TokenProb(*node.args[:3]) for node in share.atoms(VocabProb) if node.args[3] == V}
    return gathered(sequence_form(share.xreplace(changed) - VocabSum(law, V)))


def same(left: Expr, right: Expr) -> bool:
    """Whether two expressions are equal in sequence form."""
    return is_zero(sequence_form(left - right))


def expected_body(expr: Expr, policy: Expr) -> Expr | None:
    """The expectation under `policy` of one token's share of `expr`, a sum over tokens, with token
    features that see only the tokens before; None where there is no such share."""
    total: Expr = S.Zero
    for term in Add.make_args(sequence_form(expr)):
        if is_constant(term):
            continue
        factor, rest = term.as_independent(TokenSum)
        if not isinstance(rest, TokenSum) or not is_constant(factor):
            return None
        total += factor * rest.args[0].xreplace({rest.args[1]: T})
    share: Expr = S.Zero
    for term in Add.make_args(sequence_form(total)):
        token = [f for f in Mul.make_args(term) if f.has(TokenProb)]
        others = Mul(*(f for f in Mul.make_args(term) if f not in token))
        if not token:
            share += term
        elif len(token) == 1 and isinstance(token[0], Log) and isinstance(token[0].args[0], TokenProb):
            of, response, position = token[0].args[0].args
            entry = VocabProb(of, response, position, V)
            share += others * VocabSum(VocabProb(policy, response, position, V) * Log(entry), V)
        else:
            return None
    return sequence_form(share)
