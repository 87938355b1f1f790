"""Calls of the spec language: probabilities, features, lengths, sums, functions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from sympy import Expr, Symbol

from midpo.symbolic.errors import SpecError, nearest

from .building import rename_index
from .nodes import (
    ByLabel,
    Divergence,
    Entropy,
    Feature,
    Index,
    Length,
    Log,
    Prob,
    Sorted,
    Sqrt,
    TokenProb,
    TokenProd,
    TokenSum,
    VocabProb,
    VocabSum,
    standard_index,
)
from .places import KNOWN, Condition, Names, Place
from .signs import is_nonnegative, is_positive
from .words import FUNCTIONS, SPECIAL

MAX_SHOWN = 60


class Calls:
    """What a reader knows, and how it reads calls; `read` reads their arguments."""

    def __init__(self, text: str, flat: str, shift: int, names: Names, place: Place) -> None:
        self.text, self.shift, self.names, self.place = text, shift, names, place
        self.bytes = flat.encode()
        self.conditions: list[Condition] = []
        self.scope: dict[str, tuple[Index, Symbol | None]] = {}
        self.common = 1  # a multiple of all denominators

    # -- errors

    def error(self, node: ast.AST, problem: str, expected: str = "") -> SpecError:
        start = getattr(node, "col_offset", 0)  # ast counts UTF-8 bytes
        column = self.shift + len(self.bytes[:start].decode())
        return SpecError(problem, text=self.text, column=column, expected=expected)

    def source(self, node: ast.expr) -> str:
        written = self.bytes[node.col_offset : node.end_col_offset].decode()
        return written if len(written) <= MAX_SHOWN else written[: MAX_SHOWN - 3] + "..."

    def require(self, expr: Expr, kind: str) -> None:
        """Remember that `expr` must be `kind`, unless it is seen to be."""
        known = {
            "positive": is_positive(expr),
            "nonnegative": is_nonnegative(expr),
            "nonzero": is_positive(expr) or is_positive(-expr),
        }
        if not known[kind]:
            self.conditions.append(Condition(expr, kind))

    def read(self, node: ast.expr, depth: int = 0) -> Expr:
        raise NotImplementedError

    # -- calls

    def call(self, node: ast.Call, depth: int) -> Expr:
        if not isinstance(node.func, ast.Name):
            raise self.error(node, f"`{self.source(node.func)}` cannot be called", "a function by its name")
        name = node.func.id
        if node.keywords:
            raise self.error(node.keywords[0], "arguments are not named here", f"{name}(...)")
        for arg in node.args:
            if isinstance(arg, ast.Starred):
                raise self.error(arg, "`*` is not part of the language")
        if name in self.names.policies:
            return self.probability(node, name)
        if name in self.names.features:
            return self.feature(node, name)
        special: dict[str, Callable[[ast.Call, int], Expr]] = {
            "len": self.length,
            "sum": self.binder,
            "prod": self.binder,
            "kl": self.divergence,
            "entropy": self.divergence,
            "by_label": self.by_label,
            "sorted": self.ordered,
        }
        if name in special:
            return special[name](node, depth)
        if name in FUNCTIONS:
            return self.function(node, name, depth)
        if name in self.names.parameters:
            raise self.error(node, f"`{name}` is a parameter, not a function", name)
        known = {*FUNCTIONS, *SPECIAL, *self.names.policies}
        known |= {n for n, kind in self.names.features.items() if kind != "pair"}
        raise self.error(node, f'unknown function "{name[:MAX_SHOWN]}"', nearest(name, known))

    def arguments(self, node: ast.Call, counts: Iterable[int], usage: str) -> list[ast.expr]:
        if len(node.args) not in counts:
            got = len(node.args)
            raise self.error(node, f"`{self.source(node.func)}` with {got} arguments", usage)
        return node.args

    def response(self, node: ast.expr, or_else: str = "") -> Symbol:
        allowed = self.place.responses + self.names.responses * self.place.further
        for response in allowed:
            if isinstance(node, ast.Name) and node.id == response.name:
                return response
        listing = " or ".join(r.name for r in allowed) or "no response (a link is written in m)"
        raise self.error(node, f"`{self.source(node)}` is not a response here", listing + or_else)

    def position(self, node: ast.expr, response: Symbol) -> Index:
        if isinstance(node, ast.Name) and node.id in self.scope:
            index, over = self.scope[node.id]
            if over == response:
                return index
            if over is not None:
                raise self.error(
                    node,
                    f"`{self.source(node)}` runs over the tokens of {over}, not of {response}",
                    f"an index bound by `for ... in {response}`",
                )
        raise self.error(
            node,
            f"`{self.source(node)}` is not a token index",
            f"an index bound by sum(... for t in {response})",
        )

    def entry(self, node: ast.expr) -> Index:
        if isinstance(node, ast.Name) and node.id in self.scope:
            index, over = self.scope[node.id]
            if over is None:
                return index
        raise self.error(
            node,
            f"`{self.source(node)}` is not a vocabulary index",
            "an index bound by sum(... for v in vocab)",
        )

    def probability(self, node: ast.Call, name: str) -> Expr:
        usage = f"{name}(y), {name}(y, t) or {name}(y, t, v)"
        args = self.arguments(node, (1, 2, 3), usage)
        policy, response = Symbol(name), self.response(args[0])
        if len(args) == 1:
            return Prob(policy, response)
        position = self.position(args[1], response)
        if len(args) == 2:
            return TokenProb(policy, response, position)
        return VocabProb(policy, response, position, self.entry(args[2]))

    def feature(self, node: ast.Call, name: str) -> Expr:
        kind = self.names.features[name]
        counts = {"response": 1, "token": 2, "pair": 0}
        usage = {"response": f"{name}(y)", "token": f"{name}(y, t)", "pair": name}[kind]
        if kind == "pair":
            raise self.error(node, f"`{name}` is a pair feature and takes no arguments", usage)
        args = self.arguments(node, (counts[kind],), usage)
        response = self.response(args[0])
        if kind == "response":
            return Feature(self.names.datum(name), response)
        return Feature(self.names.datum(name), response, self.position(args[1], response))

    def length(self, node: ast.Call, depth: int) -> Expr:
        return Length(self.response(self.arguments(node, (1,), "len(y)")[0]))

    def binder(self, node: ast.Call, depth: int) -> Expr:
        assert isinstance(node.func, ast.Name)
        word = node.func.id
        usage = f"{word}(... for t in y)" + (" or sum(... for v in vocab)" if word == "sum" else "")
        (arg,) = self.arguments(node, (1,), usage)
        if not isinstance(arg, ast.GeneratorExp) or len(arg.generators) != 1:
            raise self.error(arg, f"`{word}` needs one index", usage)
        loop = arg.generators[0]
        if loop.ifs or loop.is_async or not isinstance(loop.target, ast.Name):
            raise self.error(loop.target, f"`{word}` needs one plain index and no condition", usage)
        name = loop.target.id
        if name in self.names.taken() or name in self.scope or name in KNOWN:
            raise self.error(
                loop.target,
                f"`{self.source(loop.target)}` has another meaning here",
                "a new name for the index",
            )
        over_vocab = isinstance(loop.iter, ast.Name) and loop.iter.id == "vocab"
        response = None if over_vocab else self.response(loop.iter, " or vocab")
        if over_vocab and word == "prod":
            raise self.error(loop.iter, "a product over the vocabulary is not in the language", usage)
        index = Index(f"{name}#{len(self.scope)}", position=not over_vocab)
        self.scope[name] = (index, response)
        outside, self.conditions = self.conditions, []
        body = self.read(arg.elt, depth + 1)
        del self.scope[name]
        standard = standard_index(body, index)
        self.conditions = outside + [
            Condition(rename_index(c.expr, index, standard), c.kind) for c in self.conditions
        ]
        body, index = rename_index(body, index, standard), standard
        if response is None:
            return VocabSum(body, index)
        return (TokenSum if word == "sum" else TokenProd)(body, index, response)

    def policy(self, node: ast.expr) -> Symbol:
        if isinstance(node, ast.Name) and node.id in self.names.policies:
            return Symbol(node.id)
        name = node.id if isinstance(node, ast.Name) else ""
        raise self.error(node, f"`{self.source(node)}` is not a policy", nearest(name, self.names.policies))

    def divergence(self, node: ast.Call, depth: int) -> Expr:
        assert isinstance(node.func, ast.Name)
        kl = node.func.id == "kl"
        usage = "kl(p, q, y, t)" if kl else "entropy(p, y, t)"
        *policies, at, when = self.arguments(node, (4 if kl else 3,), usage)
        chosen = [self.policy(policy) for policy in policies]
        response = self.response(at)
        tail = (response, self.position(when, response))
        return Divergence(*chosen, *tail) if kl else Entropy(*chosen, *tail)

    def by_label(self, node: ast.Call, depth: int) -> Expr:
        if not self.place.by_label:
            raise self.error(node, "`by_label` speaks of the prior's response", "use it in `prior` only")
        a, b = self.arguments(node, (2,), "by_label(where preferred, where dispreferred)")
        return ByLabel(self.read(a, depth + 1), self.read(b, depth + 1))

    def ordered(self, node: ast.Call, depth: int) -> Expr:
        if not self.place.batch:
            raise self.error(
                node, "`sorted` speaks of a whole batch", "use it in [target] batch, beside a reason, only"
            )
        (arg,) = self.arguments(node, (1,), "sorted(a)")
        value = self.read(arg, depth + 1)
        if self.scope or value.has(Sorted):
            raise self.error(
                node,
                "`sorted` orders the pairs of a batch",
                "sorted(...) of one number a pair, outside sums and other sorted",
            )
        return Sorted(value)

    def function(self, node: ast.Call, name: str, depth: int) -> Expr:
        word = FUNCTIONS[name]
        low, high = word.arity
        usage = f"{name}({', '.join('ab'[:low]) or 'a'}{', ...' if high > low else ''})"
        args = self.arguments(node, range(low, high + 1), usage)
        values = [self.read(arg, depth + 1) for arg in args]
        if word.node is Log:
            if is_nonnegative(-values[0]):
                raise self.error(node, "the logarithm of a number that is not positive", "log of x > 0")
            self.require(values[0], "positive")
        if word.node is Sqrt:
            if is_positive(-values[0]):
                raise self.error(node, "the root of a negative number", "sqrt of x >= 0")
            self.require(values[0], "nonnegative")
        return word.node(*values)
