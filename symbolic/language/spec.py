"""Spec: one algorithm, exactly as its TOML file says. Reading a file executes nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sympy import Expr, Rational, S, Symbol

from midpo.symbolic.errors import SpecError, nearest
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.displays import display
from midpo.symbolic.formula.tree import Formula

from .nodes import CHOSEN, REJECTED, Parameter, Sorted
from .places import Condition, Names
from .table import CONFIRMED, Table
from .toml import read_text, read_toml

CATALOGUE = Path(__file__).parents[1] / "catalogue"
PAPER = ("dpo", "dice", "centropy", "simpo", "rdpo", "tdpo", "tis-dpo", "sparsepo")


@dataclass(frozen=True)
class Spec:
    """One algorithm: a prior, a target, or both.

    `prior` is zeta(y) up to a factor free of y; `margin` or `loss` is the target; `constraint` is
    added to the loss with weight `multiplier`; `link` (an expression in m) replaces -log sigmoid.
    `status` is "confirmed", or "unconfirmed: " and why the equation may not be the published one.
    `reason` says why no spec of one pair can hold the loss; then there is no prior and no target,
    but there may be a `batch`: the loss at one place of a batch, which speaks of the others too.
    `conventions` says what the authors chose: sums or means, scales, what is detached, smoothing.
    `responses` says what each response beside the pair is.
    `texts` holds each expression as its file wrote it, `digest` is the SHA-256 of the file.
    """

    name: str
    names: Names
    title: str = ""
    reference: str = ""
    bibtex: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Rational] = field(default_factory=dict)
    prior: Expr | None = None
    margin: Expr | None = None
    loss: Expr | None = None
    constraint: Expr | None = None
    multiplier: Parameter | None = None
    link: Expr | None = None
    conditions: tuple[Condition, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    file: str = ""
    status: str = CONFIRMED
    reason: str = ""
    conventions: str = ""
    responses: Mapping[str, str] = field(default_factory=dict)
    batch: Expr | None = None

    @property
    def roles(self) -> tuple[Symbol, ...]:
        """The responses to one prompt, in the order in which a batch holds them: the chosen and
        the rejected one, then those declared beside them."""
        return (CHOSEN, REJECTED, *self.names.responses)

    @property
    def alpha(self) -> Expr:
        """The scale of the generalised loss; 1 where the spec declares none."""
        return self.names.parameters.get("alpha", S.One)

    @property
    def has_target(self) -> bool:
        """Whether the spec states the loss of a pair.

        Raises: SpecError with the spec's `reason` where no spec of one pair can hold its loss, so
        that every stage that asks for an equation answers with it.
        """
        if self.reason:
            raise SpecError(
                f"{self.name} has no loss of one pair",
                file=self.file,
                key="reason",
                expected=f"nothing can be {'computed' if self.batch is None else 'proved'}: {self.reason}",
            )
        return self.margin is not None or self.loss is not None

    @property
    def orders_batch(self) -> bool:
        """Whether the loss orders the pairs of a batch, so that none of its places stands alone."""
        return self.batch is not None and self.batch.has(Sorted)

    @property
    def year(self) -> int | None:
        """The year of the BibTeX entry; None where it has none."""
        year = self.bibtex.get("year", "")
        return int(year) if re.fullmatch(r"[0-9]{4}", year) else None

    @cached_property
    def expressions(self) -> tuple[Expr, ...]:
        parts = (self.prior, self.margin, self.loss, self.batch, self.constraint, self.link)
        return tuple(part for part in parts if part is not None)

    @cached_property
    def policies(self) -> tuple[str, ...]:
        """The policies that the spec's expressions speak of, pi first."""
        used = {str(s.name) for e in self.expressions for s in e.free_symbols}
        return tuple(sorted(self.names.policies & (used | {"pi"}), key=lambda n: (n != "pi", n)))

    @property
    def stated(self) -> list[tuple[Formula, str, Expr]]:
        """The expressions, each after what it defines and the sign between them."""
        loss = terms.of(terms.LOSS, self.roles)
        named = (
            (terms.PRIOR, r"\propto", self.prior),
            (terms.of(terms.MARGIN, self.roles), "=", self.margin),
            (loss, "=", self.loss),
            (terms.LOSS_AT_PLACE if self.orders_batch else loss, "=", self.batch),
            (terms.LINK, "=", self.link),
            (terms.of("c", self.roles), "=", self.constraint),
        )
        return [(head, sign, part) for head, sign, part in named if part is not None]

    def _repr_latex_(self) -> str:
        """What the spec states, as one display for notebooks."""
        return display(self.stated)


def load(source: str | Path) -> Spec:
    """The spec of a catalogue name or of a TOML file.

    Raises: SpecError if there is no such spec, or it cannot be read.
    """
    text = str(source)
    path = Path(source)
    if isinstance(source, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
        return loads(read_text(path), file=text)
    known = {p.stem: p for p in CATALOGUE.glob("*.toml")}
    if text in known:
        return loads(read_text(known[text]), file=known[text].name)
    try:
        found = path.is_file()
    except OSError:  # a name that the file system does not take
        found = False
    if found:
        return loads(read_text(path), file=text)
    raise SpecError(
        f'no algorithm called "{text[:80]}" and no such file',
        expected=nearest(text, known) + "; or a path to a .toml file",
    )


def catalogue() -> list[str]:
    """The names in the catalogue: the paper's eight in the paper's order, then the others."""
    names = {p.stem for p in CATALOGUE.glob("*.toml")}
    return [n for n in PAPER if n in names] + sorted(names - set(PAPER))


def loads(text: str, *, file: str = "<text>") -> Spec:
    """The spec that `text` (TOML) writes; `file` is what messages call it.

    Raises: SpecError.
    """
    table = read_toml(text, file)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    try:
        return Spec(**Table(table, file, digest).fields())
    except SpecError as error:
        raise error.located(file=file) from None


def policy_argument(policy: Symbol | str) -> str:
    """The argument of a generated function that carries a policy's logits."""
    name = str(policy)
    short = {"pi": "policy", "pi_ref": "reference"}.get(name) or name.removeprefix("pi_")
    return f"{short}_logits"
