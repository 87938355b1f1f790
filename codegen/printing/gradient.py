"""The gradient of one pass: with respect to the logits, and to each context of its statistics."""

from __future__ import annotations

from collections.abc import Iterable

from sympy import Expr, S, Symbol

from midpo.codegen.plan.excess import parts_of
from midpo.codegen.plan.log_sums import Tilt
from midpo.codegen.plan.statistics import (
    DRIFT,
    ENTRY,
    EXTRA,
    TILTED,
    VALUE,
    Slope,
    Statistic,
    probability,
    weighted,
)
from midpo.codegen.statements.nodes import ATOM, Code, Group, Name, Pair, Run, call, total
from midpo.codegen.statements.quote import quote

from .tables import Drift, chained, rows_printer, summed


def shared_contexts(group: tuple[Statistic, ...]) -> tuple[list[Expr], dict[Statistic, dict[Symbol, Symbol]]]:
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


class Backward:
    """The gradient of one pass: dz = sum over k of g_k*(f_k' - p*T_k), gathered by weight."""

    in_place = False
    started = False
    weighs = False  # whether a term is a weight times what may be infinite

    def __init__(
        self,
        group: tuple[Statistic, ...],
        slopes: dict[Statistic, Slope],
        renamed: dict[Statistic, dict[Symbol, Symbol]],
        names: dict[tuple[Statistic, bool], str],
        taken: Iterable[str],
        near_one: bool = False,
    ) -> None:
        self.group, self.slopes, self.renamed, self.names = group, slopes, renamed, names
        self.near_one = near_one
        count = len({c for table in renamed.values() for c in table.values()})
        self.seeds = [f"grad_{names[s, False]}" if s.trained else "_" for s in group]
        total, contexts = self.totals(count)
        self.printer = rows_printer({*taken, *names.values()}, count)
        self.printer.tilted = self.tilted
        self.printer.drifts = self.drifts
        for symbol, name in self.known.items():
            self.printer.symbols[symbol] = name
        self.context_gradients: list[str] = []
        for expr in contexts:
            name = self.printer.name("context_gradient")
            self.printer.assign(name, summed(self.printer, expr))
            self.context_gradients.append(name)
        self.assemble(total)

    def totals(self, count: int) -> tuple[Expr, list[Expr]]:
        """The gradient with respect to the logits, and with respect to each context."""
        self.known: dict[Expr, str] = {}
        self.tilted: dict[str, tuple[Tilt, str]] = {}
        self.drifts: dict[str, Drift] = {}
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
            if found.extra is not None:
                table[EXTRA] = self.symbol(self.names[one, True])
            if one.tilt is not None:
                name = self.names[one, False]
                table[TILTED] = probability(f"{name} tilted")
                self.tilted[f"{name} tilted"] = one.tilt.renamed(self.renamed[one]), name
            if parts := parts_of(one.body):
                name = f"{self.names[one, False]} drift"
                table[DRIFT] = probability(name)
                self.drifts[name] = Drift(parts, self.names[one, False], self.names[one, True])
            total += seed * (found.inner - p * found.total).xreplace(table)
            for (symbol, _), slope_of in zip(one.contexts, found.contexts, strict=True):
                at = int(str(self.renamed[one][symbol]).rpartition("_")[2]) - 1
                contexts[at] += seed * slope_of.xreplace(table)
        return total, contexts

    def symbol(self, name: str) -> Symbol:
        symbol = Symbol(name, real=True)
        self.known[symbol] = name
        return symbol

    def assemble(self, slope: Expr) -> None:
        """The lines of the gradient: a probability's terms where that probability is."""
        printer, own = self.printer, probability("pi")
        parts = weighted(slope)
        columns = all(ENTRY not in rest.free_symbols for rest in parts.values())
        self.in_place = columns and all(w == own or not w.has(own) for w in parts) and own in parts
        # Where it is NaN all is computed again, guarded; tilts are made from logarithms.
        if self.tilted or self.drifts or printer.expects:
            self.in_place = False
        if self.in_place:
            own_column = printer.coefficient(parts.pop(own))
            self.start(quote("{}.mul_({})", printer(own, "vocab"), own_column))
        # In a fixed order, the policy's own probabilities last.
        for weight, rest in sorted(parts.items(), key=lambda kv: (kv[0] == own, str(kv))):
            self.add(weight, rest)
        if not printer.lines:
            self.start(quote("torch.zeros_like(like)"))
        labels = [s for s in self.group if s.is_label and s.trained]
        if self.near_one and labels:
            (one,) = labels  # the others' share in their sum is their gradient of the log-odds
            printer.assign(
                "at_label",
                quote(
                    "torch.where(ours, {}[:, None], gradient.gather(-1, index))",
                    f"grad_{self.names[one, False]}",
                ),
            )
            self.run("gradient.scatter_(-1, index, at_label)")
        elif labels:
            seeds = total(Name(f"grad_{self.names[s, False]}") for s in labels)
            self.run("gradient.scatter_add_(-1, index, ours * {}[:, None])", seeds)

    def start(self, value: Code) -> None:
        self.started = True
        self.printer.assign("gradient", value)

    def run(self, piece: str, *holes: Code) -> None:
        self.printer.lines.append(Run(quote(piece, *holes)))

    def add(self, weight: Expr, rest: Expr) -> None:
        """One more term, weight * rest."""
        printer = self.printer
        if ENTRY not in rest.free_symbols:
            left = quote("torch.ones_like(like)") if weight == 1 else printer(weight, "vocab")
            column = printer.coefficient(rest)
            if self.started:
                self.run("gradient.addcmul_({}, {})", left, column)
            elif left.strength == ATOM and weight != 1:
                self.start(Pair(left, "*", column))
            else:
                self.start(quote("{}.mul_({})", Group(left), column))
            return
        value = chained(printer, rest)
        if weight != 1:
            value = call("weighted", printer(weight, "vocab"), value)
            self.weighs = True
        if self.started:
            printer.assign("gradient", value, "+=")
        else:
            self.start(value)
