"""Is a loss a function of one separable margin, whatever the link?

If L = psi(f(w) - g(l)) with a smooth psi, then log|L_a / L_b| is a sum of a function of the winner
and one of the loser for any winner quantity a and loser quantity b, so its mixed derivative is 0
(theorem 8). Where that derivative is not 0, no smooth link and no prior give the loss.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

from sympy import Expr

from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import CHOSEN, POLICY, REJECTED, Feature, Length, Parameter, TokenSum
from midpo.symbolic.language.places import Names
from midpo.symbolic.language.spec import Spec

from .arithmetic import Digits, Undefined
from .evaluate import Evaluator, Point
from .witness import parameter_values

DIGITS = 80
POINTS = 8
_FAR = (4, 16, 64)  # below the first point
_INNER = Fraction(1, 10**18)  # of first derivatives: their error is of order 1e-36
_OUTER = Fraction(1, 10**6)  # of the mixed derivative: of order 1e-12
THRESHOLD = 1e-4
NOISE = 1e-15  # what an error of order 1e-36 in a slope cannot make


def mixed_derivative(spec: Spec, loss: Expr, *, seed: int = 0) -> float | None:
    """The mixed derivative of log|L_a / L_b| at the first random point where it is not 0; 0.0 if
    it vanishes at all of them, None where it cannot be taken.

    `loss` is in normal form: sums over tokens, lengths and features are its variables.
    """
    atoms = sorted(loss.atoms(TokenSum, Length, Feature), key=str)
    names = {atom: Parameter(f"quantity{at}", "real") for at, atom in enumerate(atoms)}
    plain = substitute(loss, dict(names))

    def quantity(role: Any) -> str | None:
        trained = (a for a in atoms if {role, POLICY} <= a.free_symbols)
        return next((names[a].name for a in trained), None)

    winner, loser = quantity(CHOSEN), quantity(REJECTED)
    if winner is None or loser is None or plain.atoms(TokenSum, Length, Feature):
        return None
    rng = random.Random(seed)
    taken = 0
    for _ in range(POINTS):
        values = {names[atom].name: _value(atom, rng) for atom in atoms} | {
            name: rng.choice(parameter_values(parameter.domain))
            for name, parameter in spec.names.parameters.items()
        }
        try:
            found = _mixed(plain, values, winner, loser)
        except Undefined:
            continue
        taken += 1
        if abs(found) > THRESHOLD:
            return found
    return 0.0 if taken >= POINTS // 2 else None


def _value(atom: Expr, rng: random.Random) -> Fraction:
    """A value that an atom of its kind can take."""
    if isinstance(atom, Length):
        return Fraction(rng.randint(1, 6))
    size = Fraction(rng.randint(30, 300), 100)
    if isinstance(atom, Feature):
        value: Fraction = atom.domain.spread((size,), (size,), (size / 4,), ends=False)[0]
        return value
    return -size


def _mixed(loss: Expr, values: dict[str, Fraction], winner: str, loser: str) -> float:
    ops = Digits(DIGITS)

    def at(**moved: Fraction) -> Any:
        numbers = {k: ops.number(v + moved.get(k, 0)) for k, v in values.items()}
        return Evaluator(ops, Point({}, {}, numbers))(loss)

    def log_ratio(a: Fraction, b: Fraction) -> Any:
        slopes = []
        for name in (winner, loser):
            sides = [
                at(**{winner: a + (s if name == winner else 0), loser: b + (s if name == loser else 0)})
                for s in (_INNER, -_INNER)
            ]
            slopes.append(sides[0] - sides[1])
        if any(abs(slope) < ops.number(_INNER) / 10**6 for slope in slopes):
            raise Undefined("a derivative that vanishes")
        return ops.log(abs(slopes[0])) - ops.log(abs(slopes[1]))

    corners = [log_ratio(i * _OUTER, j * _OUTER) * i * j for i in (1, -1) for j in (1, -1)]
    return float(sum(corners) / (4 * ops.number(_OUTER * _OUTER)))


def no_log_sigmoid(link: Expr, names: Names, *, seed: int = 0) -> bool:
    """Whether `link` is seen not to be -c*log sigmoid(a*m + b) + d with a, c > 0, at some values of
    its parameters.

    Of such a link -1/link' is k*(1 + exp(a*m + b)) with k > 0: it is positive and grows, its
    differences at equal steps grow by one ratio r > 1, and at the first point it is above the
    first difference over r - 1; far below, where a clip would show, it is smaller still. Slopes are
    central differences of an error of order 1e-36.
    """
    ops, rng = Digits(DIGITS), random.Random(seed)
    for _ in range(POINTS):
        # A parameter at 0, the end of some domains, can take a log-sigmoid's factor away.
        drawn = {
            name: [v for v in parameter_values(p.domain) if v] or [Fraction(0)]
            for name, p in names.parameters.items()
        }
        values = {name: ops.number(rng.choice(choices)) for name, choices in drawn.items()}
        start, step = Fraction(rng.randint(-40, 20), 10), Fraction(rng.randint(3, 13), 10)

        def at(margin: Fraction, values: dict[str, Any] = values) -> Any:
            return Evaluator(ops, Point({}, {}, values, margin=ops.number(margin)))(link)

        def slope(margin: Fraction, at: Callable[[Fraction], Any] = at) -> Any:
            return (at(margin + _INNER) - at(margin - _INNER)) / (2 * ops.number(_INNER))

        try:
            slopes = [slope(start + i * step) for i in range(4)]
            if not _log_sigmoid_slopes(slopes):
                return True
            if any(slope(start - far) > slopes[0] * (1 - NOISE) for far in _FAR):
                return True
        except (Undefined, ZeroDivisionError):
            continue
    return False


def _log_sigmoid_slopes(slopes: list[Any]) -> bool:
    """Whether four slopes at equal steps may be those of a log-sigmoid link."""
    if not all(slope < -NOISE for slope in slopes):
        return False
    inverse = [-1 / slope for slope in slopes]
    first, second, third = (b - a for a, b in pairwise(inverse))
    if not NOISE < first < second < third:
        return False
    return bool(
        abs(second**2 - first * third) <= NOISE * second**2
        and inverse[0] * (second / first - 1) > first * (1 + NOISE)
    )
