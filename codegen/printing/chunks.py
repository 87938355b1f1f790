"""The two functions of a kernel that see logits: the statistics of some rows, and their gradient.

They are printed from the statistics' bodies and derivatives, once for every backend that walks the
logits in chunks of rows: (n, V) log-probabilities in, (n,) statistics out, and back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sympy import Add, Expr, S, Symbol

from midpo.codegen.names import marked, policy_argument
from midpo.codegen.plan.log_sums import Tilt
from midpo.codegen.plan.statistics import (
    ENTRY,
    EXTRA,
    TILTED,
    VALUE,
    Slope,
    Statistic,
    by_entry,
    probability,
    scalars,
    slope,
    weighted,
)
from midpo.symbolic.language.nodes import Log, VocabProb
from midpo.symbolic.language.text import ordered_terms

from .keeping import tilted_exponents
from .levels import ATOM, UNARY
from .printer import Printer

HELPERS = ("torch", "F", "Tensor", "index", "ours", "gradient", "expectation", "weighted", "like")

# What the functions take of a policy's rows: its log-probabilities, its probabilities.
LOG, PROB = "log", "prob"
_SPENT = ", True)"  # ends an expectation that may use the memory of its second argument
_IN_PLACE = re.compile(r"expectation\(\w+, \w+(\.sub_\(\w+\))?, True\)")
ENDINGS = {LOG: "_logps", PROB: "_probs"}


@dataclass(frozen=True)
class Read:
    """One policy read in a pass: its tables and the buffers they are made in.

    `policy` is its place among the pass's policies; each of its tables, `kinds`, has a buffer, of
    which the first may take the scores before.
    """

    policy: int
    kinds: tuple[str, ...]
    buffers: tuple[int, ...]


@dataclass(frozen=True)
class Chunk:
    """One pass over the logits: its two functions' bodies and what they take.

    `names` are the statistics in order, log-probabilities of labels first, then the extra sums
    that gradients need; `labels` are the places of the policies whose labels are asked for.
    `policies` are read in the forward pass as `reads` say, and again in the backward pass as
    `rereads` say, each with so many `buffers`; `tables` and `retables` name what is read.
    `contexts` are token-level inputs, `numbers` parameters. Where `in_place`, every term of the
    gradient is a probability times a column: it can be made where the policy's probabilities are.
    Where `near_one`, log-probabilities of labels keep their digits also where they are near 0: the
    pass asks for nothing else, and sums the other entries apart. A function is `guarded` where it
    may come upon 0 log 0.
    """

    statistics: tuple[Statistic, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    policies: tuple[str, ...]
    reads: tuple[Read, ...]
    rereads: tuple[Read, ...]
    buffers: tuple[int, int]
    tables: tuple[str, ...]
    retables: tuple[str, ...]
    contexts: tuple[Expr, ...]
    numbers: tuple[str, ...]
    forward: tuple[str, ...]
    backward: tuple[str, ...]
    seeds: tuple[str, ...]
    context_names: tuple[str, ...]
    context_gradients: tuple[str, ...]
    in_place: bool
    near_one: bool
    guarded: tuple[bool, bool]

    @property
    def scaled(self) -> bool:
        """Whether the trained policy matters only by its label's log-probability, and no sum is
        asked for: its gradient is a column times its probabilities, but for the label's entry."""
        return 0 in self.labels and len(self.labels) == len(self.names)

    @property
    def log_sums(self) -> tuple[int, ...]:
        """The places of the logarithms of sums, which do not add up over shards."""
        return tuple(n for n, one in enumerate(self.statistics) if one.tilt is not None)

    @property
    def held(self) -> int:
        """How many tables of a chunk's size there are at once: the buffers, and what torch makes
        for an expectation or where the gradient is not made in place."""
        forward, backward = self.buffers
        written = "\n".join(self.forward)
        made = int(written.count("expectation(") > len(_IN_PLACE.findall(written)))
        if self.log_sums:  # exponents, those that count, exponentials
            made = 3
        return max(1, forward + made, backward + (not self.in_place))


