"""A target taken apart: weight * link(margin) + term.

The margin is what the link acts on; where the loss does not name it, it is found as an argument
of one of the loss's functions, or as a repeated factor, such that with it eliminated the loss
speaks of nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, Poly, Pow, S, Symbol, factor_list, fraction, together

from midpo.numeric.crossing import find_nonpositive
from midpo.symbolic.algebra.factor import factors as factors_of
from midpo.symbolic.algebra.logistic import disguised
from midpo.symbolic.algebra.normal import form
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.algebra.separable import is_separated, pair_data
from midpo.symbolic.algebra.shapes import cancelled, shapes
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import (
    CHOSEN,
    MARGIN,
    POLICY,
    REJECTED,
    Exp,
    Feature,
    Further,
    Log,
    LogSigmoid,
    Max,
    Parameter,
    Sigmoid,
    Step,
    StopGradient,
    TokenSum,
    roles,
)
from midpo.symbolic.language.signs import is_positive
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import is_constant, logistic_form, target_loss
from midpo.symbolic.representable import fold

from .links import affine_logistic, linear
from .positive import positive_where


@dataclass(frozen=True)
class Parts:
    """weight * link(margin) + term, up to a positive factor: `link` None is the log-sigmoid one;
    `term` speaks of one response only; all in normal form, stopped gradients kept. `derived` says
    that the margin came from the loss by a theorem, and is not written in it. `scale` is a factor
    of the loss that no pair changes, where its sign is not known."""

    margin: Expr
    link: Expr | None = None
    term: Expr = S.Zero
    weight: Expr = S.One
    derived: bool = False
    scale: Expr = S.One


def readings(spec: Spec) -> Iterator[Parts]:
    """The ways to take the target apart into one margin and such parts, the plainest first."""
    term = S.Zero if spec.constraint is None else form(spec.multiplier * spec.constraint)
    if spec.margin is not None:
        yield Parts(form(spec.margin), _other_link(spec.link), term)
        return
    stated = target_loss(spec)
    logistic = logistic_form(stated) if spec.constraint is None else None
    if logistic is not None:
        yield Parts(form(logistic.margin))
        return
    loss = form(stated)
    found = _as_logistic(loss)
    if found is not None:
        yield found
        return
    hidden = [Parts(form(found.margin)) for found in disguised(loss)]
    yield from (parts for parts in hidden if is_separated(parts.margin))
    shaped = tuple(shapes(loss))
    yield from (parts for parts in map(_as_logistic, shaped) if parts is not None)
    for shape in (loss, *shaped):
        other = _of_one_response(spec, shape) or as_other_link(shape, spec.alpha)
        if other is not None:
            yield _linked(other)
    yield from (parts for parts in hidden if not is_separated(parts.margin))


def _other_link(link: Expr | None) -> Expr | None:
    """The stated link, or None where it is an affine log-sigmoid one (theorem 6)."""
    affine = None if link is None else affine_logistic(link)
    return None if affine is not None and is_positive(affine.slope) else link


def _linked(found: Parts) -> Parts:
    """The parts with an affine log-sigmoid link moved into the margin."""
    affine = None if found.link is None else affine_logistic(found.link)
    if affine is None:
        return found
    margin = form(affine.slope * found.margin + affine.offset)
    return replace(found, margin=margin, link=None, term=form(found.term / affine.factor))


def _as_logistic(loss: Expr) -> Parts | None:
    """A loss c*w*(-logsigmoid(m)) + A, with a constant c and a detached weight w whose signs can be
    positive."""
    coefficients: dict[Expr, Expr] = {}
    rest: list[Expr] = []
    for term in Add.make_args(loss):
        factors = Mul.make_args(term)
        logistic = [f for f in factors if isinstance(f, LogSigmoid)]
        if len(logistic) != 1:
            rest.append(term)
            continue
        margin = logistic[0].args[0]
        others = Mul(*(f for f in factors if f is not logistic[0]))
        mirrored = next((m for m in coefficients if is_zero(m + margin)), None)
        if mirrored is not None:  # logsigmoid(-m) = logsigmoid(m) - m
            coefficients[mirrored] += others
            rest.append(-others * mirrored)
        else:
            coefficients[margin] = coefficients.get(margin, S.Zero) + others
    if len(coefficients) != 1:
        return None
    ((margin, coefficient),) = coefficients.items()
    weight = form(-coefficient)
    term = form(Add(*rest))
    if positive_where(weight) is None:
        return None
    if is_constant(weight):
        scale = S.One if is_positive(weight) else weight
        term = form(term / weight)
        if is_constant(term):
            return Parts(margin, scale=scale)
        alone = len(roles(term)) <= 1 and not pair_data(term)
        return Parts(margin, None, term, scale=scale) if alone else None
    if not _detached(weight) or not is_constant(term):
        return None
    return Parts(margin, None, S.Zero, weight)


def _detached(weight: Expr) -> bool:
    """Whether no gradient reaches the policy through `weight`."""
    stopped = {node: Symbol("stopped", positive=True) for node in weight.atoms(StopGradient)}
    return POLICY not in substitute(weight, stopped).free_symbols


def _of_one_response(spec: Spec, loss: Expr) -> Parts | None:
    """A positive loss of one response alone: the log-sigmoid loss of -log(exp(L) - 1), which is a
    function of the chosen response, or minus one of the rejected (theorem 1)."""
    if roles(loss) not in ({CHOSEN}, {REJECTED}) or pair_data(loss):
        return None
    if find_nonpositive(spec, loss) is not None:
        return None
    return Parts(form(-Log(Exp(loss) - 1)), derived=True)


def as_other_link(loss: Expr, alpha: Expr) -> Parts | None:
    """A loss that is a function of one margin, plus a likelihood of one response: the margin is an
    argument of one of its functions or a repeated factor of it, and the loss with that eliminated
    speaks of nothing else."""

    def alone(role: Symbol) -> Expr:
        # Beside another link, only a log-likelihood is taken for a constraint: anything else of
        # one response is as much a part of the loss as the link is.
        spoken = (t for t in Add.make_args(loss) if roles(t) == {role})
        return Add(*(t for t in spoken if _log_likelihood(t)))

    beside = sorted(loss.atoms(Further), key=str)
    for term in dict.fromkeys((S.Zero, *map(alone, (CHOSEN, REJECTED, *beside)))):
        function = form(loss - term)
        for margin in _candidates(function):
            link = _eliminate(function, margin)
            if link is not None and not _linear(link):
                return Parts(*_scaled(margin, link, alpha), term)
    return None


def _scaled(margin: Expr, link: Expr, alpha: Expr) -> tuple[Expr, Expr]:
    """Margin and link on the scale on which the policy's log-probability has coefficient alpha: a
    free link leaves the scale open, and on this one the prior is fixed where it can be."""
    leading = [t for t in Add.make_args(margin) if {CHOSEN, POLICY} <= t.free_symbols]
    scale = Mul(*(f for f in Mul.make_args(leading[0]) if is_constant(f))) if leading else alpha
    if len(leading) != 1 or not is_positive(scale):
        return margin, link
    return form(margin * alpha / scale), form(link.xreplace({MARGIN: MARGIN * scale / alpha}))


def _log_likelihood(term: Expr) -> bool:
    """Whether `term` is a weighted log-probability of a response."""
    factors = Mul.make_args(fold(term))
    logs = [f for f in factors if isinstance(f, Log)]
    return len(logs) == 1 and not any(f.has(Log, TokenSum) for f in factors if f not in logs)


def _linear(link: Expr) -> bool:
    return linear(link, MARGIN) is not None


def _candidates(loss: Expr) -> Iterator[Expr]:
    """Expressions of both responses from which the loss may be made, oriented so that they grow
    with the policy's probability of the chosen response."""
    found: list[Expr] = []
    for node in sorted(loss.atoms(LogSigmoid, Sigmoid, Exp, Max, Step, Log), key=str):
        found += [arg for arg in node.args if arg != 0]
    found += [p.base for p in sorted(loss.atoms(Pow), key=str) if not p.exp.is_Integer]
    found += [base for part in (loss, *found) for base in _repeated_factors(part)]
    seen = set()
    for expr in found:
        margin = form(expr - Add(*(t for t in Add.make_args(form(expr)) if is_constant(t))))
        if not {CHOSEN, REJECTED} <= margin.free_symbols:
            continue
        margin = -margin if _falls(margin) else margin
        if margin not in seen:
            seen.add(margin)
            yield form(margin)


