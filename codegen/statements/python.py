"""Nodes -> lines of Python.

A long statement is broken at the outermost sums, at the arguments of a call, or at the outermost
products: what is read back is the same tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
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
    Function,
    Group,
    If,
    Item,
    Message,
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
    Text,
    With,
)

WIDTH = 92
_CHOICE, _OR, _AND, _NOT, _COMPARED, _BAR, _AMPERSAND, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(12)
_ORDER = {
    "or": _OR,
    "and": _AND,
    "|": _BAR,
    "&": _AMPERSAND,
    "+": _SUM,
    "-": _SUM,
    "*": _PRODUCT,
    "/": _PRODUCT,
    "//": _PRODUCT,
    "%": _PRODUCT,
    "**": _POWER,
}


@dataclass(frozen=True)
class _Named(Code):
    """An argument after its keyword."""

    key: str
    value: Code


@dataclass(frozen=True)
class _Entry(Code):
    """An entry of a table."""

    key: Code | None
    value: Code


def lines(statements: Iterable[Statement]) -> list[str]:
    return [line for statement in statements for line in _lines(statement)]


@cache
def text(code: Code) -> str:
    """An expression on one line."""
    match code:
        case Name(id):
            return id
        case Number(written):
            return written
        case Constant(value):
            return "..." if value is ... else _string(value)
        case Call(function):
            return f"{_at(function, _ATOM)}({', '.join(map(text, _arguments(code)))})"
        case _Named(key, value):
            return f"{key}={text(value)}"
        case Attribute(Number() as of, name):
            return f"({of.text}).{name}"
        case Attribute(of, name):
            return f"{_at(of, _ATOM)}.{name}"
        case Item(of, Row("()", items)):
            return f"{_at(of, _ATOM)}[{', '.join(map(text, items))}]"
        case Item(of, at):
            return f"{_at(of, _ATOM)}[{text(at)}]"
        case Slice(first, last):
            parts = [text(part) if part else "" for part in (first, last)]
            space = " " if first is None and last and not isinstance(last, (Name, Number)) else ""
            return f"{parts[0]}:{space}{parts[1]}"
        case Sign("not ", of):
            return f"not {_at(of, _NOT)}"
        case Sign(sign, of):
            return f"{sign}{_at(of, _SIGN)}"
        case Pair(left, "**", right):
            return f"{_at(left, _ATOM)} ** {_at(right, _SIGN)}"
        case Pair(left, sign, right):
            return f"{_at(left, _ORDER[sign])} {sign} {_at(right, _ORDER[sign] + 1)}"
        case Comparison(first, more):
            said = [f" {sign} {_at(other, _BAR)}" for sign, other in more]
            return _at(first, _BAR) + "".join(said)
        case Choice(yes, test, no):
            return f"{_at(yes, _OR)} if {_at(test, _OR)} else {text(no)}"
        case Row(brackets, items):
            comma = "," if brackets == "()" and len(items) == 1 else ""
            return f"{brackets[:1]}{', '.join(map(text, items))}{comma}{brackets[1:]}"
        case Table():
            return f"{{{', '.join(map(text, _entries(code)))}}}"
        case _Entry(key, value):
            return f"{text(key)}: {text(value)}" if key else f"**{_at(value, _BAR)}"
        case Starred(of):
            return f"*{_at(of, _BAR)}"
        case Group(of):
            return f"({text(of)})"
        case Message(pieces):
            inside = (_escaped(each) if isinstance(each, str) else f"{{{text(each)}}}" for each in pieces)
            return f'f"{"".join(inside)}"'
        case Each(value, target, of):
            return f"[{text(value)} for {text(target)} in {text(of)}]"
    raise NotImplementedError(type(code).__name__)


def terms(code: Code) -> list[str]:
    """The text of an expression, cut before each + or - of its outermost sum."""
    return _cut(code, "+-", "+-")


def _lines(statement: Statement) -> Iterator[str]:
    match statement:
        case Assign(target, value, sign, spread, kind):
            head = f"{text(target)}{f': {text(kind)}' if kind else ''} {sign} "
            yield from _spread(head, value) if spread else _wrapped(head, value)
        case Run(value):
            yield from _wrapped("", value)
        case Return(value):
            yield from _wrapped("return ", value)
        case Raise(value):
            yield from _wrapped("raise ", value)
        case With(value, body):
            yield f"with {text(value)}:"
            yield from _indented(lines(body))
        case If():
            yield from _branches("if", statement)
        case Function():
            yield from _function(statement)
        case Text(written):
            yield from written


def _branches(word: str, statement: If) -> Iterator[str]:
    yield f"{word} {text(statement.test)}:"
    yield from _indented(lines(statement.body))
    if len(statement.otherwise) == 1 and isinstance(statement.otherwise[0], If):
        yield from _branches("elif", statement.otherwise[0])
    elif statement.otherwise:
        yield "else:"
        yield from _indented(lines(statement.otherwise))


def _function(function: Function) -> Iterator[str]:
    yield f"def {function.name}("
    given: list[str] = []
    for argument in function.arguments:
        if argument.named and "*" not in given:
            given.append("*")
        default = f" = {text(argument.default)}" if argument.default else ""
        given.append(f"{argument.name}: {text(argument.kind)}{default}")
    own = function.name.startswith("_")  # that of a reader has a line for each
    yield from _indented(_filled(given) if own else [f"{each}," for each in given])
    yield f") -> {text(function.returns)}:"
    if function.doc:
        first, *more = function.doc
        end = ['    """'] if len(more) > 1 else []
        *most, last = [f'"""{first}', *more]
        yield from _indented([*most, last if end else f'{last}"""'])
        yield from end
    yield from _indented(lines(function.body))


