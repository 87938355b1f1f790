"""Which priors have a finite mass over all strings: a rule a shape, with its bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from sympy import Add, Expr, Mul, Rational, S, Symbol

from midpo.numeric.figures import figure
from midpo.numeric.trees import VOCABULARY
from midpo.proofs.audit.words import (
    ENOUGH,
    EXCESS,
    GAIN,
    GROWTH,
    MAXIMUM,
    MOST,
    PERPLEXITY,
    RHO,
    STOPPING,
    STRINGS,
    VARIATION,
    VOCABULARY_SIZE,
    bracketed,
    compared,
    exponential,
    mean_length,
    prior_less,
    shown,
    stopped,
    symbol,
    times,
)
from midpo.symbolic.domains.intervals import REAL, plain_value
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Hole, Told, joined, proved, told, undecided
from midpo.symbolic.language.building import power
from midpo.symbolic.language.nodes import (
    POLICY,
    RESPONSE,
    Divergence,
    Entropy,
    Exp,
    Feature,
    Length,
    Log,
    Parameter,
    Prob,
)
from midpo.symbolic.language.signs import is_nonnegative
from midpo.symbolic.loss import is_constant

from .calculus import same, sequence_form
from .shape import Shape, shape_of
from .side import PriorSide

LARGE_VOCABULARY, STOP = 50_000, 0.01  # of the uniform example
_IS_ONE = "the mass is 1"


@dataclass(frozen=True)
class Bound:
    """A rule's verdict ("finite", "infinite", "conditional", "can diverge"), and its sentence."""

    verdict: str
    sentence: str
    standing: Told
    limit: float = math.inf  # of every partial sum over VOCABULARY tokens
    coq: tuple[str, ...] = ()  # keys of rocq_library.THEOREMS


def rule(side: PriorSide) -> Bound | None:
    """What the rules say of the mass of zeta; None where none applies."""
    mixture = _mixture(side)
    if mixture is not None:
        return mixture
    shape = shape_of(side)
    if shape is None:
        return None
    found = _of_shape(side, shape)
    return found if found is None or shape.shift == 0 else _scaled(found, shape.shift)


def _scaled(found: Bound, shift: Expr) -> Bound:
    """What a rule says of zeta/c is told of zeta, c = exp(shift)."""
    factor = _exponential(shift)
    c = shown(factor)
    limit = found.limit * float(factor) if isinstance(factor, Rational) else math.inf
    if found.sentence == _IS_ONE:
        return replace(found, sentence=told("the mass is {}: a factor times a probability", c), limit=limit)
    wrapped = c if isinstance(factor, (Rational, Symbol)) else bracketed(c)
    return replace(
        found,
        sentence=told(
            "{} times the mass of {}, of which holds: {}", wrapped, prior_less(wrapped), found.sentence
        ),
        limit=limit,
    )


def _exponential(shift: Expr) -> Expr:
    """exp(shift), with logarithms and powers of them undone."""
    powers: list[Expr] = []
    rest: list[Expr] = []
    for term in Add.make_args(shift):
        weight, node = term.as_independent(Log)
        if isinstance(node, Log):
            powers.append(power(node.args[0], weight))
        else:
            rest.append(term)
    return Mul(*powers, *([Exp(Add(*rest))] if rest else []))


def _of_shape(side: PriorSide, shape: Shape) -> Bound | None:
    if not shape.exponents and not shape.laws:
        return _counting(shape)
    exponents = list(shape.exponents.values())
    if any(e.has(Length) for e in exponents):
        return _response_exponents(shape)
    if any(e.atoms(Feature) for e in exponents):
        return _masks(shape)
    return _constant_exponents(side, shape)


