"""Loops over the rows in C, which the first call compiles: float32 within a block of the
vocabulary, sums of blocks in float64."""

from __future__ import annotations

import concurrent.futures
import ctypes
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
from typing import Any

import torch
from torch import Tensor

from midpo.codegen.runtime.rows import _RowsPass
from midpo.codegen.runtime.shards import _reduce_tops, _reduce_values

COMPILERS = ("cc", "gcc", "clang")
FLAGS = (
    "-std=c11",
    "-O3",
    "-march=native",
    "-funroll-loops",
    "-fopenmp-simd",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
)


@functools.cache
def _library(source: str, half: bool) -> tuple[Any, str]:
    """The loops for bfloat16 or for float32, compiled for this machine; or None, and why not. CC
    names another compiler."""
    wanted = shlex.split(os.environ.get("CC", ""))
    names = wanted[:1] or COMPILERS
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        return None, f"there is no C compiler ({', '.join(names)})"
    for flags in (FLAGS, [flag for flag in FLAGS if flag != "-march=native"]):  # not all know it
        library, reason = _compiled(source, [found, *wanted[1:], *flags, f"-DHALF={half:d}"])
        if library:
            break
    return library, reason


def _compiled(source: str, command: list[str]) -> tuple[Any, str]:
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "rows.so")
            subprocess.run(
                [*command, "-x", "c", "-", "-o", path, "-lm"],
                input=source,
                capture_output=True,
                text=True,
                check=True,
                timeout=120,
            )
            return ctypes.CDLL(path), ""
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["nothing"])[0]
        return None, f"{command[0]} says {said[:200]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{command[0]}: {error}"


class _NativePass(_RowsPass):
    """A pass by the loops of a `source` in C, whose names end in `suffix`."""

    source: str = ""
    suffix: str = ""

    def engine(self, logits: Tensor, frozen: list[Tensor]) -> tuple[str, str]:
        """What runs, and why it does not take these logits."""
        if reason := self.unfit:
            pass
        elif logits.device.type != "cpu":
            reason = f"the logits are on {logits.device.type}"
        elif logits.dtype not in (torch.float32, torch.bfloat16):
            reason = f"the loops take float32 and bfloat16, the logits are {logits.dtype}"
        elif any(other.dtype != logits.dtype for other in frozen):
            reason = f"the loops take logits of one dtype, the policy's are {logits.dtype}"
        else:
            _, reason = _library(self.source, logits.dtype == torch.bfloat16)
        return "compiled loop", reason

    def launch(self, given: tuple[Any, ...], more: tuple[Any, ...], group: str) -> None:
        *_, labels, _, values, normalisers = given
        self.run("online", labels.numel(), *given, *more)
        if group:
            _reduce_tops(normalisers, group)
        if group or self.later:
            self.run("sums", labels.numel(), *given, *more)
        if group:
            _reduce_values(values, labels, group)

    def launch_back(
        self,
        given: tuple[Any, ...],
        labels: Tensor,
        gradient: Tensor,
        overwrites: bool,
        contexts: int,
    ) -> None:
        self.run("slopes", labels.numel(), *given)

    def run(self, name: str, rows: int, *given: Any) -> None:
        """Run a loop over the rows, divided among torch's threads. Each row is one thread's, so
        that their number changes no digit."""
        library, _ = _library(self.source, given[0].dtype == torch.bfloat16)
        loop = getattr(library, f"{name}{self.suffix}")
        arguments = [
            ctypes.c_void_p(x.data_ptr())
            if isinstance(x, Tensor)
            else ctypes.c_float(x)
            if isinstance(x, float)
            else ctypes.c_int64(x)
            for x in given
        ]
        threads = max(1, min(torch.get_num_threads(), rows))
        bounds = [rows * n // threads for n in range(threads + 1)]

        def part(n: int) -> None:
            ends = ctypes.c_int64(bounds[n]), ctypes.c_int64(bounds[n + 1])
            loop(*arguments, *ends)

        if threads == 1:
            part(0)
            return
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, range(threads)))
