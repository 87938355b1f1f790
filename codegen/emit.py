"""Spec -> Kernel: one Python file, which imports only torch or, where it is thin, midpo too."""

from __future__ import annotations

import hashlib
import linecache
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from midpo.codegen import header
from midpo.codegen.bundle import RUNTIME, TRAINING, Import, bundled, in_c
from midpo.codegen.kernels import chunked, documents, linear, steps, whole
from midpo.codegen.kernels import passes as walk
from midpo.codegen.plan.excess import parts_of
from midpo.codegen.plan.lower import Lowered, lower
from midpo.codegen.plan.needs import Need, Takes, takes, whole_term
from midpo.codegen.plan.statistics import label_statistic
from midpo.codegen.printing.blocks import TRITON, C, Dialect
from midpo.codegen.printing.body import body_of
from midpo.codegen.printing.chunks import Chunk
from midpo.codegen.printing.native import native
from midpo.codegen.printing.printer import Printer
from midpo.codegen.printing.rows import as_triton, kernels, reads_of_c, reads_of_triton
from midpo.codegen.printing.shapes import near_one
from midpo.codegen.statements.nodes import Assign, Constant, Name, Statement, Table, Text
from midpo.symbolic.domains.intervals import Interval
from midpo.symbolic.errors import MidpoError, NotYet
from midpo.symbolic.formula import notebook
from midpo.symbolic.language.spec import Spec

from .backends import (
    BACKENDS,
    Backend,
    FromLogps,
    FromStatistics,
    label_only,
    logps_argument,
    passes,
    refuse_distributions,
    shortfalls,
    template_names,
)
from .names import marked, plain, policy_argument, settled
from .plan import metrics
from .refusals import feature_domains, refusals
from .seal import sealed

TEMPLATES, KERNELS = (Path(__file__).parent / name for name in ("templates", "kernels"))
STEPS = KERNELS / "steps.py"
SHARED = (
    *sorted({*KERNELS.glob("*.py")} - {STEPS}),
    *sorted(RUNTIME.glob("*.py")),
    *sorted(RUNTIME.glob("*.c")),
)

FEATURE_SHAPES = {"token": "({}B, T)", "response": "({}B,)", "pair": "(B,)"}


@dataclass(frozen=True)
class Kernel:
    """A generated loss function.

    `function` is its name in `source`; `takes` says what it is given, and `needs`, `policies`,
    `roles`, `features` and `parameters` are the parts of that. `logged` are the keys of its metrics;
    so many lines are `computing`. `where` is what else the file is for, as "loop", and `function`
    then what is called there.
    `digest` is the SHA-256 of the spec and the templates it was made from; `source` also holds one
    of its own lines (`seal`), so that an edit is seen before it is overwritten.
    """

    name: str
    function: str
    source: str
    digest: str
    takes: Takes
    lowered: Lowered
    backend: str = "eager"
    logged: tuple[str, ...] = ()
    computing: int | None = None
    notes: tuple[str, ...] = ()
    where: str = ""

    @property
    def needs(self) -> Need:
        """What the loss must be told of each policy: "responses", "lengths", "tokens" or
        "distributions", as `Takes` says."""
        return self.takes.needs

    @property
    def policies(self) -> tuple[str, ...]:
        """The policies that it takes, the trained one first."""
        return self.takes.policies

    @property
    def roles(self) -> tuple[str, ...]:
        """The responses to each prompt, in the order in which a batch holds them."""
        return self.takes.responses

    @property
    def features(self) -> Mapping[str, str]:
        """Each feature that it takes, and what there is one of it for: token, response or pair."""
        return self.takes.features

    @property
    def parameters(self) -> Mapping[str, Interval]:
        """Each parameter that it takes, and its domain."""
        return self.takes.parameters

    @property
    def rewards(self) -> metrics.Rewards | None:
        """What it logs as the rewards of the chosen and the rejected response, if it logs any."""
        return metrics.implicit_rewards(self.lowered)

    def _repr_html_(self) -> str:
        return notebook.source(f"{self.function}, backend {self.backend}", self.mathematics)

    def compile(self) -> Any:
        """The function itself. Needs torch."""
        import types

        module = types.ModuleType(f"midpo_kernel_{self.function}")
        place = f"<kernel {self.name} {hashlib.sha256(self.source.encode()).hexdigest()[:12]}>"
        code = compile(self.source, place, "exec")
        # Tracebacks show the source, and Triton reads it.
        linecache.cache[place] = len(self.source), None, self.source.splitlines(True), place
        exec(code, module.__dict__)  # our own text: the spec supplies checked identifiers only
        return getattr(module, self.function)

    @property
    def mathematics(self) -> str:
        """The part of the source that computes; what follows it only checks arguments."""
        return "".join(self.source.splitlines(keepends=True)[: self.computing])

    def __str__(self) -> str:
        return self.source


