r"""An audit as LaTeX paragraphs: a paragraph a section, each answer with what it rests on.

Text is escaped, its mathematics set; formulas are the program's own. Needs amsmath, amssymb and
graphicx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midpo.proofs.account.claim import Claim, Topic
from midpo.symbolic.formula.breaking import lines as broken

from .pieces import answered, tex, width

if TYPE_CHECKING:  # the audit itself needs numpy, its words do not
    from midpo.proofs.audit.audit import Audit

# A formula as wide as it is, or as the line less its indent.
_ROOM = r"\dimexpr\linewidth-2em\relax"
_FIT = rf"\resizebox{{\ifdim\width>{_ROOM}{_ROOM}\else\width\fi}}{{!}}"


def audit_latex(audit: Audit) -> str:
    """The audit's sections as LaTeX paragraphs, to be set inside a document."""
    return "\n\n".join(_section(section) for section in audit.sections) + "\n"


def _section(section: Topic) -> str:
    answers = "\n".join(_answer(answer) for answer in section.claims)
    head = rf"\paragraph{{{answered(section.name.capitalize())}: {answered(section.title)}.}}"
    return f"{head}\n\\begin{{itemize}}\n{answers}\n\\end{{itemize}}"


def _answer(answer: Claim) -> str:
    lines = [rf"\item \emph{{{answered(answer.question)}:}} {answered(answer.sentence)}"]
    for formula in answer.formulas:
        for place, part in enumerate(broken(formula.formula, width())):
            indent = r"\hspace*{2em}" if place else ""
            lines.append(rf"\par\noindent{indent}{_FIT}{{$\displaystyle {tex(part)}$}}")
    lines.append(rf"\par\noindent{{\footnotesize [{answered(answer.standing)}]}}")
    return "\n".join(lines)
