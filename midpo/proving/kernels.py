"""Our own kernels as code to be proved, backend by backend.

| backend | inputs | how |
| --- | --- | --- |
| eager, logps | every size | lifted whole |
| fused, linear | small sizes | lifted whole, with the backward that is written by hand |
| triton, native | every size | given what each pass over the logits computes, which check tests |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sympy import Expr

from midpo.codegen.backends import passes
from midpo.codegen.emit import Kernel, generate
from midpo.codegen.printing.chunks import Chunk
from midpo.numeric.checking.found import Code
from midpo.numeric.code.contracts import ANYTHING, Contract
from midpo.symbolic.language.nodes import Log
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text

BY_CONTRACT = ("native", "triton")
_ELSEWHERE = "Triton's kernels run on a GPU: midpo check --backend triton tests them there"


def kernel_code(spec: Spec, backend: str, arguments: Mapping[str, Any] | None = None) -> Code:
    """The kernel of a backend. Raises: SpecError, NotYet where there is none for the spec."""
    kernel = generate(spec, backend=backend)
    name = f"midpo generate {spec.name} --backend {backend}"
    found = Code(name, kernel.compile(), backend, dict(arguments or {}))
    return replace(found, contracts=contracts(kernel)) if backend in BY_CONTRACT else found


def contracts(kernel: Kernel) -> tuple[Contract, ...]:
    """That each pass of a kernel computes its statistics, and that nothing is computed from how it
    is told to go about it."""
    single, elsewhere = kernel.backend == "native", _ELSEWHERE * (kernel.backend == "triton")
    found = [Contract("_settings", (ANYTHING,) * 3, "(_, _, _)")]
    for number, one in enumerate(passes(kernel.lowered, set())):
        rows = _returned(one) + [ANYTHING] * (len(one.names) - len(one.statistics))
        said = ", ".join("_" if row == ANYTHING else text(row) for row in rows)
        name = f"_forward_{number + 1}" if number else "_forward"
        made = Contract(name, (rows, ANYTHING, ANYTHING), f"([{said}], _, _)", single, elsewhere)
        found.append(made)
    return tuple(found)


def _returned(one: Chunk) -> list[Expr]:
    """What a pass gives of each position: its statistics; of labels where `near_one` their log-odds,
    in which neither p nor 1 - p loses its digits."""
    nodes = [s.node for s in one.statistics]
    return [log - Log(1 - log.args[0]) for log in nodes] if one.near_one else nodes
