"""Forms that proofs trust have the values of what they stand for."""

from __future__ import annotations

import pytest
from sympy import Rational

import midpo
from midpo.numeric.arithmetic import Floats
from midpo.numeric.code.instances import written_out
from midpo.numeric.evaluate import Evaluator
from midpo.numeric.witness import cases, find_witness
from midpo.symbolic.algebra.cells import asked_of
from midpo.symbolic.language.nodes import Divergence, Entropy, Index, VocabSum
from midpo.symbolic.language.signs import enclosure


def test_what_maxima_and_divergences_are_read_as_is_what_they_are() -> None:
    """The trusted forms of numbers have the numbers' values: of what a sign is asked, of written
    out divergences, and of the bounds of a maximum."""
    spec = midpo.loads("""name = "x"
[parameters]
k = "real"
c = "positive"
g = "(1, 3]"
[target]
loss = '''exp(2*k - c)*k - exp(-3*c) + max(c, g) + max(k, -k) + max(k, 1 - k) + max(c + 1, g, 2*c)
          + sum(kl(pi, pi_ref, y_w, t) + 3*entropy(pi, y_w, t) for t in y_w)'''
""")
    assert spec.loss is not None
    maxima = [term for term in spec.loss.args if type(term).__name__ == "Max"]
    inside = list(spec.loss.atoms(Divergence, Entropy))
    assert len(maxima) == 4 and len(inside) == 2
    for case in list(cases(spec))[::5]:
        values = Evaluator(Floats(), case.point(Floats()))
        assert values(asked_of(spec.loss)) == pytest.approx(values(spec.loss), rel=1e-12)
        assert all(values(term) in enclosure(term) for term in maxima)
        for node in inside:
            plain = written_out(node)
            assert plain is not None and plain.has(VocabSum)
            scope = dict.fromkeys(node.atoms(Index), 0)
            assert values.value(plain, scope) == pytest.approx(values.value(node, scope))
    found = [
        find_witness(spec, spec.loss, spec.loss + add, add, margins=False, seen=True)
        for add in (Rational(1, 10), Rational(1, 10**12))
    ]
    assert found[0] is not None and found[1] is None
