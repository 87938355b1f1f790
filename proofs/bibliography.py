"""The references of a report, from the specs' own BibTeX fields or free text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midpo.symbolic.spec import Spec

from .latex import escape

PAPER = "midpo"
PAPER_FIELDS = {
    "author": "Tutunov, Rasul and Grosnit, Antoine and Bou-Ammar, Haitham",
    "title": "Many of Your DPOs are Secretly One: "
    "Attempting Unification Through Mutual Information",
    "journal": "arXiv:2501.01544",
    "year": "2025",
}
PLACE = ("journal", "booktitle", "publisher", "school", "institution", "howpublished", "note")


@dataclass(frozen=True)
class Entry:
    """One reference: the label it is cited by, and its text in LaTeX."""

    key: str
    text: str


def entries(specs: Sequence[Spec]) -> tuple[Entry, ...]:
    """The framework's paper and every spec's reference, each once, in order of appearance."""
    texts = dict.fromkeys(text for text in map(reference, specs) if text)
    cited = [Entry(f"ref{place}", text) for place, text in enumerate(texts, 1)]
    return (Entry(PAPER, formatted(PAPER_FIELDS)), *cited)


def citation(known: Sequence[Entry], spec: Spec) -> str:
    """How a section cites its spec's reference; empty where there is none."""
    text = reference(spec)
    return next((rf"\cite{{{entry.key}}}" for entry in known if text and entry.text == text), "")


def reference(spec: Spec) -> str:
    return formatted(spec.bibtex) if spec.bibtex else escape(spec.reference)


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
    return f"{', '.join(most)} and {end}" if most else end


def _unbraced(text: str) -> str:
    """A field without the braces by which BibTeX keeps capitals."""
    return text.replace("{", "").replace("}", "")
