"""What stands around a kernel's lines: what it computes, and what its arguments are, in words."""

from __future__ import annotations

import textwrap

from sympy import Expr

from midpo.codegen.names import unmarked
from midpo.symbolic.errors import printable
from midpo.symbolic.language.nodes import MARGIN
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text_of_terms
from midpo.symbolic.loss import kernel_loss, loss_of_margin, prior_margin


def summary(spec: Spec) -> list[str]:
    said = f"{spec.title or spec.name}: the loss of each preference pair, in nats."
    return textwrap.wrap(said, 92, break_on_hyphens=False)


def formula(spec: Spec) -> list[str]:
    """loss = ..., one top-level term a line; margin and prior on their own where there are any."""
    if spec.loss is not None or spec.batch is not None:
        return _equation("loss", kernel_loss(spec))
    lines = _equation("loss", loss_of_margin(spec, MARGIN))
    if spec.margin is not None:
        return [*lines, *_equation("m", spec.margin)]
    assert spec.prior is not None
    return [*lines, *_equation("m", prior_margin(spec.alpha)), *_equation("zeta(y)", spec.prior)]


def _equation(name: str, expr: Expr) -> list[str]:
    first, *more = text_of_terms(expr)
    lines = [f"{name} = {first}", *(f"    {term}" for term in more)]
    return [
        piece
        for line in lines
        for piece in textwrap.wrap(
            line,
            90,
            subsequent_indent=" " * 8,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
    ]


def reference(spec: Spec) -> list[str]:
    parts = [spec.bibtex.get(key, "") for key in ("author", "title", "journal", "year")]
    written = ". ".join(part for part in parts if part) or spec.reference or "none given"
    return textwrap.wrap(f"Reference: {written}", 88, break_on_hyphens=False)


def logits_meaning(policy: str, argument: str, responses: int) -> str:
    trained = "the trained policy" if policy == "pi" else f"{policy}, frozen (no gradient)"
    return f"{argument}: ({responses}B, T, V), {trained}"


def beside(spec: Spec) -> list[str]:
    """Where the responses beside the pair are, and what they are; and what sorting means."""
    lines = []
    if spec.orders_batch:
        lines += [
            "sorted(e) orders the e of all pairs of one call: a loss is of a place in that",
            "order, and those of micro-batches do not add up to their batch's.",
        ]
    for number, (name, meaning) in enumerate(spec.responses.items(), start=2):
        said = f"Sequences {number}B..{number + 1}B-1 are {name}: {meaning}."
        lines += textwrap.wrap(said, 92, subsequent_indent="    ")
    return lines


def default(spec: Spec, name: str) -> str | None:
    value = spec.defaults.get(name)
    return None if value is None else repr(float(value))


def docstring(line: str) -> str:
    """Free text made inert inside a docstring."""
    return unmarked(printable(line).replace("\\", "\\\\").replace('"', '\\"'))
