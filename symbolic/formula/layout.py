r"""A formula too wide for one line, written over several.

Breaks stand outermost: at wide spaces, else before relations, else at the + and - of a sum. A term
too wide for a line of its own is opened: its last bracket (a sum's body, a function's argument, a
sum between brackets) goes over several lines, set in by one step. An opened fraction is a factor
1/b before brackets, and an exponent too long to be raised follows an arrow. What cannot be opened
is left as it is, however wide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .signs import Kind
from .tree import (
    EMPTY,
    JOINED,
    Abridged,
    Beside,
    Bracket,
    Cases,
    Enclosed,
    Fence,
    Formula,
    Fraction,
    Infix,
    Root,
    Script,
    Sign,
    Slash,
    Space,
    Times,
    between,
    leaf,
    nodes,
    number,
    rebuilt,
    row,
    script,
)
from .width import width as measure

INDENT = leaf(r"\quad ")
_NARROWEST = 20.0  # below this, breaking makes a formula worse
_TIMES = Infix(Sign(r"\times "))
_SPACES = frozenset({r"\quad", r"\qquad"})
_RELATIONS = frozenset({"=", r"\equiv", r"\le", r"\ge"})
_SIGNS = frozenset("+-")

Units = tuple[Formula, ...]


def lines(formula: Formula, width: float) -> list[Formula]:
    """`formula` as lines of at most about `width` digits' width."""
    if measure(formula) <= width or width < _NARROWEST:
        return [formula]
    opened = _opened(_units(formula), width)
    return opened if len(opened) > 1 else [formula]


def pieces(formula: Formula, width: float) -> list[Formula]:
    """`formula` cut at its outermost spaces, relations and signs alone, into as few pieces as fit
    the width."""
    found: list[Formula] = []
    for lead, units in _groups(_units(formula), _SPACES | _RELATIONS | _SIGNS):
        if found and measure(row(found[-1], lead, *units)) <= width:
            found[-1] = row(found[-1], lead, *units)
        else:
            found.append(row(_infix(lead) if _is(lead, _SIGNS) else lead, *units))
    return found


def _opened(units: Units, width: float) -> list[Formula]:
    for places in (_SPACES, _RELATIONS, _SIGNS):
        groups = list(_groups(units, places))
        if len(groups) > 1:
            return _fill(groups, width)
    if _is(units[0], _SIGNS):
        return _prefixed(units[0], lines(row(*units[1:]), width - 2))
    factors = list(_factors(units))
    return _product(factors, width) if len(factors) > 1 else _factor(units, width)


# --- What stands side by side ---------------------------------------------------------------------


def _units(formula: Formula) -> Units:
    """The parts of a row as a page has it, with the places between factors."""
    match formula:
        case Beside(parts):
            return tuple(unit for part in parts for unit in _units(part))
        case Abridged(body):
            return _units(body)
    return (formula,)


def _groups(units: Units, places: frozenset[str]) -> Iterator[tuple[Formula, Units]]:
    """`units` parted before each sign or space of `places` that stands between two of them: that,
    and what follows it."""
    lead: Formula = EMPTY
    group: list[Formula] = []
    for unit in units:
        if _is(unit, places) and group and not _leads(group[-1]):
            yield lead, tuple(group)
            lead, group = unit, []
        elif group or not (isinstance(unit, Space) and unit.tex == " "):
            group.append(unit)
    yield lead, tuple(group)


def _is(unit: Formula, places: frozenset[str]) -> bool:
    if isinstance(unit, Space):
        return unit.command in places
    return isinstance(unit, Sign) and unit.glyph.tex in places


def _leads(unit: Formula) -> bool:
    """Whether a sign after this one belongs to what follows."""
    return isinstance(unit, Sign) and (unit.glyph.leads or unit.glyph.tex in _SIGNS)


