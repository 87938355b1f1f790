"""A function lifted: run on tensors of expressions, along every path, twice."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import torch
from sympy import Expr, S

from midpo.numeric.checking.binding import Binding
from midpo.numeric.checking.calling import outcome
from midpo.numeric.code.contracts import Use, instead
from midpo.numeric.code.layout import Layout
from midpo.numeric.code.tensors import arguments
from midpo.symbolic.ending import ends_after
from midpo.symbolic.errors import MidpoError

from .autograd import checked, gradient
from .axes import Hints
from .calls import Calls, differentiating, floats
from .contracts import Contracts
from .layouts import Inputs, hints_for
from .numbers import Number, expr_of
from .running import lifting
from .tensor import Sym, sized
from .trace import MAX_SECONDS, CannotLift, Trace, next_path, refuse, tracing


@dataclass(frozen=True)
class Lifted:
    """What a function computes, for every size of a layout.

    `losses` are the entries of its loss, `shape` their shape; `slope` is the derivative, by torch's
    autograd, of their sum weighted by seeds along the direction d, None where it was not asked for
    or (`why`) not lifted. `constants` are readings of literals, `hypotheses` what the formula rests
    on, `casts` changes of dtype, `paths` how many ways data can lead through the code, `uses` the
    calls of operators that a contract stands for.
    """

    layout: Layout
    losses: tuple[Expr, ...]
    shape: tuple[int, ...]
    slope: Expr | None
    why: str = ""
    constants: dict[str, str] = field(default_factory=dict)
    hypotheses: tuple[str, ...] = ()
    casts: dict[str, int] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    paths: int = 1
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True)
class NotLifted:
    """Why a function was not lifted."""

    why: str


def lift(binding: Binding, layout: Layout, *, slope: bool = True) -> Lifted | NotLifted:
    """The loss of a function as expressions; lifted twice, with other sizes, and compared."""
    try:
        first, second = (_lifted(binding, layout, seed, slope) for seed in (1, 2))
    except CannotLift as why:
        if slope and _in_gradient(str(why)):
            found = lift(binding, layout, slope=False)
            if isinstance(found, Lifted):
                return Lifted(**{**vars(found), "why": str(why).removeprefix(_GRADIENT)})
        return NotLifted(str(why).removeprefix(_GRADIENT))
    if (first.losses, first.slope) != (second.losses, second.slope):
        return NotLifted(
            "two runs gave two formulas: the code draws random numbers, reads the "
            "clock or changes state, or a size goes into the loss as a number"
        )
    return first


_GRADIENT = "backward: "


def _in_gradient(why: str) -> bool:
    return why.startswith(_GRADIENT)


def _lifted(binding: Binding, layout: Layout, seed: int, slope: bool) -> Lifted:
    hints = hints_for(layout, seed)
    path: list[tuple[Expr, bool]] | None = []
    runs: list[tuple[Expr, _Run]] = []
    while path is not None:
        trace = Trace(path)
        run = _run(binding, layout, hints, trace, slope)
        runs.append((trace.weight, run))
        path = next_path(trace)
    first = runs[0][1]
    if any(run.shape != first.shape for _, run in runs):
        raise CannotLift("the loss has another shape on another path")
    if any(run.uses != first.uses for _, run in runs):
        raise CannotLift("an operator with a contract is called on some paths and not on others")
    losses = tuple(
        checked(sum((w * run.losses[n] for w, run in runs), S.Zero)) for n in range(len(first.losses))
    )
    whole = checked(sum((w * run.slope for w, run in runs), S.Zero)) if slope else None
    traces = [run.trace for _, run in runs]
    return Lifted(
        layout,
        losses,
        first.shape,
        whole,
        "",
        {k: v for t in traces for k, v in t.constants.items()},
        tuple(dict.fromkeys(h for t in traces for h in t.hypotheses)),
        dict(sum((t.casts for t in traces), Counter())),
        dict(sum((t.operations for t in traces), Counter())),
        len(runs),
        first.uses,
    )


@dataclass(frozen=True)
class _Run:
    losses: tuple[Expr, ...]
    shape: tuple[int, ...]
    slope: Expr
    trace: Trace
    uses: tuple[Use, ...]


def _run(binding: Binding, layout: Layout, hints: Hints, trace: Trace, slope: bool) -> _Run:
    """One run along one path. Raises: CannotLift, also for the code's own errors."""
    given = Contracts(layout, binding.kinds.get("pi", ""))
    with (
        tracing(trace),
        sized(hints),
        ends_after(MAX_SECONDS + 1, _TooLong),
        _eager(),
        floats(binding.function),
        differentiating(),
        instead(binding.contracts, binding.function, given.stand),
    ):
        inputs = Inputs(layout, hints)
        try:
            with lifting(), Calls(), redirect_stdout(sys.stderr):
                values = arguments(torch, binding, layout, inputs, _parameter)
                loss, _ = outcome(torch, binding.call(values))
        except CannotLift:
            raise
        except MidpoError as error:
            raise CannotLift(trace.failed or str(error).splitlines()[0]) from None
        except (Exception, SystemExit) as error:
            raise CannotLift(trace.failed or _told(binding, error)) from None
        if trace.failed:
            raise CannotLift(trace.failed)
        if not isinstance(loss, Sym):
            raise CannotLift("the loss does not depend on the inputs")
        if loss.tax is not None or loss.vax is not None or loss.ptr.ndim > 1:
            raise CannotLift(f"the loss has shape {loss.sizes}: neither a scalar nor one a pair")
        losses = tuple(map(expr_of, loss.entries.reshape(-1)))
        found = S.Zero
        if slope:
            before = trace.asked
            try:
                with lifting():
                    found = gradient(loss, inputs.leaves, layout, given)
                if trace.asked != before:
                    refuse("the gradient asks questions about data")
                if trace.failed:
                    raise CannotLift(trace.failed)
            except CannotLift as why:
                raise CannotLift(_GRADIENT + str(why)) from None
            except Exception as error:
                told = trace.failed or _told(binding, error)
                raise CannotLift(_GRADIENT + told) from None
        return _Run(losses, loss.sizes, found, trace, tuple(given.uses))


def _parameter(e: Expr) -> Any:
    return Number(e) if not e.is_Number else float(e)


def _told(binding: Binding, error: BaseException) -> str:
    """The code's own error, with its last line."""
    code = getattr(getattr(binding.function, "__func__", binding.function), "__code__", None)
    lines = [
        f.lineno
        for f in traceback.extract_tb(error.__traceback__)
        if code is not None and f.filename == code.co_filename
    ]
    where = f"line {lines[-1]}: " if lines else ""
    text = " ".join(str(error).split()) or "no message"
    return f"{where}the code raises {type(error).__name__}: {text[:300]}"


class _TooLong(CannotLift):
    """The code has run longer than it may."""

    def __init__(self, *_: Any) -> None:
        super().__init__(f"it takes more than {MAX_SECONDS:.0f} seconds")


@contextmanager
def _eager() -> Iterator[None]:
    """Compiled functions run as they are written, where torch's compiler is loaded at all."""
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
