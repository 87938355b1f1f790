"""A piece of Python with holes -> nodes: `quote("torch.exp({0} - {top})", x, top="top")`.

The piece is a constant of this program or of its table of words, read once. What fills a hole is a
node, or a name. In `block`, which reads statements, the holes are names in it, and one that stands
alone may be filled by statements.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, reduce
from typing import Any

from .nodes import (
    Assign,
    Attribute,
    Call,
    Choice,
    Code,
    Comparison,
    Constant,
    Each,
    If,
    Item,
    Name,
    Number,
    Pair,
    Raise,
    Return,
    Row,
    Run,
    Sign,
    Slice,
    Starred,
    Statement,
    Table,
    With,
    changed,
)

_PAIRS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.And: "and",
    ast.Or: "or",
}
_COMPARED: dict[type[ast.AST], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_SIGNS: dict[type[ast.AST], str] = {ast.USub: "-", ast.Invert: "~", ast.Not: "not "}


def code(value: Code | str | int) -> Code:
    """A node, or that of a name or of a whole number that is not negative."""
    if isinstance(value, Code):
        return value
    return Number(str(value)) if isinstance(value, int) else Name(value)


def quote(piece: str, *holes: Code | str | int, **named: Code | str | int) -> Code:
    tree = _read(piece, len(holes), tuple(named))
    filled = {f"__{key}": code(value) for key, value in (*enumerate(holes), *named.items())}
    return changed(tree, lambda node: filled.get(node.id, node) if isinstance(node, Name) else node)


def block(piece: str, **holes: Code | str | int | Sequence[Statement]) -> tuple[Statement, ...]:
    """The statements of a piece, its names that are `holes` filled."""
    codes = {name: code(value) for name, value in holes.items() if isinstance(value, (Code, str, int))}
    whole = {name: tuple(value) for name, value in holes.items() if not isinstance(value, (Code, str, int))}

    def fill(node: Any) -> Any:
        return codes.get(node.id, node) if isinstance(node, Name) else node

    return _spliced((changed(each, fill) for each in _block(piece)), whole)


def _spliced(
    statements: Iterable[Statement], whole: Mapping[str, tuple[Statement, ...]]
) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for each in statements:
        if isinstance(each, Run) and isinstance(each.value, Name) and each.value.id in whole:
            found += whole[each.value.id]
        elif isinstance(each, If):
            inner = _spliced(each.body, whole), _spliced(each.otherwise, whole)
            found += [If(each.test, *inner)] if inner[0] else []
        elif isinstance(each, With):
            found.append(With(each.value, _spliced(each.body, whole)))
        else:
            found.append(each)
    return tuple(found)


@cache
def _block(piece: str) -> tuple[Statement, ...]:
    return _statements(ast.parse(textwrap.dedent(piece)).body)


def _statements(nodes: list[ast.stmt]) -> tuple[Statement, ...]:
    return tuple(map(_statement, nodes))


def _statement(node: ast.stmt) -> Statement:
    match node:
        case ast.Assign([target], value):
            several = isinstance(target, ast.Tuple)
            return Assign(_bare(target), _bare(value) if several else _code(value))
        case ast.AnnAssign(target, kind, value):
            assert value is not None
            return Assign(_bare(target), _code(value), kind=_code(kind))
        case ast.Expr(value):
            return Run(_code(value))
        case ast.If(test, body, otherwise):
            return If(_code(test), _statements(body), _statements(otherwise))
        case ast.With([item], body):
            return With(_code(item.context_expr), _statements(body))
        case ast.Return(value):
            return Return(_bare(value))
        case ast.Raise(value):
            return Raise(_code(value))
    raise NotImplementedError(ast.dump(node))


def _bare(node: ast.expr | None) -> Code:
    """What is bound or handed back: several stand without brackets."""
    several = isinstance(node, ast.Tuple) and len(node.elts) > 1
    return Row("", _codes(node.elts)) if several else _code(node)  # type: ignore[union-attr]


@cache
def _read(piece: str, count: int, named: tuple[str, ...]) -> Code:
    holes = (f"__{n}" for n in range(count))
    written = piece.format(*holes, **{name: f"__{name}" for name in named})
    return _code(ast.parse(written, mode="eval").body)


def _code(node: ast.AST | None) -> Code:
    match node:
        case ast.Name(id):
            return Name(id)
        case ast.Constant(value) if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Number(repr(value))
        case ast.Constant(value):
            return Constant(value)
        case ast.Call(function, arguments, keywords):
            named = tuple((str(each.arg), _code(each.value)) for each in keywords)
            return Call(_code(function), _codes(arguments), named)
        case ast.Attribute(of, name):
            return Attribute(_code(of), name)
        case ast.Subscript(of, at):
            return Item(_code(of), _code(at))
        case ast.Slice(first, last):
            return Slice(_part(first), _part(last))
        case ast.UnaryOp(sign, of):
            return Sign(_SIGNS[type(sign)], _code(of))
        case ast.BinOp(left, sign, right):
            return Pair(_code(left), _PAIRS[type(sign)], _code(right))
        case ast.BoolOp(sign, values):
            return reduce(lambda left, right: Pair(left, _PAIRS[type(sign)], right), map(_code, values))
        case ast.Compare(lead, signs, others):
            compared = [
                (_COMPARED[type(sign)], _code(other)) for sign, other in zip(signs, others, strict=True)
            ]
            return Comparison(_code(lead), tuple(compared))
        case ast.IfExp(test, yes, no):
            return Choice(_code(yes), _code(test), _code(no))
        case ast.Tuple(items):
            return Row("()", _codes(items))
        case ast.List(items):
            return Row("[]", _codes(items))
        case ast.Dict(keys, values):
            pairs = zip(keys, values, strict=True)
            return Table(tuple((_part(key), _code(value)) for key, value in pairs))
        case ast.Starred(of):
            return Starred(_code(of))
        case ast.ListComp(value, [ast.comprehension(target, of, [], 0)]):
            return Each(_code(value), _code(target), _code(of))
    raise NotImplementedError(type(node).__name__)


def _part(node: ast.expr | None) -> Code | None:
    return None if node is None else _code(node)


def _codes(nodes: list[ast.expr]) -> tuple[Code, ...]:
    return tuple(map(_code, nodes))
