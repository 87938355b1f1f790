"""What `-o` does to what is there: links, pipes, modes, folders, and files somebody edited."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import midpo
from midpo import targets as files
from midpo.cli import main
from midpo.codegen.backends import BACKENDS
from midpo.codegen.seal import is_unedited
from midpo.symbolic.errors import MidpoError
from midpo.targets import folder, write


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def read_by_another(pipe: Path) -> tuple[threading.Thread, list[bytes]]:
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    thread.start()
    return thread, found


# --- The writer ----------------------------------------------------------------------------------


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        thread, found = read_by_another(pipe)
        write(path, "text π")
        thread.join(20)
        assert found == ["text π".encode()]
        assert stat.S_ISFIFO(pipe.lstat().st_mode) and link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("there", [True, False], ids=["file", "dangling"])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, there: bool) -> None:
    other = tmp_path / "other"
    other.mkdir()
    if there:
        (other / "file").write_text("old")
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to(other / "file")
    write(tmp_path / "first", "new")
    assert (tmp_path / "first").is_symlink() and (tmp_path / "second").is_symlink()
    assert (other / "file").read_text() == "new" and not (other / "file").is_symlink()
    assert [p.name for p in other.iterdir()] == ["file"]


def test_a_link_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "a", "x")
    with pytest.raises(MidpoError, match="a link that leads nowhere"):
        folder(tmp_path / "a")
    result = run("generate", "dpo", "-o", tmp_path / "a")
    assert result.exit_code == 2 and f"{tmp_path / 'a'}: Too many levels" in result.stderr


@pytest.mark.parametrize("bits", [0o640, 0o600, 0o755, 0o666, 0o444 | 0o200])
def test_a_mode_stays(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(bits)
    write(path, "new")
    assert path.read_text() == "new" and mode(path) == bits


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_obeys_the_umask(tmp_path: Path, mask: int) -> None:
    old = os.umask(mask)
    try:
        write(tmp_path / "file", "new")
    finally:
        os.umask(old)
    assert mode(tmp_path / "file") == 0o666 & ~mask


def test_a_file_with_two_names_keeps_both(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("a longer text than the new one")
    os.link(first, second)
    write(first, "new")
    assert second.read_text() == "new" and first.stat().st_nlink == 2


def test_a_folder_that_takes_no_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are written in place; tests may run as a user who may do all, so it is played."""
    path = tmp_path / "file"
    path.write_text("old")
    real = os.access
    monkeypatch.setattr(os, "access", lambda p, m: Path(p) != tmp_path and real(p, m))
    number = path.stat().st_ino
    write(path, "new")
    assert path.read_text() == "new" and path.stat().st_ino == number


@pytest.mark.parametrize("names", [1, 2])
def test_what_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: int) -> None:
    path = tmp_path / "file"
    path.write_text("old text")
    if names == 2:
        os.link(path, tmp_path / "other")
    calls = []

    def full(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return real(*given)

    place = "write" if names == 2 else "replace"
    real = getattr(os, place)
    monkeypatch.setattr(os, place, full)
    with pytest.raises(OSError, match="No space left") as caught:
        write(path, "n" * 100)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old text"
    assert len(list(tmp_path.iterdir())) == names


def test_a_file_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda p, m: False)
    with pytest.raises(PermissionError):
        write(path, "new")
    assert path.read_text() == "old"


def test_own_streams_are_not_opened_by_name(tmp_path: Path) -> None:
    """What stands in the file behind a stream stays; /dev/stdout is given to a function only."""
    with (tmp_path / "behind").open("w+b") as stream:
        stream.write(b"first ")
        stream.flush()
        write(Path(f"/dev/fd/{stream.fileno()}"), "second")
        stream.seek(0)
        assert stream.read() == b"first second"
    assert files._descriptor(Path("/dev/stdout")) == 1 and files._descriptor(tmp_path) is None


