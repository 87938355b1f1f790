"""Long statements on several lines, broken where their structure is: at the outermost sums, at the
arguments of a call, at the outermost products. What is read back is the same tree."""

from __future__ import annotations

import ast
import itertools

WIDTH = 92


def wrap(head: str, value: str) -> list[str]:
    """The statement `head + value` on one line where it fits, else on several."""
    if len(head) + len(value) <= WIDTH:
        return [head + value]
    if len(terms := split_terms(value)) > 1:
        return [f"{head}(", *(f"    {term}" for term in terms), ")"]
    node = _parsed(value)
    if isinstance(node, ast.Call) and (parts := _arguments(value, node)):
        lines = [f"{head}{ast.unparse(node.func)}("]
        for key, argument in parts:
            first, *more = split_terms(argument)
            *most, last = f"{key}{first}", *more
            lines += [f"    {term}" for term in most] + [f"    {last},"]
        return [*lines, ")"]
    factors = _cut(value, (ast.Mult, ast.Div), "*")
    return [f"{head}(", *(f"    {factor}" for factor in factors), ")"]


def split_terms(value: str) -> list[str]:
    """`value` cut before each + or - of its outermost sum."""
    return _cut(value, (ast.Add, ast.Sub), "+-")


def in_brackets(value: str) -> bool:
    """Whether one pair of brackets holds all of `value`."""
    if not (value.startswith("(") and value.endswith(")")):
        return False
    try:
        return _parsed(value[1:-1]) is not None
    except SyntaxError:
        return False


def _parsed(value: str) -> ast.expr:
    return ast.parse(value, mode="eval").body


def _cut(value: str, operators: tuple[type[ast.operator], ...], signs: str) -> list[str]:
    """`value` cut before those of its outermost operators that are written as one of `signs`."""
    node, places = _parsed(value), []
    inside = in_brackets(value)
    while not inside and isinstance(node, ast.BinOp) and isinstance(node.op, operators):
        at = len(_until(value, node.left))
        while value[at] in " )":
            at += 1
        if value[at] in signs:
            places.append(at)
        node = node.left
        inside = value[len(_until(value, node)) :].lstrip().startswith(")")
    edges = [0, *reversed(places), len(value)]
    return [value[a:b].strip() for a, b in itertools.pairwise(edges)]


def _arguments(value: str, node: ast.Call) -> list[tuple[str, str]]:
    """The arguments of a call as they are written, after their keywords; none where one of them
    cannot end in a comma, or what is called is no name."""
    plain = (ast.Name, ast.Attribute, ast.Load)
    if not all(isinstance(each, plain) for each in ast.walk(node.func)):
        return []
    nodes: list[ast.expr | ast.keyword] = sorted(
        [*node.args, *node.keywords], key=lambda each: (each.lineno, each.col_offset))
    if any(isinstance(each, (ast.GeneratorExp, ast.Starred))
           or (isinstance(each, ast.keyword) and each.arg is None) for each in nodes):
        return []
    starts, begin = [], len(_until(value, node.func)) + 1
    for each in nodes:
        starts.append(begin)
        begin = value.find(",", len(_until(value, each))) + 1 or len(value)
    ends = [start - 1 for start in starts[1:]] + [len(_until(value, node)) - 1]
    texts = [value[a:b].strip(" ,") for a, b in zip(starts, ends, strict=True)]
    keys = [f"{each.arg}=" if isinstance(each, ast.keyword) else "" for each in nodes]
    return [(key, text.removeprefix(key)) for key, text in zip(keys, texts, strict=True)]


def _until(value: str, node: ast.expr | ast.keyword) -> str:
    """`value` up to the end of `node`, whose offsets count bytes."""
    return value.encode()[: node.end_col_offset].decode()
