"""Where is the objective empty, reversed or undefined?

The rows of log(pi/zeta) say how the margin moves with the policy on each side. A weight that is
zero leaves nothing to learn; a negative one teaches the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sympy import Expr, Pow, S

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.duals import value_of
from midpo.numeric.figures import figure
from midpo.numeric.trees import Movement, full_tree, random_world
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.gradient.pair import side_rows
from midpo.proofs.audit.words import ALPHA, LENGTH, LOG_RATIO, PER_LENGTH, PI, SCORE, compared, shown, symbol
from midpo.proofs.recover.conditions import defined_where, side_conditions
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import joined, proved, told, undecided
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, Feature, Length, Parameter
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import is_constant

from .bounds import linear
from .calculus import T
from .formulas import readable

WORLDS = 3


def answers(spec: Spec, seed: int) -> Iterator[Claim]:
    """Every answer about the domain."""
    yield _temperature(spec)
    found: dict[str, tuple[Movement, ...]] = {}
    obstacle = ""
    for role, name in ((CHOSEN, "chosen"), (REJECTED, "rejected")):
        try:
            found[name] = side_rows(spec, role)
        except (MidpoError, RecursionError) as error:
            obstacle = str(error) or "nested too deeply"
    if obstacle:
        yield Claim(
            "policy's weight",
            "undecided",
            f"the margin's weights are not known: {obstacle}",
            told("{} symbolically", Standing.UNDECIDED),
        )
    elif found["chosen"] == found["rejected"]:
        yield _weight(spec, found["chosen"], "", seed)
    else:
        for name, side in found.items():
            yield _weight(spec, side, name, seed)
    yield _empty_response(spec)
    conditions = side_conditions(spec)
    if conditions:
        yield Claim(
            "side conditions",
            "stated",
            "where " + " and ".join(conditions),
            proved("else a part of the spec has no value"),
            data={"conditions": list(conditions)},
        )
    lengths = defined_where(spec)
    if lengths:
        yield Claim(
            "lengths",
            "stated",
            "the spec has a value where " + " and ".join(lengths),
            proved("its own formulas divide by 0 elsewhere, or take a root or a logarithm of what has none"),
            data={"conditions": list(lengths)},
        )


def _temperature(spec: Spec) -> Claim:
    alpha = spec.alpha
    if not isinstance(alpha, Parameter):
        return Claim("temperature", "excluded", "alpha is 1", proved("it is no parameter"))
    return Claim(
        "temperature",
        "excluded",
        told(
            "{} makes the objective empty and {} reverses it; the declared domain ({}) excludes both",
            compared(ALPHA, "=", 0),
            compared(ALPHA, "<", 0),
            alpha.domain.described,
        ),
        proved("the margin is {} times a difference", ALPHA),
    )


def _weight(spec: Spec, rows: Sequence[Movement], role: str, seed: int) -> Claim:
    """Where the policy's own weight on one side vanishes or turns."""
    question = f"policy's weight ({role})" if role else "policy's weight"
    side = f"on the {role} side " if role else ""
    if not rows:
        return Claim(
            question,
            "empty",
            f"{side}the margin does not move with the policy at all",
            proved("{} has no term in {}", LOG_RATIO, PI),
        )
    own = next((row.weight for row in rows if row.law is None), S.Zero)
    weighs = told("{}the weight of {} is {}", side, SCORE, shown(readable(own)))
    alone = len(rows) == 1
    if is_constant(own) and T not in own.free_symbols:
        return _constant_weight(question, side, own, alone)
    if own != 0 and is_positive(own):
        return Claim(
            question,
            "positive",
            told("{}, which is positive everywhere", weighs),
            proved("signs of its parts"),
        )
    features = sorted({str(f.args[0]) for f in own.atoms(Feature)})
    if features and all(_turns(own, name) for name in features):
        names = joined(", ", list(map(symbol, features)))
        return Claim(
            question,
            "by feature",
            told(
                "{}: nothing is learnt where it is 0, and the opposite where it is negative ({} "
                "must be at least 0)",
                weighs,
                names,
            ),
            proved("the weight is linear in the feature"),
        )
    low, high, count = _range(spec, own, role, seed)
    if count == 0:
        return Claim(
            question,
            "undecided",
            told("{}; no values", weighs),
            undecided("undefined at the random policies"),
        )
    verdict = "positive" if low > 0 else "nonnegative" if low == 0 else "turns"
    words = {
        "positive": "positive wherever it was evaluated",
        "nonnegative": "at least 0, and 0 at some policies, where nothing is learnt",
        "turns": "negative at some policies, where the objective is reversed",
    }[verdict]
    rests = (
        proved("signs of its parts")
        if verdict == "nonnegative" and is_nonnegative(own)
        else told("{}, {} values between {} and {}", Standing.EVIDENCE, str(count), figure(low), figure(high))
    )
    return Claim(
        question, verdict, told("{}: {}", weighs, words), rests, data={"lowest": low, "highest": high}
    )


