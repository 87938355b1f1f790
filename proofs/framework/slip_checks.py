"""How a slip of the paper is checked: a derivation, a spec, a computation, a theorem, or reading.

Each check answers with a `Finding`; nothing in it is typed in that a computation should give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Any, Literal, Protocol

from midpo.numeric.arithmetic import Digits
from midpo.proofs.recover.levels import Preference, violating_cycle
from midpo.proofs.recover.recovery import verify
from midpo.symbolic.errors import SpecError
from midpo.symbolic.formula.latex import tex
from midpo.symbolic.formula.standing import Standing
from midpo.symbolic.formula.told import Told, known
from midpo.symbolic.formula.tree import Formula
from midpo.symbolic.language.spec import PAPER, Spec, load, loads
from midpo.symbolic.representable import prior_facts

from .theorem import Fact, Proof, prove
from .theorems import theorem

How = Literal["derivation", "counterexample", "computation", "theorem", "reading"]


@dataclass(frozen=True)
class Finding:
    """What one check found: `words` say what, `standing` on what it rests; `formula` and
    `laid_out` are the equality that was shown, where there is one."""

    how: How
    words: str
    standing: Told
    holds: bool
    formula: str = ""
    laid_out: Formula | None = None

    def as_json(self) -> dict[str, Any]:
        shown = "" if self.laid_out is None else tex(self.laid_out)
        return {
            "how": self.how,
            "words": self.words,
            "standing": self.standing,
            "holds": self.holds,
            "formula": self.formula,
            "latex": shown,
        }


class Check(Protocol):
    def __call__(self) -> Finding: ...


def _of_part(how: How, words: str, proof: Proof) -> Finding:
    part = proof.part
    return Finding(how, words, proof.standing, proof.holds, part.formula(), part.laid_out)


@dataclass(frozen=True)
class Derived:
    """A part of its own, proved and held against instances."""

    part: Fact

    def __call__(self) -> Finding:
        return _of_part("derivation", self.part.words, prove(self.part))


@dataclass(frozen=True)
class InTheorem:
    """A part of one of the theorems."""

    theorem: str
    part: str

    def __call__(self) -> Finding:
        whole = theorem(self.theorem)
        proof = next(p for p in whole.proofs if p.part.name == self.part)
        return _of_part("theorem", f"{self.theorem}, {self.part}", proof)


@dataclass(frozen=True)
class Refuted:
    """What the paper prints, as a spec that `verify` refutes with a witness."""

    words: str
    spec: Callable[[], Spec]

    def __call__(self) -> Finding:
        found = verify(self.spec())
        witness = found.witness
        if found.verdict != "refuted" or witness is None:
            return Finding("counterexample", self.words, found.standing, False)
        values = f"losses {witness.target_loss:.6g} and {witness.recovered_loss:.6g}"
        return Finding(
            "counterexample", f"{self.words}: at a witness the two give the {values}", found.standing, True
        )


@dataclass(frozen=True)
class Recovered:
    """What is right, as a spec that `verify` proves."""

    words: str
    spec: Callable[[], Spec]

    def __call__(self) -> Finding:
        found = verify(self.spec())
        return Finding("derivation", self.words, found.standing, found.verdict == "proved")


_CALCULATED = known(Standing.CALCULATED)


@dataclass(frozen=True)
class Computed:
    """A number or a case that the program computes; the function answers (text, holds)."""

    words: str
    compute: Callable[[], tuple[str, bool]]
    standing: Told = _CALCULATED

    def __call__(self) -> Finding:
        text, holds = self.compute()
        return Finding("computation", f"{self.words}: {text}", self.standing, holds)


@dataclass(frozen=True)
class ByReading:
    """What no program can check; the words say what was compared."""

    words: str

    def __call__(self) -> Finding:
        return Finding("reading", self.words, known(Standing.READING), True)


@dataclass(frozen=True)
class Slip:
    """One slip: `severity` E for an error, G for a gap (a hidden assumption), N for notation."""

    name: str
    where: str
    severity: str
    printed: str
    right: str
    checks: tuple[Check, ...] = field(default=())

    def findings(self) -> tuple[Finding, ...]:
        return tuple(check() for check in self.checks)

    def as_json(self, found: tuple[Finding, ...]) -> dict[str, Any]:
        return {
            "name": self.name,
            "where": self.where,
            "severity": self.severity,
            "printed": self.printed,
            "right": self.right,
            "holds": all(f.holds for f in found),
            "checks": [f.as_json() for f in found],
        }


# --- Specs ---------------------------------------------------------------------------------------


def written(text: str) -> Callable[[], Spec]:
    return partial(loads, text)


def catalogued(name: str) -> Callable[[], Spec]:
    return partial(load, name)


def without_log_sigmoid() -> Spec:
    """SparsePO as the paper prints it: the loss is minus the margin."""
    spec = load("sparsepo")
    assert spec.margin is not None
    return replace(spec, name="sparsepo-printed", loss=-spec.margin, margin=None)


# --- Computations --------------------------------------------------------------------------------

_OPS = Digits()


def _loss(margin: Fraction) -> float:
    return float(-_OPS.log(1 / (1 + _OPS.exp(-_OPS.number(margin)))))


def temperatures() -> tuple[str, bool]:
    """The DPO loss of a log-ratio gap of 1.7 at two temperatures."""
    gap = Fraction(17, 10)
    one, tenth = _loss(gap), _loss(gap / 10)
    return f"{one:.3f} at alpha = 1, {tenth:.3f} at alpha = 0.1", abs(one - tenth) > 0.1


def lost_support() -> tuple[str, bool]:
    """Two prompts, three responses, weights exp(beta*r) with the prior (1/2, 1/2, 0): the
    Karush-Kuhn-Tucker sums of the best prior, exactly."""
    weights = ((Fraction(3), Fraction(1), Fraction(3, 2)), (Fraction(1), Fraction(3), Fraction(3, 2)))
    prior = (Fraction(1, 2), Fraction(1, 2), Fraction(0))
    masses = [sum(p * w for p, w in zip(prior, row, strict=True)) for row in weights]
    sums = [sum(row[y] / mass / 2 for row, mass in zip(weights, masses, strict=True)) for y in range(3)]
    optimal = all(s == 1 if p > 0 else s <= 1 for s, p in zip(sums, prior, strict=True))
    return f"sums ({', '.join(map(str, sums))}) for the prior ({', '.join(map(str, prior))})", (
        optimal and min(prior) == 0
    )


def growing_mass() -> tuple[str, bool]:
    """The mass of pi_ref*exp(b*n), exp(b) = 2, for lengths n that stop with probability 1/4."""
    stop, factor = Fraction(1, 4), 2
    masses = [
        sum(stop * (1 - stop) ** (n - 1) * factor**n for n in range(1, upto + 1)) for upto in (10, 20, 40)
    ]
    ratio = (1 - stop) * factor
    shown = ", ".join(f"{float(mass):.3g}" for mass in masses)
    text = f"{shown} up to lengths 10, 20, 40 (each term is {ratio} times the one before)"
    return text, ratio > 1


def chain_and_triangle() -> tuple[str, bool]:
    """Whether a constant offset fits a chain of comparisons, and a triangle."""

    def pairs(text: str) -> list[Preference]:
        return [Preference("x", *pair) for pair in text.split()]

    chain = violating_cycle(pairs("ab bc"), constant=True)
    triangle = violating_cycle(pairs("ab bc ac"), constant=True)
    contradiction = violating_cycle(pairs("ab ba"), constant=True)
    shown = {True: "fits", False: "does not fit"}
    text = (
        f"a > b, b > c {shown[not chain]}; with a > c it {shown[not triangle]}; "
        f"a > b with b > a {shown[not contradiction]}"
    )
    return text, not chain and bool(triangle) and bool(contradiction)


def numbers_have_no_divergence() -> tuple[str, bool]:
    """Whether the spec language reads a divergence of two probabilities of one token."""
    try:
        loads('name = "x"\nprior = "exp(sum(kl(pi(y, t), pi_ref(y, t), y, t) for t in y))"')
    except SpecError as error:
        return f"refused ({error.problem})", True
    return "read", False


def self_referential() -> tuple[str, bool]:
    """How many of the paper's eight priors depend on the policy that is trained."""
    names = [n for n in PAPER if prior_facts(load(n)).policy == "self-referential"]
    return f"{len(names)} of {len(PAPER)}: {', '.join(names)}", len(names) > 1


