"""An audit, in lines of at most WIDTH columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from midpo.symbolic.errors import printable

if TYPE_CHECKING:
    from midpo.proofs.audit.audit import Audit

WIDTH = 80


def written(found: Audit) -> str:
    """The audit as lines of at most WIDTH columns; formulas keep to their lines where they can."""
    spec = found.spec
    title = " ".join(printable(spec.title).split())
    lines = textwrap.wrap(f"{spec.name}  {title}".rstrip(), WIDTH, break_on_hyphens=False)
    if found.solved:
        lines += _wrapped(f"the prior that solve finds: {found.solved}", "  ")
    for section in found.sections:
        lines.append(f"{section.name}: {section.title}")
        for answer in section.claims:
            lines += _wrapped(f"{answer.question}: {answer.sentence}", "  ", "    ")
            for formula in answer.formulas:
                lines += _wrapped(formula.unicode, "      ", "        ")
            lines += _wrapped(f"[{answer.standing}]", "    ", "     ")
    return "\n".join(printable(line) for line in lines) + "\n"


def _wrapped(text: str, first: str, rest: str = "    ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
