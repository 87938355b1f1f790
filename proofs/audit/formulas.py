"""Gradients and corrections as formulas.

Conditional expectations and other quantities that the spec language has no word for stand in
expressions as features with a name of their own, which are spelled out when written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sympy import Add, Expr, Mul, S, Symbol

from midpo.numeric.trees import Movement
from midpo.symbolic.formula.characters import line
from midpo.symbolic.formula.tree import (
    THIN,
    Abridged,
    Accent,
    Formula,
    Fraction,
    Placeholder,
    Quantity,
    Text,
    between,
    call,
    first,
    leaf,
    listed,
    row,
    script,
    without_first,
)
from midpo.symbolic.formula.write import (
    GIVEN,
    POLICY_SIGN,
    PROMPT,
    ZETA,
    indexed,
    operator,
    policy,
    prompted,
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
    shown: Formula

    def __new__(cls, name: str, shown: Formula) -> StandIn:
        self: StandIn = Symbol.__xnew__(cls, name)
        self.shown = shown
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[str, Formula], dict[str, Any]]:
        return (self.name, self.shown), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), line(self.shown))

    def laid_out(self) -> Formula:
        return Quantity(self.shown)


class Notebook:
    """Stand-ins for what the spec language has no word for."""

    def __init__(self) -> None:
        self.known: list[Formula] = []

    def quantity(self, shown: Formula, *, at_token: bool = True) -> Expr:
        if shown not in self.known:
            self.known.append(shown)
        # No spec can declare a feature of such a name.
        symbol = StandIn(f"⟦{self.known.index(shown)}⟧", shown)
        return Feature(symbol, RESPONSE, T) if at_token else Feature(symbol, RESPONSE)

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
        below = POLICY_SIGN if law == "pi" else ZETA_BAR
        given = between("[", row(write(weight), _APART, tokens_before(upto)), "]", "big")
        return self.quantity(row(expectation(below), given))

    def kappa(self, *, upto: bool = False) -> Expr:
        """The ratio of the masses of zeta-bar and pi after a prefix."""
        return self.quantity(call(r"\kappa", tokens_before(upto)))

    def ratio(self) -> Expr:
        whole = prompted(response(RESPONSE))
        ratio = Fraction(call(ZETA_BAR, whole), call(POLICY_SIGN, whole), small=True)
        return self.quantity(ratio, at_token=False)


ZETA_BAR = Accent("bar", ZETA, bare=True)
STATE = script("s", "t", bare=True)
SCORE = row(r"\nabla", r"\log", POLICY_SIGN)
_APART = Abridged(GIVEN, Text(" | "))  # on a line, apart from a bar of |y|


def expectation(law: Formula) -> Formula:
    return script(r"\mathbb{E}", law)


def tokens_before(upto: bool = False) -> Formula:
    """The tokens of y before t, or up to it."""
    return indexed("y", RESPONSE, r"\le " if upto else "<", "t")


def score(of: Formula | str, given: Formula = PROMPT, short: Formula | str | None = None) -> Formula:
    """nabla log pi of something, given something; on a line, of `short`."""
    return call(SCORE, Abridged(row(of, GIVEN, given), row(of if short is None else short)))


ZERO: Formula = leaf("0")


def readable(expr: Expr) -> Expr:
    """`expr` with responses' log-probabilities and divergences whole."""
    return as_powers(fold(gathered(expr)))


def without_constants(expr: Expr) -> Expr:
    return Add(*(term for term in Add.make_args(expr) if not is_constant(term)))


# --- Gradients -----------------------------------------------------------------------------------


def gradient_formula(rows: Sequence[Movement]) -> Formula:
    """The gradient of a function of y with these rows, in nabla log-probabilities."""
    book = Notebook()
    whole: list[tuple[Expr, Formula]] = []
    token: list[tuple[Expr, Formula]] = []
    for each in rows:
        if each.law is None:
            spoken_now = script(response(RESPONSE), "t", bare=True)
            own = score(spoken_now, STATE, listed([response(RESPONSE), "t"]))
            for kind, weight in split_weight(each.weight).items():
                if kind == "response" or (kind == "known" and T not in weight.free_symbols):
                    whole.append((weight, score(response(RESPONSE))))
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
            body = between("(", body, ")", "Big")
        elif is_negative(body):
            minus, body = "-", without_first(body)
        parts.append(row(*minus, operator(over_tokens(S.Zero)), " ", body))
    return _summed(parts) if parts else ZERO


def is_negative(formula: Formula) -> bool:
    return first(formula) == leaf("-")


def _joined(terms: Iterable[tuple[Expr, Formula]]) -> list[tuple[Expr, Formula]]:
    total: dict[Formula, Expr] = {}
    for weight, formula in terms:
        total[formula] = total.get(formula, S.Zero) + weight
    return [(weight, formula) for formula, weight in total.items() if weight != 0]


def _weighted(weight: Expr, formula: Formula, book: Notebook) -> Formula:
    shown = readable(weight)
    if shown == 1:
        return formula
    if shown == -1:
        return row("-", formula)
    factor = between("(", write(shown), ")") if isinstance(shown, Add) else write(shown)
    return row(factor, THIN, formula)


def _summed(parts: Sequence[Formula]) -> Formula:
    total = parts[0]
    for part in parts[1:]:
        negative = is_negative(part)
        total = row(total, *((" - ", without_first(part)) if negative else (" + ", part)))
    return total


def law_formulas(law: Expr, book: Notebook) -> list[tuple[int, Formula]]:
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
        entry = score("v", STATE)
        factor = terms
        if law_of is not None:
            factor = _divided(terms, law_of)
        sign, factor = (-1, -factor) if _leads_negative(factor) else (1, factor)
        inner = entry if factor == 1 else _weighted(_own_law(factor, book), entry, book)
        if law_of is None:
            laid_out = row(script(r"\sum", "v", bare=True), " ", inner)
        else:
            law_named = policy(str(law_of))
            drawn = Abridged(call(law_named, row(Placeholder(), GIVEN, STATE)), law_named)
            laid_out = row(expectation(row("v", r"\sim ", drawn)), between("[", inner, "]", "big"))
        found.append((sign, laid_out))
    return found


def _own_law(expr: Expr, book: Notebook) -> Expr:
    """`expr` with the policy's next-token law as pi(v): which token is meant is said already."""
    entry = VocabProb(POLICY, RESPONSE, T, V)
    if not expr.has(entry):
        return expr
    return expr.xreplace({entry: book.quantity(Abridged(write(entry), call(POLICY_SIGN, "v")))})


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