def _repeated_factors(loss: Expr) -> list[Expr]:
    """The repeated factors of the loss's terms of highest degree in the data: of (m - c)**2, m."""
    atoms = sorted(loss.atoms(TokenSum, Feature), key=str)
    if not atoms:
        return []
    names = {atom: Symbol(f"a{at}") for at, atom in enumerate(atoms)}
    kept = (t for t in Add.make_args(loss) if t.has(*atoms))  # others are of degree 0
    plain = substitute(Add(*kept), names)
    if not plain.is_polynomial(*names.values()):
        return []
    terms = Poly(plain, *names.values()).terms()
    degree = max(sum(powers) for powers, _ in terms)
    if degree < 2:
        return []
    leading = Add(
        *(
            c * Mul(*(s**k for s, k in zip(names.values(), powers, strict=True)))
            for powers, c in terms
            if sum(powers) == degree
        )
    )
    back = {name: atom for atom, name in names.items()}
    above, _ = fraction(together(leading))
    return [base.xreplace(back) for base, exponent in factor_list(above)[1] if exponent > 1]


def _falls(margin: Expr) -> bool:
    """Whether the margin falls as the policy's probability of the chosen response grows."""
    for term in Add.make_args(margin):
        if CHOSEN in term.free_symbols and POLICY in term.free_symbols:
            sign = Mul(*(f for f in Mul.make_args(term) if is_constant(f)))
            return is_positive(-sign)
    return False


