"""The references of a page, from the specs' BibTeX fields or free text, each once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midpo.symbolic.language.spec import Spec
from midpo.writers.paper import PAPER_FIELDS, PLACE

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Reference:
    """`number` is what a section cites; `link` an arXiv address or empty; `bibtex` for copying."""

    number: int
    authors: str
    title: str
    place: str
    link: str
    bibtex: str


def references(specs: Sequence[Spec]) -> tuple[tuple[Reference, ...], dict[str, int]]:
    """The references in order of appearance, and the number of each spec's by its name."""
    found: dict[str, Reference] = {}
    cited: dict[str, int] = {}
    _add(found, PAPER_FIELDS, "tutunov2025many")
    for spec in specs:
        if spec.bibtex:
            cited[spec.name] = _add(found, spec.bibtex, spec.reference)
        elif spec.reference:
            cited[spec.name] = _add(found, {"title": spec.reference}, "")
    return tuple(found.values()), cited


def _add(found: dict[str, Reference], fields: Mapping[str, str], key: str) -> int:
    bibtex = _bibtex(key, fields) if key else ""
    identity = bibtex or fields["title"]
    if identity not in found:
        place = [fields[name] for name in PLACE if name in fields][:1]
        place += [fields["year"]] if "year" in fields else []
        shown = ", ".join(map(_unbraced, place))
        arxiv = _ARXIV.search(shown)
        found[identity] = Reference(
            len(found) + 1,
            people(fields.get("author", "")),
            _unbraced(fields.get("title", "")),
            shown,
            f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else "",
            bibtex,
        )
    return found[identity].number


def people(names: str) -> str:
    """Last, First and Last, First -> First Last and First Last."""
    if not names:
        return ""
    shown = []
    for person in _unbraced(names).split(" and "):
        last, _, first = person.partition(",")
        shown.append(f"{first.strip()} {last.strip()}".strip())
    *most, end = shown
    if most and end == "others":
        return f"{', '.join(most)} et al"
    return f"{', '.join(most)} and {end}" if most else end


def _unbraced(text: str) -> str:
    return " ".join(text.replace("{", "").replace("}", "").split())


def _bibtex(key: str, fields: Mapping[str, str]) -> str:
    kind = "article" if "journal" in fields else ("inproceedings" if "booktitle" in fields else "misc")
    lines = [f"  {name} = {{{' '.join(str(value).split())}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
