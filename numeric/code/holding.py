"""Do contracts hold? The operators' own output at random inputs beside what they are declared to
compute; and the code with the declared values in their place, where an operator does not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sympy import Expr

from midpo.numeric.checking.binding import Binding, number

from .cases import CodeCase
from .contracts import Contract, Use, flat, instead, stacked
from .layout import Cell, Given, Layout
from .places import unknowns
from .tensors import arguments, tensor

APART = 1e-6  # relative to 1 + the value: what float64 explains, and what is in float32
SINGLE = 1e-4


@dataclass
class Tested:
    """How contracts stood at random inputs: `calls` of operators that were compared, the largest
    `error` relative to 1 + the value, what is `wrong`, and why operators do not `run` here."""

    calls: int = 0
    error: float = 0.0
    wrong: str = ""
    stopped: str = ""

    def __str__(self) -> str:
        if self.stopped:
            return f"not tested: {self.stopped}"
        return f"tested at {self.calls} calls, largest error {self.error:.0e}"


def hold(
    torch: Any, uses: Sequence[Use], binding: Binding, layout: Layout, case: CodeCase, found: Tested
) -> None:
    """One case more: `found` is added to."""
    contracts = list(dict.fromkeys(u.contract.target for u in uses))
    called: dict[str, list[Any]] = {c: [] for c in contracts}

    def recorded(each: Contract, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            try:
                out = original(*args, **named)
            except Exception as error:
                told = " ".join(f"{type(error).__name__}: {error}".split())[:120]
                found.stopped = f"the operator does not run here ({told})"
                raise
            called[each.target].append(out)
            return out

        return run

    try:
        with instead(_of(uses), binding.function, recorded):
            values = _arguments(torch, binding, layout, case)
            if any(u.contract.single for u in uses):
                values = {n: _single(torch, v) for n, v in values.items()}
            binding.call(values)
    except Exception as error:
        found.wrong = found.wrong or ("" if found.stopped else f"{type(error).__name__}: {error}")
        return
    for target, outs in called.items():
        mine = [u for u in uses if u.contract.target == target]
        if len(outs) != len(mine):
            found.wrong = f"{target} is called {len(outs)} times at {case}, not {len(mine)} times"
            return
        for use, out in zip(mine, outs, strict=True):
            found.calls += 1
            _compare(torch, use, out, case, found)


def _compare(torch: Any, use: Use, out: Any, case: CodeCase, found: Tested) -> None:
    try:
        parts = list(flat(use.contract.result, out))
    except (TypeError, ValueError) as error:
        found.wrong = f"{use.contract.target}: {error}"
        return
    for got, given in zip(parts, use.given, strict=True):
        want = tensor(torch, given, case)
        if tuple(got.shape) != tuple(want.shape):
            found.wrong = (
                f"{use.contract.target} returns shape {tuple(got.shape)} at {case}, not {tuple(want.shape)}"
            )
            return
        apart = (got.detach().double() - want).abs() / (1 + want.abs())
        claimed = tensor(torch, _claimed(given), case).bool()
        worst = float(torch.where(claimed, apart.nan_to_num(nan=1.0), 0.0).max())
        found.error = max(found.error, worst)
        if worst > (APART if got.dtype == torch.float64 else SINGLE):
            found.wrong = (
                f"the contract does not hold: {use.contract.target} is "
                f"{worst:.2g} (relative) from {use.contract.written} at {case}"
            )


def _claimed(given: Given) -> Given:
    """1 where something is declared, else 0."""
    rows = tuple(
        tuple(Cell(c.domain, int(not (isinstance(c.entry, Expr) and unknowns(c.entry)))) for c in row)
        for row in given.rows
    )
    return Given(rows, "int", given.tokens)


@contextmanager
def declared(torch: Any, uses: Sequence[Use], function: Any, case: CodeCase) -> Iterator[None]:
    """While it runs, operators return what is declared, without a gradient."""
    numbers = {
        u.contract.target: iter([v for v in uses if v.contract.target == u.contract.target]) for u in uses
    }

    def stand(each: Contract, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            use = next(numbers[each.target])
            tensors = (tensor(torch, given, case) for given in use.given)
            return stacked(torch, each.result, tensors, None)

        return run

    with instead(_of(uses), function, stand):
        yield


def _single(torch: Any, value: Any) -> Any:
    """A tensor in float32, as operators of one dtype take it."""
    floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.float() if floating else value


def _of(uses: Sequence[Use]) -> list[Contract]:
    return list({u.contract.target: u.contract for u in uses}.values())


def _arguments(torch: Any, binding: Binding, layout: Layout, case: CodeCase) -> dict[str, Any]:
    return arguments(
        torch,
        binding,
        layout,
        lambda source: tensor(torch, layout.given(source.kind, source.name), case),
        lambda e: number(e, case.parameters),
    )
