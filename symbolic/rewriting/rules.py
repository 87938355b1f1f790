"""RULES: every rewrite that a derivation may use, one row each.

A row is a theorem `left = right` under a condition, and how to find its instances. `left` and
`right` build both sides from the parts of an instance; `find` looks at a node and answers with
parts, or None. Finding may be clever; only `left`, `right` and `holds` are trusted, by the checker
and by the tests, which evaluate both sides of every row at random points.

Phases: "value" (meaning of words), "log" and "token" (logarithms down to single tokens), "vocab"
(divergences written out), "exponential" (what stands outside logarithms), "field" and
"piecewise" (what proves equality where the others do not: see the modules of those names). The
rules that are not rows are `arithmetic`, two expressions are equal in the field of their atoms, and
`cells`, they are equal for every sign of some cuts (see `cells`).
"""

from __future__ import annotations

from collections.abc import Callable

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S

from midpo.symbolic.algebra.signs import SIGNS
from midpo.symbolic.language.building import power, rename_index
from midpo.symbolic.language.nodes import (
    BINDERS,
    Abs,
    Divergence,
    Entropy,
    Exp,
    Index,
    Length,
    Log,
    LogSigmoid,
    Max,
    Min,
    Prob,
    Relu,
    Sigmoid,
    Sqrt,
    Step,
    StopGradient,
    Tanh,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
    indices,
    standard_index,
    structural,
)
from midpo.symbolic.language.signs import is_positive

from .counting import COUNTING
from .field import FIELD
from .homogeneous import INWARD
from .maxima import MAXIMA
from .products import factors, find_log_number, find_log_product, log_product_left, log_product_right
from .rule import ARITHMETIC, CELLS, PRIOR_RULE, Parts, Rule
from .series import SERIES
from .steps import STEPS

_NOT_ROWS = {
    ARITHMETIC: "arithmetic: expand, cancel and collect terms",
    CELLS: "by cells: the two sides agree for every sign that the cuts can have",
    PRIOR_RULE: "insert the prior, on each side for its own response",
}


def free_of(expr: Expr, index: Index) -> bool:
    return index not in expr.free_symbols


def _linear_terms(body: Expr, index: Index) -> tuple[tuple[Expr, Expr], ...]:
    """The terms of a body as (factor without the index, factor with it); those without it as one.
    Two terms with one inner factor stay two: together they would not be the body as it stands."""
    found: list[tuple[Expr, Expr]] = []
    free: list[Expr] = []
    for term in Add.make_args(body):
        outside: list[Expr] = []
        inside: list[Expr] = []
        for factor in Mul.make_args(term):
            (outside if free_of(factor, index) else inside).append(factor)
        if inside:
            found.append((Mul(*outside), Mul(*inside)))
        else:
            free.append(term)
    return (*found, *([(Add(*free), S.One)] if free else []))


def _find_linear(node: Expr) -> Parts | None:
    body, index = node.args[:2]
    terms = _linear_terms(body, index)
    if len(terms) == 1 and terms[0][0] == 1 and not (
        isinstance(node, TokenSum) and terms[0][1] == 1
    ):
        return None
    return (terms, *node.args[1:])


def _sum_of(inside: Expr, index: Index, response: Expr) -> Expr:
    return Length(response) if inside == 1 else TokenSum(inside, index, response)


def _terms_split(terms: tuple[tuple[Expr, Expr], ...], index: Index, *rest: Expr) -> bool:
    return all(free_of(outside, index) for outside, _ in terms)


def _find_index_name(node: Expr) -> Parts | None:
    body, index = node.args[:2]
    name = standard_index(body, index)
    return (type(node), body, index, name, *node.args[2:]) if name != index else None


def _same_kind_and_new(kind: type, body: Expr, old: Index, new: Index, *rest: Expr) -> bool:
    """Whether `new` can stand for `old`: positions for positions, and not used in the body."""
    fresh = new not in indices(body) - {old}
    return kind in BINDERS and fresh and bool(new.is_positive) == bool(old.is_positive)


