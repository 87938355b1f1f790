"""The backends: how one loss is computed from different inputs, by different roads.

| name | inputs | how |
| --- | --- | --- |
| eager | logits | written out, differentiated by autograd |
| fused | logits | statistics of the vocabulary in chunks; the gradient in one pass |
| triton | logits | as fused, on a GPU: one pass over the logits, one that writes the gradient |
| native | logits | the same passes on a CPU, in C that the first call compiles |
| linear | hidden states and heads | as fused; logits exist only a chunk at a time |
| logps | log-probabilities of the labels | the algebra that is left |

A backend is a printer and the nodes of a file around its lines; the algebra above the statistics is
printed by the same code for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sympy import Expr, Symbol

from midpo.codegen.plan.lower import Lowered
from midpo.codegen.plan.needs import DISTRIBUTIONS
from midpo.codegen.plan.statistics import Statistic, generic, label_statistic, stages, statistic, statistics
from midpo.codegen.printing.chunks import Chunk, chunk
from midpo.codegen.printing.printer import Printer
from midpo.codegen.printing.shapes import near_one
from midpo.codegen.statements.nodes import Assign, Code, Constant, If, Item, Name, Number, Row, Starred, call
from midpo.codegen.statements.quote import quote
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.nodes import Length, Log, VocabSum
from midpo.symbolic.language.text import text

from .names import policy_argument

_KEYWORDS = ("num_pairs", "ignore_index", "cu_seqlens", "max_seqlen", "metrics", "empty", "rows")
_ALWAYS = (
    "torch",
    "dist",
    "F",
    "Tensor",
    "Any",
    "labels",
    "reduction",
    "validate",
    "flat_labels",
    "total",
    "packing",
    "present",
    "flags",
    "WAYS",
    "TABLE",
    "SOURCE",
    "KINDS",
)


@dataclass(frozen=True)
class Backend:
    """A row of the table above. `template` is of the kernels that walk a row, where it has some;
    `keywords` are the arguments it adds."""

    name: str
    keywords: tuple[str, ...] = ()
    summary: str = ""
    template: str = ""


BACKENDS = {
    row.name: row
    for row in (
        Backend(
            "eager",
            ("num_pairs", "ignore_index", "cu_seqlens", "max_seqlen", "metrics", "empty"),
            "readable, by autograd",
        ),
        Backend(
            "fused",
            (*_KEYWORDS, "inplace_backward", "vocab_group"),
            "from logits, in chunks, with an analytic gradient",
        ),
        Backend(
            "linear",
            (*_KEYWORDS, "logit_softcap", "logit_temperature"),
            "from hidden states and the output head",
        ),
        Backend(
            "triton",
            (*_KEYWORDS, "inplace_backward", "vocab_group"),
            "from logits, in one pass on a GPU",
            "triton.py.j2",
        ),
        Backend(
            "native",
            (*_KEYWORDS, "inplace_backward", "vocab_group"),
            "from logits, in one pass on a CPU, in C",
            "native.c.j2",
        ),
        Backend(
            "logps",
            ("num_pairs", "ignore_index", "cu_seqlens", "max_seqlen", "metrics", "empty", "sequence_lengths"),
            "from log-probabilities of the labels",
        ),
    )
}


class FromStatistics(Printer):
    """Prints the algebra of a loss over statistics that one call a pass has computed: of the
    operator itself or, where passes are `handed`, of a function that is told their number."""

    def __init__(
        self, taken: Any, roles: tuple[Symbol, ...], passes: list[Chunk], handed: bool = False
    ) -> None:
        super().__init__(taken, roles)
        self.passes = passes
        self.called: dict[int, str] = {}  # what a pass's statistics are in
        self.walk = self.name("walk") if handed else None
        self.layout, self.trained, self.frozen, self.settings, self.numbers = map(
            self.name, ("layout", "trained", "frozen", "settings", "scalings")
        )

    def suffix(self, number: int) -> str:
        return "" if number == 0 else f"_{number + 1}"

    def value_of(self, one: Statistic) -> str:
        if one.node not in self.locals:
            number = next(n for n, c in enumerate(self.passes) if one in c.statistics)
            self.call(number)
        return self.locals[one.node]

    def call(self, number: int) -> None:
        """The line that computes a pass's statistics, and those that name them."""
        found = self.passes[number]
        contexts = [quote("_packed({}, {})", self(c, "token"), self.layout) for c in found.contexts]
        others = [Starred(Item(Name(self.frozen), Constant(p))) for p in found.policies[1:]]
        values = self.called[number] = self.name("statistics")
        arguments = (
            Name(self.trained),
            Row("[]", tuple(others)),
            Name("flat_labels"),
            Row("[]", tuple(contexts)),
            Row("[]", (*map(Name, found.numbers), Starred(Name(self.numbers)))),
            Starred(Name(self.settings)),
        )
        if self.walk:
            target: Code = Name(values)
            value = call(self.walk, Number(str(number)), *arguments)
        else:
            target = Row("", (Name(values), Starred(Name("_"))))
            value = call(f"_forward{self.suffix(number)}", *arguments)
        self.lines.append(Assign(target, value))
        for place, one in enumerate(found.statistics):
            fill = -1.0 if one.is_label else 0.5  # outside, where nothing is counted
            padded = quote(f"_padded({{}}[{{}}], {{}}, {fill})", values, place, self.layout)
            if found.near_one:
                (policy,) = map(Symbol, one.policies)
                odds = self.name(one.name.replace("_logps", "_odds"))
                self.locals["odds", policy] = odds
                self.assign(odds, padded)
                padded = quote("F.logsigmoid({})", odds)
            name = self.locals[one.node] = self.name(one.name)
            self.assign(name, padded)

    def observed(self) -> tuple[Code, Code]:
        if self.walk is None:
            found = quote("_observed(policy_logits, flat_labels, {}[1])", self.settings)
            return found, Name(self.layout)
        if 0 not in self.called:
            self.call(0)
        return quote("{}[-OBSERVED:]", self.called[0]), Name(self.layout)

    def policy(self, policy: Symbol) -> str:  # pragma: no cover - statistics hold every such term
        raise NotYet(f"no kernel for {policy} over the whole vocabulary outside a sum")

    def at_labels(self, policy: Symbol) -> str:
        one = label_statistic(str(policy))
        if any(one in c.statistics for c in self.passes):
            return self.value_of(one)
        return self.given(one)

    def odds(self, policy: Symbol) -> str | None:
        self.at_labels(policy)
        return self.locals.get(("odds", policy))

    def given(self, one: Statistic) -> str:
        """Log-probabilities of labels under a frozen policy that no pass reads: the argument of
        this name, or from its head."""
        if one.node not in self.locals:
            (policy,) = one.policies
            name = self.locals[one.node] = one.name
            table = Item(Name(self.frozen), Constant(policy))
            found = quote("_label_logps({}, flat_labels, {}, rows)", table, self.numbers)
            self.lines.append(If(quote("{} is None", name), (Assign(Name(name), found),)))
            self.assign(name, quote("_padded({}.detach().to({}), {}, -1.0)", name, self.dtype, self.layout))
        return self.locals[one.node]

    def divergence(self, expr: Expr) -> str:
        return self.found(expr)

    def vocab_sum(self, expr: VocabSum) -> str:
        return self.found(expr)

    def vocab_log_sum(self, expr: Log) -> str:
        return self.found(expr)

    def found(self, expr: Expr) -> str:
        one = statistic(generic(expr))
        assert one is not None
        return self.value_of(one)


