"""A recovery as a theorem of Coq: prior and target agree for every response, policy and normaliser.

The proof is one word, the tactic `midpo` of rocq/Midpo.v; what matters is the statement.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.numeric.arithmetic import Intervals, Undefined
from midpo.numeric.evaluate import Evaluator, Point
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language import (
    CHOSEN,
    REJECTED,
    Entropy,
    Index,
    VocabProb,
    VocabSum,
    with_label,
)
from midpo.symbolic.spec import Spec

from .certificate_statement import Statement
from .rocq_printer import NotExportable, identifier

# What the tactic may take on one goal; the kernel's own check is bounded with the whole file.
GOAL_SECONDS = 20
HEADER = """From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo.
Open Scope R_scope.
"""
_HINT = ("#[local] Hint Unfold policy prior recovered published : midpo.\n"
         "  #[local] Hint Unfold loss_of : midpo_loss.")
# What parameters and data are tried at: on the line, off an end, as shares of a segment.
_LINE = (Fraction(1, 2), Fraction(-2), Fraction(1, 3), Fraction(-1, 2))
_RAY = (Fraction(1, 2), Fraction(2), Fraction(1, 3))
_SEGMENT = (Fraction(1, 2), Fraction(1, 3))


def recovery_text(statement: Statement) -> tuple[str, tuple[str, ...]]:
    """The section of a recovery and the names of its theorems. Raises: NotExportable."""
    tactic = "midpo_written_out" if statement.has(VocabSum, VocabProb, Entropy) else "midpo"
    variables = [f"Variable {name} : {kind}." for name, kind in statement.data()]
    hypotheses = [f"Hypothesis {name} : {says}." for name, says in statement.hypotheses()]
    types = "X Y V" if statement.token_level else "X Y"
    published, recovered = statement.objective()
    losses = f"""Theorem losses_agree (E : (X * Y * Y -> R) -> R) :
    E (fun '(x, w, l) => {published})
    = E (fun '(x, w, l) => {recovered}).
  Proof using All.
    apply operator_eq. intros [[x w] l]. {{}}
  Qed."""
    if statement.by_loss:
        theorems: tuple[str, ...] = ("pair_losses_agree", "losses_agree")
        proved = [
            f"Theorem pair_losses_agree x w l :\n    {published} = {recovered}.\n"
            f"  Proof using All. timeout {GOAL_SECONDS} midpo_losses {tactic}. Qed.",
            losses.format("apply pair_losses_agree."),
        ]
    else:
        theorems = ("margins_agree", "losses_agree")
        proved = [
            "Theorem margins_agree x w l : recovered x w l = published x w l.\n"
            f"  Proof using All. timeout {GOAL_SECONDS} {tactic}. Qed.",
            losses.format("now rewrite margins_agree."),
        ]
    inside = [*variables, *hypotheses, "", *statement.definitions(), _HINT, "",
              *itertools.chain.from_iterable((p, "") for p in proved)]
    body = "\n".join(f"  {line}" if line else "" for line in inside)
    return (f"{HEADER}\nSection Recovery.\n  Context {{{types} : Type}}.\n{body}"
            f"End Recovery.\n\n{satisfiable(statement, theorems[0])}"), theorems


# --- The hypotheses hold together somewhere ------------------------------------------------------


def satisfiable(statement: Statement, theorem: str) -> str:
    """An instance of `theorem`: no hypothesis contradicts another.

    The instance has one prompt, one response of one token, and two tokens of probability 1/2.
    Raises: NotExportable where no parameters were found that meet the spec's conditions.
    """
    values = _values(statement)
    given: list[str] = []
    for name, kind in statement.data():
        if name in values:
            number = values[name]
            head = "fun _ " + ("_ " * (kind.count("->") - 1)) + "=> " if "->" in kind else ""
            given.append(f"({head}{number})")
        elif name == "n":
            given.append("(fun _ => 1%nat)")
        elif name == "tok":
            given.append("(fun _ _ => true)")
        elif name == "vocab":
            given.append("(cons true (cons false nil))")
        elif kind == "X -> Y":
            given.append("(fun _ => tt)")
        else:
            arrows = "_ " * kind.count("->")
            given.append(f"(fun {arrows}=> {'1' if name == 'Z' else '1 / 2'})")
    proofs = ["ltac:(midpo_instance)"] * sum(1 for _ in statement.hypotheses())
    types = "unit unit bool" if statement.token_level else "unit unit"
    arguments = "\n    ".join(_filled([types, *given, *proofs, "tt tt tt"]))
    return ("(* The hypotheses hold together somewhere. *)\n"
            f"Definition satisfiable := @{theorem}\n    {arguments}.\n")


def _filled(words: list[str], width: int = 90) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line


def _values(statement: Statement) -> dict[str, str]:
    """A number for each parameter and feature at which the spec's conditions hold."""
    domains = {identifier("p", p.name): p.domain for p in statement.parameters()}
    domains |= {identifier("f", f): statement.spec.names.range(f) for f in statement.features()}
    names = [(name, tuple(map(str, domain.spread(_LINE, _RAY, _SEGMENT))))
             for name, domain in domains.items()]
    for attempt in range(24):
        chosen = {
            name: choices[(attempt * (1 + number // 2) + attempt // 3) % len(choices)]
            if attempt else choices[0]
            for number, (name, choices) in enumerate(names)
        }
        if _holds(statement.spec, chosen):
            return {name: re.sub(r"^(-?\d+)/(\d+)$", r"\1 / \2", text)
                    for name, text in chosen.items()}
    raise NotExportable("no numbers were found that meet the spec's conditions together")


def _holds(spec: Spec, values: dict[str, str]) -> bool:
    ops = Intervals()

    def number(name: str) -> Any:
        return ops.number(Fraction(values.get(name, "1/2")))

    half = ops.number(Fraction(1, 2))
    tokens = dict.fromkeys(("y", *map(str, spec.roles)), (0,))
    features: dict[str, Any] = {}
    for name, kind in spec.names.features.items():
        value = number(f"f_{name}")
        each = [value] if kind == "token" else value
        features[name] = value if kind == "pair" else dict.fromkeys(tokens, each)
    point = Point(
        tokens,
        {(p, y): [[half, half]] for p in spec.names.policies for y in tokens},
        {name: number(f"p_{name}") for name in spec.names.parameters},
        features,
    )
    evaluator = Evaluator(ops, point, limit=20_000)

    def above(expr: Expr, kind: str) -> bool:
        value = ops.context.convert(evaluator.value(expr, dict.fromkeys(expr.atoms(Index), 0)))
        if kind == "nonzero":
            return bool(value.a > 0 or value.b < 0)
        return bool(value.a > 0 or (kind == "nonnegative" and value.a >= 0))

    try:
        return all(
            above(with_label(c.expr, role), c.kind)
            for c in spec.conditions for role in (CHOSEN, REJECTED)
        )
    except (Undefined, TooLarge, ZeroDivisionError, KeyError):
        return False
