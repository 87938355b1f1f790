"""A smallest concrete case in which two expressions differ.

Policies are trees: the law of a token depends on the prompt and the tokens before it, so responses
that share a prefix share its laws. Laws are dyadic (every probability a power of two), so that most
differences are exact numbers in Q(log 2); what is not is decided by interval arithmetic.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known, told
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import is_constant, loss_of_margin

from .arithmetic import Dyadic, Floats, Intervals, NotExact, Undefined
from .case import VOCABULARY, Case, map_numbers
from .evaluate import Evaluator, Point
from .lengths import telling_lengths
from .ties import Certain
from .turns import at_turns

EOS = 0
# By total length; equal lengths hide what depends on them, so they come late.
LENGTHS = ((1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2), (4, 2), (3, 4), (2, 2), (5, 8), (12, 7))
LAST_LENGTHS = ((1, 1), (3, 3), (4, 4))
TURN_LENGTHS = ((1, 2), (4, 1), (5, 3))  # at which cuts are looked at for values of other names
TURN_ATTEMPTS = (1, 2)  # positive features, and features of either sign
SURE_LENGTHS = (*TURN_LENGTHS, *TURN_LENGTHS, (1, 1), (3, 2))
ATTEMPTS_A_LENGTH = 6
MAX_VALUES = 20_000  # that one evaluation may compute

_LAWS = (
    *(tuple(Fraction(1, d) for d in law) for law in sorted(set(itertools.permutations((2, 4, 8, 8))))),
    (Fraction(1, 4),) * VOCABULARY,
)
_RARE = Fraction(1, 64)
_LINE = (Fraction(1, 2), Fraction(2), Fraction(-1), Fraction(3))
_RAY = (Fraction(1, 2), Fraction(2), Fraction(3), Fraction(1, 4))
SEGMENT = (Fraction(1, 2), Fraction(1, 4), Fraction(3, 4))
_FEATURES = (Fraction(1, 2), Fraction(2), Fraction(1, 4), Fraction(3, 4), Fraction(3, 2))
_SIGNED = (*_FEATURES, *(-x for x in _FEATURES), Fraction(0))


@dataclass(frozen=True)
class Witness:
    """A case at which the target and the recovered expression differ, with both values.

    `difference` is target minus recovered: exact (a text in log(2)) or an enclosing interval;
    `standing` says which. Margins and losses are in nats, to 12 digits.
    """

    case: Case
    difference: str
    standing: Told
    target_margin: float | None
    recovered_margin: float | None
    target_loss: float
    recovered_loss: float

    def as_json(self) -> dict[str, Any]:
        return self.case.as_json() | {
            "difference": self.difference,
            "standing": self.standing,
            "margins": {"target": self.target_margin, "recovered": self.recovered_margin},
            "losses": {"target": self.target_loss, "recovered": self.recovered_loss},
        }


def find_witness(
    spec: Spec, target: Expr, recovered: Expr, difference: Expr, *, margins: bool, seen: bool, seed: int = 0
) -> Witness | None:
    """The first case, by total length, at which `target` and `recovered` differ for certain; of
    those of one total length, the first at which the difference is exact.

    Both are margins (`margins`) or losses, as they are written; `difference` is their difference in
    normal form, which often has an exact value. The expressions as written decide. Where a link
    stands between margin and loss, the losses must differ too. Cases at which float64 sees a
    difference are tried (`seen`), or all others: an interval costs ten times as much, and where
    nothing is seen a proof is likelier.

    Raises: TooLarge where the expressions take too long to evaluate.
    """
    best: Witness | None = None
    pairs = [(target, recovered)]
    if margins:
        pairs.append((loss_of_margin(spec, target), loss_of_margin(spec, recovered)))
    for case in cases(spec, seed):
        if best is not None and case.total > best.case.total:
            return best
        try:
            if _alike(case, target, recovered) == seen:
                continue
            enclosed = _enclose(case, *pairs[0])
            if not _excludes_zero(enclosed):
                continue
            if spec.link is not None and not _excludes_zero(_enclose(case, *pairs[-1])):
                continue
            values = certain(case)
            sides, losses = ([middle(values(side)) for side in pairs[i]] for i in (0, -1))
        except Undefined:
            continue
        shown = sides if margins else [None, None]
        found = Witness(case, *_difference(case, enclosed, difference), *shown, *losses)
        if found.standing.standing is Standing.EXACT:
            return found
        best = best or found
    return best


def _alike(case: Case, one: Expr, other: Expr) -> bool:
    """Whether float64 sees no difference between the two at `case`, far from what it rounds."""
    values = Evaluator(_FLOATS, case.point(_FLOATS), limit=MAX_VALUES)
    try:
        a, b = values(one), values(other)
    except Undefined:
        return False
    return bool(abs(a - b) <= 1e-9 * (1 + abs(a) + abs(b)))


def differ(spec: Spec, one: Expr, other: Expr) -> bool:
    """Whether a case tells the two apart for certain: one or two are tried of each pair of lengths,
    as far as float64 sees them apart and they can be evaluated."""
    for case in itertools.islice(cases(spec), 0, None, ATTEMPTS_A_LENGTH - 1):
        try:
            if not _alike(case, one, other) and _excludes_zero(_enclose(case, one, other)):
                return True
        except Undefined:
            continue
        except TooLarge:
            break
    return False


def agreements(spec: Spec, target: Expr, recovered: Expr, seed: int = 0) -> tuple[int, int]:
    """At how many random cases the two have a value, and at how many of these the values agree to
    within what 50 digits can tell.

    Raises: TooLarge where the expressions take too long to evaluate.
    """
    defined = agreeing = 0
    for case in cases(spec, seed):
        try:
            enclosed = _INTERVALS.context.convert(_enclose(case, target, recovered))
        except Undefined:
            continue
        defined += 1
        agreeing += bool(enclosed.a <= 0 <= enclosed.b and enclosed.delta < 1e-30)
    return defined, agreeing


def is_affine(
    spec: Spec, target: Expr, recovered: Expr, seed: int = 0, *, at: Mapping[str, Fraction] | None = None
) -> bool:
    """Whether target = a*recovered + b with a > 0 can be true, as far as the cases show.

    a and b may depend on the parameters, so only cases with the same ones are held together: plain
    ones, or these.

    Raises: TooLarge where the expressions take too long to evaluate.
    """
    found: list[tuple[Any, Any]] = []
    for case in itertools.islice(cases(spec, seed), 0, None, ATTEMPTS_A_LENGTH):
        at = case.parameters if at is None else at
        case = replace(case, parameters=at)
        try:
            values = certain(case)
            found.append((values(target), values(recovered)))
        except Undefined:
            continue
    steps = [(t - found[0][0], r - found[0][1]) for t, r in found[1:]]
    if any(_positive(-t * r) for t, r in steps):
        return False
    still = is_constant(recovered)
    if any(_excludes_zero(t) and (still or _INTERVALS.zero(r)) for t, r in steps):
        return False
    return not any(_excludes_zero(t * s - u * r) for (t, r), (u, s) in itertools.combinations(steps, 2))


def may_be_affine(spec: Spec, *pairs: tuple[Expr, Expr], case: Case) -> bool:
    """Whether `is_affine` holds for each pair at plain parameters, at those of the case, and at
    some more: where a window is empty, a loss is constant at the first."""
    tried = [
        case.parameters,
        *(other.parameters for other in itertools.islice(cases(spec), ATTEMPTS_A_LENGTH)),
    ]
    distinct = [at for n, at in enumerate(tried) if at not in tried[:n]]
    return all(is_affine(spec, *pair, at=at) for at in (None, *distinct) for pair in pairs)


_FLOATS, _INTERVALS = Floats(), Intervals()


def certain(case: Case) -> Certain:
    """Evaluates at `case` in intervals, and certainly: see `ties`."""
    return Certain(_INTERVALS, case.point(_INTERVALS), lambda ops: _exact_points(case, ops), MAX_VALUES)


def _exact_points(case: Case, ops: Any) -> Iterator[Point]:
    """The case in exact numbers, then others of its lengths and parameters."""
    rng = random.Random(0)
    yield case.point(ops)
    while True:
        laws = {policy: {prefix: rng.choice(_LAWS) for prefix in law} for policy, law in case.laws.items()}
        features = map_numbers(lambda value: rng.choice(_FEATURES))(case.features)
        yield replace(case, laws=laws, features=features).point(ops)


def _enclose(case: Case, target: Expr, recovered: Expr) -> Any:
    """An interval that holds target - recovered at `case`."""
    values = certain(case)
    return values(target) - values(recovered)


def middle(interval: Any) -> float:
    """The middle of an interval, as a float."""
    return float(_INTERVALS.context.convert(interval).mid)


def _positive(interval: Any) -> bool:
    return bool(_INTERVALS.context.convert(interval).a > 0)


def _excludes_zero(interval: Any) -> bool:
    return _positive(interval) or _positive(-interval)


def _difference(case: Case, enclosed: Any, difference: Expr) -> tuple[str, Told]:
    """The difference at `case`, exact where it can be, with how it is known not to be 0."""
    enclosed = _INTERVALS.context.convert(enclosed)
    low, high = float(enclosed.a), float(enclosed.b)
    exact = Dyadic()
    try:
        shown = Evaluator(exact, case.point(exact), limit=MAX_VALUES)(difference)
        if abs(exact.float(shown) - low) <= 1e-9 * (abs(low) + abs(high)):
            return str(shown), told("{}, in Q(log 2); {}", Standing.EXACT, Standing.ENCLOSED)
    except (NotExact, Undefined, TooLarge):
        pass
    return f"{(low + high) / 2:.12g}", known(Standing.ENCLOSED)


@functools.cache
def parameter_values(domain: Interval) -> tuple[Fraction, ...]:
    """The values in a domain that a parameter is tried at, a plain one first, the ends that belong
    to it last."""
    return domain.spread(_LINE, _RAY, SEGMENT)


def cases(spec: Spec, seed: int = 0) -> Iterator[Case]:
    """Random cases, shortest responses first, the same for the same seed; then those of lengths
    and positions at which the spec's own cuts and maxima turn; then those of values of parameters
    and features at which they do; then those of policies that are nearly sure."""
    generator = random.Random(seed)
    telling = telling_lengths(spec.expressions)
    last = sorted({*LAST_LENGTHS, *telling} - {*LENGTHS}, key=lambda pair: (sum(pair), pair))
    for lengths in (*LENGTHS, *last):
        for attempt in range(ATTEMPTS_A_LENGTH):
            named = dict(zip(("y_w", "y_l"), lengths, strict=True))
            beside = {str(y): 1 + (n + attempt) % 3 for n, y in enumerate(spec.names.responses)}
            yield random_case(spec, named | beside, attempt, generator)
    for lengths in TURN_LENGTHS:
        named = dict(zip(("y_w", "y_l"), lengths, strict=True))
        beside = {str(y): 1 for y in spec.names.responses}
        for attempt in TURN_ATTEMPTS:
            yield from at_turns(spec, random_case(spec, named | beside, attempt, generator))
    for attempt, lengths in enumerate(SURE_LENGTHS):
        named = dict(zip(("y_w", "y_l"), lengths, strict=True))
        sure = _sure(random_case(spec, named | beside, attempt, generator), generator)
        yield sure
        yield from at_turns(spec, sure)


def _sure(case: Case, rng: random.Random) -> Case:
    """The case with policies that give nearly all of their mass to one token, at most places one of
    a response: logarithms near 0, and far below it."""

    def law(prefix: tuple[int, ...]) -> tuple[Fraction, ...]:
        at = len(prefix)
        follow = [t[at] for t in case.tokens.values() if t[:at] == prefix and len(t) > at]
        token = rng.choice((*follow, *follow, rng.randrange(VOCABULARY)))
        return tuple(1 - 3 * _RARE if v == token else _RARE for v in range(VOCABULARY))

    return replace(
        case, laws={policy: {prefix: law(prefix) for prefix in laws} for policy, laws in case.laws.items()}
    )


def random_case(spec: Spec, lengths: Mapping[str, int], attempt: int, rng: random.Random) -> Case:
    """A case with a response of each of these lengths; the first attempt has plain parameters."""
    tokens: dict[str, tuple[int, ...]] = {}
    for offset, (response, length) in enumerate(lengths.items()):
        # Ends in EOS, with none before, so that none is a prefix of another; where that would be
        # one response twice, as of one token each, the later ended for want of room.
        inner = [1 + (offset + attempt) % 3] + [rng.randint(1, 3) for _ in range(length)]
        ended = (*inner[: length - 1], EOS)
        taken = ended in tokens.values()
        tokens[response] = (*ended[:-1], 1 + (offset + attempt) % 3) if taken else ended
    prefixes = sorted({t[:i] for t in tokens.values() for i in range(len(t))}, key=lambda p: (len(p), p))
    laws = {policy: {prefix: rng.choice(_LAWS) for prefix in prefixes} for policy in spec.policies}
    parameters = {}
    for name, parameter in spec.names.parameters.items():
        choices = parameter_values(parameter.domain)
        parameters[name] = choices[0] if attempt == 0 else rng.choice(choices)
    # Many features are weights, so positive values come first; data may have either sign.
    values = _SIGNED if attempt % 3 == 2 else _FEATURES
    features: dict[str, Any] = {}
    for name, kind in spec.names.features.items():
        domain = spec.names.range(name)
        known = domain.spread(values, _FEATURES, SEGMENT)
        if kind == "pair":
            features[name] = rng.choice(known)
        elif kind == "response":
            features[name] = {y: rng.choice(known) for y in tokens}
        else:
            features[name] = {y: [rng.choice(known) for _ in t] for y, t in tokens.items()}
    return Case(tokens, laws, parameters, features)
