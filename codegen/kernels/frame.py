"""What all kernels have: their arguments, what they refuse of them, and what they return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from midpo.codegen.statements.nodes import (
    Argument,
    Assign,
    Code,
    Constant,
    Function,
    If,
    Name,
    Number,
    Row,
    Run,
    Statement,
    Table,
    call,
)
from midpo.codegen.statements.quote import block, quote

from .documents import of_function

TENSOR, ANY = Name("Tensor"), Name("Any")
OPTIONAL = quote("Tensor | None")
NONE = Constant(None)
SHARED = (
    Argument("reduction", Name("str"), Constant("mean"), named=True),
    Argument("num_pairs", quote("float | None"), NONE, named=True),
    Argument("ignore_index", Name("int"), quote("-100"), named=True),
    Argument("cu_seqlens", OPTIONAL, NONE, named=True),
    Argument("max_seqlen", quote("int | None"), NONE, named=True),
    Argument("metrics", Name("bool"), Constant(False), named=True),
)
VALIDATE = Argument("validate", Name("bool"), Constant(True), named=True)


def option(name: str, kind: str, default: str = "None") -> Argument:
    return Argument(name, quote(kind), quote(default), named=True)


def function(
    v: Any, leads: Sequence[Argument], own: Iterable[Argument], body: Sequence[Statement]
) -> Function:
    """The kernel: `leads` before its keywords, `own` those of its backend."""
    keywords = [Argument(name, TENSOR, named=True) for name, _, _ in v.features]
    for name, default, _ in v.parameters:
        value = None if default is None else quote(default)
        keywords.append(Argument(name, Name("float"), value, named=True))
    arguments = (*leads, *keywords, *SHARED, *own, VALIDATE)
    return Function(v.function, arguments, ANY, of_function(v), tuple(body))


def named(names: Iterable[str]) -> Table:
    """A table of variables by their names."""
    return Table(tuple((Constant(name), Name(name)) for name in names))


def features(v: Any) -> list[Statement]:
    """Refuse features of other shapes."""
    table = Table(
        tuple((Constant(name), Row("()", (Name(name), Constant(kind)))) for name, _, kind in v.features)
    )
    check = call("_check_features", table, Name("labels"), Name("cu_seqlens"), Number(str(v.of)))
    return [Run(check)] if v.features else []


def padded(names: Iterable[str], layout: str, outside: Code) -> list[Statement]:
    return [Assign(Name(name), call("_padded", Name(name), Name(layout), outside)) for name in names]


def token_features(v: Any) -> list[str]:
    return [name for name, _, kind in v.features if kind == "token"]


def checked(v: Any) -> list[Statement]:
    """Refuse parameters and features outside their domains."""
    found: list[Statement] = [
        Assign(Name(name), call("_number", Constant(name), Name(name), Constant(meaning)))
        for name, _, meaning in v.parameters
    ]
    found += v.refusals
    values: list[Statement] = []
    for feature, (inside, meaning) in v.bounded.items():
        values += [
            Assign(Name("inside"), inside),
            Run(call("_check_values", Constant(feature), Name(feature), Name("inside"), Constant(meaning))),
        ]
    found += [If(Name("validate"), tuple(values))] if values else []
    return [
        *found,
        *block("""
        if num_pairs is not None and (validate or not isinstance(num_pairs, Tensor)):
            num_pairs = _positive("num_pairs", num_pairs)
    """),
    ]


def returned(v: Any) -> tuple[Statement, ...]:
    """The loss and, where they are asked for, the metrics."""
    return block(
        """
        total = _reduced(LOSS, reduction, num_pairs)
        if not metrics:
            return total
        with torch.no_grad():
            METRICS
        return total, _logged(LOGGED, reduction)
    """,
        LOSS=v.loss,
        METRICS=v.metric_lines,
        LOGGED=v.metric_name,
    )
