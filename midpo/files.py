"""What `-o` writes: beside targets, the care that is due to a kernel edited by hand."""

from __future__ import annotations

import stat
from pathlib import Path

from midpo.symbolic.errors import MidpoError
from midpo.targets import target

MOST = 1 << 24  # bytes; no kernel is near that


def may_replace(path: Path, *, force: bool = False, parents: bool = False) -> None:
    """Refuse to lose what somebody wrote: a kernel may be written to `path` where there is no file,
    an empty one, or a kernel as this program wrote it; with `force` over any file.

    Raises: MidpoError; see also targets.target.
    """
    there = target(path, parents=parents)
    if force or there is None or not stat.S_ISREG(there.st_mode) or there.st_size == 0:
        return
    from midpo.codegen.seal import is_unedited

    unedited = is_unedited(_text(path)) if there.st_size <= MOST else None
    if not unedited:
        what = (
            "was edited after midpo generate wrote it"
            if unedited is False
            else "is not a file that midpo generate wrote"
        )
        raise MidpoError(f"{path} {what}\n  expected: another name, or --force to replace it")


def _text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        return stream.read()