def _mixture(side: PriorSide) -> Bound | None:
    """zeta as a combination of probabilities with constant coefficients: its mass is their sum."""
    terms = Add.make_args(side.expr.expand() if side.expr.is_Mul else side.expr)
    coefficients = []
    for term in terms:
        factor, rest = term.as_independent(Prob)
        if not isinstance(rest, Prob) or not is_constant(factor):
            return None
        coefficients.append(factor)
    if not all(map(is_nonnegative, coefficients)):
        return None
    total = shown(Add(*coefficients))
    return Bound(
        "finite",
        told("the mass is {}: a combination of probabilities", total),
        proved("the masses of the terms add up"),
    )


def _counting(shape: Shape) -> Bound:
    growth = shape.growth
    extra = " (times a bounded score)" if shape.bounded else ""
    if growth == 0:
        return Bound(
            "infinite",
            f"the counting measure{extra}: every string weighs the same, and the mass "
            "is infinite; a greatest length is a silent assumption",
            proved("there are infinitely many strings"),
        )
    return Bound(
        "conditional",
        told("finite iff {}, V the vocabulary with EOS", compared(shown(growth), "<", ENOUGH)),
        proved("{} strings of n tokens", STRINGS),
    )


def _response_exponents(shape: Shape) -> Bound | None:
    """Exponents that depend on the length: Hoelder for each length, or the perplexity bound."""
    n = Length(RESPONSE)
    if shape.laws or shape.growth != 0:
        return None
    total = shape.weights
    if list(shape.exponents) == [POLICY] and same(shape.exponents[POLICY], 1 - 1 / n):
        sharp = perplexity_constant()
        return Bound(
            "finite",
            told(
                "always finite: the mass is the expected perplexity {}, at most {} for every policy",
                PERPLEXITY,
                MOST,
            ),
            proved(
                "power means over the strings of a length; the sharp constant is {} (numerical)",
                times(f"{sharp:.4f}", VOCABULARY_SIZE),
            ),
            sharp * VOCABULARY,
            ("normalisable-simpo",),
        )
    fractions = all(_fraction(e) for e in shape.exponents.values())
    if fractions and same(total, S.One):
        count = len(shape.exponents)
        return Bound(
            "finite",
            f"always finite: the mass is at most {count}",
            proved(f"a weighted geometric mean of {count} probabilities is at most their weighted mean"),
            float(count),
        )
    return None


def _fraction(exponent: Expr) -> bool:
    """Whether 0 <= exponent <= 1 is seen for n >= 1: 1/n, 1 - 1/n and constants between."""
    n = Length(RESPONSE)
    if same(exponent, 1 / n) or same(exponent, 1 - 1 / n):
        return True
    inside = is_nonnegative(exponent) and is_nonnegative(sequence_form(1 - exponent))
    return is_constant(exponent) and inside


def _masks(shape: Shape) -> Bound:
    """Exponents that are features: masks."""
    if any(node.has(POLICY) and not _falls(w, node) for w, node in shape.laws):
        lead = "can diverge"
        ratio = told(
            "with constant weights and the same law after every prefix, a token multiplies the "
            "mass of the strings of a length by {}, {} the probability to stop: it diverges where "
            "{} exceeds {}",
            GROWTH,
            RHO,
            GAIN,
            STOPPING,
        )
        coq: tuple[str, ...] = ()
        if _corrected(shape):
            ratio = told(
                "{}; with weights that see only the tokens before, a step's factors sum to at least 1", ratio
            )
            coq = ("step-tis-dpo",)
        return Bound(
            lead,
            ratio,
            proved("a product over independent tokens; for other policies {}", Standing.UNDECIDED),
            coq=coq,
        )
    one = same(shape.weights, S.One)
    if not one:
        return Bound("can diverge", "the exponents do not sum to one: masks decide", undecided())
    extra = "; the divergences can only lower it" if shape.laws else ""
    return Bound(
        "conditional",
        told(
            "masks in [0, 1] that see only the tokens before: at most 1. Masks that see the token: "
            "a factor of up to {} a token, and masks above 1 up to more: it can diverge{}",
            EXCESS,
            extra,
        ),
        proved("Hölder's inequality at each token; {} sums to {}", MAXIMUM, VARIATION),
        coq=("step-sparsepo",),
    )


