"""The user's names in generated text: they live where ours cannot be.

Until a kernel is printed, each character of a user's name is another letter, `marked`: no name of
ours has one. `settled` then gives every name with marks the one that it is read by: the user's own,
or where that is one of ours in the same function, another. Arguments of the kernel keep the user's
names, or are refused.

    def dpo_loss(..., index: float):   the parameter "index", where the file has an `index` too:
        index2 = index                 inside, it is another name
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from itertools import takewhile
from typing import Any

from sympy import Symbol

from midpo.codegen.statements.nodes import (
    Argument,
    Assign,
    Constant,
    Function,
    Message,
    Name,
    Statement,
    bound,
    changed,
    names,
)
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import policy_argument as plain_argument

_LETTERS = range(0x10600, 0x10700)  # of Linear A: ASCII's characters, each as an identifier's
_FIRST = _LETTERS.start
_TRAINED, _REFERENCE = plain_argument("pi"), plain_argument("pi_ref")


def marked(name: str) -> str:
    """A user's name as it stands in text until it is settled."""
    return "".join(chr(_FIRST + ord(c)) for c in name)


def is_marked(name: str) -> bool:
    return any(ord(c) in _LETTERS for c in name)


def plain(text: str) -> str:
    """`text` with the user's names as the user wrote them."""
    return "".join(chr(ord(c) - _FIRST) if ord(c) in _LETTERS else c for c in text)


def unmarked(text: str) -> str:
    """Free text inside a string of Python, where no character of it is taken for a mark."""
    return "".join(f"\\U{ord(c):08x}" if ord(c) in _LETTERS else c for c in text)


def policy_argument(policy: Symbol | str) -> str:
    """The argument that carries a policy's logits; what the user named of it is marked."""
    written = plain_argument(policy)
    if written == _TRAINED or str(policy) == "pi_ref":
        return written
    return f"{marked(written.removesuffix('_logits'))}_logits"


def settled(
    statements: Iterable[Statement], function: str, said: Mapping[str, str], backend: str
) -> list[Statement]:
    """A file's `statements` without marks.

    `function` is the kernel's name; `said` tells for a user's name, marked, what it is: of a policy
    what follows pi_, and a "_".
    Raises: NotYet where an argument of the kernel cannot have the user's name.
    """
    statements = list(statements)
    kernel = next(s for s in statements if isinstance(s, Function) and s.name == function)
    given = [argument.name for argument in kernel.arguments]
    theirs = [name for name in given if is_marked(name)]
    ours = [name for name in given if not is_marked(name)]
    _refuse(theirs, ours, names(kernel.body).keys() - bound([kernel]), said, backend)
    around: dict[str, set[str]] = {mark: set() for mark in theirs}
    for each in statements:
        words = names([each]).keys() | bound([each])
        marks = set(filter(is_marked, words))
        for mark in sorted(marks):
            around.setdefault(mark, set()).update(words - marks)
    table = _chosen(around, {plain(mark): mark for mark in theirs})
    made = [_renamed(each, table) for each in statements]
    aliases = tuple(
        Assign(Name(table[mark]), Name(plain(mark))) for mark in theirs if table[mark] != plain(mark)
    )
    own = {name: plain(name) for name in given}
    at = statements.index(kernel)
    inside = made[at]
    assert isinstance(inside, Function)
    made[at] = replace(
        inside, body=aliases + inside.body, arguments=tuple(_argument(a, own) for a in kernel.arguments)
    )
    return made


def _renamed(statement: Statement, table: Mapping[str, str]) -> Statement:
    def change(node: Any) -> Any:
        match node:
            case Name(id):
                return Name(table.get(id, id))
            case Constant(str() as value):
                return Constant(plain(value))
            case Message(pieces):
                return Message(tuple(plain(p) if isinstance(p, str) else p for p in pieces))
            case Function():
                arguments = tuple(_argument(a, table) for a in node.arguments)
                return replace(node, doc=tuple(map(plain, node.doc)), arguments=arguments)
        return node

    return changed(statement, change)


def _argument(argument: Argument, table: Mapping[str, str]) -> Argument:
    return replace(argument, name=table.get(argument.name, argument.name))


def _refuse(
    theirs: list[str], ours: list[str], read: Set[str], said: Mapping[str, str], backend: str
) -> None:
    """Raises: NotYet for the user's arguments that cannot be what they are called."""
    known: dict[str, str] = {}
    taken = {*ours, *read, *map(plain, theirs)}
    problems, expected = [], []
    for mark in theirs:
        name = plain(mark)
        user = "".join(takewhile(is_marked, mark))  # an argument starts with what the user named
        what = said[user if user == mark else f"{user}_"]
        if not name.isidentifier() or keyword.iskeyword(name):
            problems.append(f'{what} would be the argument "{name}", which is no name in Python')
        elif name in ours:
            problems.append(f'{what} would be the argument "{name}" a second time')
        elif name in read:
            problems.append(
                f'{what} would be the argument "{name}", which the function calls or reads as its own'
            )
        elif name in known:
            problems.append(f'{what} and {known[name]} would both be the argument "{name}"')
        else:
            known[name] = what
            continue
        own = plain(user)
        other = next(n for k in range(2, 99) if (n := f"{own}_{k}") not in taken)
        other = other if user == mark else f"pi_{other}" if own.isidentifier() else f"pi_x{own}"
        expected.append(f'"{other}"')
    if problems:
        raise NotYet(
            f'no kernel of backend "{backend}": '
            + ";\n  ".join(problems)
            + f"\n  expected: another name, such as {', '.join(dict.fromkeys(expected))}"
        )


def _chosen(around: Mapping[str, set[str]], kept: Mapping[str, str]) -> dict[str, str]:
    """A name for each identifier with marks, none twice: none that stands `around` it, and of those
    `kept` for one only for that."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for mark, beside in around.items():
        own = plain(mark)
        usable = (own if n == 1 else f"{own}{n}" for n in range(1, 10_000))
        names[mark] = next(
            name
            for name in usable
            if name not in beside | used and not keyword.iskeyword(name) and kept.get(name, mark) == mark
        )
        used.add(names[mark])
    return names
