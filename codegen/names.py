"""The user's names in generated text: they live where ours cannot be.

While a kernel is printed, each character of a user's name is written as another letter, `marked`:
a mark is an identifier of the same length, to Python, to C and to regular expressions, and no
identifier of ours has one. `settled` then gives every identifier with marks the name that it is
read by: the user's own, or where that is one of ours in the same function, another. Arguments of
the kernel keep the user's names, or are refused.

    def dpo_loss(..., index: float):   the parameter "index", where the file has an `index` too:
        index2 = index                 inside, it is another name
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import symtable
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Mapping

from sympy import Symbol

from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import policy_argument as plain_argument

_LETTERS = range(0x10600, 0x10700)  # of Linear A: ASCII's characters, each as an identifier's
_FIRST = _LETTERS.start
_MARKS = rf"[{chr(_FIRST)}-{chr(_LETTERS.stop - 1)}]"
_MARKED = re.compile(rf"{_MARKS}+")
_WORD = re.compile(rf"\w*{_MARKS}\w*")
_TRAINED, _REFERENCE = plain_argument("pi"), plain_argument("pi_ref")
_IN_C = "SOURCE"  # the constant of a file that holds its text in C
_C_WORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum",
    "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict",
    "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "union",
    "unsigned", "void", "volatile", "while",
))


def marked(name: str) -> str:
    """A user's name as it stands in text until it is settled."""
    return "".join(chr(_FIRST + ord(c)) for c in name)


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


def settled(source: str, function: str, said: Mapping[str, str], backend: str) -> str:
    """A file's `source` without marks.

    `function` is the kernel's name; `said` tells for a user's name, marked, what it is: of a policy
    what follows pi_, and a "_".
    Raises: NotYet where an argument of the kernel cannot have the user's name.
    """
    if not _WORD.search(source):
        return source
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == _IN_C:
            start, end = node.lineno - 1, node.end_lineno
            lines[start:end] = _settled_c("".join(lines[start:end])).splitlines(keepends=True)
    source = "".join(lines)
    kernel = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    given = [*kernel.args.posonlyargs, *kernel.args.args, *kernel.args.kwonlyargs]
    theirs = [a.arg for a in given if _WORD.fullmatch(a.arg)]
    _refuse(theirs, [a.arg for a in given if a.arg not in theirs],
            _globals(source, function), said, backend)
    names = _locals(tree, theirs)
    signature = {(a.lineno, _column(lines[a.lineno - 1], a.col_offset)) for a in given}
    written = _rewritten(source, names, signature)
    aliases = [f"    {names[t]} = {plain(t)}\n" for t in theirs if names[t] != plain(t)]
    at = (kernel.body[0].end_lineno or 0) if ast.get_docstring(kernel) is not None else 0
    settled_lines = written.splitlines(keepends=True)
    return "".join([*settled_lines[:at], *aliases, *settled_lines[at:]])


def _settled_c(source: str) -> str:
    """The text in C without marks: each identifier that has some gets a name of its own."""
    code = re.sub(r"/\*.*?\*/", " ", source, flags=re.S)
    ours = {word for word in re.findall(r"\w+", code) if not _WORD.fullmatch(word)}
    names = _chosen(dict.fromkeys(_WORD.findall(code), ours | _C_WORDS), {})
    return _WORD.sub(lambda found: names.get(found[0], plain(found[0])), source)


def _refuse(
    theirs: list[str], ours: list[str], read: set[str], said: Mapping[str, str], backend: str
) -> None:
    """Raises: NotYet for the user's arguments that cannot be what they are called."""
    known: dict[str, str] = {}
    taken = {*ours, *read, *map(plain, theirs)}
    problems, expected = [], []
    for mark in theirs:
        name, user = plain(mark), _MARKED.match(mark)
        assert user is not None  # an argument starts with what the user named
        what = said[user[0] if user[0] == mark else f"{user[0]}_"]
        if not name.isidentifier() or keyword.iskeyword(name):
            problems.append(f'{what} would be the argument "{name}", which is no name in Python')
        elif name in ours:
            problems.append(f'{what} would be the argument "{name}" a second time')
        elif name in read:
            problems.append(f'{what} would be the argument "{name}", which the function calls or '
                            "reads as its own")
        elif name in known:
            problems.append(f'{what} and {known[name]} would both be the argument "{name}"')
        else:
            known[name] = what
            continue
        own = plain(user[0])
        other = next(n for k in range(2, 99) if (n := f"{own}_{k}") not in taken)
        other = other if user[0] == mark else f"pi_{other}" if own.isidentifier() else f"pi_x{own}"
        expected.append(f'"{other}"')
    if problems:
        raise NotYet(f'no kernel of backend "{backend}": ' + ";\n  ".join(problems)
                     + f"\n  expected: another name, such as {', '.join(dict.fromkeys(expected))}")


def _globals(source: str, function: str) -> set[str]:
    """What the kernel reads from outside of itself: of the module, or of Python."""
    (table,) = (t for t in symtable.symtable(source, "kernel", "exec").get_children()
                if t.get_name() == function)
    found, waiting = set(), [table]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        found |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    return found


def _locals(tree: ast.Module, arguments: list[str]) -> dict[str, str]:
    """For each identifier with marks the name that it gets: its own where none of ours in the same
    function has it. Those of `arguments` are chosen first."""
    around: dict[str, set[str]] = {mark: set() for mark in arguments}
    for node in tree.body:
        words = set(_identifiers(node))
        marks = {word for word in words if _WORD.fullmatch(word)}
        for mark in marks:
            around.setdefault(mark, set()).update(words - marks)
    return _chosen(around, {plain(mark): mark for mark in arguments})


def _chosen(around: Mapping[str, set[str]], kept: Mapping[str, str]) -> dict[str, str]:
    """A name for each identifier with marks, none twice: none that stands `around` it, and of those
    `kept` for one only for that."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for mark, beside in around.items():
        own = plain(mark)
        usable = (own if n == 1 else f"{own}{n}" for n in range(1, 10_000))
        names[mark] = next(name for name in usable if name not in beside | used
                           and not keyword.iskeyword(name) and kept.get(name, mark) == mark)
        used.add(names[mark])
    return names


def _identifiers(node: ast.AST) -> Iterable[str]:
    """The names that a statement binds or reads; attributes and keywords of calls are none."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.arg):
            yield each.arg
        elif isinstance(each, (ast.FunctionDef, ast.ClassDef)):
            yield each.name
        elif isinstance(each, ast.alias):
            yield (each.asname or each.name).partition(".")[0]
        elif isinstance(each, ast.ExceptHandler) and each.name:
            yield each.name


def _column(line: str, offset: int) -> int:
    """A place in a line in characters, from one in bytes."""
    return len(line.encode()[:offset].decode())


def _rewritten(
    source: str, names: Mapping[str, str], signature: set[tuple[int, int]]
) -> str:
    """`source` with these names for identifiers, and the user's own in the kernel's `signature` and
    in all strings."""
    rows: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    depth = 0  # of f-strings, which are several tokens from Python 3.12 on
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        depth += (kind == "FSTRING_START") - (kind == "FSTRING_END")
        if kind == "NAME" and _WORD.fullmatch(token.string) and not depth:
            (row, start), (_, end) = token.start, token.end
            own = (row, start) in signature
            rows[row].append((start, end, "" if own else names[token.string]))
    written = []
    for row, line in enumerate(source.splitlines(keepends=True), start=1):
        for start, end, name in reversed(rows[row]):
            line = line[:start] + (name or plain(line[start:end])) + line[end:]
        written.append(plain(line))
    return "".join(written)
