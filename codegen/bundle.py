"""A kernel's file: its own lines, and what they call of the runtime and of training.

What a file does not define and the runtime does is written into it, function by function, in order
of definition: the file needs torch and nothing else. In a thin file the same names are imported.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from midpo.codegen.statements import python
from midpo.codegen.statements.nodes import Function, Statement, Text, bound, names

FOLDER = Path(__file__).parent
RUNTIME, TRAINING = FOLDER / "runtime", FOLDER / "training"
PACKAGE = "midpo.codegen"
CHECKS = "runtime.arguments"
PACKAGES = ("torch", "trl", "nemo_rl")
_INLINE = "static inline "
# Each after those that it imports; what only checks arguments comes last.
MODULES = (
    "runtime.exponentials",
    "runtime.sums",
    "runtime.vocabulary",
    "runtime.packing",
    "runtime.tables",
    "runtime.shards",
    "runtime.pieces",
    "runtime.passes",
    "runtime.logits",
    "runtime.heads",
    "runtime.observing",
    "runtime.groups",
    "runtime.rows",
    "runtime.blocks",
    "runtime.loops",
    "runtime.arguments",
    "training.models",
    "training.steps",
    "training.preference",
    "training.sequences",
    "training.responses",
)


@dataclass(frozen=True)
class Import:
    """`import module` or `from module import name`, perhaps under another name."""

    module: str
    name: str | None
    bound: str

    def line(self) -> str:
        own = self.name or self.module
        other = f" as {self.bound}" if self.bound not in (own, own.partition(".")[0]) else ""
        if self.name is None:
            return f"import {self.module}{other}"
        return f"from {self.module} import {self.name}{other}"


@dataclass(frozen=True)
class Piece:
    """A statement of a runtime module: the names that it binds and reads, and its text."""

    module: str
    names: tuple[str, ...]
    reads: frozenset[str]
    text: str
    is_definition: bool


@dataclass(frozen=True)
class Bundle:
    """The text of a file, and how many of its lines compute; those after them check arguments."""

    source: str
    computing: int


def bundled(
    doc: Iterable[str],
    before: Sequence[Statement],
    after: Sequence[Statement],
    thin: bool,
    more: Sequence[Import] = (),
) -> Bundle:
    """A file: what `doc` says of it, the statements `before` what they and those `after` call; its
    imports are those that are read, and `more`."""
    own = {
        name
        for each in (*before, *after)
        for name in ({each.name} if isinstance(each, Function) else bound([each]))
    }
    wanted = set[str]()
    for each in (*before, *after):  # a local of one function is not another's
        reads = each.reads if isinstance(each, Text) else names([each])
        wanted |= {*reads} - (set() if isinstance(each, Text) else bound([each]))
    pieces = called(wanted)
    clash = own & {name for piece in pieces for name in piece.names}
    assert not clash, f"a kernel and the runtime both define {clash}"
    read = wanted.union(*(piece.reads for piece in pieces if not thin))
    imports = [*(one for one in library()[1].values() if one.bound in read), *more]
    head = [
        "\n".join(['"""' + "\n".join(doc) + '\n"""']),
        "from __future__ import annotations",
        *_sections(imports),
    ]
    if thin and pieces:
        head.append("\n".join(_of_runtime(pieces, wanted)))
    computing = [piece for piece in pieces if piece.module != CHECKS and not thin]
    checking = [piece for piece in pieces if piece.module == CHECKS and not thin]
    parts = ["\n\n".join(head), _printed(before), _text(computing)]
    lines = "\n\n\n".join(filter(None, parts)).count("\n") + 1
    parts += [_text(checking), _printed(after)]
    return Bundle("\n\n\n".join(filter(None, parts)) + "\n", lines)


def _printed(statements: Sequence[Statement]) -> str:
    """Functions stand apart, other lines together."""
    text = ""
    for one, each in zip([None, *statements], statements, strict=False):
        near = not any(isinstance(s, (Function, Text, type(None))) for s in (one, each))
        text += ("\n" if near else "\n\n\n") + "\n".join(python.lines([each]))
    return text.lstrip("\n")


def called(names: Collection[str]) -> list[Piece]:
    """The pieces that bind some of the names, and those that these need, in order of definition."""
    pieces, found, waiting = library()[0], set(), {*names}
    by_name = {name: piece for piece in pieces for name in piece.names}
    while waiting:
        piece = by_name.get(waiting.pop())
        if piece is not None and piece not in found:
            found.add(piece)
            waiting |= piece.reads
    return [piece for piece in pieces if piece in found]


@cache
def library() -> tuple[tuple[Piece, ...], dict[str, Import]]:
    """All of both: their statements, in order, and what their modules import from elsewhere."""
    pieces: list[Piece] = []
    imports: dict[str, Import] = {}
    for module in MODULES:
        text = (FOLDER / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        lines = text.splitlines()
        tree = ast.parse(text)
        for before, node in zip([None, *tree.body], tree.body, strict=False):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imports |= {one.bound: one for one in _imports(node)}
            elif binds := tuple(_bound(node)):
                first = min(n.lineno for n in (node, *getattr(node, "decorator_list", ()))) - 1
                least = before.end_lineno or 0 if before is not None else 0
                while first > least and lines[first - 1].startswith("#"):
                    first -= 1
                written = "\n".join(lines[first : node.end_lineno])
                after = lines[(node.end_lineno or 0) - 1]
                assert after
                is_definition = isinstance(node, (ast.FunctionDef, ast.ClassDef))
                pieces.append(Piece(module, binds, frozenset(_read(node)), written, is_definition))
    return tuple(pieces), imports


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module binds, but for those of future imports."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (one.bound for one in _imports(node))
    elif isinstance(node, ast.Try):
        yield from {
            n: None
            for part in (node.body, *(h.body for h in node.handlers))
            for each in part
            for n in _bound(each)
        }


def _read(node: ast.AST) -> set[str]:
    """The names that are read in a statement, its annotations included."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, None, alias.asname or alias.name.partition(".")[0])
    elif node.module != "__future__" and not str(node.module).startswith(PACKAGE):
        for alias in node.names:
            yield Import(str(node.module), alias.name, alias.asname or alias.name)


