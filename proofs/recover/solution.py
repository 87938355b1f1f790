"""Which prior gives this loss? The prior, its class, or the theorem by which there is none.

The target is taken apart into a margin, a link, an additive term and a weight. Whatever is found is
then given to `verify`: an answer "representable" rests on that proof, an answer "none" on a witness
at which a cross difference does not vanish.

Theorems, numbered as `midpo solve` cites them:

1. A positive loss L has log-sigmoid prior form iff -log(exp(L) - 1) is separable, f(w) - g(l).
2. A margin is separable iff its cross differences vanish.
3. A separable margin is label-free iff it changes sign when the pair is swapped.
4. Every separable margin has a prior, unique up to one factor free of y; alpha is not identified.
5. The prior is fixed iff the margin less alpha*log(pi) is free of the policy.
6. A link is log-sigmoid only if it is -log sigmoid(a*m + b) with a > 0, up to a positive factor and
   a constant.
7. A term A(y_w) beside the link leaves the prior form unless (1 - exp(-A))*exp(f) is constant.
8. A loss is a smooth function of one separable margin only if log|dL/da / dL/db| is a sum of a
   function of the chosen and one of the rejected response.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from sympy import Add, Expr, Mul, S

from midpo.numeric.crossing import HEXAGON, Crossing, find_crossing, find_nonpositive, margin_of_loss
from midpo.numeric.figures import figure
from midpo.numeric.linkage import mixed_derivative
from midpo.numeric.witness import differ
from midpo.proofs.recover.words import PSI, SLOPES, short
from midpo.symbolic.algebra.factor import factors
from midpo.symbolic.algebra.normal import form, normal_form
from midpo.symbolic.algebra.polynomial import is_zero
from midpo.symbolic.algebra.separable import pair_data, separations
from midpo.symbolic.errors import NoValue, SpecError, TooLarge
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known, theorem, told, undecided
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import (
    CHOSEN,
    POLICY,
    REJECTED,
    RESPONSE,
    ByLabel,
    Exp,
    Log,
    LogSigmoid,
    Max,
    Step,
    roles,
)
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import PRIOR
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import is_constant, target_loss
from midpo.symbolic.representable import fold, plainest, prior_facts, prior_of_margin
from midpo.symbolic.work import allowance, bounds, question

from .anatomy import Parts, as_other_link, readings, temperature_of
from .classes import class_of, turns
from .conditions import of_lengths
from .needless import without_needless
from .positive import positive_where
from .recovery import Recovery, verify
from .solved import Alternative, Solution

JUDGED = {"proved": Standing.PROVED, "refuted": Standing.REFUTED, "undecided": Standing.UNDECIDED}
EFFORT = 6  # how many times the work of one proof a search may take


def solve(spec: Spec) -> Solution:
    """Find the prior that gives `spec`'s target, or show that none does.

    Raises: SpecError where the spec has no target.
    """
    if not spec.has_target:
        raise SpecError(
            "the spec has no target: there is nothing to solve",
            file=spec.file,
            key="target",
            expected="a target",
        )
    try:
        with question(), allowance(*spec.expressions, units=EFFORT * bounds(*spec.expressions).units):
            return _solve(spec)
    except NoValue as error:
        reason, standing = f"{error}.", known(Standing.EMPTY)
    except (TooLarge, RecursionError) as error:
        reason, standing = f"No normal form within bounds: {error}.", undecided()
    return Solution(spec, "undecided", reason[:1].upper() + reason[1:], standing=standing)


def _solve(spec: Spec) -> Solution:
    undecided = None
    for parts in readings(spec):
        found = _answer(spec, parts)
        if found.kind != "undecided":
            return found
        undecided = undecided or found
    return undecided or _no_margin(spec)


def _answer(spec: Spec, parts: Parts) -> Solution:
    """The answer for one way to take the target apart."""
    temperature, margin = temperature_of(parts.margin)
    if positive_where(temperature) is None:
        temperature, margin = -temperature, form(-margin)
    f, g = _sides(margin)
    if f is None or g is None:
        return _not_separable(spec, replace(parts, margin=margin), temperature)
    if parts.term != 0 and parts.link is None and parts.weight == temperature == 1:
        exception = _exception(f, g, parts.term)
        if exception is not None:
            found = Parts(exception, derived=True)
            return _with_prior(spec, found, S.One)
    return _with_prior(spec, replace(parts, margin=margin), temperature)


# --- Separable or not ----------------------------------------------------------------------------


def _sides(margin: Expr) -> tuple[Expr | None, Expr | None]:
    """f and g of margin = f(y_w) - g(y_l), as expressions in y; the constant is shared evenly."""
    chosen: list[Expr] = []
    rejected: list[Expr] = []
    constant: list[Expr] = []
    for term in Add.make_args(margin):
        spoken = roles(term)
        if is_constant(term):
            constant.append(term)
        elif spoken in ({CHOSEN}, {REJECTED}) and not pair_data(term):
            (chosen if CHOSEN in spoken else rejected).append(term)
        else:
            return None, None
    half = Add(*constant) / 2
    return (
        substitute(Add(*chosen), {CHOSEN: RESPONSE}) + half,
        -substitute(Add(*rejected), {REJECTED: RESPONSE}) - half,
    )


def _exception(f: Expr, g: Expr, term: Expr) -> Expr | None:
    """Theorem 7's exception: -logsigmoid(f - g) + A(y_w) with (1 - exp(-A))*exp(f) constant is
    -logsigmoid of (f - A) - log(constant + exp(g)); None where it does not apply."""
    if REJECTED in term.free_symbols or pair_data(term):
        return None
    a = substitute(term, {CHOSEN: RESPONSE})
    constant = form((1 - Exp(-a)) * Exp(f))
    if not is_constant(constant):
        return None
    winner = substitute(f - a, {RESPONSE: CHOSEN})
    loser = Log(constant + Exp(substitute(g, {RESPONSE: REJECTED})))
    return form(winner - loser)


# --- Answers -------------------------------------------------------------------------------------


def _with_prior(spec: Spec, parts: Parts, temperature: Expr) -> Solution:
    """The answer where the margin is separable: its prior, its class, and their proof."""
    margin = plainest(normal_form(parts.margin))
    prior = prior_of_margin(margin, spec.alpha)
    if prior is not None and prior.has(ByLabel):
        # The roles may be written differently and mean the same: compare them written out.
        spelled = prior_of_margin(normal_form(parts.margin, written_out=True), spec.alpha)
        prior = prior if spelled is None or spelled.has(ByLabel) else spelled
    if prior is None:  # a stopped gradient separated what its value mixes
        return _not_separable(spec, parts, margin)
    # What is answered is text: prove what a reader would paste.
    prior = parse(text(fold(prior), spec.names.taken()), spec.names, PRIOR)

    @cache  # what is accepted as plainer is the answer's own proof
    def asked(prior: Expr) -> Recovery:
        return verify(_question(spec, parts, prior, plain=temperature == 1))

    prior, unseen = without_needless(spec, prior, lambda p: asked(p).verdict == "proved")
    proof = asked(prior)
    facts = prior_facts(replace(spec, prior=prior))
    swap = S.Zero if facts.label_free else form(margin + _swapped(margin))
    kind, reason = class_of(spec, parts, temperature, facts, swap, unseen)
    turning = next((f for f in (temperature, parts.weight) if of_lengths(f) and not _never_negative(f)), None)
    if turning is not None:
        reason = turns(spec, turning)
    proved = proof.verdict == "proved" and turning is None
    return Solution(
        spec,
        kind if proved else "undecided",
        told("{}.", reason.capitalised()),
        prior=prior,
        link=parts.link,
        constraint=fold(parts.term) if parts.term != 0 else None,
        temperature=temperature if temperature != 1 else None,
        weight=parts.weight if parts.weight != 1 else None,
        conditions=_conditions(temperature, parts, proof),
        alternatives=_alternatives(spec, margin),
        proof=proof,
        standing=known(JUDGED[proof.verdict], "this prior gives the margin ({})", proof.standing),
        swap_sum=swap,
    )


def _never_negative(expr: Expr) -> bool:
    """Whether it, or the product of its factors of odd powers, is seen to be at least 0."""
    if is_nonnegative(expr):
        return True
    found = factors(expr, plain=True)
    return bool(found) and is_nonnegative(Mul(*(b**e for b, e in found if e % 2)))


def _conditions(temperature: Expr, parts: Parts, proof: Recovery) -> tuple[str, ...]:
    """What must hold for the answer: factors are positive, and what its proof leaves out."""
    factors = [f for f in (temperature, parts.weight, parts.scale) if not of_lengths(f)]
    signs = (condition for factor in factors for condition in positive_where(factor) or ())
    found = tuple(dict.fromkeys((*signs, *proof.side_conditions)))
    return tuple(
        c
        for c in found
        if not (  # what another says already
            c.endswith(" != 0") and f"{c.removesuffix(' != 0')} > 0" in found
        )
    )


def _question(spec: Spec, parts: Parts, prior: Expr, *, plain: bool) -> Spec:
    """The spec that asks whether `prior` gives the target: as it stands where there is nothing
    beside the margin, else of the margin alone."""
    plain = plain and parts.term == 0 and parts.weight == 1 and not parts.derived
    if plain and parts.link is None:
        return replace(spec, prior=prior)
    if plain and spec.loss is not None:
        return replace(spec, prior=prior, link=parts.link)
    return replace(
        spec,
        prior=prior,
        margin=fold(parts.margin),
        loss=None,
        link=parts.link,
        constraint=None,
        multiplier=None,
    )


def _swapped(margin: Expr) -> Expr:
    return substitute(margin, {CHOSEN: REJECTED, REJECTED: CHOSEN})


def _alternatives(spec: Spec, margin: Expr) -> tuple[Alternative, ...]:
    """The temperature at which the prior is fixed, where it is another than the spec's."""
    leading = [
        term for term in Add.make_args(margin) if CHOSEN in term.free_symbols and POLICY in term.free_symbols
    ]
    if len(leading) != 1:
        return ()
    factors = Mul.make_args(fold(leading[0]))
    scale = Mul(*(f for f in factors if is_constant(f)))
    plain = Mul(*(f for f in factors if not is_constant(f)))
    if not isinstance(plain, Log) or not is_positive(scale) or is_zero(scale - spec.alpha):
        return ()
    prior = prior_of_margin(margin, scale)
    return () if prior is None or POLICY in prior.free_symbols else (Alternative(scale, prior),)


