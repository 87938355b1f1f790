"""Which gradient: with the prior differentiated, frozen, or detached in part?

The loss of a pair has the gradient l'(m) * nabla m, and nabla m depends on what of the prior is
differentiated. The target's own gradient, stopped gradients honoured, is compared with each choice
by exact differentiation; the two gradients of the margin are written down from their rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from sympy import Expr

from midpo.numeric.duals import Floats64
from midpo.numeric.figures import figure
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.formulas import gradient_formula, score
from midpo.proofs.audit.words import CONTRIBUTION, LOG_ZETA, PI
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.characters import line
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.terms import MARGIN
from midpo.symbolic.formula.told import Displayed, proved, told
from midpo.symbolic.formula.tree import Text, call, row, script
from midpo.symbolic.formula.write import ZETA, response, write
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, RESPONSE, StopGradient
from midpo.symbolic.language.spec import Spec

from .cosine import cosines
from .curl import conservative, target_conservative
from .outer import loss_gradient
from .pair import ROLES, Gradients, Kept, Pair, Progress, side_rows, speaks_of_logs_alone, undefined

PAIRS = 12  # on which gradients are told apart
SAME = 1e-9  # of unit vectors


def mode(gradients: Gradients, seed: int) -> Claim:
    """Which gradient of the generalised loss is that of the target."""
    question = "what is differentiated"
    spec = gradients.spec
    if not any(gradients.terms):
        return Claim(
            question,
            "either",
            "the prior is free of the policy: differentiating it or freezing it is the same",
            proved("no term of {} moves with {}", LOG_ZETA, PI),
        )
    if gradients.target is None:
        return Claim(
            question,
            "no target",
            "the spec has no target; the loss through the prior is taken "
            "with the prior differentiated, as it is written",
            told("{} the spec: nothing to compare it with", Standing.READ),
        )
    found = gradients.pairs(seed, PAIRS)
    if not found:
        return undefined(question)
    values = [
        abs(p.target_value - p.value) / max(1.0, abs(p.value)) for p in found if p.target_value is not None
    ]
    matches = [name for name, kept in _choices(gradients, found[0]) if _matches(found, kept)]
    evidence = told("{}, {} random pairs", Standing.DIFFERENTIATED, str(len(found)))
    if not matches:
        why = (
            f"the prior does not give the target's value (difference {figure(max(values), 2)}; "
            "see midpo verify)"
            if max(values) > 1e-9 and spec.margin is not None
            else "no choice of detached terms gives the target's gradient"
        )
        return Claim(question, "none", why, evidence, data={"value_difference": max(values)})
    verdict = matches[0]
    sentence = {
        "differentiate": "the prior must be differentiated to be the target's algorithm",
        "freeze": "the prior must be frozen to be the target's algorithm",
    }.get(verdict, f"to be the target's algorithm, {verdict}")
    if verdict == "differentiate":
        sentence += "; deriving it from the regularised problem needs the prior constant"
        if any(t.has(StopGradient) for terms in gradients.terms for t in terms):
            sentence += " (the prior's own sg(...) is honoured)"
    return Claim(question, verdict, sentence, evidence, data={"matches": matches})


def _choices(gradients: Gradients, pair: Pair) -> Iterator[tuple[str, Kept]]:
    """What may be detached, the simplest first."""
    chosen, rejected = (len(terms) for terms in pair.prior)
    yield "differentiate", pair.everything(True)
    yield "freeze", pair.everything(False)
    yield "detach the chosen side's prior", ((False,) * chosen, (True,) * rejected)
    yield "detach the rejected side's prior", ((True,) * chosen, (False,) * rejected)
    if chosen + rejected > 6 or chosen + rejected < 3:
        return
    for kept in itertools.product((True, False), repeat=chosen + rejected):
        detached = []
        for at, keep in enumerate(kept):
            if not keep:
                side, place = (0, at) if at < chosen else (1, at - chosen)
                role = ("chosen", "rejected")[side]
                detached.append(f"{_named(gradients.terms[side][place])} on the {role} side")
        yield f"detach {' and '.join(detached)}", (kept[:chosen], kept[chosen:])


def _named(term: Expr) -> str:
    return "the log-probabilities" if speaks_of_logs_alone(term) else "the divergence"


def _matches(found: Sequence[Pair], kept: Sequence[Sequence[bool]]) -> bool:
    """Whether the loss's gradient has the target's direction at every pair."""
    for pair in found:
        assert pair.loss is not None
        wanted, got = _unit(pair.loss), _unit(pair.of_loss(kept))
        if np.abs(wanted - got).max() > SAME:
            return False
    return True


def _unit(vector: Floats64) -> Floats64:
    size = float(np.linalg.norm(vector))
    return vector / size if size > 1e-14 else np.zeros_like(vector)


def formulas(gradients: Gradients) -> Claim:
    """nabla m with the prior differentiated and with it frozen."""
    question = "the margin's gradient"
    spec, shown = gradients.spec, []
    alpha = spec.alpha
    slope = row(r"\nabla ", MARGIN, *(() if alpha == 1 else ("/", write(alpha))))
    chosen, rejected = response(CHOSEN), response(REJECTED)
    frozen = Displayed(row(ZETA, Text(" frozen: "), " ", slope, " = ", score(chosen), " - ", score(rejected)))
    differentiated = row(ZETA, Text(" differentiated: "), " ", slope, " = ")
    try:
        found = [side_rows(spec, role) for role in ROLES]
    except (MidpoError, RecursionError) as error:
        return Claim(
            question,
            "undecided",
            f"the gradient with the prior differentiated is not known in symbols: {error}",
            told("{} symbolically", Standing.UNDECIDED),
            (frozen,),
        )
    written = [gradient_formula(rows_) for rows_ in found]
    if not any(gradients.terms):
        verdict, sentence = "the same", "with a fixed prior both are the same"
        shown = [frozen]
    elif written[0] == written[1]:
        verdict, sentence = "written", told("{} is what each response contributes", CONTRIBUTION)
        shown = [
            Displayed(
                row(
                    differentiated,
                    call("G", chosen),
                    " - ",
                    call("G", rejected),
                    ",",
                    r"\quad ",
                    call("G", response(RESPONSE)),
                    " = ",
                    written[0],
                )
            ),
            frozen,
        ]
    else:
        verdict, sentence = "written", "the two responses contribute differently"
        plus, minus = (script("G", above=sign, bare=True) for sign in "+-")
        shown = [
            Displayed(
                row(
                    differentiated,
                    call(plus, chosen),
                    " - ",
                    call(minus, rejected),
                    ",",
                    r"\quad ",
                    call(plus, response(RESPONSE)),
                    " = ",
                    written[0],
                    ",",
                    r"\quad ",
                    call(minus, response(RESPONSE)),
                    " = ",
                    written[1],
                )
            ),
            frozen,
        ]
    data = {"chosen": line(written[0]), "rejected": line(written[1])}
    return Claim(
        question, verdict, sentence, proved("chain rule on the sums over tokens"), tuple(shown), data
    )


def answers(
    spec: Spec,
    seed: int,
    trials: int,
    progress: Progress,
    parts: tuple[Expr | None, ...] = (None, None, None, None),
) -> Iterator[Claim]:
    """Every answer about the gradient; `parts` are the weight, the link, the further term
    and the temperature that were found beside the prior."""
    gradients = Gradients(spec)
    yield mode(gradients, seed)
    yield formulas(gradients)
    whole = loss_gradient(spec, *parts)
    if whole is not None:
        yield whole
    yield cosines(gradients, seed, trials, progress)
    progress("curl")
    yield conservative(gradients, seed)
    own = target_conservative(gradients, seed)
    if own is not None:
        yield own
