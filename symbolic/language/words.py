"""The vocabulary: one row per function a user can write, and the atoms the functions act on.

Every node is an inert SymPy function: SymPy stores it, sorts it and does the arithmetic of sums,
products and powers around it, but never evaluates or simplifies it. What may be rewritten is the
business of `rules`. All quantities are real; logarithms are natural (nats).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cmp_to_key, lru_cache, reduce
from math import inf
from typing import Any, ClassVar, Protocol

import sympy
from sympy import Add, Basic, Expr, Function, Mul, Pow, Rational, S, Symbol

from midpo.symbolic.domains.intervals import (
    DOMAINS,
    FROM_ONE,
    NONNEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    Bound,
    End,
    Interval,
    cut,
    largest,
    magnitude,
    point,
    repeated_product,
    repeated_sum,
    rising,
    smallest,
)
from midpo.symbolic.errors import NoValue

# --- Responses, roles and bound indices ---------------------------------------------------------

RESPONSE = Symbol("y")
CHOSEN = Symbol("y_w")
REJECTED = Symbol("y_l")
MARGIN = Symbol("m", real=True)
POLICY = Symbol("pi")
REFERENCE = Symbol("pi_ref")
MULTIPLIER = "lam"
ZERO, ONE = Fraction(0), Fraction(1)


class Ranged(Symbol):  # type: ignore[misc]
    """A symbol with a domain, which is part of its identity."""

    __slots__ = ("domain",)
    domain: Interval

    def __new__(cls, name: str, domain: Interval | str = REAL) -> Ranged:
        held = DOMAINS[domain] if isinstance(domain, str) else domain
        self: Ranged = Symbol.__xnew__(cls, name, **_facts(held))
        self.domain = held
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str, Interval], dict[str, Any]]:
        return (self.name, self.domain), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), str(self.domain))


class Parameter(Ranged):
    """A scalar of the spec. `domain` is an interval, or one of the language's words for one."""

    __slots__ = ()


class Datum(Ranged):
    """The name of a feature that has a domain; those of other features are plain symbols."""

    __slots__ = ()


def _facts(domain: Interval) -> dict[str, bool]:
    """What SymPy is told of a number in `domain`."""
    if domain.positive or domain.negative:
        return {"positive" if domain.positive else "negative": True}
    if domain.nonnegative or domain.nonpositive:
        return {"nonnegative" if domain.nonnegative else "nonpositive": True}
    return {"real": True}


class Further(Symbol):  # type: ignore[misc]
    """A response that a spec declares beside the pair, such as a gold answer y_g."""

    __slots__ = ()


class Index(Symbol):  # type: ignore[misc]
    """A bound index: a token position (1, 2, ..., len(y)) or a vocabulary entry."""

    __slots__ = ()

    def __new__(cls, name: str, *, position: bool) -> Index:
        facts = {"integer": True, "positive": True} if position else {}
        self: Index = Symbol.__xnew__(cls, name, **facts)
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self.name,), {"position": bool(self.is_positive)}


# --- Atoms: probabilities, lengths, features ----------------------------------------------------


class Node(Function):  # type: ignore[misc]
    """An inert function of this vocabulary."""

    is_real = True

    def _eval_evalf(self, prec: int) -> None:
        """No value: SymPy would look for one by the class's name."""

    in_latex: ClassVar[Callable[[Expr], str]]  # as LaTeX; `notation` knows how

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        text = Node.in_latex(self)
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"


class Prob(Node):
    """pi(y): `Prob(policy, response)`, the probability of the whole response given the prompt."""

    is_positive = True


class TokenProb(Node):
    """pi(y, t): `TokenProb(policy, response, position)`."""

    is_positive = True


class VocabProb(Node):
    """pi(y, t, v): `VocabProb(policy, response, position, entry)`."""

    is_positive = True


class Length(Node):
    """len(y): the number of tokens, at least 1."""

    is_positive = True
    is_integer = True


