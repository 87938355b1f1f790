"""What a report says about one spec in words: assumptions, steps, what a prior depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sympy import Expr

from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.formula import terms
from midpo.symbolic.formula.told import Told, joined, listed, told
from midpo.symbolic.formula.tree import (
    Fence,
    Formula,
    Part,
    Placeholder,
    Upright,
    between,
    call,
    leaf,
    number,
    row,
    script,
)
from midpo.symbolic.formula.tree import listed as separated
from midpo.symbolic.formula.write import POLICY_SIGN, PROMPT, ZETA, name, policy, response, within
from midpo.symbolic.language.nodes import RESPONSE
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.representable import PriorFacts, fold
from midpo.symbolic.rewriting.derivation import Step
from midpo.symbolic.rewriting.rule import ARITHMETIC
from midpo.symbolic.rewriting.rules import reason as usual_reason

if TYPE_CHECKING:
    from midpo.numeric.witness import Witness

_Y = response(RESPONSE)
_FEATURE: dict[str, tuple[tuple[Formula | str, ...], str]] = {
    "response": ((_Y,), "{} for each response"),
    "token": ((_Y, "t"), "{} for each token of a response"),
    "pair": ((), "{} for the pair"),
}
_FROM_RIGHT = {ARITHMETIC: "arithmetic: regroup the terms"}


def batch_head(spec: Spec) -> Formula:
    """The left side of a loss that is not one of a pair."""
    return terms.defines(terms.LOSS_AT_PLACE if spec.orders_batch else terms.of(terms.LOSS, spec.roles))


def of_batch(spec: Spec) -> Told:
    """The words before such a loss."""
    if not spec.orders_batch:
        return told("{}", "What is stated is the loss of a list of responses to one prompt:")
    i, e = leaf("i"), leaf("e")
    return told(
        "What is stated is a loss of the batch, here of its place {}; {} is the {}-th of "
        "the values of {} over the batch, in growing order:",
        i,
        row(Upright("sort"), between("[", e, "]", "")),
        i,
        e,
    )


def assumptions(spec: Spec) -> tuple[Told, ...]:
    """What the statement supposes, one sentence each."""
    laws = list(map(policy, spec.policies))
    others = [policy(word) for word in spec.policies if word != "pi"]
    fixed = "is held fixed" if len(others) == 1 else "are held fixed"
    further = [told("; {} is {}", response(y), what) for y, what in spec.responses.items()]
    given = [
        told(
            "{} every token a positive probability after every prefix, as a softmax does. The "
            "policy {} is trained{}.",
            told("The policy {} gives" if len(laws) == 1 else "The policies {} give", listed(laws)),
            POLICY_SIGN,
            told(f"; {{}} {fixed}", listed(others)) if others else "",
        ),
        told(
            "The responses {} answer one prompt {} and have at least one token each{}.",
            listed(map(response, spec.roles)),
            PROMPT,
            joined("", further),
        ),
    ]
    if spec.names.parameters:
        domains = [within(p.domain, name(n)) for n, p in spec.names.parameters.items()]
        given.append(told("Parameters: {}.", joined(", ", domains)))
    if "alpha" not in spec.names.parameters:
        given.append(told("The scale of the generalised loss is {}.", row(name("alpha"), " = ", 1)))
    if spec.names.features:
        kinds = []
        for kind in dict.fromkeys(spec.names.features.values()):
            arguments, meaning = _FEATURE[kind]
            words = [word for word, other in spec.names.features.items() if other == kind]
            kinds.append(
                told(
                    meaning,
                    listed(call(name(word), *arguments) if arguments else name(word) for word in words),
                )
            )
        ranges = [
            within(spec.names.ranges[word], name(word))
            for word in spec.names.features
            if word in spec.names.ranges
        ]
        given.append(
            told(
                "Data that come with a pair: {}. They are real numbers{} and do not depend on {}.",
                listed(kinds),
                told(", {},", joined(", ", ranges)) if ranges else "",
                POLICY_SIGN,
            )
        )
    return tuple(given)


# How a condition ends.
HELD: dict[str, tuple[Part, ...]] = {
    "nonzero": (r" \ne ", 0),
    "positive": (" > ", 0),
    "nonnegative": (r" \ge ", 0),
}


# --- Derivations ---------------------------------------------------------------------------------


def reason(step: Step) -> str:
    """Why a step holds, as the sentence that leads to its formula."""
    words = usual_reason(step.rule)
    if step.reverse:
        words = _FROM_RIGHT.get(step.rule, f"{words} (read from right to left)")
    return f"{words[:1].upper()}{words[1:]}"


def folded(recovery: Recovery) -> Expr:
    """Target less recovered, with sums of token log-probabilities folded into responses'."""
    return fold(recovery.difference)