def _corrected(shape: Shape) -> bool:
    """Whether a token's factor is pi*(ref/pi)**w*exp(w*KL(pi || ref)), of mass at least 1."""
    if len(shape.laws) != 1 or not same(shape.weights, S.One):
        return False
    ((weight, law),) = shape.laws
    if not isinstance(law, Divergence) or set(shape.exponents) != set(law.args[:2]):
        return False
    return same(shape.exponents[law.args[1]], weight)


def _falls(weight: Expr, node: Expr) -> bool:
    """Whether exp(weight * divergence) is seen to be at most 1, features taken as nonnegative."""
    positive = {f: Parameter("w", "positive") for f in weight.atoms(Feature) if f.domain == REAL}
    return isinstance(node, (Divergence, Entropy)) and is_nonnegative(
        sequence_form(-weight.xreplace(positive))
    )


def _constant_exponents(side: PriorSide, shape: Shape) -> Bound | None:
    """Hoelder's inequality: nonnegative exponents that sum to at least one give mass at most 1;
    what is beyond is told by the uniform case."""
    rising = [(w, d) for w, d in shape.laws if not _falls(w, d)]
    conditions: list[Hole] = []
    for exponent in shape.exponents.values():
        sign = _sign_condition(exponent)
        if sign is None:
            return None
        if sign:
            conditions.append(sign)
    above = _sign_condition(sequence_form(shape.weights - 1))
    if above is None:
        return None
    conditions += [above] if above and above not in conditions else []
    growth = _sign_condition(-shape.growth) if shape.growth != 0 else ""
    if growth is None:
        return None
    conditions += [growth] if growth else []
    if rising:
        (weight, law), *_ = rising
        return Bound(
            "can diverge",
            told(
                "can diverge: {} a token; with the same law after every prefix it diverges where "
                "that divergence exceeds {}, {} the probability to stop",
                exponential(shown(weight), shown(law)),
                STOPPING,
                RHO,
            ),
            proved("a product over independent tokens"),
        )
    inequality = "Hölder's inequality at each token, and no factor exceeds 1"
    if len(shape.exponents) == 1 and same(shape.weights, S.One) and not shape.laws:
        inequality = (
            "a probability times factors of at most 1" if shape.growth != 0 else "it is a probability"
        )
    if not conditions:
        exact = (
            len(shape.exponents) == 1
            and same(shape.weights, S.One)
            and not shape.laws
            and shape.growth == 0
            and not shape.bounded
        )
        return Bound(
            "finite",
            _IS_ONE
            if exact
            else "the mass is at most 1" + (" (times a bounded score)" if shape.bounded else ""),
            proved(inequality),
            math.inf if shape.bounded else 1.0,
            _in_coq(shape),
        )
    in_coq = _in_coq(shape)
    listed = joined(" and ", list(dict.fromkeys(conditions)))
    beyond = _beyond(side, shape)
    return Bound(
        "conditional",
        told("at most 1 if {}; otherwise it can diverge{}", listed, beyond),
        proved("{}; the example beyond: {}", inequality, Standing.COMPUTED),
        coq=in_coq,
    )


def _in_coq(shape: Shape) -> tuple[str, ...]:
    """The theorem of the library for one law under a length penalty, a divergence or a power of
    the policy."""
    reference = [p for p, e in shape.exponents.items() if p != POLICY and same(e, S.One)]
    if (
        set(shape.exponents) == {POLICY, *reference}
        and len(reference) == 1
        and not (shape.laws or shape.bounded or shape.growth != 0)
    ):
        return ("normalisable-entropy",)
    if len(shape.exponents) != 1 or not same(shape.weights, S.One) or shape.bounded:
        return ()
    if shape.growth != 0:
        return () if shape.laws else ("normalisable-rdpo",)
    return ("normalisable-tdpo",) if shape.laws else ()