def _factors(units: Units) -> Iterator[tuple[Formula, Units]]:
    """The factors of a product, each after what parts it from the one before. A sum over tokens
    reaches to the end."""
    lead: Formula = EMPTY
    factor: list[Formula] = []
    for at, unit in enumerate(units):
        if _reaches(unit):
            factor += units[at:]
            break
        if isinstance(unit, Times) and factor:
            yield lead, tuple(factor)
            lead, factor = unit, []
        else:
            factor.append(unit)
    yield lead, tuple(factor)


def _reaches(unit: Formula) -> bool:
    base = unit.base if isinstance(unit, Script) else unit
    return isinstance(base, Sign) and base.glyph.kind is Kind.LARGE


def _is_sum(formula: Formula) -> bool:
    return any(_is(unit, _SIGNS) for unit in _units(formula))


# --- Rows over several lines ----------------------------------------------------------------------


def _fill(groups: Sequence[tuple[Formula, Units]], width: float) -> list[Formula]:
    """Terms one after the other, as many to a line as fit; an opened term has its lines alone."""
    done: list[Formula] = []
    current, fillable = EMPTY, True
    for lead, term in groups:
        joined = row(current, lead, *term)
        if fillable and measure(joined) <= width:
            current = joined
            continue
        begun = row(current, lead)
        if fillable and _is(lead, _RELATIONS) and measure(begun) < width / 3:  # a = and its sum
            *before, current = _prefixed(begun, lines(row(*term), width - measure(begun)))
        else:
            done += [current] if current != EMPTY else []
            head = _infix(lead) if done else lead
            *before, current = _prefixed(head, lines(row(*term), width - 4))
        done += before
        fillable = not before
    return [*done, current]


def _infix(lead: Formula) -> Formula:
    """A sign at the beginning of a line; a space is not needed there."""
    return Infix(Sign(lead.tex.lstrip())) if isinstance(lead, Sign) else EMPTY


def _prefixed(lead: Formula, body: list[Formula]) -> list[Formula]:
    return [row(lead, body[0]), *body[1:]]


def _product(factors: Sequence[tuple[Formula, Units]], width: float) -> list[Formula]:
    done: list[Formula] = []
    current = EMPTY
    for lead, units in factors:
        part = row(*units)
        joined = row(current, lead, part) if current != EMPTY else part
        if measure(joined) <= width:
            current = joined
        elif measure(part) <= width - 6:
            done, current = [*done, current] if current != EMPTY else done, row(_TIMES, part)
        else:
            *before, current = _behind(current, lead, units, width)
            done += before
    return [*done, current]


def _behind(current: Formula, lead: Formula, units: Units, width: float) -> list[Formula]:
    """A factor over several lines, after what its line already holds."""
    if measure(current) > width / 3:
        return [current, *_behind(_TIMES, EMPTY, units, width)]
    if len(units) == 1 and isinstance(fence := units[0], Fence) and fence.left != "|":
        head = row(current, JOINED) if isinstance(lead, Times) else current
        return _bracketed(head, fence.body, EMPTY, width, (fence.left, fence.right))
    room = width - measure(current) - 1
    head = row(current, lead) if current != EMPTY else EMPTY
    return _prefixed(head, lines(row(*units), room))


# --- One factor over several lines ----------------------------------------------------------------


def _factor(units: Units, width: float) -> list[Formula]:
    """A factor whose widest part that can be opened is."""
    if _reaches(units[0]) and len(units) > 1:
        body = units[2:] if isinstance(units[1], Space) else units[1:]
        return _behind(units[0], leaf(" "), body, width)
    at = max(range(len(units)), key=lambda place: measure(units[place]))
    head, tail = _before_bracket(units[:at]), row(*units[at + 1 :])
    match units[at]:
        case Enclosed(inside):
            alone = head == EMPTY
            return lines(inside, width) if alone else _bracketed(head, inside, tail, width)
        case Fence(left, inside, right) if left != "|":
            return _bracketed(head, inside, tail, width, (left, right))
        case Script(Fence(left, inside, right), None, above) if left != "|" and above is not None:
            if measure(above) <= width / 2:
                return _bracketed(head, inside, tail, width, (left, right), above)
            *before, last = _bracketed(head, inside, EMPTY, width, (left, right))
            raised = _bracketed(row(r"\uparrow "), _raised(above), tail, width)
            return [*before, last, *raised]
        case Script(base, None, above) if above is not None and measure(above) > width / 2:
            return _bracketed(row(head, base, r" \uparrow "), _raised(above), tail, width)
        case Fraction(above, below) if head == tail == EMPTY:
            return _fraction(_raised(above), below, width)
        case Root(inside):
            return _bracketed(head, inside, tail, width, power=row(1, "/", 2))
        case Cases(rows) if head == tail == EMPTY:
            return _cases(rows, width)
    return [row(*units)]


