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
      -> CodeProof    midpo.prove     PyTorch code = the spec's loss? proved   (codegen, proofs)
      -> Report       midpo.report    statement, proof and evidence, in LaTeX  (proofs)

Reference: Tutunov, Grosnit and Bou-Ammar, "Many of Your DPOs are Secretly One: Attempting
Unification Through Mutual Information", arXiv:2501.01544, 2025.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not (Path(__file__).parent / "symbolic").is_dir():  # a checkout without links (Windows)
    __path__.append(str(Path(__file__).parents[1]))

from midpo.symbolic import VERSION as __version__

if TYPE_CHECKING:
    from midpo.api import (
        audit,
        certify,
        check,
        compare,
        derive,
        generate,
        optimise,
        prove,
        report,
        solve,
        trainer,
        verify,
    )
    from midpo.catalogued import list, map, show
    from midpo.codegen.emit import Kernel
    from midpo.codegen.plan.needs import Takes
    from midpo.numeric.checking.found import CrossCheck
    from midpo.numeric.exact.solved import Part
    from midpo.proofs.audit.audit import Audit
    from midpo.proofs.certify.certificate import Certificate
    from midpo.proofs.code.answer import CodeProof
    from midpo.proofs.compare.family import Family
    from midpo.proofs.compare.found import Comparison
    from midpo.proofs.framework.theorem import Theorem
    from midpo.proofs.framework.theorems import theorem, theorems
    from midpo.proofs.recover.recovery import Recovery
    from midpo.proofs.recover.solved import Solution
    from midpo.reproduction import Reproduction, paper
    from midpo.rows import Row
    from midpo.symbolic.errors import MidpoError, SpecError
    from midpo.symbolic.language.spec import Spec, catalogue, load, loads
    from midpo.writers.latex.report import Report

# The commands, in the order of a spec's path; each is a function of this package too.
COMMANDS = (
    "list",
    "show",
    "verify",
    "solve",
    "generate",
    "check",
    "report",
    "paper",
    "audit",
    "compare",
    "map",
    "derive",
    "certify",
    "optimise",
    "prove",
)

# Each public name and the room it lives in; rooms open on first use, so that importing is quick.
_ROOMS = {
    **dict.fromkeys(COMMANDS, "midpo.api"),
    **dict.fromkeys(("list", "show", "map"), "midpo.catalogued"),
    "trainer": "midpo.api",
    "paper": "midpo.reproduction",
    **dict.fromkeys(("load", "loads", "catalogue", "Spec"), "midpo.symbolic.language.spec"),
    **dict.fromkeys(("MidpoError", "SpecError"), "midpo.symbolic.errors"),
    **dict.fromkeys(("theorem", "theorems"), "midpo.proofs.framework.theorems"),
    "Audit": "midpo.proofs.audit.audit",
    "Certificate": "midpo.proofs.certify.certificate",
    "CodeProof": "midpo.proofs.code.answer",
    "Comparison": "midpo.proofs.compare.comparison",
    "CrossCheck": "midpo.numeric.checking.found",
    "Family": "midpo.proofs.compare.family",
    "Kernel": "midpo.codegen.emit",
    "Part": "midpo.numeric.exact.solved",
    "Recovery": "midpo.proofs.recover.recovery",
    "Report": "midpo.writers.latex.report",
    "Reproduction": "midpo.reproduction",
    "Row": "midpo.rows",
    "Solution": "midpo.proofs.recover.solved",
    "Takes": "midpo.codegen.plan.needs",
    "Theorem": "midpo.proofs.framework.theorem",
}

__all__ = [
    "COMMANDS",
    "Audit",
    "Certificate",
    "CodeProof",
    "Comparison",
    "CrossCheck",
    "Family",
    "Kernel",
    "MidpoError",
    "Part",
    "Recovery",
    "Report",
    "Reproduction",
    "Row",
    "Solution",
    "Spec",
    "SpecError",
    "Takes",
    "Theorem",
    "__version__",
    "audit",
    "catalogue",
    "certify",
    "check",
    "compare",
    "derive",
    "generate",
    "list",
    "load",
    "loads",
    "map",
    "optimise",
    "paper",
    "prove",
    "report",
    "show",
    "solve",
    "theorem",
    "theorems",
    "trainer",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'midpo' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> Iterable[str]:
    return sorted(__all__)
