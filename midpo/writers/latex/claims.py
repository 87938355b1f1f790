r"""Claims as LaTeX: an item each, with what it rests on; an audit as a paragraph a topic.

Words are escaped, formulas set. Needs amsmath, amssymb and graphicx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from midpo.proofs.account.claim import Claim, Topic
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.told import Displayed, Told

from .pieces import answered, marked, tex, width

# A formula as wide as it is, or as the line less its indent.
_ROOM = r"\dimexpr\linewidth-2em\relax"
_FIT = rf"\resizebox{{\ifdim\width>{_ROOM}{_ROOM}\else\width\fi}}{{!}}"


def paragraphs(topics: Iterable[Topic]) -> str:
    """Each topic as a paragraph, to be set inside a document."""
    return "\n\n".join(map(_paragraph, topics)) + "\n"


def _paragraph(topic: Topic) -> str:
    head = rf"\paragraph{{{answered(topic.name.capitalize())}: {answered(topic.title)}.}}"
    return f"{head}\n{listed(topic.claims, answered)}"


def listed(claims: Iterable[Claim], stood: Callable[[Told], str] = marked) -> str:
    """Claims as a list; `stood` writes a standing."""
    items = "\n".join(_item(claim, stood) for claim in claims)
    return f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}"


def _item(claim: Claim, stood: Callable[[Told], str]) -> str:
    lines = [rf"\item \emph{{{answered(claim.question)}:}} {answered(claim.sentence)}"]
    if claim.why:
        lines.append(rf"\par\noindent {answered(claim.why)}")
    for formula in claim.formulas:
        lines += _displayed(formula)
    lines += [rf"\par\noindent where {answered(condition)}" for condition in claim.where]
    lines.append(rf"\par\noindent{{\footnotesize [{stood(claim.standing)}]}}")
    return "\n".join(lines)


def _displayed(formula: Displayed) -> list[str]:
    lines = [rf"\par\noindent {answered(formula.words)}"] if formula.words else []
    for place, part in enumerate(broken(formula.formula, width())):
        indent = r"\hspace*{2em}" if place else ""
        lines.append(rf"\par\noindent{indent}{_FIT}{{$\displaystyle {tex(part)}$}}")
    return lines
