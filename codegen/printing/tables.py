"""Sums over tables of log-probabilities and probabilities, (n, V), and products of these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sympy import Add, Expr, S, Symbol

from midpo.codegen.names import policy_argument
from midpo.codegen.plan.excess import exponent_of, parts_of
from midpo.codegen.plan.log_sums import Tilt
from midpo.codegen.plan.statistics import ENTRY, by_entry, probability, weighted
from midpo.codegen.statements.nodes import ATOM, PRODUCT, UNARY, Code, Group, Name, Pair, call, total
from midpo.codegen.statements.quote import quote
from midpo.symbolic.language.nodes import POLICY, Exp, Log, VocabProb
from midpo.symbolic.language.text import ordered_terms

from . import memory
from .keeping import tilted_exponents
from .printer import Printer
from .writing import joined

HELPERS = ("torch", "F", "Tensor", "index", "ours", "gradient", "expectation", "weighted", "like")

# What the functions take of a policy's rows: its log-probabilities, its probabilities.
LOG, PROB = "log", "prob"
ENDINGS = {LOG: "_logps", PROB: "_probs"}


@dataclass(frozen=True)
class Drift:
    """r*exp(x) - p*S of each entry, S the sum of r*exp(x): how a sum that is counted from 1 moves
    with the policy p. `parts` are log r and x, S - 1 is called `value`, and S `total`."""

    parts: tuple[Expr, Expr]
    value: str
    total: str

    def meaning(self) -> Expr:
        return Exp(exponent_of(self.parts)) - probability(POLICY) * (1 + Symbol(self.value, real=True))

    def written(self, printer: RowsPrinter) -> Code:
        ours = printer(Log(probability(POLICY)), "vocab")
        return call("_drifts", ours, *entries_of(printer, self.parts), Name(self.value), Name(self.total))


def entries_of(printer: Printer, parts: tuple[Expr, Expr]) -> list[Code]:
    """log r, x and log r + x of each entry."""
    return [printer(part, "vocab") for part in (*parts, exponent_of(parts))]


class RowsPrinter(Printer):
    """Prints at two levels: "token" is (n,), "vocab" is (n, V)."""

    guards = False

    def __init__(self, taken: Iterable[str]) -> None:
        super().__init__(taken)
        self.symbols: dict[Expr, str] = {}
        self.tables: dict[tuple[str, str], str] = {}
        self.drifts: dict[str, Drift] = {}
        self.tilted: dict[str, tuple[Tilt, str]] = {}
        self.dtype = "torch.get_default_dtype()"  # replaced where a number must become a tensor

    def atom(self, expr: Any) -> tuple[str, str] | None:
        if expr in self.symbols:
            return "token", self.symbols[expr]
        if isinstance(expr, VocabProb):
            return "vocab", self.table(str(expr.args[0]), PROB)
        if expr.is_Symbol or not expr.free_symbols & set(self.symbols) or isinstance(expr, Log):
            return super().atom(expr)
        return None

    def is_scalar(self, expr: Any) -> bool:
        return not expr.free_symbols & set(self.symbols) and super().is_scalar(expr)

    def policy(self, policy: Symbol) -> str:
        return self.table(str(policy), LOG)

    def table(self, policy: str, kind: str) -> str:
        """The argument with a policy's log-probabilities or probabilities, (n, V); of a tilted
        policy and of a drift they are made from others'."""
        if policy in self.drifts:
            return self.local(policy, "drift", lambda: self.drifts[policy].written(self))
        if policy in self.tilted:
            tilt, value = self.tilted[policy]
            least = ".clamp(min=torch.finfo({1}.dtype).min)" if tilt.surprise else ""  # of a sure policy
            written = f"torch.exp({{0}} - {{1}}{least}[:, None])"
            return self.local(policy, "tilted", lambda: quote(written, tilted_exponents(self, tilt), value))
        if (policy, kind) not in self.tables:
            wanted = policy_argument(policy).replace("_logits", ENDINGS[kind])
            self.tables[policy, kind] = self.name(wanted)
        return self.tables[policy, kind]

    def tensor(self, expr: Any, level: str) -> Code:
        if not self.is_scalar(expr):
            return self.argument(expr, level)
        return quote("like.new_tensor({})", self(expr, level))

    def coefficient(self, expr: Expr) -> Code:
        """A token-level factor as a column."""
        if self.is_scalar(expr):
            return self.wrapped(expr, "token", UNARY)
        written = self(expr, "token")
        if not isinstance(written, Name):
            written = self.bind(("coefficient", expr), "coefficient", written)
        return quote("{}[:, None]", written)


