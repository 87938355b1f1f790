"""Gradients and corrections written down, for a terminal and in LaTeX.

Conditional expectations and other quantities that the spec language has no word for stand in
expressions as features with a name of their own, which are spelled out when written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sympy import Add, Expr, Mul, S, Symbol

from midpo.numeric.trees import Row
from midpo.symbolic.formula.latex import latex
from midpo.symbolic.formula.latex import policy as policy_latex
from midpo.symbolic.formula.unicode import letter, mathematics
from midpo.symbolic.language.nodes import POLICY, RESPONSE, Feature, TokenSum, VocabProb
from midpo.symbolic.loss import is_constant
from midpo.symbolic.representable import fold

from .answer import Formula
from .calculus import T, V, as_powers, gathered, simplified_whole, split_weight

# No spec can declare a feature of such a name.
_STAND_IN = re.compile(r"⟦(\d+)⟧\(y(?:, ?t)?\)")
_STAND_IN_LATEX = re.compile(r"\\mathrm\{⟦(\d+)⟧\}\(y(?:, ?t)?\)")


class Notebook:
    """Stand-ins for what the spec language has no word for, and how each is written."""

    def __init__(self) -> None:
        self.written: dict[str, Formula] = {}

    def quantity(self, formula: Formula, *, at_token: bool = True) -> Expr:
        name = next((n for n, known in self.written.items() if known == formula), None)
        if name is None:
            name = str(len(self.written))
            self.written[name] = formula
        symbol = Symbol(f"⟦{name}⟧")
        return Feature(symbol, RESPONSE, T) if at_token else Feature(symbol, RESPONSE)

    def write(self, expr: Expr) -> Formula:
        plain = _STAND_IN.sub(lambda m: self.written[m[1]].unicode, mathematics(expr))
        tex = _STAND_IN_LATEX.sub(lambda m: self.written[m[1]].latex, latex(expr))
        return Formula(plain, tex)

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
        under = "π" if law == "pi" else "ζ̄"
        tex = r"\pi" if law == "pi" else r"\bar\zeta"
        sign, tex_sign = ("≤", r"\le ") if upto else ("<", "<")
        return self.quantity(
            Formula(
                f"E_{under}[{inner.unicode} | y_{sign}t]",
                rf"\mathbb{{E}}_{{{tex}}}\bigl[{inner.latex}\mid y_{{{tex_sign}t}}\bigr]",
            )
        )

    def kappa(self, *, upto: bool = False) -> Expr:
        """The ratio of the masses of zeta-bar and pi after a prefix."""
        sign, tex = ("≤", r"\le ") if upto else ("<", "<")
        return self.quantity(Formula(f"κ(y_{sign}t)", rf"\kappa(y_{{{tex}t}})"))

    def ratio(self) -> Expr:
        formula = Formula("(ζ̄(y)/π(y))", r"\tfrac{\bar\zeta(y\mid x)}{\pi(y\mid x)}")
        return self.quantity(formula, at_token=False)


def readable(expr: Expr) -> Expr:
    """`expr` with responses' log-probabilities and divergences whole."""
    return as_powers(fold(gathered(expr)))


def without_constants(expr: Expr) -> Expr:
    return Add(*(term for term in Add.make_args(expr) if not is_constant(term)))


# --- Gradients -----------------------------------------------------------------------------------


def gradient_formula(rows: Sequence[Row]) -> Formula:
    """The gradient of a function of y with these rows, in nabla log-probabilities."""
    book = Notebook()
    whole: list[tuple[Expr, Formula]] = []
    token: list[tuple[Expr, Formula]] = []
    for row in rows:
        if row.law is None:
            own = Formula("∇log π(y, t)", r"\nabla\log\pi(y_t\mid s_t)")
            for kind, weight in split_weight(row.weight).items():
                if kind == "response" or (kind == "known" and T not in weight.free_symbols):
                    whole.append(
                        (weight, Formula("∇log π(y)", r"\nabla\log\pi(y\mid x)"))
                    )
                else:
                    token.append((weight, own))
            continue
        token += [(row.weight * sign, formula) for sign, formula in law_formulas(row.law, book)]
    parts = [_weighted(weight, formula, book) for weight, formula in _joined(whole)]
    inside = [_weighted(weight, formula, book) for weight, formula in _joined(token)]
    if inside:
        body = _summed(inside)
        alone = len(inside) == 1 and body.unicode.startswith("−")
        if alone:
            body = Formula(body.unicode[1:], body.latex.removeprefix("-"))
        minus, tex_minus = ("−", "-") if alone else ("", "")
        left, right = ("(", ")") if len(inside) > 1 else ("", "")
        tex_left, tex_right = (r"\Bigl(", r"\Bigr)") if len(inside) > 1 else ("", "")
        parts.append(
            Formula(
                f"{minus}Σ_{{t∈y}} {left}{body.unicode}{right}",
                rf"{tex_minus}\sum_{{t=1}}^{{|y|}} {tex_left}{body.latex}{tex_right}",
            )
        )
    return _summed(parts) if parts else Formula("0", "0")


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
        return Formula("−" + formula.unicode, "-" + formula.latex)
    factor = book.write(shown)
    if isinstance(shown, Add):
        factor = Formula(f"({factor.unicode})", rf"\left({factor.latex}\right)")
    return Formula(f"{factor.unicode}·{formula.unicode}", rf"{factor.latex}\,{formula.latex}")


def _summed(parts: Sequence[Formula]) -> Formula:
    plain, tex = parts[0].unicode, parts[0].latex
    for part in parts[1:]:
        negative = part.unicode.startswith("−")
        sign = "−" if negative else "+"
        plain += f" {sign} {part.unicode.removeprefix('−')}"
        tex += f" - {part.latex.removeprefix('-')}" if negative else f" + {part.latex}"
    return Formula(plain, tex)


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
    for policy, terms in grouped.items():
        score = Formula("∇log π(v)", r"\nabla\log\pi(v\mid s_t)")
        factor = terms
        if policy is not None:
            factor = _divided(terms, policy)
        sign, factor = (-1, -factor) if _leads_negative(factor) else (1, factor)
        inner = score if factor == 1 else _weighted(factor, score, book)
        if policy is None:
            plain, tex = f"Σ_v {inner.unicode}", rf"\sum_v {inner.latex}"
        else:
            plain = f"E_{letter(str(policy))}[{inner.unicode}]"
            law_tex = policy_latex(str(policy))
            tex = rf"\mathbb{{E}}_{{v\sim {law_tex}(\cdot\mid s_t)}}\bigl[{inner.latex}\bigr]"
        found.append((sign, Formula(plain.replace("π(y, t, v)", "π(v)"), tex)))
    return found


def _divided(terms: Expr, policy: Expr) -> Expr:
    entry = next(
        f for f in terms.atoms(VocabProb) if f.args[0] == policy and f.args[3] == V
    )
    return Add(*(term / entry for term in Add.make_args(terms)))


def _leads_negative(expr: Expr) -> bool:
    return all(term.as_coeff_Mul()[0] < 0 for term in Add.make_args(expr))


# --- Corrections ---------------------------------------------------------------------------------


def response_part(expr: Expr) -> Expr:
    """`expr` with log-probabilities of responses whole, constants dropped."""
    return without_constants(as_powers(fold(simplified_whole(expr))))


def over_tokens(body: Expr) -> Expr:
    return TokenSum(body, T, RESPONSE)

