"""Theorems of the framework as data, their derivations and what instances say about them.

A theorem has parts; a part is one equality or inequality, proved by a chain from its left to its
right side that `check` replays, for sets of any size. An inequality is an equality with a
remainder whose sign can be read off (`symbolic.framework.words.positive`, `nonnegative`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from sympy import Expr, S

from midpo.numeric.framework import Values, draw
from midpo.proofs.certify.library import IN_FRAMEWORK, cited
from midpo.proofs.checking.check import CheckFailed, check
from midpo.symbolic.algebra.equality import equal_in_field
from midpo.symbolic.algebra.normal import settle
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.formula.characters import mathematics
from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known, proved, told
from midpo.symbolic.formula.tree import Formula, row
from midpo.symbolic.formula.write import write
from midpo.symbolic.framework.hypothesis import HYPOTHESIS, Hypothesis
from midpo.symbolic.framework.rules import EVERY_RULE, FRAMEWORK
from midpo.symbolic.framework.words import Gap, Partial, nonnegative, positive
from midpo.symbolic.rewriting.derivation import Derivation, Step
from midpo.symbolic.rewriting.rule import ARITHMETIC, Rule
from midpo.symbolic.rewriting.rules import reason as usual_reason

Relation = Literal["=", "≤", "<"]
_SIGNS = {"=": " = ", "≤": r" \le ", "<": " < "}
INSTANCES = 6
GAP_FACT = "log u ≤ u - 1 for u > 0, with equality only at u = 1"
_CLOSE, _APART = 1e-30, 1e-9  # relative: of 50 digits, and what is no rounding

# The rules of a normal form, in the order in which they are used.
_MEANING = ("relative_entropy", "mean", "gap")
_DERIVATIVES = tuple(n for n, rule in FRAMEWORK.items() if rule.phase == "derivative")
_SUMS = tuple(n for n, rule in FRAMEWORK.items() if rule.phase == "sum")
_LOGS = ("log_exp", "log_number", "log_product", "exp_zero", "exp_power", "exp_log", "exp_split", "power_exp")
_OPENED = ("log_sigmoid", "sigmoid_exp", "logsigmoid_log")
FORMS: tuple[tuple[str, ...], ...] = (
    (*_SUMS, *_LOGS),
    (*_SUMS, *_OPENED, *_LOGS),
    (*_SUMS, *_OPENED, *_LOGS, "log_factor"),
)


@dataclass(frozen=True)
class Fact:
    """left = right, left ≤ right or left < right, under the hypotheses `given`.

    `remainder` is right - left where the relation is no equality. `cites` are classical facts that
    the sentence `words` needs beyond the formula.
    """

    name: str
    words: str
    left: Expr
    relation: Relation
    right: Expr
    given: tuple[Hypothesis, ...] = ()
    remainder: Expr = S.Zero
    cites: tuple[str, ...] = ()

    @property
    def start(self) -> Expr:
        return self.left if self.relation == "=" else self.right - self.left

    @property
    def end(self) -> Expr:
        return self.right if self.relation == "=" else self.remainder

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The rows that a chain for this part may name."""
        rows = {h.name: h.rule for h in self.given}
        assert not rows.keys() & EVERY_RULE.keys() and len(rows) == len(self.given), self.name
        return {**EVERY_RULE, **rows}

    @property
    def cited(self) -> tuple[str, ...]:
        return (*((GAP_FACT,) if self.remainder.has(Gap) else ()), *self.cites)

    def formula(self) -> str:
        return f"{mathematics(self.left)} {self.relation} {mathematics(self.right)}"

    @property
    def laid_out(self) -> Formula:
        return row(write(self.left), _SIGNS[self.relation], write(self.right))

    def reason(self, step: Step) -> str:
        known = step.rule == ARITHMETIC
        words = usual_reason(ARITHMETIC) if known else self.rules[step.rule].reason
        return f"{words} (read from right to left)" if step.reverse else words


@dataclass(frozen=True)
class Evidence:
    """What random instances say: the largest relative error of the equation, and for each
    hypothesis at how many instances that break it (of how many) the equation fails."""

    instances: int
    error: float
    broken: Mapping[str, tuple[int, int]]

    @property
    def agrees(self) -> bool:
        return self.error < _CLOSE and all(failing for failing, _ in self.broken.values())


@dataclass(frozen=True)
class Proof:
    """A part, its chain and what the checker says of it (`failure` is empty where it passed)."""

    part: Fact
    derivation: Derivation
    failure: str
    evidence: Evidence

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self.derivation.steps)

    @property
    def holds(self) -> bool:
        return not self.failure and self.evidence.agrees

    @property
    def standing(self) -> Told:
        if self.failure:
            return known(Standing.NOT_PROVED, "{}", self.failure)
        if not self.evidence.agrees:
            return known(Standing.CONTRADICTED)
        count = len(self.steps)
        if not count:
            return proved("the two sides are one expression")
        return proved(f"{count} step{'s' * (count != 1)}, replayed by the checker")


