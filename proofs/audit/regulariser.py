"""Has alpha*log(pi/zeta) any regulariser, and does it regularise (propositions 2.1 and 2.6)?"""

from __future__ import annotations

import numpy as np
from sympy import Add, Expr, S

from midpo.numeric.figures import below, figure
from midpo.numeric.trees import Sight
from midpo.proofs.account.claim import Claim
from midpo.proofs.audit.words import (
    DIVERGENCE,
    OBJECTIVE,
    PROBABILITY,
    REGULARISER,
    SCALED_REGULARISER,
    SKEW,
    Y,
)
from midpo.symbolic.errors import NotYet
from midpo.symbolic.formula.characters import line
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Displayed, proposition, proved, told
from midpo.symbolic.formula.tree import THIN, Upright, between, row, script
from midpo.symbolic.formula.write import ZETA, write
from midpo.symbolic.language.nodes import POLICY, RESPONSE, Log, Prob, TokenProb, TokenSum
from midpo.symbolic.loss import is_constant

from .calculus import expected_body, rows, same, sequence_form, split_weight
from .correction import correction
from .formulas import Notebook
from .side import VANISHES, PriorSide, of_role


def degenerate(side: PriorSide) -> Claim | None:
    """Whether E_pi[log(pi/zeta)] is identically zero, so that nothing regularises."""
    if side.log is None:
        return None
    body = expected_body(Log(Prob(POLICY, RESPONSE)) - side.log, POLICY)
    if body is None or not same(body, S.Zero):
        return None
    worst = 0.0
    for world in side.random_worlds("state", 0):
        log_ratio = np.log(world.probability()) - world.values(Log(side.expr))
        worst = max(worst, abs(float(world.probability() @ log_ratio)))
    if worst > VANISHES:
        return None
    where = " if the features see only the tokens before" if side.token_features else ""
    return Claim(
        of_role("degenerate", side),
        "no interior optimum",
        told(
            "the regulariser {} is identically zero{}: {}, which has no interior optimum unless r "
            "is constant",
            REGULARISER,
            where,
            OBJECTIVE,
        ),
        proved(
            "each token's share is centred under the policy; {} at {} random policies",
            below(worst, VANISHES),
            str(len(side.random_worlds("state", 0))),
        ),
        data={"largest": worst},
    )


def regulariser(side: PriorSide, seed: int) -> Claim:
    """Proposition 2.6: whether alpha*log(pi/zeta) is, up to a constant, the gradient of some
    regulariser: P (M - M^T) P = 0 with M = d R(y)/d pi(y')."""
    question = of_role("regulariser", side)
    if side.policy_free:
        return Claim(
            question,
            "exists",
            told("a regulariser exists: {}", DIVERGENCE),
            proved("the prior is free of the policy"),
        )
    curls: dict[str, float] = {}
    for sight in side.sights:
        worst = 0.0
        for world in side.random_worlds(sight, seed):
            _, slopes = world.jacobian(Log(side.expr))
            moved = np.diag(1 / world.probability()) - slopes
            moved = moved / np.abs(moved).max()
            skew = moved - moved.T
            skew = skew - skew.mean(0) - skew.mean(1)[:, None] + skew.mean()
            worst = max(worst, float(np.abs(skew).max()))
        curls[sight] = worst
    policies = len(side.random_worlds("token", seed))
    how = _integrable(side, "token")
    if how and curls["token"] < VANISHES * 10:
        return Claim(
            question,
            "exists",
            told("a regulariser exists: {}", how),
            proved(
                "{}; {} is {} of M at {} policies",
                proposition("2.6"),
                SKEW,
                below(curls["token"], VANISHES * 10),
                str(policies),
            ),
            _variational(side),
            {"curl": curls},
        )
    how = _integrable(side, "state") if "state" in curls else ""
    if how and curls["state"] < VANISHES * 10 and curls["token"] > 1e-6:
        return Claim(
            question,
            "exists if features see only the tokens before",
            told("a regulariser exists only if the features see only the tokens before: {}", how),
            told(
                "{} for such features; otherwise {}: {} reaches {} of M",
                Standing.PROVED,
                Standing.DIFFERENTIATED,
                SKEW,
                figure(curls["token"], 2),
            ),
            data={"curl": curls},
        )
    if min(curls.values()) > 1e-6:
        return Claim(
            question,
            "none",
            "no regulariser has this implicit reward: it is not a gradient",
            told(
                "{}, {} policies: {} reaches {} of M ({})",
                Standing.DIFFERENTIATED,
                str(policies),
                SKEW,
                figure(max(curls.values()), 2),
                proposition("2.6"),
            ),
            data={"curl": curls},
        )
    small = {s for s, curl in curls.items() if curl <= 1e-6}
    verdict = "exists" if len(small) == len(curls) else "depends on the features"
    return Claim(
        question,
        verdict,
        "no curl was found: a regulariser seems to exist"
        if verdict == "exists"
        else "a regulariser seems to exist only for features that see the tokens before",
        told(
            "{}, {} policies: {} is {} of M",
            Standing.EVIDENCE,
            str(policies),
            SKEW,
            below(max(curls[s] for s in small), 1e-6),
        ),
        data={"curl": curls},
    )


def _integrable(side: PriorSide, sight: Sight) -> str:
    """Why each term of log zeta is integrable, or "": it is pointwise, or satisfies SA."""
    if side.log is None or side.rows is None:
        return ""
    pointwise = exact = False
    for term in Add.make_args(side.log):
        if POLICY not in term.free_symbols:
            continue
        if _pointwise(term):
            pointwise = True
            continue
        try:
            if not correction(rows(term), sight, Notebook()).vanishes:
                exact = _whole_is_exact(side, sight)
                if not exact:
                    return ""
            exact = True
        except NotYet:
            return ""
    if pointwise and not exact:
        return told(
            "the margin is pointwise, a function of {} and {} (an antiderivative in {})",
            PROBABILITY,
            Y,
            PROBABILITY,
        )
    return (
        told("condition SA makes {} one", SCALED_REGULARISER)
        if not pointwise
        else "each term is pointwise or satisfies condition SA"
    )


def _whole_is_exact(side: PriorSide, sight: Sight) -> bool:
    assert side.rows is not None
    return correction(side.rows, sight, Notebook()).vanishes


def _pointwise(term: Expr) -> bool:
    """Whether the policy enters as log pi(y) alone."""
    stand = {
        s: S.One
        for s in term.atoms(TokenSum)
        if isinstance(s.args[0], Log)
        and isinstance(s.args[0].args[0], TokenProb)
        and s.args[0].args[0].args[0] == POLICY
    }
    return POLICY not in term.xreplace(stand).free_symbols


def _variational(side: PriorSide) -> tuple[Displayed, ...]:
    """The prior whose usual expression is right at the optimum, where log zeta is linear in
    log pi(y): zeta * exp(coefficient of log pi in log(pi/zeta))."""
    if side.rows is None or len(side.rows) != 1 or side.rows[0].law is not None:
        return ()
    if not all(_pointwise(t) for t in Add.make_args(side.log)):
        return ()
    slope = sequence_form(1 - side.rows[0].weight)
    if POLICY in slope.free_symbols or is_constant(slope) or set(split_weight(slope)) - {"response", "known"}:
        return ()
    tilted = row(ZETA, THIN, r"\exp", between("(", write(slope), ")", "big"))
    sentence = f"with {line(tilted)} for ζ the usual expression is right at the optimum"
    return (Displayed(row(script(ZETA, Upright("var")), " = ", tilted), spelt=sentence),)