class RowsPrinter(Printer):
    """Prints at two levels: "token" is (n,), "vocab" is (n, V)."""

    guards = False

    def __init__(self, taken: Iterable[str]) -> None:
        super().__init__(taken)
        self.symbols: dict[Expr, str] = {}
        self.tables: dict[tuple[str, str], str] = {}
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
        policy they are made from others'."""
        if policy in self.tilted:
            tilt, value = self.tilted[policy]
            return self.local(policy, "tilted", lambda: (
                f"torch.exp({tilted_exponents(self, tilt)} - {value}[:, None])"))
        if (policy, kind) not in self.tables:
            wanted = policy_argument(policy).replace("_logits", ENDINGS[kind])
            self.tables[policy, kind] = self.name(wanted)
        return self.tables[policy, kind]

    def tensor(self, expr: Any, level: str) -> str:
        if not self.is_scalar(expr):
            return self.argument(expr, level)
        return f"like.new_tensor({self(expr, level)})"

    def coefficient(self, expr: Expr) -> str:
        """A token-level factor as a column."""
        if self.is_scalar(expr):
            return self.wrapped(expr, "token", UNARY)
        written = self(expr, "token")
        if not written.isidentifier():
            written = self.bind(("coefficient", expr), "coefficient", written)
        return f"{written}[:, None]"


def chunk(group: tuple[Statistic, ...], taken: Iterable[str], near_one: bool = False) -> Chunk:
    """The functions of one pass for these statistics."""
    near_one = near_one and all(s.is_label for s in group)
    slopes = {s: slope(s) for s in group if s.trained and not s.is_label}
    contexts, renamed = shared_contexts(group)
    names, printer = _forward(group, slopes, renamed, taken)
    back = Backward(group, slopes, renamed, names, taken, near_one)
    numbers = tuple(map(marked, sorted(set().union(*map(scalars, group)))))
    named = {p for s in group for p in s.policies} | {p for p, _ in back.printer.tables}
    policies = sorted(named | {"pi"}, key=lambda p: (p != "pi", p))
    reads, count = _reads(policies, printer.tables, list(range(len(policies))), spare=True)
    again = [n for n, p in enumerate(policies) if p in {q for q, _ in back.printer.tables}]
    rereads, recount = _reads(policies, back.printer.tables, again, spare=False)
    return Chunk(
        group,
        tuple(names.values()),
        tuple(policies.index(s.policies[0]) for s in group if s.is_label),
        tuple(policies),
        reads,
        rereads,
        (count, recount),
        _named(policies, printer.tables, reads),
        _named(policies, back.printer.tables, reads),
        tuple(contexts),
        numbers,
        _spending(printer.lines, printer.tables),
        tuple(back.printer.lines),
        tuple(back.seeds),
        tuple(f"context{n + 1}" for n in range(len(contexts))),
        tuple(back.context_gradients),
        back.in_place,
        near_one,
        (printer.expects, back.printer.expects or back.weighs),
    )


def _reads(
    policies: list[str], tables: dict[tuple[str, str], str], wanted: list[int], *, spare: bool
) -> tuple[tuple[Read, ...], int]:
    """Buffers for the tables, one after the other, and how many.

    With `spare` the last one is free until the last policy is read, for the scores of policies
    without tables and for exponentials that are only summed.
    """
    place, found = 0, []
    for n in wanted:
        kinds = tuple(k for k in (LOG, PROB) if (policies[n], k) in tables)
        found.append(Read(n, kinds, tuple(range(place, place + len(kinds)))))
        place += len(kinds)
    if not spare:
        return tuple(found), max(1, place)
    if PROB not in found[-1].kinds:
        place += 1
    return tuple(r if r.kinds else replace(r, buffers=(place - 1,)) for r in found), place


def _named(
    policies: list[str], tables: dict[tuple[str, str], str], reads: tuple[Read, ...]
) -> tuple[str, ...]:
    pairs = [(policies[read.policy], kind) for read in reads for kind in (LOG, PROB)]
    return tuple(tables[pair] for pair in pairs if pair in tables)


