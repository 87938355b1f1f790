"""The family of losses: which one is which other's special or limiting case.

An edge says that the general loss, with some of its names fixed, is the special one up to a
positive factor and a constant. Numbers propose (proofs.fingerprint); a derivation replayed by the
checker decides, and what has none is no edge.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sympy import Expr, S, Symbol

from midpo.symbolic.errors import NoValue, SpecError, TooLarge
from midpo.symbolic.intervals import POSITIVE
from midpo.symbolic.language import Feature
from midpo.symbolic.loss import pair_loss
from midpo.symbolic.parser import Names
from midpo.symbolic.spec import Spec, catalogue, load

from .compare import MAX_FIXED, Comparison, margin_and_link, special_case
from .fingerprint import Fingerprint, alike, fingerprint
from .settings import Option, Setting, frozen, insert, inside, limits, masks

MAX_RENAMINGS = 12
# What a name may be fixed at beside numbers: a parameter of the special loss, which a proof finds.
ANY, ALPHA, INVERSE = "any_parameter", "alpha", "1/alpha"


@dataclass(frozen=True)
class Edge:
    """`general` with `settings` is `special`, up to a positive factor and a constant.

    `gradient` says whether the gradients are then equal too; `limit` that a value is an end of its
    domain; `implied` that a chain of other edges leads from `general` to `special`.
    """

    general: str
    special: str
    settings: tuple[Setting, ...]
    standing: str
    gradient: bool = True
    limit: bool = False
    implied: bool = False
    side_conditions: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """The settings in words; an arrow where a value is approached and not reached."""
        return ", ".join(
            f"{s.name} {'→' if s.limit else '='} {s.value}" for s in self.settings
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "general": self.general,
            "special": self.special,
            "condition": self.condition,
            "limit": self.limit,
            "gradient": self.gradient,
            "implied": self.implied,
            "side_conditions": list(self.side_conditions),
            "standing": self.standing,
        }


@dataclass(frozen=True)
class Family:
    """The proved relations between losses.

    `classes` are losses proved equal as they stand, one class a tuple; edges name the first of a
    class. `alone` have no edge. `unproved` are cases where numbers agree and no derivation was
    found; `outside` are rows that state no loss of one pair.
    """

    classes: tuple[tuple[str, ...], ...]
    edges: tuple[Edge, ...]
    unproved: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    equal: Mapping[str, str] = field(default_factory=dict)  # name -> why it is of its class

    @property
    def alone(self) -> tuple[str, ...]:
        """Losses of a class of their own that no edge touches."""
        related = {name for edge in self.edges for name in (edge.general, edge.special)}
        return tuple(c[0] for c in self.classes if len(c) == 1 and c[0] not in related)

    def svg(self) -> str:
        """The edges that no chain of others implies, as a drawing: general on the left."""
        from .family_svg import draw

        return draw(self)

    def as_json(self) -> dict[str, Any]:
        return {
            "classes": [list(c) for c in self.classes if len(c) > 1],
            "equal": dict(self.equal),
            "edges": [edge.as_json() for edge in self.edges],
            "alone": list(self.alone),
            "unproved": list(self.unproved),
            "outside": list(self.outside),
        }


@cache
def family() -> Family:
    """The family of the catalogue. Takes some ten seconds; computed once."""
    return family_of([load(name) for name in catalogue()])


def family_of(specs: Sequence[Spec]) -> Family:
    """The family of these losses; what has one name in two of them is one thing."""
    stated = [spec for spec in specs if not spec.reason]
    known = {s.name: fingerprint(pair_loss(s), s.names) for s in stated}
    classes, equal = _classes(stated, known)
    heads = [spec for spec in stated if spec.name in classes]
    edges: list[Edge] = []
    unproved: list[str] = []
    for general in heads:
        proposed = _proposals(general, [s for s in heads if s is not general], known)
        for special, found in proposed.items():
            tried = (_edge(general, other, fixed) for other, fixed in found)
            edge = next((edge for edge in tried if edge is not None), None)
            if edge is not None:
                edges.append(edge)
            else:
                told = ", ".join(str(setting) for setting, _ in found[0][1])
                unproved.append(f"{general.name} at {told} and {special}")
    return Family(
        tuple(classes.values()), _reduced(edges), tuple(unproved),
        tuple(spec.name for spec in specs if spec.reason), equal,
    )


# --- Equal losses --------------------------------------------------------------------------------


def _classes(
    specs: Sequence[Spec], known: Mapping[str, Fingerprint | None]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Classes of losses that are equal as they stand, by their first; and why they are."""
    classes: dict[str, tuple[str, ...]] = {}
    reasons: dict[str, str] = {}
    heads: list[Spec] = []
    for spec in specs:
        mine = known[spec.name]
        for head in heads:
            theirs = known[head.name]
            if mine is None or theirs is None or not alike(mine, theirs):
                continue
            found = _compared(spec, head)
            if found is not None and found.gradient:
                classes[head.name] = (*classes[head.name], spec.name)
                reasons[spec.name] = found.standing
                break
        else:
            heads.append(spec)
            classes[spec.name] = (spec.name,)
    return classes, reasons


def _compared(one: Spec, other: Spec) -> Comparison | None:
    try:
        return special_case(one, other)
    except (TooLarge, NoValue, RecursionError, SpecError):
        return None


# --- Special cases -------------------------------------------------------------------------------


Proposal = tuple[Spec, tuple[Option, ...]]


