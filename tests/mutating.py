"""Mistakes planted in the mathematics of a generated file: in its Python by a walk over the syntax
tree, in its C by a walk over the operators."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midpo.codegen.runtime import arguments

_ARGUMENTS = Path(arguments.__file__)
SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
TURNED = {
    ast.Lt: ast.GtE,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
EXCHANGED = {
    "maximum": "minimum",
    "minimum": "maximum",
    "max": "min",
    "min": "max",
    "amax": "amin",
    "sum": "mean",
    "mean": "sum",
    "exp": "expm1",
    "log": "log1p",
    "expm1": "exp",
    "log1p": "log",
    "logsigmoid": "sigmoid",
    "relu": "abs",
}
DROPPED = {"detach", "clamp", "unsqueeze", "to", "neg", "contiguous", "masked_fill", "nan_to_num"}


@dataclass(frozen=True)
class Mutant:
    """A file with one change: the line that it is on, as it was and as it is, by which `kind`."""

    kind: str
    line: int
    was: str
    now: str
    source: str


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may stand in the place of a node."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in SWAPPED:
                yield "operator", ast.BinOp(left, SWAPPED[type(op)](), right)
            yield "term dropped", left
            yield "term dropped", right
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.Constant(bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield "constant", ast.Constant(value + 1)
            yield "constant", ast.Constant(value - 1)
            if value:
                yield "constant", ast.UnaryOp(ast.USub(), ast.Constant(value))
        case ast.Compare(left, [op], right) if type(op) in TURNED:
            yield "comparison", ast.Compare(left, [TURNED[type(op)]()], right)
        case ast.Call(ast.Attribute(value, name), args, keywords):
            if name in EXCHANGED:
                yield "function", ast.Call(ast.Attribute(value, EXCHANGED[name], ast.Load()), args, keywords)
            if name in DROPPED:
                yield "call dropped", value
            if name == "where" and len(args) == 3:
                yield "mask dropped", args[1]
                yield "mask turned", ast.Call(node.func, [args[0], args[2], args[1]], keywords)
            for n in range(len(keywords)):
                kept = keywords[:n] + keywords[n + 1 :]
                yield "keyword dropped", ast.Call(node.func, args, kept)
        case ast.IfExp(_, body, orelse):
            yield "branch", body
            yield "branch", orelse
        case ast.AugAssign():
            yield "statement dropped", ast.Pass()
        case ast.Expr(ast.Call(ast.Attribute(_, name))) if name.endswith("_"):
            yield "statement dropped", ast.Pass()


class _At(ast.NodeTransformer):
    """Puts another node in the place of one."""

    def __init__(self, place: ast.AST, other: ast.AST) -> None:
        self.place, self.other = place, other

    def visit(self, node: ast.AST) -> Any:
        return self.other if node is self.place else self.generic_visit(node)


def mutants(
    source: str, wanted: Callable[[str], bool] = lambda line: True, functions: Collection[str] = ()
) -> list[Mutant]:
    """All mutants of the part of a file that computes, in order; of the lines that are `wanted`,
    and of these `functions` where some are named."""
    tree, lines = ast.parse(source), source.splitlines()
    found = []
    checking = {
        node.name for node in ast.parse(_ARGUMENTS.read_text()).body if isinstance(node, ast.FunctionDef)
    }  # held by the tests of arguments
    inside = [
        node
        for node in tree.body
        if getattr(node, "name", "") not in checking
        and (not functions or getattr(node, "name", "") in functions)
    ]
    for statement in (s for node in inside for s in _statements(node)):
        first, last = statement.lineno, statement.end_lineno or statement.lineno
        text = "\n".join(lines[first - 1 : last])
        if not wanted(text) or _called(statement) in checking:
            continue
        was = ast.unparse(statement)
        for node in ast.walk(statement):
            for kind, other in changes(node):
                if isinstance(node, ast.stmt) and node is not statement:
                    continue
                made = _replaced(statement, node, other)
                now = ast.unparse(ast.fix_missing_locations(made))
                if now == was:
                    continue
                indent = " " * statement.col_offset
                new = [indent + row for row in now.splitlines()]
                whole = [*lines[: first - 1], *new, *lines[last:]]
                found.append(Mutant(kind, first, was, now, "\n".join(whole) + "\n"))
    return found


def _called(statement: ast.stmt) -> str:
    """The function that a statement calls and does nothing else."""
    match statement:
        case ast.Expr(ast.Call(ast.Name(name))):
            return name
    return ""


def _replaced(statement: ast.stmt, node: ast.AST, other: ast.AST) -> ast.AST:
    memo: dict[int, Any] = {}
    twin = copy.deepcopy(statement, memo)
    return _At(memo[id(node)], copy.deepcopy(other)).visit(twin)  # type: ignore[no-any-return]


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """The simple statements inside functions."""
    for node in ast.walk(tree):
        simple = isinstance(node, (ast.Assign, ast.AugAssign, ast.Return, ast.Expr))
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and simple and not text and node.col_offset:
            yield node


# --- C -------------------------------------------------------------------------------------------

IN_C = {
    " + ": " - ",
    " - ": " + ",
    " * ": " / ",
    " > ": " <= ",
    " += ": " = ",
    " *= ": " /= ",
    " = -": " = ",
    " / ": " * ",
    "0.0f": "1.0f",
    "0.0;": "1.0;",
}
_ADDRESS = re.compile(r"\[|\bhere\b|_(place|store)\(|memset|for \(")  # a wrong one ends the process


def mutants_in_c(source: str, functions: Collection[str]) -> list[Mutant]:
    """All mutants of the arithmetic in these functions of the C that a file holds."""
    found, lines, inside = [], source.splitlines(), False
    for at, line in enumerate(lines):
        begins = re.match(r"(?:static inline )?\w+ (\w+)\(", line)
        inside = begins[1] in functions if begins else inside and line != "}"
        if not inside or begins or _ADDRESS.search(line):
            continue
        for old, new in IN_C.items():
            for place in re.finditer(rf"(?<!begin){re.escape(old)}", line):
                now = line[: place.start()] + new + line[place.end() :]
                whole = "\n".join([*lines[:at], now, *lines[at + 1 :]]) + "\n"
                found.append(Mutant("operator", at + 1, line.strip(), now.strip(), whole))
    return found
