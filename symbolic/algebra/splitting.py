"""Finds proofs by cells, and the form of sums whose bodies have cells.

Between the monomials of different cells no relation holds, so that two sides are equal exactly when
they are on every cell that has an interior. That a cell has none is shown by linear arithmetic over
the monomials; one that is empty for other reasons makes two sides look different, never equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any

from sympy import Add, Expr, Mul, S, Symbol

from midpo.symbolic.domains.whole import Lattice, lattice, thresholds
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import (
    BINDERS,
    MARGIN,
    Length,
    Max,
    Node,
    Parameter,
    Step,
    TokenSum,
    structural,
)
from midpo.symbolic.language.signs import is_positive
from midpo.symbolic.rewriting.derivation import Derivation, Instance
from midpo.symbolic.rewriting.derivation import Step as Link
from midpo.symbolic.rewriting.rule import CELLS, Parts
from midpo.symbolic.rewriting.rules import RULES
from midpo.symbolic.work import spend

from .cells import (
    Fork,
    Leaf,
    Signs,
    Tree,
    asked_of,
    assumed,
    at_values,
    bounds_of,
    on_cell,
    parts_of,
    sign_of,
    without_pieces,
)
from .factor import finer_factors, roots_in
from .interior import no_interior
from .normal import normalise
from .polynomial import expand, is_zero
from .quotients import quotient_form
from .signs import same_sign

MAX_CUTS = 16  # on one way through a tree
MAX_CELLS = 400
FEW = 8  # values of a whole number that are taken one by one
ROUNDS = 4
CELL_FORM = {"written_out": True, "field": True, "whole_maxima": True}


def meet(left: Derivation, right: Derivation, depth: int = 3) -> bool:
    """Extend the two chains until they end in one expression; whether they do.

    Both are in the form CELL_FORM. Raises: TooLarge where there are too many cells.
    """
    with finer_factors(roots_in(left.end, right.end)):
        return (
            _without_cells(left, right)
            or _body_by_body(left, right)
            or (depth > 0 and _cell_by_cell(left, right, depth - 1))
        )


def _without_cells(left: Derivation, right: Derivation) -> bool:
    """Whether the chains meet in a form that both sides together decide: with one set of factors,
    one form of quotients, and bodies of sums split at the same cuts."""
    for _ in range(ROUNDS):
        for chain in (left, right):
            chain.settled.clear()
            normalise(chain, **CELL_FORM)
        if is_zero(left.end - right.end):
            left.arithmetic(right.end)
            return True
        if not (quotient_form(left, right) or _split_bodies(left, right)):
            break
    return False


def _cell_by_cell(left: Derivation, right: Derivation, depth: int) -> bool:
    for part in _separate(expand(left.end - right.end)):
        value = _value(part)
        if value is None:
            return False
        old, new = left.end, left.end - part + value
        tree = _tree(old, new, part, (), depth, _Walk())
        if tree is None:
            return False
        left.append(Link(CELLS, old, new, (Instance(old, new, (tree,)),)))
    if not is_zero(left.end - right.end):
        return False
    left.arithmetic(right.end)
    return True


def _separate(difference: Expr) -> list[Expr]:
    """The parts of a sum whose steps and maxima speak of different data. If the sum is 0, every
    part has one value on all its cells."""
    parts: list[tuple[Expr, set[Expr]]] = []
    for term in Add.make_args(difference):
        data = set().union(*map(_data, _piecewise(term)))
        if not data:
            continue
        touching = [part for part in parts if part[1] & data]
        parts = [part for part in parts if part not in touching]
        parts.append((Add(term, *(p for p, _ in touching)), data.union(*(d for _, d in touching))))
    return [part for part, _ in parts]


def _data(expr: Expr) -> set[Expr]:
    """The parameters and innermost nodes of `expr`, and the margin of a link."""
    inner: set[Expr] = {n for n in expr.atoms(Node) if not any(arg.has(Node) for arg in n.args)}
    return inner.union(expr.atoms(Parameter), expr.free_symbols & {MARGIN})


def _value(part: Expr) -> Expr | None:
    """What `part` is on the first of its cells that has room, if that holds no step or maximum."""
    first = None
    for signs in _cells((part,), (), _Walk()):
        whole = at_values(part, signs) == part  # no number has but one value there
        if whole or first is None:
            chain = Derivation(on_cell(part, signs)[0])
            normalise(chain, **CELL_FORM)
            first = chain.end
        if whole:
            break
    return None if first is None or first.has(Step, Max) else first


def first_cell(exprs: Iterable[Expr]) -> Signs:
    """The signs of a cell with interior on which all steps and maxima of `exprs` are known; none
    where there is no such cell. Raises: TooLarge."""
    return next(_cells(sorted(exprs, key=structural), (), _Walk()), ())


# --- Trees ----------------------------------------------------------------------------------------


@dataclass
class _Walk:
    """How many cells one walk may still see, and the numbers whose sign it has asked for."""

    cells: int = MAX_CELLS
    asked: set[Expr] = field(default_factory=set)

    def next_cut(self, exprs: Iterable[Expr], signs: Signs) -> Expr | None:
        """A cut of `exprs`, as they are on the cell, whose sign is not known there."""
        numbers = _compared(exprs)
        self.asked.update(numbers, *(dict(parts_of(x)[1]) for x in numbers))
        cuts = set().union(*(_factors(x, signs) for x in numbers)) - {*dict(signs)}
        if cuts and len(signs) == MAX_CUTS:
            raise TooLarge(f"more than {MAX_CUTS} cuts at once")
        return min(cuts, key=lambda cut: (len(Add.make_args(cut)), structural(cut)), default=None)

    def count(self) -> None:
        self.cells -= 1
        if self.cells < 0:
            raise TooLarge(f"more than {MAX_CELLS} cells")
        spend(100)


def _tree(old: Expr, new: Expr, part: Expr, signs: Signs, depth: int, walk: _Walk) -> Tree | None:
    """A proof of old = new on the cell of these signs, or None; the forks are at cuts of `part`."""
    empty = no_interior(signs, walk.asked)
    if empty is not None:
        return empty
    cut = walk.next_cut((on_cell(part, signs)[0],), signs)
    if cut is None:
        walk.count()
        left, right = (Derivation(on_cell(side, signs)[0]) for side in (old, new))
        for chain in (left, right):
            normalise(chain, **CELL_FORM)
        if meet(left, right, depth):
            return Leaf(left.joined(right))
        cut = _between_values(signs)
        if cut is None:
            return None
    above = _tree(old, new, part, (*signs, (cut, True)), depth, walk)
    if above is None:
        return None
    below = _tree(old, new, part, (*signs, (cut, False)), depth, walk)
    return None if below is None else Fork(cut, above, below)


def _between_values(signs: Signs) -> Expr | None:
    """A cut between two of the few values that the signs leave to some whole number."""
    for cut, _ in signs:
        whole = lattice(cut)
        if whole is not None:
            low, high = bounds_of(whole.u, signs)
            if low is not None and high is not None and 0 < high - low < FEW:
                return whole.u - low - 1
    return None


def _cells(exprs: Sequence[Expr], signs: Signs, walk: _Walk) -> Iterator[Signs]:
    """The cells with interior on which all steps and maxima of `exprs` are known."""
    if no_interior(signs, walk.asked) is not None:
        return
    cut = walk.next_cut([on_cell(expr, signs)[0] for expr in exprs], signs)
    if cut is None:
        walk.count()
        yield signs
        return
    for above in (True, False):
        yield from _cells(exprs, (*signs, (cut, above)), walk)


def _compared(exprs: Iterable[Expr]) -> list[Expr]:
    """The numbers whose signs the steps and maxima of `exprs` ask for: of those that stand under
    no index and hold no other step or maximum."""
    found: set[Expr] = set()
    for node in _ready(exprs):
        args = node.args
        pairs = ((x, y) for i, x in enumerate(args) for y in args[:i])
        found.update(args if isinstance(node, Step) else (x - y for x, y in pairs))
    return sorted(map(asked_of, found), key=structural)


def _factors(x: Expr, signs: Signs) -> set[Expr]:
    """The expressions whose signs decide that of `x` on the cell."""
    sign = sign_of(x, signs)
    if sign is not None and (sign.positive or sign.strict or sign.ties):
        return set()
    found: set[Expr] = set()
    bases = [base for base, _ in parts_of(x)[1] if not is_positive(base)]
    for base in bases:
        whole = lattice(base)
        if whole is not None:
            edges = _turns(base)
            if not edges:
                edges = _edges(whole) if len(bases) > 1 else {_cut(x, base)}
            found |= {cut for cut in edges if not _told(cut, signs)}
            continue
        same = same_sign(base)
        found |= {base} if same is None else _factors(same, signs)
    return found


def _turns(base: Expr) -> set[Expr]:
    """The cuts of one whole number that tell the sign of `base`, a polynomial of it."""
    found = [known for x in (base, -base) if (known := thresholds(x)) is not None]
    return {u - at for u, _, jumps in found for at, _ in jumps}


def _cut(x: Expr, base: Expr) -> Expr:
    """The cut that tells where x is at least 0, which has no other factor without a sign."""
    sign = parts_of(x)[0] * Mul(*(b**e for b, e in parts_of(x)[1] if b == base)) / base
    found = lattice(base if is_positive(sign) else -base)
    assert found is not None
    return found.cut[0]


def _edges(whole: Lattice) -> set[Expr]:
    """The cuts that tell where a whole number is at least 0 and where it is above: one, where it is
    never 0."""
    return {whole.u + floor(whole.shift), whole.u + ceil(whole.shift) - 1}


def _told(cut: Expr, signs: Signs) -> bool:
    sign = sign_of(cut, signs)
    return sign is not None and (sign.positive or sign.strict)


def _ready(exprs: Iterable[Expr]) -> set[Expr]:
    """The steps and maxima of `exprs` under no index, with no other inside."""
    found = set().union(*map(_piecewise, exprs))
    return {node for node in found if not any(_piecewise(arg) for arg in node.args)}


def _piecewise(expr: Expr) -> set[Expr]:
    """The steps and maxima of `expr` under no index."""
    found: set[Expr] = set()
    seen: set[tuple[Any, frozenset[Symbol]]] = set()

    def visit(node: Any, bound: frozenset[Symbol]) -> None:
        if (node, bound) in seen or not node.has(Step, Max):
            return
        seen.add((node, bound))
        if isinstance(node, (Step, Max)) and not node.free_symbols & bound:
            found.add(node)
        under = bound | {node.args[1]} if isinstance(node, BINDERS) else bound
        for arg in node.args:
            visit(arg, under)

    visit(expr, frozenset())
    return found


# --- Cells without interior -----------------------------------------------------------------------


# --- Sums whose bodies have cells -----------------------------------------------------------------


def _split_bodies(left: Derivation, right: Derivation) -> bool:
    """Write the bodies of sums over one index as sums over their common cells, on both sides; for
    the innermost such sums. Whether anything changed."""
    groups: dict[Any, set[Expr]] = defaultdict(set)
    for node in {*left.end.atoms(*BINDERS), *right.end.atoms(*BINDERS)}:
        body, index = node.args[:2]
        cut = any(index in step.free_symbols for step in _ready((body,)))
        if cut and not any(n.has(Step, Max) for n in body.atoms(*BINDERS)):
            groups[type(node), node.args[1:]].add(node)
    found: list[Instance] = []
    for (kind, rest), nodes in sorted(groups.items(), key=lambda item: str(item[0])):
        bodies = sorted((node.args[0] for node in nodes), key=structural)
        context = assumed(kind(S.One, *rest), kind(S.One, *rest))
        for body, new in zip(bodies, _cell_forms(bodies, context), strict=True):
            if new != body:
                tree = _tree(body, new, body + new, context, 1, _Walk())
                if tree is None:
                    return False
                found.append(Instance(kind(body, *rest), kind(new, *rest), (tree,)))
    changed = [chain.replace(CELLS, found) for chain in (left, right)]
    return any(changed)


def _with_sums(difference: Expr) -> list[tuple[Expr, Expr | None]]:
    """Each term with the sum over tokens in it that has cells; where none has, with one beside
    which stands what stands beside one that has, or with any."""
    terms = Add.make_args(difference)
    listed = [[f for f in Mul.make_args(term) if isinstance(f, TokenSum)] for term in terms]
    cut = [next((f for f in sums if f.has(Step, Max)), None) for sums in listed]
    beside = {_alone(term / f) for term, f in zip(terms, cut, strict=True) if f is not None}
    found: list[tuple[Expr, Expr | None]] = []
    for term, sums, chosen in zip(terms, listed, cut, strict=True):
        alike = (f for f in sums if _alone(term / f) in beside)
        found.append((term, chosen or next(alike, sums[0] if sums else None)))
    return found


def _alone(expr: Expr) -> Expr:
    """The factors that speak of data."""
    return Mul(*(f for f in Mul.make_args(expr) if not f.is_Number and not isinstance(f, Length)))


def _body_by_body(left: Derivation, right: Derivation) -> bool:
    """Whether the difference of the two ends is sums whose bodies together are 0 on every cell;
    then the left chain is led to the right one's end, else to it and what is left. Sums over one
    response are one sum here, with its length as the sum of 1, so that what a cell says of a
    position is used in all."""
    difference = expand(left.end - right.end)
    if not any(node.args[0].has(Step, Max) for node in difference.atoms(TokenSum)):
        return False
    groups: dict[Any, list[tuple[Expr, Expr]]] = defaultdict(list)
    lengths: list[Expr] = []
    for term, node in _with_sums(difference):
        if node is None:
            lengths.append(term)
        else:
            body, *rest = node.args
            groups[tuple(rest)].append((term / node, body))
    gathered: list[Instance] = []
    zero: list[Instance] = []
    nothing: list[Instance] = []
    linear = RULES["token_sum_linear"]
    for (index, response), terms in groups.items():
        shares = [term for term in lengths if Length(response) in Mul.make_args(term)]
        share = (Add(*(term / Length(response) for term in shares)), S.One)
        for beside in ([share], []) if shares else ([],):
            parts = ((*terms, *beside), index, response)
            found = _zero_sum(parts)
            if found is not None:
                gathered.append(Instance(found.old, linear.right(*parts), parts))
                zero.append(found)
                none = (((S.Zero, S.One),), index, response)
                nothing.append(Instance(found.new, S.Zero, none))
                lengths = [term for term in lengths if not (beside and term in shares)]
                break
    if not gathered:
        return False
    end = expand(left.end - Add(*(i.new for i in gathered)))
    before = end + Add(*(i.new for i in gathered))
    left.arithmetic(before)
    left.append(Link(linear.name, end + Add(*(i.old for i in gathered)), before, tuple(gathered)).reversed())
    left.replace(CELLS, zero)
    left.replace(linear.name, nothing)
    if not is_zero(left.end - right.end):
        return False
    left.arithmetic(right.end)
    return True


def _zero_sum(parts: Parts) -> Instance | None:
    """A proof by cells that the sum which token_sum_linear makes of these parts is one of 0."""
    terms, index, response = parts
    if any(index in outside.free_symbols for outside, _ in terms):
        return None
    whole, empty = RULES["token_sum_linear"].left(*parts), TokenSum(S.Zero, index, response)
    if not isinstance(whole, TokenSum):
        return None
    tree = _tree(whole.args[0], S.Zero, whole.args[0], assumed(whole, empty), 1, _Walk())
    return None if tree is None else Instance(whole, empty, (tree,))


def _cell_forms(bodies: Sequence[Expr], context: Signs) -> list[Expr]:
    """Each of `bodies` as the sum over their common cells of the cell's indicator times what the
    body is there; `context` is what holds of the index."""
    totals = [S.Zero] * len(bodies)
    for signs in _cells(bodies, context, _Walk()):
        assumed_later = signs[len(context) :]
        indicator = Mul(*(Step(cut) if above else 1 - Step(cut) for cut, above in assumed_later))
        for i, body in enumerate(bodies):
            chain = Derivation(without_pieces(body, signs)[0])
            normalise(chain, **CELL_FORM)
            totals[i] += indicator * chain.end
    return [expand(total) for total in totals]