class Feature(Node):
    """Data that comes with a pair: `Feature(name)`, `Feature(name, y)` or `Feature(name, y, t)`."""

    @property
    def domain(self) -> Interval:
        name = self.args[0]
        return name.domain if isinstance(name, Datum) else REAL

    def _eval_is_positive(self) -> bool | None:
        return self.domain.positive or None

    def _eval_is_negative(self) -> bool | None:
        return self.domain.negative or None

    def _eval_is_nonnegative(self) -> bool | None:
        return self.domain.nonnegative or None

    def _eval_is_nonpositive(self) -> bool | None:
        return self.domain.nonpositive or None


class Prior(Node):
    """zeta(y): the prior as an unknown, before a spec says what it is."""

    is_positive = True


# --- Binders -------------------------------------------------------------------------------------


class Binder(Node):
    """A node whose second argument is an index bound in its first."""

    @property
    def free_symbols(self) -> set[Any]:
        body, index, *rest = self.args
        inside: set[Any] = body.free_symbols - {index}
        return inside.union(*(arg.free_symbols for arg in rest))


class TokenSum(Binder):
    """`TokenSum(body, t, y)`: the sum of body over the positions t of y."""


class TokenProd(Binder):
    """`TokenProd(body, t, y)`: the product of body over the positions t of y."""


class VocabSum(Binder):
    """`VocabSum(body, v)`: the sum of body over the vocabulary."""


BINDERS = (TokenSum, TokenProd, VocabSum)


def indices(expr: Expr) -> set[Index]:
    """Every index in `expr`, free or bound."""
    return set(expr.atoms(Index))


def standard_index(body: Expr, index: Index) -> Index:
    """The name a binder of `body` gives its index, whatever the user called it: t, t2, ... (v, v2,
    ...), the first that nothing inside uses."""
    position = bool(index.is_positive)
    inner = {node.args[1] for node in body.atoms(*BINDERS)}
    used = inner | (indices(body) - {index})
    names = (("t" if position else "v") + (str(n) if n > 1 else "") for n in range(1, 1000))
    return next(i for i in (Index(n, position=position) for n in names) if i not in used)


def rename_index(body: Expr, old: Index, new: Index) -> Expr:
    """`body` with the free index `old` called `new`."""
    if old not in body.free_symbols:
        return body
    if body == old:
        return new
    return rebuild(body, [rename_index(arg, old, new) for arg in body.args])


def roles(expr: Expr) -> set[Symbol]:
    """The responses of a pair, and beside it, that `expr` speaks of."""
    found: set[Symbol] = expr.free_symbols & {CHOSEN, REJECTED} | expr.atoms(Further)
    return found


# --- Functions -----------------------------------------------------------------------------------


class Log(Node):
    pass


class Exp(Node):
    is_positive = True


class Sqrt(Node):
    pass


class Sigmoid(Node):
    is_positive = True


class LogSigmoid(Node):
    pass


class Tanh(Node):
    pass


class Relu(Node):
    is_nonnegative = True


class Abs(Node):
    is_nonnegative = True


class Max(Node):
    pass


class Min(Node):
    pass


class Step(Node):
    is_nonnegative = True


PIECEWISE = (Relu, Abs, Max, Min, Step)


class StopGradient(Node):
    """sg(e): the value of e, with no gradient through it."""


class Sorted(Node):
    """sorted(e): the values of e over the pairs of a batch, in growing order; the pair at place i
    of the batch has the i-th."""


class ByLabel(Node):
    """by_label(a, b): a where y is preferred, b where it is dispreferred."""


class Divergence(Node):
    """kl(p, q, y, t): sum over v of p(y,t,v) * log(p(y,t,v) / q(y,t,v)), nats, averaged over p."""

    is_nonnegative = True


class Entropy(Node):
    """entropy(p, y, t): minus the sum over v of p(y,t,v) * log p(y,t,v), nats."""

    is_nonnegative = True