def _constant_weight(question: str, side: str, own: Expr, alone: bool) -> Claim:
    weighs = told("{}the weight of {} is {}", side, SCORE, shown(own))
    rest = "" if alone else ", beside the divergences"
    solved = linear(own)
    if solved is None:
        sign = "positive" if is_positive(own) else "empty" if own == 0 else "undecided"
        sentence = {
            "positive": told("{}the weight of {} is {}{}", side, SCORE, compared(shown(own), ">", 0), rest),
            "empty": told("{}{} itself has weight 0{}", side, SCORE, rest),
            "undecided": told("{}, whose sign is not known{}", weighs, rest),
        }[sign]
        return Claim(
            question,
            sign,
            sentence,
            proved("the row of {}", LOG_RATIO) if sign != "undecided" else undecided(),
        )
    parameter, root, rises = solved
    name = symbol(parameter.name)
    turn = "<" if rises else ">"
    at = shown(root)
    inside = root in parameter.domain
    beyond = root - 1 if rises else root + 1
    reached = [v for v in (beyond, root - S.Half if rises else root + S.Half) if v in parameter.domain]
    data: dict[str, Any] = {
        "parameter": str(parameter.name),
        "empty_at": str(root),
        "reversed": f"{parameter.name} {turn} {root}",
    }
    text = told(
        "{}{}: empty at {}, reversed for {}", weighs, rest, compared(name, "=", at), compared(name, turn, at)
    )
    rests = proved("the weight is linear in {}", name)
    if inside or reached:
        what = " and ".join(
            w for w, has in (("the empty value", inside), ("the reversed ones", bool(reached))) if has
        )
        return Claim(
            question,
            "allowed",
            told("{}; the declared domain ({}) admits {}", text, parameter.domain.described, what),
            rests,
            data=data,
        )
    return Claim(
        question,
        "excluded",
        told("{}; the declared domain ({}) excludes both", text, parameter.domain.described),
        rests,
        data=data,
    )


def _turns(own: Expr, name: str) -> bool:
    """Whether the weight is a feature times something positive: it turns with the feature."""
    found = {f for f in own.atoms(Feature) if str(f.args[0]) == name}
    rest = own.xreplace(dict.fromkeys(found, S.One))
    return is_positive(rest) and own.xreplace(dict.fromkeys(found, S.Zero)) == 0


def _range(spec: Spec, own: Expr, role: str, seed: int) -> tuple[float, float, int]:
    rng = np.random.default_rng(seed + 5)
    values: list[float] = []
    for _ in range(WORLDS):
        world = random_world(spec, full_tree(2), rng)
        for y in world.responses:
            at = world.evaluator({"y": y}, None)
            try:
                values += [value_of(at.value(own, {T: t})) for t in range(len(y))]
            except (Undefined, ZeroDivisionError, OverflowError):
                continue
    return (min(values), max(values), len(values)) if values else (0.0, 0.0, 0)


def _empty_response(spec: Spec) -> Claim:
    divided = any(
        isinstance(p.base, Length) and p.exp.is_number and p.exp < 0
        for e in spec.expressions
        for p in e.atoms(Pow)
    )
    if divided:
        return Claim(
            "empty response",
            "undefined",
            told(
                "undefined at {}: a response needs at least one token (its EOS counts)",
                compared(LENGTH, "=", 0),
            ),
            proved("{} has no value at 0", PER_LENGTH),
        )
    return Claim(
        "empty response",
        "defined",
        told("no term divides by {}; responses have at least one token all the same", LENGTH),
        proved("{} the spec", Standing.READ),
    )
