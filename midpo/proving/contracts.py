"""Do operators compute what contracts declare? Tested at random inputs, as the code calls them."""

from __future__ import annotations

from midpo.codegen.lifting.lift import Lifted, lift
from midpo.numeric.checking.found import Code
from midpo.numeric.code import cases as trying
from midpo.numeric.code.holding import Tested
from midpo.numeric.code.layout import Layout
from midpo.symbolic.errors import MidpoError
from midpo.symbolic.language.spec import Spec

from .deciding import kept
from .proof import SHAPES, at_shape, bound

TRIALS = 16


def tested(spec: Spec, code: Code) -> Tested:
    """How the contracts of the code's operators stand at random inputs, of one and of two pairs.

    Raises: MidpoError where an argument has no source, the code is not lifted up to its operators,
    or never calls one that has a contract.
    """
    binding = bound(spec, code)
    every = [Layout(spec, n) for n in (1, 2)]
    small = [
        at_shape(spec, False, lengths, total, 0)
        for lengths, total in SHAPES
        if len(lengths) % len(spec.roles) == 0
    ]
    why = ""
    for layouts in (every, small):
        found, called = Tested(), set()
        for layout in layouts:
            lifted = lift(binding, layout, slope=False)
            if not isinstance(lifted, Lifted):
                why = why or lifted.why
                break
            called |= {use.contract.target for use in lifted.uses}
            tests = [trying.case(layout, binding.fixed, seed) for seed in range(TRIALS)]
            kept(found, binding, layout, lifted, tests)
        else:
            unused = [c.target for c in binding.contracts if c.target not in called]
            if unused:
                raise MidpoError(
                    f"--contract: {unused[0]} is not called\n  expected: an operator that the code calls"
                )
            return found
    raise MidpoError(
        f"the code is not lifted up to its operators: {why}\n  expected: a contract of what is not lifted"
    )
