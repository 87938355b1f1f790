"""Rows of RULES for sizes that only their logarithms tell: factors that a maximum, an absolute value
or a power of a sum takes in, so that quotients of probabilities are functions of differences of
their logarithms; entropies; and divergences of policies that are nearly equal.
"""

from __future__ import annotations

from sympy import Add, Expr, Mul, Pow, S

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.nodes import (
    Abs,
    Entropy,
    Exp,
    Log,
    LogSigmoid,
    Max,
    Min,
    Relu,
    TokenProb,
    TokenSum,
    VocabProb,
    VocabSum,
    structural,
)
from midpo.symbolic.language.signs import is_nonnegative, is_positive

from .rule import Parts, Rule

HOMOGENEOUS = (Max, Min, Abs, Relu)
MAX_SIZES = 8  # exponents of which a maximum is taken
_SIZES = (Log, LogSigmoid, Max, Min)  # what makes an exponent of a quotient


def _degree(factor: Expr) -> Expr | None:
    """The k for which a factor takes in a positive c as c**(1/k), else None."""
    if isinstance(factor, HOMOGENEOUS):
        return S.One
    if not isinstance(factor, Pow):
        return None
    base, exponent = factor.args
    if isinstance(base, Add) and exponent.is_Integer and exponent != 0:
        return exponent
    if is_nonnegative(base) and is_positive(exponent) and _degree(base) == 1:
        return exponent
    return None


def _times(expr: Expr, scale: Expr) -> Expr:
    """`expr` times a positive scale, which each of its terms takes in."""
    if isinstance(expr, Add):
        return Add(*(_times(term, scale) for term in expr.args))
    if isinstance(expr, HOMOGENEOUS):
        return expr.func(*(_times(arg, scale) for arg in expr.args))
    for factor in Mul.make_args(expr) if isinstance(expr, Mul) else ():
        if isinstance(factor, HOMOGENEOUS):
            return expr / factor * _times(factor, scale)
    return expr * scale


def _terms(expr: Expr) -> list[Expr]:
    """The terms of what a factor is a function of, those inside its own maxima too."""
    if isinstance(expr, Pow):
        return _terms(expr.base)
    if isinstance(expr, (Add, *HOMOGENEOUS)):
        return [term for arg in expr.args for term in _terms(arg)]
    for factor in Mul.make_args(expr):
        if isinstance(factor, HOMOGENEOUS):
            return _terms(factor)
    return [expr] if expr != 0 else []


def _exponent(term: Expr) -> Expr:
    return Add(*(f.args[0] for f in Mul.make_args(term) if isinstance(f, Exp)))


def _find_inward(node: Mul) -> Parts | None:
    """An exponential whose exponent has to do with those inside another factor."""
    scales = [f for f in node.args if isinstance(f, Exp)]
    if len(scales) != 1:
        return None
    (a,) = scales[0].args
    for factor in sorted(node.args, key=structural):
        degree = _degree(factor)
        terms = _terms(factor) if degree is not None else []
        if degree is None or not any(term.has(Exp) for term in terms):
            continue
        share = expand(a / degree)
        grown = [_exponent(term) for term in terms]
        if any(_related(share, one) for one in grown if one != 0) and (
            all(one != 0 for one in grown) or _bounded(share)
        ):
            return a, degree, factor, Mul(*(f for f in node.args if f not in (factor, scales[0])))
    return None


def _related(a: Expr, b: Expr) -> bool:
    """Whether a + b has fewer terms than both, or sizes of b are taken from it."""
    spoken = b.atoms(TokenSum) or b.atoms(TokenProb)
    sizes = [s for term in Add.make_args(a) for s in Mul.make_args(term) if isinstance(s, _SIZES)]
    return any(not spoken.isdisjoint(s.atoms(TokenSum, TokenProb)) for s in sizes) or (
        len(Add.make_args(expand(a + b))) < len(Add.make_args(a)) + len(Add.make_args(b))
    )