def _sign_condition(expr: Expr) -> Hole | None:
    """ "" where expr >= 0 is seen; a condition on a parameter where it is linear in one; None."""
    if is_nonnegative(expr) or expr == 0:
        return ""
    solved = linear(expr)
    if solved is None:
        return None
    parameter, root, rises = solved
    if root not in parameter.domain:
        inside = Rational(plain_value(parameter.domain))
        return "" if bool(expr.xreplace({parameter: inside}) >= 0) else None
    return compared(symbol(parameter.name), "≥" if rises else "≤", shown(root))


def linear(expr: Expr) -> tuple[Parameter, Expr, bool] | None:
    """(parameter, root, whether it rises) of an expression that is linear in its one parameter."""
    found = sorted(expr.atoms(Parameter), key=str)
    if len(found) != 1 or not is_constant(expr):
        return None
    (name,) = found
    try:
        shift = sequence_form(expr.xreplace({name: S.Zero}))
        slope = sequence_form(expr.xreplace({name: S.One}) - shift)
    except MidpoError:
        return None
    if not slope.is_Rational or not shift.is_Rational or slope == 0:
        return None
    return (name, -shift / slope, bool(slope > 0)) if same(slope * name + shift, expr) else None


def _beyond(side: PriorSide, shape: Shape) -> str:
    """The exact condition where policy and reference are uniform and stop with probability rho:
    finite iff s*(log V + eps) > log V + b, eps = -log(1 - rho)."""
    log_v, eps = math.log(LARGE_VOCABULARY), -math.log(1 - STOP)
    total = linear(shape.weights)
    example = told("V = {}, {}", str(LARGE_VOCABULARY), compared(RHO, "=", STOP))
    if shape.growth == 0 and total is not None:
        parameter, root, rises = total
        # weights = +-k*(parameter - root): solve weights = log V/(log V + eps).
        slope = float(shape.weights.xreplace({parameter: root + 1}))
        limit = float(root) + log_v / (log_v + eps) / slope
        sign = ">" if rises else "<"
        return told(
            ": for uniform policies over V tokens that stop with probability {} it is finite iff {} ({}){}",
            RHO,
            compared(symbol(parameter.name), sign, figure(limit, 6)),
            example,
            _optimum_limit(side, log_v, eps),
        )
    if shape.growth != 0 and same(shape.weights, S.One):
        growth = shown(shape.growth)
        return told(
            ": it is {}, for lengths that stop with probability {} finite iff {}, so {} at {}",
            mean_length(growth),
            RHO,
            stopped(growth),
            compared(growth, "<", f"{eps:.5f}"),
            compared(RHO, "=", STOP),
        )
    return ""


def _optimum_limit(side: PriorSide, log_v: float, eps: float) -> str:
    """The same for the optimum of a prior g*pi**c: it is proportional to
    (g*exp(r/alpha))**(1/(1 - c))."""
    shape = shape_of(side)
    assert shape is not None
    own = shape.exponents.get(POLICY, S.Zero)
    others = Add(*(e for p, e in shape.exponents.items() if p != POLICY))
    solved = linear(1 - own)
    if solved is None or not same(others, S.One):
        return ""
    parameter, root, rises = solved
    slope = float((1 - own).xreplace({parameter: root + 1}))
    # finite iff 1/(1 - c) > log V/(log V + eps), 1 - c = slope*(parameter - root) > 0
    limit = float(root) + (1 + eps / log_v) / slope
    sign = "<" if rises else ">"
    return told("; the optimum's own Z iff {}", compared(symbol(parameter.name), sign, figure(limit, 6)))


@lru_cache(maxsize=1)
def perplexity_constant() -> float:
    """The largest sum over n of P_n**(1 - 1/n) for lengths with law P: stationary points have
    P_n = ((1 - 1/n)/c)**n, n >= 2, with c from the total; n = 1 contributes 1."""
    n = np.arange(2.0, 4000.0)

    def law(c: float) -> Any:
        return np.exp(n * (np.log1p(-1 / n) - math.log(c)))

    low, high = 1.0, 10.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if law(middle).sum() > 1 else (low, middle)
    return float(1 + (law(high) ** (1 - 1 / n)).sum())
