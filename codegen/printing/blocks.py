"""Expression -> text inside a kernel that walks a row of logits in blocks, in Triton or in C.

What does not depend on the vocabulary entry is a scalar of the row, the rest a block of entries
(Triton, where the one enters the other by broadcasting) or one entry of it (C). Everything is
float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Pow, Rational, S, Symbol

from midpo.codegen.plan.derivatives import is_log_probability
from midpo.codegen.plan.statistics import ENTRY, probability, weighted
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import (
    Index,
    Log,
    Parameter,
    Sqrt,
    VocabProb,
)
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import word_of

from .breaking import in_brackets
from .chunks import RowsPrinter, grouped
from .levels import ATOM, PRODUCT, UNARY


@dataclass(frozen=True)
class Dialect:
    """The words of a language: the column of the table of words that holds its functions, the
    choice between two values, the part of a sum that a block adds, a number where a function needs
    a block, and what a sum over a block starts at. Names that start with _ are the template's own.
    """

    name: str
    column: str
    where: str
    inside: str
    constant: str
    zeros: str


TRITON = Dialect(
    "Triton",
    "triton",
    where="tl.where",
    inside="tl.where(inside, {0}, 0.0)",
    constant="tl.full((), {0}, tl.float32)",
    zeros="tl.zeros((BLOCK,), tl.float32)",
)

C = Dialect(
    "C",
    "c",
    where="_where",
    inside="{0}",
    constant="{0}",
    zeros="0.0",
)


class BlockPrinter(RowsPrinter):
    """Prints at two levels: "token" is a scalar, "vocab" a block of entries.

    `blocks` names the log-probabilities ("logps") and probabilities ("probs") of each policy, and
    `numbers` the parameters; `read` collects which blocks have been used.
    """

    def __init__(
        self,
        taken: Iterable[str],
        blocks: Mapping[tuple[str, str], str],
        numbers: Mapping[str, str],
        dialect: Dialect = TRITON,
    ) -> None:
        super().__init__({*taken, *blocks.values(), *numbers.values()})
        self.blocks, self.numbers, self.dialect = blocks, numbers, dialect
        self.read: set[tuple[str, str]] = set()

    def block(self, policy: Any, kind: str) -> str:
        self.read.add((str(policy), kind))
        return self.blocks[str(policy), kind]

    def assign(self, name: str, value: str, how: str = "=") -> None:
        """A statement: in C on one line, which `native` breaks."""
        if self.dialect is C:
            self.lines.append(f"{name} {how} {value}")
        else:
            super().assign(name, value, how)

    # -- sums and gradients over the vocabulary

    def summand(self, body: Expr) -> str:
        """The text of what a block adds to the sum of `body`."""
        parts = [self.weighted(weight, rest) for weight, rest in weighted(body).items()]
        return self.dialect.inside.format(" + ".join(parts) or "0.0")

    def weighted(self, weight: Expr, rest: Expr) -> str:
        """weight*rest, and 0 where the weight is 0: 0 log 0 = 0."""
        if ENTRY not in rest.free_symbols and weight == 1:
            return self.coefficient(rest)
        if ENTRY not in rest.free_symbols:
            factor = "" if rest == 1 else f" * {self.coefficient(rest)}"
            return f"{self.wrapped(weight, 'vocab', UNARY)}{factor}"
        right = grouped(self, rest)
        if weight == 1:
            return right
        left = self.named(weight, "weight")
        inside = right if in_brackets(right) else f"({right})"
        return f"{self.dialect.where}({left} == 0.0, 0.0, {left} * {inside})"

    def named(self, expr: Expr, wanted: str) -> str:
        """A block's name, so that it can be used twice."""
        written = self(expr, "vocab")
        return written if written.isidentifier() else self.bind((wanted, expr), wanted, written)

    def gradient(self, total: Expr, name: str) -> None:
        """The lines that add up the gradient with respect to the logits, in a fixed order."""
        own = probability("pi")
        parts = sorted(weighted(total).items(), key=lambda kv: (kv[0] == own, str(kv)))
        for number, (weight, rest) in enumerate(parts):
            value = self.weighted(weight, rest)
            if number:
                self.assign(name, value, "+=")
            else:
                self.assign(name, value)

    def coefficient(self, expr: Expr) -> str:
        if self.is_scalar(expr):
            return self.wrapped(expr, "token", UNARY)
        return self.bind(("coefficient", expr), "coefficient", self(expr, "token"))

    # -- expressions

    def emit(self, expr: Any, level: str) -> tuple[str, int]:
        if isinstance(expr, Parameter):
            return self.numbers[expr.name], ATOM
        return super().emit(expr, level)

    def atom(self, expr: Any) -> tuple[str, str] | None:
        if is_log_probability(expr):
            return "vocab", self.block(expr.args[0].args[0], "logps")
        if isinstance(expr, VocabProb):
            return "vocab", self.block(expr.args[0], "probs")
        if isinstance(expr, Index):
            raise NotYet("a vocabulary entry is not a number")
        return ("token", self.symbols[expr]) if expr in self.symbols else None

    def lift(self, expr: Any, name: str, native: str, level: str) -> str:
        return name

    def power(self, expr: Pow, level: str) -> tuple[str, int]:
        base, exponent = expr.args
        if exponent.is_Integer and 2 <= exponent <= 4:
            name = self.named(base, "base")
            return " * ".join([name] * int(exponent)), PRODUCT
        if exponent == Rational(1, 2) and not isinstance(base, VocabProb):
            return self.said(Sqrt(base), [self(base, level)]), ATOM
        return f"_exp({self(exponent * Log(base), level)})", ATOM

    def function(self, expr: Any, level: str) -> tuple[str, int]:
        return self.said(expr, [self.tensor(arg, level) for arg in expr.args]), ATOM

    def said(self, expr: Any, args: Sequence[str]) -> str:
        """A function of the language in the dialect's words. Raises: NotYet."""
        try:
            return word_of(expr).pairwise(self.dialect.column, args)
        except NotYet as error:
            raise NotYet(f"no {self.dialect.name} text for {text(expr)}: {error}") from None

    def tensor(self, expr: Any, level: str) -> str:
        """`expr` as a tensor: a plain number is none."""
        if expr.is_Rational:
            return self.dialect.constant.format(self(expr, level))
        return self.argument(expr, level)

    def sum_of(self, coefficients: Iterable[tuple[str, Expr]], names: Mapping[str, str]) -> str:
        """The text of the sum of coefficient*name over policies."""
        total: Expr = S.Zero
        for policy, factor in coefficients:
            symbol = Symbol(names[policy], real=True)
            self.symbols[symbol] = names[policy]
            total += factor * symbol
        return self(total, "vocab")
