"""What a line of a kernel is: expressions and statements as data.

Nodes are equal where they say the same. Brackets are written where the order of operations needs
them, and where a `Group` asks for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from typing import Any, TypeVar, cast

SUM, PRODUCT, UNARY, POWER, ATOM = range(5)  # how tightly what is written holds together


class Code:
    """An expression."""

    @cached_property
    def strength(self) -> int:
        """How tightly it holds together, where it stands as a factor or a term."""
        return ATOM


@dataclass(frozen=True)
class Name(Code):
    id: str


@dataclass(frozen=True)
class Number(Code):
    """A number that is not negative, as Python writes it."""

    text: str


@dataclass(frozen=True)
class Constant(Code):
    """A string, True, False, None or ..."""

    value: Any


@dataclass(frozen=True)
class Call(Code):
    function: Code
    arguments: tuple[Code, ...] = ()
    keywords: tuple[tuple[str, Code], ...] = ()


@dataclass(frozen=True)
class Attribute(Code):
    of: Code
    name: str


@dataclass(frozen=True)
class Item(Code):
    """of[at]"""

    of: Code
    at: Code


@dataclass(frozen=True)
class Slice(Code):
    first: Code | None = None
    last: Code | None = None


@dataclass(frozen=True)
class Sign(Code):
    """-of, ~of or not of."""

    sign: str
    of: Code

    @cached_property
    def strength(self) -> int:
        return SUM


@dataclass(frozen=True)
class Pair(Code):
    """Two numbers and what is done with them: + - * / // % ** & |, and or."""

    left: Code
    sign: str
    right: Code

    @cached_property
    def strength(self) -> int:
        if self.sign == "**":
            return POWER
        product = self.sign in ("*", "/", "//", "%")
        return PRODUCT if product and not _starts_with_sign(self) else SUM


@dataclass(frozen=True)
class Comparison(Code):
    """first < second, or first < second < third."""

    first: Code
    more: tuple[tuple[str, Code], ...]

    @cached_property
    def strength(self) -> int:
        return SUM


@dataclass(frozen=True)
class Choice(Code):
    """yes if test else no"""

    yes: Code
    test: Code
    no: Code

    @cached_property
    def strength(self) -> int:
        return SUM


@dataclass(frozen=True)
class Row(Code):
    """(a, b) or [a, b]; without brackets, a target."""

    brackets: str
    items: tuple[Code, ...]


@dataclass(frozen=True)
class Table(Code):
    """{key: value}; a key that is None unpacks its value."""

    items: tuple[tuple[Code | None, Code], ...]


@dataclass(frozen=True)
class Starred(Code):
    of: Code


@dataclass(frozen=True)
class Group(Code):
    """An expression in brackets."""

    of: Code


@dataclass(frozen=True)
class Message(Code):
    """A string with values in it: pieces of text, and the expressions between them."""

    pieces: tuple[str | Code, ...]


@dataclass(frozen=True)
class Each(Code):
    """[value for target in of]"""

    value: Code
    target: Code
    of: Code


class Statement:
    """A line of a kernel, or several."""


@dataclass(frozen=True)
class Assign(Statement):
    """target = value, or target += value; `spread` over lines, an argument or item each."""

    target: Code
    value: Code
    sign: str = "="
    spread: bool = False
    kind: Code | None = None


@dataclass(frozen=True)
class Run(Statement):
    """An expression that is run for what it does."""

    value: Code


@dataclass(frozen=True)
class If(Statement):
    test: Code
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class With(Statement):
    value: Code
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Return(Statement):
    value: Code


@dataclass(frozen=True)
class Raise(Statement):
    value: Code


@dataclass(frozen=True)
class Argument:
    """An argument of a function: its type, its default, and whether it is given by name only."""

    name: str
    kind: Code
    default: Code | None = None
    named: bool = False


@dataclass(frozen=True)
class Function(Statement):
    name: str
    arguments: tuple[Argument, ...]
    returns: Code
    doc: tuple[str, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Text(Statement):
    """Lines as they are, and the names that they read and bind."""

    lines: tuple[str, ...]
    reads: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()


Node = Code | Statement
Part = TypeVar("Part", bound=Node)


def call(function: str, *arguments: Code) -> Call:
    """A call of what has this name, perhaps a dotted one."""
    first, *more = function.split(".")
    return Call(reduce(Attribute, more, cast(Code, Name(first))), arguments)


def negative(code: Code) -> Code:
    """-code; of a product, its first factor."""
    if isinstance(code, Pair) and code.strength == PRODUCT:
        return replace(code, left=negative(code.left))
    return Sign("-", code)


def product(factors: Iterable[Code]) -> Code:
    return reduce(lambda left, right: Pair(left, "*", right), factors)


def total(terms: Iterable[Code]) -> Code:
    return reduce(_plus, terms)


def fraction(above: Sequence[Code], below: Sequence[Code]) -> Code:
    top = product(above) if above else Number("1")
    return Pair(top, "/", product(below)) if below else top


def wrapped(code: Code, least: int) -> Code:
    """`code` in brackets where it holds less tightly than its place needs."""
    return code if code.strength >= least else Group(code)


def parts(node: Node) -> Iterator[Node]:
    """What a node is made of, one step down."""
    for field in fields(node):  # type: ignore[arg-type]
        yield from _nodes(getattr(node, field.name))


def walk(*nodes: Node) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from walk(*parts(node))


def names(nodes: Iterable[Node]) -> Counter[str]:
    """How often each name is read or bound."""
    return Counter(node.id for node in walk(*nodes) if isinstance(node, Name))


def bound(nodes: Iterable[Node]) -> set[str]:
    """The names that are bound in statements, or in comprehensions."""
    found: set[str] = set()
    for node in walk(*nodes):
        if isinstance(node, (Assign, Each)):
            target = node.target
            items = target.items if isinstance(target, Row) else (target,)
            bare = (item.of if isinstance(item, Starred) else item for item in items)
            found |= {item.id for item in bare if isinstance(item, Name)}
        elif isinstance(node, Text):
            found |= node.binds
        elif isinstance(node, Function):
            found |= {node.name, *(argument.name for argument in node.arguments)}
    return found


def changed(node: Part, change: Callable[[Any], Any]) -> Part:
    """`node` with each part, and then itself, as `change` has it."""
    made = {field.name: _changed(getattr(node, field.name), change) for field in fields(node)}  # type: ignore[arg-type]
    found: Part = change(replace(node, **made))  # type: ignore[type-var]
    return found


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, (Code, Statement)):
        yield value
    elif isinstance(value, Argument):
        yield value.kind
        yield from _nodes(value.default)
    elif isinstance(value, tuple):
        for each in value:
            yield from _nodes(each)


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, (Code, Statement)):
        return changed(value, change)
    if isinstance(value, tuple):
        return tuple(_changed(each, change) for each in value)
    if isinstance(value, Argument):
        default = _changed(value.default, change)
        return replace(value, kind=_changed(value.kind, change), default=default)
    return value


def _plus(left: Code, right: Code) -> Code:
    """left + right without brackets: the terms of both, one after the other."""
    if isinstance(right, Pair) and right.sign in ("+", "-"):
        return Pair(_plus(left, right.left), right.sign, right.right)
    return Pair(left, "+", right)


def _starts_with_sign(code: Code) -> bool:
    while isinstance(code, Pair):
        code = code.left
    return isinstance(code, Sign)
