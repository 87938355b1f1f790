"""How two losses differ: equal, one the other's special case, or different, and then in what.

Equality is up to a positive factor and a constant, which no optimiser sees, and up to what
features, parameters and policies are called. A special case is the other loss with some names
fixed, which the trained policy still moves: where it does not, every loss is every other. Equality
rests on a derivation, replayed by the checker; a difference on a witness.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sympy import Add, Expr, S

from midpo.numeric.witness import Witness, find_witness, may_be_affine
from midpo.proofs.recover.diagnosis import diagnose
from midpo.proofs.recover.problem import Problem
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.formula.told import told, undecided
from midpo.symbolic.language.nodes import MARGIN, LogSigmoid
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import pair_loss
from midpo.symbolic.work import SPENT, allowance, is_spent, question

from .fingerprint import fingerprint
from .found import Comparison, Special, Verdict
from .settings import Option, Setting, frozen, insert, inside, limits, masks
from .side_by_side import (
    TOO_MUCH,
    equality,
    losses,
    margin_and_link,
    may_agree,
    moves,
    posed,
    proof,
    side_by_side,
)
from .specialise import MAX_FIXED, SpecialCase, at, proposals, renamings, special_case, spoken

MAX_SETTINGS = 2000


def compare(first: Spec, second: Spec) -> Comparison:
    """Whether the losses of two specs are equal, or one is the other at special values: parameters
    at 0, 1 or 1/2 or equal to one another, features at 1, 0 or a parameter, frozen policies at the
    reference. The order of the two changes nothing but the order in which they are named.

    A limit is found where the value can be inserted, not where it divides by zero.

    Raises: SpecError where a spec has no loss of one pair, or a feature of one name has two kinds.
    """
    turned = _key(second) < _key(first)
    with question():
        try:
            found = _decided(second, first) if turned else _decided(first, second)
        except TOO_MUCH as error:
            return Comparison(first, second, "undecided", standing=undecided("{}", str(error)))
        if turned:
            found = _turned(found)
        if found.verdict.startswith("equal") or found.equal_in_value:
            return found
        return _with_difference(found)


def _key(spec: Spec) -> tuple[str, str]:
    return spec.name, text(pair_loss(spec))


def _turned(found: Comparison) -> Comparison:
    """The same answer with the two losses named in the other order."""
    settings = found.settings
    if found.proved and found.special is None:  # names, and no values
        settings = tuple(Setting(s.value, s.name) for s in settings)
    other: dict[Special | None, Special] = {"first": "second", "second": "first", "both": "both"}
    return replace(
        found,
        first=found.second,
        second=found.first,
        settings=settings,
        special=other.get(found.special),
        factor=1 / found.factor,
        constant=-found.constant / found.factor,
    )


def _decided(one: Spec, other: Spec) -> Comparison:
    """The answer, less how the two differ."""
    problem = side_by_side(one, other)
    begun = Comparison(one, other, "undecided", problem.kind)
    answer, obstacle = _as_they_stand(begun)
    if answer is not None:
        return answer
    try:
        witness = _witness(problem)  # before special cases, which may spend all the work allowed
    except TOO_MUCH as error:
        witness, obstacle = None, error
    special = _special(one, other)
    if special is not None:
        return _told(begun, *special)
    return _in_common(replace(begun, witness=witness), problem, obstacle)


def _with_difference(found: Comparison) -> Comparison:
    """First minus second in normal form and in words, and a case at which they differ."""
    try:
        problem = side_by_side(found.first, found.second)
        found = replace(found, witness=_witness(problem))
        with allowance(problem.target, problem.recovered):
            sides = [normal_form(side) for side in (problem.target, problem.recovered)]
            return replace(
                found, difference=normal_form(sides[0] - sides[1]), explanation=_in_words(found, sides)
            )
    except TOO_MUCH:
        return found


def _in_words(found: Comparison, sides: list[Expr]) -> str:
    """In what the two differ: in their links, their margins, or their losses as a whole."""
    (one, link), (other, link_too) = (margin_and_link(s) for s in (found.first, found.second))
    links = ""
    if found.compared == "loss" and one is not None and other is not None:
        # The losses hold the margins in functions, of which a difference of terms says little.
        shown = [text(-LogSigmoid(MARGIN) if link is None else link) for link in (link, link_too)]
        links = f"The links differ: {shown[0]} in {found.first.name}, {shown[1]} in {found.second.name}"
        sides = [normal_form(one), normal_form(other)]
        if is_zero(sides[0] - sides[1]):
            return f"{links}; the margins are equal."
        links += ". "
    return links + diagnose(sides[1], sides[0], f"In {found.first.name}", found.second.name)


def _witness(problem: Problem) -> Witness | None:
    """A case at which the sides differ, unless a factor and a constant could explain it."""
    sides, both = (problem.target, problem.recovered), losses(problem)
    with allowance(*sides):
        difference = normal_form(sides[0] - sides[1])
        look = functools.partial(
            find_witness, problem.spec, *sides, difference, margins=problem.kind == "margin"
        )
        found = look(seen=True) or look(seen=False)
    if found is not None and moves(problem):
        with allowance(*sides):  # losses may differ at some values of a parameter alone
            if may_be_affine(problem.spec, both, both[::-1], case=found.case):
                return None
    return found


# --- As they stand -------------------------------------------------------------------------------


def _as_they_stand(begun: Comparison) -> tuple[Comparison | None, Exception | None]:
    """The answer where the two are equal in value, up to what names are called; or what kept a
    proof from ending."""
    one, other = begun.first, begun.second
    obstacle: Exception | None = None
    for names in itertools.chain([()], renamings(one, other)):
        try:
            renamed = at(one, other, names) if names else one
            found = None if renamed is None else equality(renamed, other)
        except TOO_MUCH as error:
            obstacle = error
            continue
        if found is None:
            continue
        verdict: Verdict = "equal" if found.exact else "equal up to factor and constant"
        if found.gradient is not True:
            verdict = "undecided" if found.gradient is None else "different"
        answer = _told(begun, None, SpecialCase(tuple(setting for setting, _ in names), found))
        return replace(answer, verdict=verdict), None
    return None, obstacle


def _told(begun: Comparison, special: Special | None, case: SpecialCase) -> Comparison:
    """The answer that a special case gives."""
    found = case.proof
    return replace(
        begun,
        verdict="limiting case" if case.limit else "special case",
        special=special,
        settings=case.settings,
        factor=found.factor,
        constant=found.constant,
        gradient=found.gradient,
        side_conditions=found.side_conditions,
        standing=found.standing,
    )


# --- Special cases -------------------------------------------------------------------------------


def _special(one: Spec, other: Spec) -> tuple[Special, SpecialCase] | None:
    """One loss as a special case of the other, the fewest names fixed, limits last."""
    prints = {
        side: fingerprint(pair_loss(spec), spec.names) for side, spec in (("first", one), ("second", other))
    }
    found: list[tuple[Special, SpecialCase]] = []
    sides: tuple[tuple[Special, Spec, Spec], ...] = (("second", one, other), ("first", other, one))
    for side, general, special in sides:
        proposed = proposals(general, [special], {special.name: prints[side]})
        case = special_case(general, special, proposed.get(special.name, ()))
        if case is not None:
            found.append((side, case))
    return min(
        found, key=lambda f: (f[1].proof.gradient is not True, len(f[1].settings), f[1].limit), default=None
    )


def _in_common(begun: Comparison, problem: Problem, obstacle: Exception | None) -> Comparison:
    """The answer where neither loss was found to be the other with its own names fixed: they may
    be one at a value of names that both have. Where terms of both vanish there, so does what they
    differ in, and the two are different losses that meet in a third."""
    meeting: tuple[Setting, ...] = ()
    for settings, special in _specialised(problem, begun.first, begun.second):
        if is_spent():
            break
        try:
            found = proof(special) if may_agree(special, 3) and moves(special) else None
            if found is None:
                continue
            side = _special_side(problem, special, settings)
        except TOO_MUCH:
            continue  # no value there, or too much work: another setting may do
        if side is not None:
            return _told(begun, side, SpecialCase(settings, found))
        meeting = meeting or settings
    if begun.witness is not None:
        return replace(
            begun,
            verdict="different",
            settings=meeting,
            standing=told(
                "they differ at the witness ({}), and at no special value that was tried does a "
                "derivation show that one is the other{}",
                begun.witness.standing,
                f"; {SPENT} before all were tried" if is_spent() else "",
            ),
        )
    why = (
        "no derivation shows them equal, and no case was found at which they differ"
        if obstacle is None
        else str(obstacle)
    )
    return replace(begun, settings=meeting, standing=undecided("{}", why))


def _special_side(problem: Problem, special: Problem, settings: tuple[Setting, ...]) -> Special | None:
    """Which of the two is the special one; "both" where a name that both have is fixed, and one of
    them is still whole. None where terms of both vanish, or each has a name of its own fixed: what
    they then are is a third loss."""
    fixed = {setting.name for setting in settings}
    stated, found = (problem.target, problem.recovered), (special.target, special.recovered)
    touched = [fixed & spoken(side) for side in stated]
    if not all(touched):
        return "second" if touched[0] else "first"
    own = [touched[0] - touched[1], touched[1] - touched[0]]
    whole = [
        not mine and _terms(after) >= _terms(before)
        for mine, before, after in zip(own, stated, found, strict=True)
    ]
    return "both" if any(whole) and not all(own) else None


def _terms(expr: Expr) -> int:
    """How many terms the sums of the normal form have, nested ones included."""
    with allowance(expr):
        normal = normal_form(expr)
    return sum(len(s.args) for s in normal.atoms(Add)) if normal.has(Add) else int(normal != 0)


def _specialised(
    problem: Problem, first: Spec, second: Spec
) -> Iterator[tuple[tuple[Setting, ...], Problem]]:
    """The problem at special values, the fewest fixed first; values in the domain before limits."""
    options = _options(problem.spec, first, second)
    tried = 0
    for size in range(1, MAX_FIXED + 1):
        for chosen in itertools.combinations(options, size):
            combined = sorted(
                itertools.product(*(options[name] for name in chosen)),
                key=lambda pairs: sum(setting.limit for setting, _ in pairs),
            )
            for pairs in combined:
                tried += 1
                if tried > MAX_SETTINGS:
                    return
                special = _inserted(problem, {s.name: value for s, value in pairs})
                if special is not None:
                    yield tuple(s for s, _ in pairs), special


def _options(spec: Spec, first: Spec, second: Spec) -> dict[str, list[Option]]:
    """What each name may be fixed at."""
    options: dict[str, list[Option]] = {}
    mine, theirs = first.names.parameters, second.names.parameters
    used = {name for e in (spec.margin, spec.loss) if e is not None for name in spoken(e)}
    for name, parameter in spec.names.parameters.items():
        if name not in used:
            continue
        others = [q for q in spec.names.parameters if q in theirs and q not in mine]
        equal = [spec.names.parameters[q] for q in others if name in mine and name not in theirs]
        options[name] = [*inside(parameter), *((Setting(name, q.name), q) for q in equal), *limits(parameter)]
    for name in spec.names.features:
        if name in used:
            options[name] = list(masks(name, spec.names.range(name)))
    for name in sorted(spec.policies):
        if name not in ("pi", "pi_ref"):
            options[name] = [frozen(name)]
    return options


def _inserted(problem: Problem, fixed: Mapping[str, Expr]) -> Problem | None:
    """The problem with these names fixed; None where a side has no value then."""
    spec = problem.spec
    sides = (problem.target, problem.recovered, spec.link)
    one, other, link = (insert(side, spec.names, fixed) for side in sides)
    if S.NaN in (one, other, link):
        return None
    assert one is not None and other is not None
    return posed(replace(spec, link=link), problem.kind, one, other)