def generate(
    spec: Spec,
    backend: str = "eager",
    *,
    as_written: bool = False,
    thin: bool = False,
    where: str = "",
    token_metrics: bool = False,
) -> Kernel:
    """The kernel of `spec`'s loss: its target's, its prior's where it has no target, or that of a
    batch where no pair has a loss; computed `as_written`, or in a form that keeps its digits. A
    `thin` one imports what it calls of the runtime. `where`, of kernels.steps.WHERES, adds what
    calls it there. With `token_metrics` it logs entropy, mean logits and top-1 accuracy too, as it
    always does for TRL.

    Raises: NotYet for what no kernel is written for (the message names the term); MidpoError for
    a backend that is not there.
    """
    if backend not in BACKENDS:
        raise MidpoError(f'no backend "{backend}"\n  expected: {", ".join(BACKENDS)}')
    if not has_loss(spec):
        raise NotYet(f"no kernel for {spec.name}: its file states neither a prior nor a target")
    if where:
        steps.refuse(where, backend)
    if token_metrics and backend == "logps":
        raise NotYet("entropy, mean logits and top-1 accuracy are of logits, and the backend logps has none")
    lowered = lower(spec, as_written=as_written)
    observes = token_metrics or where == "trl"
    return _Emitter(spec, lowered, BACKENDS[backend], thin, where, observes).kernel()


def has_loss(spec: Spec) -> bool:
    """Whether the spec states something that a kernel computes.
    Raises: SpecError for a row without a formula."""
    return spec.batch is not None or spec.prior is not None or spec.has_target


