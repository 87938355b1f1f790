"""Which row of the catalogue does code compute? Numbers first, then a proof."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from midpo.numeric.arithmetic import Undefined
from midpo.numeric.checking.binding import Binding, bind, find, leaves, signature
from midpo.numeric.checking.found import Code
from midpo.numeric.code import cases as trying
from midpo.numeric.code.layout import Layout
from midpo.numeric.code.witness import close, fast
from midpo.proofs.code.answer import CodeProof
from midpo.proofs.code.claim import claim
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.spec import Spec, catalogue, load
from midpo.symbolic.loss import kernel_loss

from .deciding import called
from .proof import prove

MOST = 24  # ways in which a row's parameters are tried as arguments
TRIED = (0, 2, 6)  # cases


def identify(code: Code, **options: Any) -> CodeProof:
    """The first row that the code is proved to compute; else the first that agrees with it.

    Raises: MidpoError where no row agrees at random inputs.
    """
    best: CodeProof | None = None
    for spec, given in agreeing(code, bool(options.get("unshifted"))):
        found = prove(spec, replace(code, arguments=given), **options)
        if found.proved:
            return found
        best = best or found
    if best is None:
        raise MidpoError(
            f"{code.name}: no row of the catalogue agrees with it at random inputs\n"
            "  expected: midpo prove SPEC --code ..., with the spec of its loss"
        )
    return best


def agreeing(code: Code, unshifted: bool) -> Iterator[tuple[Spec, dict[str, Any]]]:
    """The rows with which the code agrees at some cases, and what its arguments then are."""
    for name in catalogue():
        spec = load(name)
        try:
            kernel_loss(spec)
        except MidpoError:
            continue
        for given in itertools.islice(_assignments(spec, code), MOST):
            if _agrees(spec, code, given, unshifted):
                yield spec, given
                break


def _assignments(spec: Spec, code: Code) -> Iterator[dict[str, Any]]:
    """Ways to give the row's parameters to arguments that nothing else is bound to."""
    given = dict(code.arguments)
    free = [p for p in signature(code.function).parameters if p not in given and find(spec, p) is None]
    taken = {str(v) for v in given.values()}
    names = [
        n for n in spec.names.parameters if n not in taken and n not in signature(code.function).parameters
    ]
    for count in range(min(len(free), len(names)), -1, -1):
        for chosen in itertools.permutations(names, count):
            for at in itertools.combinations(free, count):
                yield given | dict(zip(at, chosen, strict=True))


def _agrees(spec: Spec, code: Code, given: Mapping[str, Any], unshifted: bool) -> bool:
    """Whether the code returns the row's loss at a few cases of one pair."""
    try:
        needed = tuple(str(s) for s in kernel_loss(spec).free_symbols if str(s) in spec.names.policies)
        binding: Binding = bind(spec, code.function, given, needed)
        if set(needed) - {s.name for s in leaves(binding.sources)}:
            return False
        layout = Layout(spec, 1, unshifted)
        (target,) = claim(layout, (), "each", binding.fixed).targets
        for seed in TRIED:
            case = trying.case(layout, binding.fixed, seed)
            (got,) = called(binding, layout, case, False).losses
            if not close(got, fast(target, case)):
                return False
    except (MidpoError, Undefined, Exception):
        return False
    return True
