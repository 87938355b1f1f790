"""The documentation holds: every command answers as printed, every block of code runs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, Block, blocks, commands, differs, run
from markdown_it import MarkdownIt

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_as_it_says(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        run(block, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page: Path) -> None:
    parts = (p for token in MarkdownIt().parse(page.read_text()) for p in token.children or ())
    for target in (str(part.attrs["href"]) for part in parts if part.type == "link_open"):
        file = page.parent / target.partition("#")[0]
        assert target.startswith("https://") or file.exists(), target


def test_the_tutorial_goes_from_an_idea_to_a_training_script() -> None:
    used = {
        command.split()[1]
        for block in blocks(ROOT / "docs" / "tutorial.md")
        if block.is_session
        for command, _ in commands(block.text)
        if command.startswith("midpo ")
    }
    assert {"show", "audit", "verify", "solve", "generate", "check", "report"} <= used


def block(text: str, **more: str) -> Block:
    return Block("page", 1, more.get("language", ""), text, "", more.get("loose", ""))


def test_the_test_fires(tmp_path: Path) -> None:
    run(block("$ midpo --version\nmidpo, version 0.1.0\n"), tmp_path)
    for wrong in (
        "$ midpo --version\nmidpo, version 9\n",
        "$ midpo verify nothing\n",
        "$ python -c 'raise ValueError'\n",
    ):
        with pytest.raises(AssertionError):
            run(block(wrong), tmp_path)
    with pytest.raises(AssertionError):
        run(block("assert False", language="python"), tmp_path)
    with pytest.raises(Exception, match="prior"):
        run(block('name = "x"\nprior = "pi("', language="toml"), tmp_path)


def test_what_a_page_may_leave_open() -> None:
    assert differs("a 1.5e-3\n", "a 2\n") and not differs("a 1.5e-3\n", "a 2\n", "numbers vary")
    assert not differs("a\n...\nd\n", "a\nb\nc\nd\n") and differs("a\n...\ne\n", "a\nb\nd\n")
    assert not differs("a\nc\n", "a\nb\nc\n", "some rows")
    assert differs("c\na\n", "a\nb\nc\n", "some rows")
    assert not differs("a  b\n", "a     b  \n") and differs("a\nb\n", "a\n")


@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed (pip install 'midpo[docs]')"
)
def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        fetched = r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//'
        assert not re.search(fetched, page.read_text()), page
        assert "<script" not in page.read_text(), page