def test_folders_are_made_when_asked(tmp_path: Path) -> None:
    deep = tmp_path / "a b" / "c"
    with pytest.raises(MidpoError, match=r"mkdir -p '.*a b'"):
        folder(deep)
    with pytest.raises(MidpoError, match=r"mkdir -p '.*c'"):
        write(deep / "file", "x")
    assert not (tmp_path / "a b").exists()
    assert folder(deep, parents=True).is_dir() and folder(deep) == deep
    with pytest.raises(MidpoError, match="is a folder"):
        write(deep, "x")
    write(deep / "file", "x")
    with pytest.raises(MidpoError, match="is a file"):
        folder(deep / "file")
    with pytest.raises(NotADirectoryError):
        write(deep / "file" / "more", "x")
    (tmp_path / "link").symlink_to(tmp_path / "none" / "file")
    with pytest.raises(MidpoError, match="is a link to"):
        write(tmp_path / "link", "x")


# --- Every command with -o -----------------------------------------------------------------------

FILES: dict[str, Callable[[], list[str]]] = {"generate": lambda: ["generate", "dpo"], "map": lambda: ["map"]}
FOLDERS: dict[str, Callable[[], list[str]]] = {
    "report": lambda: ["report", "dpo", "--no-pdf", "--no-plots", "--no-audit"],
    "html": lambda: ["report", "dpo", "--html", "--no-audit"],
    "fragment": lambda: ["report", "dpo", "--fragment", "--no-audit"],
    "certify": lambda: ["certify", "dpo"],
    "optimise": lambda: ["optimise", "bss-hamming", "--what", "optimum"],
    "paper": lambda: ["paper", "--trials", "1"],
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The map without its ten seconds."""
    from midpo.proofs.compare import family
    from midpo.writers.pictures import family as pictures

    class Drawn:
        edges = ()

        def as_json(self) -> dict[str, Any]:
            return {}

    monkeypatch.setattr(family, "family", Drawn)
    monkeypatch.setattr(pictures, "draw", lambda found: "<svg>π</svg>\n")


def test_every_command_with_an_output_is_here() -> None:
    having = {
        name
        for name, command in main.commands.items()
        if any(option.name == "output" for option in command.params)
    }
    assert having == {make()[0] for make in (*FILES.values(), *FOLDERS.values())}


@pytest.mark.parametrize("name", sorted(FILES))
def test_commands_that_write_a_file(name: str, tmp_path: Path, quick: None) -> None:
    command = FILES[name]()
    deep = tmp_path / "a" / "b" / "file"
    refused = run(*command, "-o", deep)
    assert refused.exit_code == 2
    assert f"mkdir -p {deep.parent} first, or --parents" in refused.stderr
    assert run(*command, "-o", deep, "--parents").exit_code == 0
    text = deep.read_text(encoding="utf-8")
    assert run(*command, "-o", "-").stdout == text
    deep.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(deep)
    assert run(*command, "-o", link).exit_code == 0
    assert link.is_symlink() and mode(deep) == 0o640
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread, found = read_by_another(pipe)
    assert run(*command, "-o", pipe).exit_code == 0
    thread.join(20)
    assert found == [text.encode()] and stat.S_ISFIFO(pipe.stat().st_mode)
    for wrong, word in ((tmp_path, "is a folder"), ("", "is a folder"), (deep / "x", "directory")):
        result = run(*command, "-o", wrong)
        assert result.exit_code == 2 and word in result.stderr.lower(), result.stderr


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_commands_that_write_a_folder(name: str, tmp_path: Path) -> None:
    command = FOLDERS[name]()
    if name in ("optimise", "paper"):
        pytest.importorskip("numpy")
    if name == "optimise":
        pytest.importorskip("matplotlib")
    if name == "paper":
        pytest.importorskip("torch")
    deep = tmp_path / "a" / "b"
    refused = run(*command, "-o", deep)
    assert refused.exit_code == 2 and "or --parents" in refused.stderr
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("x")
    assert run(*command, "-o", tmp_path / "file").exit_code == 2
    assert "not -" in run(*command, "-o", "-").stderr
    if name == "paper":  # takes minutes; the report's own functions write it
        return
    assert run(*command, "-o", deep, "--parents").exit_code == 0
    made = [p for p in deep.rglob("*") if p.is_file()]
    assert made
    victim = made[0]
    text = victim.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    victim.rename(elsewhere)
    elsewhere.chmod(0o640)
    victim.symlink_to(elsewhere)
    elsewhere.write_bytes(b"old")
    assert run(*command, "-o", deep).exit_code == 0
    assert victim.is_symlink() and elsewhere.read_bytes() == text and mode(elsewhere) == 0o640


# --- Kernels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_kernel_says_whether_it_was_edited(backend: str) -> None:
    source = midpo.generate("dpo", backend=backend).source
    assert is_unedited(source) and is_unedited(source.replace("\n", "\r\n"))
    lines = source.splitlines(keepends=True)
    for place in (0, 2, 3, 4, 6, len(lines) // 2, len(lines) - 1):  # the seal's own line among them
        without = "".join(lines[:place] + lines[place + 1 :])
        assert not is_unedited(without), lines[place]
    assert is_unedited(source.replace("0.1.0", "0.2.0", 1)) is False
    assert is_unedited("import torch\n") is None and is_unedited("") is None


def test_a_title_cannot_pass_for_a_seal() -> None:
    forged = f"SHA-256 without this line: {'0' * 64}"
    spec = midpo.loads(f'name = "x"\ntitle = "{forged}"\nprior = "pi_ref(y)"')
    source = midpo.generate(spec).source
    assert is_unedited(source) and not is_unedited(source + "\n# mine\n")


def test_a_hand_edited_kernel_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "dpo_loss.py"
    assert run("generate", "dpo", "-o", path).exit_code == 0
    clean = path.read_bytes()
    assert run("generate", "simpo", "-o", path).exit_code == 0  # as it was written: no question
    assert run("generate", "dpo", "-o", path).exit_code == 0 and path.read_bytes() == clean
    path.write_bytes(clean + b"# mine\n")
    refused = run("generate", "dpo", "-o", path)
    assert refused.exit_code == 2
    assert f"{path} was edited after midpo generate wrote it" in refused.stderr
    assert "--force" in refused.stderr and path.read_bytes() == clean + b"# mine\n"
    (answer,) = json.loads(run("generate", "dpo", "-o", path, "--json").stdout)
    assert "was edited" in answer["error"] and path.read_bytes() == clean + b"# mine\n"
    assert run("generate", "dpo", "-o", path, "--force").exit_code == 0
    assert path.read_bytes() == clean


@pytest.mark.parametrize("content", [b"import torch\n", b"\xff\xfe\x00", b"x" * 100, b"\n"])
def test_a_file_of_another_is_not_lost(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.py"
    path.write_bytes(content)
    refused = run("generate", "dpo", "-o", path)
    assert refused.exit_code == 2 and "is not a file that midpo generate wrote" in refused.stderr
    assert path.read_bytes() == content
    link = tmp_path / "link"
    link.symlink_to(path)
    assert run("generate", "dpo", "-o", link).exit_code == 2
    assert run("generate", "dpo", "-o", link, "--force").exit_code == 0 and link.is_symlink()
    path.write_bytes(b"")  # as mktemp leaves it: nothing is lost
    assert run("generate", "dpo", "-o", path).exit_code == 0


def test_the_paper_asks_before_it_works(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    kernels = tmp_path / "out" / "kernels"
    kernels.mkdir(parents=True)
    (kernels / "tis_dpo_loss.py").write_text("# mine\n")
    refused = run("paper", "-o", tmp_path / "out")
    assert refused.exit_code == 2 and "tis_dpo_loss.py is not a file" in refused.stderr
    assert [p.name for p in (tmp_path / "out").rglob("*.py")] == ["tis_dpo_loss.py"]
