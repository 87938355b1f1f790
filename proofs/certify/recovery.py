"""A recovery as a theorem of Coq: prior and target agree for every response, policy and normaliser.

The proof is one word, the tactic `midpo` of rocq/Midpo.v; what matters is the statement.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.numeric.arithmetic import Intervals, Undefined
from midpo.numeric.evaluate import Evaluator, Point
from midpo.symbolic.errors import TooLarge
from midpo.symbolic.language.building import with_label
from midpo.symbolic.language.nodes import CHOSEN, REJECTED, Entropy, Index, VocabProb, VocabSum
from midpo.symbolic.language.spec import Spec

from .printer import NotExportable, identifier
from .statement import Statement

# What the tactic may take on one goal; the kernel's own check is bounded with the whole file.
GOAL_SECONDS = 20
MOST_TOKENS = 12  # of a response in an instance of the hypotheses
HEADER = """From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo.
Open Scope R_scope.
"""
_HINT = (
    "#[local] Hint Unfold policy prior recovered published : midpo.\n"
    "  #[local] Hint Unfold loss_of : midpo_loss."
)
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
    if statement.premises():
        return _of_each_pair(statement, tactic, variables, hypotheses, types)
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
    return _section(statement, types, [*variables, *hypotheses], proved, theorems), theorems


def _of_each_pair(
    statement: Statement, tactic: str, variables: list[str], hypotheses: list[str], types: str
) -> tuple[str, tuple[str, ...]]:
    """The same of each pair whose lengths meet the side conditions; of an expectation over all
    pairs nothing is said."""
    premise = "".join(f"{says} ->\n    " for says in statement.premises())
    published, recovered = statement.objective()
    by_loss = f"intros. timeout {GOAL_SECONDS} midpo_losses {tactic}."
    proved = []
    if not statement.by_loss:
        by_loss = "intros. now rewrite margins_agree by assumption."
        proved.append(
            f"Theorem margins_agree x w l :\n    {premise}recovered x w l = "
            f"published x w l.\n  Proof using All. intros. timeout {GOAL_SECONDS} "
            f"{tactic}. Qed."
        )
    proved.append(
        f"Theorem pair_losses_agree x w l :\n    {premise}{published} = {recovered}.\n"
        f"  Proof using All. {by_loss} Qed."
    )
    names = ("margins_agree", "pair_losses_agree")[statement.by_loss :]
    return _section(statement, types, [*variables, *hypotheses], proved, names), names


def _section(
    statement: Statement, types: str, given: list[str], proved: list[str], names: tuple[str, ...]
) -> str:
    inside = [
        *given,
        "",
        *statement.definitions(),
        _HINT,
        "",
        *itertools.chain.from_iterable((p, "") for p in proved),
    ]
    body = "\n".join(f"  {line}" if line else "" for line in inside)
    return (
        f"{HEADER}\nSection Recovery.\n  Context {{{types} : Type}}.\n{body}"
        f"End Recovery.\n\n{satisfiable(statement, names[0])}"
    )


# --- The hypotheses hold together somewhere ------------------------------------------------------


def satisfiable(statement: Statement, theorem: str) -> str:
    """An instance of `theorem`: no hypothesis contradicts another.

    The instance has one prompt, one response of one token, and two tokens of probability 1/2. Where
    the side conditions speak of lengths it has two responses, of lengths that meet them.
    Raises: NotExportable where nothing was found that meets the spec's conditions.
    """
    premises = statement.premises()
    values, (chosen, rejected) = _values(statement)
    length = f"if y then {chosen}%nat else {rejected}%nat" if premises else "1%nat"
    some, kinds = ("true", "unit bool") if premises else ("tt", "unit unit")
    given: list[str] = []
    for name, kind in statement.data():
        if name in values:
            number = values[name]
            head = "fun _ " + ("_ " * (kind.count("->") - 1)) + "=> " if "->" in kind else ""
            given.append(f"({head}{number})")
        elif name == "n":
            given.append(f"(fun {'y' if premises else '_'} => {length})")
        elif name == "tok":
            given.append("(fun _ _ => true)")
        elif name == "vocab":
            given.append("(cons true (cons false nil))")
        elif kind == "X -> Y":
            given.append(f"(fun _ => {some})")
        else:
            arrows = "_ " * kind.count("->")
            given.append(f"(fun {arrows}=> {'1' if name == 'Z' else '1 / 2'})")
    proofs = ["ltac:(midpo_instance)"] * sum(1 for _ in statement.hypotheses())
    types = f"{kinds} bool" if statement.token_level else kinds
    pair = [f"tt {'true false' if premises else 'tt tt'}", *["ltac:(midpo_instance)"] * len(premises)]
    arguments = "\n    ".join(_filled([types, *given, *proofs, *pair]))
    return (
        "(* The hypotheses hold together somewhere. *)\n"
        f"Definition satisfiable := @{theorem}\n    {arguments}.\n"
    )


def _filled(words: list[str], width: int = 90) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line


def _values(statement: Statement) -> tuple[dict[str, str], tuple[int, int]]:
    """A number for each parameter and feature, and two lengths, at which the spec's conditions
    hold: the shortest that do."""
    domains = {identifier("p", p.name): p.domain for p in statement.parameters()}
    domains |= {identifier("f", f): statement.spec.names.range(f) for f in statement.features()}
    names = [
        (name, tuple(map(str, domain.spread(_LINE, _RAY, _SEGMENT)))) for name, domain in domains.items()
    ]
    attempts = [
        {
            name: choices[(attempt * (1 + number // 2) + attempt // 3) % len(choices)]
            if attempt
            else choices[0]
            for number, (name, choices) in enumerate(names)
        }
        for attempt in range(24 if names else 1)
    ]
    for lengths in _lengths() if statement.premises() else [(1, 1)]:
        for chosen in attempts:
            if _holds(statement.spec, chosen, lengths):
                return {name: text.replace("/", " / ") for name, text in chosen.items()}, lengths
    raise NotExportable("no numbers were found that meet the spec's conditions together")


def _lengths() -> Iterator[tuple[int, int]]:
    """Pairs of lengths, the shortest first."""
    for total in range(2, 2 * MOST_TOKENS + 1):
        for chosen in range(max(1, total - MOST_TOKENS), min(total, MOST_TOKENS + 1)):
            yield chosen, total - chosen


def _holds(spec: Spec, values: dict[str, str], lengths: tuple[int, int]) -> bool:
    ops = Intervals()

    def number(name: str) -> Any:
        return ops.number(Fraction(values.get(name, "1/2")))

    half = ops.number(Fraction(1, 2))
    tokens: dict[str, tuple[int, ...]] = dict.fromkeys(("y", *map(str, spec.roles)), (0,))
    tokens |= {str(role): (0,) * n for role, n in zip((CHOSEN, REJECTED), lengths, strict=True)}
    features: dict[str, Any] = {}
    for name, kind in spec.names.features.items():
        value = number(f"f_{name}")
        features[name] = (
            value
            if kind == "pair"
            else {y: [value] * len(ids) if kind == "token" else value for y, ids in tokens.items()}
        )
    point = Point(
        tokens,
        {(p, y): [[half, half]] * len(ids) for p in spec.names.policies for y, ids in tokens.items()},
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
            above(with_label(c.expr, role), c.kind) for c in spec.conditions for role in (CHOSEN, REJECTED)
        )
    except (Undefined, TooLarge, ZeroDivisionError, KeyError):
        return False