def rows_printer(taken: Iterable[str], contexts: int) -> RowsPrinter:
    printer = RowsPrinter({*taken, *HELPERS, *(f"context{n + 1}" for n in range(contexts))})
    for n in range(contexts):
        printer.symbols[Symbol(f"context_{n + 1}", real=True)] = f"context{n + 1}"
    return printer


def summed(printer: RowsPrinter, body: Expr) -> Code:
    """The sum of `body` over the vocabulary."""
    if parts := parts_of(body):
        return quote("{}.sum(-1)", call("_growths", *entries_of(printer, parts)))
    found: list[Code] = []
    for weight, rest in weighted(body).items():
        if weight == 1:
            found.append(quote("{}.sum(-1)", Group(printer(rest, "vocab"))))
        elif rest == 1 and weight.is_Pow and weight.exp == 2:  # without a table of the squares
            printer.expects = True
            base = printer(weight.base, "vocab")
            found.append(memory.expectation(base, base))
        elif rest == 1:
            found.append(quote("{}.sum(-1)", printer.wrapped(weight, "vocab", ATOM)))
        elif ENTRY not in rest.free_symbols:
            summand = quote("{}.sum(-1)", printer.wrapped(weight, "vocab", ATOM))
            found.append(Pair(printer.wrapped(rest, "token", UNARY), "*", summand))
        else:
            printer.expects = True
            left, right = printer(weight, "vocab"), grouped(printer, rest)
            # A table, or made for this alone.
            found.append(memory.expectation(left, right, spent=not isinstance(right, Name)))
    return total(found) if found else quote("like.new_zeros(like.shape[0])")


def whole_of(printer: RowsPrinter, body: Expr | None) -> Code | None:
    """The sum that `body` counts from 1, whole; None where it counts none."""
    if body is None or not (parts := parts_of(body)):
        return None
    base, _, whole = entries_of(printer, parts)
    return quote("{}.sum(-1)", call("_weights", base, whole))


def grouped(printer: RowsPrinter, rest: Expr) -> Code:
    """A factor at vocabulary level, with the entry's parts that share a coefficient gathered."""
    whole: Code | None = None
    for scale, parts in _pieces(rest):
        negative = parts != 1 and all(t.as_coeff_Mul()[0] < 0 for t in ordered_terms(Add(parts)))
        parts = -parts if negative else parts
        if parts == 1:
            term = printer.coefficient(scale)
        elif scale == 1:
            term = printer.wrapped(parts, "vocab", PRODUCT if whole is None else UNARY)
        else:
            factor = printer.coefficient(scale)
            term = Pair(factor, "*", printer.wrapped(parts, "vocab", UNARY))
        whole = joined(whole, negative, term)
    assert whole is not None
    return whole


def chained(printer: RowsPrinter, rest: Expr) -> Code:
    """As `grouped`, made in one new table: (a - b).mul_(c).add_(d)."""
    (scale, parts), *others = _pieces(rest)
    written = printer(parts, "vocab")
    is_table = written.strength == ATOM  # itself not to be changed
    if scale != 1 and is_table:
        written = Group(Pair(written, "*", printer.coefficient(scale)))
    elif scale != 1:
        written = quote("{}.mul_({})", written, printer.coefficient(scale))
    else:
        written = quote("{}.clone()", written) if is_table else Group(written)
    for scale, parts in others:
        if parts == 1:
            written = quote("{}.add_({})", written, printer.coefficient(scale))
        elif scale == 1:
            written = quote("{}.add_({})", written, printer(parts, "vocab"))
        else:
            entry, factor = printer(parts, "vocab"), printer.coefficient(scale)
            written = quote("{}.addcmul_({}, {})", written, entry, factor)
    return written


def _pieces(rest: Expr) -> list[tuple[Expr, Expr]]:
    """(coefficient, entry's parts) of a factor at vocabulary level; what no entry enters last."""
    groups: dict[Expr, Expr] = {}
    for part, scale in by_entry(rest).items():
        negative = scale.as_coeff_Mul()[0] < 0
        key = -scale if negative else scale
        if key not in groups and -scale in groups:
            key = -scale
        groups[key] = groups.get(key, S.Zero) + (-part if negative else part)
    pieces = []
    for scale, parts in groups.items():
        if parts.is_Rational:
            pieces.append((parts * scale, S.One))
        else:
            pieces.append((scale, parts))
    return sorted(pieces, key=lambda piece: (piece[1] == 1, str(piece)))
