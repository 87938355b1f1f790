"""A piece of Python with holes -> nodes: `quote("torch.exp({0} - {top})", x, top="top")`.

The piece is a constant of this program or of its table of words, read once. What fills a hole is a
node, or a name.
"""

from __future__ import annotations

import ast
from functools import cache, reduce

from .nodes import (
    Attribute,
    Call,
    Choice,
    Code,
    Comparison,
    Constant,
    Item,
    Name,
    Number,
    Pair,
    Row,
    Sign,
    Slice,
    Starred,
    Table,
    changed,
)

_PAIRS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.And: "and", ast.Or: "or",
}
_COMPARED: dict[type[ast.AST], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
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


@cache
def _read(piece: str, count: int, named: tuple[str, ...]) -> Code:
    holes = (f"__{n}" for n in range(count))
    written = piece.format(*holes, **{name: f"__{name}" for name in named})
    return _code(ast.parse(written, mode="eval").body)


def _code(node: ast.AST) -> Code:
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
            return reduce(lambda left, right: Pair(left, _PAIRS[type(sign)], right),
                          map(_code, values))
        case ast.Compare(lead, signs, others):
            compared = [(_COMPARED[type(sign)], _code(other))
                        for sign, other in zip(signs, others, strict=True)]
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
    raise NotImplementedError(ast.dump(node))


def _part(node: ast.expr | None) -> Code | None:
    return None if node is None else _code(node)


def _codes(nodes: list[ast.expr]) -> tuple[Code, ...]:
    return tuple(map(_code, nodes))