class FromLogps(Printer):
    """Prints the algebra of a loss over given log-probabilities of the labels."""

    whole = False  # whether sums over whole responses are enough

    def atom(self, expr: Any) -> tuple[str, str] | None:
        if isinstance(expr, Length) and self.whole:
            value = quote(
                "({}.sum(-1) if sequence_lengths is None else sequence_lengths).to({})", self.mask, self.dtype
            )
            return "row", self.local("lengths", "lengths", lambda: value)
        return super().atom(expr)

    def policy(self, policy: Symbol) -> str:
        raise NotYet(f"{policy} over the whole vocabulary")

    def at_labels(self, policy: Symbol) -> str:
        name = logps_argument(str(policy))
        if ("logps", name) not in self.locals:
            self.locals["logps", name] = name
            value = Name(name) if str(policy) == "pi" else quote("{}.detach()", name)
            self.assign(name, quote("torch.where({}, {}.to({}), -1.0)", self.mask, value, self.dtype))
        return name

    def odds(self, policy: Symbol) -> str | None:
        return None

    def divergence(self, expr: Expr) -> str:
        raise _needs_distributions(expr)

    def vocab_sum(self, expr: VocabSum) -> str:
        raise _needs_distributions(expr)

    def vocab_log_sum(self, expr: Log) -> str:
        raise _needs_distributions(expr)


def logps_argument(policy: str) -> str:
    return policy_argument(policy).replace("_logits", "_logps")


def _needs_distributions(expr: Expr) -> NotYet:
    return NotYet(
        f"the backend logps has log-probabilities of the labels only, and {text(expr)} needs the "
        "whole distribution\n  expected: backend fused or linear"
    )


def refuse_distributions(lowered: Lowered) -> None:
    """Raises: NotYet naming the first term that log-probabilities of the labels do not give."""
    for expr in (lowered.margin, lowered.loss):
        for node in sorted(expr.atoms(*DISTRIBUTIONS), key=str) if expr else ():
            raise _needs_distributions(node)


SURE = (
    "log(1 - p) is not known of a token whose log-probability is given as 0: 1 - p is taken as "
    "the smallest number, without a gradient; from logits it is known"
)


def shortfalls(lowered: Lowered, backend: Backend) -> tuple[str, ...]:
    """What this backend cannot compute to the last digits, a sentence each."""
    sure = near_one(lowered.margin, lowered.loss)
    return (SURE,) if sure and backend.name == "logps" else ()


def label_only(lowered: Lowered) -> frozenset[str]:
    """Frozen policies of which the loss needs only the log-probabilities of the labels."""
    found = _statistics(lowered)
    others = {p for s in found for p in s.policies if not s.is_label}
    return frozenset({p for s in found for p in s.policies} - others - {"pi"})


def passes(lowered: Lowered, taken: set[str], given: frozenset[str] = frozenset()) -> list[Chunk]:
    """The passes over the logits that the loss needs, less the labels of the policies `given`."""
    found = tuple(s for s in _statistics(lowered) if not given.issuperset(s.policies))
    near = bool(near_one(lowered.margin, lowered.loss))
    return [chunk(group, taken, near) for group in stages(found, apart=near)]


def _statistics(lowered: Lowered) -> tuple[Statistic, ...]:
    return statistics(e for e in (lowered.margin, lowered.loss) if e is not None)


def template_names(backend: Backend) -> set[str]:
    """What the kernel's own function calls something else than its locals."""
    return {*_ALWAYS, *backend.keywords}
