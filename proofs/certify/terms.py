"""Coq's printing of a term, parsed: applications, functions, types."""

from __future__ import annotations

import re
from typing import Any

from midpo.symbolic.errors import MidpoError

Term = tuple[Any, ...]
_TOKEN = re.compile(r"\s+|(=>|[()@:,|]|[A-Za-z_][A-Za-z0-9_.']*)")


_STOP = {")", "=>", ",", "|", ":", "with", "end", "return", "in", "as", ""}


MAX_DEPTH = 400


class Mismatch(MidpoError):
    """The printed theorem is not what the spec says, or cannot be read."""


class _Parser:
    """Terms as tuples: var, app, fun, forall, match."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise Mismatch(f"Coq printed {text[at : at + 20]!r}, which is not read here")
            at = found.end()
            if found[1]:
                self.tokens.append(found[1])
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise Mismatch(f"Coq printed {token!r} where {wanted or 'a term'} was expected")
        self.at += 1
        return token

    def term(self, depth: int = 0) -> Term:
        if depth > MAX_DEPTH:
            raise Mismatch("the printed term is nested too deeply")
        if self.peek() in ("fun", "forall"):
            return self.binder(depth)
        head, *args = self.atoms(depth)
        return ("app", head, *args) if args else head

    def atoms(self, depth: int) -> list[Term]:
        found = []
        while self.peek() not in _STOP:
            found.append(self.atom(depth))
        if not found:
            raise Mismatch(f"Coq printed {self.peek()!r} where a term was expected")
        return found

    def binder(self, depth: int) -> Term:
        kind = self.take()
        bound: list[tuple[str, Term]] = []
        if self.peek() == "(":
            while self.peek() == "(":
                self.take("(")
                bound += self.names(depth)
                self.take(")")
        else:
            bound += self.names(depth)
        self.take("=>" if kind == "fun" else ",")
        return (kind, tuple(bound), self.term(depth + 1))

    def names(self, depth: int) -> list[tuple[str, Term]]:
        names = []
        while self.peek() != ":":
            names.append(self.take())
        self.take(":")
        kind = self.term(depth + 1)
        return [(name, kind) for name in names]

    def atom(self, depth: int) -> Term:
        token = self.take()
        if token == "(":
            inner = self.term(depth + 1)
            self.take(")")
            return inner
        if token == "@":
            token = self.take()
        if token == "match":
            return self.match(depth)
        if not re.fullmatch(r"[A-Za-z_][\w.']*", token):
            raise Mismatch(f"Coq printed {token!r}, which is not read here")
        return ("var", token)

    def match(self, depth: int) -> Term:
        subject = self.term(depth + 1)
        self.take("return")
        self.term(depth + 1)
        self.take("with")
        cases = []
        while self.peek() == "|":
            self.take("|")
            pattern = []
            while self.peek() != "=>":
                pattern.append(self.take())
            self.take("=>")
            cases.append((tuple(pattern), self.term(depth + 1)))
        self.take("end")
        return ("match", subject, tuple(cases))


def parse_term(text: str) -> Term:
    """The term that Coq printed. Raises: Mismatch."""
    parser = _Parser(text)
    term = parser.term()
    if parser.peek():
        raise Mismatch(f"Coq printed {parser.peek()!r} after the term")
    return term
