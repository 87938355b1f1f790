"""Running coqc and coqchk: bounded in time and memory, and never taken at their silence.

A run either gives what the program printed, or raises: a missing program, a time-out, a nonzero
exit and output beyond bounds are all failures.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from midpo.symbolic.errors import MidpoError

TIMEOUT = 120.0  # seconds of wall clock for one file
MEMORY = 4 << 30  # bytes of address space
MAX_OUTPUT = 32 << 20
_VERSION = re.compile(r"version (\d+)\.(\d+)[\w.+]*")


class NotChecked(MidpoError):
    """Nothing was learnt: a tool is missing, took too long or cannot be understood."""


class Refused(MidpoError):
    """The kernel, or a tactic before it, did not accept a file; the message is Coq's."""


@dataclass(frozen=True)
class Tools:
    """The commands, and how this release calls its standard library (`Coq` or `Stdlib`)."""

    coqc: tuple[str, ...]
    coqchk: str | None
    version: str
    library: str


def find_tools() -> Tools:
    """What is installed: coqc, or `rocq c` of Rocq 9.

    Raises: NotChecked where there is neither, or one of unknown version.
    """
    coqc, rocq = shutil.which("coqc"), shutil.which("rocq")
    if coqc is None and rocq is None:
        raise NotChecked("coqc was not found (Debian: apt install coq libcoq-stdlib)")
    command = (coqc,) if coqc else (str(rocq), "c")
    with tempfile.TemporaryDirectory(prefix="midpo-") as folder:
        found = _VERSION.search(run([*command, "--version"], Path(folder), timeout=30)[0])
    if found is None:
        raise NotChecked("the version of coqc cannot be read")
    library = "Coq" if int(found[1]) < 9 else "Stdlib"
    return Tools(
        command, shutil.which("coqchk") or shutil.which("rocqchk"), found[0].removeprefix("version "), library
    )


def run(command: list[str], folder: Path, *, timeout: float = TIMEOUT) -> tuple[str, float]:
    """What `command` prints in `folder`, and its seconds of CPU.

    The whole process group is killed at the time-out. Raises: NotChecked, Refused.
    """

    name = Path(command[0]).name
    with tempfile.TemporaryFile() as sink:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C.UTF-8", "COQPATH": "", "COQFLAGS": ""},
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NotChecked(f"{name} could not be run: {error}") from None
        try:
            _limit(process.pid)
            seconds = _wait(process, timeout)
        except TimeoutError:
            raise NotChecked(f"{name} took more than {timeout:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        size = sink.tell()
        if size > MAX_OUTPUT:
            raise NotChecked(f"{name} printed more than {MAX_OUTPUT} bytes")
        sink.seek(0)
        printed = sink.read(MAX_OUTPUT + 1).decode("utf-8", "replace")
    if process.returncode < 0:
        raise NotChecked(f"{name} was ended by signal {-process.returncode}")
    if process.returncode:
        raise Refused(printed.strip()[-1500:] or f"{name} gave exit status {process.returncode}")
    return printed, seconds


def _wait(process: subprocess.Popen[bytes], timeout: float) -> float:
    """Wait for the end of `process`; its seconds of CPU, those of its children included.

    The usage of this one process, as others run beside it. Raises: TimeoutError.
    """
    end, pause = time.monotonic() + timeout, 0.001
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return used.ru_utime + used.ru_stime
        if time.monotonic() >= end:
            raise TimeoutError
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _limit(pid: int) -> None:
    """Bound the memory and the files of a process and of all that it starts."""
    if not hasattr(resource, "prlimit"):  # not Linux
        return
    bounds = {resource.RLIMIT_AS: MEMORY, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 1 << 28}
    for kind, most in bounds.items():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, kind, (most, most))


def compile_file(tools: Tools, file: Path, *, timeout: float = TIMEOUT) -> tuple[str, float]:
    """Compile one .v file beside its .vo; what Coq printed, and CPU seconds. Raises: see `run`."""
    printed, seconds = run([*tools.coqc, "-q", "-Q", ".", "Midpo", file.name], file.parent, timeout=timeout)
    if not file.with_suffix(".vo").is_file():
        raise NotChecked(f"coqc left no {file.stem}.vo")
    return printed, seconds


def check_again(tools: Tools, modules: list[str], folder: Path, *, timeout: float = 300) -> None:
    """coqchk over the compiled modules and all that they rest on. Raises: NotChecked, Refused."""
    if tools.coqchk is None:
        raise NotChecked("coqchk was not found")
    names = [f"Midpo.{module}" for module in modules]
    printed, _ = run([tools.coqchk, "-silent", "-o", "-Q", ".", "Midpo", *names], folder, timeout=timeout)
    if "Modules were successfully checked" not in printed and "CONTEXT SUMMARY" not in printed:
        raise NotChecked("what coqchk printed cannot be understood")
