"""What Coq says of recoveries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from midpo.symbolic.errors import printable

from .pieces import out

if TYPE_CHECKING:
    from midpo.proofs.certify.certificate import Certificate


def certificate(found: Certificate, folder: Path) -> None:
    style = {"checked": "bold green", "refused": "bold red", "mismatch": "bold red"}
    words = {"exported": "exported, not checked"}
    word = words.get(found.state, found.state)
    if found.state == "checked":
        axioms = len(found.axioms or ())
        how = f"accepted by Coq {found.coqc}; {axioms} axioms; read back: as the spec says"
        how += f"; the {' and the '.join(found.differing)} differ" if found.differing else ""
        how += "; coqchk passes" if found.coqchk else ""
    else:
        how = " ".join(printable(found.reason).split())
    line = f"[bold]{escape(found.spec.name)}[/]  [{style.get(found.state, 'bold yellow')}]{word}[/]"
    out.print(f"{line}  {escape(how)}".rstrip(), soft_wrap=True)
    if found.text:
        out.print(f"  {escape(str(folder / found.file))}", soft_wrap=True)
