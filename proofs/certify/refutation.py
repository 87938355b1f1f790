"""A refutation as a theorem of Coq: at the witness the two sides differ by this number.

The sides are the margins, or the losses where the target is no margin; where a link stands between
the two and its values are exact, both. The witness's policies are trees of dyadic laws, so the
difference lies in Q(log 2): the tactic `midpo_refuted` computes it and bounds it away from 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.numeric.arithmetic import Dyadic, Log2, NotExact, Undefined
from midpo.numeric.case import Case
from midpo.numeric.evaluate import Evaluator
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, Further
from midpo.symbolic.loss import loss_of_margin, recovered_margin

from .printer import NotExportable, Printer, identifier
from .recovery import GOAL_SECONDS
from .statement import Statement

HEADER = """From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo MidpoPoint.
Import ListNotations.
Open Scope R_scope.
"""
_FINITE = "\n".join(
    f"#[local] Notation {name} := {kind} (only parsing)."
    for name, kind in (("X", "unit"), ("Y", "bool"), ("V", "nat"))
)


def refutation_text(statement: Statement, case: Case, difference: Expr) -> tuple[str, tuple[str, ...]]:
    """The text and its theorems; `difference` is target less recovered, in normal form.

    Raises: NotExportable.
    """
    lines = [HEADER, _FINITE, *_point(statement, case), ""]
    definitions = [d.replace(") / Z x.", ").") for d in statement.definitions()]
    names = "policy prior recovered published loss_of"
    unfolded = [name for name, _ in statement.data() if name != "Z"]
    unfolded += [f"tree_{p}" for p in statement.policies] + ["word"]
    facts = [says.replace("Z x", "1") for name, says in statement.hypotheses() if name != "Z_positive"]
    at_point = Printer(
        statement.laws, statement.printer.positive, prompt="tt", responses={CHOSEN: "true", REJECTED: "false"}
    )
    facts += statement.premises(at_point)
    parts = [f"({says})" for says in facts]
    parts += [f"proper tree_{policy}" for policy in statement.policies]
    for sides, number in _claims(statement, case, difference):
        parts += [f"{sides} = {number}", f"{number} <> 0"]
    body = " /\\\n    ".join(parts)
    lines += [
        *definitions,
        "",
        f"Theorem refuted :\n    {body}.",
        f"Proof.\n  cbv delta [{names} {' '.join(unfolded)} margin]. cbv beta iota.\n"
        f"  timeout {GOAL_SECONDS} midpo_refuted.\nQed.",
        "",
    ]
    return "\n".join(lines), ("refuted",)


def _claims(statement: Statement, case: Case, difference: Expr) -> Iterator[tuple[str, str]]:
    """Each difference that the theorem states, and its value. Raises: NotExportable."""
    spec, at = statement.spec, "tt true false"
    recovered = f"recovered {at}"
    if difference.has(Further):
        raise NotExportable("a difference that depends on a response beside the pair")
    if spec.margin is None:
        yield f"published {at} - loss_of {at} ({recovered})", _exact(case, difference)
        return
    yield f"published {at} - {recovered}", _exact(case, difference)
    if spec.link is None:
        return
    losses = loss_of_margin(spec, spec.margin) - loss_of_margin(spec, recovered_margin(spec))
    with contextlib.suppress(NotExportable):
        yield f"loss_of {at} (published {at}) - loss_of {at} ({recovered})", _exact(case, losses)


def _exact(case: Case, difference: Expr) -> str:
    """The value at the witness as a term in ln 2. Raises: NotExportable where it is none, or 0."""
    ops = Dyadic()
    try:
        value = Log2.of(Evaluator(ops, case.point(ops), limit=20_000)(difference))
    except (NotExact, Undefined, TooLarge):
        raise NotExportable("the difference at the witness is not exact, in Q(log 2)") from None
    if not value.terms:
        raise NotExportable("the two sides agree at the witness")
    above = _polynomial(value.terms)
    return above if set(value.below) == {0} else f"({above} / {_polynomial(value.below)})"


def _polynomial(coefficients: Mapping[int, Fraction]) -> str:
    terms = []
    for k, c in sorted(coefficients.items()):
        base = _fraction(c)
        terms.append(base if k == 0 else f"{base} * ln 2" + (f" ^ {k}" if k > 1 else ""))
    return "(" + " + ".join(terms) + ")"


def _fraction(value: Any) -> str:
    number = Fraction(value)
    whole = number.denominator == 1
    return f"({number.numerator})" if whole else f"({number.numerator} / {number.denominator})"


def _point(statement: Statement, case: Case) -> list[str]:
    words = {role: "[" + "; ".join(map(str, case.tokens[role])) + "]%nat" for role in ("y_w", "y_l")}
    lines = [
        "(* true is the chosen response, false the rejected one *)",
        f"Definition word (y : Y) : list nat := if y then {words['y_w']} else {words['y_l']}.",
    ]
    for policy in statement.policies:
        rows = [f"({_prefix(prefix)}, {_exponents(law)})" for prefix, law in case.laws[policy].items()]
        lines.append(f"Definition {identifier('tree', policy)} : tree :=\n  [" + ";\n   ".join(rows) + "].")
    for name, kind in statement.data():
        if name == "Z":
            continue
        lines.append(f"Definition {name} : {kind} := {_value(name, case, statement)}.")
    return lines


def _prefix(prefix: tuple[int, ...]) -> str:
    return "[" + "; ".join(map(str, prefix)) + "]%nat"


def _exponents(law: tuple[Fraction, ...]) -> str:
    exponents = []
    for p in law:
        k = p.denominator.bit_length() - 1
        if p.numerator != 1 or p.denominator != 1 << k:
            raise NotExportable("a law that is not dyadic")
        exponents.append(str(k))
    return "(" + ", ".join(exponents) + ")%nat"


def _value(name: str, case: Case, statement: Statement) -> str:
    """What a name of the statement is at the witness."""
    if name == "n":
        return "fun y => length (word y)"
    if name == "tok":
        return "fun y t => nth t (word y) 0%nat"
    if name == "vocab":
        return "vocabulary"
    kind, _, word = name.partition("_")
    law = f"law_after tree_{word} (firstn t (word y))"
    if kind == "law":
        return f"fun x y t v => {law} v"
    if kind == "mass":
        return f"fun x y => prodn (length (word y)) (fun t => {law} (nth t (word y) 0%nat))"
    if kind == "p":
        return _fraction(case.parameters[word])
    if kind == "r":  # any response: the differences that are stated do not depend on it
        return "fun _ => true"
    value = case.features[word]
    if not isinstance(value, Mapping):
        return f"fun x w l => {_fraction(value)}"
    sides = [value["y_w"], value["y_l"]]
    if isinstance(sides[0], (list, tuple)):
        chosen, rejected = ("[" + "; ".join(map(_fraction, s)) + "]" for s in sides)
        beyond = "1" if 1 in statement.spec.names.range(word) else _fraction(sides[0][0])
        return f"fun x y t => nth t (if y then {chosen} else {rejected}) {beyond}"
    return f"fun x y => if y then {_fraction(sides[0])} else {_fraction(sides[1])}"
