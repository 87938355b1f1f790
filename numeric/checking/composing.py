"""What an argument is made of, where it is none of the things that a batch has: `--bind ARG=EXPR`.

An expression in the names that arguments are bound to (`policy_chosen_logps`, `mask`, `labels`, a
feature, a parameter ...), read through Python's grammar and never run by its interpreter:

| written | is |
| --- | --- |
| numbers, `"texts"`, `True`, `False`, `None` | themselves |
| `[a, b]`, `(a, b)`, `{"key": a}` | a list, a tuple, a dict |
| `a + b`, `-`, `*`, `/`, `-a` | arithmetic, entry by entry |
| `a == b`, `!=`, `<`, `<=`, `>`, `>=` | a condition, entry by entry |
| `a and b`, `a or b`, `not a` | of conditions, or of masks |
| `cat(a, b, ...)` | rows of a, then those of b |
| `turns(a, b)` | a row of each in turn: chosen, rejected, chosen, ... |
| `sum(a)`, `mean(a)` | over the tokens of each row |
| `exp(a)`, `log(a)`, `where(c, a, b)` | entry by entry |
| `ones(a)`, `zeros(a)` | as many as a has |
| `float(a)`, `int(a)`, `bool(a)` | in another dtype |
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from midpo.symbolic.errors import MidpoError, nearest

MAX_DEPTH, MAX_TEXT = 24, 4000
_INFIX: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _turns(torch: Any, a: Any, b: Any) -> Any:
    return torch.stack([a, b], 1).reshape(-1, *a.shape[1:])


_CALLS: dict[str, tuple[int, Callable[..., Any]]] = {  # how many arguments (0: any), and what it is
    "cat": (0, lambda torch, *xs: torch.cat(xs)),
    "turns": (2, _turns),
    "sum": (1, lambda torch, x: x.sum(-1)),
    "mean": (1, lambda torch, x: x.mean(-1)),
    "exp": (1, lambda torch, x: torch.exp(x)),
    "log": (1, lambda torch, x: torch.log(x)),
    "where": (3, lambda torch, c, a, b: torch.where(c.bool(), a, b)),
    "ones": (1, lambda torch, x: torch.ones_like(x)),
    "zeros": (1, lambda torch, x: torch.zeros_like(x)),
    "float": (1, lambda torch, x: x.to(torch.get_default_dtype()) if not x.is_floating_point() else x),
    "int": (1, lambda torch, x: x.long()),
    "bool": (1, lambda torch, x: x.bool()),
}


class Made(str):
    """The text of an expression that makes an argument; other texts are names or numbers."""

    __slots__ = ()


@dataclass(frozen=True)
class Composed:
    """An expression over sources. `names` are the sources that it speaks of."""

    text: str
    tree: ast.expr
    names: Mapping[str, Any]

    def __str__(self) -> str:
        return self.text

    def value(self, torch: Any, of: Callable[[Any], Any]) -> Any:
        """Its value, where `of` gives that of a source."""
        known = {name: of(source) for name, source in self.names.items()}
        return _value(torch, self.tree, known)


def compose(argument: str, text: str, find: Callable[[str], Any | None], known: str) -> Composed:
    """The expression of an argument. `find` gives the source of a name; `known` says which there
    are.

    Raises: MidpoError for what is no such expression.
    """
    if len(text) > MAX_TEXT:
        raise MidpoError(
            f"--bind {argument}: an expression of {len(text)} characters\n  expected: at most {MAX_TEXT}"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise MidpoError(
            f"--bind {argument}={text}: this is no expression\n"
            "  expected: names and calls, as cat(mask, not mask)"
        ) from None
    names: dict[str, Any] = {}
    for problem, expected in _problems(tree, find, names, known):
        raise MidpoError(f"--bind {argument}={text}: {problem}\n  expected: {expected}")
    return Composed(text.strip(), tree, names)


def _problems(
    tree: ast.expr, find: Callable[[str], Any | None], names: dict[str, Any], known: str, depth: int = 0
) -> Iterator[tuple[str, str]]:
    """What is amiss, with what is expected; `names` gets the sources."""
    parts: list[ast.expr] = []
    match tree:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            pass
        case ast.Name(id=name):
            names[name] = find(name)
            if names[name] is None:
                yield f"there is no {name}", known
        case ast.List() | ast.Tuple():
            parts = tree.elts
        case ast.Dict():
            parts = tree.values
            if not all(isinstance(k, ast.Constant) and isinstance(k.value, str) for k in tree.keys):
                yield "a key that is no text", 'a dict as {"labels": labels}'
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=inner):
            parts = [inner]
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _INFIX:
            parts = [left, right]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _INFIX:
            parts = [left, right]
        case ast.BoolOp(values=values):
            parts = values
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            parts = args
            number = _CALLS.get(name, (-1, None))[0]
            if number < 0:
                yield f"there is no function {name}", nearest(name, list(_CALLS))
            elif not args or (number and len(args) != number):
                yield f"{name} of {len(args)} things", f"{number or 'one or more'}"
        case _:
            yield (
                f"`{ast.unparse(tree)[:60]}` is not part of it",
                "names, numbers, + - * /, comparisons, lists, dicts, and calls: " + ", ".join(_CALLS),
            )
    if depth > MAX_DEPTH:
        yield "nested too deeply", f"at most {MAX_DEPTH} levels"
        return
    for part in parts:
        yield from _problems(part, find, names, known, depth + 1)


def _value(torch: Any, tree: ast.expr, known: Mapping[str, Any]) -> Any:
    def of(part: ast.expr) -> Any:
        return _value(torch, part, known)

    match tree:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return known[name]
        case ast.List(elts=parts):
            return list(map(of, parts))
        case ast.Tuple(elts=parts):
            return tuple(map(of, parts))
        case ast.Dict(keys=keys, values=values):
            return {
                key.value: of(v) for key, v in zip(keys, values, strict=True) if isinstance(key, ast.Constant)
            }
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -of(inner)
        case ast.UnaryOp(operand=inner):
            return _truth(torch, of(inner)) == False  # noqa: E712 - entry by entry
        case ast.BinOp(op=op, left=left, right=right):
            return _INFIX[type(op)](of(left), of(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _INFIX[type(op)](of(left), of(right))
        case ast.BoolOp(op=op, values=parts):
            found = _truth(torch, of(parts[0]))
            for part in parts[1:]:
                other = _truth(torch, of(part))
                found = found & other if isinstance(op, ast.And) else found | other
            return found
        case ast.Call(func=ast.Name(id=name), args=args):
            return _CALLS[name][1](torch, *map(of, args))
    raise AssertionError(tree)  # compose has looked


def _truth(torch: Any, x: Any) -> Any:
    return x.bool() if isinstance(x, torch.Tensor) else bool(x)
