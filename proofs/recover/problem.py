"""What is compared: the margins, or the losses, of a target and of a prior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sympy import Expr, Mul, S

from midpo.symbolic.algebra.logistic import disguised
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.algebra.polynomial import Polynomial, is_zero, monomial_expression, polynomial
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import Exp, Log, LogSigmoid, structural
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import (
    is_constant,
    logistic_form,
    loss_of_margin,
    prior_definitions,
    prior_margin,
    target_loss,
)

Form = Mapping[str, bool]
# The normal forms in which equality is looked for, the most readable first; then by cells.
FORMS: tuple[Form, ...] = ({}, {"written_out": True}, {"written_out": True, "field": True})


@dataclass(frozen=True)
class Problem:
    """The two expressions to compare, and how the losses relate to them."""

    spec: Spec
    kind: Literal["margin", "loss"]
    target: Expr
    recovered: Expr  # the prior still an unknown
    definitions: dict[Expr, Expr]
    factor: Expr = S.One
    constant: Expr = S.Zero
    positive: Expr | None = None  # what must be above 0 for the two to exist

    @staticmethod
    def as_written(spec: Spec) -> Problem:
        assert spec.prior is not None
        definitions = prior_definitions(spec.prior)
        margin = prior_margin(spec.alpha)
        if spec.margin is not None:
            return Problem(spec, "margin", spec.margin, margin, definitions)
        loss = loss_of_margin(spec, margin)
        return Problem(spec, "loss", target_loss(spec), loss, definitions)

    def as_margin(self) -> Problem:
        """The same question asked of margins, where the target's loss is logistic; else asked of
        losses, scaled alike where that can be seen."""
        spec = self.spec
        if self.kind == "margin":
            return self
        if spec.link is None and spec.constraint is None:
            form = logistic_form(self.target, signed=True)
            if form is not None:
                return Problem(
                    spec,
                    "margin",
                    form.margin,
                    prior_margin(spec.alpha),
                    self.definitions,
                    form.factor,
                    form.constant,
                    _unseen(form.factor),
                )
        factor, constant = _affine(self.target, self.inserted)
        recovered = factor * self.recovered + constant
        return replace(self, recovered=recovered, factor=factor, constant=constant, positive=_unseen(factor))

    def alternatives(self) -> Iterator[Problem]:
        """This question; that of the losses where a link may make one of two margins; and that of
        the margins that give the losses (theorem 1) where these are not written as logistic."""
        yield self
        if self.kind == "margin" and self.spec.link is not None:
            target, recovered = (
                loss_of_margin(self.spec, margin) for margin in (self.target, self.recovered)
            )
            yield Problem(self.spec, "loss", target, recovered, self.definitions).as_margin()
        if self.kind == "loss" and self.spec.link is None and self.spec.constraint is None:
            loss = target_loss(self.spec)
            yield Problem(
                self.spec,
                "margin",
                -Log(Exp(loss) - 1),
                prior_margin(self.spec.alpha),
                self.definitions,
                positive=_unseen(loss),
            )
            plain = -LogSigmoid(prior_margin(self.spec.alpha))
            for found in disguised(loss):
                if (found.factor, found.constant) != (self.factor, self.constant):
                    yield replace(
                        self,
                        recovered=found.factor * plain + found.constant,
                        factor=found.factor,
                        constant=found.constant,
                        positive=_unseen(found.factor),
                    )
                    if is_positive(found.factor):
                        rest = (loss - found.constant) / found.factor
                        yield Problem(
                            self.spec,
                            "margin",
                            -Log(Exp(rest) - 1),
                            prior_margin(self.spec.alpha),
                            self.definitions,
                            found.factor,
                            found.constant,
                            _unseen(rest),
                        )

    @property
    def only_losses_count(self) -> bool:
        """Whether margins that differ can still give one loss, up to a factor and a constant."""
        return self.kind == "loss" or self.spec.link is not None

    @property
    def losses(self) -> tuple[Expr, Expr]:
        """The loss of the target and that of the prior."""
        if self.kind == "loss":
            return self.target, self.inserted
        return loss_of_margin(self.spec, self.target), loss_of_margin(self.spec, self.inserted)

    @property
    def inserted(self) -> Expr:
        return substitute(self.recovered, self.definitions)


def _unseen(factor: Expr) -> Expr | None:
    """`factor` where it is not seen to be positive."""
    return None if is_positive(factor) else factor


def _affine(target: Expr, recovered: Expr) -> tuple[Expr, Expr]:
    """The (a, b) with target = a*recovered + b, if the normal forms show one; else (1, 0)."""
    for form in FORMS:
        try:
            sides = [polynomial(normal_form(side, **form)) for side in (target, recovered)]
        except TooLarge:
            break
        found = _affine_in(*sides)
        if found is not None:
            return found
    return S.One, S.Zero


def _affine_in(wanted: Polynomial, found: Polynomial) -> tuple[Expr, Expr] | None:
    """The (a, b) with wanted = a*found + b, both constant, and a not seen to be at most 0."""

    def coefficients(poly: Polynomial) -> dict[Expr, Expr]:
        grouped: dict[Expr, Expr] = {}
        for monomial, coefficient in poly.items():
            term = monomial_expression(monomial, coefficient)
            data = Mul(*(f for f in Mul.make_args(term) if not is_constant(f)))
            grouped[data] = grouped.get(data, S.Zero) + term / data
        return grouped

    left, right = coefficients(wanted), coefficients(found)
    shared = [data for data in left if data != 1 and data in right]
    logistic = [data for data in shared if data.has(LogSigmoid)] or shared
    if not logistic:
        return None
    first = min(logistic, key=structural)
    factor = left[first] / right[first]
    if not is_constant(factor) or is_nonnegative(-factor):
        return None
    constant = left.get(S.One, S.Zero) - factor * right.get(S.One, S.Zero)
    same = all(
        is_zero(left.get(d, S.Zero) - factor * right.get(d, S.Zero)) for d in {*left, *right} - {S.One}
    )
    return (factor, constant) if same else None
