"""What was proved of code's value, as a theorem for Coq: the lifted loss of a pair is the generalised
loss with the row's prior.

The theorem is that of a recovery (`certify`) whose published side is what the code computes. It
rests on the lifting, which Coq does not see, and says nothing of gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from sympy import Expr, Rational

from midpo.numeric.code.places import SHIFT, Padding, unknowns
from midpo.proofs.certify.certificate import Certificate, export
from midpo.symbolic.language.building import substitute
from midpo.symbolic.language.nodes import Feature
from midpo.symbolic.language.spec import Spec


def certificate(spec: Spec, loss: Expr | None, fixed: Mapping[str, Fraction]) -> Certificate:
    """The theorem that `loss`, lifted at every size, is the spec's, parameters being `fixed`; "not
    exportable" with the reason where there is none."""
    module = f"code_{spec.name.replace('-', '_')}"

    def without(reason: str) -> Certificate:
        return Certificate(spec, module, state="not exportable", reason=reason)

    if loss is None:
        return without("no loss of one pair was proved at every size")
    if spec.prior is None:
        return without("the row has no prior: a theorem is of the generalised loss")
    if spec.multiplier is not None or spec.batch is not None:
        return without("the row's loss is no generalised loss of a pair alone")
    if unknowns(loss) or any(isinstance(s, Padding) for s in loss.free_symbols):
        return without("the lifted loss speaks of what is not known, or of padding")
    names = spec.names
    shifts = {str(f.args[0]): "token" for f in loss.atoms(Feature) if str(f.args[0]).startswith(SHIFT)}
    table: dict[Expr, Expr] = {
        names.parameters[n]: Rational(v.numerator, v.denominator) for n, v in fixed.items()
    }
    stated = replace(
        spec,
        names=replace(names, features={**names.features, **shifts}),
        prior=substitute(spec.prior, table),
        margin=None,
        loss=loss,
    )
    if "alpha" in fixed:
        return without(f"alpha is held at {fixed['alpha']}: give it to an argument (--set ARG=alpha)")
    found = export(stated)
    if found.state != "exported" or found.refutes:
        return without(found.reason or "the prior does not give the row's loss")
    head = f"(* {module}: the loss that code computes, as it was lifted *)\n"
    return replace(found, module=module, text=head + found.text.partition("\n")[2])