# --- Priors --------------------------------------------------------------------------------------


def dependence(spec: Spec, facts: PriorFacts) -> tuple[tuple[str, Told], ...]:
    """What the prior depends on: (the fact, what it means)."""
    return (
        (facts.policy, _policy_meaning(spec, facts.policy)),
        ("label-free" if facts.label_free else "label-dependent", _label_meaning(spec, facts)),
        ("token level" if facts.token_level else "sequence level", told("{}", _LEVEL[facts.token_level])),
    )


_LEVEL = {
    True: "Besides probabilities of whole responses, the prior needs single tokens' probabilities "
    "or next-token laws along the response.",
    False: "The policies enter the prior only through the probabilities of whole responses.",
}


def _policy_meaning(spec: Spec, kind: str) -> Told:
    pi = POLICY_SIGN
    if kind == "fixed":
        return told(
            "The prior does not depend on {}. It stays put while {} is trained, so there is "
            "no choice to make about differentiating it, and it can serve as the prior of a "
            "regularised problem whose normaliser is finite.",
            pi,
            pi,
        )
    if kind == "iterative":
        frozen = [policy(w) for w in spec.policies if w not in ("pi", "pi_ref")]
        return told(
            "The prior depends on {}, which training does not change: within a "
            "round it is a fixed prior, and from one round to the next it may be replaced.",
            listed(frozen),
        )
    return told(
        "The prior depends on the policy {} that is being trained. The two losses agree in "
        "value for every {}; their gradients agree if {} is differentiated together with "
        "{}. With the gradient stopped at {} the value stays the same and the gradient "
        "is in general another one. The optimum of the regularised problem is derived for a prior "
        "that does not change with the policy; for a prior such as this one, the recovery is an "
        "identity between losses and by itself says nothing about that optimum.",
        pi,
        pi,
        ZETA,
        pi,
        ZETA,
    )


def _label_meaning(spec: Spec, facts: PriorFacts) -> Told:
    if not facts.label_free:
        masses = [script("N", role, bare=True) for role in "wl"]
        ratio = Fence("(", row(masses[0], "/", masses[1]), ")")
        return told(
            "The prior is one function where {} is the preferred response of its pair and "
            "another where it is the dispreferred one. Both may be multiplied by one common factor "
            "free of {}, and by no others: normalising each to one, by {} and {}, would add {} to "
            "the margin. Such a prior takes the label as an input; it is "
            "not a distribution over responses that was chosen before the label was seen.",
            _Y,
            _Y,
            *masses,
            row(name("alpha"), r"\log", ratio),
        )
    data = ""
    if set(spec.names.features.values()) & {"response", "token"}:
        data = " The data that come with a pair may still differ from role to role."
    return told(
        "One expression serves the preferred and the dispreferred response, so that a factor "
        f"{{}} common to both cancels in the margin.{data}",
        call("N", PROMPT),
    )


# --- Witnesses -----------------------------------------------------------------------------------


Law = tuple[Formula | None, Formula, tuple[Formula, ...]]


def witness_laws(witness: Witness) -> tuple[Law, ...]:
    """The next-token laws: (policy, prefix, probabilities of the tokens in order)."""
    table = []
    for word, laws in witness.case.laws.items():
        for place, (prefix, law) in enumerate(laws.items()):
            shown = separated(map(number, prefix)) if prefix else leaf(r"\varnothing")
            table.append((policy(word) if place == 0 else None, shown, tuple(map(number, law))))
    return tuple(table)


def witness_data(witness: Witness) -> tuple[Formula, ...]:
    """Parameters and data of the case, each as an equation."""
    given = [row(name(word), " = ", number(value)) for word, value in witness.case.parameters.items()]
    for word, value in witness.case.features.items():
        if not isinstance(value, dict):
            given.append(row(name(word), " = ", number(value)))
            continue
        for role, numbers in value.items():
            if isinstance(numbers, list):
                left = call(name(word), response(role), Placeholder())
                given.append(row(left, " = ", tokens(numbers)))
            else:
                given.append(row(call(name(word), response(role)), " = ", number(numbers)))
    return tuple(given)


def tokens(ids: Sequence[Any]) -> Formula:
    """A sequence of numbers between brackets."""
    return Fence("(", separated(map(number, ids)), ")")
