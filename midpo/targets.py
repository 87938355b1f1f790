"""Writing files: whole or not at all, through links, and no folder that was not asked for."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import stat
from pathlib import Path

from midpo.symbolic.errors import MidpoError

# What a shell calls the streams of this process. Opened by name, a file behind one would be cut.
_OWN = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})")


def write(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`.

    A regular file is replaced in one stroke and keeps its mode and its owner; a new one gets what
    the umask leaves. A symbolic link stays and its target is written, be it there or not. A file
    with several names, or in a folder that takes no new file, is written in place, and gets its old
    content back where that fails. A pipe or another special file is opened and written.

    Raises: MidpoError for a folder, or where the folder to write into is missing; OSError, which
    names `path`. A regular file then is what it was.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        own = _descriptor(path)
        if own is not None:
            with os.fdopen(os.dup(own), "wb") as stream:
                stream.write(data)
            return
        there = target(path)
        if there is None:
            _replace(Path(os.path.realpath(path)), data, None)
        elif not stat.S_ISREG(there.st_mode):
            with path.open("wb") as stream:
                stream.write(data)
        elif _replaceable(Path(os.path.realpath(path)), there):
            _replace(Path(os.path.realpath(path)), data, there)
        else:
            _in_place(path, data)
    except OSError as error:
        if error.errno is not None:  # else its own words are all that it says
            error.filename, error.filename2 = str(path), None
        raise


def target(path: Path, *, parents: bool = False) -> os.stat_result | None:
    """What stands at `path`, links followed; None where a file can be made there. With `parents`
    the folder for it is made.

    Raises: MidpoError for a folder, or where the folder to write into is missing; OSError.
    """
    if _descriptor(path) is not None:
        return None
    try:
        there = os.stat(path)
    except FileNotFoundError:
        real = Path(os.path.realpath(path))
        link = f" ({path} is a link to {real})" if path.is_symlink() else ""
        if parents:
            real.parent.mkdir(parents=True, exist_ok=True)
        elif not real.parent.is_dir():
            raise _missing(real.parent if link else path.parent, f"{real.name}{link}") from None
        return None
    except ValueError:
        raise MidpoError("this is not a file name\n  expected: a path") from None
    if stat.S_ISDIR(there.st_mode):
        raise MidpoError(f"{path} is a folder\n  expected: the name of a file to write")
    return there


def folder(path: Path, *, parents: bool = False) -> Path:
    """`path` as a folder, made where it is not there yet; its parents only with `parents`.

    Raises: MidpoError where it is something else, or its parents are missing; OSError.
    """
    try:
        path.mkdir(parents=parents)
    except FileExistsError:
        if not path.is_dir():
            what = "a link that leads nowhere" if path.is_symlink() else "a file"
            raise MidpoError(f"{path} is {what}\n  expected: a folder to write into") from None
    except FileNotFoundError:
        raise _missing(path.parent, f"{path.name}/") from None
    except ValueError:
        raise MidpoError("this is not a file name\n  expected: a path") from None
    return path


def _missing(parent: Path, name: str) -> MidpoError:
    return MidpoError(
        f"there is no folder {parent} to write {name} into\n"
        f"  expected: mkdir -p {shlex.quote(str(parent))} first, or --parents"
    )


def _descriptor(path: Path) -> int | None:
    """The open file that `path` stands for, if it stands for one of this process."""
    found = _DESCRIPTOR.fullmatch(str(path))
    return int(found[1]) if found else _OWN.get(str(path))


def _replaceable(path: Path, there: os.stat_result) -> bool:
    """Whether a new file in place of `path` would be like it: one name, the same owner, and a
    folder that takes it. Raises: PermissionError where the file may not be written at all."""
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied")
    ours = not hasattr(os, "geteuid") or os.geteuid() in (0, there.st_uid)
    return there.st_nlink == 1 and ours and os.access(path.parent, os.W_OK | os.X_OK)


def _replace(path: Path, data: bytes, there: os.stat_result | None) -> None:
    """Write a neighbour, make it like the file that is there, and rename it over that."""
    neighbour = path.with_name(f".midpo-{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(neighbour, flags, 0o666 if there is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        if there is not None:
            made = neighbour.stat()
            if (made.st_uid, made.st_gid) != (there.st_uid, there.st_gid):
                os.chown(neighbour, there.st_uid, there.st_gid)
            neighbour.chmod(stat.S_IMODE(there.st_mode))
        os.replace(neighbour, path)
    except BaseException:
        neighbour.unlink(missing_ok=True)
        raise


def _in_place(path: Path, data: bytes) -> None:
    with path.open("r+b", buffering=0) as stream:
        old = stream.read()
        try:
            _fill(stream.fileno(), data)
        except BaseException:
            with contextlib.suppress(OSError):
                _fill(stream.fileno(), old)
            raise


def _fill(handle: int, data: bytes) -> None:
    """Make `data` the whole content of an open file."""
    os.lseek(handle, 0, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]
    os.ftruncate(handle, len(data))
