"""What the documentation says is run: its files are written, its commands answer as printed.

Of each page, in order, in an empty folder:

- a block after a paragraph that names one file last, in backticks before a colon, is that file;
- a block with lines `$ command` is a session: each command must print what stands under it;
- any other python block is run, any other toml block must be a spec.

A comment before a block loosens this: `<!-- numbers vary -->` compares everything but numbers,
`<!-- some rows -->` asks for the printed lines among those of the answer; `<!-- needs PACKAGE -->` runs
it only where that is installed. `...` on a line of its own stands for any lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
_FILE = re.compile(r"`([\w.-]+\.(?:py|toml|csv))`[^`]*:$", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One block of code: its language, its text, the file it is, and how it is loosened."""

    page: str
    line: int
    language: str
    text: str
    file: str
    loose: str

    @property
    def is_session(self) -> bool:
        return self.text.startswith("$ ")


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    found = []
    before, loose = "", ""
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        if token.type == "inline":
            before = token.content
        elif token.type == "html_block":
            comment = re.fullmatch(r"<!-- (.*?) -->\s*", token.content)
            loose = comment[1] if comment else ""
        elif token.type in ("fence", "code_block"):
            named = _FILE.search(before)
            found.append(
                Block(
                    page.name,
                    (token.map or [0])[0] + 1,
                    token.info.strip(),
                    token.content,
                    named[1] if named and not token.content.startswith("$ ") else "",
                    loose,
                )
            )
            before, loose = "", ""
    return found


def commands(session: str) -> Iterator[tuple[str, str]]:
    """Each command of a session with what is printed under it."""
    for part in re.split(r"^\$ ", session, flags=re.M)[1:]:
        command, _, answer = part.partition("\n")
        while command.endswith("\\"):
            more, _, answer = answer.partition("\n")
            command += f"\n{more}"
        yield command, answer


def run(block: Block, folder: Path) -> None:
    """Do what the block says in `folder`. Raises: AssertionError where it is not so."""
    package = block.loose.partition("needs ")[2]
    if package and find_spec(package) is None:
        return
    if block.file:
        (folder / block.file).write_text(block.text, encoding="utf-8")
    elif block.is_session:
        for command, answer in commands(block.text):
            _answers(block, command, answer, folder)
    elif block.language == "python":
        script = folder / f"line_{block.line}.py"
        script.write_text(block.text, encoding="utf-8")
        done = _shell(f"python {script.name}", folder)
        assert done.returncode == 0, f"{block.page}:{block.line}\n{done.stderr}"
    elif block.language == "toml":
        import midpo

        midpo.loads(block.text)


def _answers(block: Block, command: str, answer: str, folder: Path) -> None:
    done = _shell(command, folder)
    place = f"{block.page}:{block.line}: $ {command}\n"
    assert "Traceback" not in done.stderr and done.returncode in (0, 1, 3), place + done.stderr
    problem = differs(answer, done.stdout, block.loose)
    assert not problem, f"{place}{problem}\n--- printed now:\n{done.stdout}"


def differs(expected: str, found: str, loose: str = "") -> str:
    """How `found` differs from what a page prints; empty where it does not."""
    if loose == "numbers vary":
        expected, found = (_NUMBER.sub("#", text) for text in (expected, found))
    want, have = (_lines(text) for text in (expected, found))
    if loose == "some rows":
        rest = iter(have)
        missing = [line for line in want if line not in rest]
        return f"missing, or out of order: {missing[0]}" if missing else ""
    pattern = "\n".join(".*" if line == "..." else re.escape(line) for line in want)
    if re.fullmatch(pattern, "\n".join(have), re.DOTALL):
        return ""
    pairs = zip([*want, "(the end)"], [*have, "(the end)"], strict=False)
    return next((f"- {w}\n+ {h}" for w, h in pairs if w != h and w != "..."), "lines are missing")


def _lines(text: str) -> list[str]:
    """The lines without trailing blanks, runs of blanks and rules of tables shortened."""
    return [re.sub(r"(?<=\S) {2,}", "  ", line.rstrip()) for line in text.strip("\n").splitlines()]


def _shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    tools = folder / ".tools"
    if not tools.is_dir():
        tools.mkdir()
        for name, arguments in (("midpo", " -m midpo"), ("python", "")):
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
            tool.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        timeout=280,
        check=False,
    )
