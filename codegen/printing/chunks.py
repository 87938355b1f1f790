"""The two functions of a kernel that see logits: the statistics of some rows, and their gradient.

They are printed from the statistics' bodies and derivatives, once for every backend that walks the
logits in chunks of rows: (n, V) log-probabilities in, (n,) statistics out, and back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sympy import Expr, Symbol

from midpo.codegen.names import marked
from midpo.codegen.plan.statistics import Slope, Statistic, scalars, slope
from midpo.codegen.statements.nodes import Statement
from midpo.codegen.statements.quote import quote

from . import memory
from .gradient import Backward, shared_contexts
from .keeping import tilted_exponents
from .tables import LOG, PROB, RowsPrinter, rows_printer, summed, whole_of


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
    forward: tuple[Statement, ...]
    backward: tuple[Statement, ...]
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
        made = int(not all(map(memory.is_in_place, memory.expectations(self.forward))))
        if self.log_sums:  # exponents, those that count, exponentials
            made = 3
        return max(1, forward + made, backward + (not self.in_place))


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
        memory.spending(printer.lines, [(k == LOG, n) for (_, k), n in printer.tables.items()]),
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


def _forward(
    group: tuple[Statistic, ...],
    slopes: dict[Statistic, Slope],
    renamed: dict[Statistic, dict[Symbol, Symbol]],
    taken: Iterable[str],
) -> tuple[dict[tuple[Statistic, bool], str], RowsPrinter]:
    """The names of the statistics and extra sums, and the printer with the lines of the sums."""
    count = len({c for table in renamed.values() for c in table.values()})
    printer = rows_printer(taken, count)
    names: dict[tuple[Statistic, bool], str] = {}
    for one in group:
        name = names[one, False] = printer.name(one.name)
        if one.tilt is not None:
            tilt = one.tilt.renamed(renamed[one])
            printer.assign(name, quote("{}.logsumexp(-1)", tilted_exponents(printer, tilt)))
        elif one.body is not None:
            printer.assign(name, summed(printer, one.body.xreplace(renamed[one])))
    for one, found in slopes.items():
        if found.extra is not None:
            name = names[one, True] = printer.name(f"{one.name}_slope")
            written = whole_of(printer, one.body) or summed(printer, found.extra.xreplace(renamed[one]))
            printer.assign(name, written)
    return names, printer
