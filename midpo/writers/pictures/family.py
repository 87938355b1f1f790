"""The family of losses as one SVG: general losses on the left, what they become on the right.

Its text is escaped. It has a paper of its own and follows the reader's choice of light or dark, so
that it can stand in a page or alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from midpo.proofs.compare.family import Edge, Family
from midpo.symbolic.errors import printable

from .family_layout import GAP, ROW, Drawing, Spot, layered

LETTER = 7.0  # the width of a letter of the text, about
MARGIN = 24.0
CURVE = 130.0  # the width that lines curve in, beside all labels
ALONE_COLUMN = 170.0

COLOURS = """
.midpo-family { --ink: #1b1f24; --paper: #ffffff; --line: #57606a; --box: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  .midpo-family { --ink: #e6edf3; --paper: #0d1117; --line: #9ba4ae; --box: #1c232b; }
}
"""
RULES = """.midpo-family .paper { fill: var(--paper); }
.midpo-family text { fill: var(--ink); font: 12px ui-monospace, Menlo, Consolas, monospace; }
.midpo-family .condition, .midpo-family .note { font-size: 11px; }
.midpo-family .box { fill: var(--box); stroke: var(--line); }
.midpo-family path { fill: none; stroke: var(--line); stroke-width: 1.2; }
.midpo-family .limit { stroke-dasharray: 5 3; }
.midpo-family .value { stroke-dasharray: 1 3; stroke-width: 1.8; }
.midpo-family marker path { fill: var(--line); stroke: none; }
"""

CAPTION = (
    "An arrow: with these names fixed the left loss is the right one, up to a positive factor and "
    "a constant; proved by a derivation, replayed by the checker.",
    "Dashed: a limit, the value is an end of its domain. Dotted: equal in value, not seen to be in gradient.",
)


def draw(family: Family, *, alone: bool = True) -> str:
    """The SVG of a family, one text; one that does not stand alone has no style of its own, and
    needs RULES."""
    drawn, closing = family.without_circles()
    members = {c[0]: c for c in family.classes}
    leaving: dict[str, list[Edge]] = {}
    for edge in drawn:
        leaving.setdefault(edge.general, []).append(edge)
    rows = {n: max(len(members[n]), len(leaving.get(n, ()))) for n in members}
    layout = layered([(e.general, e.special) for e in drawn], rows)
    width = _widths(layout, members, drawn)
    left = [MARGIN + sum(width[:c]) for c in range(layout.columns)]
    top = MARGIN + len(CAPTION) * ROW + GAP
    parts = [*_caption(), *_lines(layout, leaving, left, members, top)]
    for name, place in layout.boxes.items():
        parts += _box(members[name], place, left[place.column], top + place.y)
    bottom = top + layout.height + 2 * GAP
    whole_width = max(sum(width) + 2 * MARGIN, LETTER * max(map(len, CAPTION)) + 2 * MARGIN)
    parts_alone, bottom = _below(family, closing, bottom, whole_width)
    return _document([*parts, *parts_alone], whole_width, bottom + MARGIN, alone)


def _document(parts: Iterable[str], width: float, height: float, styled: bool) -> str:
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" class="midpo-family" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
    )
    arrow = (
        '<defs><marker id="midpo-family-arrow" viewBox="0 0 8 8" refX="8" refY="4" '
        'markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    title = "<title>The family of preference losses</title>"
    paper = '<rect class="paper" width="100%" height="100%" fill="#ffffff"/>'
    style = [f"<style>{COLOURS}{RULES}</style>"] if styled else []
    return "\n".join([head, title, *style, arrow, paper, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    shown = escape(printable(words))
    marked = f' class="{kind}"' if kind else ""
    return f'<text{marked} x="{x:.1f}" y="{y:.1f}">{shown}</text>'


def _caption() -> list[str]:
    return [_text(MARGIN, MARGIN + ROW * n, words, "note") for n, words in enumerate(CAPTION)]


def _box_width(names: Iterable[str]) -> float:
    return LETTER * max(map(len, names)) + 2 * GAP


def _widths(layout: Drawing, members: dict[str, tuple[str, ...]], drawn: Iterable[Edge]) -> list[float]:
    """How wide each column is, with room for the labels of the lines that leave it."""
    widths = [0.0] * layout.columns
    for name, place in layout.boxes.items():
        widths[place.column] = max(widths[place.column], _box_width(members[name]))
    labels = [0.0] * layout.columns
    for edge in drawn:
        column = layout.boxes[edge.general].column
        box = _box_width(members[edge.general])
        labels[column] = max(labels[column], box + LETTER * len(edge.condition) + CURVE)
    return [max(box, label) for box, label in zip(widths, labels, strict=True)]


def _box(names: tuple[str, ...], place: Spot, x: float, y: float) -> list[str]:
    height = place.rows * ROW + GAP / 2
    rectangle = (
        f'<rect class="box" x="{x:.1f}" y="{y - height / 2:.1f}" width="{_box_width(names):.1f}" '
        f'height="{height:.1f}" rx="4"/>'
    )
    first = y - (len(names) - 1) * ROW / 2 + 4
    return [rectangle, *(_text(x + GAP, first + n * ROW, one) for n, one in enumerate(names))]


def _lines(
    layout: Drawing,
    leaving: dict[str, list[Edge]],
    left: list[float],
    members: dict[str, tuple[str, ...]],
    top: float,
) -> list[str]:
    parts = []
    for name, edges in leaving.items():
        start = layout.boxes[name]
        x = left[start.column] + _box_width(members[name])
        ordered = sorted(edges, key=lambda e: layout.lines[e.general, e.special][1].y)
        for number, edge in enumerate(ordered):
            y = top + start.y + (number - (len(ordered) - 1) / 2) * ROW
            parts += _line(edge, layout.lines[edge.general, edge.special], x, y, left, top)
    return parts


def _line(
    edge: Edge, places: tuple[Spot, ...], x: float, y: float, left: list[float], top: float
) -> list[str]:
    """A line, level until it is past the labels of its column."""
    level = left[places[0].column + 1] - CURVE
    path = f"M{x:.1f} {y:.1f}H{level:.1f}"
    at_x, at_y = level, y
    for place in places[1:]:
        to_x, to_y = left[place.column], top + place.y
        half = (to_x - at_x) / 2
        path += f"C{at_x + half:.1f} {at_y:.1f} {to_x - half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        if not place.name:
            to_x = left[place.column + 1] - CURVE
            path += f"H{to_x:.1f}"
        at_x, at_y = to_x, to_y
    kind = "value" if not edge.gradient else "limit" if edge.limit else "exact"
    told = f"{edge.general} at {edge.condition} is {edge.special}: {edge.standing}"
    for condition in edge.side_conditions:
        told += f", where {condition}"
    return [
        f'<path class="{kind}" marker-end="url(#midpo-family-arrow)" d="{path}">'
        f"<title>{escape(printable(told))}</title></path>",
        _text(x + 5, y - 3, edge.condition, "condition"),
    ]


def _below(family: Family, closing: Iterable[Edge], y: float, width: float) -> tuple[list[str], float]:
    """What no arrow shows, in rows below; and where it ends."""
    parts: list[str] = []
    for words, names in (
        (
            "Cases that would close a circle:",
            [f"{e.general} at {e.condition} is {e.special}" for e in closing],
        ),
        ("No special case among the others was proved:", family.alone),
        ("No loss of one pair:", family.outside),
    ):
        if not names:
            continue
        y += 2 * ROW
        parts.append(_text(MARGIN, y, words, "note"))
        room = max(ALONE_COLUMN, LETTER * (max(map(len, names)) + 2))
        columns = max(1, int((width - 2 * MARGIN) / room))
        for number, name in enumerate(names):
            row, column = divmod(number, columns)
            parts.append(_text(MARGIN + column * room, y + (row + 1) * ROW, name))
        y += ROW * (1 + (len(names) - 1) // columns)
    return parts, y