class _Emitter:
    """One spec, one backend: everything its template asks for."""

    def __init__(
        self, spec: Spec, lowered: Lowered, backend: Backend, thin: bool, where: str, observes: bool
    ) -> None:
        self.spec, self.lowered, self.backend, self.thin = spec, lowered, backend, thin
        self.where, self.observes = where, observes
        self.takes = takes(spec, lowered)
        self.policies, self.features = self.takes.policies, self.takes.features
        self.parameters = self.takes.parameters
        self.function = spec.name.replace("-", "_") + "_loss"
        named = logps_argument if backend.name == "logps" else policy_argument
        self.arguments = [named(p) for p in self.policies]
        # How all arguments of a policy begin.
        self.shorts = [a.removesuffix("_logits").removesuffix("_logps") for a in self.arguments]
        # What ours yield to, for the reader's sake; that the user's are apart is `names`' work.
        self.taken = {
            *spec.names.taken(),
            *map(plain, self.arguments),
            self.function,
            "labels",
            "reduction",
            "validate",
        }
        self.digest = _digest(spec, backend, where)
        self.notes = (*lowered.notes, *shortfalls(lowered, backend))

    def kernel(self) -> Kernel:
        term = whole_term(self.lowered, self.takes) if self.where else ""
        if self.where:
            steps.refuse_loss(self.where, self.spec.name, self.takes, term)
        values = {"eager": self.eager, "logps": self.logps, "triton": self.triton, "native": self.native}.get(
            self.backend.name, self.from_statistics
        )()
        v = SimpleNamespace(**self.common() | values, whole_term=term)
        before, after = _statements(v)
        imports: tuple[Import, ...] = ()
        if self.where:
            before, after, imports = steps.around(v, before, after)
        said = {marked(n): f'the parameter "{n}"' for n in self.parameters}
        said |= {marked(n): f'the feature "{n}"' for n in self.features}
        said |= {f"{marked(p.removeprefix('pi_'))}_": f'the policy "{p}"' for p in self.policies}
        made = settled([*before, *after], self.function, said, self.backend.name)
        doc = map(plain, documents.of_file(v))
        bundle = bundled(doc, made[: len(before)], made[len(before) :], self.thin, imports)
        source = sealed(bundle.source, after=f"{self.digest}.")
        return Kernel(
            self.spec.name,
            steps.WHERES[self.where].function if self.where else self.function,
            source,
            self.digest,
            self.takes,
            self.lowered,
            self.backend.name,
            values["logged"],
            bundle.computing + 1,  # and the seal
            self.notes,
            self.where,
        )

    def common(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "name": spec.name,
            "function": self.function,
            "backend": self.backend.name,
            "digest": self.digest,
            "where": self.where,
            "observes": self.observes,
            "takes": self.takes,
            "whole": False,
            "label_only": frozenset(),
            "needs": "Thin: it needs midpo, whose functions it imports, and"
            if self.thin
            else "Self-contained: it needs",
            "summary": [header.docstring(line) for line in header.summary(spec)],
            "formula": [header.docstring(line) for line in header.formula(spec)],
            "reference": [header.docstring(line) for line in header.reference(spec)],
            "notes": [line for note in self.notes for line in textwrap.wrap(f"Note: {note}.", 92)],
            "of": len(spec.roles),
            "orders_batch": spec.orders_batch,
            "beside": [header.docstring(line) for line in header.beside(spec)],
            "logits": [
                (a, header.logits_meaning(p, a, len(spec.roles)))
                for a, p in zip(self.arguments, self.policies, strict=True)
            ],
            "shorts": dict(list(zip(self.policies, self.shorts, strict=True))[1:]),
            "frozen_arguments": list(zip(self.policies, self.arguments, strict=True))[1:],
            "features": [
                (marked(n), FEATURE_SHAPES[k].format(len(spec.roles)), k) for n, k in self.features.items()
            ],
            "parameters": [
                (marked(n), header.default(spec, n), d.described) for n, d in self.parameters.items()
            ],
            "refusals": list(refusals(spec, self.parameters)),
            "bounded": feature_domains(spec, self.features),
        }

    def eager(self) -> dict[str, Any]:
        printer = Printer({*self.names(), "torch", "F", "Tensor"}, self.spec.roles)
        printer.near_one = bool(near_one(self.lowered.margin, self.lowered.loss))
        return self.with_metrics(printer, body_of(printer, self.lowered))

    @staticmethod
    def scalar(printer: Printer) -> dict[str, Any]:
        return {"mask": printer.mask, "dtype": printer.dtype, "loss": printer.locals["loss"]}

    def names(self) -> set[str]:
        """What the function's locals are not called."""
        return self.taken | template_names(self.backend)

    def logps(self) -> dict[str, Any]:
        refuse_distributions(self.lowered)
        printer = FromLogps(self.names(), self.spec.roles)
        printer.whole = self.takes.needs in ("responses", "lengths")
        body = body_of(printer, self.lowered)
        return self.with_metrics(printer, body) | {
            "arguments": self.arguments,
            "whole": printer.whole,
            "needs_lengths": self.takes.needs == "lengths",
        }

    def from_statistics(self) -> dict[str, Any]:
        linear = self.backend.name == "linear"
        sure = near_one(self.lowered.margin, self.lowered.loss)
        given = label_only(self.lowered) - sure if linear else frozenset()
        taken = self.names() | {label_statistic(p).name for p in given}
        if linear:
            parts = ("hidden", "weight", "bias", "logps")
            taken |= {f"{s}_{part}" for s in self.shorts for part in parts}
        found = passes(self.lowered, taken, given)
        printer = FromStatistics(taken, self.spec.roles, found, handed=linear)
        for policy in sorted(given):  # before memory is taken for the logits that are kept
            printer.given(label_statistic(policy))
        body = body_of(printer, self.lowered)
        metric = self.with_metrics(printer, body)
        return metric | {
            "walk": printer.walk,
            "given_names": [label_statistic(p).name for p in self.policies if p in given],
            "arguments": self.arguments,
            "short": self.digest[:12],
            "layout": printer.layout,
            "trained": printer.trained,
            "frozen": printer.frozen,
            "settings": printer.settings,
            "numbers": printer.numbers,
            "stat_names": ", ".join(n for c in found for n in c.names) or "none",
            "chunks": [walk.values(c, n) for n, c in enumerate(found)],
            "label_only": given,
            "whole_only": given if self.takes.needs in ("responses", "lengths") else frozenset(),
            "unfit": _unfit(found),
            "buffers": max([1, *(c.held for c in found)]),
        }

    def triton(self) -> dict[str, Any]:
        return self.by_rows(TRITON)

    def native(self) -> dict[str, Any]:
        return self.by_rows(C)

    def by_rows(self, dialect: Dialect) -> dict[str, Any]:
        values, taken = self.from_statistics(), self.names()
        each = [kernels(c, taken, dialect) for c in passes(self.lowered, taken)]
        chunks = [c | more for c, more in zip(values["chunks"], each, strict=True)]
        return values | {"chunks": chunks}

    def with_metrics(self, printer: Printer, body: list[Statement]) -> dict[str, Any]:
        """The lines of the body, and those that compute what trainers log, for each pair."""
        lines, printer.lines = list(body), []
        name = printer.name("logged")
        entries = metrics.entries(printer, self.lowered, self.policies)
        table = Table(tuple((Constant(key), value) for key, value in entries))
        printer.lines.append(Assign(Name(name), table, spread=True))
        observed, lines_of = metrics.observed(printer, name) if self.observes else ((), ())
        printer.lines += lines_of
        return self.scalar(printer) | {
            "body": lines,
            "metric_lines": printer.lines,
            "metric_name": name,
            "logged": (*(plain(key) for key, _ in entries), *observed),
        }


