"""A function proved to compute a spec's loss: bound, lifted, tested, decided."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from sympy import Expr

from midpo.codegen.lifting.autograd import seeds
from midpo.codegen.lifting.lift import Lifted, NotLifted, lift
from midpo.numeric.arithmetic import Undefined
from midpo.numeric.checking.binding import Binding, bind, leaves
from midpo.numeric.checking.found import Code
from midpo.numeric.code import cases as trying
from midpo.numeric.code.cases import CodeCase
from midpo.numeric.code.contracts import Use, contract
from midpo.numeric.code.holding import Tested, declared, hold
from midpo.numeric.code.layout import Layout
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
from midpo.proofs.code.answer import TERMS, CodeProof, Part, UpTo, verdict_of
from midpo.proofs.code.claim import CodeClaim, Reduction, by_direction, by_renaming, claim
from midpo.proofs.code.deciding import derivation, ties
from midpo.proofs.code.nearly import up_to
from midpo.symbolic.errors import MidpoError, NotYet
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.language.text import text
from midpo.symbolic.loss import kernel_loss
from midpo.symbolic.work import question

# Where positions matter: lengths of the rows, and how long they are padded.
SHAPES = (((1, 2), 3), ((2, 1), 2), ((2, 1, 1, 2), 2))
SMALL = (((1, 2), 2), ((1, 1, 1, 1), 1))  # where the vocabulary is concrete too
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
    one: dict[str, Expr] = field(default_factory=dict)  # what is proved of one pair
    held: Tested = field(default_factory=Tested)  # contracts, at random inputs
    given: set[str] = field(default_factory=set)  # the operators that have one and are called

    def undecided(self, part: str, reason: str) -> None:
        if getattr(self, part) == "proved":
            setattr(self, part, "undecided")
            self.reason = self.reason or reason


def prove(
    spec: Spec,
    code: Code,
    *,
    unshifted: bool = False,
    pairs: Sequence[int] = (1, 2),
    shapes: Sequence[tuple[tuple[int, ...], int]] = (),
    value_only: bool = False,
) -> CodeProof:
    """Whether the function computes the spec's loss, for every size; at `shapes` (lengths of the
    rows, and the padded length) where positions matter.

    Raises: MidpoError where an argument has no source, SpecError where the spec has no loss.
    """
    start = time.perf_counter()
    if not pairs or min(pairs) < 1:
        raise MidpoError("no pairs\n  expected: sizes of batches, as (1, 2)")
    binding = bound(spec, code)
    layouts = [Layout(spec, n, unshifted) for n in pairs]
    every = decided(binding, layouts, value_only) if not shapes else NotLifted("")
    held, why_not = every, every.why if isinstance(every, NotLifted) else ""
    if isinstance(held, NotLifted) and not every_size(spec):
        for vocabulary, usual in ((0, SHAPES), (2, SMALL)):
            bounded = [
                at_shape(spec, unshifted, lengths, total, vocabulary)
                for lengths, total in shapes or usual
                if shapes or len(lengths) // len(spec.roles) in pairs
            ]
            if not bounded:
                break
            held = decided(binding, bounded, value_only)
            if isinstance(held, Found):
                layouts = bounded
                if why_not:
                    held.notes[f"not for every size: {why_not}"] = None
                break
            if binding.kinds.get("pi") != "logits":
                break
    if isinstance(held, NotLifted) and why_not and not shapes:  # the value alone, perhaps
        held = decided(binding, layouts, value_only, with_slope=False)
    found = (
        held if isinstance(held, Found) else Found("undecided", "not asked" if value_only else "undecided")
    )
    why = "" if isinstance(held, Found) else why_not or held.why
    # Of code that was not lifted nothing is claimed that could rest on these.
    notes = (*_given(found, binding), *found.notes, *binding.notes, *(() if why else TERMS))
    answer = CodeProof(
        spec.name,
        code.name,
        verdict_of(found.value, found.gradient),
        found.value,
        found.gradient,
        scope(layouts, binding),
        found.formula,
        notes,
        found.up_to,
        _witness(found),
        found.reason,
        found.steps,
        time.perf_counter() - start,
        found.operations,
        _program(spec, code, binding, found),
    )
    return replace(answer, verdict="not lifted", reason=why) if why else answer


def bound(spec: Spec, code: Code) -> Binding:
    """The function's arguments, with what its operators are declared to compute.

    Raises: MidpoError where an argument has no source, SpecError where the spec has no loss.
    """
    loss = kernel_loss(spec)
    needed = tuple(sorted(str(s) for s in loss.free_symbols if str(s) in spec.names.policies))
    return replace(
        bind(spec, code.function, code.arguments, needed),
        contracts=tuple(contract(spec, text) for text in code.contracts),
    )


def decided(
    binding: Binding, layouts: Sequence[Layout], value_only: bool, with_slope: bool = True
) -> Found | NotLifted:
    """What is found over all of these layouts, up to the first that is not proved; `with_slope`
    only where the gradient is lifted too."""
    found = Found(gradient="not asked" if value_only else "proved")
    for layout in layouts:
        lifted = lift(binding, layout, slope=not value_only)
        if isinstance(lifted, NotLifted):
            return lifted
        if with_slope and not value_only and lifted.slope is None:
            return NotLifted(lifted.why)
        with question():
            decide(found, layout.spec, binding, layout, lifted)
        if {"refuted", "undecided"} & {found.value, found.gradient}:
            break
    return found


def every_size(spec: Spec) -> bool:
    """Whether nothing is asked at concrete sizes: specs with responses beside the pair."""
    return bool(spec.names.responses)


def at_shape(spec: Spec, unshifted: bool, lengths: tuple[int, ...], total: int, vocabulary: int) -> Layout:
    """One batch of concrete sizes. Raises: MidpoError where rows are no pairs, or too long."""
    pairs, rest = divmod(len(lengths), len(spec.roles))
    if rest or not pairs or max(lengths) > total or min(lengths) < 1:
        raise MidpoError(
            f"{lengths} tokens in rows of {total}\n  expected: a length for each row, "
            "chosen ones first, none longer than the row"
        )
    return Layout(spec, pairs, unshifted, lengths, total, vocabulary)


def decide(found: Found, spec: Spec, binding: Binding, layout: Layout, lifted: Lifted) -> None:
    """One layout: the formula against the code, then value and gradient against the spec."""
    _note(found, lifted)
    found.formula = found.formula or (
        text(lifted.losses[0]) if len(lifted.losses) == 1 else "; ".join(map(text, lifted.losses))
    )
    asked = found.gradient != "not asked"

    def run(case: CodeCase) -> Answer:
        return called(
            binding,
            layout,
            case,
            asked and lifted.slope is not None,
            lifted.uses if found.held.stopped else (),
        )

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


def _quiet() -> contextlib.redirect_stdout[Any]:
    return contextlib.redirect_stdout(sys.stderr)


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
    found.up_to = up_to(layout.whole, stated, ratio(stated.losses, stated.targets, same))
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
    for one, other in zip(ones, others, strict=True):
        chain = derivation(layout.whole, one, other, lambda cut: nonzero(layout, cut))
        if chain is None:
            return False
        found.steps += len(chain.steps)
        found.notes |= dict.fromkeys(ties(chain))
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
    ways = (
        {s.kind for s in leaves(binding.sources) if s.name == "pi" and layout.given(s.kind, s.name).leaf}
        if len(binding.sources) > 1
        else set()
    )
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
    if apart is not None:
        found.gradient = "refuted"
        if found.difference is None:
            found.difference, found.layout = apart, layout
        return
    found.undecided("gradient", "no derivation shows the gradients equal, and no case tells them apart")


def _given(found: Found, binding: Binding) -> tuple[str, ...]:
    """What is given, not proved: the contracts that the code came to."""
    return tuple(
        f"given: {each} ({found.held})"
        if each.target in found.given
        else f"the contract of {each.target} was not needed"
        for each in binding.contracts
        if not found.held.wrong
    )


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


def _program(spec: Spec, code: Code, binding: Binding, found: Found) -> str:
    if found.difference is None or found.layout is None:
        return ""
    import torch

    return program(torch, spec.name, code.name, binding, found.layout, found.difference)


def _witness(found: Found) -> dict[str, Any] | None:
    apart = found.difference
    if apart is None:
        return None
    case = apart.case
    return {
        "case": str(case),
        "what": "value" if apart.entry is not None else "gradient",
        "code": apart.code,
        "spec": apart.spec,
        "lengths": {str(y): case.counts[str(y)] for y in case.layout.responses},
        "padded": case.total,
        "parameters": {k: str(v) for k, v in case.parameters.items()},
        "said": str(apart),
    }


def scope(layouts: Sequence[Layout], binding: Binding) -> str:
    """For which inputs the answer holds."""
    if layouts[0].bounded:
        shapes = ", ".join(f"{'+'.join(map(str, n.lengths))} of {n.total}" for n in layouts)
        size = layouts[0].vocabulary
        sized = f"a vocabulary of {size}" if size else "every vocabulary"
        return f"every value at these lengths of rows: {shapes}; {sized}; chosen first"
    pairs = " and of ".join(f"{n.pairs} pair{'s' * (n.pairs > 1)}" for n in layouts)
    kinds = set(binding.kinds.values())
    every = "every value"
    if kinds & {"logps", "logits"} or any(s.kind in ("labels", "mask") for s in leaves(binding.sources)):
        every = "every value, length and padding"
        every += ", vocabulary included" if "logits" in kinds else ""
        every += ", laid out [response | padding]"
    elif any(s.kind == "lengths" for s in leaves(binding.sources)):
        every = "every value and length"
    return f"{every}, chosen first, in batches of {pairs}"