class Arithmetic(Protocol):
    """What a row's `value` may use of the numbers it is given (floats, 50 digits, intervals)."""

    def exp(self, x: Any) -> Any: ...
    def log(self, x: Any) -> Any: ...
    def sqrt(self, x: Any) -> Any: ...
    def negative(self, x: Any) -> bool: ...


@dataclass(frozen=True)
class Word:
    """One function: how it is written, what it means, and how each backend says it.

    `value(ops, *args)` is its meaning in an arithmetic; `torch` and `latex` are templates over
    `{0}`, `{1}`; `domain` names the real arguments it takes; `corners` are arguments on both sides
    of each place where an implementation might change its mind; `image(*intervals)` holds the
    values it takes on these.
    """

    name: str
    node: type[Node]
    arity: tuple[int, int]
    value: Callable[..., Any]
    torch: str
    latex: str
    domain: str = "real"
    corners: tuple[float, ...] = (-2.0, -0.5, 0.5, 2.0)
    image: Callable[..., Interval] = lambda *xs: REAL


def _leans(ops: Arithmetic, x: Any) -> bool:
    """Which of two forms to take, where both are right: that for negative numbers?"""
    known = getattr(ops, "leans", None)  # of intervals around 0
    return bool(known(x) if known else ops.negative(x))


def _logsigmoid(ops: Arithmetic, x: Any) -> Any:
    return x - ops.log(1 + ops.exp(x)) if _leans(ops, x) else -ops.log(1 + ops.exp(-x))


def _sigmoid(ops: Arithmetic, x: Any) -> Any:
    return ops.exp(_logsigmoid(ops, x))


def _tanh(ops: Arithmetic, x: Any) -> Any:
    if _leans(ops, x):
        return -_tanh(ops, -x)
    small = ops.exp(-2 * x)
    return (1 - small) / (1 + small)


def _largest(ops: Arithmetic, *xs: Any) -> Any:
    # Intervals know a maximum even where they do not know which argument it is.
    known = getattr(ops, "maximum", None)
    best = xs[0]
    for x in xs[1:]:
        best = known(best, x) if known else x if ops.negative(best - x) else best
    return best


def _step(ops: Arithmetic, x: Any) -> Any:
    return x * 0 if ops.negative(x) else x * 0 + 1


_BOTH_SIDES = (-30.0, -2.0, -0.5, 0.0, 0.5, 2.0, 30.0)
_BRANCH = (-1e4, -88.8, -20.1, -19.9, -1.0, 0.0, 1.0, 19.9, 20.1, 88.8, 1e4)

FUNCTIONS: dict[str, Word] = {
    word.name: word
    for word in (
        Word("log", Log, (1, 1), lambda ops, x: ops.log(x), "torch.log({0})", r"\log {0}",
             "positive", (1e-30, 0.5, 1.0, 2.0, 1e30), rising(-inf, inf, {1: 0})),
        Word("exp", Exp, (1, 1), lambda ops, x: ops.exp(x), "torch.exp({0})",
             r"\exp\left({0}\right)", corners=_BOTH_SIDES, image=rising(ZERO, inf, {0: 1})),
        Word("sqrt", Sqrt, (1, 1), lambda ops, x: ops.sqrt(x), "torch.sqrt({0})", r"\sqrt{{{0}}}",
             "nonnegative", (0.25, 1.0, 2.0), lambda x: x.power(point(Fraction(1, 2)))),
        # Not torch.sigmoid, whose gradient is sigmoid*(1 - sigmoid): no digits are left near 1.
        Word("sigmoid", Sigmoid, (1, 1), _sigmoid, "torch.exp(F.logsigmoid({0}))",
             r"\sigma\left({0}\right)", corners=_BRANCH,
             image=rising(ZERO, ONE, {0: Fraction(1, 2)})),
        Word("logsigmoid", LogSigmoid, (1, 1), _logsigmoid, "F.logsigmoid({0})",
             r"\log\sigma\left({0}\right)", corners=_BRANCH, image=rising(-inf, ZERO)),
        Word("tanh", Tanh, (1, 1), _tanh, "torch.tanh({0})", r"\tanh\left({0}\right)",
             corners=_BRANCH, image=rising(-ONE, ONE, {0: 0})),
        Word("relu", Relu, (1, 1), lambda ops, x: _largest(ops, x * 0, x), "torch.relu({0})",
             r"\max\left(0, {0}\right)", corners=_BOTH_SIDES,
             image=lambda x: largest(point(ZERO), x)),
        Word("abs", Abs, (1, 1), lambda ops, x: _largest(ops, x, -x), "torch.abs({0})",
             r"\left|{0}\right|", corners=_BOTH_SIDES, image=magnitude),
        Word("max", Max, (2, 8), _largest, "torch.maximum({0}, {1})", r"\max\left({0}\right)",
             corners=_BOTH_SIDES, image=largest),
        Word("min", Min, (2, 8), lambda ops, *xs: -_largest(ops, *(-x for x in xs)),
             "torch.minimum({0}, {1})", r"\min\left({0}\right)", corners=_BOTH_SIDES,
             image=smallest),
        Word("step", Step, (1, 1), _step,
             "({0} >= 0).to(dtype)", r"\mathbf{{1}}\left[{0} \ge 0\right]",
             corners=(-2.0, -1e-9, 1e-9, 2.0), image=cut),
        Word("sg", StopGradient, (1, 1), lambda ops, x: x, "({0}).detach()",
             r"\mathrm{{sg}}\left[{0}\right]", image=lambda x: x),
    )
}

