"""The numbers behind a report's plots, in 50 digits: loss against margin, and weight of a token.

Parameters are at the spec's defaults, or 1 (1/2 in the unit interval) where it has none.
Derivatives are central differences of step 1e-20, whose error no plot can show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sympy import Expr, Mul

from midpo.numeric.arithmetic import Digits, Undefined
from midpo.numeric.evaluate import Evaluator, Point
from midpo.symbolic.domains.intervals import plain_value
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.nodes import (
    MARGIN,
    Divergence,
    Entropy,
    Feature,
    LogSigmoid,
    TokenProb,
    VocabProb,
)
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import TARGET, Names
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import logistic_form, pair_loss

MARGINS = (-6, 6)
POINTS = 121
STEP = Fraction(1, 10**20)
LOGISTIC = -LogSigmoid(MARGIN)
TOKENS = {"y_w": (1, 2, 3, 1, 0), "y_l": (2, 1, 3, 0)}  # 0 ends a response
BESIDE = (3, 1, 0)  # each response beside the pair
POLICIES = ("pi", "pi_ref")
# Laws of the reference at successive places, and of the trained policy for the three tokens that
# are not the response's own: that one has 1/4 at every place, so that DPO pushes all alike.
_LAWS = tuple(
    tuple(Fraction(1, d) for d in law)
    for law in ((2, 4, 8, 8), (4, 4, 4, 4), (8, 2, 4, 8), (4, 8, 8, 2), (8, 8, 2, 4), (4, 2, 8, 8))
)
_OTHERS = tuple(tuple(Fraction(1, d) for d in law) for law in ((4, 4, 4), (2, 8, 8), (8, 2, 8)))
_TOKEN_DATA = tuple(Fraction(n, 4) for n in (4, 2, 6, 3, 5))


@dataclass(frozen=True)
class LossCurve:
    """A loss and its derivative at margins in nats; nan where it has no value."""

    link: Expr
    margins: tuple[float, ...]
    losses: tuple[float, ...]
    slopes: tuple[float, ...]
    parameters: Mapping[str, Fraction]
    features: tuple[str, ...]  # data of the pair in the link, all at 1


@dataclass(frozen=True)
class TokenWeights:
    """-d loss / d z for the logit z of each response's own token, and the same for DPO."""

    tokens: Mapping[str, tuple[int, ...]]
    weights: Mapping[str, tuple[float, ...]]
    dpo: Mapping[str, tuple[float, ...]]
    parameters: Mapping[str, Fraction]


def link_of(spec: Spec) -> Expr | None:
    """The loss of a pair as an expression in its margin, without the constraint; None where the
    target is no such function."""
    if spec.loss is None:
        return LOGISTIC if spec.link is None else spec.link
    form = logistic_form(spec.loss)
    return None if form is None else Mul(form.factor, LOGISTIC) + form.constant


def loss_curve(spec: Spec) -> LossCurve | None:
    """The loss against the margin; None where there is none, or no value anywhere."""
    try:
        link = None if spec.reason else link_of(spec)
    except (MidpoError, RecursionError):
        return None
    if link is None:
        return None
    values = _parameters(spec)
    ops = Digits()
    data = {n: ops.number(Fraction(1)) for n, kind in spec.names.features.items() if kind == "pair"}
    low, high = MARGINS
    grid = [low + Fraction(high - low, POINTS - 1) * i for i in range(POINTS)]
    parameters = {n: ops.number(v) for n, v in values.items()}

    def at(margin: Fraction) -> Any:
        point = Point({}, {}, parameters, data, margin=ops.number(margin))
        return _value(ops, link, point)

    losses = tuple(float(at(m)) for m in grid)
    slopes = tuple(float((at(m + STEP) - at(m - STEP)) / ops.number(2 * STEP)) for m in grid)
    if not any(map(math.isfinite, losses)):
        return None
    used = {n: values[n] for n in values if n in {str(s) for s in link.free_symbols}}
    named = {str(part.args[0]) for part in link.atoms(Feature)}
    features = tuple(n for n in spec.names.features if n in named)
    return LossCurve(link, tuple(map(float, grid)), losses, slopes, used, features)


def is_token_level(spec: Spec) -> bool:
    """Whether the loss of a pair speaks of single tokens' laws or data."""
    nodes = (TokenProb, VocabProb, Divergence, Entropy)
    if spec.reason:
        return False
    sides = [spec.prior, pair_loss(spec)]
    return any(side is not None and side.has(*nodes) for side in sides) or (
        "token" in spec.names.features.values()
    )


