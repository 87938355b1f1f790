"""The two functions of a kernel that see logits: the statistics of some rows, and their gradient.

They are printed from the statistics' bodies and derivatives, once for every backend that walks the
logits in chunks of rows: (n, V) log-probabilities in, (n,) statistics out, and back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sympy import Add, Expr, S, Symbol

from midpo.symbolic.language import POLICY, Log, VocabProb
from midpo.symbolic.spec import policy_argument
from midpo.symbolic.text import ordered_terms

from .printer import UNARY, Printer
from .statistics import (
    ENTRY,
    EXTRA,
    VALUE,
    Slope,
    Statistic,
    by_entry,
    probability,
    scalars,
    slope,
    weighted,
)

HELPERS = ("torch", "F", "Tensor", "labels", "gradient", "normalisers", "z")


@dataclass(frozen=True)
class Chunk:
    """One pass over the logits: its two functions' bodies and what they take.

    `names` are the statistics in order, then the extra sums that gradients need; `trained` marks
    those a gradient flows back from. `policies` are read in the forward pass, `reread` in the
    backward pass, as log-probabilities where `logs` has them, else as probabilities;
    `contexts` are token-level inputs, `numbers` parameters.
    """

    statistics: tuple[Statistic, ...]
    names: tuple[str, ...]
    fills: tuple[float, ...]
    policies: tuple[str, ...]
    reread: tuple[str, ...]
    logs: frozenset[str]
    contexts: tuple[Expr, ...]
    numbers: tuple[str, ...]
    forward: tuple[str, ...]
    backward: tuple[str, ...]
    seeds: tuple[str, ...]
    context_names: tuple[str, ...]
    context_gradients: tuple[str, ...]
    helpers: frozenset[str]


class RowsPrinter(Printer):
    """Prints at two levels: "token" is (n,), "vocab" is (n, V)."""

    def __init__(self, taken: Iterable[str]) -> None:
        super().__init__(taken)
        self.symbols: dict[Expr, str] = {}
        self.dtype = "torch.get_default_dtype()"  # replaced where a number must become a tensor

    def know(self, symbol: Expr, wanted: str) -> str:
        """A name for a token-level symbol."""
        if symbol not in self.symbols:
            self.symbols[symbol] = self.name(wanted)
        return self.symbols[symbol]

    def atom(self, expr: Any) -> tuple[str, str] | None:
        if expr in self.symbols:
            return "token", self.symbols[expr]
        if expr.is_Symbol or not expr.free_symbols & set(self.symbols) or isinstance(expr, Log):
            return super().atom(expr)
        return None

    def is_scalar(self, expr: Any) -> bool:
        return not expr.free_symbols & set(self.symbols) and super().is_scalar(expr)

    def policy(self, policy: Symbol) -> str:
        return self.locals["policy", policy]

    def probabilities(self, expr: Expr) -> str:
        return self(expr, "vocab")

    def tensor(self, expr: Any, level: str) -> str:
        if not self.is_scalar(expr):
            return self.argument(expr, level)
        return f"labels.new_tensor({self(expr, level)}, dtype=torch.float64)"

    def coefficient(self, expr: Expr) -> str:
        """A token-level factor as a column."""
        if self.is_scalar(expr):
            return self.wrapped(expr, "token", UNARY)
        written = self(expr, "token")
        if not written.isidentifier():
            written = self.bind(("coefficient", expr), "coefficient", written)
        return f"{written}[:, None]"


def chunk(group: tuple[Statistic, ...], taken: Iterable[str]) -> Chunk:
    """The functions of one pass for these statistics."""
    slopes = {s: slope(s) for s in group if s.trained and not s.is_label}
    contexts, renamed = _contexts(group)
    names, fills, forward, printer = _forward(group, slopes, renamed, taken)
    back = _Backward(group, slopes, renamed, names, taken)
    numbers = tuple(sorted(set().union(*map(scalars, group))))
    others = {p for s in group for p in s.policies} | set(back.reread)
    policies = sorted(others | {"pi"}, key=lambda p: (p != "pi", p))
    return Chunk(
        group,
        tuple(names.values()),
        fills,
        tuple(policies),
        back.reread,
        frozenset(back.logs),
        tuple(contexts),
        numbers,
        tuple(forward),
        tuple(back.printer.lines),
        tuple(back.seeds),
        tuple(f"context{n + 1}" for n in range(len(contexts))),
        tuple(back.context_gradients),
        frozenset(printer.helpers | back.printer.helpers),
    )


def _contexts(
    group: tuple[Statistic, ...],
) -> tuple[list[Expr], dict[Statistic, dict[Symbol, Symbol]]]:
    """All contexts of a pass, each once, and each statistic's symbols in their common names."""
    shared: list[Expr] = []
    renamed: dict[Statistic, dict[Symbol, Symbol]] = {}
    for one in group:
        renamed[one] = {}
        for symbol, expr in one.contexts:
            if expr not in shared:
                shared.append(expr)
            common = Symbol(f"context_{shared.index(expr) + 1}", real=True)
            renamed[one][symbol] = common
    return shared, renamed


