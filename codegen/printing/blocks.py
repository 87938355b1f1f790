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
from midpo.codegen.statements.nodes import UNARY, Code, Group, Name, Pair, call, product, total
from midpo.codegen.statements.quote import quote
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import Index, Log, Parameter, Sqrt, VocabProb
from midpo.symbolic.language.text import text
from midpo.symbolic.language.words import word_of

from .tables import RowsPrinter, grouped
from .writing import said


@dataclass(frozen=True)
class Dialect:
    """The words of a language: the column of the table of words that holds its functions, the
    exponential of what is at most 0, the choice between two values, the part of a sum that a block
    adds, a number where a function needs a block, and what a sum over a block starts at. Names that
    start with _ are the template's own.
    """

    name: str
    column: str
    decay: str
    where: str
    inside: str
    constant: str
    zeros: str


TRITON = Dialect(
    "Triton",
    "triton",
    decay="_exp",
    where="tl.where",
    inside="tl.where(inside, {0}, 0.0)",
    constant="tl.full((), {0}, tl.float32)",
    zeros="tl.zeros((BLOCK,), tl.float32)",
)

C = Dialect("C", "c", decay="_decay", where="_where", inside="{0}", constant="{0}", zeros="0.0")


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

    # -- sums and gradients over the vocabulary

    def summand(self, body: Expr) -> Code:
        """What a block adds to the sum of `body`."""
        parts = [self.weighted(weight, rest) for weight, rest in weighted(body).items()]
        return quote(self.dialect.inside, total(parts) if parts else quote("0.0"))

    def weighted(self, weight: Expr, rest: Expr) -> Code:
        """weight*rest, and 0 where the weight is 0: 0 log 0 = 0."""
        if ENTRY not in rest.free_symbols and weight == 1:
            return self.coefficient(rest)
        if ENTRY not in rest.free_symbols:
            found = self.wrapped(weight, "vocab", UNARY)
            return found if rest == 1 else Pair(found, "*", self.coefficient(rest))
        right = grouped(self, rest)
        if weight == 1:
            return right
        left = self.named(weight, "weight")
        inside = right if isinstance(right, Group) else Group(right)
        return call(self.dialect.where, quote("{} == 0.0", left), quote("0.0"), Pair(left, "*", inside))

    def named(self, expr: Expr, wanted: str) -> Name:
        """A block's name, so that it can be used twice."""
        found = self(expr, "vocab")
        return found if isinstance(found, Name) else self.bind((wanted, expr), wanted, found)

    def gradient(self, slope: Expr, name: str) -> None:
        """The lines that add up the gradient with respect to the logits, in a fixed order."""
        own = probability("pi")
        parts = sorted(weighted(slope).items(), key=lambda kv: (kv[0] == own, str(kv)))
        for number, (weight, rest) in enumerate(parts):
            self.assign(name, self.weighted(weight, rest), "+=" if number else "=")
        if not parts:
            self.assign(name, quote(self.dialect.zeros))

    def coefficient(self, expr: Expr) -> Code:
        if self.is_scalar(expr):
            return self.wrapped(expr, "token", UNARY)
        return self.bind(("coefficient", expr), "coefficient", self(expr, "token"))

    # -- expressions

    def __call__(self, expr: Any, level: str) -> Code:
        if isinstance(expr, Parameter):
            return Name(self.numbers[expr.name])
        return super().__call__(expr, level)

    def atom(self, expr: Any) -> tuple[str, str] | None:
        if is_log_probability(expr):
            return "vocab", self.block(expr.args[0].args[0], "logps")
        if isinstance(expr, VocabProb):
            return "vocab", self.block(expr.args[0], "probs")
        if isinstance(expr, Index):
            raise NotYet("a vocabulary entry is not a number")
        return ("token", self.symbols[expr]) if expr in self.symbols else None

    def lift(self, expr: Any, name: str, native: str, level: str) -> Code:
        return Name(name)

    def power(self, expr: Pow, level: str) -> Code:
        base, exponent = expr.args
        if exponent.is_Integer and 2 <= exponent <= 4:
            return product([self.named(base, "base")] * int(exponent))
        if exponent == Rational(1, 2) and not isinstance(base, VocabProb):
            return self.said(Sqrt(base), [self(base, level)])
        return call("_exp", self(exponent * Log(base), level))

    def function(self, expr: Any, level: str) -> Code:
        return self.said(expr, [self.tensor(arg, level) for arg in expr.args])

    def said(self, expr: Any, args: Sequence[Code]) -> Code:
        """A function of the language in the dialect's words. Raises: NotYet."""
        try:
            return said(word_of(expr), self.dialect.column, args)
        except NotYet as error:
            raise NotYet(f"no {self.dialect.name} text for {text(expr)}: {error}") from None

    def tensor(self, expr: Any, level: str) -> Code:
        """`expr` as a tensor: a plain number is none."""
        if expr.is_Rational:
            return quote(self.dialect.constant, self(expr, level))
        return self.argument(expr, level)

    def sum_of(self, coefficients: Iterable[tuple[str, Expr]], names: Mapping[str, str]) -> Code:
        """The sum of coefficient*name over policies."""
        whole: Expr = S.Zero
        for policy, factor in coefficients:
            symbol = Symbol(names[policy], real=True)
            self.symbols[symbol] = names[policy]
            whole += factor * symbol
        return self(whole, "vocab")
