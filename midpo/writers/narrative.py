"""What a report says about one spec in words: assumptions, steps, what a prior depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sympy import Expr

from midpo.proofs.recover.recovery import Recovery, verify
from midpo.symbolic.algebra.normal import normal_form
from midpo.symbolic.domains.needs import telling
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.latex import name, policy, tex
from midpo.symbolic.formula.latex import response as sign
from midpo.symbolic.formula.layout import lines as broken
from midpo.symbolic.formula.tree import EMPTY, Formula, Part, leaf, row
from midpo.symbolic.formula.write import name as named
from midpo.symbolic.formula.write import within
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import logistic_form
from midpo.symbolic.representable import PriorFacts, fold, prior_of_margin
from midpo.symbolic.rewriting.derivation import Step
from midpo.symbolic.rewriting.rule import ARITHMETIC
from midpo.symbolic.rewriting.rules import reason as usual_reason
from midpo.writers.latex.pieces import pasted, rows, width

if TYPE_CHECKING:
    from midpo.numeric.witness import Witness

_FEATURE = {
    "response": ("(y)", "{0} for each response"),
    "token": ("(y, t)", "{0} for each token of a response"),
    "pair": ("", "{0} for the pair"),
}
_FROM_RIGHT = {ARITHMETIC: "arithmetic: regroup the terms"}


def listed(items: Iterable[str]) -> str:
    """a, b and c."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def batch_head(spec: Spec) -> Formula:
    """The left side of a loss that is not one of a pair."""
    return terms.defines(
        terms.LOSS_AT_PLACE if spec.orders_batch else terms.of(terms.LOSS, spec.roles))


def of_batch(spec: Spec) -> str:
    """The words before such a loss."""
    if not spec.orders_batch:
        return "What is stated is the loss of a list of responses to one prompt:"
    return (r"What is stated is a loss of the batch, here of its place $i$; $\mathrm{sort}[e]$ is "
            "the $i$-th of the values of $e$ over the batch, in growing order:")


def assumptions(spec: Spec) -> tuple[str, ...]:
    """What the statement supposes, one sentence each."""
    laws = [f"${policy(word)}$" for word in spec.policies]
    others = [f"${policy(word)}$" for word in spec.policies if word != "pi"]
    held = f"; {listed(others)} {'is' if len(others) == 1 else 'are'} held fixed" if others else ""
    given = [
        rf"{'The policy' if len(laws) == 1 else 'The policies'} {listed(laws)} "
        f"{'gives' if len(laws) == 1 else 'give'} every token a positive probability after every "
        rf"prefix, as a softmax does. The policy $\pi$ is trained{held}.",
        f"The responses {listed(f'${sign(y)}$' for y in spec.roles)} answer one prompt $x$ and "
        "have at least one token each"
        + "".join(f"; ${sign(y)}$ is {what}" for y, what in spec.responses.items()) + ".",
    ]
    if spec.names.parameters:
        domains = [f"${tex(within(p.domain, named(n)))}$" for n, p in spec.names.parameters.items()]
        given.append(f"Parameters: {', '.join(domains)}.")
    if "alpha" not in spec.names.parameters:
        given.append(r"The scale of the generalised loss is $\alpha = 1$.")
    if spec.names.features:
        kinds = []
        for kind in dict.fromkeys(spec.names.features.values()):
            arguments, meaning = _FEATURE[kind]
            words = [word for word, other in spec.names.features.items() if other == kind]
            kinds.append(meaning.format(listed(f"${name(word)}{arguments}$" for word in words)))
        ranges = [f"${tex(within(spec.names.ranges[word], named(word)))}$"
                for word in spec.names.features if word in spec.names.ranges]
        given.append(
            f"Data that come with a pair: {listed(kinds)}. They are real numbers"
            + (f", {', '.join(ranges)}," if ranges else "") + r" and do not depend on $\pi$."
        )
    return tuple(given)


# How a condition ends.
HELD: dict[str, tuple[Part, ...]] = {
    "nonzero": (r" \ne ", 0), "positive": (" > ", 0), "nonnegative": (r" \ge ", 0)}


def side_conditions(spec: Spec) -> tuple[str, ...]:
    """Displays of what must not vanish, or must be positive."""
    displays = []
    for condition in telling(spec.conditions):
        *most, last = broken(condition.expr, width() - 8)
        parts = [*most, row(last, *HELD[condition.kind])]
        displays.append(pasted(EMPTY, parts, numbered=False))
    return tuple(displays)


# --- Derivations ---------------------------------------------------------------------------------


def reason(step: Step) -> str:
    """Why a step holds, as the sentence that leads to its formula."""
    words = usual_reason(step.rule)
    if step.reverse:
        words = _FROM_RIGHT.get(step.rule, f"{words} (read from right to left)")
    return f"{words[:1].upper()}{words[1:]}:"


def chain(recovery: Recovery, steps: Sequence[Step]) -> tuple[tuple[str, str], ...]:
    """The chain of equalities: (reason, rows of its display) for each step."""
    return tuple((reason(step), rows(leaf("= "), step.after)) for step in steps)


