"""The atoms and functions of the user's language, as inert SymPy nodes.

SymPy stores a node, sorts it and does the arithmetic of sums, products and powers around it, but
never evaluates or simplifies it. What a function means is said by its row in `words`; what may be
rewritten is the business of `rules`. All quantities are real.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key, lru_cache
from typing import Any, ClassVar

from sympy import Basic, Expr, Function, S, Symbol

from midpo.symbolic.domains.intervals import DOMAINS, REAL, Interval

structural = cmp_to_key(Basic.compare)
"""A key that sorts expressions by their structure: total, and the same in every run."""

# --- Responses, roles and bound indices ---------------------------------------------------------

RESPONSE = Symbol("y")
CHOSEN = Symbol("y_w")
REJECTED = Symbol("y_l")
MARGIN = Symbol("m", real=True)
POLICY = Symbol("pi")
REFERENCE = Symbol("pi_ref")
MULTIPLIER = "lam"


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

    @property
    def free_symbols(self) -> set[Any]:
        return set(_free(self))

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


class TokenSum(Binder):
    """`TokenSum(body, t, y)`: the sum of body over the positions t of y."""


class TokenProd(Binder):
    """`TokenProd(body, t, y)`: the product of body over the positions t of y."""


class VocabSum(Binder):
    """`VocabSum(body, v)`: the sum of body over the vocabulary."""


BINDERS = (TokenSum, TokenProd, VocabSum)


@lru_cache(maxsize=100_000)
def _free(node: Node) -> frozenset[Any]:
    """The symbols that are free in a node: what is shared is looked at once."""
    first, *rest = node.args or (S.One,)
    bound = {node.args[1]} if isinstance(node, Binder) else set()
    return frozenset((first.free_symbols - bound).union(*(arg.free_symbols for arg in rest[len(bound) :])))


def nodes_of(expr: Expr, *kinds: type[Any]) -> set[Any]:
    """Every part of these kinds, `expr` itself among them: as its `atoms`, but what is shared is
    looked at once."""
    seen: set[Any] = set()
    left: list[Any] = [expr]
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += node.args
    return {node for node in seen if isinstance(node, kinds)}


def indices(expr: Expr) -> set[Index]:
    """Every index in `expr`, free or bound."""
    return nodes_of(expr, Index)


def standard_index(body: Expr, index: Index) -> Index:
    """The name a binder of `body` gives its index, whatever the user called it: t, t2, ... (v, v2,
    ...), the first that nothing inside uses."""
    position = bool(index.is_positive)
    found = nodes_of(body, Index, *BINDERS)
    inner = {node.args[1] for node in found if isinstance(node, Binder)}
    used = inner | {i for i in found if isinstance(i, Index) and i != index}
    names = (("t" if position else "v") + (str(n) if n > 1 else "") for n in range(1, 1000))
    return next(i for i in (Index(n, position=position) for n in names) if i not in used)


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
