"""Canonical form -> a form that keeps its digits: everything in log-probabilities, sums gathered.

The lowered loss is reached by a derivation of its own, so the checker that replays recoveries
replays this too: the kernel computes what the spec says because each step is an identity.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass

from sympy import Add, Expr, Mul, Pow, S, expand

from midpo.symbolic.derivation import Derivation, Instance
from midpo.symbolic.language import (
    MARGIN,
    POLICY,
    RESPONSE,
    Divergence,
    Entropy,
    Exp,
    Log,
    LogSigmoid,
    Sigmoid,
    TokenProb,
    TokenSum,
    VocabSum,
    structural,
)
from midpo.symbolic.loss import (
    is_constant,
    logistic_form,
    loss_of_margin,
    recovered_margin,
)
from midpo.symbolic.normal import expand_everywhere, settle
from midpo.symbolic.rules import RULES, phase
from midpo.symbolic.spec import Spec
from midpo.symbolic.work import allowance

# What stands outside a logarithm becomes an exponential; reflections would cost digits.
_EXPONENTIALS = tuple(
    RULES[name]
    for name in (
        "probability_exp",
        "token_product_exp",
        "power_exp",
        "exp_product",
        "exp_zero",
        "exp_log",
    )
)
_LINEAR = (RULES["token_sum_linear"],)
_SHARE = "logistic_share"


@dataclass(frozen=True)
class Lowered:
    """The loss of one pair, ready to print.

    `margin` is the lowered margin (None where the loss has none) and `loss` the lowered loss, in m
    where there is a margin. `derivations` lead from what the spec says to these, one each.
    """

    margin: Expr | None
    loss: Expr
    derivations: tuple[Derivation, ...]


def lower(spec: Spec) -> Lowered:
    """Lower the loss of `spec`: its target's, its prior's where it has no target, or its batch's.

    Stopped gradients stay where they are: they have a value but no gradient.
    Raises: TooLarge where the stable form would exceed its bounds.
    """
    with allowance(*spec.expressions):
        return _lower(*_margin_and_loss(spec))


def _lower(margin: Expr | None, loss: Expr) -> Lowered:
    chains = []
    if margin is not None:
        chain = stable(margin)
        margin = chain.end
        chains.append(chain)
    chain = stable(loss)
    chains.append(chain)
    return Lowered(margin, chain.end, tuple(chains))


def _margin_and_loss(spec: Spec) -> tuple[Expr | None, Expr]:
    """The margin as the spec states it, and the loss as a function of m; no margin where the
    target's loss is not written as a function of one."""
    stated = spec.loss if spec.batch is None else spec.batch
    if stated is None:
        margin = spec.margin if spec.margin is not None else recovered_margin(spec)
        return margin, loss_of_margin(spec, MARGIN)
    form = logistic_form(stated)
    if form is None:
        return None, stated
    return form.margin, -form.factor * LogSigmoid(MARGIN) + form.constant


def stable(expr: Expr) -> Derivation:
    """A derivation from `expr` to its stable form."""
    chain = Derivation(expr)
    settle(chain, (*phase("log", "token"), *_EXPONENTIALS))
    if shares := logistic_shares(chain.end):
        chain.replace("logistic_share", shares)
        chain.arithmetic(expand_everywhere(chain.end))
    gathered = gather(chain.end)
    back = Derivation(gathered)
    back.arithmetic(expand_everywhere(gathered))
    back.apply(_LINEAR)
    back.arithmetic(chain.end)
    whole = chain.joined(back)
    reflected, sigmoids = reflect(whole.end)
    back = Derivation(reflected)
    back.replace("sigmoid_reflection", [Instance(Sigmoid(-x), 1 - Sigmoid(x), (x,))
                                        for x in sigmoids])
    back.arithmetic(whole.end)
    whole = whole.joined(back)
    whole.arithmetic(weigh(whole.end))
    beside = _beside_exponentials(whole.end)
    if beside:
        whole.replace("sigmoid_logsigmoid", [Instance(s, Exp(LogSigmoid(*s.args)), s.args)
                                             for s in beside])
        whole.apply((RULES["exp_product"],))
    return whole


def _beside_exponentials(expr: Expr) -> list[Expr]:
    """The sigmoids that multiply an exponential: where it overflows they are 0, and only the
    product has a value."""
    return [
        factor
        for term in Add.make_args(expr)
        if any(isinstance(f, Exp) for f in Mul.make_args(term))
        for factor in Mul.make_args(term)
        if isinstance(factor, Sigmoid)
    ]


