"""A function proved to compute a spec's loss: bound, lifted, tested, decided."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from midpo.codegen.lifting.lift import NotLifted, lift
from midpo.numeric.checking.binding import Binding, bind, leaves
from midpo.numeric.checking.found import Code
from midpo.numeric.code.contracts import Contract, contract, entries
from midpo.numeric.code.heads import BIAS, HIDDEN, WIDTH
from midpo.numeric.code.layout import Layout
from midpo.proofs.certify.certificate import Certificate
from midpo.proofs.code.answer import TERMS, CodeProof, verdict_of
from midpo.proofs.code.certified import certificate
from midpo.proofs.code.claim import Reduction
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.spec import Spec
from midpo.symbolic.loss import kernel_loss

from .deciding import Found, decide, witness_file
from .elsewhere import OTHER, WIDER, elsewhere

# Where positions matter: lengths of the rows, and how long they are padded.
SHAPES = (((1, 2), 3), ((2, 1), 2), ((2, 1, 1, 2), 2))
SMALL = (((1, 2), 2), ((1, 1, 1, 1), 1))  # where the vocabulary is concrete too


def prove(
    spec: Spec,
    code: Code,
    *,
    unshifted: bool = False,
    pairs: Sequence[int] = (1, 2),
    shapes: Sequence[tuple[tuple[int, ...], int]] = (),
    value_only: bool = False,
    certify: bool = False,
) -> CodeProof:
    """Whether the function computes the spec's loss, for every size; at `shapes` (lengths of the
    rows, and the padded length) where positions matter.

    Raises: MidpoError where an argument has no source, SpecError where the spec has no loss.
    """
    start = time.perf_counter()
    if not pairs or min(pairs) < 1:
        raise MidpoError("no pairs\n  expected: sizes of batches, as (1, 2)")
    binding = bound(spec, code)
    heads = heads_of(binding)
    layouts = [Layout(spec, n, unshifted) for n in pairs]
    every = decided(binding, layouts, value_only) if not shapes else NotLifted("")
    held, why_not = every, every.why if isinstance(every, NotLifted) else ""
    if isinstance(held, NotLifted) and not every_size(spec):
        for vocabulary, usual in ((2, SMALL),) if heads else ((0, SHAPES), (2, SMALL)):
            bounded = [
                at_shape(spec, unshifted, lengths, total, vocabulary, heads)
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
                if not shapes:
                    others = [
                        at_shape(spec, unshifted, lengths, total, vocabulary and WIDER, heads)
                        for lengths, total in OTHER
                        if len(lengths) // len(spec.roles) in pairs
                    ]
                    held, layouts = further(binding, held, bounded, others, value_only)
                break
            if binding.kinds.get("pi") not in ("logits", HIDDEN):
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
        witness_file(spec, code, binding, found),
        _certificate(spec, layouts, binding, found) if certify else None,
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
        contracts=tuple(c if isinstance(c, Contract) else contract(spec, c) for c in code.contracts),
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
        decide(found, layout.spec, binding, layout, lifted)
        if {"refuted", "undecided"} & {found.value, found.gradient}:
            break
    return found


def further(
    binding: Binding, held: Found, layouts: list[Layout], others: Sequence[Layout], value_only: bool
) -> tuple[Found, list[Layout]]:
    """What is found where the code is not the spec at other sizes than those of a proof: there it is
    refuted, or what was proved says little."""
    if {held.value, held.gradient} & {"refuted", "undecided"}:
        return held, layouts
    way: Reduction = "sum" if "the sum over the pairs" in held.notes else "mean"
    other = elsewhere(binding, others, way, not value_only, held.coarsest)
    if other is None:
        return held, layouts
    found = decided(binding, [other], value_only)
    if isinstance(found, Found) and "refuted" in (found.value, found.gradient):
        return found, [other]
    sizes = f"{'+'.join(map(str, other.lengths))} of {other.total}"
    held.undecided("value", f"it is the spec's loss at these lengths, and not at {sizes}")
    return held, layouts


def every_size(spec: Spec) -> bool:
    """Whether nothing is asked at concrete sizes: specs with responses beside the pair."""
    return bool(spec.names.responses)


def heads_of(binding: Binding) -> tuple[tuple[str, bool], ...]:
    """The policies that are given by hidden states, and whether their heads have a bias."""
    given = [
        source
        for argument, own in binding.sources.items()
        if argument not in binding.left_out
        for source in leaves({argument: own})
    ]
    biased = {source.name for source in given if source.kind == BIAS}
    policies = dict.fromkeys(source.name for source in given if source.kind == HIDDEN)
    return tuple((policy, policy in biased) for policy in policies)


def at_shape(
    spec: Spec,
    unshifted: bool,
    lengths: tuple[int, ...],
    total: int,
    vocabulary: int,
    heads: tuple[tuple[str, bool], ...] = (),
) -> Layout:
    """One batch of concrete sizes. Raises: MidpoError where rows are no pairs, or too long."""
    pairs, rest = divmod(len(lengths), len(spec.roles))
    if rest or not pairs or max(lengths) > total or min(lengths) < 1:
        raise MidpoError(
            f"{lengths} tokens in rows of {total}\n  expected: a length for each row, "
            "chosen ones first, none longer than the row"
        )
    return Layout(spec, pairs, unshifted, lengths, total, vocabulary, heads)


def _certificate(spec: Spec, layouts: Sequence[Layout], binding: Binding, found: Found) -> Certificate:
    """The value's theorem for Coq, where it was proved of one pair at every size."""
    loss = found.one.get("value") if found.value == "proved" and not layouts[0].bounded else None
    return certificate(spec, loss, binding.fixed)


def _given(found: Found, binding: Binding) -> tuple[str, ...]:
    """What is given, not proved: the contracts that the code came to."""
    return tuple(
        f"given: {each}" + (f" ({found.held})" if entries(each.result) else "")
        if each.target in found.given
        else f"the contract of {each.target} was not needed"
        for each in binding.contracts
        if not found.held.wrong
    )


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
        sized += f"; hidden states of {WIDTH}" if layouts[0].heads else ""
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
