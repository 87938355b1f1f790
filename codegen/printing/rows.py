"""The kernels of one pass over the logits, row by row, as the lines that their template joins.

A row of every policy's logits is read once, a block of the vocabulary at a time: by a program of
its own in Triton, in a loop in C.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sympy import Add, Expr, S, Symbol

from midpo.codegen.names import is_marked, plain, policy_argument
from midpo.codegen.plan.online import Coefficients, Term, moments, terms_of
from midpo.codegen.plan.statistics import probability, slope
from midpo.codegen.statements import python
from midpo.codegen.statements.nodes import Group, Name, Pair, call, names
from midpo.codegen.statements.quote import quote
from midpo.symbolic.language.nodes import Exp

from .blocks import TRITON, BlockPrinter, Dialect
from .chunks import Chunk
from .gradient import Backward, shared_contexts
from .writing import Namer

# What the template calls its own.
WORDS = frozenset(
    (
        "tl",
        "torch",
        "triton",
        "row",
        "label",
        "here",
        "known",
        "labels",
        "contexts",
        "values",
        "normalisers",
        "states",
        "seeds",
        "outside",
        "z",
        "tokens",
        "columns",
        "size",
        "start",
        "span",
        "first",
        "last",
        "whole",
        "begin",
        "at",
        "inside",
        "start_at",
        "stop_at",
        "gradient",
        "out",
        "gradient_outer",
        "gradient_inner",
        "split",
        "part",
        "REST",
        "LOWEST",
        "NEAR",
        "SPLITS",
        "BLOCK",
        "STAGES",
        "_exp",
        "_moved",
        "_block",
        "_place",
        "_probability",
        "_tanh",
        "_log_sigmoid",
        "k",
        "n",
        "at_label",
        "logit",
    )
)

LINES = ("rescale", "accumulate", "finish", "second", "slopes")


@dataclass(frozen=True)
class Sums:
    """What a pass computes: the policy whose label's log-probability it is, or what is summed over
    the vocabulary; and the gradient, by `Backward.totals`."""

    bodies: tuple[Expr | str, ...]
    total: Expr
    outside: tuple[Expr, ...]
    label_seeds: tuple[str, ...]


def sums_of(found: Chunk) -> Sums:
    group = found.statistics
    slopes = {s: slope(s) for s in group if s.trained and not s.is_label}
    _, renamed = shared_contexts(group)
    extra = [s for s, one in slopes.items() if one.extra is not None]
    keys = [*((s, False) for s in group), *((s, True) for s in extra)]
    names = dict(zip(keys, found.names, strict=True))
    back = Backward(group, slopes, renamed, names, ())
    total, outside = back.totals(len(found.contexts))
    weights = {
        probability(name): Exp(tilt.exponent - Symbol(value, real=True))
        for name, (tilt, value) in back.tilted.items()
    }
    weights |= {probability(name): one.meaning() for name, one in back.drifts.items()}
    total, outside = total.xreplace(weights), [e.xreplace(weights) for e in outside]
    bodies = [s.policies[0] if s.body is None else s.body.xreplace(renamed[s]) for s in group]
    bodies += [one.xreplace(renamed[s]) for s in extra if (one := slopes[s].extra)]
    seeds = tuple(f"grad_{names[s, False]}" for s in group if s.is_label and s.trained)
    return Sums(tuple(bodies), total, tuple(outside), seeds)


def kernels(found: Chunk, taken: Iterable[str], dialect: Dialect = TRITON) -> dict[str, Any]:
    """What triton.py.j2 or native.py.j2 asks for of one pass."""
    return _Kernels(found, {*taken, *WORDS}, dialect).values()


def reads_of_triton(made: Mapping[str, Any]) -> frozenset[str]:
    """What the kernels of a pass call: in their lines, and what their template has."""
    found = {name for key in LINES for name in names(made[key])}
    found |= {"_kernel", "_place", "_block", "_exp", "tl"}
    some = any(not t["logps"] for t in (*made["second_reads"], *made["slope_reads"]))
    return frozenset(found | ({"_probability"} if some else set()))


def reads_of_c(made: Mapping[str, Any]) -> frozenset[str]:
    found = {name for key in LINES for name in names(made[key])}
    return frozenset(found | {"_place", "_entry", "_entries", "_highest", "_decay", "_store"})


def as_triton(made: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of one pass as Triton has them."""
    return {key: python.lines(value) if key in LINES else value for key, value in made.items()}