def _not_separable(spec: Spec, parts: Parts, temperature: Expr) -> Solution:
    """The answer where some term mixes the two responses: a separated form of the margin, another
    link, a witness, or none of these."""
    margin = parts.margin
    witness = find_crossing(spec, margin)
    for separated in separations(margin) if witness is None else ():
        found = _with_prior(spec, replace(parts, margin=separated), temperature)
        if found.kind != "undecided":
            return found
    whole = parts.link is None and parts.term == 0 and parts.weight == temperature == 1
    if whole and witness is None and spec.margin is not None and not parts.derived:
        # What mixes the two and is never seen to count is left out; the proof is of the target.
        apart = Add(*(t for t in Add.make_args(margin) if is_constant(t) or not _mixes(t)))
        if not differ(spec, margin, apart):
            found = _with_prior(spec, replace(parts, margin=apart), temperature)
            if found.kind != "undecided":
                return found
    if whole:
        other = as_other_link(form(-LogSigmoid(margin)), spec.alpha)
        # A clipped margin is flat beyond its bounds: no link of it is one of a margin.
        smooth = other is not None and other.link is not None and not other.link.has(Max, Step)
        if other is not None and smooth and None not in _sides(other.margin):
            return _with_prior(spec, other, S.One)
    mixed = next((t for t in Add.make_args(margin) if not is_constant(t) and _mixes(t)), margin)
    if witness is None:
        return Solution(
            spec,
            "undecided",
            told(
                "The margin mixes the two responses in {}, but no cross difference was found to be nonzero.",
                short(mixed, spec),
            ),
            standing=undecided(),
        )
    return Solution(
        spec,
        "none",
        told(
            "{}: the margin is not separable; the term {} mixes the two responses, and a "
            "cross difference does not vanish.",
            theorem("2").capitalised(),
            short(mixed, spec),
        ),
        witness=witness,
        hexagon=find_crossing(spec, margin, cycle=HEXAGON),
        standing=at_cycle(witness),
    )