BY_NODE: dict[type[Node], Word] = {word.node: word for word in FUNCTIONS.values()}

# Words with their own grammar; the parser holds it, and errors list them.
SPECIAL = ("len", "sum", "prod", "kl", "entropy", "by_label", "sorted")


# --- Signs ---------------------------------------------------------------------------------------

# What each atom can be; a probability is below 1: there are two tokens, and each can come.
_ATOMS: dict[type[Node], Interval] = {
    Prob: UNIT, TokenProb: UNIT, VocabProb: UNIT, Length: FROM_ONE, Prior: POSITIVE,
    Divergence: NONNEGATIVE, Entropy: NONNEGATIVE,
}
_MAX_AFFINE = 3  # atoms that one sum is taken apart by, and so deep
_MAX_SUM = 24  # terms of a sum that is taken apart


@lru_cache(maxsize=50_000)
def enclosure(expr: Expr) -> Interval:
    """An interval that holds every value of `expr`, for every policy, response, data and parameter
    in its domain at which it has one. Syntactic: it may be wider than need be."""
    kind = type(expr)
    if isinstance(expr, Rational):
        return point(Fraction(int(expr.p), int(expr.q)))
    known = next((_ATOMS[base] for base in kind.__mro__ if base in _ATOMS), None)
    if known is not None:
        return known
    if isinstance(expr, (Ranged, Feature)):
        return expr.domain
    if isinstance(expr, Index):
        return FROM_ONE if expr.is_positive else REAL
    if isinstance(expr, Symbol):
        return POSITIVE if expr.is_positive else NONNEGATIVE if expr.is_nonnegative else REAL
    if isinstance(expr, Mul):
        return reduce(Interval.__mul__, map(enclosure, expr.args))
    if isinstance(expr, Pow):
        return enclosure(expr.base).power(enclosure(expr.exp))
    if isinstance(expr, Add):
        return _of_sum(expr, _MAX_AFFINE)
    if kind in BY_NODE:
        return BY_NODE[kind].image(*map(enclosure, expr.args))
    if isinstance(expr, (TokenSum, VocabSum)):
        return repeated_sum(enclosure(expr.args[0]))
    if isinstance(expr, TokenProd):
        return repeated_product(enclosure(expr.args[0]))
    if isinstance(expr, (ByLabel, Sorted)):
        return reduce(Interval.hull, map(enclosure, expr.args))
    return REAL


