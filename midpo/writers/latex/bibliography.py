"""The references of a report, from the specs' own BibTeX fields or free text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from midpo.symbolic.language.spec import Spec
from midpo.writers.paper import PAPER_FIELDS, PLACE

from .pieces import escape

PAPER = "midpo"


@dataclass(frozen=True)
class Entry:
    """One reference: the key it is cited by, its text in LaTeX, and its BibTeX fields (none where
    a spec gives free text)."""

    key: str
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)


def entries(specs: Sequence[Spec]) -> tuple[Entry, ...]:
    """The framework's paper and every spec's reference, each once, in order of appearance.

    A reference is cited by the spec's own key where it is one and belongs to it alone.
    """
    found = {formatted(PAPER_FIELDS): Entry(PAPER, formatted(PAPER_FIELDS), PAPER_FIELDS)}
    for spec in specs:
        text = reference(spec)
        if text and text not in found:
            own = spec.reference if spec.bibtex and _KEY.fullmatch(spec.reference) else ""
            free = own and own not in {entry.key for entry in found.values()}
            found[text] = Entry(own if free else f"ref{len(found)}", text, spec.bibtex)
    return tuple(found.values())


_KEY = re.compile(r"[a-z]+[0-9]{4}[a-z]*")  # which no ref3 is


def citation(known: Sequence[Entry], spec: Spec) -> str:
    """How a section cites its spec's reference; empty where there is none."""
    text = reference(spec)
    return next((rf"\cite{{{entry.key}}}" for entry in known if text and entry.text == text), "")


def reference(spec: Spec) -> str:
    return formatted(spec.bibtex) if spec.bibtex else escape(spec.reference)


def bibtex(known: Sequence[Entry]) -> str:
    """The references as a BibTeX file, in ASCII; free text becomes a note."""
    return "\n".join(map(_record, known))


def _record(entry: Entry) -> str:
    kind = next((kind for key, kind in _KINDS if key in entry.fields), "misc")
    lines = [f"@{kind}{{{entry.key},"]
    for key, value in (entry.fields or {"note": ""}).items():
        text = escape(_unbraced(value)) if entry.fields else entry.text
        # The second pair of braces keeps capitals as they are.
        lines.append(f"  {key} = {{{{{text}}}}}," if key == "title" else f"  {key} = {{{text}}},")
    return "\n".join([*lines, "}", ""])


_KINDS = (("journal", "article"), ("booktitle", "inproceedings"), ("school", "phdthesis"))


def formatted(fields: Mapping[str, str]) -> str:
    """A BibTeX entry as a sentence: authors, title, place, year."""
    parts = [authors(fields["author"])] if "author" in fields else []
    if "title" in fields:
        parts.append(rf"\emph{{{escape(_unbraced(fields['title']))}}}")
    place = [escape(_unbraced(fields[key])) for key in PLACE if key in fields][:1]
    place += [escape(fields["year"])] if "year" in fields else []
    parts += [", ".join(place)] if place else []
    return "".join(f"{part}. " for part in parts).rstrip()


def authors(names: str) -> str:
    """Last, First and Last, First -> First Last and First Last."""
    people = []
    for person in _unbraced(names).split(" and "):
        last, _, first = person.partition(",")
        people.append(escape(f"{first.strip()} {last.strip()}".strip()).replace(" ", "~", 1))
    *most, end = people
    if most and end == "others":
        return f"{', '.join(most)} et~al"
    return f"{', '.join(most)} and {end}" if most else end


def _unbraced(text: str) -> str:
    """A field without the braces by which BibTeX keeps capitals."""
    return text.replace("{", "").replace("}", "")