def _eliminate(loss: Expr, margin: Expr) -> Expr | None:
    """The link with loss = link(margin), or None."""
    for atom in sorted(margin.atoms(TokenSum), key=str):
        slope = form(margin.xreplace({atom: S.One}) - margin.xreplace({atom: S.Zero}))
        if slope.has(TokenSum) or slope == 0:
            continue
        solved = atom + (MARGIN - margin) / slope
        link = form(substitute(loss, {atom: solved}))
        kept = link.xreplace({MARGIN: Parameter("m")})
        if is_constant(kept):
            return link
    return None


def temperature_of(margin: Expr) -> tuple[Expr, Expr]:
    """The factor that the whole margin shares and that belongs to the pair, the prompt or the batch
    and to no response, and the margin without it."""
    if not pair_data(margin):
        return S.One, margin
    coefficients: dict[Expr, Expr] = {}
    for term in Add.make_args(margin):
        factors = Mul.make_args(term)
        data = Mul(*(f for f in factors if roles(f)))
        scale = Mul(*(f for f in factors if not roles(f)))
        coefficients[data] = coefficients.get(data, S.Zero) + scale
    first = next(iter(coefficients.values()))
    parts = factors_of(first, plain=True) or tuple(f.as_base_exp() for f in Mul.make_args(first))
    temperature = Mul(*(b**e for b, e in parts if pair_data(b)))
    rest = {data: cancelled(scale / temperature) for data, scale in coefficients.items()}
    if not all(map(is_constant, rest.values())):
        return S.One, margin
    return temperature, form(Add(*(scale * data for data, scale in rest.items())))