def _of_sum(expr: Expr, names: int) -> Interval:
    """The enclosure of a sum. Where the terms leave its sign open, it is narrowed by an atom x in
    which it is linear and that stands in two terms or more, such as eps in p + eps*q - eps*p:
    on an interval such a sum lies between its values at the ends."""
    if not isinstance(expr, Add):
        return enclosure(expr)
    found = reduce(Interval.__add__, map(enclosure, expr.args))
    if found.nonnegative or found.nonpositive:
        return found
    narrowed = found.meet(_token_by_token(expr))
    found = found if narrowed is None else narrowed
    if found.nonnegative or found.nonpositive or not names or len(expr.args) > _MAX_SUM:
        return found
    for atom in _linear_atoms(expr)[:names]:
        narrowed = found.meet(_between_ends(expr, atom, names - 1))
        found = found if narrowed is None else narrowed
        if found.nonnegative or found.nonpositive:
            break
    return found


def _token_by_token(expr: Add) -> Interval:
    """The enclosure of a sum in which a length counts as the sum of 1 over its tokens, so that
    len(y) - sum(step(w(y, t)) for t in y) is a sum of 1 - step(w(y, t))."""
    bodies: dict[Any, Interval] = {}
    beside: list[Interval] = []
    summed = {term.as_coeff_Mul()[1].args[2] for term in expr.args
              if isinstance(term.as_coeff_Mul()[1], TokenSum)}
    for term in expr.args:
        factor, node = term.as_coeff_Mul()
        if not (isinstance(factor, Rational) and isinstance(node, (TokenSum, Length))
                and node.args[-1] in summed):
            beside.append(enclosure(term))
            continue
        body = enclosure(node.args[0]) if isinstance(node, TokenSum) else point(Fraction(1))
        body = point(Fraction(int(factor.p), int(factor.q))) * body
        over = node.args[-1]
        bodies[over] = bodies[over] + body if over in bodies else body
    if not bodies:
        return REAL
    return reduce(Interval.__add__, [*map(repeated_sum, bodies.values()), *beside])


def _linear_atoms(expr: Add) -> list[Expr]:
    """The atoms in which a sum is linear and that are factors of two terms or more, the most
    frequent first."""
    counts: dict[Expr, int] = {}
    for term in expr.args:
        for factor in Mul.make_args(term):
            if isinstance(factor, (Ranged, Feature, Prob, TokenProb, VocabProb, Length)):
                counts[factor] = counts.get(factor, 0) + 1
    return [
        atom for atom in sorted(sorted((a for a, n in counts.items() if n > 1), key=structural),
                               key=lambda a: -counts[a])
        if not any(factor != atom and factor.has(atom)
                   for term in expr.args for factor in Mul.make_args(term))
    ]


def _between_ends(expr: Add, atom: Expr, names: int) -> Interval:
    """What `expr`, linear in `atom`, can be where `atom` runs over its interval."""
    having = [term for term in expr.args if atom in Mul.make_args(term)]
    slope = Add(*(term / atom for term in having))
    rest = Add(*(term for term in expr.args if term not in having))
    domain = enclosure(atom)
    ends = [(_of_sum(rest + slope * Rational(end), names), closed)
            for end, closed in domain.end_values]
    if not ends:
        return REAL
    if len(ends) == 1:  # the sum at the end, and then in the direction of the ray
        ((first, closed),) = ends
        along = _of_sum(slope if domain.upper == inf else -slope, names)
        return Interval(
            first.lower if along.nonnegative else -inf,
            first.upper if along.nonpositive else inf,
            along.nonnegative and first.lower_closed and (closed or not along.positive),
            along.nonpositive and first.upper_closed and (closed or not along.negative),
        )
    lower, lower_closed = _extreme([(e.lower, e.lower_closed, c) for e, c in ends], min)
    upper, upper_closed = _extreme([(e.upper, e.upper_closed, c) for e, c in ends], max)
    return Interval(lower, upper, lower_closed, upper_closed)


