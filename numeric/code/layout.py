"""What each argument of a loss function is given, entry by entry, for every size.

Rows are the responses of a batch, all chosen ones first, then all rejected ones, then others that a
spec declares. Along the tokens a row is its response, then padding; `unshifted`, as trainers hold
them, labels and masks have one prompt token before and logits one position after. An entry is an
expression in the position `T` and the vocabulary entry `V`; logits are a log-probability and any
shift of their position, which is every tensor of logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sympy import Expr, Integer, Symbol

from midpo.numeric.checking.binding import Binding, Source
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.building import rename_index, substitute
from midpo.symbolic.language.nodes import (
    CHOSEN,
    REJECTED,
    Datum,
    Feature,
    Further,
    Length,
    Log,
    Prob,
    Ranged,
    TokenProb,
    TokenSum,
    VocabProb,
)
from midpo.symbolic.language.spec import Spec

from .heads import HIDDEN, PARTS, WEIGHT, WIDTH, offset, state, weights, with_heads
from .instances import at_sizes, logit
from .places import DIRECTION, LABEL, SHIFT, UNIT, Padding, T, V, is_label, unknown

IGNORED = -100


@dataclass(frozen=True)
class Cell:
    """One stored entry: the same expression at all positions of `domain`, a response, or at a
    single one (UNIT)."""

    domain: Any
    entry: Any


@dataclass(frozen=True)
class Given:
    """A tensor: rows of cells, one cell a row where it has no token axis. `dtype` is "float", "int"
    or "bool"; a `leaf` is what gradients are taken by. With a `width`, entries are tuples of so many:
    the last axis."""

    rows: tuple[tuple[Cell, ...], ...]
    dtype: str = "float"
    tokens: bool = False
    vocabulary: bool = False
    width: int = 0
    leaf: str = ""  # "whole", "logps", "logits", or a part of a head


@dataclass(frozen=True)
class Layout:
    """A batch of `pairs`. With `lengths` (of the rows, and the padded length) positions are
    concrete; with `vocabulary` too, its entries are, and labels are `tokens`. `heads` are the
    policies that are given by hidden states, each with whether its head has a bias."""

    spec: Spec
    pairs: int = 1
    unshifted: bool = False
    lengths: tuple[int, ...] = ()
    total: int = 0
    vocabulary: int = 0
    heads: tuple[tuple[str, bool], ...] = ()

    @cached_property
    def sides(self) -> tuple[tuple[Symbol, ...], ...]:
        """For each pair its responses, in the order of the spec's roles."""
        roles = self.spec.roles
        return (roles, *(tuple(Further(f"{r}{k}") for r in roles) for k in range(2, self.pairs + 1)))

    @cached_property
    def responses(self) -> tuple[Symbol, ...]:
        """The response of each row."""
        return tuple(pair[role] for role in range(len(self.spec.roles)) for pair in self.sides)

    @cached_property
    def paddings(self) -> tuple[Padding, ...]:
        return tuple(Padding(f"pad{n}") for n in range(1, len(self.responses) + 1))

    @cached_property
    def counts(self) -> dict[Any, int]:
        """How many positions each response and padding has, where that is concrete."""
        if not self.lengths:
            return {}
        found: dict[Any, int] = dict(zip(self.responses, self.lengths, strict=True))
        return found | {p: self.total - found[y] for y, p in zip(self.responses, self.paddings, strict=True)}

    @cached_property
    def tokens(self) -> dict[str, list[int]]:
        """The labels, where the vocabulary is concrete: others for each role, as equal ones could
        make a pair's responses the same; spread over a vocabulary that is wider than two."""
        if not self.vocabulary:
            return {}
        rows = len(self.responses)
        return {
            str(y): [7 * (row % rows // self.pairs + t) % self.vocabulary for t in range(n)]
            for row, (y, n) in enumerate(self.counts.items())
        }

    @cached_property
    def whole(self) -> Spec:
        """The spec with every response of the batch, padding among them, and every feature."""
        names = self.spec.names
        beside = [y for y in (*self.responses, *self.paddings) if y not in (CHOSEN, REJECTED)]
        features, ranges = dict(names.features), dict(names.ranges)
        for name, kind in names.features.items():
            for k in range(self.pairs if kind == "pair" else 0):
                own = self.of_pair(names.datum(name), k).name
                features[own] = kind
                if name in names.ranges:
                    ranges[own] = names.range(name)
        return replace(
            self.spec, names=replace(names, responses=tuple(beside), features=features, ranges=ranges)
        )

    @property
    def bounded(self) -> bool:
        return bool(self.lengths)

    # -- what arguments are given

    def given(self, kind: str, name: str = "") -> Given:
        """The tensor of the whole batch for a source of this kind."""
        found = self._given(kind, name)
        return concrete(found, self) if self.bounded else found

    def _given(self, kind: str, name: str) -> Given:
        policy, trained = Symbol(name), name == "pi"
        if kind == "whole":
            return self.column(lambda y: Log(Prob(policy, y)), leaf="whole" * trained)
        if kind == "lengths":
            return self.column(Length, dtype="int")
        if kind == "logps":
            return self.grid(lambda y: Log(TokenProb(policy, y, T)), leaf="logps" * trained)
        if kind == "logits":
            shift = Symbol(f"{SHIFT}{name}")
            return self.grid(
                lambda y: (
                    logit(policy, y, T, V)
                    if self.vocabulary
                    else Log(VocabProb(policy, y, T, V)) + Feature(shift, y, T)
                ),
                last=self.outside(f"{policy}'s logits after the last label", V),
                vocabulary=True,
                leaf="logits" * trained,
            )
        if kind in PARTS:
            return self.head(kind, name)
        before = (lambda y: 0) if self.unshifted else None
        if kind == "labels":
            return self.grid(
                lambda y: Feature(LABEL, y, T),
                padded=lambda p: IGNORED,
                dtype="int",
                first=(lambda y: IGNORED) if self.unshifted else None,
            )
        if kind == "ids":
            return self.grid(lambda y: Feature(LABEL, y, T), dtype="int", first=before)
        if kind == "mask":
            return self.grid(lambda y: 1, padded=lambda p: 0, dtype="int", first=before)
        if kind == "feature":
            return self.feature(name)
        raise MidpoError(
            f"{kind} of {name or 'the batch'} is not lifted\n"
            "  expected: logits, log-probabilities, labels, a mask or lengths"
        )

    def head(self, part: str, policy: str) -> Given:
        """Hidden states (rows, positions, width), weight (V, width) or bias (V,) of a policy."""
        if not self.vocabulary:
            raise MidpoError("hidden states and heads are lifted at small sizes only\n  expected: --shapes")
        leaf = part * (policy == "pi")
        if part == HIDDEN:
            what = f"{policy}'s hidden state after the last label"
            last = (
                (lambda y: tuple(unknown(what, y, k) for k in map(Integer, range(WIDTH))))
                if (self.unshifted)
                else None
            )
            return self.grid(lambda y: state(policy, y), last=last, width=WIDTH, leaf=leaf)
        entry, width = (weights, WIDTH) if part == WEIGHT else (offset, 0)
        rows = tuple((Cell(UNIT, entry(policy, v)),) for v in range(self.vocabulary))
        return Given(rows, width=width, leaf=leaf)

    def outside(self, what: str, *at: Expr) -> Any:
        """What stands beside a row's positions where trainers hold one more."""
        return (lambda y: unknown(what, y, *at)) if self.unshifted else None

    def feature(self, name: str) -> Given:
        datum, kind = self.spec.names.datum(name), self.spec.names.features[name]
        if kind == "token":
            return self.grid(
                lambda y: Feature(datum, y, T), first=self.outside(f"{name} before the response")
            )
        if kind == "response":
            return self.column(lambda y: Feature(datum, y))
        return Given(tuple((Cell(UNIT, Feature(self.of_pair(datum, k))),) for k in range(self.pairs)))

    def of_pair(self, datum: Symbol, pair: int) -> Symbol:
        """The feature of a pair, as that of pair number 1, 2, ..."""
        if pair == 0:
            return datum
        name = f"{datum.name}{pair + 1}"
        return Datum(name, datum.domain) if isinstance(datum, Ranged) else Symbol(name)

    def column(self, entry: Any, dtype: str = "float", leaf: str = "") -> Given:
        return Given(tuple((Cell(UNIT, entry(y)),) for y in self.responses), dtype, leaf=leaf)

    def grid(
        self,
        entry: Any,
        *,
        padded: Any = None,
        first: Any = None,
        last: Any = None,
        dtype: str = "float",
        vocabulary: bool = False,
        width: int = 0,
        leaf: str = "",
    ) -> Given:
        rows = []
        for y, p in zip(self.responses, self.paddings, strict=True):
            cells = [Cell(y, entry(y)), Cell(p, (padded or entry)(p))]
            cells = cells if first is None else [Cell(UNIT, first(y)), *cells]
            rows.append(tuple(cells if last is None else [*cells, Cell(UNIT, last(y))]))
        return Given(tuple(rows), dtype, True, vocabulary, width, leaf)

    # -- the spec's own words for a pair

    def of(self, expr: Expr, pair: int) -> Expr:
        """An expression of the spec for one pair of the batch."""
        table: dict[Expr, Expr] = dict(zip(self.spec.roles, self.sides[pair], strict=True))
        for name, kind in self.spec.names.features.items():
            if kind == "pair":
                datum = self.spec.names.datum(name)
                table[Feature(datum)] = Feature(self.of_pair(datum, pair))
        return substitute(expr, table)

    def row_of(self, expr: Expr, pair: int) -> Expr:
        """What was lifted of a batch of one pair, as this batch has it of the pair."""
        alone = Layout(self.spec, 1, self.unshifted)
        rows = [role * self.pairs + pair for role in range(len(self.spec.roles))]
        pads = {alone.paddings[n]: self.paddings[row] for n, row in enumerate(rows)}
        return self.of(substitute(expr, pads), pair)


def direction(leaf: str, y: Any) -> Expr:
    """How an input moves: a log-probability of a token by d(y, t), that of a response by their sum,
    logits by d(y, t, v)."""
    if leaf == "whole":
        return TokenSum(Feature(DIRECTION, y, T), T, y)
    return Feature(DIRECTION, y, T) if leaf == "logps" else Feature(DIRECTION, y, T, V)


# --- Concrete sizes -------------------------------------------------------------------------------


def concrete(given: Given, layout: Layout) -> Given:
    """A tensor at concrete positions: a cell of its own for each; and at concrete entries."""
    rows = []
    for row in given.rows:
        cells = []
        for cell in row:
            if cell.domain == UNIT:
                cells.append(Cell(UNIT, instantiate(cell.entry, layout)))
                continue
            for n in range(layout.counts[cell.domain]):
                cells.append(Cell(UNIT, _placed(cell.entry, n + 1, layout)))
        rows.append(tuple(cells))
    return Given(tuple(rows), given.dtype, given.tokens, given.vocabulary, given.width, given.leaf)


def _placed(entry: Any, t: int, layout: Layout) -> Any:
    """An entry at a position."""
    if isinstance(entry, tuple):
        return tuple(_placed(e, t, layout) for e in entry)
    return instantiate(rename_index(entry, T, Integer(t)), layout) if isinstance(entry, Expr) else entry


def instantiate(entry: Any, layout: Layout) -> Any:
    """An entry at the layout's concrete sizes; a number is one already."""
    if not isinstance(entry, Expr):
        return entry
    found = at_sizes(entry, layout.counts, layout.vocabulary, layout.tokens)
    found = with_heads(found, dict(layout.heads)) if layout.heads else found
    return int(found) if is_label(entry) and found.is_Integer else found


def sources(binding: Binding) -> Mapping[str, Source]:
    """The arguments that are given, by name; options are left at their defaults."""
    return {
        name: source
        for name, source in binding.sources.items()
        if name not in binding.left_out and source.kind != "option"
    }
