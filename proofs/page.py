"""A report as one HTML page that needs nothing else: no network, no font, no library.

The browser is told so itself (a content security policy that allows this page's own script and
style, by their hashes, and nothing more). The same input gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from midpo.symbolic import VERSION

from . import page_section
from .page_references import references
from .page_text import formula, inline, words
from .report import TEMPLATES, Section, _replace, notation

STYLES = ("page.css",)
SCRIPTS = ("page_controls.js", "page_table.js", "page_plots.js")
FEW = 3  # so many sections are shown with their steps open
Progress = Callable[[str], None]


def render(
    parts: Sequence[Section],
    *,
    title: str = "Priors and the losses they recover",
    family: str = "",
    progress: Progress = lambda now: None,
) -> str:
    """The page of these specs. `family` is the SVG of the family map, from our own hand."""
    environment = _environment()
    listed, cited = references([part.spec for part in parts])
    sections = []
    for part, key in zip(parts, _keys(parts), strict=True):
        progress(part.spec.name)
        sections.append(page_section.context(part, key, cited.get(part.spec.name)))
    style, script = _inlined(STYLES), _inlined(SCRIPTS)
    return environment.get_template("page.html.j2").render(
        title=title,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        version=VERSION,
        loss=formula(
            r"\ell_{\zeta}(y_w, y_l) = -\log\sigma\left(m_{\zeta}(y_w, y_l)\right)"),
        margin=formula(
            r"m_{\zeta}(y_w, y_l) = \alpha\log\frac{\pi(y_w\mid x)}{\zeta(y_w\mid x)}"
            r" - \alpha\log\frac{\pi(y_l\mid x)}{\zeta(y_l\mid x)}"),
        notation=[(inline(sign), words(meaning)) for sign, meaning in _notation(parts, sections)],
        rows=[_row(part, section) for part, section in zip(parts, sections, strict=True)],
        sections=sections,
        open_steps=len(parts) <= FEW,
        family=Markup(family),
        references=listed,
    )


def _keys(parts: Sequence[Section]) -> list[str]:
    """An anchor for each spec: its name, numbered where two share one."""
    seen: Counter[str] = Counter()
    keys = []
    for part in parts:
        seen[part.spec.name] += 1
        count = seen[part.spec.name]
        keys.append(part.spec.name + (f"-{count}" if count > 1 else ""))
    return keys


def _row(part: Section, section: dict[str, Any]) -> dict[str, Any]:
    """A line of the table of specs."""
    facts = page_section.facts_of(part) if not part.spec.reason else None
    solution = part.solution
    return {
        "key": section["key"],
        "name": part.spec.name,
        "title": section["title"],
        "year": part.spec.year,
        "verdict": section["verdict"],
        "prior": facts.policy if facts else "",
        "label": "" if facts is None else "no" if facts.label_free else "yes",
        "token": "" if facts is None else "yes" if facts.token_level else "no",
        "steps": len(part.recovery.steps) if part.recovery and part.recovery.steps else None,
        "found": solution is not None,
    }


def _notation(parts: Sequence[Section], sections: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The signs that the page uses, with their meaning."""
    shown = [d["display"].tex for section in sections for d in section["stated"]]
    for section in sections:
        if section["chain"]:
            shown += [step["display"].tex for step in section["chain"]["steps"]]
    return notation("\n".join(shown))


def _inlined(names: Sequence[str]) -> str:
    return "\n" + "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


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


def write_page(
    parts: Sequence[Section],
    directory: Path,
    *,
    family: str = "",
    progress: Progress = lambda now: None,
) -> Path:
    """Write report.html into `directory`, whole or not at all."""
    text = render(parts, family=family, progress=progress)
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / "report.html"
    _replace(target, text.encode())
    return target