def _indented(some: Iterable[str]) -> list[str]:
    return [f"    {line}" if line else line for line in some]


def _wrapped(head: str, value: Code) -> list[str]:
    """`head` and `value` on one line where they fit, else on several."""
    whole = head + text(value)
    if len(whole) <= WIDTH:
        return [whole]
    if len(found := terms(value)) > 1:
        return [f"{head}(", *(f"    {term}" for term in found), ")"]
    if isinstance(value, Call) and _is_plain(value.function):
        inside = ", ".join(map(text, _arguments(value)))
        if len(inside) + 4 <= WIDTH:
            return [f"{head}{text(value.function)}(", f"    {inside}", ")"]
        return _spread(head, value)
    if isinstance(value, Table):
        return _spread(head, value)
    if isinstance(value, Name):
        return [whole]
    if isinstance(value, Each):
        return [f"{head}[", f"    {text(value)[1:-1]}", "]"]
    return [f"{head}(", *_indented(_factors(value)), ")"]


def _spread(head: str, value: Code) -> list[str]:
    """A call or a table over lines, each argument from one of its own on."""
    if isinstance(value, Table):
        first, last, inside = "{", "}", _entries(value)
    else:
        assert isinstance(value, Call)
        first, last, inside = f"{text(value.function)}(", ")", _arguments(value)
    found = [f"{head}{first}"]
    if not isinstance(value, Table) and all(len(text(each)) + 5 <= WIDTH for each in inside):
        return [*found, *_indented(_filled(list(map(text, inside)))), last]
    for each in inside:
        key = f"{each.key}=" if isinstance(each, _Named) else ""
        *most, end = _part(each.value if isinstance(each, _Named) else each)
        found += _indented(_headed(key, [*most, f"{end},"]))
    return [*found, last]


def _filled(some: list[str]) -> list[str]:
    """Pieces with commas after them, as many on a line as fit."""
    found = [""]
    for each in some:
        if found[-1] and len(found[-1]) + len(each) + 6 > WIDTH:
            found.append("")
        found[-1] += f" {each}," if found[-1] else f"{each},"
    return found


def _part(code: Code) -> list[str]:
    """An argument or an entry, over lines where it is long."""
    if len(text(code)) + 4 <= WIDTH or len(terms(code)) > 1:
        return terms(code)
    if isinstance(code, Table) or (isinstance(code, Call) and _is_plain(code.function)):
        return _spread("", code)
    if isinstance(code, _Entry) and code.key:
        return _wrapped(f"{text(code.key)}: ", code.value)
    return [text(code)]


def _headed(key: str, some: list[str]) -> list[str]:
    return [key + some[0], *some[1:]]


def _cut(code: Code, signs: str, cuts: str) -> list[str]:
    """The text of an expression, cut before those of its outermost `signs` that are in `cuts`."""
    found: list[str] = []
    rest = ""
    while isinstance(code, Pair) and code.sign in signs:
        piece = f"{code.sign} {_at(code.right, _ORDER[code.sign] + 1)}{rest}"
        rest = "" if code.sign in cuts else f" {piece}"
        found += [piece] if code.sign in cuts else []
        least, code = _ORDER[code.sign], code.left
        if not (isinstance(code, Pair) and code.sign in signs):
            return [_at(code, least) + rest, *reversed(found)]
    return [text(code)]


def _factors(code: Code) -> list[str]:
    """The text of a product, a factor a line; a call that is too long for one, over several."""
    if not isinstance(code, Pair) or code.sign != "*":
        return _cut(code, "*/", "*")
    left, right = code.left, code.right
    last = [f"* {_at(right, _ORDER['*'] + 1)}"]
    if len(last[0]) + 4 > WIDTH and isinstance(right, Call) and _is_plain(right.function):
        last = _spread("* ", right)
    whole = isinstance(left, Pair) and left.sign in "*/"
    return [*(_factors(left) if whole else [_at(left, _ORDER["*"])]), *last]


def _is_plain(function: Code) -> bool:
    while isinstance(function, Attribute):
        function = function.of
    return isinstance(function, Name)


def _arguments(code: Call) -> list[Code]:
    return [*code.arguments, *(_Named(key, value) for key, value in code.keywords)]


def _entries(code: Table) -> list[Code]:
    return [_Entry(key, value) for key, value in code.items]


def _at(code: Code, least: int) -> str:
    """The text of a part, in brackets where it holds less tightly than `least`."""
    return text(code) if _order(code) >= least else f"({text(code)})"


def _order(code: Code) -> int:
    match code:
        case Choice():
            return _CHOICE
        case Comparison():
            return _COMPARED
        case Sign(sign):
            return _NOT if sign == "not " else _SIGN
        case Pair(_, sign):
            return _ORDER[sign]
    return _ATOM


def _escaped(value: str) -> str:
    """Text inside a string with values."""
    return _string(value)[1:-1].replace("{", "{{").replace("}", "}}")


def _string(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
