"""Gradients and corrections written down, for a terminal and in LaTeX.

Conditional expectations and other quantities that the spec language has no word for stand in
expressions as features with a name of their own, which are spelled out when written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sympy import Add, Expr, Mul, S, Symbol

from midpo.numeric.trees import Movement
from midpo.symbolic.formula.told import Displayed
from midpo.symbolic.formula.tree import (
    Accent,
    Formula,
    Fraction,
    Placeholder,
    Quantity,
    between,
    call,
    first,
    leaf,
    row,
    script,
    without_first,
)
from midpo.symbolic.formula.unicode import letter, mathematics
from midpo.symbolic.formula.write import (
    GIVEN,
    POLICY_SIGN,
    PROMPT,
    ZETA,
    indexed,
    operator,
    policy,
    response,
    write,
)
from midpo.symbolic.language.nodes import POLICY, RESPONSE, Feature, TokenSum, VocabProb
from midpo.symbolic.loss import is_constant
from midpo.symbolic.representable import fold

from .calculus import T, V, as_powers, gathered, simplified_whole, split_weight


class StandIn(Symbol):  # type: ignore[misc]
    """The name of a feature that stands for a quantity, and how that is written."""

    __slots__ = ("shown",)
    shown: Displayed

    def __new__(cls, name: str, shown: Displayed) -> StandIn:
        self: StandIn = Symbol.__xnew__(cls, name)
        self.shown = shown
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str, Displayed], dict[str, Any]]:
        return (self.name, self.shown), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.shown.unicode)

    def written(self) -> str:
        return self.shown.unicode

    def laid_out(self) -> Formula:
        return Quantity(self.shown.formula)


class Notebook:
    """Stand-ins for what the spec language has no word for."""

    def __init__(self) -> None:
        self.known: list[Displayed] = []

    def quantity(self, shown: Displayed, *, at_token: bool = True) -> Expr:
        if shown not in self.known:
            self.known.append(shown)
        # No spec can declare a feature of such a name.
        symbol = StandIn(f"⟦{self.known.index(shown)}⟧", shown)
        return Feature(symbol, RESPONSE, T) if at_token else Feature(symbol, RESPONSE)

    def write(self, expr: Expr) -> Displayed:
        return Displayed(mathematics(expr), write(expr))

    # -- quantities

    def mean(self, weight: Expr, law: str = "pi", *, upto: bool = False) -> Expr:
        """The conditional expectation of `weight` given the tokens before t (or up to it)."""
        total: Expr = S.Zero
        for term in Add.make_args(readable(weight)):
            constants = Mul(*(f for f in Mul.make_args(term) if is_constant(f)))
            total += constants * self._mean(term / constants, law, upto)
        return total

    def _mean(self, weight: Expr, law: str, upto: bool) -> Expr:
        if weight == 1:
            return weight
        inner = self.write(weight)
        under, below = ("π", POLICY_SIGN) if law == "pi" else ("ζ̄", ZETA_BAR)
        sign = "≤" if upto else "<"
        given = between("[", row(inner.formula, GIVEN, tokens_before(upto)), "]", "big")
        return self.quantity(
            Displayed(f"E_{under}[{inner.unicode} | y_{sign}t]", row(expectation(below), given))
        )

    def kappa(self, *, upto: bool = False) -> Expr:
        """The ratio of the masses of zeta-bar and pi after a prefix."""
        sign = "≤" if upto else "<"
        laid_out = call(r"\kappa", tokens_before(upto))
        return self.quantity(Displayed(f"κ(y_{sign}t)", laid_out))

    def ratio(self) -> Expr:
        whole = row(response(RESPONSE), GIVEN, PROMPT)
        ratio = Fraction(call(ZETA_BAR, whole), call(POLICY_SIGN, whole), small=True)
        return self.quantity(Displayed("(ζ̄(y)/π(y))", ratio), at_token=False)


ZETA_BAR = Accent("bar", ZETA, bare=True)
STATE = script("s", "t", bare=True)
SCORE = row(r"\nabla", r"\log", POLICY_SIGN)


def expectation(law: Formula) -> Formula:
    return script(r"\mathbb{E}", law)


def tokens_before(upto: bool = False) -> Formula:
    """The tokens of y before t, or up to it."""
    return indexed("y", RESPONSE, r"\le " if upto else "<", "t")


def score(of: Formula | str, given: Formula = PROMPT) -> Formula:
    """nabla log pi of something, given something."""
    return call(SCORE, row(of, GIVEN, given))


ZERO = Displayed("0", leaf("0"))


def readable(expr: Expr) -> Expr:
    """`expr` with responses' log-probabilities and divergences whole."""
    return as_powers(fold(gathered(expr)))


def without_constants(expr: Expr) -> Expr:
    return Add(*(term for term in Add.make_args(expr) if not is_constant(term)))


# --- Gradients -----------------------------------------------------------------------------------


