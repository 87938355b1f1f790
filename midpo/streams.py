"""Standard output and error, whatever stands behind them: any encoding, a closed one, a full disk.

Text that a stream's encoding lacks is spelled in ASCII; JSON is escaped instead, which loses
nothing. What cannot be written at all is an error of the command, as of any Unix tool.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import os
import sys
import unicodedata
from typing import Any, TextIO

TROUBLE = 2  # exit status where the answer could not be written
SIGPIPE = 141  # what a shell says of a tool whose reader went away

# How mathematics is spelled where its signs are missing. Greek letters spell their names.
_SPELLED = {
    "−": "-", "–": "-", "—": "--", "‐": "-", "·": "*", "×": "*", "÷": "/", "⋅": "*", "∗": "*",
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "≡": "==", "∝": "~", "±": "+-", "∓": "-+",
    "∞": "inf", "∑": "sum", "∏": "prod", "√": "sqrt", "∫": "integral", "∂": "d", "∈": " in ",
    "→": "->", "←": "<-", "↦": "->", "⇒": "=>", "↑": "^", "∣": "|", "‖": "||", "∥": "||",
    "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", "⋯": "...", "•": "*", "✓": "ok", "✗": "x",
    "∎": "", "𝔼": "E", "ℓ": "l", "ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d",
    "⟨": "<", "⟩": ">", "⁄": "/", "Æ": "AE", "Ø": "O", "Ł": "L", "Đ": "D", "œ": "oe", "Œ": "OE",
    "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")", "∀": "for all ", "∃": "there is ", "⊥": "_|_",
    "━": "-", "╸": "-", "╺": "-", "′": "'", "∅": "{}", "∇": "grad ", "∼": "~", "⟦": "[", "⟧": "]",
    "¡": "!", "¿": "?", "£": "GBP", "§": "section ", "©": "(c)", "«": "<<", "»": ">>", "¬": "not ",
    "°": " degrees", "Ð": "D", "Þ": "Th", "ð": "d", "þ": "th", "ı": "i",
}  # fmt: skip


def spelled(sign: str) -> str:
    """One character in ASCII; "?" where there is no spelling."""
    if sign in _SPELLED:
        return _SPELLED[sign]
    if unicodedata.combining(sign):
        return ""
    name = unicodedata.name(sign, "")
    if name.startswith(("GREEK SMALL LETTER ", "GREEK CAPITAL LETTER ")):
        word = name.split(" LETTER ")[1].split()[0].lower()
        word = {"lamda": "lambda"}.get(word, word)
        return word.capitalize() if "CAPITAL" in name else word
    plain = unicodedata.normalize("NFKD", sign)
    kept = (
        "".join(c if c.isascii() else spelled(c) for c in plain if not unicodedata.combining(c))
        if plain != sign
        else ""
    )
    if kept and "SUPERSCRIPT" in name:
        return f"^{kept}"
    if kept and "SUBSCRIPT" in name:
        return f"_{kept}"
    return kept or "?"


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of our streams. A byte that was no text on its way in (a file's name)
    goes out as it came."""
    assert isinstance(error, UnicodeEncodeError)
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    return spelled(sign), error.start + 1


HANDLER = "midpo-spelled"
codecs.register_error(HANDLER, _spell)


class _Closed(io.TextIOBase):
    """Standard output that was closed before the start: nothing can be written to it."""

    encoding = "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
        return 0


def prepare() -> None:
    """Make the streams of this process such that everything can be said to them.

    Files must not take the numbers of closed streams: what a tool prints would land in them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as we run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def finish() -> None:
    """Write what is still held back. Raises: OSError, and then nothing more is tried."""
    try:
        sys.stdout.flush()
    except OSError:
        abandon(sys.stdout)
        raise
    with contextlib.suppress(OSError):
        sys.stderr.flush()


def abandon(stream: TextIO) -> None:
    """Lead what `stream` still holds into nothing, so that the interpreter's end is quiet."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print `text`. click's own function would write UTF-8 where the stream says ASCII.

    Raises: OSError for standard output. To standard error nothing more could be said of it.
    """
    if not err:
        sys.stdout.write(text + "\n" * nl)
        return
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n" * nl)
        sys.stderr.flush()


def print_json(value: Any) -> None:
    """One JSON document on standard output; escaped where the stream has not all its letters."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, allow_nan=False, default=str)
    echo(text)


def print_file(content: str) -> None:
    """What would be in a file, on standard output: its bytes in UTF-8, whatever the encoding."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # a stream of letters only: a test's, a notebook's, one that was closed
        sys.stdout.write(content)
        return
    sys.stdout.flush()
    binary.write(content.encode("utf-8"))
    binary.flush()