def _extreme(ends: list[tuple[Bound, bool, bool]], best: Callable[..., Bound]) -> End:
    """The bound on a segment from (bound, whether it is reached, whether that end belongs to the
    segment) at both ends; inside the segment it is reached where both ends reach it."""
    found = best(bound for bound, _, _ in ends)
    inside = all(bound == found and reached for bound, reached, _ in ends)
    return found, inside or any(b == found and reached and closed for b, reached, closed in ends)


def is_positive(expr: Expr) -> bool:
    """Whether `expr` is greater than 0 for every policy, response and parameter. Syntactic: `False`
    means "not seen to be"."""
    return enclosure(expr).positive


def is_below_one(expr: Expr) -> bool:
    """Whether `expr` lies strictly between 0 and 1; syntactic, as `is_positive`."""
    found = enclosure(expr)
    return found.positive and found.below_one


def is_negative(expr: Expr) -> bool:
    """Whether `expr` is less than 0 everywhere; syntactic, as `is_positive`."""
    return enclosure(expr).negative


def is_nonnegative(expr: Expr) -> bool:
    """Whether `expr` is at least 0 everywhere; syntactic, as `is_positive`."""
    return enclosure(expr).nonnegative


def counts_from_one(expr: Expr) -> bool:
    """Whether `expr` is a length, a position or a product of such: 1, 2, 3, ..."""
    if isinstance(expr, Length):
        return True
    if isinstance(expr, Index):
        return bool(expr.is_positive)
    if isinstance(expr, Pow):
        return bool(expr.exp.is_Integer and expr.exp > 0) and counts_from_one(expr.base)
    return isinstance(expr, Mul) and all(map(counts_from_one, expr.args))


structural = cmp_to_key(Basic.compare)
"""A key that sorts expressions by their structure: total, and the same in every run."""


# --- Building expressions ------------------------------------------------------------------------

_NO_VALUE = (S.ImaginaryUnit, S.ComplexInfinity, S.Infinity, S.NegativeInfinity, S.NaN)


def standard(expr: Expr) -> Expr:
    """`expr` in the words of this vocabulary.

    SymPy's powers know roots of squares, which they write with SymPy's own absolute value, and
    roots of negative numbers and divisions by 0, which have no value here.

    Raises: NoValue.
    """
    foreign = expr.atoms(sympy.Abs, *map(type, _NO_VALUE), Pow)
    for node in foreign:
        if isinstance(node, Pow):
            base, exponent = node.args
            no_value = isinstance(base, Rational) and base < 0 and not exponent.is_integer
        else:
            no_value = node in _NO_VALUE
        if no_value:
            raise NoValue("a part of the expression has no value: it divides by 0 or takes a root "
                          "of a negative number")
    if any(isinstance(node, sympy.Abs) for node in foreign):
        return expr.replace(sympy.Abs, _magnitude)
    return expr


def _magnitude(x: Expr) -> Expr:
    return x if is_nonnegative(x) else -x if is_nonnegative(-x) else Abs(x)


def power(base: Expr, exponent: Expr) -> Expr:
    """base**exponent. Raises: NoValue."""
    return standard(Pow(base, exponent))


def rebuild(node: Expr, args: Iterable[Expr]) -> Expr:
    """`node` with other arguments. Raises: NoValue."""
    result = node.func(*args)
    return standard(result) if isinstance(node, Pow) else result


def substitute(expr: Expr, table: Mapping[Expr, Expr]) -> Expr:
    """`expr` with each expression of `table` replaced. Raises: NoValue."""
    return standard(expr.xreplace(dict(table)))


def with_label(expr: Expr, response: Symbol) -> Expr:
    """A prior at the chosen or the rejected response: y replaced, by_label resolved."""
    branch = 0 if response == CHOSEN else 1

    def resolve(node: Expr) -> Expr:
        if isinstance(node, ByLabel):
            return resolve(node.args[branch])
        if not node.has(ByLabel):
            return node
        return rebuild(node, [resolve(arg) for arg in node.args])

    return substitute(resolve(expr), {RESPONSE: response})