def gradient_formula(rows: Sequence[Movement]) -> Displayed:
    """The gradient of a function of y with these rows, in nabla log-probabilities."""
    book = Notebook()
    whole: list[tuple[Expr, Displayed]] = []
    token: list[tuple[Expr, Displayed]] = []
    for each in rows:
        if each.law is None:
            spoken_now = script(response(RESPONSE), "t", bare=True)
            own = Displayed("∇log π(y, t)", score(spoken_now, STATE))
            for kind, weight in split_weight(each.weight).items():
                if kind == "response" or (kind == "known" and T not in weight.free_symbols):
                    whole.append((weight, Displayed("∇log π(y)", score(response(RESPONSE)))))
                else:
                    token.append((weight, own))
            continue
        token += [(each.weight * sign, formula) for sign, formula in law_formulas(each.law, book)]
    parts = [_weighted(weight, formula, book) for weight, formula in _joined(whole)]
    inside = [_weighted(weight, formula, book) for weight, formula in _joined(token)]
    if inside:
        body = _summed(inside)
        minus = ""
        if len(inside) > 1:
            body = Displayed(f"({body.unicode})", between("(", body.formula, ")", "Big"))
        elif is_negative(body.formula):
            minus, body = "−", negated(body)
        summed = row(operator(over_tokens(S.Zero)), " ", body.formula)
        parts.append(Displayed(f"{minus}Σ_{{t∈y}} {body.unicode}", row("-", summed) if minus else summed))
    return _summed(parts) if parts else ZERO


def is_negative(formula: Formula) -> bool:
    return first(formula) == leaf("-")


def negated(shown: Displayed) -> Displayed:
    """What begins with a minus, without it."""
    return Displayed(shown.unicode.removeprefix("−"), without_first(shown.formula))


def _joined(terms: Iterable[tuple[Expr, Displayed]]) -> list[tuple[Expr, Displayed]]:
    total: dict[Displayed, Expr] = {}
    for weight, formula in terms:
        total[formula] = total.get(formula, S.Zero) + weight
    return [(weight, formula) for formula, weight in total.items() if weight != 0]


def _weighted(weight: Expr, formula: Displayed, book: Notebook) -> Displayed:
    shown = readable(weight)
    if shown == 1:
        return formula
    if shown == -1:
        return Displayed("−" + formula.unicode, row("-", formula.formula))
    factor = book.write(shown)
    if isinstance(shown, Add):
        factor = Displayed(f"({factor.unicode})", between("(", factor.formula, ")"))
    return Displayed(f"{factor.unicode}·{formula.unicode}", row(factor.formula, r"\,", formula.formula))


def _summed(parts: Sequence[Displayed]) -> Displayed:
    total = parts[0]
    for part in parts[1:]:
        negative = is_negative(part.formula)
        plain, sign = ("−", " - ") if negative else ("+", " + ")
        term = negated(part) if negative else part
        total = Displayed(f"{total.unicode} {plain} {term.unicode}", row(total.formula, sign, term.formula))
    return total


def law_formulas(law: Expr, book: Notebook) -> list[tuple[int, Displayed]]:
    """Sum over v of law(v) * nabla log pi(v) as signed expectations over the next token."""
    grouped: dict[Expr | None, Expr] = {}
    for term in Add.make_args(law):
        # The policy last: a term q(v) p(v) is an expectation over the reference.
        of = sorted(
            (f.args[0] for f in Mul.make_args(term) if isinstance(f, VocabProb)),
            key=lambda p: (p != POLICY, str(p)),
        )
        grouped[of[0] if of else None] = grouped.get(of[0] if of else None, S.Zero) + term
    found = []
    for law_of, terms in grouped.items():
        entry = Displayed("∇log π(v)", score("v", STATE))
        factor = terms
        if law_of is not None:
            factor = _divided(terms, law_of)
        sign, factor = (-1, -factor) if _leads_negative(factor) else (1, factor)
        inner = entry if factor == 1 else _weighted(_own_law(factor, book), entry, book)
        if law_of is None:
            plain = f"Σ_v {inner.unicode}"
            laid_out = row(script(r"\sum", "v", bare=True), " ", inner.formula)
        else:
            plain = f"E_{letter(str(law_of))}[{inner.unicode}]"
            drawn = call(policy(str(law_of)), row(Placeholder(), GIVEN, STATE))
            laid_out = row(expectation(row("v", r"\sim ", drawn)), between("[", inner.formula, "]", "big"))
        found.append((sign, Displayed(plain, laid_out)))
    return found


def _own_law(expr: Expr, book: Notebook) -> Expr:
    """`expr` with the policy's next-token law as pi(v): which token is meant is said already."""
    entry = VocabProb(POLICY, RESPONSE, T, V)
    if not expr.has(entry):
        return expr
    return expr.xreplace({entry: book.quantity(Displayed("π(v)", write(entry)))})


def _divided(terms: Expr, policy: Expr) -> Expr:
    entry = next(f for f in terms.atoms(VocabProb) if f.args[0] == policy and f.args[3] == V)
    return Add(*(term / entry for term in Add.make_args(terms)))


def _leads_negative(expr: Expr) -> bool:
    return all(term.as_coeff_Mul()[0] < 0 for term in Add.make_args(expr))


# --- Corrections ---------------------------------------------------------------------------------


def response_part(expr: Expr) -> Expr:
    """`expr` with log-probabilities of responses whole, constants dropped."""
    return without_constants(as_powers(fold(simplified_whole(expr))))


def over_tokens(body: Expr) -> Expr:
    return TokenSum(body, T, RESPONSE)
