"""A refutation's witness as a worked example: probabilities, each term's value, both sums."""

from __future__ import annotations

from fractions import Fraction as Ratio
from math import prod
from typing import Any

from sympy import Expr

from midpo.numeric.arithmetic import Digits, Dyadic, NotExact, Undefined
from midpo.numeric.case import Case
from midpo.numeric.evaluate import Evaluator
from midpo.numeric.witness import Witness
from midpo.proofs.recover.recovery import Recovery
from midpo.symbolic.errors import MidpoError, TooLarge
from midpo.symbolic.formula.tree import Fence, Formula, Fraction, Text, between, call, listed, number, row
from midpo.symbolic.formula.write import GIVEN, PROMPT, inline, policy, response, signed_terms, write
from midpo.symbolic.language.parser import parse
from midpo.symbolic.language.places import LINK, Names
from midpo.writers.latex.pieces import answered, escape, math, tex

_MOST_FACTORS = 6  # of a product that is written out


def example(recovery: Recovery) -> dict[str, Any]:
    """What `witness.tex.j2` speaks of."""
    witness = recovery.witness
    assert witness is not None
    recovered = recovery.recovered.xreplace(dict(recovery.definitions))
    values = [("losses", witness.target_loss, witness.recovered_loss)]
    if witness.target_margin is not None and witness.recovered_margin is not None:
        values.insert(0, ("margins", witness.target_margin, witness.recovered_margin))
    sides = [_side(witness.case, expr) for expr in (recovery.target, recovered)]
    return {
        "tokens": [
            (math(response(role)), math(Fence("(", listed(map(number, ids)), ")")), str(len(ids)))
            for role, ids in witness.case.tokens.items()
        ],
        "products": _products(witness.case),
        "sides": [
            {"title": title, "terms": terms}
            for title, terms in zip(("The target", "Through the prior"), sides, strict=True)
        ],
        "totals": [(words, f"{left:.12g}", f"{right:.12g}") for words, left, right in values],
        "kind": recovery.kind,
        "difference": exactly(witness.difference),
        "decimal": _decimal(witness),
        "sign": r"\approx" if "log" in witness.difference else "=",
        "standing": answered(witness.standing),
    }


def _products(case: Case) -> list[tuple[str, str]]:
    """The probability of each response under each policy, as a product over its tokens."""
    shown = []
    for word, laws in case.laws.items():
        for role, ids in case.tokens.items():
            factors = [laws[ids[:t]][token] for t, token in enumerate(ids)]
            written = listed(map(fraction, factors[:_MOST_FACTORS]), r" \cdot ")
            if len(factors) > _MOST_FACTORS:
                written = row(written, r" \cdots")
            if len(factors) > 1:
                written = row(written, " = ", fraction(prod(factors, start=Ratio(1))))
            law = call(policy(word), row(response(role), GIVEN, PROMPT))
            shown.append((tex(law), tex(written)))
    return shown


def _side(case: Case, expr: Expr) -> list[tuple[str, str, str]]:
    """Each term as (formula, exact value or "", decimals), and the sum where there are several."""
    terms = [(sign, term, term if sign == "+" else -term) for sign, term in signed_terms(expr)]
    rows = [
        (tex(row(*("-",) * (sign == "-"), _bracketed(term))), *_value(case, signed))
        for sign, term, signed in terms
    ]
    return [*rows, (tex(Text("sum")), *_value(case, expr))] if len(rows) > 1 else rows


def _bracketed(term: Expr) -> Formula:
    return between("(", write(term), ")") if term.is_Add else write(term)


def _value(case: Case, expr: Expr) -> tuple[str, str]:
    exact = ""
    try:
        ops = Dyadic()
        exact = exactly(str(Evaluator(ops, case.point(ops))(expr)))
    except (NotExact, Undefined, TooLarge):
        pass
    digits = Digits()
    try:
        return exact, f"{float(Evaluator(digits, case.point(digits))(expr)):.6g}"
    except Undefined:
        return exact, tex(Text("none"))


def _decimal(witness: Witness) -> str:
    sides = (witness.target_margin, witness.recovered_margin)
    left, right = sides if None not in sides else (witness.target_loss, witness.recovered_loss)
    assert left is not None and right is not None
    return f"{left - right:.6g}"


def exactly(text: str) -> str:
    """A number of the spec language in LaTeX: a decimal, or what it writes with log(2)."""
    try:
        return tex(inline(parse(text, Names({}, {}, frozenset()), LINK)))
    except MidpoError:
        return rf"\text{{{escape(text)}}}"


def fraction(value: Ratio) -> Formula:
    if value.denominator == 1:
        return number(value)
    return Fraction(number(value.numerator), number(value.denominator), small=True)
