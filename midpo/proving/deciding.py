"""One layout of a lifted function: its formula against the code, then value and gradient against
the spec."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.codegen.lifting.autograd import seeds
from midpo.codegen.lifting.lift import Lifted
from midpo.numeric.arithmetic import Undefined
from midpo.numeric.checking.binding import Binding, leaves
from midpo.numeric.checking.found import Code
from midpo.numeric.code import cases as trying
from midpo.numeric.code.cases import CodeCase
from midpo.numeric.code.contracts import Use
from midpo.numeric.code.heads import HIDDEN, PARTS
from midpo.numeric.code.holding import Tested, declared, hold
from midpo.numeric.code.layout import Layout, sources
from midpo.numeric.code.tensors import Answer, call
from midpo.numeric.code.witness import (
    Difference,
    close,
    difference,
    disagreement,
    fast,
    finite_difference,
    ratio,
)
from midpo.numeric.code.written import program
from midpo.proofs.code.answer import Part, UpTo
from midpo.proofs.code.claim import CodeClaim, Reduction, by_direction, by_renaming, claim
from midpo.proofs.code.nearly import up_to
from midpo.proofs.code.readable import readable
from midpo.proofs.code.ways import Met, Ways
from midpo.symbolic.errors import NotYet
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.work import question

STEPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}  # between numbers at 1
# A case at which a declaration stands for code that does not run here refutes the two together.
UNTESTED = "given what is declared and not tested, it is not the spec's loss"
QUICK, MANY = 9, 44  # cases before a proof is tried, and before it is given up
TESTS = (0, 2, 3, 4, 5, 9)  # of a formula against the code; the fifth is one position a row


@dataclass
class Found:
    """What is known so far, over all layouts."""

    value: Part = "proved"
    gradient: Part = "proved"
    reason: str = ""
    formula: str = ""
    difference: Difference | None = None
    layout: Layout | None = None
    up_to: UpTo | None = None
    notes: dict[str, None] = field(default_factory=dict)
    steps: int = 0
    operations: int = 0
    coarsest: float = 0.0  # the step between numbers at 1 in the coarsest dtype that code casts to
    one: dict[str, Expr] = field(default_factory=dict)  # what is proved of one pair
    met: Met = field(default_factory=Met)
    held: Tested = field(default_factory=Tested)  # contracts, at random inputs
    given: set[str] = field(default_factory=set)  # the operators that have one and are called

    def undecided(self, part: str, reason: str) -> None:
        if getattr(self, part) == "proved":
            setattr(self, part, "undecided")
            self.reason = self.reason or reason


def decide(found: Found, spec: Spec, binding: Binding, layout: Layout, lifted: Lifted) -> None:
    """One layout: the formula against the code, then value and gradient against the spec."""
    _note(found, lifted)
    found.formula = found.formula or "; ".join(text(readable(loss)) for loss in lifted.losses)
    asked = found.gradient != "not asked"
    steps = (STEPS.get(cast.split()[-1], 0.0) for cast in lifted.casts)
    found.coarsest = max((found.coarsest, *steps))

    def run(case: CodeCase) -> Answer:
        answer = called(
            binding,
            layout,
            case,
            asked and lifted.slope is not None,
            lifted.uses if found.held.stopped else (),
        )
        return replace(answer, step=max(answer.step, found.coarsest))

    fixed = binding.fixed
    tests = [trying.case(layout, fixed, seed) for seed in TESTS]
    wrong = kept(found.held, binding, layout, lifted, tests) or disagreement(
        lifted.losses, lifted.slope, tests, run
    )
    if wrong:
        found.undecided("value", wrong)
        found.undecided("gradient", wrong)
        return
    stated = _claim(layout, lifted, fixed, run)
    if stated is None:
        found.undecided("value", f"the loss has shape {lifted.shape} for {layout.pairs} pairs")
        found.undecided("gradient", found.reason)
        return
    if stated.reduction != "each" and layout.pairs > 1:
        found.notes[f"the {stated.reduction} over the pairs"] = None
    _value(found, spec, stated, fixed, run)
    if asked:
        _gradient(found, spec, binding, stated, lifted, fixed, run)


def kept(held: Tested, binding: Binding, layout: Layout, lifted: Lifted, tests: Sequence[CodeCase]) -> str:
    """What is wrong with the contracts that the code's formula rests on, if anything."""
    import torch

    held.stopped = held.stopped or max((u.contract.elsewhere for u in lifted.uses), default="")
    with _quiet():
        for case in tests if lifted.uses else ():
            if not (held.wrong or held.stopped):
                hold(torch, lifted.uses, binding, layout, case, held)
    return held.wrong


