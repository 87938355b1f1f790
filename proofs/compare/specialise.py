"""What a loss becomes at special values, and whether it is then another loss.

Numbers propose (proofs.compare.fingerprint): the general loss with some of its names fixed has the
special loss's values. Names that only one of them has are then matched, and a derivation decides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Expr, S, Symbol

from midpo.symbolic.domains.intervals import POSITIVE
from midpo.symbolic.language.nodes import Feature, Further
from midpo.symbolic.language.places import Names
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import pair_loss

from .fingerprint import Fingerprint, alike, fingerprint
from .settings import Option, Setting, frozen, insert, inside, limits, masks
from .side_by_side import Equality, margin_and_link, seen_equality

MAX_FIXED = 3  # how many of the names a setting may fix
MAX_RENAMINGS = 24
# What a name may be fixed at beside numbers: a parameter of the special loss, which a proof finds.
ANY, ALPHA, INVERSE = "any_parameter", "alpha", "1/alpha"


@dataclass(frozen=True)
class SpecialCase:
    """The general loss at `settings` is the special one; `proof` says up to what."""

    settings: tuple[Setting, ...]
    proof: Equality

    @property
    def limit(self) -> bool:
        """Whether a value is an end of its domain that does not belong to it."""
        return any(setting.limit for setting in self.settings)


def special_case(general: Spec, special: Spec, proposed: Iterable[tuple[Option, ...]]) -> SpecialCase | None:
    """The first of the proposed settings that is proved: by fewest names fixed at values, values
    in their domains before limits. The losses must have one gradient, or the next is asked; what
    is equal in value only is taken where there is nothing else."""
    second_best: SpecialCase | None = None
    for fixed in proposed:
        for settings in itertools.islice(_matchings(general, special, fixed), MAX_RENAMINGS):
            inserted = at(general, special, settings)
            found = None if inserted is None else seen_equality(inserted, special)
            if found is None:
                continue
            case = SpecialCase(tuple(setting for setting, _ in settings), found)
            if found.gradient is True:
                return case
            second_best = second_best or case
    return second_best


# --- Proposals -----------------------------------------------------------------------------------


def proposals(
    general: Spec, others: Sequence[Spec], known: Mapping[str, Fingerprint | None]
) -> dict[str, list[tuple[Option, ...]]]:
    """For each other loss, the settings at which the general one has its numbers: the fewest fixed
    first, values in their domains before limits. `known` are the fingerprints of the others."""
    loss = pair_loss(general)
    options = _options(general, loss)
    found: dict[str, list[tuple[Option, ...]]] = {}
    for size in range(1, MAX_FIXED + 1):
        for names in itertools.combinations(options, size):
            for fixed in itertools.product(*(options[name] for name in names)):
                mine = fingerprint(loss, general.names, fixed)
                for other in others if mine is not None else ():
                    theirs = known[other.name]
                    assert mine is not None
                    if theirs is not None and alike(mine, theirs):
                        found.setdefault(other.name, []).append(fixed)
    for settings in found.values():
        settings.sort(key=lambda fixed: (len(fixed), sum(s.limit for s, _ in fixed)))
    return found


def _options(spec: Spec, loss: Expr) -> dict[str, list[Option]]:
    """What each name that the loss speaks of may be fixed at."""
    used = spoken(loss)
    parameters = spec.names.parameters
    options: dict[str, list[Option]] = {}
    for name, parameter in parameters.items():
        if name in used:
            options[name] = [*inside(parameter), *limits(parameter)]
            if ALPHA not in parameters and parameter.domain.within(POSITIVE):
                options[name] += [(Setting(name, value), S.NaN) for value in (ALPHA, INVERSE)]
    for name in spec.names.features:
        if name not in used:
            continue
        options[name] = [*masks(name, spec.names.range(name)), (Setting(name, ANY), S.NaN)]
        if ALPHA not in parameters:
            options[name].append((Setting(name, ALPHA), S.NaN))
    for name in spec.policies:
        if name not in ("pi", "pi_ref"):
            options[name] = [frozen(name)]
    return options


def spoken(expr: Expr) -> set[str]:
    """The names of the parameters, features, policies and responses that `expr` speaks of."""
    features = {str(node.args[0].name) for node in expr.atoms(Feature)}
    return features | {str(s.name) for s in expr.free_symbols}


# --- Names ---------------------------------------------------------------------------------------


def renamings(first: Spec, second: Spec) -> Iterator[tuple[Option, ...]]:
    """The ways to call every name that only the first loss speaks of by one that only the second
    does: features and parameters of one kind and domain, frozen policies, further responses."""
    mine, theirs = (_kinds(spec) for spec in (first, second))
    only, others = mine.keys() - theirs.keys(), theirs.keys() - mine.keys()
    groups: list[list[tuple[Option, ...]]] = []
    for kind in sorted({mine[n] for n in only} | {theirs[n] for n in others}):
        old = sorted(n for n in only if mine[n] == kind)
        new = sorted(n for n in others if theirs[n] == kind)
        if len(old) != len(new):
            return
        ways = itertools.islice(itertools.permutations(new), MAX_RENAMINGS)
        groups.append(
            [
                tuple((Setting(n, q), _symbol(second, q)) for n, q in zip(old, way, strict=True))
                for way in ways
            ]
        )
    for chosen in itertools.islice(itertools.product(*groups), MAX_RENAMINGS) if groups else ():
        yield tuple(option for group in chosen for option in group)


def _kinds(spec: Spec) -> dict[str, str]:
    """What each name is that the loss speaks of."""
    names, used = spec.names, spoken(pair_loss(spec))
    kinds = {name: f"parameter {p.domain}" for name, p in names.parameters.items()}
    kinds |= {name: f"feature {kind} {names.range(name)}" for name, kind in names.features.items()}
    kinds |= {name: "policy" for name in names.policies if name not in ("pi", "pi_ref")}
    kinds |= {str(y): "response" for y in names.responses}
    return {name: kind for name, kind in kinds.items() if name in used}


def _symbol(spec: Spec, name: str) -> Expr:
    """What stands for a name of the spec in its expressions."""
    parameter = spec.names.parameters.get(name)
    if parameter is not None:
        return parameter
    if name in spec.names.features:
        return spec.names.datum(name)
    return Further(name) if name in map(str, spec.names.responses) else Symbol(name)


def _matchings(general: Spec, special: Spec, fixed: tuple[Option, ...]) -> Iterator[tuple[Option, ...]]:
    """`fixed`, with every name that is still free called as the special loss calls it."""
    theirs = special.names.parameters
    known = {setting.name for setting, _ in fixed}
    mine = {n: p for n, p in general.names.parameters.items() if n not in known}
    if not all(theirs[n].domain.within(p.domain) for n, p in mine.items() if n in theirs):
        return  # the special loss has values of this parameter that the general one has not
    choices: list[list[Option | None]] = []
    for setting, value in fixed:
        if value is not S.NaN:
            choices.append([(setting, value)])
        elif setting.value == ANY:
            choices.append([(Setting(setting.name, q), p) for q, p in theirs.items() if q != ALPHA])
        elif ALPHA not in theirs:
            return
        else:
            alpha = theirs[ALPHA]
            choices.append([(setting, alpha if setting.value == ALPHA else 1 / alpha)])
    for name, parameter in mine.items():
        if name not in theirs and name != ALPHA:
            choices.append(
                [
                    None,
                    *(
                        (Setting(name, q), p)
                        for q, p in theirs.items()
                        if q not in general.names.parameters and p.domain.within(parameter.domain)
                    ),
                ]
            )
    kinds, others = _kinds(general), _kinds(special)
    for name, kind in kinds.items():
        if name in mine or name in known or name in others:
            continue
        choices.append(
            [
                None,
                *(
                    (Setting(name, q), _symbol(special, q))
                    for q, k in others.items()
                    if q not in kinds and k == kind
                ),
            ]
        )
    for chosen in itertools.product(*choices):
        yield tuple(option for option in chosen if option is not None)


def at(general: Spec, special: Spec, settings: Sequence[Option]) -> Spec | None:
    """The general loss with these names fixed, as a spec; None where it has no value then."""
    fixed = {setting.name: value for setting, value in settings}
    margin, link = margin_and_link(general)
    sides = (margin, link) if margin is not None else (pair_loss(general), None)
    first, second = (insert(side, general.names, fixed) for side in sides)
    if S.NaN in (first, second):
        return None
    used = {s.name for e in (first, second) if e is not None for s in e.atoms(Symbol)}
    mine, theirs = general.names, special.names
    names = Names(
        {n: p for n, p in (mine.parameters | theirs.parameters).items() if n in used},
        {n: k for n, k in (mine.features | theirs.features).items() if n not in fixed},
        frozenset({n for n in mine.policies if n not in fixed} | {n for n in theirs.policies if n in used}),
        tuple(y for y in dict.fromkeys((*mine.responses, *theirs.responses)) if y.name in used),
        {n: r for n, r in (theirs.ranges | mine.ranges).items() if n not in fixed},
    )
    told = replace(general, names=names, prior=None, constraint=None, multiplier=None)
    if margin is not None:
        return replace(told, margin=first, loss=None, link=second)
    return replace(told, margin=None, loss=first, link=None)