def _bounded(a: Expr) -> bool:
    """Whether exp(a) is a quotient by sums: a 1 in it becomes a number of at most their size."""
    return all(
        any(isinstance(f, _SIZES) and f.has(TokenProb) for f in Mul.make_args(term))
        for term in Add.make_args(a)
    )


def _inward_left(a: Expr, degree: Expr, factor: Expr, rest: Expr) -> Expr:
    return Mul(rest, Exp(a), factor)


def _inward_right(a: Expr, degree: Expr, factor: Expr, rest: Expr) -> Expr:
    scale = Exp(expand(a / degree))
    if isinstance(factor, Pow):
        return rest * Pow(_times(factor.base, scale), factor.exp)
    return rest * _times(factor, scale)


def _inward_holds(a: Expr, degree: Expr, factor: Expr, rest: Expr) -> bool:
    return bool(degree == _degree(factor))


def _find_share(node: Exp) -> Parts | None:
    """(scale, sum, a, rest) of exp(rest + scale*log(sum)) where the rest less scale*a is shorter, a
    the exponent of a term of the sum, in probabilities."""
    terms = Add.make_args(node.args[0])
    for term in terms:
        logs = [f for f in Mul.make_args(term) if isinstance(f, Log) and isinstance(f.args[0], Add)]
        if len(logs) != 1:
            continue
        total, scale = logs[0].args[0], term / logs[0]
        rest = Add(*(t for t in terms if t != term))
        for summand in sorted(total.args, key=structural):
            a = _exponent(summand)
            wanted = {expand(-scale * t) for t in Add.make_args(a)}
            if a.has(TokenProb) and wanted <= set(Add.make_args(rest)):
                return scale, total, a, rest
        if (a := _of_degree_zero(scale, total, rest)) is not None:
            return scale, total, a, rest
    return None


def _of_degree_zero(scale: Expr, total: Expr, rest: Expr) -> Expr | None:
    """The exponent of the sum that the rest has most of, where the rest takes in all as many times
    the exponents of the sum as the logarithm counts: (a + b)/2 - log(exp(a) + exp(b))."""
    counts = dict(reversed(term.as_coeff_Mul()) for term in Add.make_args(rest))
    found: dict[Expr, Expr] = {}
    for a in map(_exponent, total.args):
        number, core = a.as_coeff_Mul()
        if not isinstance(core, Add) and core.has(TokenProb) and core in counts:
            found[a] = counts[core] / number
    if not found or Add(*found.values()) != -scale:
        return None
    return max(found, key=lambda a: (abs(found[a]), structural(a)))


def _share_right(scale: Expr, total: Expr, a: Expr, rest: Expr) -> Expr:
    shared = Add(*(_divided(term, a) for term in total.args))
    return Exp(expand(rest + scale * a) + scale * Log(shared))


def _divided(term: Expr, a: Expr) -> Expr:
    exponent = expand(_exponent(term) - a)
    rest = Mul(*(f for f in Mul.make_args(term) if not isinstance(f, Exp)))
    return rest if exponent == 0 else rest * Exp(exponent)


def _find_largest_share(node: Exp) -> Parts | None:
    """(scale, kind, sizes, a, rest) of exp(rest + scale*max(a, ...)) where the rest takes scale*a
    away."""
    terms = Add.make_args(node.args[0])
    for term in terms:
        sizes = [f for f in Mul.make_args(term) if isinstance(f, (Max, Min))]
        if len(sizes) != 1:
            continue
        scale, rest = term / sizes[0], Add(*(t for t in terms if t != term))
        for a in sizes[0].args:
            wanted = {expand(-scale * t) for t in Add.make_args(a)}
            if a.has(TokenProb) and wanted <= set(Add.make_args(rest)):
                return scale, type(sizes[0]), tuple(sizes[0].args), a, rest
    return None


def _largest_share_right(scale: Expr, kind: type, sizes: Parts, a: Expr, rest: Expr) -> Expr:
    return Exp(expand(rest + scale * a) + scale * kind(*(expand(x - a) for x in sizes)))


