"""Identities of sums that keep digits: each takes an expression and gives an equal one.

What two terms share is taken from both before they are subtracted: token sums are gathered, what
nearly cancels stands in one bracket, and coefficients that are sums of parameters are added first.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import sympy
from sympy import Add, Dummy, Expr, Mul, Pow, Rational, S

from midpo.symbolic.algebra.polynomial import expand
from midpo.symbolic.language.building import rebuild
from midpo.symbolic.language.nodes import (
    POLICY,
    RESPONSE,
    Divergence,
    Entropy,
    Exp,
    Length,
    Log,
    LogSigmoid,
    Node,
    Parameter,
    Sigmoid,
    TokenProb,
    TokenSum,
    VocabSum,
    structural,
)
from midpo.symbolic.language.signs import is_negative, is_nonnegative
from midpo.symbolic.loss import is_constant
from midpo.symbolic.rewriting.derivation import Instance
from midpo.symbolic.rewriting.rules import RULES, leading_sign

from .exponentials import by_exponent, signed

_SHARE = "logistic_share"


def everywhere(expr: Expr, form: Callable[[Expr], Expr]) -> Expr:
    """`expr` with `form` used at it and at each argument of its functions, innermost first, less
    what sums over the vocabulary hold; sums and products in a sum or product are parts of it."""
    done: dict[Any, Any] = {}

    def visit(node: Any, inside: bool) -> Any:
        key = node, inside
        if key not in done:
            result = node
            if node.args and not isinstance(node, VocabSum):
                inner = isinstance(node, (Add, Mul))
                args = [visit(arg, inner) for arg in node.args]
                if any(new is not old for new, old in zip(args, node.args, strict=True)):
                    result = rebuild(node, args)
            if isinstance(node, Add) or (not inside and isinstance(node, (Mul, TokenSum))):
                result = form(result)
            done[key] = result
        return done[key]

    return visit(expr, False)


def distributed(expr: Any) -> Any:
    """`expr` expanded, and the arguments of every function in it, but for powers of sums that
    depend on data: (a - b)**2 has digits that a**2 - 2*a*b + b**2 has lost. Inside functions no
    sum in a denominator is turned round, so that the step can be followed."""
    done: dict[Any, Any] = {}

    def held(node: Any, deep: bool) -> bool:
        if not (isinstance(node, Pow) and isinstance(node.base, Add) and node.exp.is_Integer):
            return False
        return (node.exp < 0 and deep) or (node.exp != 1 and not is_constant(node.base))

    def arithmetic(node: Any, deep: bool) -> bool:
        return isinstance(node, (Add, Mul)) or (
            isinstance(node, Pow) and isinstance(node.exp, Rational) and not held(node, deep)
        )

    def visit(node: Any, inside: bool, deep: bool) -> Any:
        key = (node, inside, deep)
        if key not in done:
            result = node
            if node.args:
                inner = arithmetic(node, deep)
                below = deep or isinstance(node, Node)
                args = [visit(arg, inner, below) for arg in node.args]
                if any(new is not old for new, old in zip(args, node.args, strict=True)):
                    result = rebuild(node, args)
            if not inside and arithmetic(result, deep):
                powers = {p: Dummy(real=True) for p in result.atoms(Pow) if held(p, deep)}
                result = expand(result.xreplace(powers))
                result = result.xreplace({d: p for p, d in powers.items()})
            done[key] = result
        return done[key]

    return visit(expr, False, False)


def collected(expr: Expr) -> Expr:
    """`expr` with the parameters that multiply one thing added first: (1 - a)*x for x - a*x, which
    has no digits left where a is near 1."""
    return everywhere(expr, _collected)


def _collected(expr: Expr) -> Expr:
    if not isinstance(expr, Add) or is_constant(expr):
        return expr
    found: dict[Expr, list[Expr]] = defaultdict(list)
    for term in expr.args:
        factors = Mul.make_args(term)
        data = Mul(*(f for f in factors if not is_constant(f)))
        found[data].append(Mul(*(f for f in factors if is_constant(f))))
    if all(len(scales) == 1 for scales in found.values()):
        return expr
    return Add(*(_added(scales) * data for data, scales in found.items()))


def _added(scales: list[Expr]) -> Expr:
    """The sum of coefficients; where they divide by a sum, what divides both is cancelled."""
    total = Add(*scales)
    below = {sympy.denom(scale) for scale in scales}
    if len(scales) == 1 or not any(d.has(Add) for d in below):
        return total
    if len(below) > 1:
        return sympy.factor(total)
    total = Add(*map(sympy.numer, scales)) / below.pop()
    number = sympy.cancel(total)
    return number if number.is_Number else total


def reflect(expr: Expr) -> tuple[Expr, list[Expr]]:
    """`expr` with c - c*sigmoid(x) in its sums as c*sigmoid(-x), and the x of which: where sigmoid
    is near 1 the difference would have no digits left. Of x and -x only one is named."""
    found: list[Expr] = []
    reflected = everywhere(expr, lambda total: _reflected(total, found))
    named = [x for n, x in enumerate(found) if x not in found[:n] and -x not in found[:n]]
    return reflected, named


def _reflected(total: Expr, found: list[Expr]) -> Expr:
    terms = list(Add.make_args(total))
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
    return Add(*terms)


def logistic_shares(expr: Expr) -> list[Instance]:
    """log(exp(a) + exp(b)) as a - logsigmoid(a - b) where a sum in `expr` takes that from a: where
    a is much the larger, the difference would have no digits left."""
    found: dict[Expr, Instance] = {}
    for log, scale, terms in _logarithms(expr):
        parts = RULES[_SHARE].find(log)
        for a, b in itertools.permutations(parts) if parts else ():
            if set(Add.make_args(expand(-scale * a))) <= terms:
                found[log] = Instance(log, a - LogSigmoid(a - b), (a, b))
                break
    return sorted(found.values(), key=lambda instance: structural(instance.old))


def shares(expr: Expr) -> list[Instance]:
    """log(c*exp(a) + d*exp(b) + ...) as a + log(c + d*exp(b - a) + ...) where a sum in `expr` takes
    a from it."""
    row = RULES["log_sum_share"]
    found: dict[Expr, set[Expr]] = {}
    for log, scale, terms in _logarithms(expr):
        inside = log.args[0]
        parts = signed(inside) if isinstance(inside, Add) else None
        if parts is None or parts.minus:
            continue
        taken = {a for a in by_exponent(inside) if a != 0 and set(Add.make_args(expand(-scale * a))) <= terms}
        found[log] = found.get(log, taken) & taken  # the same one wherever it stands
    return [
        Instance(log, row.right(log.args[0], a), (log.args[0], a))
        for log, taken in sorted(found.items(), key=lambda item: structural(item[0]))
        for a in sorted(taken, key=structural)[:1]
    ]


def mirrored(expr: Expr) -> list[Instance]:
    """logsigmoid(x) as logsigmoid(-x) + x where a sum in `expr` takes x from it, as it is in
    sigmoid(x)*exp(-x)."""
    row = RULES["logsigmoid_reflection"]
    found: dict[Expr, bool] = {}
    for log, scale, terms in _logarithms(expr, LogSigmoid):
        taken = set(Add.make_args(expand(-scale * log.args[0]))) <= terms
        taken = taken or _against(scale, log.args[0], terms)
        found[log] = found.get(log, True) and taken
    return [
        Instance(log, row.right(-log.args[0]), (-log.args[0],))
        for log, taken in sorted(found.items(), key=lambda item: structural(item[0]))
        if taken
    ]


def _against(scale: Expr, x: Expr, terms: set[Expr]) -> bool:
    """Whether scale*logsigmoid(x) stands beside the larger share*logsigmoid(-x) of the other sign,
    of constants: what they have in common is a multiple of x."""
    for term in terms:
        share = term / LogSigmoid(-x)
        if (
            is_constant(scale)
            and is_constant(share)
            and (
                is_nonnegative(sympy.numer(scale))
                and is_negative(sympy.numer(share))
                and sympy.denom(scale) == sympy.denom(share) != 1
            )
        ):
            return True
    return False


def _logarithms(expr: Expr, kind: type[Expr] = Log) -> Iterator[tuple[Expr, Expr, set[Expr]]]:
    """Each term k*log(x) of each sum in `expr` as log(x), k and the terms beside it."""
    for total in sorted({expr, *expr.atoms(Add)}, key=structural):
        terms = set(Add.make_args(total))
        for term in terms:
            logs = [f for f in Mul.make_args(term) if isinstance(f, kind)]
            if len(logs) == 1:
                yield logs[0], term / logs[0], terms - {term}


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
    """`expr` with each linear combination of token sums as few sums of combined terms: one pass
    over the tokens, and differences taken token by token, where they are small."""
    return everywhere(expr, _gathered)


def _gathered(total: Expr) -> Expr:
    groups: dict[tuple[Expr, ...], dict[Expr, Expr]] = defaultdict(dict)
    rest = []
    for term in Add.make_args(total):
        factors = Mul.make_args(term)
        sums = [f for f in factors if isinstance(f, TokenSum)]
        if len(sums) != 1:
            rest.append(term)
            continue
        (one,) = sums
        others = [f for f in factors if f is not one]
        weight = Mul(*(f for f in others if not is_constant(f)))
        scale = Mul(*(f for f in others if is_constant(f)))
        summands = groups[(weight, *one.args[1:])]
        summands[one.args[0]] = summands.get(one.args[0], S.Zero) + scale
    _merge(groups)
    for (weight, index, response), summands in groups.items():
        counted = _counts(rest, weight, response, summands)
        terms = [(scale, s) for s, scale in {**summands, **counted}.items() if scale != 0]
        if not terms:
            continue
        common = _common_factor(terms, response)
        body = _by_coefficient([(_quotient(scale, common), summand) for scale, summand in terms])
        if (poles := _poles(common, summands)) != 1:
            common, body = common / poles, expand(poles * body)
        rest.append(common * weight * TokenSum(body, index, response))
    return Add(*rest)


def _merge(groups: dict[tuple[Expr, ...], dict[Expr, Expr]]) -> None:
    """Token sums of the same data under two discounts that depend on the length, of opposite signs,
    as one sum: discounts that are near each other differ by few digits, their sums keep none."""
    plainest = sorted(groups, key=lambda key: sympy.count_ops(key[0]))
    for first, second in itertools.combinations(plainest, 2):
        if first[1:] != second[1:] or first not in groups or second not in groups:
            continue
        ratio = _discount(second[0], first[0])
        if ratio is None or not _opposed(groups[first], groups[second]):
            continue
        for summand, scale in groups.pop(second).items():
            inner = ratio * summand
            groups[first][inner] = groups[first].get(inner, S.Zero) + scale


def _discount(above: Expr, below: Expr) -> Expr | None:
    """The quotient of two weights where it is exp(a) with an a of parameters and lengths alone."""

    def parts(weight: Expr) -> tuple[Expr, Expr]:
        factors = Mul.make_args(weight)
        grown = [f for f in factors if isinstance(f, Exp)]
        return Mul(*(f for f in factors if f not in grown)), Add(*(f.args[0] for f in grown))

    (rest, a), (other, b) = parts(above), parts(below)
    apart = expand(a - b)
    return Exp(apart) if rest == other and apart != 0 and is_discount(apart) else None


def _opposed(first: dict[Expr, Expr], second: dict[Expr, Expr]) -> bool:
    """Whether each summand of one stands in the other, but for a discount, with the other sign."""

    def bare(summands: dict[Expr, Expr]) -> dict[Expr, int]:
        return {
            Mul(
                *(f for f in Mul.make_args(s) if not isinstance(f, Exp) or not is_discount(f.args[0]))
            ): _powers(scale)[0]
            for s, scale in summands.items()
        }

    ours, theirs = bare(first), bare(second)
    return ours.keys() == theirs.keys() and all(ours[s] * theirs[s] < 0 for s in ours)


def is_discount(exponent: Expr) -> bool:
    """Whether an exponent is made of parameters, places and lengths alone."""
    return exponent.atoms(Node) <= exponent.atoms(Log, Length) and not exponent.has(TokenProb)


def _counts(rest: list[Expr], weight: Expr, response: Expr, summands: dict[Expr, Expr]) -> dict[Expr, Expr]:
    """The 1 of exp(x) - 1, which counted over the tokens became a length, back as a summand; it is
    taken from `rest`."""
    for summand, scale in summands.items():
        counted = -scale * weight * Length(response)
        if isinstance(summand, Exp) and counted in rest:
            rest.remove(counted)
            return {S.One: -scale}
    return {}


def _common_factor(terms: list[tuple[Expr, Expr]], response: Expr) -> Expr:
    """The product of the factors that all scales share, with the sign of the policy's term, so that
    both roles get the same body."""
    shared = _powers(terms[0][0])[1]
    for scale, _ in terms[1:]:
        powers = _powers(scale)[1]
        shared = {
            base: min(count, powers[base], key=abs)
            for base, count in shared.items()
            if count * powers.get(base, 0) > 0
        }

    def key(term: tuple[Expr, Expr]) -> tuple[bool, bool, str]:
        summand = term[1].xreplace({response: RESPONSE})
        return POLICY not in summand.free_symbols, not summand.has(Log), str(summand)

    leading, _ = _powers(min(terms, key=key)[0])
    sizes = {abs(_powers(scale)[0]) for scale, _ in terms}
    number = sizes.pop() if len(sizes) == 1 else S.One  # k*(a - b) rounds once where k*a - k*b does thrice
    return (-number if leading < 0 else number) * Mul(*(Pow(base, count) for base, count in shared.items()))


def _poles(common: Expr, summands: dict[Expr, Expr]) -> Expr:
    """What `common` divides by that exponentials of data depend on: where it is near 0 they cancel,
    term by term."""
    spoken = {
        s
        for summand in summands
        for node in summand.atoms(Exp)
        if node.has(TokenProb)
        for s in node.free_symbols
        if isinstance(s, Parameter)
    }
    return (
        Mul(*(f for f in Mul.make_args(common) if f.is_Pow and f.exp.is_negative and f.free_symbols & spoken))
        if len(summands) > 1
        else S.One
    )


def _quotient(scale: Expr, common: Expr) -> Expr:
    """scale/common, where c - 1 and 1 - c are one factor."""
    (number, powers), (sign, shared) = _powers(scale), _powers(common)
    return number / sign * Mul(*(Pow(base, count - shared.get(base, 0)) for base, count in powers.items()))


def _powers(scale: Expr) -> tuple[Expr, dict[Expr, int]]:
    """The number in a product, and its factors with their exponents; sums up to their sign."""
    number: Expr = S.One
    counted: dict[Expr, int] = {}
    for factor in Mul.make_args(scale):
        base, exponent = factor.as_base_exp()
        if factor.is_Number:
            number *= factor
            continue
        if not exponent.is_Integer:
            base, exponent = factor, S.One
        if isinstance(base, Add) and _turned(base):
            base = -base
            number *= S.NegativeOne**exponent
        counted[base] = counted.get(base, 0) + int(exponent)
    return number, {base: count for base, count in counted.items() if count}


def _turned(total: Expr) -> bool:
    """Whether the sum is read the other way round: 1 - c for c - 1."""
    number, _ = total.as_coeff_Add()
    return bool(number < 0) if number != 0 else leading_sign(total) < 0


def _by_coefficient(terms: list[tuple[Expr, Expr]]) -> Expr:
    """The sum of scale*summand with statistics of equal weight in one bracket: w*(a - b) + u*c."""
    groups: dict[Expr, list[Expr]] = defaultdict(list)
    for scale, summand in terms:
        factors = Mul.make_args(scale * summand)
        statistics = [f for f in factors if f.has(TokenProb, VocabSum, Divergence, Entropy)]
        weight = Mul(*(f for f in factors if f not in statistics and f != -1))
        sign = S.NegativeOne if S.NegativeOne in factors else S.One
        groups[weight].append(sign * Mul(*statistics))
    brackets: dict[Expr, Expr] = {}
    for weight, inside in groups.items():
        data = Add(*inside)
        if any(isinstance(f, Exp) and is_discount(f.args[0]) for f in Mul.make_args(weight)):
            if -data in brackets:
                data, weight = -data, -weight
        else:
            data, weight = weight * data, S.One
        brackets[data] = brackets.get(data, S.Zero) + weight
    return Add(*(weight * data for data, weight in brackets.items()))