def _proposals(
    general: Spec, others: Sequence[Spec], known: Mapping[str, Fingerprint | None]
) -> dict[str, list[Proposal]]:
    """For each other loss, the settings at which the general one has its numbers: the fewest fixed
    first, values in their domains before limits."""
    loss = pair_loss(general)
    options = _options(general, loss)
    found: dict[str, list[Proposal]] = {}
    for size in range(1, MAX_FIXED + 1):
        for names in itertools.combinations(options, size):
            for fixed in itertools.product(*(options[name] for name in names)):
                mine = fingerprint(loss, general.names, fixed)
                for other in others if mine is not None else ():
                    theirs = known[other.name]
                    assert mine is not None
                    if theirs is not None and alike(mine, theirs):
                        found.setdefault(other.name, []).append((other, fixed))
    for proposals in found.values():
        proposals.sort(key=lambda p: (len(p[1]), sum(s.limit for s, _ in p[1])))
    return found


def _options(spec: Spec, loss: Expr) -> dict[str, list[Option]]:
    """What each name that the loss speaks of may be fixed at."""
    used = {s.name for s in loss.free_symbols}
    parameters = spec.names.parameters
    options: dict[str, list[Option]] = {}
    for name, parameter in parameters.items():
        if name in used:
            options[name] = [*inside(parameter), *limits(parameter)]
            if ALPHA not in parameters and parameter.domain.within(POSITIVE):
                options[name].append((Setting(name, INVERSE), S.NaN))
    for name in spec.names.features:
        if not any(node.args[0].name == name for node in loss.atoms(Feature)):
            continue
        options[name] = [*masks(name, spec.names.range(name)), (Setting(name, ANY), S.NaN)]
        if ALPHA not in parameters:
            options[name].append((Setting(name, ALPHA), S.NaN))
    for name in spec.policies:
        if name not in ("pi", "pi_ref"):
            options[name] = [frozen(name)]
    return options


def _edge(general: Spec, special: Spec, fixed: tuple[Option, ...]) -> Edge | None:
    """The proved edge, its names matched where the two call a parameter differently."""
    for settings in itertools.islice(_matchings(general, special, fixed), MAX_RENAMINGS):
        inserted = _with(general, special, settings)
        found = None if inserted is None else _compared(inserted, special)
        if found is not None:
            told = tuple(setting for setting, _ in settings)
            return Edge(
                general.name, special.name, told, found.standing, found.gradient is True,
                any(setting.limit for setting in told), side_conditions=found.side_conditions,
            )
    return None


def _matchings(
    general: Spec, special: Spec, fixed: tuple[Option, ...]
) -> Iterator[tuple[Option, ...]]:
    """`fixed`, with every parameter that is still free called as the special loss calls it."""
    theirs = special.names.parameters
    mine = {n: p for n, p in general.names.parameters.items()
            if n not in {setting.name for setting, _ in fixed}}
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
            choices.append([None, *(
                (Setting(name, q), p) for q, p in theirs.items()
                if q not in general.names.parameters and p.domain.within(parameter.domain)
            )])
    for name, kind in general.names.features.items():
        if name not in {setting.name for setting, _ in fixed} | special.names.features.keys():
            choices.append([None, *(
                (Setting(name, q), special.names.datum(q))
                for q, k in special.names.features.items()
                if q not in general.names.features and k == kind
                and special.names.range(q).within(general.names.range(name))
            )])
    for chosen in itertools.product(*choices):
        yield tuple(option for option in chosen if option is not None)


def _with(general: Spec, special: Spec, settings: Sequence[Option]) -> Spec | None:
    """The general loss with these names fixed, as a spec; None where it has no value then."""
    fixed = {setting.name: value for setting, value in settings}
    margin, link = margin_and_link(general)
    sides = (margin, link) if margin is not None else (pair_loss(general), None)
    first, second = (insert(side, general.names, fixed) for side in sides)
    if S.NaN in (first, second):
        return None
    spoken = {s.name for e in (first, second) if e is not None for s in e.atoms(Symbol)}
    names = Names(
        {n: p for n, p in (general.names.parameters | special.names.parameters).items()
         if n in spoken},
        {n: k for n, k in (general.names.features | special.names.features).items()
         if n not in fixed},
        frozenset({n for n in general.names.policies if n not in fixed}),
        general.names.responses,
        special.names.ranges | general.names.ranges,
    )
    told = replace(general, names=names, prior=None, constraint=None, multiplier=None)
    if margin is not None:
        return replace(told, margin=first, loss=None, link=second)
    return replace(told, margin=None, loss=first, link=None)


# --- Chains --------------------------------------------------------------------------------------


def _reduced(edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """The edges, marked where a chain of others says as much: one whose edges are no limits where
    this is none, and equal in gradient where this is. A cycle marks none of its edges."""
    return tuple(replace(edge, implied=_implied(edge, edges)) for edge in edges)


def _implied(edge: Edge, edges: Sequence[Edge]) -> bool:
    below: dict[str, set[str]] = {}
    for other in edges:
        if other.gradient >= edge.gradient and other.limit <= edge.limit:
            below.setdefault(other.general, set()).add(other.special)
    return any(
        edge.special in found and edge.general not in found
        for between in below[edge.general] - {edge.special}
        for found in [reached(between, below)]
    )


def reached(start: str, below: Mapping[str, set[str]]) -> set[str]:
    """What can be reached from `start`, going down one step or more."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in below.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found
