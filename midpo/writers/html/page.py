"""A report as one HTML page that needs nothing else: no network, no font, no library.

The browser is told so itself (a content security policy that allows this page's own script and
style, by their hashes, and nothing more). The same input gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from midpo.symbolic import VERSION
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.told import Told
from midpo.symbolic.formula.tree import Formula, between, row
from midpo.symbolic.language.nodes import CHOSEN, REJECTED
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.words import FUNCTIONS
from midpo.writers.notation import notation
from midpo.writers.pictures.family import RULES
from midpo.writers.section import Section

from . import section as page_section
from .references import references
from .text import formula, inline, words

TEMPLATES = Path(__file__).parents[1] / "templates"
STYLES = ("page.css",)
# The family map, in the colours of the page: a page has one style, one choice of light or dark.
FAMILY = ".midpo-family { --line: var(--quiet); --box: var(--panel); }\n"
SCRIPTS = ("page_controls.js", "page_table.js", "page_plots.js")
PLACE = "    // FUNCTIONS\n"  # where the plots' script has them
PAIR = (CHOSEN, REJECTED)
FEW = 3  # so many sections are shown with their steps open


@dataclass(frozen=True)
class PageEntry:
    """A section ready for the page: strings only, so that another process may make it."""

    spec: Spec
    row: Mapping[str, Any]
    section: Mapping[str, Any]


def entry(part: Section) -> PageEntry:
    """What the page shows of one spec, all of it computed."""
    section = page_section.context(part)
    return PageEntry(part.spec, _row(part, section), section)


def render(
    entries: Sequence[PageEntry], *, title: str = "Priors and the losses they recover", family: str = ""
) -> str:
    """The page of these entries. `family` is the family map as an SVG without a style
    of its own, from our own hand."""
    listed, cited = references([each.spec for each in entries])
    keys = [
        {"key": key, "citation": cited.get(each.spec.name)}
        for each, key in zip(entries, _keys(entries), strict=True)
    ]
    margin = terms.of(terms.MARGIN_THROUGH, PAIR)
    style = _inlined(STYLES) + (FAMILY + RULES if family else "")
    script = _inlined(SCRIPTS).replace(PLACE, functions())
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            version=VERSION,
            loss=formula(
                row(
                    terms.of(terms.LOSS_THROUGH, PAIR),
                    " = ",
                    "-",
                    r"\log",
                    r"\sigma",
                    between("(", margin, ")"),
                )
            ),
            margin=formula(
                row(margin, " = ", terms.implicit_reward(CHOSEN), " - ", terms.implicit_reward(REJECTED))
            ),
            notation=[(inline(sign), words(meaning)) for sign, meaning in _notation(entries)],
            rows=[{**each.row, **key} for each, key in zip(entries, keys, strict=True)],
            sections=[{**each.section, **key} for each, key in zip(entries, keys, strict=True)],
            open_steps=len(entries) <= FEW,
            family=Markup(family),
            references=listed,
        )
    )


_OWN = (
    "loss",
    "table",
    "family",
    "references",
    "content",
    "toc",
    "search",
    "found",
    "specs",
    "status",
    "theme",
    "all-steps",
)  # anchors of the page itself


def _keys(entries: Sequence[PageEntry]) -> list[str]:
    """An anchor for each spec: its name, numbered where another place has it."""
    taken = set(_OWN)
    keys = []
    for each in entries:
        name = each.spec.name
        candidates = (name, *(f"{name}-{n}" for n in range(2, len(entries) + 2)))
        keys.append(next(key for key in candidates if key not in taken))
        taken.add(keys[-1])
    return keys


def _row(part: Section, section: dict[str, Any]) -> dict[str, Any]:
    """A line of the table of specs."""
    facts = part.facts
    return {
        "name": part.spec.name,
        "title": section["title"],
        "year": part.spec.year,
        "verdict": section["verdict"],
        "prior": facts.policy if facts else "",
        "label": "" if facts is None else "no" if facts.label_free else "yes",
        "token": "" if facts is None else "yes" if facts.token_level else "no",
        "steps": len(part.recovery.steps) if part.recovery and part.recovery.steps else None,
    }


def _notation(entries: Sequence[PageEntry]) -> list[tuple[Formula, Told]]:
    """The signs that the page uses, with their meaning."""
    shown = [stated["display"].whole for each in entries for stated in each.section["stated"]]
    chains = [each.section["chain"] for each in entries if each.section["chain"]]
    shown += [step["display"].whole for chain in chains for step in chain["steps"]]
    return notation(shown)


def _inlined(names: Sequence[str]) -> str:
    return "\n" + "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def functions() -> str:
    """The functions of the language as the plots' script knows them; without a text there, one has
    no value on a page."""
    return "".join(
        f"    {word.name}: {word.script},\n" for word in FUNCTIONS.values() if word.script is not None
    )


def _policy(style: str, script: str) -> str:
    """Nothing may be fetched or sent, and nothing runs but the script whose hash this is."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
