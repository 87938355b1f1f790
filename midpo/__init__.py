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
    from midpo.numeric.checking.crosscheck import CrossCheck
    from midpo.proofs.framework.theorem import Theorem
    from midpo.proofs.framework.theorems import theorem, theorems
    from midpo.proofs.recover.recovery import Recovery
    from midpo.proofs.recover.solution import Solution
    from midpo.show.latex.report import Report
    from midpo.symbolic.errors import MidpoError, SpecError
    from midpo.symbolic.language.spec import Spec, catalogue, load, loads

# Each public name and the room it lives in; rooms open on first use, so that importing is quick.
_ROOMS = {
    "load": "midpo.symbolic.language.spec",
    "loads": "midpo.symbolic.language.spec",
    "catalogue": "midpo.symbolic.language.spec",
    "Spec": "midpo.symbolic.language.spec",
    "verify": "midpo.api",
    "solve": "midpo.api",
    "theorems": "midpo.proofs.framework.theorems",
    "theorem": "midpo.proofs.framework.theorems",
    "generate": "midpo.api",
    "check": "midpo.api",
    "report": "midpo.api",
    "Recovery": "midpo.proofs.recover.recovery",
    "Theorem": "midpo.proofs.framework.theorem",
    "Solution": "midpo.proofs.recover.solution",
    "Kernel": "midpo.codegen.emit",
    "CrossCheck": "midpo.numeric.checking.crosscheck",
    "Report": "midpo.show.latex.report",
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