def _spending(lines: list[str], tables: dict[tuple[str, str], str]) -> tuple[str, ...]:
    """The lines with a difference of two tables, and the product that an expectation sums, made in
    the memory of a table where that is the last time that it is spoken of."""
    written = "\n".join(lines)
    for (_, kind), name in tables.items():
        count = len(re.findall(rf"\b{name}\b", written))
        if count == 1:
            if kind == LOG:
                written = re.sub(rf"\({name} - (\w+)\)", rf"{name}.sub_(\1)", written)
            written = re.sub(rf"(expectation\(\w+, {name})\)", rf"\1{_SPENT}", written)
        if count == 2:
            written = written.replace(f"expectation({name}, {name})",
                                      f"expectation({name}, {name}{_SPENT}")
    return tuple(written.splitlines())


def shared_contexts(
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


def _printer(taken: Iterable[str], contexts: int) -> RowsPrinter:
    printer = RowsPrinter({*taken, *HELPERS, *(f"context{n + 1}" for n in range(contexts))})
    for n in range(contexts):
        printer.symbols[Symbol(f"context_{n + 1}", real=True)] = f"context{n + 1}"
    return printer


def _forward(
    group: tuple[Statistic, ...],
    slopes: dict[Statistic, Slope],
    renamed: dict[Statistic, dict[Symbol, Symbol]],
    taken: Iterable[str],
) -> tuple[dict[tuple[Statistic, bool], str], RowsPrinter]:
    """The names of the statistics and extra sums, and the printer with the lines of the sums."""
    count = len({c for table in renamed.values() for c in table.values()})
    printer = _printer(taken, count)
    names: dict[tuple[Statistic, bool], str] = {}
    for one in group:
        name = names[one, False] = printer.name(one.name)
        if one.tilt is not None:
            tilt = one.tilt.renamed(renamed[one])
            printer.assign(name, f"{tilted_exponents(printer, tilt)}.logsumexp(-1)")
        elif one.body is not None:
            printer.assign(name, _summed(printer, one.body.xreplace(renamed[one])))
    for one, found in slopes.items():
        if found.needs_extra:
            name = names[one, True] = printer.name(f"{one.name}_slope")
            printer.assign(name, _summed(printer, found.inner.xreplace(renamed[one])))
    return names, printer


def _summed(printer: RowsPrinter, body: Expr) -> str:
    """The text of the sum of `body` over the vocabulary."""
    parts = []
    for weight, rest in weighted(body).items():
        if weight == 1:
            parts.append(f"({printer(rest, 'vocab')}).sum(-1)")
        elif rest == 1 and weight.is_Pow and weight.exp == 2:  # without a table of the squares
            printer.expects = True
            base = printer(weight.base, "vocab")
            parts.append(f"expectation({base}, {base})")
        elif rest == 1:
            parts.append(f"{printer.wrapped(weight, 'vocab', 4)}.sum(-1)")
        else:
            printer.expects = True
            left, right = printer(weight, "vocab"), grouped(printer, rest)
            ending = ")" if right.isidentifier() else _SPENT  # a table, or made for this alone
            parts.append(f"expectation({left}, {right}{ending}")
    return " + ".join(parts) or "like.new_zeros(like.shape[0])"


def grouped(printer: RowsPrinter, rest: Expr) -> str:
    """A factor at vocabulary level, with the entry's parts that share a coefficient gathered."""
    written = ""
    for scale, parts in _pieces(rest):
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


def chained(printer: RowsPrinter, rest: Expr) -> str:
    """As `grouped`, made in one new table: (a - b).mul_(c).add_(d)."""
    (scale, parts), *others = _pieces(rest)
    written, strength = printer.emit(parts, "vocab")
    if scale != 1 and strength == ATOM:  # a table itself is not to be changed
        written = f"({written} * {printer.coefficient(scale)})"
    elif scale != 1:
        written = f"({written}).mul_({printer.coefficient(scale)})"
    else:
        written = f"{written}.clone()" if strength == ATOM else f"({written})"
    for scale, parts in others:
        if parts == 1:
            written += f".add_({printer.coefficient(scale)})"
        elif scale == 1:
            written += f".add_({printer(parts, 'vocab')})"
        else:
            written += f".addcmul_({printer(parts, 'vocab')}, {printer.coefficient(scale)})"
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


class Backward:
    """The gradient of one pass: dz = sum over k of g_k*(f_k' - p*T_k), gathered by weight."""

    in_place = False
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
        self.printer = _printer({*taken, *names.values()}, count)
        self.printer.tilted = self.tilted
        for symbol, name in self.known.items():
            self.printer.symbols[symbol] = name
        self.context_gradients: list[str] = []
        for expr in contexts:
            name = self.printer.name("context_gradient")
            self.printer.assign(name, _summed(self.printer, expr))
            self.context_gradients.append(name)
        self.assemble(total)

    def totals(self, count: int) -> tuple[Expr, list[Expr]]:
        """The gradient with respect to the logits, and with respect to each context."""
        self.known: dict[Expr, str] = {}
        self.tilted: dict[str, tuple[Tilt, str]] = {}
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
            if one.tilt is not None:
                name = self.names[one, False]
                table[TILTED] = probability(f"{name} tilted")
                self.tilted[f"{name} tilted"] = one.tilt.renamed(self.renamed[one]), name
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
        """The lines of the gradient: a probability's terms where that probability is."""
        printer, own = self.printer, probability("pi")
        parts = weighted(total)
        columns = all(ENTRY not in rest.free_symbols for rest in parts.values())
        self.in_place = columns and all(w == own or not w.has(own) for w in parts) and own in parts
        # Where it is NaN all is computed again, guarded; tilts are made from logarithms.
        if self.tilted or printer.expects:
            self.in_place = False
        if self.in_place:
            first = f"{printer(own, 'vocab')}.mul_({printer.coefficient(parts.pop(own))})"
            printer.assign("gradient", first)
        # In a fixed order, the policy's own probabilities last.
        for weight, rest in sorted(parts.items(), key=lambda kv: (kv[0] == own, str(kv))):
            self.add(weight, rest)
        if not printer.lines:
            printer.assign("gradient", "torch.zeros_like(like)")
        labels = [s for s in self.group if s.is_label and s.trained]
        if self.near_one and labels:
            (one,) = labels
            name = self.names[one, False]  # 1 - p, from log p: of p no digits are left
            printer.assign("at_label", f"grad_{name} * -torch.expm1({name})")
            printer.lines += [
                "at_label = torch.where(ours, at_label[:, None], gradient.gather(-1, index))",
                "gradient.scatter_(-1, index, at_label)",
            ]
        elif labels:
            seeds = " + ".join(f"grad_{self.names[s, False]}" for s in labels)
            seeds = seeds if len(labels) == 1 else f"({seeds})"
            printer.lines.append(f"gradient.scatter_add_(-1, index, ours * {seeds}[:, None])")

    def add(self, weight: Expr, rest: Expr) -> None:
        """One more term, weight * rest."""
        printer = self.printer
        started = any(line.startswith("gradient") for line in printer.lines)
        if ENTRY not in rest.free_symbols:
            left = "torch.ones_like(like)" if weight == 1 else printer(weight, "vocab")
            column = printer.coefficient(rest)
            if started:
                printer.lines.append(f"gradient.addcmul_({left}, {column})")
            elif printer.emit(weight, "vocab")[1] == ATOM:
                printer.assign("gradient", f"{left} * {column}")
            else:
                printer.assign("gradient", f"({left}).mul_({column})")
            return
        value = chained(printer, rest)
        if weight != 1:
            value = f"weighted({printer(weight, 'vocab')}, {value})"
            self.weighs = True
        if started:
            printer.lines.append(f"gradient += {value}")
        else:
            printer.assign("gradient", value)
