"""The family of losses: which one is which other's special or limiting case.

An edge says that the general loss, with some of its names fixed, is the special one up to a
positive factor and a constant. Numbers propose (proofs.compare.fingerprint); a derivation replayed
by the checker decides, and what has none is no edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from midpo.symbolic.formula.told import Told
from midpo.symbolic.language.spec import Spec, catalogue, load
from midpo.symbolic.loss import pair_loss

from .fingerprint import Fingerprint, alike, fingerprint
from .settings import Option, Setting
from .side_by_side import seen_equality
from .specialise import proposals, special_case


@dataclass(frozen=True)
class Edge:
    """`general` with `settings` is `special`, up to a positive factor and a constant.

    `gradient` says whether the gradients are then equal too; `limit` that a value is an end of its
    domain; `implied` that a chain of other edges leads from `general` to `special`.
    """

    general: str
    special: str
    settings: tuple[Setting, ...]
    standing: Told
    gradient: bool = True
    limit: bool = False
    implied: bool = False
    side_conditions: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """The settings in words; an arrow where a value is approached and not reached."""
        return ", ".join(f"{s.name} {'→' if s.limit else '='} {s.value}" for s in self.settings)

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

    def without_circles(self) -> tuple[list[Edge], list[Edge]]:
        """The edges that no chain implies, as far as they close no circle, and those that would."""
        kept: list[Edge] = []
        closing: list[Edge] = []
        below: dict[str, set[str]] = {}
        for edge in self.edges:
            if edge.implied:
                continue
            if edge.general == edge.special or edge.general in reached(edge.special, below):
                closing.append(edge)
            else:
                kept.append(edge)
                below.setdefault(edge.general, set()).add(edge.special)
        return kept, closing

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
        proposed = proposals(general, [s for s in heads if s is not general], known)
        for special in heads:
            found = proposed.get(special.name, [])
            edge = _edge(general, special, found)
            if edge is not None:
                edges.append(edge)
            elif found:
                told = ", ".join(str(setting) for setting, _ in found[0])
                unproved.append(f"{general.name} at {told} and {special.name}")
    return Family(
        tuple(classes.values()),
        _reduced(edges),
        tuple(unproved),
        tuple(spec.name for spec in specs if spec.reason),
        equal,
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
            found = seen_equality(spec, head)
            if found is not None and found.gradient is True:
                classes[head.name] = (*classes[head.name], spec.name)
                reasons[spec.name] = found.standing
                break
        else:
            heads.append(spec)
            classes[spec.name] = (spec.name,)
    return classes, reasons


# --- Special cases -------------------------------------------------------------------------------


def _edge(general: Spec, special: Spec, proposed: Sequence[tuple[Option, ...]]) -> Edge | None:
    found = special_case(general, special, proposed)
    if found is None:
        return None
    return Edge(
        general.name,
        special.name,
        found.settings,
        found.proof.standing,
        found.proof.gradient is True,
        found.limit,
        side_conditions=found.proof.side_conditions,
    )


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
