"""What a cross-check is held against and what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sympy import Expr

from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.formula import notebook
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import known

from . import logged
from .judging import plain as plain_number


class KernelLike(Protocol):
    """What a cross-check needs to know of a kernel."""

    @property
    def name(self) -> str: ...
    @property
    def backend(self) -> str: ...
    @property
    def policies(self) -> tuple[str, ...]: ...
    @property
    def features(self) -> Mapping[str, str]: ...
    @property
    def parameters(self) -> Mapping[str, Interval]: ...
    @property
    def logged(self) -> tuple[str, ...]: ...
    @property
    def rewards(self) -> tuple[Expr, Expr] | None: ...
    def compile(self) -> Callable[..., Any]: ...


@dataclass(frozen=True)
class Code:
    """A given function. `backend` is that of the file that holds it, or "code" where nothing says
    that it was generated; `arguments` says what the caller binds to which argument; `promised` what
    a generated one logs; `contracts` what operators of it are declared to compute."""

    name: str
    function: Callable[..., Any]
    backend: str = "code"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    promised: logged.Promised = field(default_factory=logged.Promised)
    contracts: tuple[Any, ...] = ()

    @property
    def generated(self) -> bool:
        return self.backend != "code"


@dataclass(frozen=True)
class DtypeErrors:
    """The largest errors in one dtype, in units in the last place: of the loss in the dtype sums
    accumulate in, of the gradient in the logits' own."""

    dtype: str
    cases: int
    value_ulp: float
    gradient_ulp: float
    limit_ulp: float
    passed: bool


@dataclass(frozen=True)
class CrossCheck:
    """What the numbers say of one kernel.

    `cases` counts pairs; `prior_gap` is the largest difference between the loss through the prior
    and through the target in 50 digits, relative to the loss (None where a side is missing);
    `gradcheck` is torch's own check in float64 (None where it does not apply: at a stopped
    gradient, or to a given function). `notes` are the kernel's own warnings (where it took another
    road) and what else a reader should know; `case` is the case of `failure`.
    """

    name: str
    passed: bool
    cases: int
    seed: int
    device: str
    dtypes: tuple[DtypeErrors, ...]
    prior_gap: float | None
    gradcheck: bool | None
    failure: str = ""
    backend: str = "eager"
    notes: tuple[str, ...] = ()
    code: str = ""
    case: Mapping[str, Any] | None = None
    ways: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        return notebook.card(
            self.name,
            "agrees" if self.passed else "differs",
            [
                *(
                    (
                        d.dtype,
                        f"{d.cases} pairs; largest error {d.value_ulp:.2f} ulp in value, "
                        f"{d.gradient_ulp:.2f} in gradient",
                    )
                    for d in self.dtypes
                ),
                *(("note", note) for note in self.notes),
                ("difference", self.failure),
                ("standing", known(Standing.EVIDENCE, f"{self.cases} pairs, seed {self.seed}")),
            ],
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "code": self.code or None,
            "backend": self.backend,
            "verdict": "agrees" if self.passed else "differs",
            "passed": self.passed,
            "cases": self.cases,
            "seed": self.seed,
            "device": self.device,
            "dtypes": [
                {k: plain_number(x) if isinstance(x, float) else x for k, x in vars(d).items()}
                for d in self.dtypes
            ],
            "ways": list(self.ways),
            "prior_gap": None if self.prior_gap is None else plain_number(self.prior_gap),
            "gradcheck": self.gradcheck,
            "failure": self.failure,
            "case": None if self.case is None else dict(self.case),
            "notes": list(self.notes),
            "standing": known(Standing.EVIDENCE, f"{self.cases} cases, 50 digits and float64"),
        }