def reflect(expr: Expr) -> tuple[Expr, list[Expr]]:
    """The sum `expr` with c - c*sigmoid(x) as c*sigmoid(-x), and the x of which: where sigmoid is
    near 1 the difference would have no digits left."""
    terms = list(Add.make_args(expr))
    found: list[Expr] = []
    for term in list(terms):
        sigmoids = [f for f in Mul.make_args(term) if isinstance(f, Sigmoid)]
        if len(sigmoids) != 1:
            continue
        (sigmoid,) = sigmoids
        complement = -term / sigmoid
        number = next((t for t in terms if t.is_Number), S.Zero)
        if complement.is_Number and 0 < complement <= number:
            terms.remove(number)
            terms.append(number - complement)
        elif complement in terms:
            terms.remove(complement)
        else:
            continue
        (argument,) = sigmoid.args
        terms[terms.index(term)] = complement * Sigmoid(-argument)
        found.append(argument)
    return Add(*terms), found


def logistic_shares(expr: Expr) -> list[Instance]:
    """log(exp(a) + exp(b)) as a - logsigmoid(a - b) where the sum `expr` takes that from a: where a
    is much the larger, the difference would have no digits left."""
    terms = set(Add.make_args(expr))
    found = []
    for term in terms:
        logs = [f for f in Mul.make_args(term) if isinstance(f, Log)]
        parts = RULES[_SHARE].find(logs[0]) if len(logs) == 1 else None
        if parts is None:
            continue
        (log,) = logs
        for a, b in itertools.permutations(parts):
            if set(Add.make_args(expand(-term / log * a))) <= terms:
                found.append(Instance(log, a - LogSigmoid(a - b), (a, b)))
                break
    return sorted(found, key=lambda instance: structural(instance.old))


def weigh(expr: Expr) -> Expr:
    """The sum `expr` with log-sigmoids of one weight in one bracket, where they nearly cancel when
    two preferences nearly agree: s*(logsigmoid(a) - logsigmoid(b))."""
    terms = Add.make_args(expr)
    for weight in sorted(expr.atoms(Sigmoid), key=structural):
        inside = [t for t in terms if weight in Mul.make_args(t) and t.has(LogSigmoid)]
        if len(inside) > 1:
            rest = [t for t in terms if t not in inside]
            terms = (*rest, weight * Add(*(t / weight for t in inside)))
    return Add(*terms)


def gather(expr: Expr) -> Expr:
    """The linear combination of token sums `expr` as few sums of combined terms: one pass over the
    tokens, and differences taken token by token, where they are small."""
    groups: dict[tuple[Expr, ...], list[tuple[Expr, Expr]]] = defaultdict(list)
    rest = []
    for term in Add.make_args(expr):
        factors = Mul.make_args(term)
        sums = [f for f in factors if isinstance(f, TokenSum)]
        if len(sums) != 1:
            rest.append(term)
            continue
        (total,) = sums
        others = [f for f in factors if f is not total]
        weight = Mul(*(f for f in others if not is_constant(f)))
        scale = Mul(*(f for f in others if is_constant(f)))
        groups[(weight, *total.args[1:])].append((scale, total.args[0]))
    for (weight, index, response), terms in groups.items():
        common = _common_factor(terms, response)
        body = _by_coefficient([(scale / common, summand) for scale, summand in terms])
        rest.append(common * weight * TokenSum(body, index, response))
    return Add(*rest)


def _common_factor(terms: list[tuple[Expr, Expr]], response: Expr) -> Expr:
    """The product of the factors that all scales share, with the sign of the policy's term, so that
    both roles get the same body."""
    shared = _powers(terms[0][0])
    for scale, _ in terms[1:]:
        shared &= _powers(scale)

    def key(term: tuple[Expr, Expr]) -> tuple[bool, bool, str]:
        summand = term[1].xreplace({response: RESPONSE})
        return POLICY not in summand.free_symbols, not summand.has(Log), str(summand)

    leading = min(terms, key=key)[0]
    sign = S.NegativeOne if leading.as_coeff_Mul()[0] < 0 else S.One
    return sign * Mul(*(Pow(base, count) for base, count in shared.items()))


def _powers(scale: Expr) -> Counter[Expr]:
    counted: Counter[Expr] = Counter()
    for factor in Mul.make_args(scale):
        base, exponent = factor.as_base_exp()
        if not factor.is_Number and exponent.is_Integer and exponent > 0:
            counted[base] += int(exponent)
        elif not factor.is_Number:
            counted[factor] += 1
    return counted


def _by_coefficient(terms: list[tuple[Expr, Expr]]) -> Expr:
    """The sum of scale*summand with statistics of equal weight in one bracket: w*(a - b) + u*c."""
    groups: dict[Expr, list[Expr]] = defaultdict(list)
    for scale, summand in terms:
        factors = Mul.make_args(scale * summand)
        statistics = [f for f in factors if f.has(TokenProb, VocabSum, Divergence, Entropy)]
        weight = Mul(*(f for f in factors if f not in statistics and f != -1))
        sign = S.NegativeOne if S.NegativeOne in factors else S.One
        groups[weight].append(sign * Mul(*statistics))
    return Add(*(weight * Add(*inside) for weight, inside in groups.items()))