def _mixes(term: Expr) -> bool:
    """Whether a term is written with both responses, or with data of the pair."""
    return pair_data(term) or roles(term) not in ({CHOSEN}, {REJECTED})


def at_cycle(witness: Crossing) -> Told:
    return told("{} at a 4-cycle ({})", Standing.REFUTED, witness.standing)


def _no_margin(spec: Spec) -> Solution:
    """The answer where no margin was found of which the loss is a function."""
    loss = target_loss(spec)
    normal = form(loss)
    additive = not any(len(roles(t)) > 1 for t in Add.make_args(normal))
    mixed = mixed_derivative(spec, normal)
    if additive:
        # A linear link and two priors would "represent" any such loss.
        why = "The loss is a sum of one term for each response, and no link may swallow that"
    elif mixed:
        why = told(
            "{}: {}, for a of the chosen and b of the rejected response, has the mixed "
            "derivative {} at some point, so the loss is no smooth function of one separable "
            "margin",
            theorem("8").capitalised(),
            SLOPES,
            figure(mixed, 2),
        )
    else:
        why = ""
    witness = find_crossing(spec, loss, margin_of_loss)
    point = find_nonpositive(spec, loss)
    if witness is not None:
        logistic = told("a cross difference of {} does not vanish ({})", PSI, theorem("1", "2"))
        standing = at_cycle(witness)
    elif point is not None:
        logistic = told("at some pair the loss is {}, not positive ({})", figure(point, 6), theorem("1"))
        standing = told("{} at a point (intervals of 50 digits)", Standing.REFUTED)
    if not why or (witness is None and point is None):
        return Solution(
            spec,
            "undecided",
            "No margin was found of which the loss is a function, and none was excluded.",
            standing=undecided(),
        )
    if not additive:
        standing = told("{}; for other links {} (80 digits, {})", standing, Standing.EVIDENCE, theorem("8"))
    return Solution(
        spec,
        "none",
        told("{}; it has no prior through the log-sigmoid link: {}.", why, logistic),
        witness=witness,
        hexagon=find_crossing(spec, loss, margin_of_loss, cycle=HEXAGON),
        standing=standing,
    )
