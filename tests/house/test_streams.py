"""Standard output in any encoding, closed, full or broken; other encodings of what is read."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import midpo
from midpo import streams
from midpo.cli import main
from midpo.streams import HANDLER, spelled

ENCODINGS = ("ascii", "latin-1", "cp1252", "cp437", "koi8-r", "shift_jis", "utf-16", "utf-8")
COMMANDS = {
    "list": ["list"],
    "csv": ["list", "--csv"],
    "markdown": ["list", "--markdown"],
    "json": ["list", "--json"],
    "show": ["show", "simpo", "tdpo", "f-dpo-js", "aot"],
    "show-json": ["show", "simpo", "--json"],
    "verify": ["verify", "simpo", "--steps"],
    "solve": ["solve", "simpo", "tis-dpo"],
    "generate": ["generate", "simpo", "-o", "-"],
    "compare": ["compare", "sparsepo", "tdpo"],
    "certify": ["certify", "simpo", "-o", "out"],
    "derive": ["derive", "optimal-policy"],
    "slips": ["derive", "--slips"],
    "report": ["report", "simpo", "--no-pdf", "--no-plots", "--no-audit", "-o", "out"],
    "html": ["report", "simpo", "--html", "--no-audit", "-o", "out"],
    "audit": ["audit", "dpo", "--trials", "1"],
    "optimise": ["optimise", "bss-hamming", "--what", "optimum"],
    "check": ["check", "dpo", "--trials", "1", "--dtype", "float64"],
    "prove": ["prove", "dpo", "--pairs", "1"],
    "unknown": ["verify", "dpö"],
    "option": ["verify", "--ö"],
    "help": ["--help"],
}
NEEDS = {"audit": "numpy", "optimise": "numpy", "check": "torch", "prove": "torch"}


class Stream(io.TextIOWrapper):
    """A stream of this encoding that remembers its bytes, as of a process that was just started."""

    def __init__(self, encoding: str) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, errors="strict")


def said(monkeypatch: pytest.MonkeyPatch, arguments: list[str], encoding: str) -> tuple[int, bytes, bytes]:
    out, err = Stream(encoding), Stream(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    err.flush()
    assert isinstance(end.value.code, int)
    return end.value.code, out.bytes.getvalue(), err.bytes.getvalue()


def test_every_command_is_tried() -> None:
    # What map and paper print takes long; they say it by the same functions.
    assert {*main.commands} - {"map", "paper"} <= {given[0] for given in COMMANDS.values()}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("csv", "markdown", "slips") else ())
        for name in sorted(COMMANDS)
    ],
)
def test_every_command_speaks_every_encoding(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip(NEEDS.get(name, "midpo"))
    monkeypatch.chdir(tmp_path)
    status, out, err = said(monkeypatch, COMMANDS[name], "utf-8")
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    plain_status, plain_out, plain_err = said(monkeypatch, COMMANDS[name], "ascii")
    assert status == plain_status
    if name == "generate":  # a file's bytes, which are UTF-8 wherever they stand
        assert out == plain_out
        return
    assert plain_out.isascii() and plain_err.isascii()
    if "--json" in COMMANDS[name]:
        assert json.loads(out) == json.loads(plain_out)
        return
    for whole, plain in ((out, plain_out), (err, plain_err)):
        text = whole.decode()
        assert b"Traceback" not in whole
        if text.isascii():
            assert whole == plain
        for encoding in ENCODINGS:
            text.encode(encoding, HANDLER)
    # What is written into files knows nothing of the terminal.
    assert files == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


def test_our_own_signs_have_spellings() -> None:
    """Every sign that a program file, a template or the catalogue holds, and all Greek letters."""
    root = Path(midpo.__file__).parents[1]
    folders = ("midpo", "symbolic", "numeric", "codegen", "proofs")
    signs = {
        sign
        for folder in folders
        for kind in ("*.py", "*.toml")
        for file in (root / folder).rglob(kind)
        for sign in file.read_text(encoding="utf-8")
    }
    signs |= {chr(code) for code in range(0x391, 0x3CA) if chr(code).isalpha()}
    lacking = {
        s for s in signs if not s.isascii() and s != "¿" and (spelled(s) == "?" or not spelled(s).isascii())
    }
    assert not lacking


def test_spellings() -> None:
    told = "ζ(y) ∝ π² − ½·Λ ≤ é ᵢ ₁ 漢"
    assert told.encode("ascii", HANDLER) == (b"zeta(y) ~ pi^2 - 1/2*Lambda <= e _i _1 ?")
    assert "é − ß".encode("latin-1", HANDLER) == "é - ß".encode("latin-1")
    assert "na\udcefve".encode("utf-8", HANDLER) == b"na\xefve"  # a name as the system gave it


# --- Streams that cannot be written --------------------------------------------------------------


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    root = Path(midpo.__file__).parents[1]
    python = f'"{sys.executable}" -m midpo'
    return subprocess.run(
        ["bash", "-c", script.replace("midpo", python)],
        cwd=folder,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("script", "status", "word"),
    [
        ("midpo --help >&-", 2, b"standard output: Bad file descriptor"),
        ("midpo verify dpo >&-", 2, b"standard output: Bad file descriptor"),
        ("midpo verify dpo --json >&- 2>&-", 2, b""),
        ("midpo verify nothing <&- 2>&- >out", 2, b""),
        ("midpo generate dpo -o kernel.py >&-", 0, b"wrote kernel.py"),
        ("midpo generate dpo -o kernel.py <&- >&- 2>&-", 0, b""),
        ("midpo generate dpo -o - >&-", 2, b"standard output: Bad file descriptor"),
        ("set -o pipefail; midpo --help | true", 141, b""),
        ("set -o pipefail; midpo verify dpo | true", 141, b""),
        ("set -o pipefail; midpo verify dpo --json | true", 141, b""),
        ("set -o pipefail; midpo generate dpo -o - | true", 141, b""),
    ],
)
def test_streams_that_cannot_be_written(script: str, status: int, word: bytes, tmp_path: Path) -> None:
    done = shell(script, tmp_path)
    assert done.returncode == status, done.stderr
    assert word in done.stderr
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
    if "kernel.py" in script:  # nothing else is in it than in any other
        assert (tmp_path / "kernel.py").read_text() == midpo.generate("dpo").source


class Full(io.RawIOBase):
    """A device without room, from so many bytes on."""

    def __init__(self, room: int) -> None:
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        size = len(memoryview(data))  # type: ignore[arg-type]
        if size > self.room:
            raise OSError(28, "No space left on device")
        self.room -= size
        return size


@pytest.mark.parametrize("room", [0, 100])
@pytest.mark.parametrize("command", ["show-json", "verify", "generate", "help"])
def test_a_full_device(command: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played by a stream: a test should write to no device."""
    err = Stream("utf-8")
    out = io.TextIOWrapper(io.BufferedWriter(Full(room), 64), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as end:
        main(COMMANDS[command])
    err.flush()
    assert end.value.code == 2
    assert err.bytes.getvalue() == b"midpo: standard output: No space left on device\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        pytest.param({"PYTHONIOENCODING": "cp1252"}, marks=pytest.mark.slow),
        pytest.param({"PYTHONIOENCODING": "latin-1", "LC_ALL": "POSIX"}, marks=pytest.mark.slow),
    ],
)
def test_a_process_of_another_locale(environment: dict[str, str], tmp_path: Path) -> None:
    name = "größe-ζ.toml"
    text = (
        'name = "x"\ntitle = "Größe ζ"\nprior = "pi_ref(y)"\n[target]\n'
        'margin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))"\n'
    )
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "bad-é.toml").write_text(text.replace("pi_ref(y)", "pi_reff(y)"), encoding="utf-8")
    script = (
        f"midpo show {name} && midpo generate {name} -o ö.py && "
        f"midpo report {name} --html --no-audit -o ü && midpo verify {name} bad-é.toml"
    )
    done = shell(script, tmp_path, **environment)
    assert done.returncode == 2 and b"Traceback" not in done.stderr, done.stderr
    assert b"proved" in done.stdout and b"did you mean" in done.stderr
    assert "Größe ζ" in (tmp_path / "ö.py").read_text(encoding="utf-8")
    assert "Größe ζ" in (tmp_path / "ü" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("command", ["verify", "optimise", "pairs", "macros", "benchmark"])
def test_input_in_another_encoding(
    command: str, encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("numpy" if command == "optimise" else "midpo")
    file = tmp_path / ("pairs.csv" if command == "pairs" else "x.toml")
    text = {
        "verify": 'name = "x"\ntitle = "é"\nprior = "pi_ref(y)"\n[target]\n'
        'margin = "log(pi(y_w)/pi_ref(y_w)) - log(pi(y_l)/pi_ref(y_l))"\n',
        "optimise": "rewards = [[0, 1], [1, 0]] # é\n",
        "pairs": "prompt,chosen,rejected\né,b,c\n",
        "macros": "pi = 'p' # é\n",
        "benchmark": "é\n",
    }[command]
    file.write_text(text, encoding=encoding)
    arguments = {
        "verify": ["verify", str(file)],
        "optimise": ["optimise", str(file), "--what", "optimum"],
        "pairs": ["solve", "dpo", "--pairs", str(file)],
        "macros": [
            "report",
            "dpo",
            "--fragment",
            "--no-audit",
            "--macros",
            str(file),
            "-o",
            str(tmp_path / "out"),
        ],
        "benchmark": [
            "report",
            "dpo",
            "--no-pdf",
            "--no-audit",
            "--benchmark",
            str(file),
            "-o",
            str(tmp_path / "out"),
        ],
    }[command]
    status, _, err = said(monkeypatch, arguments, "utf-8")
    if encoding == "utf-8-sig" and command != "benchmark":  # as some editors write UTF-8
        assert status == 0, err
        return
    assert status == 2
    assert err.count(b"\n") <= 3 and str(file).encode() in err
    assert (b"no measurements" if command == "benchmark" else b"UTF-8") in err


def test_a_missing_stream_is_no_file(tmp_path: Path) -> None:
    assert shell("midpo certify dpo -o out <&- >&- 2>&-", tmp_path).returncode == 2
    for file in (tmp_path / "out").iterdir():
        assert b"exported" not in file.read_bytes()


def test_streams_are_prepared_once_more_without_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    streams.prepare()
    streams.prepare()
    streams.echo("x", err=True)
    with pytest.raises(OSError, match="Bad file"):
        streams.echo("x")
