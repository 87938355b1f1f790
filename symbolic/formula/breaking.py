r"""A formula that is there whole, with its relations and words, broken before these and its + and -.

Breaks stand outside fractions and scripts, and in as few brackets as can be. Where one falls within
brackets, all of the formula's brackets that grow become \bigl and \bigr: \left and \right cannot be
parted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .tree import Bracket, Fence, Formula, Infix, Script, Sign, Space, beside, rebuilt, row
from .width import width as measure

_RELATIONS = frozenset({"=", r"\equiv", r"\le", r"\ge"})
_BEFORE = _RELATIONS | {"+", "-"}


Items = list[tuple[Formula, int]]  # parts, brackets opened, with how many are open around each


def lines(formula: Formula, width: float) -> list[Formula]:
    """`formula` as lines of at most about `width` digits' width; longer where there is no break."""
    if measure(formula) <= width:
        return [formula]
    items = list(_opened(formula, 0))
    places = _places(items)
    cuts, start = [0], 0
    while _width(items[start:]) > width:
        cut = _cut(items, places, start, width)
        if cut is None:
            break
        cuts.append(cut)
        start = cut
        width = width if len(cuts) > 2 else width - 4  # later lines are set in
    whole = all(items[cut][1] == 0 for cut in cuts[1:])
    shown = [part if whole else _unpaired(part) for part, _ in items]
    first, *rest = (shown[a:b] for a, b in zip(cuts, [*cuts[1:], len(items)], strict=True))
    return [row(*first), *(row(_infix(sign), *others) for sign, *others in rest)]


def pieces(formula: Formula, width: float) -> list[Formula]:
    """`formula` cut before its outermost relations, signs and wide spaces, into as few pieces as
    fit the width."""
    groups: list[list[Formula]] = [[]]
    for part in beside(formula):
        if _cuts(part) and groups[-1] and not _ends_with(groups[-1][-1], "=", ","):
            groups.append([])
        groups[-1].append(part)
    found: list[Formula] = []
    for first, *others in groups:
        group = row(first, *others)
        if found and measure(row(found[-1], group)) <= width:
            found[-1] = row(found[-1], group)
        else:
            term = found and isinstance(first, Sign) and first.glyph.tex in "+-"
            found.append(row(_infix(first), *others) if term else group)
    return found


def _cuts(part: Formula) -> bool:
    if isinstance(part, Space):
        return part.command == r"\quad"
    return isinstance(part, Sign) and part.glyph.tex in ("=", r"\equiv", "+", "-")


def _ends_with(part: Formula, *signs: str) -> bool:
    return isinstance(part, Sign) and part.glyph.tex in signs


def _infix(sign: Formula) -> Formula:
    """A sign at the beginning of a line."""
    assert isinstance(sign, Sign)
    return Infix(Sign(sign.tex.lstrip()))


def _opened(formula: Formula, depth: int) -> Iterator[tuple[Formula, int]]:
    for part in beside(formula):
        fence = part.base if isinstance(part, Script) else part
        if not isinstance(fence, Fence):
            yield part, depth
            continue
        opening, closing = fence.brackets
        counted = depth + (fence.size != "" or fence.left != "|")
        yield opening, depth
        yield from _opened(fence.body, counted)
        yield (replace(part, base=closing) if isinstance(part, Script) else closing), counted


def _places(items: Items) -> dict[int, int]:
    """Where a line may begin: index of the part -> how many brackets are open there."""
    found: dict[int, int] = {}
    before: Formula | None = None
    for at, (part, depth) in enumerate(items):
        if before is not None and _ends_with(part, *_BEFORE) and not _unary(before):
            found[at] = depth
        before = before if isinstance(part, Space) and part.tex == " " else part
    return found


def _unary(before: Formula) -> bool:
    """Whether a sign after this part belongs to what follows."""
    if isinstance(before, Bracket):
        return before.opening and (before.size != "" or before.sign != "|")
    return _ends_with(before, ",", *_BEFORE)


def _width(items: Items) -> float:
    return sum(measure(part) for part, _ in items)


def _cut(items: Items, places: dict[int, int], start: int, width: float) -> int | None:
    """Where the next line begins: the last of the best places that fit, or the first one."""
    later = [at for at in places if at > start]
    fitting = [at for at in later if _width(items[start:at]) <= width]
    if not fitting:
        return later[0] if later else None
    full = [at for at in fitting if _width(items[start:at]) > 0.3 * width] or fitting
    least = min(places[at] for at in full)
    return max(at for at in full if places[at] == least)


def _unpaired(part: Formula) -> Formula:
    """A part whose brackets do not grow."""
    changed = rebuilt(part, _unpaired)
    if isinstance(changed, (Fence, Bracket)) and changed.size == "left":
        return replace(changed, size="big")
    return changed