def _find_exp_log(node: Exp) -> Parts | None:
    powers, rest = [], []
    for term in Add.make_args(node.args[0]):
        coefficient, factor = term.as_coeff_Mul()
        if isinstance(factor, Log) and isinstance(coefficient, Rational):
            powers.append((factor.args[0], coefficient))
        else:
            rest.append(term)
    return (tuple(powers), Add(*rest)) if powers else None


def _exp_log_right(powers: tuple[tuple[Expr, Rational], ...], rest: Expr) -> Expr:
    tail = S.One if rest == 0 else Exp(rest)
    return Mul(tail, *(power(x, c) for x, c in powers))


def _find_exp_product(node: Expr) -> Parts | None:
    exps = [(b.args[0], e) for b, e in factors(node) if isinstance(b, Exp)]
    others = [Pow(b, e) for b, e in factors(node) if not isinstance(b, Exp)]
    if not exps or (len(exps) == 1 and exps[0][1] == 1):
        return None
    return (tuple(exps), Mul(*others))


def _find_power(node: Pow) -> Parts | None:
    base, exponent = node.args
    if isinstance(exponent, Rational) or isinstance(base, Exp) or not is_positive(base):
        return None
    return base, exponent


def leading_sign(expr: Expr) -> int:
    """+1 or -1, opposite for `expr` and `-expr`: which of the two is the standard one."""
    terms = (term.as_coeff_Mul() for term in Add.make_args(expr))
    coefficient, _ = min(terms, key=lambda term: structural(term[1]))
    return -1 if coefficient < 0 else 1


def _find_reflection(node: Expr) -> Parts | None:
    (arg,) = node.args
    return (-arg,) if leading_sign(arg) < 0 else None


def _find_softplus(node: Log) -> Parts | None:
    (arg,) = node.args
    if isinstance(arg, Add) and len(arg.args) == 2 and arg.args[0] == 1:
        other: Expr = arg.args[1]
        return tuple(other.args) if isinstance(other, Exp) else None
    return None


def _find_log_of_two(node: Log) -> Parts | None:
    (arg,) = node.args
    if isinstance(arg, Add) and len(arg.args) == 2 and all(isinstance(e, Exp) for e in arg.args):
        return tuple(e.args[0] for e in arg.args)
    return None


def _find_share(node: Log) -> Parts | None:
    (total,) = node.args
    if not isinstance(total, Add):
        return None
    exponents = [[f.args[0] for f in Mul.make_args(t) if isinstance(f, Exp)] for t in total.args]
    if not all(exponents):
        return None
    return total, min((a for found in exponents for a in found), key=structural)


def _share_right(total: Expr, a: Expr) -> Expr:
    """Of a term's exponentials one takes the factor exp(-a); a term that has none gets it."""
    return a + Log(Add(*(_divided(term, a) for term in Add.make_args(total))))


def _divided(term: Expr, a: Expr) -> Expr:
    for factor in Mul.make_args(term):
        if isinstance(factor, Exp):
            exponent = factor.args[0] - a
            return term / factor * (S.One if exponent == 0 else Exp(exponent))
    return term * Exp(-a)


def _find_log_extremum(node: Log) -> Parts | None:
    (arg,) = node.args
    return (type(arg), *arg.args) if isinstance(arg, (Max, Min)) else None


def _find_step_log(node: Step) -> Parts | None:
    """A difference of positive terms, exponentials among them."""
    terms = Add.make_args(node.args[0])
    above = [t for t in terms if is_positive(t)]
    below = [-t for t in terms if is_positive(-t)]
    if not above or not below or len(above) + len(below) < len(terms):
        return None
    known = any(isinstance(f, Exp) for t in (*above, *below) for f in Mul.make_args(t))
    return (Add(*above), Add(*below)) if known else None


def _find_stopped_exp(node: StopGradient) -> Parts | None:
    factors = Mul.make_args(node.args[0])
    exps = [f for f in factors if isinstance(f, Exp)]
    if len(exps) != 1:
        return None
    return (Mul(*(f for f in factors if f is not exps[0])), *exps[0].args)


def _in_order(*xs: Expr) -> Expr:
    """The maximum of `xs`, each named once, in the standard order."""
    first, *others = sorted(set(xs), key=structural)
    return Max(first, *others) if others else first


def _unary(node: Expr) -> Parts:
    return tuple(node.args)


