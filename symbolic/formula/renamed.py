"""Symbols under other names: a fold that looks each name up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .tree import Foreign, Formula, Name, Script, Spoken, rebuilt


def renamed(formula: Formula, signs: Mapping[str, Foreign]) -> Formula:
    """`formula` with each symbol of `signs` (by its name in the spec) as its reader writes it.

    All are renamed at once, so that two can change places. A part of a response, such as y_{w,t},
    bears the response's sign; so does what precedes it, s_{w,t}, where that sign begins with y.
    """
    if not signs:
        return formula
    if isinstance(formula, Spoken):
        sign = signs.get(formula.key)
        return formula if sign is None else _part(formula, sign)
    if isinstance(formula, Name) and formula.key in signs:
        return signs[formula.key]
    return rebuilt(formula, lambda part: renamed(part, signs))


def _part(formula: Spoken, sign: Foreign) -> Formula:
    stem = sign.tex
    if formula.letter == "s":
        if formula.key == "y" or not stem.startswith("y"):
            return formula
        stem = "s" + stem[1:]
    # A sign with an index of its own takes a second one only in braces.
    stem = f"{{{stem}}}" if "_" in sign.tex else stem
    return Script(replace(sign, tex=stem), formula.index)