Statements = list[Statement]


def _statements(v: Any) -> tuple[Statements, Statements]:
    """What stands in a file before the functions of the runtime, and after them."""
    if v.backend in ("eager", "logps"):
        return [whole.eager(v) if v.backend == "eager" else whole.logps(v)], []
    after: Statements = [Text(("# The statistics, and their gradient with respect to the logits",))]
    if v.backend == "native":
        after.append(_in_c(v))
    for c in v.chunks:
        after += walk.functions(c)
        after += [_triton(c)] if v.backend == "triton" else []
        after += walk.plan(v, c)
    if v.backend != "linear":
        return [chunked.fused(v)], after
    kinds, *constants = linear.constants(v)
    return [linear.linear(v), linear.losses(v), kinds], after + constants


def _triton(c: dict[str, Any]) -> Text:
    text = _render("triton.py.j2", c=as_triton(c))
    binds = (f"_{name}{c['suffix']}" for name in ("online", "combine", "sums", "slopes"))
    return Text(tuple(text.strip("\n").splitlines()), reads_of_triton(c), frozenset(binds))


def _in_c(v: Any) -> Text:
    """The loops over rows, as a string with their text."""
    wanted = frozenset().union(*map(reads_of_c, v.chunks))
    text = _render("native.c.j2", chunks=[native(c) for c in v.chunks], runtime=in_c(wanted))
    head = (
        "# The loops over the rows, in C: float32 within a block of the vocabulary, sums of blocks in float64"
    )
    lines = (head, "", 'SOURCE = r"""', *text.strip("\n").splitlines(), '"""')
    return Text(lines, binds=frozenset({"SOURCE"}))


def _unfit(found: list[Chunk]) -> str:
    """Why kernels that walk a row do not take a loss, in passes over chunks that do."""
    if any(c.near_one for c in found):
        return "log(1 - p) needs digits that only the loop over chunks keeps"
    largest = "counts its terms from their largest, as only the loop over chunks does"
    if any(one.body is not None and parts_of(one.body) for c in found for one in c.statistics):
        return "a divergence is counted from 0, as only the loop over chunks does"
    return f"a logarithm of a sum {largest}" if any(c.log_sums for c in found) else ""


def _digest(spec: Spec, backend: Backend, where: str) -> str:
    hashed = hashlib.sha256(spec.digest.encode())
    own = [TEMPLATES / backend.template] if backend.template else []
    own += [STEPS, *sorted(TRAINING.glob("*.py"))] if where else []
    for path in (*own, *SHARED):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


@cache
def _environment() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _render(template: str, **values: Any) -> str:
    return str(_environment().get_template(template).render(**values))