@dataclass(frozen=True)
class Theorem:
    """A theorem: `statement` is a sentence in which {word} stands for a formula of `formulas`."""

    name: str
    title: str
    statement: str
    parts: tuple[Fact, ...]
    formulas: Mapping[str, Expr | tuple[Expr, Expr]] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()

    def stated(self, spell: Callable[[Expr], str] = mathematics, quote: str = "") -> str:
        """The statement, its formulas written by `spell` between `quote`s."""

        def shown(formula: Expr | tuple[Expr, Expr]) -> str:
            sides = formula if isinstance(formula, tuple) else (formula,)
            return quote + " = ".join(map(spell, sides)) + quote

        return self.statement.format(**{n: shown(f) for n, f in self.formulas.items()})

    @cached_property
    def proofs(self) -> tuple[Proof, ...]:
        return tuple(map(prove, self.parts))

    @property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        return tuple({h.name: h for part in self.parts for h in part.given}.values())

    @property
    def cites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for part in self.parts for c in part.cited))

    @property
    def in_coq(self) -> tuple[str, ...]:
        """The theorems of the library of certificates that say this, or a part of it."""
        return cited(IN_FRAMEWORK.get(self.name, ()))

    @property
    def holds(self) -> bool:
        return all(proof.holds for proof in self.proofs)

    @property
    def error(self) -> float:
        return max(proof.evidence.error for proof in self.proofs)

    @property
    def standing(self) -> Told:
        if not self.holds:
            failing = next(proof for proof in self.proofs if not proof.holds)
            return told("{}: {}", failing.part.name, failing.standing)
        cited = "; with cited facts" if self.cites else ""
        return told("{}, replayed by the checker{}", Standing.PROVED, cited)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "statement": self.stated(),
            "holds": self.holds,
            "standing": self.standing,
            "assumptions": list(self.assumptions),
            "hypotheses": {h.name: {"words": h.words, "formula": h.rule.statement} for h in self.hypotheses},
            "cited": list(self.cites),
            "coq": list(self.in_coq),
            "parts": [_described(proof) for proof in self.proofs],
        }


def _described(proof: Proof) -> dict[str, Any]:
    part, evidence = proof.part, proof.evidence
    return {
        "name": part.name,
        "words": part.words,
        "formula": part.formula(),
        "latex": tex(part.laid_out),
        "remainder": None if part.relation == "=" else mathematics(part.remainder),
        "hypotheses": [h.name for h in part.given],
        "cited": list(part.cited),
        "holds": proof.holds,
        "standing": proof.standing,
        "steps": [
            {"rule": s.rule, "reason": part.reason(s), "after": mathematics(s.after)} for s in proof.steps
        ],
        "evidence": {
            "instances": evidence.instances,
            "largest_relative_error": evidence.error,
            "fails_without": {n: list(counts) for n, counts in evidence.broken.items()},
        },
    }


# --- Proving -------------------------------------------------------------------------------------


def prove(part: Fact) -> Proof:
    """Find a chain for `part`, have it replayed, and hold both sides against random instances."""
    chain = derive(part)
    failure = ""
    try:
        confirm(part, chain)
    except CheckFailed as error:
        failure = str(error)
    return Proof(part, chain, failure, evidence(part))


def derive(part: Fact) -> Derivation:
    """A chain from the part's start towards its end: both normal forms, joined where they meet."""
    chain = Derivation(part.start)
    for form in FORMS:
        chain, other = Derivation(part.start), Derivation(part.end)
        try:
            for side in (chain, other):
                _normalise(side, part, form)
            met = equal_in_field(chain.end, other.end)
        except (MidpoError, RecursionError):
            continue
        if met:
            chain.arithmetic(other.end)
            return chain.joined(other).without_detours()
    return chain


def _normalise(chain: Derivation, part: Fact, form: Sequence[str]) -> None:
    rules = part.rules
    settle(chain, [rules[n] for n in _MEANING])
    settle(chain, [rules[n] for n in (*_DERIVATIVES, *_SUMS) if n != "sum_exchange"])
    settle(chain, [*(h.rule for h in part.given), *(rules[n] for n in form)])


def confirm(part: Fact, chain: Derivation, rules: Mapping[str, Rule] | None = None) -> int:
    """Replay `chain` as a proof of `part`; the number of its steps. Trusted, as `check` is.

    A hypothesis holds at the point in question and need not hold around it, so none may be used
    where a derivative is still to be taken. Raises: CheckFailed.
    """
    table = part.rules if rules is None else rules
    for number, step in enumerate(chain.steps, 1):
        row = table.get(step.rule)
        if row is not None and row.phase == HYPOTHESIS and (step.before + step.after).has(Partial):
            raise CheckFailed(f"step {number} uses a hypothesis under a derivative")
    count = check(chain, part.start, part.end, rules=table)
    sign = {"=": lambda e: True, "≤": nonnegative, "<": positive}[part.relation]
    if not sign(part.end):
        raise CheckFailed("the sign of the remainder cannot be read off")
    return count


# --- Evidence ------------------------------------------------------------------------------------


def evidence(part: Fact, instances: int = INSTANCES) -> Evidence:
    """Evaluate both sides on random instances, and on instances that break one hypothesis."""
    worst = max(_error(part, seed) for seed in range(instances))
    broken = {}
    for hypothesis in part.given:
        apart = [_error(part, seed, hypothesis.name) > _APART for seed in range(2)]
        broken[hypothesis.name] = (sum(apart), len(apart))
    return Evidence(instances, worst, broken)


def _error(part: Fact, seed: int, without: str = "") -> float:
    instance = draw((part.start, part.end), part.given, seed, without=without)
    values = Values(instance)
    left, right = (values.value(side, dict(instance.scope)) for side in (part.start, part.end))
    return float(abs(left - right) / max(1, abs(left), abs(right)))
