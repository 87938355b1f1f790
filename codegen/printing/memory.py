"""What the lines of a pass over the logits make in which memory: tables are of a chunk's size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from midpo.codegen.statements.nodes import (
    Attribute,
    Call,
    Code,
    Constant,
    Group,
    Name,
    Pair,
    Statement,
    call,
    changed,
    names,
    walk,
)
from midpo.codegen.statements.quote import quote


def expectation(weight: Code, value: Code, *, spent: bool = False) -> Code:
    """The sum of weight*value over the vocabulary, in the memory of a value that is `spent`."""
    return call("expectation", weight, value, *([Constant(True)] if spent else []))


def expectations(lines: Iterable[Statement]) -> Iterator[Call]:
    for node in walk(*lines):
        if isinstance(node, Call) and node.function == Name("expectation"):
            yield node


def is_in_place(found: Call) -> bool:
    """Whether an expectation takes no memory but that of tables that are there."""
    match found.arguments:
        case (Name(), Name() | Call(Attribute(Name(), "sub_"), (Name(),)), Constant(True)):
            return True
    return False


def spending(lines: Sequence[Statement], tables: Iterable[tuple[bool, str]]) -> tuple[Statement, ...]:
    """The lines with a difference of two tables, and the product that an expectation sums, made in
    the memory of a table where that is the last time that it is spoken of. `tables` says of each
    whether it holds logarithms."""
    spoken = names(lines)
    spent = {Name(name): is_log for is_log, name in tables if spoken[name] == 1}
    twice = {Name(name) for _, name in tables if spoken[name] == 2}

    def change(node: Code | Statement) -> Code | Statement:
        match node:
            case Group(Pair(Name() as first, "-", Name() as second)) if spent.get(first):
                return quote("{}.sub_({})", first, second)
            case Call(Name("expectation"), (Name() as weight, value)):
                if value in spent or weight == value in twice:
                    return expectation(weight, value, spent=True)
        return node

    return tuple(changed(line, change) for line in lines)
