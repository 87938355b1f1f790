"""Rows of RULES for steps, which maxima become.

Steps are idempotent, and what is whole passes 0 by jumps: what is left are polynomials with one
generator per cut.
"""

from __future__ import annotations

from itertools import product

from sympy import Add, Expr, Integer, Mul, Pow, S

from midpo.symbolic.algebra.cells import sign_of
from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.algebra.factor import content, factors
from midpo.symbolic.algebra.polynomial import denominators, expand, polynomial, rational
from midpo.symbolic.domains.constants import closed_sign, floor_between
from midpo.symbolic.domains.whole import beside_constant, lattice, step_of, takes_whole_values, thresholds
from midpo.symbolic.language.nodes import (
    BINDERS,
    Divergence,
    Entropy,
    Feature,
    Log,
    Max,
    Prob,
    Sqrt,
    Step,
    TokenProb,
    VocabProb,
    structural,
)
from midpo.symbolic.language.signs import is_nonnegative, is_positive
from midpo.symbolic.work import spend

from .rule import Parts, Rule


def _find_step_scale(node: Step) -> Parts | None:
    x = expand(node.args[0])
    scale, rest = content([x]), None
    if isinstance(x, Add) and (scale == 1 or denominators(polynomial(x))):
        found = factors(x, plain=True)
        scale = Mul(*(b**e for b, e in found if is_positive(b)))
        rest = Mul(*(b**e for b, e in found if not is_positive(b)))
    if lattice(x) is not None:  # whose numbers are `step_whole`'s
        number = scale.as_coeff_Mul()[0]
        scale, rest = scale / number, None if rest is None else rest * number
    if scale == 1:
        return None
    return scale, expand(x / scale if rest is None else rest), node.args[0]


def _find_step_whole(node: Step) -> Parts | None:
    found = lattice(node.args[0])
    if found is None or _many_signs(node.args[0]):
        return None
    cut, above = found.cut
    if above and cut == node.args[0]:
        return None
    return node.args[0], found.u, rational(found.scale), rational(found.shift), cut, above


def _find_step_constant(node: Step) -> Parts | None:
    found = beside_constant(node.args[0])
    if found is None:
        return None
    u, k, c, _ = found
    return node.args[0], u, k, c


def _step_constant_right(x: Expr, u: Expr, k: Expr, c: Expr) -> Expr:
    below, sign = floor_between(c / k), closed_sign(k)
    assert below is not None and sign is not None
    return Step(sign * (u + below + S.Half))


def _step_constant_holds(x: Expr, u: Expr, k: Expr, c: Expr) -> bool:
    return bool(closed_sign(k) in (1, -1) and takes_whole_values(u)
                and floor_between(c / k) is not None and equal_in_field(x, k * u + c))


def _many_signs(x: Expr) -> bool:
    """Whether more than one factor of `x` has a sign that is not known: cells take each alone."""
    return len([b for b, _ in factors(x, plain=True)[1:] if not is_positive(b)]) > 1


def _find_step_thresholds(node: Step) -> Parts | None:
    found = thresholds(node.args[0])
    return None if found is None else (node.args[0], *found)


def _step_whole_right(x: Expr, u: Expr, k: Expr, c: Expr, cut: Expr, above: bool) -> Expr:
    return Step(cut) if above else 1 - Step(cut)


def _step_whole_holds(x: Expr, u: Expr, k: Expr, c: Expr, cut: Expr, above: bool) -> bool:
    """x = k*(u + c) and u is whole: x >= 0 where u >= -c, or where u <= -c for a k below 0."""
    number = cut - u
    if not (k.is_Rational and c.is_Rational and number.is_Integer and takes_whole_values(u)):
        return False
    whole = number <= c < number + 1 if above else number < c <= number + 1
    return bool(whole) and above == bool(k > 0) and equal_in_field(x, k * (u + c))


def _find_step_known(node: Step) -> Parts | None:
    (x,) = node.args
    value = next((v for v in (S.One, S.Zero) if _step_known_holds(x, v)), None)
    return None if value is None else (x, value)


def _step_known_holds(x: Expr, value: Expr) -> bool:
    """Whether `x` is at least 0 (1), or below 0 (0), by itself or by its factors."""
    if is_nonnegative(x) or is_positive(-x):
        return bool(value == (1 if is_nonnegative(x) else 0))
    sign = sign_of(x, ())
    if sign is None or sign.ties:
        return False
    return bool(value == 1 if sign.positive else value == 0 and sign.strict)


def _find_step_power(node: Pow) -> Parts | None:
    base, n = node.args
    whole = isinstance(n, Integer) and n > 1
    return (base.args[0], n) if whole and isinstance(base, Step) else None


def _find_step_product(node: Mul) -> Parts | None:
    """Two steps, the first of which is 1 wherever the second is."""
    steps = [f for f in node.args if isinstance(f, Step)]
    spend(len(steps) ** 2)
    for a, b in product(steps, repeat=2):
        if a != b and is_nonnegative(expand(a.args[0] - b.args[0])):
            return a.args[0], b.args[0], Mul(*(f for f in node.args if f not in (a, b)))
    return None


_DATA = (Prob, TokenProb, VocabProb, Feature, Divergence, Entropy)


