"""A prior less what it is written with and does not need: labels, the trained policy, frozen ones.

Maxima and steps can cancel where no rule sees it: max(u, u - abs(s)) is u. What a prior depends on
is therefore asked of numbers before it is said; what these do not see is left out, and proved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from sympy import Add, Expr

from midpo.numeric.witness import differ
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import substitute, with_label
from midpo.symbolic.language.nodes import CHOSEN, POLICY, REFERENCE, RESPONSE, ByLabel, Exp, Log
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import is_constant, recovered_margin
from midpo.symbolic.representable import fold

Change = Callable[[Expr], Expr]


def without_needless(spec: Spec, prior: Expr, proves: Callable[[Expr], bool]) -> tuple[Expr, frozenset[str]]:
    """`prior`, or a plainer one that gives the same margin and that `proves` accepts; and what the
    answer is written with although no numbers show that it needs it: "labels", "policies"."""
    unseen: set[str] = set()
    for what, changes in _changes(spec, prior):
        written = (change(prior) for change in changes)
        alike = [new for new in written if new != prior and not _seen_apart(spec, prior, new)]
        plainer = next(filter(proves, alike), None)
        if plainer is not None:
            prior = plainer
        elif alike:
            unseen.add(what)
    return prior, frozenset(unseen)


def _changes(spec: Spec, prior: Expr) -> Iterator[tuple[str, tuple[Change, ...]]]:
    """What a prior may be written with needlessly, and ways to write it without. A margin that does
    not depend on a policy is the same for any law in its place."""
    if prior.has(ByLabel):
        yield "labels", (_one_role,)
    named = {s for s in prior.free_symbols if s.name in spec.names.policies} - {REFERENCE}
    for policy in sorted(named, key=lambda s: (s != POLICY, s.name)):
        yield "policies", (partial(_without_terms, policy), partial(_by_reference, policy))


def _one_role(prior: Expr) -> Expr:
    """The prior of the chosen response for both."""
    return _of_terms(substitute(with_label(prior, CHOSEN), {CHOSEN: RESPONSE}), lambda _: True)


def _without_terms(policy: Expr, prior: Expr) -> Expr:
    return prior if prior.has(ByLabel) else _of_terms(prior, lambda t: policy not in t.free_symbols)


def _by_reference(policy: Expr, prior: Expr) -> Expr:
    return substitute(prior, {policy: REFERENCE})


def _of_terms(prior: Expr, kept: Callable[[Expr], bool]) -> Expr:
    """The prior whose logarithm has the terms that are `kept`, less one factor for all."""
    terms = Add.make_args(normal_form(Log(prior)))
    return fold(Exp(Add(*(term for term in terms if kept(term) and not is_constant(term)))))


def _seen_apart(spec: Spec, one: Expr, other: Expr) -> bool:
    """Whether the margins that the two priors give are seen to differ, or cannot be asked."""
    of_both = replace(spec, prior=one * other)  # whose cases have the policies of either
    try:
        return differ(of_both, *(recovered_margin(replace(spec, prior=p)) for p in (one, other)))
    except TooLarge:
        return True
