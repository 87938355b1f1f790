"""Reading a TOML file that a stranger wrote: bounded, and with a caret where it is not TOML."""

from __future__ import annotations

import codecs
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from midpo.symbolic.errors import SpecError

MAX_TEXT = 64 * 1024
MAX_PARTS = 16  # of a dotted key; reading one takes time in the square of its parts
MAX_DEPTH = 16  # of arrays and inline tables in each other

# Up to the first error a text falls into these; at an unclosed quote the reader stops by itself.
_TOKEN = re.compile(
    r'''(?P<string>"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*+"{3,5}|"(?:[^"\\\n]|\\[^\n])*+"'''
    r"""|'''(?:[^']|'{1,2}(?!'))*+'{3,5}|'[^'\n]*+')"""
    r"""|(?P<unclosed>["'])|(?P<skip>[ \t]++|#[^\n]*+)|(?P<word>[^\s"'#.,=\[\]{}]++)"""
    r"""|(?P<dot>\.)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<other>[\s,=])"""
)


def read_text(path: Path) -> str:
    """The text of a regular file of at most 64 KiB of UTF-8. Raises: SpecError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device would block, or never end
            raise SpecError(
                "the file cannot be read: it is not a regular file",
                file=str(path),
                expected="a readable TOML file",
            )
        with path.open("rb") as stream:
            data = stream.read(MAX_TEXT + 1)
    except OSError as error:
        raise SpecError(
            f"the file cannot be read: {error.strerror or error}",
            file=str(path),
            expected="a readable TOML file",
        ) from None
    except ValueError:
        raise SpecError("this is not a file name", expected="a path") from None
    if len(data) > MAX_TEXT:
        raise SpecError("the file is too large", file=str(path), expected="at most 64 KiB")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        raise SpecError(
            "the file is not UTF-8; it looks like UTF-16 or binary data",
            file=str(path),
            expected="a UTF-8 text file",
        )
    try:
        return data.decode("utf-8-sig")  # some editors mark UTF-8
    except UnicodeDecodeError as error:
        raise SpecError(
            f"byte {error.start + 1} is not UTF-8", file=str(path), expected="a UTF-8 text file"
        ) from None


def read_toml(text: str, file: str) -> dict[str, Any]:
    """The table that `text` writes; `file` is what messages call it. Raises: SpecError."""
    if len(text.encode("utf-8", "replace")) > MAX_TEXT:
        raise SpecError("the text is too large", file=file, expected="at most 64 KiB")
    _bounded(text, file)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _toml_error(text, str(error), file) from None
    except (RecursionError, ValueError):
        raise SpecError(
            "the TOML is nested too deeply or holds a number out of range", file=file, expected="flat tables"
        ) from None


def one_line(prose: str) -> str:
    """Prose that its author broke into lines, as one line. A hyphen that ends a line stays within
    its word, unless what follows shows that a part is left out there (pre- and post-trained)."""
    joined = re.sub(r"(?<=\w)-\s*\n\s*(?=\w)(?!(?:and|or|to)\b)", "-", prose)
    return " ".join(joined.split())


def _bounded(text: str, file: str) -> None:
    """Refuse what takes long to read: one pass over the text, whatever it holds.

    Raises: SpecError.
    """
    dots = depth = 0
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "unclosed":
            return
        if kind == "dot":
            dots += 1
        elif kind not in ("string", "word", "skip"):
            dots = 0
        depth += (kind == "open") - (kind == "close")
        if dots >= MAX_PARTS or depth > MAX_DEPTH:
            problem, most = (
                ("a key of too many parts", f"at most {MAX_PARTS} parts, as in target.margin")
                if dots >= MAX_PARTS
                else ("brackets nested too deeply", f"at most {MAX_DEPTH} levels")
            )
            line = text.count("\n", 0, found.start()) + 1
            start = text.rfind("\n", 0, found.start()) + 1
            raise SpecError(
                problem,
                file=file,
                key=f"line {line}",
                text=text[start:].partition("\n")[0],
                column=found.start() - start,
                expected=most,
            )


def _toml_error(text: str, message: str, file: str) -> SpecError:
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    lines = text.split("\n")
    # Without a place the message speaks of the end of the text.
    line, column = (int(found[1]), int(found[2])) if found else (len(lines), len(lines[-1]) + 1)
    return SpecError(
        f"this is not TOML: {message.split(' (at ')[0]}",
        file=file,
        key=f"line {line}",
        text=lines[line - 1] if line <= len(lines) else "",
        column=column - 1,
        expected='TOML 1.0, for example name = "dpo"',
    )