def unbounded() -> tuple[str, bool]:
    """Minus a margin against the log-sigmoid loss of it, for growing margins."""
    rows = [(m, -m, _loss(Fraction(m))) for m in (1, 10, 100)]
    shown = "; ".join(f"{printed} and {right:.2g}" for _, printed, right in rows)
    return shown, all(printed < 0 < right for _, printed, right in rows)


def second_differences() -> tuple[str, bool]:
    """The second difference at 0, 1, 2 of psi = -log(exp(link) - 1) for links that are no affine
    log-sigmoid: twice the log-sigmoid loss, and the exponential."""
    log, exp, number = _OPS.log, _OPS.exp, _OPS.number

    def bend(link: Callable[[Any], Any]) -> float:
        psi = [-log(exp(link(number(Fraction(m)))) - 1) for m in range(3)]
        return float(psi[0] - 2 * psi[1] + psi[2])

    found = {
        "log-sigmoid": bend(lambda m: log(1 + exp(-m))),
        "twice log-sigmoid": bend(lambda m: 2 * log(1 + exp(-m))),
        "exponential": bend(lambda m: exp(-m)),
    }
    text = ", ".join(f"{name} {abs(value):.3g}" for name, value in found.items())
    plain, *others = map(abs, found.values())
    return text, plain < 1e-40 and min(others) > 1e-3