def folded(recovery: Recovery) -> Expr:
    """Target less recovered, with sums of token log-probabilities folded into responses'."""
    return fold(recovery.difference)


# --- Priors --------------------------------------------------------------------------------------


def dependence(spec: Spec, facts: PriorFacts) -> tuple[tuple[str, str], ...]:
    """What the prior depends on: (the fact, what it means)."""
    return (
        (facts.policy, _policy_meaning(spec, facts.policy)),
        ("label-free" if facts.label_free else "label-dependent", _label_meaning(spec, facts)),
        ("token level" if facts.token_level else "sequence level", _LEVEL[facts.token_level]),
    )


_LEVEL = {
    True: "Besides probabilities of whole responses, the prior needs single tokens' probabilities "
    "or next-token laws along the response.",
    False: "The policies enter the prior only through the probabilities of whole responses.",
}


def _policy_meaning(spec: Spec, kind: str) -> str:
    if kind == "fixed":
        return (
            r"The prior does not depend on $\pi$. It stays put while $\pi$ is trained, so there is "
            "no choice to make about differentiating it, and it can serve as the prior of a "
            "regularised problem whose normaliser is finite."
        )
    if kind == "iterative":
        frozen = [f"${policy(w)}$" for w in spec.policies if w not in ("pi", "pi_ref")]
        return (
            f"The prior depends on {listed(frozen)}, which training does not change: within a "
            r"round it is a fixed prior, and from one round to the next it may be replaced."
        )
    return (
        r"The prior depends on the policy $\pi$ that is being trained. The two losses agree in "
        r"value for every $\pi$; their gradients agree if $\zeta$ is differentiated together with "
        r"$\pi$. With the gradient stopped at $\zeta$ the value stays the same and the gradient "
        "is in general another one. The optimum of the regularised problem is derived for a prior "
        "that does not change with the policy; for a prior such as this one, the recovery is an "
        "identity between losses and by itself says nothing about that optimum."
    )


def _label_meaning(spec: Spec, facts: PriorFacts) -> str:
    if not facts.label_free:
        return (
            r"The prior is one function where $y$ is the preferred response of its pair and "
            "another where it is the dispreferred one. Both may be multiplied by one common factor "
            "free of "
            r"$y$, and by no others: normalising each to one, by $N_w$ and $N_l$, would add "
            r"$\alpha\log(N_w/N_l)$ to the margin. Such a prior takes the label as an input; it is "
            "not a distribution over responses that was chosen before the label was seen."
        )
    data = ""
    if set(spec.names.features.values()) & {"response", "token"}:
        data = " The data that come with a pair may still differ from role to role."
    return (
        "One expression serves the preferred and the dispreferred response, so that a factor "
        rf"$N(x)$ common to both cancels in the margin.{data}"
    )


def proposed_prior(spec: Spec) -> tuple[Expr, int] | None:
    """For a spec with a target alone: a prior that recovers it, with the length of its proof."""
    try:
        margin = spec.margin
        if margin is None and spec.loss is not None:
            form = logistic_form(spec.loss)
            margin = form.margin if form else None
        prior = None if margin is None else prior_of_margin(normal_form(margin), spec.alpha)
        if prior is None or _speaks_of_pairs(spec, prior):
            return None
        recovery = verify(replace(spec, prior=prior))
    except (MidpoError, ZeroDivisionError, RecursionError):
        return None
    return (prior, len(recovery.steps)) if recovery.verdict == "proved" else None


def _speaks_of_pairs(spec: Spec, prior: Expr) -> bool:
    pairs = {n for n, kind in spec.names.features.items() if kind == "pair"}
    return bool(pairs & {str(symbol) for symbol in prior.free_symbols})


# --- Witnesses -----------------------------------------------------------------------------------


def witness_laws(witness: Witness) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """The next-token laws: (policy, prefix, probabilities of the tokens in order)."""
    table = []
    for word, laws in witness.case.laws.items():
        for place, (prefix, law) in enumerate(laws.items()):
            shown = ", ".join(map(str, prefix)) or r"\varnothing"
            law_name = f"${policy(word)}$" if place == 0 else ""
            table.append((law_name, f"${shown}$", tuple(f"${p}$" for p in law)))
    return tuple(table)


def witness_data(witness: Witness) -> tuple[str, ...]:
    """Parameters and data of the case, each as an equation."""
    given = [f"${name(word)} = {value}$" for word, value in witness.case.parameters.items()]
    for word, value in witness.case.features.items():
        if not isinstance(value, dict):
            given.append(f"${name(word)} = {value}$")
            continue
        for response, numbers in value.items():
            if isinstance(numbers, list):
                numbers = f"({', '.join(map(str, numbers))})"
                given.append(rf"${name(word)}({response}, \cdot) = {numbers}$")
            else:
                given.append(f"${name(word)}({response}) = {numbers}$")
    return tuple(given)


def tokens(ids: Sequence[int]) -> str:
    return f"$({', '.join(map(str, ids))})$"
