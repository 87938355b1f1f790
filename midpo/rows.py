"""What the program found out about each row of the catalogue, and tables of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midpo.codegen.plan.needs import Takes
    from midpo.symbolic.language.spec import Spec
    from midpo.symbolic.representable import PriorFacts

OUTSIDE = "no pair loss"  # a row that states no loss of one pair, and why
# As in proofs.recover.solution, which imports SymPy and so is not asked at start-up; a test
# compares.
CLASSES = (
    "fixed",
    "iterative",
    "self-referential",
    "label-dependent",
    "constraint",
    "other-link",
    "temperature",
    "weighted",
    "none",
    "undecided",
    OUTSIDE,
)
SORTS = ("name", "title", "year", "class")


@dataclass(frozen=True)
class Row:
    """One algorithm of the catalogue and what the program found out about it.

    `prior` are the facts of the stated prior, `kind` the class that `solve` found (None where it
    was not asked), `takes` what a kernel is given (None where there is none, or it was not asked).
    `token_level`: the loss is no function of whole-response probabilities, lengths and features
    alone; `needs_reference`: it speaks of a policy that is not trained; `averages`: how the policy's
    token log-probabilities enter ("sums", "means" over a response's tokens, "weighted" sums);
    `detached`: a part of it has no gradient. None, or nothing, for a row that states no loss, and
    where reading them takes more work than is allowed (`unread` says what).
    """

    spec: Spec
    prior: PriorFacts | None
    token_level: bool | None
    needs_reference: bool | None
    kind: str | None = None
    averages: tuple[str, ...] = ()
    detached: bool | None = None
    unread: str = ""
    takes: Takes | None = None

    @property
    def label_free(self) -> bool | None:
        """Whether one prior serves both roles; None where the row states no prior."""
        return None if self.prior is None else self.prior.label_free

    def as_json(self) -> dict[str, Any]:
        from midpo.symbolic.language.peers import statements_of

        answer = {
            "name": self.spec.name,
            "title": self.spec.title,
            "reference": self.spec.reference,
            "year": self.spec.year,
            "status": self.spec.status,
            "reason": self.spec.reason or None,
            "conventions": self.spec.conventions,
            "prior": None if self.prior is None else vars(self.prior),
            "label_free": self.label_free,
            "token_level": self.token_level,
            "needs_reference": self.needs_reference,
            "averages": list(self.averages),
            "detached": self.detached,
            "unread": self.unread or None,
            "libraries": [s.as_json() for s in statements_of(self.spec.name)],
        }
        if self.kind is not None:
            answer["class"] = self.kind
        return answer if self.takes is None else answer | {"kernel": self.takes.as_json()}


def row(spec: Spec, *, kind: str | None = None) -> Row:
    """The facts of one spec, read off the normal form of its loss and of its prior."""
    from midpo.symbolic.errors import NoValue, TooLarge
    from midpo.symbolic.work import question

    if spec.reason:
        return Row(spec, None, None, None, kind)
    try:
        with question():
            return _read(spec, kind)
    except (TooLarge, NoValue, RecursionError) as error:
        unread = str(error) or "the expressions are nested too deeply"
        return Row(spec, None, None, None, kind, unread=unread)


def _read(spec: Spec, kind: str | None) -> Row:
    """Raises: TooLarge, NoValue."""
    from sympy import S

    from midpo.symbolic.algebra.normal import normal_form
    from midpo.symbolic.language.nodes import POLICY, StopGradient, TokenSum
    from midpo.symbolic.loss import pair_loss
    from midpo.symbolic.representable import prior_facts

    facts = None if spec.prior is None else prior_facts(spec)
    stated = spec.margin if spec.margin is not None else pair_loss(spec)
    loss = normal_form(stated + (S.Zero if spec.constraint is None else spec.constraint))
    tokens = any(not _plain(s) for s in loss.atoms(TokenSum))
    others = {s.name for s in loss.free_symbols} & (spec.names.policies - {POLICY.name})
    return Row(spec, facts, tokens, bool(others), kind, _averages(loss), stated.has(StopGradient))


def _plain(total: Any) -> bool:
    """Whether a sum over tokens is that of their log-probabilities alone."""
    from midpo.symbolic.language.nodes import Log, TokenProb

    return isinstance(total.args[0], Log) and isinstance(total.args[0].args[0], TokenProb)


def _averages(loss: Any) -> tuple[str, ...]:
    """How the policy's log-probabilities enter, read off the factors beside each sum."""
    from sympy import Add, Mul

    from midpo.symbolic.language.nodes import POLICY, Length, TokenProb, TokenSum

    found = set()

    def visit(node: Any) -> None:
        for term in Add.make_args(node):
            factors = Mul.make_args(term)
            for factor in factors:
                if not isinstance(factor, TokenSum):
                    for argument in factor.args:
                        visit(argument)
                elif any(POLICY in p.args for p in factor.atoms(TokenProb)):
                    mean = Length(factor.args[2]) ** -1 in factors
                    found.add("means" if mean else "sums" if _plain(factor) else "weighted")

    visit(loss)
    return tuple(sorted(found))


def rows(*, with_class: bool = False) -> list[Row]:
    """Every row of the catalogue, in its order; `with_class` solves each one."""
    from midpo.symbolic.language.spec import catalogue, load

    specs = [load(name) for name in catalogue()]
    return [row(s, kind=class_of(s) if with_class else None) for s in specs]


def class_of(spec: Spec) -> str:
    """The class that `solve` finds, or that there is no loss of one pair to solve."""
    from midpo.proofs.recover.solution import solve

    return OUTSIDE if spec.reason else solve(spec).kind


# --- The command ---------------------------------------------------------------------------------


def cells(one: Row) -> dict[str, str]:
    """The row as a table shows it, by column; an empty cell is a fact that the row has not."""
    mark = {True: "yes", False: "no", None: ""}
    spec = one.spec
    prior = "" if one.prior is None else one.prior.policy
    return {
        "name": spec.name,
        "title": spec.title,
        "year": f"{spec.year or ''}{'' if spec.status == 'confirmed' else '?'}",
        **({} if one.kind is None else {"class": one.kind}),
        "prior": OUTSIDE if spec.reason else prior,
        "label-free": mark[one.label_free],
        "token-level": mark[one.token_level],
        "reference": mark[one.needs_reference],
        "libraries": "; ".join(_libraries(spec.name)),
    }


def _libraries(name: str) -> list[str]:
    """Each package that names the loss, and whether it computes it: a plain call of it, or none."""
    from midpo.symbolic.language.peers import statements_of

    verdicts: dict[str, list[str]] = {}
    for statement in statements_of(name):
        listed = verdicts.setdefault(statement.package, [])
        if statement.verdict not in listed:
            listed.append(statement.verdict)
    return [f"{package} {' and '.join(listed)}" for package, listed in verdicts.items()]


def csv_table(found: Sequence[Row]) -> str:
    """Comma-separated values with a header; status and reason in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for number, one in enumerate(found):
        full = cells(one) | {
            "year": str(one.spec.year or ""),
            "status": one.spec.status,
            "reason": one.spec.reason,
            "conventions": one.spec.conventions,
        }
        if number == 0:
            writer.writerow(full)
        writer.writerow(full.values())
    return stream.getvalue()


def markdown_table(found: Sequence[Row]) -> str:
    """A Markdown table; below it why an equation is unconfirmed or missing, and what libraries do."""
    from midpo.symbolic.language.peers import CHECKED_BY, statements_of

    if not found:
        return ""
    table = [cells(one) for one in found]
    lines = [_line(list(table[0])), _line(["---"] * len(table[0]))]
    lines += [_line([_escaped(cell) for cell in line.values()]) for line in table]
    notes = [
        f"- {one.spec.name}: {_escaped('; '.join(filter(None, (one.spec.reason, _doubt(one)))))}"
        for one in found
        if one.spec.reason or _doubt(one)
    ]
    told = [
        f"- {one.spec.name}: {_escaped(s.sentence)}" for one in found for s in statements_of(one.spec.name)
    ]
    if told:
        notes += ["", f"Libraries, each checked by {CHECKED_BY}:", "", *told]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _doubt(one: Row) -> str:
    return "" if one.spec.status == "confirmed" else one.spec.status


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _escaped(value: str) -> str:
    for sign in "\\|*_<>`[]":
        value = value.replace(sign, f"\\{sign}")
    return value