def _stripped(x: Expr) -> tuple[Expr, Expr]:
    """(k, z) with x = k*z and k > 0, as steps are written."""
    found = _find_step_scale(Step(x))
    return (found[0], found[1]) if found is not None else (S.One, expand(x))


def _find_step_maximum(node: Mul) -> Parts | None:
    """A step beside a maximum of a number and what the step compares with it, of lengths and
    parameters: of data the zeros of a cut may be left out, and two terms would become three."""
    for step in (f for f in node.args if isinstance(f, Step) and not f.has(*_DATA)):
        rest = Mul(*(f for f in node.args if f != step))
        below, cut = _stripped(step.args[0])
        for held in sorted(rest.atoms(Max), key=structural):
            if len(held.args) != 2 or not any(x.is_Number for x in held.args):
                continue
            spend(1)
            for a, b in (held.args, held.args[::-1]):
                above, gap = _stripped(expand(a - b))
                if gap != cut:
                    continue
                found = step.args[0], below / above, a, b, held, rest
                if _step_maximum_holds(*found):
                    return found
    return None


def _step_maximum_right(c: Expr, k: Expr, a: Expr, b: Expr, held: Expr, rest: Expr) -> Expr:
    if a.is_Number:
        return Step(c) * rest.xreplace({held: a})
    other = rest.xreplace({held: b})
    return rest - other + Step(c) * other


def _step_maximum_holds(c: Expr, k: Expr, a: Expr, b: Expr, held: Expr, rest: Expr) -> bool:
    """The number has a value wherever the maximum has one, and so has what is made of it."""
    number = a if a.is_Number else b
    if not (number.is_Number and {*held.args} == {a, b} and isinstance(held, Max)):
        return False
    if not is_positive(k) or not equal_in_field(c, k * (a - b)):
        return False
    if any(bound.args[1] in held.free_symbols for bound in rest.atoms(*BINDERS)):
        return False  # another index of the same name
    partial = [n for n in rest.atoms(Log, Sqrt, Pow) if n.has(held) and not _is_power(n)]
    return all(is_positive(n.args[0].xreplace({held: number})) for n in partial)


def _is_power(node: Expr) -> bool:
    return isinstance(node, Pow) and isinstance(node.exp, Integer) and node.exp > 0


STEPS: tuple[Rule, ...] = (
    Rule("step_maximum", "piecewise",
         "step(k*(n - x))*f(max(x, n)) = step(k*(n - x))*f(n), "
         "step(k*(x - n))*f(max(x, n)) = f(max(x, n)) - f(n) + step(k*(x - n))*f(n)",
         "n a number, k > 0, f(n) has a value",
         "on one side of its number a maximum is that number",
         (Mul,), _find_step_maximum, lambda c, k, a, b, held, rest: Step(c) * rest,
         _step_maximum_right, _step_maximum_holds),
    Rule("step_scale", "piecewise", "step(k*x) = step(x)", "k > 0",
         "a positive factor does not change the sign",
         (Step,), _find_step_scale, lambda k, x, arg: Step(arg), lambda k, x, arg: Step(x),
         lambda k, x, arg: is_positive(k) and equal_in_field(k * x, arg)),
    Rule("step_whole", "piecewise",
         "step(k*(u + c)) = step(u + floor(c)), step(-k*(u + c)) = 1 - step(u + ceil(c) - 1)",
         "u whole, k > 0 and k, c rational",
         "whole numbers pass 0 by jumps: below 0 they are at most -1",
         (Step,), _find_step_whole, lambda x, *rest: Step(x), _step_whole_right,
         _step_whole_holds),
    Rule("step_constant", "piecewise", "step(k*u + c) = step(u + n + 1/2), k > 0",
         "u whole, n < c/k < n + 1 for a whole n and numbers k and c such as log(10); else of -u",
         "between two whole numbers it does not matter where a threshold stands",
         (Step,), _find_step_constant, lambda x, *rest: Step(x), _step_constant_right,
         _step_constant_holds),
    Rule("step_thresholds", "piecewise", "step(x) = a + b*step(u - m) + c*step(u - n)",
         "x a polynomial of a whole number u",
         "the sign of a polynomial at whole numbers, between its roots",
         (Step,), _find_step_thresholds, lambda x, *rest: Step(x),
         lambda x, u, first, jumps: step_of(u, first, jumps),
         lambda x, *rest: thresholds(x) == rest),
    Rule("step_known", "piecewise", "step(x) = 1 or 0", "x >= 0 or x < 0",
         "the sign is known",
         (Step,), _find_step_known, lambda x, value: Step(x), lambda x, value: value,
         _step_known_holds),
    Rule("step_power", "piecewise", "step(x)**n = step(x)", "n a positive whole number",
         "a step is 0 or 1",
         (Pow,), _find_step_power, lambda x, n: Pow(Step(x), n), lambda x, n: Step(x),
         lambda x, n: n.is_Integer and n > 0),
    Rule("step_product", "piecewise", "step(a)*step(b) = step(b)", "a >= b",
         "the higher step is 1 wherever the lower one is",
         (Mul,), _find_step_product, lambda a, b, rest: Mul(Step(a), Step(b), rest),
         lambda a, b, rest: Mul(Step(b), rest),
         lambda a, b, rest: is_nonnegative(expand(a - b))),
)
