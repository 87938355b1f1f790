"""Logarithms of sums over the vocabulary of products of powers of probabilities.

With e_v = a*log p_v + b*log q_v + c, log(sum over v of exp(e_v)) = M + log(sum of exp(e_v - M)) for
any M: counted from the largest e_v, no term is infinite and one of them is 1, however far the
logits reach. Its derivative in e_v is the probability w_v = exp(e_v - log(sum)) of the tilted
policy, and the sum of all w_v is 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sympy import Add, Expr, Integer, Mul, Rational, S

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.language.nodes import Entropy, Exp, Index, Log, Max, Sqrt, VocabProb, VocabSum
from midpo.symbolic.language.signs import is_nonnegative, is_positive

from .derivatives import is_log_probability

PLAIN_POWER = 4
"""The sum of p**a over a vocabulary of V entries is at least V**-a: up to this a it is a number of
float32 for every vocabulary, and is summed as it is."""


LEAST = Integer(-(10**30))
"""Below the logarithm of every probability but 0."""


@dataclass(frozen=True)
class Tilt:
    """`exponent` is e_v; `counted` the sum of the log-probabilities of those policies whose power
    is a factor by itself: an entry at which it is -inf adds nothing, whatever the others are. A
    `surprise` is an entropy, the sum of -p*log p: its `exponent` is log p alone."""

    exponent: Expr
    counted: Expr
    surprise: bool = False

    def renamed(self, table: Mapping[Any, Any]) -> Tilt:
        return Tilt(self.exponent.xreplace(table), self.counted.xreplace(table), self.surprise)


def is_log_sum(expr: Expr) -> bool:
    """Whether `expr` is the logarithm of such a sum, or of an entropy."""
    if not isinstance(expr, Log) or not isinstance(expr.args[0], (Entropy, VocabSum)):
        return False
    return tilt(expr.args[0]) is not None


@lru_cache(maxsize=4096)
def tilt(total: VocabSum | Entropy) -> Tilt | None:
    """The exponent of what `total` sums; None where it is no such product, or where the sum needs
    no maximum."""
    if isinstance(total, Entropy):
        entry = VocabProb(*total.args, Index("v", position=False))
        return Tilt(Log(entry), S.Zero, surprise=True)
    body, index = total.args
    factors = Mul.make_args(body)
    found = [_logarithm(factor, index) for factor in factors]
    logs = [log for log in found if log is not None]
    if len(logs) < len(factors):
        return None
    slopes: dict[Expr, Expr] = {}
    constant: Expr = S.Zero
    for term in Add.make_args(expand(Add(*logs))):
        moving = [f for f in Mul.make_args(term) if index in f.free_symbols]
        if not moving:
            constant += term
        elif len(moving) == 1 and is_log_probability(moving[0]):
            slopes[moving[0]] = slopes.get(moving[0], S.Zero) + term / moving[0]
        else:
            return None
    slopes = {log: slope for log, slope in slopes.items() if slope != 0}
    if not slopes or (constant == 0 and len(slopes) == 1 and all(map(_is_plain, slopes.values()))):
        return None
    own = [log for f, log in zip(factors, logs, strict=True) if not isinstance(f, Exp)]
    exponent = Add(*(slope * log for log, slope in slopes.items()), constant)
    return Tilt(
        exponent,
        Add(
            *(
                log
                for one in own
                for log in one.atoms(Log)
                if is_log_probability(log) and index in log.free_symbols
            )
        ),
    )


def is_unbounded(total: VocabSum) -> bool:
    """Whether `total` sums terms that grow beyond all bounds where a probability falls, as do those
    with a quotient of probabilities: by a probability that rounds to 0 nothing is divided."""
    found = tilt(total)
    terms = Add.make_args(found.exponent) if found is not None else ()
    logs = [(t, [f for f in Mul.make_args(t) if is_log_probability(f)]) for t in terms]
    return any(len(inner) == 1 and not is_nonnegative(term / inner[0]) for term, inner in logs)


def _is_plain(slope: Expr) -> bool:
    return isinstance(slope, Rational) and 0 < slope <= PLAIN_POWER


def _logarithm(factor: Expr, index: Index) -> Expr | None:
    """The logarithm of a factor that is positive, in logarithms of probabilities."""
    if index not in factor.free_symbols:
        return Log(factor) if is_positive(factor) else None
    if isinstance(factor, VocabProb):
        return Log(factor)
    if isinstance(factor, Exp):
        return factor.args[0]
    if isinstance(factor, Sqrt):
        base, exponent = factor.args[0], Rational(1, 2)
    else:
        base, exponent = factor.as_base_exp()
    if base == factor or index in exponent.free_symbols:
        return None
    inner = [_logarithm(part, index) for part in Mul.make_args(base)]
    known = [log for log in inner if log is not None]
    return exponent * Add(*known) if len(known) == len(inner) else None


def in_logarithms(expr: Any) -> Any:
    """What a sum over the vocabulary adds, where differentiation would divide by an entry's
    probability that rounds to 0: roots and quotients of probabilities as exponentials, and
    logarithms of their sums as those of sums of exponentials."""
    if not expr.args or not expr.has(VocabProb):
        return expr
    if isinstance(expr, Log) and isinstance(expr.args[0], Add):
        return Log(_exponentials(expr.args[0]))
    exponent: Expr = S.Zero
    rest: list[Expr] = []
    for factor in Mul.make_args(expr):
        base, power = (factor.args[0], Rational(1, 2)) if isinstance(factor, Sqrt) else factor.as_base_exp()
        inner = None if power.is_Integer and power > 0 else _known(base)
        if inner is None:
            rest.append(_within(factor) if factor == expr else in_logarithms(factor))
        else:
            exponent += power * inner
    return Mul(*rest) if exponent == 0 else Mul(*rest, Exp(exponent))


def _within(expr: Any) -> Any:
    if not expr.args or isinstance(expr, VocabProb):
        return expr
    return rebuild(expr, [in_logarithms(arg) for arg in expr.args])


def _known(base: Expr) -> Expr | None:
    """The logarithm of a product of probabilities and positive sums of them."""
    if isinstance(base, Add):
        found = _exponentials(base)
        return Log(found) if is_positive(found) and found != base else None
    logs = [_logarithm_of_entry(part) for part in Mul.make_args(base)]
    known = [log for log in logs if log is not None]
    return Add(*known) if len(known) == len(logs) else None


def _logarithm_of_entry(factor: Expr) -> Expr | None:
    base, power = factor.as_base_exp()
    if isinstance(base, VocabProb):
        return power * Log(base)
    return _known(base) if isinstance(base, Add) and factor == base else None


def _exponentials(total: Expr) -> Expr:
    """A sum of products of probabilities, each as an exponential. What every policy gives no
    probability counts as LEAST, of which differences are numbers."""
    return total.xreplace({p: Exp(Max(Log(p), LEAST)) for p in total.atoms(VocabProb)})
