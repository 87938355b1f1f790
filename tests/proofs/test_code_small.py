"""Kernels at small sizes: positions and vocabulary concrete, every value symbolic."""

from __future__ import annotations

from typing import Any

import pytest

import midpo

torch: Any = pytest.importorskip("torch")


def test_our_chunked_kernels_are_proved_at_small_sizes() -> None:
    for row in ("dpo", "tdpo", "alpha-dpo"):
        found = midpo.prove(row, backend="fused", pairs=(1,))
        assert found.verdict == "proved" and "a vocabulary of 2" in found.scope, found


def test_maxima_of_probabilities_that_are_written_out_are_decided() -> None:
    """The sums that make probabilities are hidden; what is left out is told of the data."""
    found = midpo.prove("simper", backend="fused", pairs=(1,))
    assert found.verdict == "proved" and "a vocabulary of 2" in found.scope, found
    assert any(a.endswith("!= 0") and "exp(" in a for a in found.assumptions), found
    assert not any("unknown" in a for a in found.assumptions), found


def test_a_sum_of_exponentials_is_one_unknown_everywhere() -> None:
    from sympy import Integer

    from midpo.numeric.code.instances import logit
    from midpo.numeric.code.layout import Layout
    from midpo.numeric.code.places import T
    from midpo.proofs.code.sums import ExponentialSums
    from midpo.proofs.code.ways import Met, Ways
    from midpo.symbolic.language.nodes import CHOSEN, POLICY, Exp, Log, TokenSum
    from midpo.symbolic.language.spec import load

    def entry(v: int, t: Any = 1) -> Any:
        return Exp(logit(POLICY, CHOSEN, Integer(t) if t == 1 else t, Integer(v)))

    first, second = entry(0) + entry(1), entry(1) + entry(2)
    sums = ExponentialSums()
    ((one,), (other, last)) = sums.hidden(Log(first) - 1 / second), sums.hidden(first, second)
    assert one == Log(other) - 1 / last and other != last and len(sums.known) == 2
    assert sums.shown(one) == Log(Exp(Log(first))) - 1 / Exp(Log(second))
    for kept in (2 * entry(0) + entry(1), TokenSum(Log(entry(0, T) + entry(1, T)), T, CHOSEN)):
        assert sums.hidden(kept) == (kept,)  # another number at each position

    ways = Ways(Layout(load("dpo"), 1, False, (1, 1), 1, 2), lambda cut: False, Met())
    assert ways.by_sums(Log(entry(0) / first), logit(POLICY, CHOSEN, Integer(1), Integer(0)) - Log(first))
    assert ways.by_sums(entry(0) / first, 1 - entry(1) / first) is None  # what they add up to is hidden
    assert ways(entry(0) / first, 1 - entry(1) / first) is not None
    assert ways(entry(0) / first, entry(1) / second) is None
    assert ways(Log(first), Log(second)) is None


def by_hand(logits: Any, labels: Any, kept: float) -> Any:
    """Log-probabilities, where exponentials are kept in range by a whole number."""
    shift = logits.amax(-1, keepdim=True).round().detach()
    own = logits.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    return own - kept * shift[..., 0] - (logits - shift).exp().sum(-1).log()


@pytest.mark.parametrize("kept, verdicts", [(1.0, {"proved"}), (0.5, {"refuted", "undecided"})])
def test_a_shift_of_logits_that_does_not_cancel_is_seen(kept: float, verdicts: set[str]) -> None:
    def loss(policy_logits: Any, reference_logits: Any, labels: Any, beta: float) -> Any:
        apart = by_hand(policy_logits, labels, kept) - by_hand(reference_logits, labels, 1.0)
        chosen, rejected = (apart * (labels != -100)).sum(-1).chunk(2)
        return -torch.nn.functional.logsigmoid(beta * (chosen - rejected)).mean()

    found = midpo.prove("dpo", loss, arguments={"beta": "alpha"}, shapes=[((1, 2), 2)])
    assert found.verdict in verdicts, found


def test_what_two_sides_share_is_one_unknown() -> None:
    """Equal arguments are one number; others are not."""
    from midpo.numeric.code.layout import Layout
    from midpo.proofs.code.deciding import derivation
    from midpo.proofs.code.sharing import Sharing
    from midpo.symbolic.language.nodes import Feature, LogSigmoid
    from midpo.symbolic.language.parser import parse
    from midpo.symbolic.language.places import TARGET
    from midpo.symbolic.language.spec import load

    spec = Layout(load("dpo")).whole
    x = "(alpha*log(pi(y_w)/pi_ref(y_w)) - alpha*log(pi(y_l)) + alpha*log(pi_ref(y_l)) + 3*len(y_w)/5)"
    y = x.replace("log(pi(y_w)/pi_ref(y_w))", "(log(pi(y_w)) - log(pi_ref(y_w)))")

    def expr(text: str) -> Any:
        return parse(text, spec.names, TARGET)

    sharing = Sharing(lambda a, b: derivation(spec, a, b), lambda cut: False)

    def both(a: Any, b: Any) -> tuple[Any, Any]:
        found = sharing(a, b)
        assert found is not None
        return found

    one, other = both(expr(f"2*sigmoid({x}) - len(y_l)"), expr(f"2*sigmoid({y})"))
    assert one - other == -expr("len(y_l)") and not one.has(LogSigmoid)
    one, other = both(expr(f"sigmoid({x})"), expr(f"logsigmoid(-{y})"))
    assert one.args[0] == -other.args[0] and len(one.args[0].free_symbols) == 1
    for text in (f"sigmoid({y} + 1)", f"sigmoid(2*{y})"):
        one, other = both(expr(f"sigmoid({x})"), expr(text))
        assert one.args[0] not in (other.args[0], -other.args[0])
    one, other = both(expr(f"sum(t*sigmoid({x}) for t in y_w)"), expr(f"sum(t*sigmoid({y}) for t in y_w)"))
    assert one == other and len(one.atoms(Feature)) == 1  # a sum binds nothing that it depends on
    inside = x.replace("len(y_w)", "t")
    assert sharing(expr(f"sum(sigmoid({inside}) for t in y_w)"), expr("1")) is None
    assert sharing(expr("sigmoid(alpha)"), expr("sigmoid(alpha)")) is None
