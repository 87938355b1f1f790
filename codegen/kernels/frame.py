"""What all kernels have: their arguments, what they refuse of them, and what they return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
EMPTY = Argument("empty", Name("str"), Constant("error"), named=True)
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
    lacking = () if v.orders_batch else (EMPTY,)
    arguments = (*leads, *keywords, *SHARED, *lacking, *own, VALIDATE)
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


def empty(v: Any) -> Code:
    """What is to be done with pairs that lack labels: a loss that sorts a batch needs all of them."""
    return Constant("error") if v.orders_batch else Name("empty")


def present(v: Any, values: Mapping[str, Code]) -> tuple[Statement, ...]:
    """Which pairs have labels. What stands at the one position of the others is one of `values`."""
    if v.orders_batch:
        return ()
    return block(
        """
        present = None
        if empty == "zero":
            VALUES
            MASK, present = _present(MASK, OF)
    """,
        VALUES=[Assign(Name(n), quote("torch.where({}, {}, {})", v.mask, n, x)) for n, x in values.items()],
        MASK=v.mask,
        OF=Number(str(v.of)),
    )


def zeroed(v: Any) -> tuple[Statement, ...]:
    """The loss of a pair without labels, as of none."""
    if v.orders_batch:
        return ()
    return block(
        """
        if present is not None:
            LOSS = torch.where(present, LOSS, 0.0)
    """,
        LOSS=v.loss,
    )


def metrics(v: Any) -> tuple[Statement, ...]:
    """What is logged, of pairs with labels."""
    only = block(
        """
        if present is not None:
            MASK = MASK & present.repeat(OF)[:, None]
    """,
        MASK=v.mask,
        OF=Number(str(v.of)),
    )
    return (*(() if v.orders_batch else only), *v.metric_lines)


def returned(v: Any) -> tuple[Statement, ...]:
    """The loss and, where they are asked for, the metrics."""
    which = NONE if v.orders_batch else Name("present")
    return block(
        """
        ZEROED
        total = _reduced(LOSS, reduction, num_pairs)
        if not metrics:
            return total
        with torch.no_grad():
            METRICS
        return total, _logged(LOGGED, reduction, PRESENT)
    """,
        ZEROED=zeroed(v),
        LOSS=v.loss,
        METRICS=metrics(v),
        LOGGED=v.metric_name,
        PRESENT=which,
    )