def token_weights(spec: Spec) -> TokenWeights | None:
    """How a step of gradient descent moves the logit of each token, on one small example."""
    if not is_token_level(spec):
        return None
    values = _parameters(spec)
    dpo = parse("log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))", Names(), TARGET)
    point = _example(spec, values)
    ops = Digits()
    try:
        found = _pushes(ops, pair_loss(spec), point)
        alpha = ops.number(values.get("alpha", Fraction(1)))
        margin = Evaluator(ops, point)(dpo)
        slope = alpha / (1 + ops.exp(alpha * margin))
        plain = {y: tuple(float(slope * w) for w in row) for y, row in _pushes(ops, -dpo, point).items()}
    except (MidpoError, RecursionError):
        return None
    weights = {y: tuple(map(float, found[y])) for y in TOKENS}
    return TokenWeights(TOKENS, weights, plain, values)


def _pushes(ops: Any, loss: Expr, point: Point) -> dict[str, list[Any]]:
    """-d loss / d z of each response's own tokens."""
    found: dict[str, list[Any]] = {}
    for response, tokens in point.tokens.items():
        found[response] = []
        for place, token in enumerate(tokens):
            sides = [
                Evaluator(ops, moved, stopped=point)(loss)
                for step in (STEP, -STEP)
                if (moved := _tilted(ops, point, response, place, token, step))
            ]
            found[response].append((sides[1] - sides[0]) / ops.number(2 * STEP))
    return found


def _tilted(ops: Any, point: Point, response: str, place: int, token: int, step: Fraction) -> Point:
    """`point` with the logit of one token of the trained policy raised by `step`."""
    rows = [list(row) for row in point.tables["pi", response]]
    raised = [p * ops.exp(ops.number(step)) if v == token else p for v, p in enumerate(rows[place])]
    total = sum(raised)
    rows[place] = [p / total for p in raised]
    return replace(point, tables={**point.tables, ("pi", response): rows})


def _example(spec: Spec, values: Mapping[str, Fraction]) -> Point:
    """Responses of five and four tokens, and of three beside the pair, over a vocabulary of four,
    under laws that differ from policy to policy and place to place; token data between 1/2 and 3/2,
    other data 1."""
    ops = Digits()
    spoken = TOKENS | {str(y): BESIDE for y in spec.names.responses}
    tables = {}
    for side, (response, tokens) in enumerate(spoken.items()):
        for which, policy in enumerate(dict.fromkeys((*POLICIES, *spec.policies))):
            rows = [
                _own(t, token, side)
                if policy == "pi"
                # The first tokens of both stand after the same prompt: one law.
                else _LAWS[(2 * which + 3 * t + (side if t else 0)) % len(_LAWS)]
                for t, token in enumerate(tokens)
            ]
            tables[policy, response] = [[ops.number(p) for p in row] for row in rows]
    features: dict[str, Any] = {}
    for place, (name, kind) in enumerate(spec.names.features.items()):
        if kind == "token":
            features[name] = {
                y: [
                    ops.number(_TOKEN_DATA[(t + 2 * side + place) % len(_TOKEN_DATA)])
                    for t in range(len(tokens))
                ]
                for side, (y, tokens) in enumerate(spoken.items())
            }
        else:
            one = ops.number(Fraction(1))
            features[name] = one if kind == "pair" else dict.fromkeys(spoken, one)
    return Point(spoken, tables, {n: ops.number(v) for n, v in values.items()}, features)


def _own(place: int, token: int, side: int) -> tuple[Fraction, ...]:
    """The trained policy's law at a place, where the response has `token`."""
    others = _OTHERS[(place + side) % len(_OTHERS) if place else 0]
    return (*others[:token], Fraction(1, 4), *others[token:])


def _parameters(spec: Spec) -> dict[str, Fraction]:
    """Each parameter's default, or a plain value of its domain."""
    return {
        name: Fraction(int(d.p), int(d.q))
        if (d := spec.defaults.get(name)) is not None
        else plain_value(parameter.domain)
        for name, parameter in spec.names.parameters.items()
    }


def _value(ops: Any, expr: Expr, point: Point) -> Any:
    try:
        return Evaluator(ops, point)(expr)
    except Undefined:
        return ops.context.nan