class _Kernels:
    def __init__(self, found: Chunk, taken: set[str], dialect: Dialect) -> None:
        ours = {n for n in (*found.names, *found.context_names, *found.seeds) if not is_marked(n)}
        self.name = Namer({*taken, *ours} - {"_"})
        found = self._without_marks(found)
        self.found, self.sums, self.dialect = found, sums_of(found), dialect
        self.numbers = {plain(n): self.name(f"{plain(n)}_number") for n in found.numbers}
        self.tables = {p: self._names(p, n) for n, p in enumerate(found.policies)}
        terms = {
            name: terms_of(body)
            for name, body in zip(found.names, self.sums.bodies, strict=True)
            if not isinstance(body, str)
        }
        self.later = any(found_terms is None for found_terms in terms.values())
        self.terms: dict[str, tuple[Term, ...]] = {
            name: () if self.later else found_terms or () for name, found_terms in terms.items()
        }
        self.moments = moments(term for several in self.terms.values() for term in several)

    def _without_marks(self, found: Chunk) -> Chunk:
        """The pass with names of ours for statistics that the user's policies name."""
        table = {name: self.name("statistic") for name in found.names if is_marked(name)}
        seeds = {f"grad_{old}": f"grad_{new}" for old, new in table.items()}
        self.name.taken.update(seeds.values())
        return replace(
            found,
            names=tuple(table.get(n, n) for n in found.names),
            seeds=tuple(seeds.get(n, n) for n in found.seeds),
        )

    def _names(self, policy: str, number: int) -> dict[str, str]:
        logits = policy_argument(policy)
        if is_marked(logits):
            logits = self.name(f"other{number}_logits")
        short = logits.removesuffix("_logits")
        kinds = ("outer", "inner", "base", "top", "new", "most", "shift", "scale", "log", "sum")
        names = {kind: self.name(f"{kind}_{short}") for kind in kinds}
        names |= {kind: self.name(f"{short}_{kind}") for kind in ("logps", "probs")}
        names |= {"u": self.name(f"u_{short}"), "z": self.name(f"z_{short}")}
        return names | {"logits": logits}

    def printer(self) -> BlockPrinter:
        blocks = {(p, k): t[k] for p, t in self.tables.items() for k in ("logps", "probs")}
        printer = BlockPrinter(self.name.taken, blocks, self.numbers, self.dialect)
        for number, name in enumerate(self.found.context_names):
            printer.symbols[Symbol(f"context_{number + 1}", real=True)] = name
        return printer

    def values(self) -> dict[str, Any]:
        moving = self.moving()
        return {
            "walked": list(self.tables.values()),
            "numbered": [{**t, "number": n} for n, t in enumerate(self.tables.values())],
            "kernel_numbers": tuple(self.numbers.values()),
            "later": self.later,
            **moving,
            **self.finish(moving["weights"], moving["forms"]),
            **self.second(),
            **self.backward(),
        }

    # -- forward

    def moving(self) -> dict[str, Any]:
        """The moments' names, and the lines that rescale them and that add a block to them; logits
        are counted from the largest."""
        moved, added = self.printer(), self.printer()
        single = {((p, S.One),): t for p, t in self.tables.items()}
        names: dict[Coefficients, tuple[str, str]] = {
            weight: (table["sum"], table["scale"]) for weight, table in single.items()
        }
        exponentials: dict[Coefficients, str] = {}
        shifts = {p: t["shift"] for p, t in self.tables.items()}
        logits = {p: t["u"] for p, t in self.tables.items()}
        for weight in self.moments.weights:
            if weight not in names:
                names[weight] = self.name("weight"), self.name("scale")
                shift = moved.sum_of(weight, shifts)
                moved.assign(names[weight][1], call(self.dialect.decay, shift))
        forms = {}
        for weight, linear in self.moments.forms:
            forms[weight, linear] = name = self.name("moment")
            whole, scale = names[weight]
            moved.assign(
                name, quote("_moved({}, {}, {}, {})", name, whole, moved.sum_of(linear, shifts), scale)
            )
        for weight, (name, scale) in names.items():
            moved.assign(name, Name(scale), "*=")
            exponentials[weight] = each = self.name("each")
            added.assign(each, call(self.dialect.decay, added.sum_of(weight, logits)))
            added.assign(name, Name(each), "+=")
        for (weight, linear), name in forms.items():
            value = added.sum_of(linear, logits)
            each = exponentials[weight]
            value = value if isinstance(value, Name) else Group(value)
            kept = call(
                self.dialect.where, quote("{} == 0.0", each), quote("0.0"), Pair(Name(each), "*", value)
            )
            added.assign(name, kept, "+=")
        return {
            "weights": {w: n for w, (n, _) in names.items()},
            "forms": forms,
            "accumulated": [*(n for n, _ in names.values()), *forms.values()],
            "moved": " or ".join(f"{t['new']} > {t['top']}" for t in self.tables.values()),
            "rescale": moved.lines,
            "accumulate": added.lines,
        }

    def finish(self, weights: Mapping[Coefficients, str], forms: Mapping[Any, str]) -> dict[str, Any]:
        """The lines that turn moments into sums over the vocabulary, and what is at the label."""
        printer = self.printer()
        labels = []
        for place, (name, body) in enumerate(zip(self.found.names, self.sums.bodies, strict=True)):
            if isinstance(body, str):
                labels.append((place, name, self.tables[body]))
            elif not self.later:
                total = Add(*(self.value(t, weights, forms, printer) for t in self.terms[name]))
                printer.assign(name, printer(total, "token"))
        stored = [
            (place, name)
            for place, (name, body) in enumerate(zip(self.found.names, self.sums.bodies, strict=True))
            if not isinstance(body, str)
        ]
        return {"at_label": labels, "finish": printer.lines, "stored": stored}

    def value(
        self, term: Term, weights: Mapping[Coefficients, str], forms: Mapping[Any, str], printer: BlockPrinter
    ) -> Expr:
        """A term of a sum in its moments, as `online` states it."""

        def known(name: str) -> Expr:
            symbol = Symbol(name, real=True)
            printer.symbols[symbol] = name
            return symbol

        logs = {p: known(t["log"]) for p, t in self.tables.items()}
        whole = known(weights[term.weight])
        rest = term.constant - Add(*(c * logs[p] for p, c in term.linear))
        moment = known(forms[term.weight, term.linear]) if term.linear else S.Zero
        if tuple(a for _, a in term.weight) == (1,):  # W*exp(-L) = 1
            return moment / whole + rest
        return Exp(-Add(*(a * logs[p] for p, a in term.weight))) * (moment + rest * whole)

    def second(self) -> dict[str, Any]:
        """The lines that add a block to every sum where the normalisers are known."""
        printer = self.printer()
        sums = []
        for name, body in zip(self.found.names, self.sums.bodies, strict=True):
            if not isinstance(body, str):
                printer.assign(name, printer.summand(body), "+=")
                sums.append(name)
        return {"second": printer.lines, "second_sums": sums, "second_reads": self.reads(printer)}

    def reads(self, printer: BlockPrinter) -> list[dict[str, Any]]:
        """The policies whose blocks are used, and whether as logarithms and as probabilities."""
        return [
            {**table, "number": number}
            | {k: (p, k) in printer.read for k in ("logps", "probs")}
            | {"logps_name": table["logps"], "probs_name": table["probs"]}
            for number, (p, table) in enumerate(self.tables.items())
            if {(p, "logps"), (p, "probs")} & printer.read
        ]

    # -- backward

    def backward(self) -> dict[str, Any]:
        """The lines that write a block of the gradient, and that add up those of the contexts."""
        printer = self.printer()
        symbols = {str(s) for e in (self.sums.total, *self.sums.outside) for s in e.free_symbols}
        for name in (*self.found.names, *self.found.seeds):
            printer.symbols[Symbol(name, real=True)] = name
        outside = []
        for number, expr in enumerate(self.sums.outside):
            name = self.name(f"context_gradient{number + 1}")
            printer.assign(name, printer.summand(expr), "+=")
            outside.append((number, name))
        block = self.name("slope")
        printer.gradient(self.sums.total, block)
        seeds = self.sums.label_seeds
        wanted = symbols | set(seeds)
        return {
            "slopes": printer.lines,
            "slope": block,
            "label_slope": " + ".join(seeds),
            "slope_reads": self.reads(printer),
            "context_slopes": outside,
            "loaded_values": [(k, n) for k, n in enumerate(self.found.names) if n in symbols],
            "loaded_seeds": [(k, s) for k, s in enumerate(self.found.seeds) if s in wanted],
        }