def called(binding: Binding, layout: Layout, case: CodeCase, slope: bool, uses: Sequence[Use] = ()) -> Answer:
    """The code's own answer at a case, with what is declared in place of operators that do not run;
    what it prints goes to standard error."""
    import torch

    with _quiet():
        if not uses:
            return call(torch, binding, layout, case, slope=slope)
        with declared(torch, uses, binding.function, case):
            return call(torch, binding, layout, case, slope=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What code prints goes to standard error; what it warns of is not asked for."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _claim(layout: Layout, lifted: Lifted, fixed: Mapping[str, Fraction], run: Any) -> CodeClaim | None:
    """What a loss of this shape must be: one a pair, or a mean or sum of all."""
    count = len(lifted.losses)
    if count == layout.pairs:
        return claim(layout, lifted.losses, "each", fixed)
    if count != 1:
        return None
    tests = [trying.case(layout, fixed, seed) for seed in range(QUICK)]
    options: tuple[Reduction, ...] = ("mean", "sum")
    for way in options:
        stated = claim(layout, lifted.losses, way, fixed)
        if difference(stated.losses, stated.targets, tests, run) is None:
            return stated
    return claim(layout, lifted.losses, "mean", fixed)


def _value(found: Found, spec: Spec, stated: CodeClaim, fixed: Mapping[str, Fraction], run: Any) -> None:
    layout = stated.layout
    apart = difference(stated.losses, stated.targets, trying.cases(layout, fixed, QUICK), run)
    if apart is None:
        if _proof(found, spec, stated, "value", stated.losses, stated.targets):
            return
        apart = difference(stated.losses, stated.targets, trying.cases(layout, fixed, MANY), run)
    same = [
        replace_parameters(trying.case(layout, fixed, seed), trying.case(layout, fixed, 0))
        for seed in range(QUICK)
    ]
    with question():
        found.up_to = up_to(layout.whole, stated, ratio(stated.losses, stated.targets, same))
    if apart is not None and found.held.stopped:
        found.undecided("value", f"{UNTESTED}: {apart}")
        return
    if apart is not None:
        found.value, found.difference, found.layout = "refuted", apart, layout
        return
    found.undecided(
        "value",
        f"equal but for guards: it is {found.up_to}"
        if found.up_to
        else "no derivation shows the losses equal, and no case tells them apart",
    )


def replace_parameters(case: CodeCase, other: CodeCase) -> CodeCase:
    return replace(case, parameters=other.parameters, points={})


def _proof(
    found: Found, spec: Spec, stated: CodeClaim, part: str, ones: Sequence[Expr], others: Sequence[Expr]
) -> bool:
    """Whether each of `ones` is shown to be the one of `others`: by renaming, where it is made of
    what was proved of one pair; else by a derivation."""
    layout = stated.layout
    if (
        layout.pairs > 1
        and part in found.one
        and len(ones) == 1
        and by_renaming(layout, found.one[part], ones[0], stated.reduction)
    ):
        return True

    ways = Ways(layout, lambda cut: nonzero(layout, cut), found.met)
    for one, other in zip(ones, others, strict=True):
        with question():  # each pair of expressions is one
            shown = ways(one, other)
        if shown is None:
            return False
        found.steps += shown.steps
        found.notes |= dict.fromkeys(shown.left_out)
    if layout.pairs == 1 and len(ones) == 1:
        found.one[part] = ones[0]
    return True


def nonzero(layout: Layout, cut: Expr) -> bool:
    """Whether `cut` is not 0 at a case."""
    try:
        return abs(fast(cut, trying.case(layout, {}, 3))) > 1e-9
    except Undefined:
        return False


def _gradient(
    found: Found,
    spec: Spec,
    binding: Binding,
    stated: CodeClaim,
    lifted: Lifted,
    fixed: Mapping[str, Fraction],
    run: Any,
) -> None:
    layout = stated.layout
    if lifted.slope is None:
        found.undecided("gradient", f"the gradient is not lifted: {lifted.why}")
        return
    leaf = binding.kinds.get("pi", "")
    ways = {
        HIDDEN if s.kind in PARTS else s.kind
        for s in leaves(sources(binding))
        if s.kind in (*PARTS, "whole", "logps", "logits") and s.name == "pi"
    }
    if len(ways) > 1:  # which of them moves the policy, and how they hang together, is not said
        found.undecided("gradient", f"the policy is given in {len(ways)} ways: {', '.join(ways)}")
        return
    try:
        wanted = stated.slope(leaf, seeds(len(stated.losses)))
    except NotYet as error:
        found.undecided("gradient", str(error))
        return

    def confirmed(case: CodeCase, value: float) -> bool:
        other = finite_difference(stated.targets, case, leaf)
        return other is not None and close(other, value)

    sides = (lifted.slope,), (wanted,)
    apart = difference(*sides, trying.cases(layout, fixed, QUICK), run, slope=True, confirmed=confirmed)
    if apart is None and found.value == "proved":
        pairs = by_direction(*sides[0], *sides[1]) if layout.bounded else [(*sides[0], *sides[1])]
        if _proof(found, spec, stated, "gradient", *zip(*pairs, strict=True)):
            return
        apart = difference(*sides, trying.cases(layout, fixed, MANY), run, slope=True, confirmed=confirmed)
    if apart is not None and found.held.stopped:
        found.undecided("gradient", f"{UNTESTED}: {apart}")
        return
    if apart is not None:
        found.gradient = "refuted"
        if found.difference is None:
            found.difference, found.layout = apart, layout
        return
    found.undecided("gradient", "no derivation shows the gradients equal, and no case tells them apart")


def _note(found: Found, lifted: Lifted) -> None:
    if lifted.constants:
        read = ", ".join(f"{k} as {v}" for k, v in sorted(lifted.constants.items()))
        found.notes[f"constants are read: {read}"] = None
    for hypothesis in lifted.hypotheses:
        found.notes[hypothesis] = None
    if lifted.casts:
        found.notes[f"casts: {', '.join(sorted(lifted.casts))}"] = None
    if lifted.paths > 1:
        found.notes[f"{lifted.paths} paths through the code, all of them run"] = None
    found.given |= {use.contract.target for use in lifted.uses}
    found.operations += sum(lifted.operations.values())


def witness_file(spec: Spec, code: Code, binding: Binding, found: Found) -> str:
    """The case of a refutation as a program; empty where there is none, or no file has the code."""
    if found.difference is None or found.layout is None:
        return ""
    import torch

    return program(torch, spec.name, code.name, binding, found.layout, found.difference)