def _before_bracket(units: Units) -> Formula:
    """The last one, a function's name, without the space before an argument that has no brackets."""
    *others, last = units or (EMPTY,)
    if isinstance(last, Sign) and last.glyph.kind is Kind.FUNCTION:
        last = Sign(last.tex.rstrip())
    return row(*others, last)


def _bracketed(
    head: Formula,
    body: Formula,
    tail: Formula,
    width: float,
    brackets: tuple[str, str] = ("(", ")"),
    power: Formula | None = None,
) -> list[Formula]:
    """head ( body )^power tail, the body over as many lines as it needs, set in but for the
    first."""
    inside = _arguments(body, width - 4 - (measure(head) if measure(head) < width / 3 else 0))
    size = "bigg" if any(map(_tall, inside)) else "Big"  # one for both, on different lines
    left, right = brackets
    whole = [row(head, Bracket(left, size, True), inside[0]), *(row(INDENT, line) for line in inside[1:])]
    closing: Formula = Bracket(right, size, False)
    closing = closing if power is None else script(closing, above=power)
    return [*whole[:-1], row(whole[-1], closing, tail)]


def _arguments(body: Formula, width: float) -> list[Formula]:
    """What stands between brackets; arguments have lines of their own."""
    groups = list(_groups(_units(body), frozenset({","})))
    if measure(body) <= width or len(groups) == 1:
        return lines(body, width)
    found: list[Formula] = []
    for lead, units in groups:
        if found:
            found[-1] = row(found[-1], leaf(lead.tex.strip()) if isinstance(lead, Sign) else lead)
        found += lines(row(*units), width + 2)  # they are set in by two
    return found


def _tall(line: Formula) -> bool:
    return any(
        isinstance(node, Cases)
        or (isinstance(node, Fraction) and not node.small)
        or (isinstance(node, Sign) and node.glyph.kind is Kind.LARGE)
        for node in nodes(line)
    )


def _fraction(top: Formula, bottom: Formula, width: float) -> list[Formula]:
    """top / bottom as (1 / bottom) (top), or as top (bottom)^-1 where the bottom is long."""
    units = (between("(", top, ")"),) if _is_sum(top) else _units(top)
    under = Fraction(number(1), bottom)
    if measure(under) <= width / 3:
        return _behind(under, Times(leaf(" ")), units, width)
    below = _bracketed(EMPTY, bottom, EMPTY, width, power=number(-1))
    if top == number(1):
        return below
    return [*_behind(EMPTY, EMPTY, units, width), row(_TIMES, below[0]), *below[1:]]


def _cases(rows: Sequence[tuple[Formula, Formula]], width: float) -> list[Formula]:
    """The cases one after the other, each with its condition."""
    found: list[Formula] = []
    for place, (value, held) in enumerate(rows):
        stop = [","] if place + 1 < len(rows) else []
        found += _bracketed(EMPTY, _raised(value), row(r"\quad", held, *stop), width - 8)
    return found


def _raised(formula: Formula) -> Formula:
    """What was in a fraction or script, where fractions lie flat, on the line."""
    if isinstance(formula, (Fraction, Script)):
        return formula
    if isinstance(formula, Slash):  # the line of a fraction holds its parts together
        above, below = (
            part.body if isinstance(part, Fence) and part.left == "(" else part
            for part in (formula.above, formula.below)
        )
        return Fraction(above, below)
    return rebuilt(formula, _raised)
