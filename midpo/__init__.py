"""midpo: derive, verify and generate preference-optimisation losses.

One generalised loss with a free prior zeta,

    -log sigmoid(alpha*log(pi(y_w)/zeta(y_w)) - alpha*log(pi(y_l)/zeta(y_l))),

and the question which prior gives which published loss. A spec's path through the house:

    symbolic/catalogue/simpo.toml
      -> Spec         midpo.load      what the file says, as mathematics       (symbolic)
      -> Recovery     midpo.verify    prior = target? a derivation, replayed   (proofs)
      -> Solution     midpo.solve     target alone: its prior, or why none     (proofs)
      -> Kernel       midpo.generate  the loss as one PyTorch file             (codegen)
      -> CrossCheck   midpo.check     the kernel held against the spec         (numeric)
      -> Report       midpo.report    statement, proof and evidence, in LaTeX  (proofs)

Reference: Tutunov, Grosnit and Bou-Ammar, "Many of Your DPOs are Secretly One: Attempting
Unification Through Mutual Information", arXiv:2501.01544, 2025.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not (Path(__file__).parent / "symbolic").is_dir():  # a checkout without links (Windows)
    __path__.append(str(Path(__file__).parents[1]))

from midpo.symbolic import VERSION as __version__

if TYPE_CHECKING:
    from midpo.api import check, generate, report, solve, verify
    from midpo.codegen.emit import Kernel
    from midpo.numeric.crosscheck import CrossCheck
    from midpo.proofs.framework import Theorem
    from midpo.proofs.framework_theorems import theorem, theorems
    from midpo.proofs.recovery import Recovery
    from midpo.proofs.report import Report
    from midpo.proofs.solution import Solution
    from midpo.symbolic.errors import MidpoError, SpecError
    from midpo.symbolic.spec import Spec, catalogue, load, loads

# Each public name and the room it lives in; rooms open on first use, so that importing is quick.
_ROOMS = {
    "load": "midpo.symbolic.spec",
    "loads": "midpo.symbolic.spec",
    "catalogue": "midpo.symbolic.spec",
    "Spec": "midpo.symbolic.spec",
    "verify": "midpo.api",
    "solve": "midpo.api",
    "theorems": "midpo.proofs.framework_theorems",
    "theorem": "midpo.proofs.framework_theorems",
    "generate": "midpo.api",
    "check": "midpo.api",
    "report": "midpo.api",
    "Recovery": "midpo.proofs.recovery",
    "Theorem": "midpo.proofs.framework",
    "Solution": "midpo.proofs.solution",
    "Kernel": "midpo.codegen.emit",
    "CrossCheck": "midpo.numeric.crosscheck",
    "Report": "midpo.proofs.report",
    "MidpoError": "midpo.symbolic.errors",
    "SpecError": "midpo.symbolic.errors",
}

__all__ = [
    "CrossCheck",
    "Kernel",
    "MidpoError",
    "Recovery",
    "Report",
    "Solution",
    "Spec",
    "SpecError",
    "Theorem",
    "__version__",
    "catalogue",
    "check",
    "generate",
    "load",
    "loads",
    "report",
    "solve",
    "theorem",
    "theorems",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'midpo' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