def _printer(taken: Iterable[str], contexts: int, policies: Iterable[str]) -> RowsPrinter:
    printer = RowsPrinter({*taken, *HELPERS, *(f"context{n + 1}" for n in range(contexts))})
    for n in range(contexts):
        printer.symbols[Symbol(f"context_{n + 1}", real=True)] = f"context{n + 1}"
    for policy in policies:
        name = policy_argument(policy).replace("_logits", "_logps")
        printer.locals["policy", Symbol(policy)] = name
        printer.name.taken.add(name)
    return printer


def _forward(
    group: tuple[Statistic, ...],
    slopes: dict[Statistic, Slope],
    renamed: dict[Statistic, dict[Symbol, Symbol]],
    taken: Iterable[str],
) -> tuple[dict[tuple[Statistic, bool], str], tuple[float, ...], list[str], RowsPrinter]:
    count = len({c for table in renamed.values() for c in table.values()})
    printer = _printer(taken, count, {p for s in group for p in s.policies})
    names: dict[tuple[Statistic, bool], str] = {}
    fills: list[float] = []
    for one in group:
        name = names[one, False] = printer.name(one.name)
        if one.body is None:
            printer.helpers.add("at_labels")
            logps = printer.policy(Symbol(one.policies[0]))
            printer.assign(name, f"_at_labels({logps}, labels)")
            fills.append(-1.0)
            continue
        printer.assign(name, _summed(printer, one.body.xreplace(renamed[one])))
        fills.append(0.5)
    for one, found in slopes.items():
        if found.needs_extra:
            name = names[one, True] = printer.name(f"{one.name}_slope")
            printer.assign(name, _summed(printer, found.inner.xreplace(renamed[one])))
            fills.append(0.5)
    return names, tuple(fills), printer.lines, printer


def _summed(printer: RowsPrinter, body: Expr) -> str:
    """The text of the sum of `body` over the vocabulary."""
    parts = []
    for weight, rest in weighted(body).items():
        if weight == 1:
            parts.append(f"({printer(rest, 'vocab')}).sum(-1)")
        elif rest.is_Rational and rest == 1:
            parts.append(f"{printer.wrapped(weight, 'vocab', 4)}.sum(-1)")
        else:
            printer.helpers.add("expectation")
            left, right = printer(weight, "vocab"), _grouped(printer, rest)
            parts.append(f"_expectation({left}, {right})")
    return " + ".join(parts) or "labels.new_zeros(labels.shape, dtype=torch.float64)"


def _grouped(printer: RowsPrinter, rest: Expr) -> str:
    """A factor at vocabulary level, with the entry's parts that share a coefficient gathered."""
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
    written = ""
    for scale, parts in sorted(pieces, key=lambda piece: (piece[1] == 1, str(piece))):
        negative = parts != 1 and all(
            t.as_coeff_Mul()[0] < 0 for t in ordered_terms(Add(parts))
        )
        parts = -parts if negative else parts
        if parts == 1:
            term = printer.coefficient(scale)
        elif scale == 1:
            term = printer.wrapped(parts, "vocab", UNARY - 1 if not written else UNARY)
        else:
            term = f"{printer.coefficient(scale)} * {printer.wrapped(parts, 'vocab', UNARY)}"
        sign = ("-" if negative else "") if not written else (" - " if negative else " + ")
        written += sign + term
    return written