def _find_size(node: Log) -> Parts | None:
    """What a logarithm is taken of, where maxima and such of exponentials are parts of it, and the
    exponents."""
    (inside,) = node.args
    if not any(kind.has(Exp) for kind in inside.atoms(Abs, Relu, Max, Min)):
        return None
    exponents = {_exponent(term) for term in _terms(inside)}
    if not 2 <= len(exponents) <= MAX_SIZES or any(e.has(Max) for e in exponents):
        return None
    if not any(e.has(TokenProb) for e in exponents):
        return None
    return inside, tuple(sorted(exponents, key=structural))


def _size_right(inside: Expr, exponents: Parts) -> Expr:
    largest = Max(*exponents)
    return largest + Log(_times(inside, Exp(-largest)))


def _find_entropy(node: Exp) -> Parts | None:
    (log,) = node.args
    inside = isinstance(log, Log) and isinstance(log.args[0], Entropy)
    return tuple(log.args[0].args) if inside else None


def _find_excess(node: VocabSum) -> Parts | None:
    body, index = node.args
    probabilities = [f for f in Mul.make_args(body) if isinstance(f, VocabProb)]
    grown = [t for f in Mul.make_args(body) if isinstance(f, Add) for t in f.args if isinstance(t, Exp)]
    if len(probabilities) != 1 or len(grown) != 1:
        return None
    return probabilities[0], grown[0].args[0], index


INWARD: tuple[Rule, ...] = (
    Rule(
        "exp_inward",
        "stable",
        "exp(a)*max(x, y) = max(x*exp(a), y*exp(a)), and min, abs, relu and x**k alike",
        "k whole, or x >= 0 and k > 0",
        "a maximum, an absolute value and a power take a positive factor in",
        (Mul,),
        _find_inward,
        _inward_left,
        _inward_right,
        _inward_holds,
    ),
    Rule(
        "exp_share",
        "stable",
        "exp(b + c*log(x*exp(a) + y)) = exp(b + c*a + c*log(x + y*exp(-a)))",
        "",
        "the exponential of a taken out of the sum",
        (Exp,),
        _find_share,
        lambda scale, total, a, rest: Exp(rest + scale * Log(total)),
        _share_right,
    ),
    Rule(
        "exp_largest_share",
        "stable",
        "exp(b + c*max(x, a)) = exp(b + c*a + c*max(x - a, 0)), and min alike",
        "",
        "what is taken from a maximum is taken from each of its arguments",
        (Exp,),
        _find_largest_share,
        lambda scale, kind, sizes, a, rest: Exp(rest + scale * kind(*sizes)),
        _largest_share_right,
        lambda scale, kind, *rest: kind in (Max, Min),
    ),
    Rule(
        "log_size",
        "stable",
        "log(max(x*exp(a), 0) + y*exp(b)) = c + log(max(x*exp(a - c), 0) + y*exp(b - c)), c = max(a, b)",
        "",
        "the largest exponential taken out of a logarithm",
        (Log,),
        _find_size,
        lambda inside, exponents: Log(inside),
        _size_right,
    ),
    Rule(
        "exp_log_entropy",
        "stable",
        "exp(log(entropy(p, y, t))) = entropy(p, y, t)",
        "not all probability is one entry's, or log(0) = -inf",
        "the exponential undoes the logarithm",
        (Exp,),
        _find_entropy,
        lambda *args: Exp(Log(Entropy(*args))),
        lambda *args: Entropy(*args),
    ),
    Rule(
        "vocab_excess",
        "stable",
        "sum(p*(exp(x) - 1) for v in vocab) = sum(p*exp(x) for v in vocab) - 1",
        "p the probability of v",
        "probabilities over the vocabulary sum to one",
        (VocabSum,),
        _find_excess,
        lambda p, x, v: VocabSum(p * (Exp(x) - 1), v),
        lambda p, x, v: VocabSum(p * Exp(x), v) - 1,
        lambda p, x, v: isinstance(p, VocabProb) and p.args[3] == v,
    ),
)
