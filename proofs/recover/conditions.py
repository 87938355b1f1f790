"""What a statement leaves out: where a side has no value, and the ties of which a proof is silent.

Every command judges them here. A condition of the formula's own, that it has a value, is told as it
is, unless whole numbers always meet it. A tie, a step whose argument is 0, is left out only where
that is a null set for nearly every pair: a score of 0 may be, a length that meets a threshold not.
"""

from __future__ import annotations

import itertools

from sympy import Expr

from midpo.numeric.null_sets import is_null_set
from midpo.numeric.ties import counts, varies
from midpo.proofs.recover.words import stated
from midpo.symbolic.algebra.cells import ties_of
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.domains.needs import telling
from midpo.symbolic.errors import NoValue, TooLarge
from midpo.symbolic.formula.told import told
from midpo.symbolic.language.building import with_label
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, ByLabel, Feature, Index, Parameter, structural
from midpo.symbolic.language.places import Condition
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.rewriting.derivation import Derivation


class LeavesOutTooMuch(TooLarge):
    """A proof that leaves out more than a null set of pairs; the message says where it holds."""


SIGNS = {"nonzero": "!= 0", "nonnegative": ">= 0", "positive": "> 0"}


def has_a_value(spec: Spec) -> None:
    """Raises: NoValue where a side condition can never hold."""
    for condition in spec.conditions:
        roles = (CHOSEN, REJECTED) if condition.expr.has(ByLabel) else (CHOSEN,)
        for role in roles:
            expr = normal_form(with_label(condition.expr, role), written_out=True)
            never = {
                "nonzero": is_zero(expr),
                "nonnegative": is_positive(-expr),
                "positive": is_nonnegative(-expr),
            }
            if never[condition.kind]:
                raise NoValue(
                    "the spec has no value anywhere, because "
                    f"{text(condition.expr)} {SIGNS[condition.kind]} never holds"
                )
    positive = [c.expr for c in spec.conditions if c.kind == "positive"]
    for one, other in itertools.combinations(positive, 2):
        if is_nonnegative(-one - other):
            raise NoValue(
                f"the spec has no value anywhere, because {text(one)} > 0 and "
                f"{text(other)} > 0 exclude each other"
            )


def side_conditions(spec: Spec) -> tuple[str, ...]:
    """What must hold beyond the declared domains of parameters and data for both sides to have a
    value."""
    return tuple(_said(c) for c in telling(spec.conditions) if not _of_lengths(c))


def defined_where(spec: Spec) -> tuple[str, ...]:
    """The lengths at which the spec's own formulas have a value, where these are not all: nothing
    is left out of a statement there, as there is nothing to state."""
    return tuple(_said(c) for c in telling(spec.conditions) if _of_lengths(c))


def _said(condition: Condition) -> str:
    return everywhere(condition.expr, SIGNS[condition.kind])


def _of_lengths(condition: Condition) -> bool:
    return of_lengths(condition.expr)


def of_lengths(expr: Expr) -> bool:
    """Whether it speaks of lengths or positions alone: not of parameters, policies or data."""
    given = expr.atoms(Parameter, Feature) or varies(expr)
    return counts(expr) and not given


def tie_conditions(derivation: Derivation) -> tuple[str, ...]:
    """The cuts whose zeros the derivation leaves out, as conditions."""
    return tuple(everywhere(cut, "!= 0") for cut in sorted(ties_of(derivation), key=structural))


def judge(spec: Spec, derivation: Derivation) -> None:
    """Raises: LeavesOutTooMuch where the zeros of a cut that the derivation leaves out are no null
    set of the data of nearly every pair."""
    for cut in sorted(ties_of(derivation), key=structural):
        if not is_null_set(spec, cut):
            raise LeavesOutTooMuch(
                f"A proof was found only where {everywhere(cut, '!= 0')}, which "
                "leaves out more than a null set of pairs"
            )


def everywhere(expr: Expr, relation: str) -> str:
    """`expr` and its relation to 0, for every value of the indices in it that nothing binds."""
    free = sorted(str(i) for i in expr.free_symbols if isinstance(i, Index))
    where = f" for every {', '.join(free)}" if free else ""
    return told("{} {}{}", stated(expr), relation, where)
