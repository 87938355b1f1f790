"""Beside docs/ the site shows the README, as its first page, and the benchmarks; its style is that
of the reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: Any) -> Files:
    """Add what lies outside docs/, its links turned to where they lead in the site."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    style = (ROOT / "midpo" / "writers" / "templates" / "page.css").read_text(encoding="utf-8")
    files.append(File.generated(config, "page.css", content=style))
    for path in sorted((ROOT / "benchmarks").iterdir()):
        name = f"benchmarks/{path.name}"
        if path.suffix in (".md", ".svg"):
            files.append(File.generated(config, name, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page of docs/ links to the benchmarks as its neighbours."""
    return markdown.replace("](../benchmarks/", "](benchmarks/")
