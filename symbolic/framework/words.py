"""The vocabulary of the framework: laws, rewards, sums and derivatives on finite sets.

Sets (`space`) are finite and not empty; how many elements they have is left open, so what is proved
holds for every size. As in `language`, every node is inert: what may be rewritten is the business
of `framework_rules`. Masses are positive everywhere; all quantities are real, logarithms natural.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Expr, Integer, Mul, Number, Pow, Symbol

from midpo.symbolic.formula.tree import (
    Abridged,
    Accent,
    Formula,
    Fraction,
    Name,
    Placeholder,
    Upright,
    between,
    call,
    leaf,
    listed,
    row,
    script,
)
from midpo.symbolic.language import signs as language
from midpo.symbolic.language.nodes import (
    Binder,
    Exp,
    Log,
    LogSigmoid,
    Node,
    Parameter,
    Prior,
    Sigmoid,
    VocabSum,
)

RESPONSES, PROMPTS, COMPARISONS, EDGES = "responses", "prompts", "comparisons", "edges"

PI, ZETA = Name("pi", leaf(r"\pi")), Name("zeta", leaf(r"\zeta"))
# How names of functions and numbers are written.
_SIGNS: dict[str, Formula] = {
    "pi_star": script(PI, above="*"), "pi": PI,
    "zeta": ZETA, "zeta_w": script(ZETA, above="+"),
    "zeta_l": script(ZETA, above="-"), "p_Y": script("p", "Y"),
    "psi": leaf(r"\psi"), "omega": leaf(r"\omega"), "phi": leaf(r"\phi"),
    "Δ": leaf(r"\Delta"), "zeta_2": row(ZETA, "'"),
    "pi_ref": Name("pi_ref", script(r"\pi", Upright("ref"))),
    "lam": Name("lam", leaf(r"\lambda")),
    "q_hat": Accent("hat", leaf("q"), bare=True), "kappa": leaf(r"\kappa"),
    "pi_s": script(PI, "s"), "zeta_s": script(ZETA, "s"),
    "zeta_f": script(ZETA, "f"),
}  # fmt: skip


class Element(Symbol):  # type: ignore[misc]
    """A variable that stands for an element of a finite set."""

    __slots__ = ("space",)
    space: str

    def __new__(cls, name: str, space: str = RESPONSES) -> Element:
        self: Element = Symbol.__xnew__(cls, name)
        self.space = space
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str, str], dict[str, Any]]:
        return (self.name, self.space), {}

    def laid_out(self, write: Any) -> Formula:
        return lettered(self.name, bare=True)

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.space)


def lettered(name: Any, *, bare: bool = False) -> Formula:
    """How a name is laid out; `bare` as in a script."""
    word = str(name)
    if word in _SIGNS:
        return _SIGNS[word]
    head, _, tail = word.partition("_")
    stem = row(*(Name(letter, leaf(letter)) if letter.isalpha() else letter for letter in head))
    found = script(stem, row(*tail), bare=bare) if tail else stem
    return Name(word, found) if tail else found


class Written(Node):
    """A node that says itself how it is written. `write` writes a part, in brackets where it is a
    sum."""

    def laid_out(self, write: Any) -> Formula:
        name, *args = self.args
        return call(lettered(name), *map(write, args)) if args else lettered(name)


class Member(Written):
    """`Member(which, c)`: the chosen ("y_w") or rejected ("y_l") response of a comparison, or its
    prompt ("x")."""

    is_real: bool | None = None  # type: ignore[assignment]  # an element is no number

    @property
    def space(self) -> str:
        return PROMPTS if str(self.args[0]) == "x" else RESPONSES

    def laid_out(self, write: Any) -> Formula:
        return call(lettered(self.args[0], bare=True), write(self.args[1]))


def space(element: Any) -> str | None:
    """The set that `element` belongs to; None where it is no element."""
    return element.space if isinstance(element, (Element, Member)) else None


class Mass(Prior, Written):
    """`Mass(name, y)` or `Mass(name, y, x)`: a positive function, pi(y) or pi(y|x)."""

    def laid_out(self, write: Any) -> Formula:
        name, response, *given = self.args
        bar = (r"\mid ", write(given[0])) if given else ()
        return call(lettered(name), row(write(response), *bar))


class Score(Written):
    """`Score(name, ...)`: a real function on a set, or on pairs: r(y), m(w, l)."""


class SumOver(VocabSum, Written):
    """`SumOver(body, y)`: the sum of body over the whole set of y. A kind of VocabSum for what sums
    over finite sets share (positivity, line breaks); no rule of the vocabulary speaks of it."""

    def laid_out(self, write: Any) -> Formula:
        return row(self.operator(), " ", write(self.args[0]))

    def operator(self) -> Formula:
        return script(r"\sum", self.args[1].laid_out(None))


class _Average(Binder, Written):
    """A node with three arguments of which the second is bound in the first and the third."""

    @property
    def free_symbols(self) -> set[Any]:
        first, element, last = self.args
        inside: set[Any] = (first.free_symbols | last.free_symbols) - {element}
        return inside


class Relative(_Average):
    """`Relative(p, y, q)`: KL(p || q) = sum over y of p*log(p/q), nats. q need not sum to one."""

    def laid_out(self, write: Any) -> Formula:
        p, y, q = self.args
        sides = row(_law(p, y, write), " ", r"\,", r"\|", r"\, ", _law(q, y, write))
        return row(Upright("KL"), between("(", sides, ")", "big"))


def _law(law: Expr, y: Expr, write: Any) -> Formula:
    """A law as a whole: p(.|x) for p(y|x) as a function of y."""
    if isinstance(law, Mass) and law.args[1] == y:
        name = lettered(law.args[0])
        if len(law.args) == 2:
            return name
        return call(name, row(Placeholder(), r"\mid ", write(law.args[2])))
    written: Formula = write(law)
    return written


class Mean(_Average):
    """`Mean(p, y, f)`: the mean of f(y) for y drawn from p."""

    def laid_out(self, write: Any) -> Formula:
        p, y, f = self.args
        drawn = row(y.laid_out(write), r"\sim ", _law(p, y, write))
        return row(script(r"\mathbb{E}", drawn), between("[", write(f), "]", "big"))


class Same(Written):
    """`Same(a, b)`: 1 where the elements are the same, else 0."""

    is_nonnegative = True

    def laid_out(self, write: Any) -> Formula:
        equal = between("[", listed(map(write, self.args), " = "), "]", "")
        return Abridged(row(r"\mathbf{1}", equal), equal)


class Partial(Written):
    """`Partial(e, v)`: the partial derivative of e with respect to v, a number or the value of a
    mass at one element; the values at other elements are held."""

    def laid_out(self, write: Any) -> Formula:
        body, variable = self.args
        slope = Fraction(leaf(r"\partial"), row(r"\partial ", write(variable)))
        return row(slope, " ", between("[", write(body), "]"))


class Gap(Written):
    """`Gap(u)` = u - 1 - log(u) for u > 0: at least 0, and 0 only at u = 1."""

    is_nonnegative = True

    def laid_out(self, write: Any) -> Formula:
        return row(Upright("gap"), between("(", write(self.args[0]), ")"))


class Applied(Written):
    """`Applied(name, e, k)`: the k-th derivative of a smooth function of one number, at e."""

    def laid_out(self, write: Any) -> Formula:
        name, body, order = self.args
        return call(row(lettered(name), *("'",) * int(order)), write(body))


def mass(name: str, *elements: Expr) -> Mass:
    return Mass(Symbol(name), *elements)


def score(name: str, *elements: Expr) -> Score:
    return Score(Symbol(name), *elements)


def member(which: str, comparison: Element) -> Member:
    return Member(Symbol(which), comparison)


def applied(name: str, at: Expr, order: int = 0) -> Applied:
    return Applied(Symbol(name), at, Integer(order))


def bound(expr: Any) -> set[Element]:
    """Every element that a binder inside `expr` binds."""
    return {node.args[1] for node in expr.atoms(SumOver, Relative, Mean)}


def elements(expr: Any) -> set[Element]:
    """The free elements of `expr`."""
    return {s for s in expr.free_symbols if isinstance(s, Element)}


# --- Signs that can be read off ------------------------------------------------------------------


def nonnegative(expr: Any) -> bool:
    """Whether `expr` is seen to be at least 0: sums and products of what is, even powers, log of
    1 + what is, and u - 1 - log(u). `False` means "not seen to be"."""
    if positive(expr) or isinstance(expr, (Gap, Same)):
        return True
    if isinstance(expr, (Number, Parameter)):
        return bool(expr.is_nonnegative)
    if isinstance(expr, (Add, Mul)):
        return all(map(nonnegative, expr.args))
    if isinstance(expr, Pow) and expr.exp.is_Integer:
        return bool(expr.exp > 0 and expr.exp % 2 == 0) or (bool(expr.exp > 0) and nonnegative(expr.base))
    if isinstance(expr, SumOver):
        return nonnegative(expr.args[0])
    return isinstance(expr, Log) and nonnegative(expr.args[0] - 1)


def positive(expr: Any) -> bool:
    """Whether `expr` is seen to be greater than 0, in the same way."""
    if isinstance(expr, (Mass, Exp, Sigmoid)):
        return True
    if isinstance(expr, (Number, Parameter)):
        return bool(expr.is_positive)
    if isinstance(expr, Add):
        return all(map(nonnegative, expr.args)) and any(map(positive, expr.args))
    if isinstance(expr, Mul):
        inside = [arg for arg in expr.args if isinstance(arg, LogSigmoid)]  # below 0
        outside = Mul(*(arg for arg in expr.args if not isinstance(arg, LogSigmoid)))
        if inside:
            return positive(outside if len(inside) % 2 == 0 else -outside)
        return all(map(positive, expr.args))
    if isinstance(expr, Pow):
        return positive(expr.base)
    if isinstance(expr, SumOver):
        return positive(expr.args[0])
    if isinstance(expr, Log):
        return positive(expr.args[0] - 1)
    return language.is_positive(expr)