def _sections(imports: Iterable[Import]) -> Iterator[str]:
    """The lines of imports: of Python's own library, then of other packages; whole modules first."""
    for theirs in (False, True):
        some = [one for one in imports if one.module.startswith(PACKAGES) == theirs]
        whole = sorted(one.line() for one in some if one.name is None)
        parts: dict[str, list[str]] = {}
        for one in some:
            if one.name is not None:
                parts.setdefault(one.module, []).append(one.line().partition(" import ")[2])
        lines = [f"from {m} import {', '.join(sorted(names))}" for m, names in parts.items()]
        if whole or lines:
            yield "\n".join([*whole, *sorted(lines)])


def _of_runtime(pieces: Iterable[Piece], wanted: Collection[str]) -> Iterator[str]:
    """The lines that import what a thin file reads."""
    by_module: dict[str, list[str]] = {}
    for piece in pieces:
        if names := [name for name in piece.names if name in wanted]:
            by_module.setdefault(piece.module, []).extend(names)
    for module, names in sorted(by_module.items()):
        # As a linter sorts them: constants, classes, functions.
        names.sort(key=lambda n: (not n.isupper(), not n.lstrip("_")[:1].isupper(), n))
        line = f"from {PACKAGE}.{module} import {', '.join(names)}"
        if len(line) > 100:
            inner = "".join(f"    {name},\n" for name in names)
            line = f"from {PACKAGE}.{module} import (\n{inner})"
        yield line


def _text(pieces: list[Piece]) -> str:
    """The statements one after the other: lines that define nothing stand together."""
    text = ""
    for before, piece in zip([None, *pieces], pieces, strict=False):
        near = before is not None and not (piece.is_definition or before.is_definition)
        text += ("\n" if near else "\n\n\n") + piece.text
    return text.lstrip("\n")


# -- the same of C


def in_c(wanted: Iterable[str]) -> str:
    """What of rows.c has these names, with what it calls, after the lines that all loops need."""
    head, functions = _of_c()
    waiting, found = {*wanted}, set()
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found.add(name)
            waiting |= {other for other in functions if f"{other}(" in functions[name]}
    return "\n\n".join([head, *(text for name, text in functions.items() if name in found)])


@cache
def _of_c() -> tuple[str, dict[str, str]]:
    """The definitions at the head of rows.c, and its functions by name: each is a paragraph."""
    _, *paragraphs = (RUNTIME / "rows.c").read_text(encoding="utf-8").strip().split("\n\n")
    heads = [text for text in paragraphs if _INLINE not in text]
    functions = {
        text.partition(_INLINE)[2].partition("(")[0].split()[-1]: text
        for text in paragraphs
        if _INLINE in text
    }
    return "\n\n".join(heads), functions