def _inner(kind: type[Expr]) -> Callable[[Expr], Parts | None]:
    """Parts of nodes whose argument is of `kind`: the inner arguments."""

    def find(node: Expr) -> Parts | None:
        return tuple(node.args[0].args) if isinstance(node.args[0], kind) else None

    return find


_T = Index("t", position=True)
_V = Index("v", position=False)


def _kl_written_out(p: Expr, q: Expr, y: Expr, t: Index) -> Expr:
    pv, qv = VocabProb(p, y, t, _V), VocabProb(q, y, t, _V)
    return VocabSum(pv * Log(pv), _V) - VocabSum(pv * Log(qv), _V)


def _entropy_written_out(p: Expr, y: Expr, t: Index) -> Expr:
    pv = VocabProb(p, y, t, _V)
    return -VocabSum(pv * Log(pv), _V)


def _log_probability(p: Expr, y: Expr) -> Expr:
    return TokenSum(Log(TokenProb(p, y, _T)), _T, y)


def _find_total(node: VocabSum) -> Parts | None:
    body, v = node.args
    if isinstance(body, VocabProb) and body.args[3] == v:
        return (*body.args[:3], v)
    return None


ROWS: tuple[Rule, ...] = (
    # -- meaning of words
    *SIGNS,
    Rule("stop_gradient", "value", "sg(e) = e", "", "a stopped gradient does not change the value",
         (StopGradient,), _unary, lambda e: StopGradient(e), lambda e: e),
    Rule("sqrt_power", "value", "sqrt(x) = x**(1/2)", "x >= 0", "a root is a power",
         (Sqrt,), _unary, lambda x: Sqrt(x), lambda x: power(x, S.Half)),
    Rule("relu_max", "value", "relu(x) = max(0, x)", "", "definition of relu",
         (Relu,), _unary, lambda x: Relu(x), lambda x: Max(S.Zero, x)),
    Rule("abs_max", "value", "abs(x) = max(x, -x)", "", "definition of the absolute value",
         (Abs,), _unary, lambda x: Abs(x), lambda x: Max(x, -x)),
    Rule("min_max", "value", "min(a, b) = -max(-a, -b)", "", "a minimum is a maximum mirrored",
         (Min,), _unary, lambda *xs: Min(*xs), lambda *xs: -Max(*(-x for x in xs))),
    Rule("max_order", "value", "max(b, a, a) = max(a, b)", "", "a maximum does not depend on order",
         (Max,), lambda node: tuple(node.args) if _in_order(*node.args) != node else None,
         lambda *xs: Max(*xs), lambda *xs: _in_order(*xs)),
    Rule("tanh_sigmoid", "value", "tanh(x) = 2*sigmoid(2*x) - 1", "", "definition of tanh",
         (Tanh,), _unary, lambda x: Tanh(x), lambda x: 2 * Sigmoid(2 * x) - 1),
    # -- logarithms
    Rule("log_product", "log", "log(a**j*b**k) = j*log(a) + k*log(b)", "a, b > 0",
         "logarithm of products, quotients and powers",
         (Log,), find_log_product, log_product_left, log_product_right,
         lambda known, other: all(is_positive(b) for b, _ in known)),
    Rule("log_exp", "log", "log(exp(x)) = x", "", "the logarithm undoes the exponential",
         (Log,), _inner(Exp), lambda x: Log(Exp(x)), lambda x: x),
    Rule("log_number", "log", "log(p**j*q**k) = j*log(p) + k*log(q)", "p, q > 0 and all whole",
         "logarithm of a number, by its factors",
         (Log,), find_log_number, lambda primes: Log(Mul(*(Rational(p) ** k for p, k in primes))),
         lambda primes: Add(*(k * Log(Integer(p)) for p, k in primes)),
         lambda primes: all(int(p) == p > 0 and int(k) == k for p, k in primes)),
    Rule("log_token_product", "log", "log(prod(e for t in y)) = sum(log(e) for t in y)", "e > 0",
         "logarithm of a product over tokens",
         (Log,), _inner(TokenProd), lambda e, t, y: Log(TokenProd(e, t, y)),
         lambda e, t, y: TokenSum(Log(e), t, y), lambda e, t, y: is_positive(e)),
    Rule("log_sigmoid", "log", "log(sigmoid(x)) = logsigmoid(x)", "", "definition of log-sigmoid",
         (Log,), _inner(Sigmoid), lambda x: Log(Sigmoid(x)), lambda x: LogSigmoid(x)),
    Rule("softplus", "log", "log(1 + exp(x)) = -logsigmoid(-x)", "", "definition of log-sigmoid",
         (Log,), _find_softplus, lambda x: Log(1 + Exp(x)), lambda x: -LogSigmoid(-x)),
    # -- tokens
    Rule("chain_rule", "token", "log(pi(y)) = sum(log(pi(y, t)) for t in y)", "",
         "chain rule: a response's probability is the product of its tokens'",
         (Log,), _inner(Prob), lambda p, y: Log(Prob(p, y)), _log_probability),
    Rule("token_sum_linear", "token",
         "sum(a*e + b*f for t in y) = a*sum(e for t in y) + b*sum(f for t in y)",
         "a, b free of t", "sums over tokens are linear; counting the tokens gives the length",
         (TokenSum,), _find_linear,
         lambda terms, t, y: TokenSum(Add(*(c * e for c, e in terms)), t, y),
         lambda terms, t, y: Add(*(c * _sum_of(e, t, y) for c, e in terms)), _terms_split),
    Rule("index_name", "token", "sum(e(s) for s in y) = sum(e(t) for t in y)",
         "t not in e", "the name of a bound index does not matter",
         BINDERS, _find_index_name,
         lambda kind, body, old, new, *y: kind(body, old, *y),
         lambda kind, body, old, new, *y: kind(rename_index(body, old, new), new, *y),
         _same_kind_and_new),
    # -- the vocabulary
    Rule("kl_definition", "vocab",
         "kl(p, q, y, t) = sum(p*log(p) for v in vocab) - sum(p*log(q) for v in vocab)", "",
         "definition of the Kullback-Leibler divergence at a position",
         (Divergence,), _unary, lambda *args: Divergence(*args), _kl_written_out),
    Rule("entropy_definition", "vocab", "entropy(p, y, t) = -sum(p*log(p) for v in vocab)", "",
         "definition of the entropy at a position",
         (Entropy,), _unary, lambda *args: Entropy(*args), _entropy_written_out),
    Rule("vocab_sum_linear", "token",
         "sum(a*e + b*f for v in vocab) = a*sum(e for v in vocab) + b*sum(f for v in vocab)",
         "a, b free of v", "sums over the vocabulary are linear",
         (VocabSum,), _find_linear,
         lambda terms, v: VocabSum(Add(*(c * e for c, e in terms)), v),
         lambda terms, v: Add(*(c * VocabSum(e, v) for c, e in terms)), _terms_split),
    Rule("total_probability", "token", "sum(pi(y, t, v) for v in vocab) = 1", "",
         "probabilities over the vocabulary sum to one",
         (VocabSum,), _find_total, lambda p, y, t, v: VocabSum(VocabProb(p, y, t, v), v),
         lambda p, y, t, v: S.One),
    Rule("kl_self", "token", "kl(p, p, y, t) = 0", "", "a divergence from itself is zero",
         (Divergence,), lambda node: tuple(node.args[1:]) if node.args[0] == node.args[1] else None,
         lambda p, y, t: Divergence(p, p, y, t), lambda p, y, t: S.Zero),
    # -- exponentials
    Rule("probability_exp", "exponential", "pi(y) = exp(sum(log(pi(y, t)) for t in y))", "",
         "chain rule: a response's probability is the product of its tokens'",
         (Prob,), _unary, lambda p, y: Prob(p, y), lambda p, y: Exp(_log_probability(p, y))),
    Rule("token_product_exp", "exponential", "prod(e for t in y) = exp(sum(log(e) for t in y))",
         "e > 0", "a product over tokens is the exponential of a sum",
         (TokenProd,), lambda node: tuple(node.args) if is_positive(node.args[0]) else None,
         lambda e, t, y: TokenProd(e, t, y), lambda e, t, y: Exp(TokenSum(Log(e), t, y)),
         lambda e, t, y: is_positive(e)),
    Rule("power_exp", "exponential", "b**e = exp(e*log(b))", "b > 0",
         "a power is the exponential of a logarithm",
         (Pow,), _find_power, lambda b, e: Pow(b, e), lambda b, e: Exp(e * Log(b)),
         lambda b, e: is_positive(b)),
    Rule("exp_product", "exponential", "exp(a)**j*exp(b)**k = exp(j*a + k*b)", "",
         "product of exponentials",
         (Mul, Pow), _find_exp_product,
         lambda exps, other: Mul(other, *(Pow(Exp(a), k) for a, k in exps)),
         lambda exps, other: Mul(other, Exp(Add(*(k * a for a, k in exps))))),
    Rule("exp_zero", "exponential", "exp(0) = 1", "", "the exponential of zero is one",
         (Exp,), lambda node: () if node.args[0] == 0 else None,
         lambda: Exp(S.Zero), lambda: S.One),
    Rule("exp_log", "exponential", "exp(c*log(x) + r) = x**c*exp(r)", "c rational, x > 0",
         "the exponential undoes the logarithm",
         (Exp,), _find_exp_log,
         lambda powers, rest: Exp(Add(rest, *(c * Log(x) for x, c in powers))), _exp_log_right),
    Rule("sigmoid_reflection", "exponential", "sigmoid(-x) = 1 - sigmoid(x)", "",
         "reflection of the logistic function",
         (Sigmoid,), _find_reflection, lambda x: Sigmoid(-x), lambda x: 1 - Sigmoid(x)),
    Rule("sigmoid_logsigmoid", "stable", "sigmoid(x) = exp(logsigmoid(x))", "",
         "definition of the log-sigmoid",
         (Sigmoid,), _unary, lambda x: Sigmoid(x), lambda x: Exp(LogSigmoid(x))),
    Rule("stop_gradient_exp", "stable", "sg(x*exp(a)) = sg(x)*exp(sg(a))", "",
         "a stopped gradient is one of each part",
         (StopGradient,), _find_stopped_exp, lambda x, a: StopGradient(x * Exp(a)),
         lambda x, a: (x if x.is_Number else StopGradient(x)) * Exp(StopGradient(a))),
    Rule("logistic_share", "stable", "log(exp(a) + exp(b)) = a - logsigmoid(a - b)", "",
         "definition of the log-sigmoid",
         (Log,), _find_log_of_two, lambda a, b: Log(Exp(a) + Exp(b)),
         lambda a, b: a - LogSigmoid(a - b)),
    Rule("log_sum_share", "stable", "log(c*exp(a) + d*exp(b)) = a + log(c + d*exp(b - a))", "",
         "the exponential of a taken out of the sum",
         (Log,), _find_share, lambda total, a: Log(total), _share_right),
    Rule("log_extremum", "stable", "log(max(a, b)) = max(log(a), log(b)), and min alike",
         "a, b > 0", "the logarithm grows with its argument",
         (Log,), _find_log_extremum, lambda kind, *xs: Log(kind(*xs)),
         lambda kind, *xs: kind(*map(Log, xs)),
         lambda kind, *xs: kind in (Max, Min) and all(map(is_positive, xs))),
    Rule("step_log", "stable", "step(a - b) = step(log(a) - log(b))", "a, b > 0",
         "the logarithm grows with its argument",
         (Step,), _find_step_log, lambda a, b: Step(a - b), lambda a, b: Step(Log(a) - Log(b)),
         lambda a, b: is_positive(a) and is_positive(b)),
    Rule("logsigmoid_reflection", "exponential", "logsigmoid(-x) = logsigmoid(x) - x", "",
         "reflection of the log-sigmoid",
         (LogSigmoid,), _find_reflection, lambda x: LogSigmoid(-x), lambda x: LogSigmoid(x) - x),
    *FIELD,
    *SERIES,
    *MAXIMA,
    *STEPS,
    *COUNTING,
    *INWARD,
)

RULES: dict[str, Rule] = {rule.name: rule for rule in ROWS}


def phase(*names: str) -> tuple[Rule, ...]:
    """The rules of these phases, in table order."""
    return tuple(rule for rule in ROWS if rule.phase in names)


def reason(name: str) -> str:
    """Why a step of this name holds, in words."""
    return _NOT_ROWS.get(name) or RULES[name].reason