class _Backward:
    """The gradient of one pass: dz = sum over k of g_k*(f_k' - p*T_k), gathered by weight."""

    def __init__(
        self,
        group: tuple[Statistic, ...],
        slopes: dict[Statistic, Slope],
        renamed: dict[Statistic, dict[Symbol, Symbol]],
        names: dict[tuple[Statistic, bool], str],
        taken: Iterable[str],
    ) -> None:
        self.group, self.slopes, self.renamed, self.names = group, slopes, renamed, names
        count = len({c for table in renamed.values() for c in table.values()})
        self.seeds = [f"grad_{names[s, False]}" if s.trained else "_" for s in group]
        total, contexts = self.totals(count)
        policies = {str(a.args[0]) for e in (total, *contexts) for a in e.atoms(VocabProb)}
        self.reread = tuple(sorted(policies | {"pi"}, key=lambda p: (p != "pi", p)))
        self.printer = _printer({*taken, *names.values()}, count, self.reread)
        for symbol, name in self.known.items():
            self.printer.symbols[symbol] = name
        # Where no logarithm is needed a softmax is one exponential less than a log-softmax.
        self.logs = {
            str(a.args[0].args[0])
            for e in (total, *contexts)
            for a in e.atoms(Log)
            if isinstance(a.args[0], VocabProb)
        }
        for policy in self.reread:
            if policy not in self.logs:
                name = self.printer.locals["policy", Symbol(policy)].replace("_logps", "_probs")
                self.printer.locals["probs", Symbol(policy)] = name
                self.printer.locals["policy", Symbol(policy)] = name
                self.printer.name.taken.add(name)
        self.context_gradients: list[str] = []
        for expr in contexts:
            name = self.printer.name("context_gradient")
            self.printer.assign(name, _summed(self.printer, expr))
            self.context_gradients.append(name)
        self.assemble(total)

    def totals(self, count: int) -> tuple[Expr, list[Expr]]:
        """The gradient with respect to the logits, and with respect to each context."""
        self.known: dict[Expr, str] = {}
        total: Expr = S.Zero
        contexts: list[Expr] = [S.Zero] * count
        p = probability("pi")
        for one in self.group:
            if not one.trained:
                continue
            seed = self.symbol(f"grad_{self.names[one, False]}")
            if one.is_label:
                total -= p * seed
                continue
            found = self.slopes[one]
            table = dict(self.renamed[one])
            table[VALUE] = self.symbol(self.names[one, False])
            if found.needs_extra:
                table[EXTRA] = self.symbol(self.names[one, True])
            total += seed * (found.inner - p * found.total).xreplace(table)
            for (symbol, _), slope_of in zip(one.contexts, found.contexts, strict=True):
                at = int(str(self.renamed[one][symbol]).rpartition("_")[2]) - 1
                contexts[at] += seed * slope_of.xreplace(table)
        return total, contexts

    def symbol(self, name: str) -> Symbol:
        symbol = Symbol(name, real=True)
        self.known[symbol] = name
        return symbol

    def assemble(self, total: Expr) -> None:
        printer = self.printer
        # In a fixed order, the policy's own probabilities last.
        own = probability("pi")
        parts = sorted(weighted(total).items(), key=lambda kv: (kv[0] == own, str(kv)))
        started = False
        for weight, rest in parts:
            if ENTRY not in rest.free_symbols:
                left = self.wrapped_weight(weight)
                value = f"{left} * {printer.coefficient(rest)}"
            elif weight == 1:
                value = _grouped(printer, rest)
            else:
                printer.helpers.add("weighted")
                value = f"_weighted({printer(weight, 'vocab')}, {_grouped(printer, rest)})"
            if started:
                printer.lines.append(f"gradient += {value}")
            else:
                printer.assign("gradient", value)
            started = True
        if not started:
            printer.assign("gradient", f"torch.zeros_like({printer.policy(POLICY)})")
        labels = [s for s in self.group if s.is_label and s.trained]
        if labels:
            printer.helpers.add("add_at_labels")
            seeds = " + ".join(f"grad_{self.names[s, False]}" for s in labels)
            printer.lines.append(f"_add_at_labels(gradient, labels, {seeds})")

    def wrapped_weight(self, weight: Expr) -> str:
        if weight == 1:
            return f"torch.ones_like({self.printer.policy(POLICY)})"
        return self.printer.wrapped(weight, "vocab", UNARY)

